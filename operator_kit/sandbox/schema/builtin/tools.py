"""Reading built-in objects, and the checks that many kinds share. What is absent or of the wrong type reads as empty."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.golang import Struct
from operator_kit.sandbox.status import Cause
from operator_kit.selectors import LabelSelector, label_key_problems, label_value_problems

__all__ = [
    "NEGATIVE",
    "Check",
    "Default",
    "Object",
    "each",
    "int_or_percent",
    "labels_of",
    "named",
    "non_negative",
    "one_of",
    "quantity",
    "selector_causes",
    "selector_matches",
    "selector_struct",
    "sub",
    "text",
    "texts",
]

Object: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Object, "Object | None"], list[Cause]]
Default: TypeAlias = Callable[[Object], None]

NEGATIVE = "must be greater than or equal to 0"

_PERCENT = re.compile("[0-9]+%")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation "
    "is '[0-9]+%')"
)
_QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]?)", re.ASCII)
_SCALES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def sub(obj: Mapping[str, Any], *names: str) -> Object:
    """The object below some fields, or an empty one."""
    value: Any = obj
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def each(obj: Mapping[str, Any], name: str) -> list[Object]:
    """The objects of a list field."""
    value = obj.get(name)
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def text(obj: Mapping[str, Any], name: str) -> str:
    """A text field."""
    value = obj.get(name)
    return value if isinstance(value, str) else ""


def texts(obj: Mapping[str, Any], name: str) -> list[str]:
    """A field that lists texts."""
    value = obj.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The labels in an object's metadata."""
    return {name: value for name, value in sub(obj, "metadata", "labels").items() if isinstance(value, str)}


def one_of(obj: Mapping[str, Any], name: str, path: str, allowed: Iterable[str], *, needed: bool = False) -> list[Cause]:
    """Complain when a text field is none of the allowed values; when it is empty, only if it is `needed`."""
    value = text(obj, name)
    if not value:
        return [fields.required(fields.child(path, name))] if needed else []
    listed = list(allowed)
    return [] if value in listed else [fields.not_supported(fields.child(path, name), value, listed)]


def non_negative(obj: Mapping[str, Any], path: str, *names: str) -> list[Cause]:
    """Complain about numbers below zero."""
    return [
        fields.invalid(fields.child(path, name), obj[name], NEGATIVE)
        for name in names
        if isinstance(obj.get(name), int) and obj[name] < 0
    ]


def named(name: str, path: str, problems: Callable[[str], list[str]], *, needed: bool = True, detail: str = "") -> list[Cause]:
    """Complain about a name by a rule of `names`."""
    if not name:
        return [fields.required(path, detail)] if needed else []
    return [fields.invalid(path, name, problem) for problem in problems(name)]


def int_or_percent(value: Any, path: str) -> list[Cause]:
    """Complain about a value that is neither a count nor a percentage such as `25%`."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [fields.invalid(path, value, _PERCENT_TEXT)]
    if isinstance(value, int) and value < 0:
        return [fields.invalid(path, value, NEGATIVE)]
    return []


def quantity(value: Any) -> Decimal | None:
    """The number behind a quantity (`500m`, `1Gi`), or None when it is none."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    number = Decimal(match[2]) * (-1 if match[1] == "-" else 1)
    suffix = match[3]
    if suffix.endswith("i"):
        return number * Decimal(1024 ** ("KMGTPE".index(suffix[0]) + 1))
    exponent = int(suffix[1:]) if suffix[:1] in {"e", "E"} and len(suffix) > 1 else _SCALES[suffix]
    return number.scaleb(max(-100, min(exponent, 100)))


# --------------------------------------------------------------------------- label selectors


def selector_struct(selector: Mapping[str, Any]) -> Struct:
    """A label selector as the server prints it."""
    order = ("matchLabels", "matchExpressions")
    expressions = ("key", "operator", "values")
    shown = Struct()
    for name in order:
        value = selector.get(name)
        if name == "matchExpressions" and isinstance(value, list):
            value = [Struct((part, item[part]) for part in expressions if part in item) for item in value]
        if value:
            shown[name] = value
    return shown


def selector_causes(selector: Mapping[str, Any], path: str) -> list[Cause]:
    """Complain about keys, operators and values of a label selector."""
    causes: list[Cause] = []
    where = fields.child(path, "matchLabels")
    for name, value in sub(selector, "matchLabels").items():
        causes += [fields.invalid(where, name, problem) for problem in label_key_problems(name)]
        causes += [fields.invalid(where, value, problem) for problem in label_value_problems(str(value))]
    for at, requirement in enumerate(each(selector, "matchExpressions")):
        causes += _requirement(requirement, fields.index(fields.child(path, "matchExpressions"), at))
    return causes


def _requirement(requirement: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    operator, values = text(requirement, "operator"), texts(requirement, "values")
    if operator in {"In", "NotIn"}:
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(fields.required(fields.child(path, "values"), detail))
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(fields.forbidden(fields.child(path, "values"), detail))
    else:
        causes.append(fields.invalid(fields.child(path, "operator"), operator, "not a valid selector operator"))
    name = text(requirement, "key")
    causes += [fields.invalid(fields.child(path, "key"), name, problem) for problem in label_key_problems(name)]
    for at, value in enumerate(values):
        where = fields.index(fields.child(path, "values"), at)
        causes += [fields.invalid(where, value, problem) for problem in label_value_problems(value)]
    return causes


def selector_matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool | None:
    """Whether a selector selects labels; None when it is not valid."""
    try:
        return LabelSelector.from_dict(selector).matches(labels)
    except (ValueError, TypeError, AttributeError):
        return None
