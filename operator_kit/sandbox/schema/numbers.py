"""The numeric keywords of a schema: range of the type, minimum, maximum, multipleOf, with the server's integer arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from operator_kit.sandbox.schema.golang import go_float, is_int64
from operator_kit.sandbox.schema.problems import Problem, body

__all__ = ["number_check"]

_FLOAT32_MAX = 3.4028234663852886e38


def _number(schema: Mapping[str, Any], keyword: str) -> float | None:
    value = schema.get(keyword)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -(2**1000) < value < 2**1000 else math.copysign(math.inf, value)


def _in_range(kind: str, fmt: str) -> Callable[[float], bool] | None:
    """Whether a number can be of the type at all; None: any can."""
    if kind == "integer":
        high = 2**31 if fmt == "int32" else 2**63
        return lambda value: -high <= value < high and (isinstance(value, int) or value.is_integer())
    if fmt == "float":
        return lambda value: abs(value) <= _FLOAT32_MAX
    return None


def _outside(what: str, kind: str, fmt: str) -> Problem:
    form = f"with format {fmt}" if fmt else "(default format)"
    return Problem("whole", "", lambda name: f"{what} value must be of type {kind} {form} in {name}")


def number_check(schema: Mapping[str, Any], types: list[str], fmt: str) -> Callable[[Any], list[Problem] | None] | None:
    """The check of ints and floats, or None when there is nothing to check."""
    kind = types[0] if len(types) == 1 and types[0] in {"integer", "number"} else ""
    fits = _in_range(kind, fmt)
    factor, low, high = (_number(schema, keyword) for keyword in ("multipleOf", "minimum", "maximum"))
    parts = [
        part for part in (_multiple(factor, kind, fmt), _low(low, schema, kind, fmt), _high(high, schema, kind, fmt)) if part
    ]
    if fits is None and not parts:
        return None

    def check(value: Any) -> list[Problem] | None:
        found: list[Problem] | None = None
        if type(value) is int and not is_int64(value):
            try:
                value = float(value)
            except OverflowError:
                value = math.inf if value > 0 else -math.inf
        if fits is not None and not fits(value):
            found = [_outside("Checked", kind, fmt)]
        for part in parts:
            more = part(value)
            if more is not None:
                found = more if found is None else found + more
        return found

    return check


def _bound(limit: float, kind: str, fmt: str, what: str) -> Callable[[], list[Problem]] | None:
    """A maker of the complaint that the limit itself is not of the type; None: it is, and integers are compared as integers."""
    fits = _in_range(kind, fmt)
    if fits is None or fits(limit):
        return None
    return lambda: [_outside(what, kind, fmt)]


def _shown(limit: float) -> str:
    return go_float(float(limit))


def _low(limit: float | None, schema: Mapping[str, Any], kind: str, fmt: str) -> Callable[[Any], list[Problem] | None] | None:
    if limit is None:
        return None
    strict = schema.get("exclusiveMinimum") is True
    bad = _bound(limit, kind, fmt, "Minimum boundary")
    whole = int(limit) if abs(limit) < 2**63 else limit
    words = "should be greater than" if strict else "should be greater than or equal to"

    def check(value: Any) -> list[Problem] | None:
        integer = bad is None and type(value) is int
        bound = whole if integer else limit
        if value < bound or (strict and value == bound):
            return [*(bad() if bad else ()), Problem("invalid", value, body(f"{words} {bound if integer else _shown(limit)}"))]
        return bad() if bad else None

    return check


def _high(limit: float | None, schema: Mapping[str, Any], kind: str, fmt: str) -> Callable[[Any], list[Problem] | None] | None:
    if limit is None:
        return None
    strict = schema.get("exclusiveMaximum") is True
    bad = _bound(limit, kind, fmt, "Maximum boundary")
    whole = int(limit) if abs(limit) < 2**63 else limit
    words = "should be less than" if strict else "should be less than or equal to"

    def check(value: Any) -> list[Problem] | None:
        integer = bad is None and type(value) is int
        bound = whole if integer else limit
        if value > bound or (strict and value == bound):
            return [*(bad() if bad else ()), Problem("invalid", value, body(f"{words} {bound if integer else _shown(limit)}"))]
        return bad() if bad else None

    return check


def _multiple(factor: float | None, kind: str, fmt: str) -> Callable[[Any], list[Problem] | None] | None:
    if factor is None:
        return None
    bad = _bound(factor, kind, fmt, "MultipleOf")

    def check(value: Any) -> list[Problem] | None:
        integer = bad is None and type(value) is int
        by = int(factor) if integer and abs(factor) < 2**63 else factor
        shown = str(by) if integer else _shown(by)
        if by <= 0:
            text = f"must be positive: {shown}"
            return [*(bad() if bad else ()), Problem("invalid", by, lambda name: f"factor MultipleOf declared for {name} {text}")]
        if not _divides(by, value):
            return [*(bad() if bad else ()), Problem("invalid", value, body(f"should be a multiple of {shown}"))]
        return bad() if bad else None

    return check


def _divides(by: float, value: float) -> bool:
    if isinstance(by, int) and isinstance(value, int):
        return value % by == 0
    times = 1 / by * value if by < 1 else value / by
    if not math.isfinite(times):
        return False
    nearest = round(times)
    return abs(times - nearest) < 1e-9 * max(1.0, abs(times))  # as the library's IsFloat64AJSONInteger
