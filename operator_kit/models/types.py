"""Types whose text the API server and Python spell differently."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from operator_kit.settings import parse_duration

__all__ = ["Duration"]


def _read(value: Any) -> Any:
    return timedelta(seconds=parse_duration(value)) if isinstance(value, str) else value


def _write(value: timedelta) -> str:
    """As Go writes it, without the parts that are zero; exact to the microsecond, which is all a timedelta holds."""
    micros = value // timedelta(microseconds=1)
    if micros < 0:
        raise ValueError(f"{value} is negative")
    if 0 < micros < 1_000_000:
        return f"{_decimal(micros, 3)}ms"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    parts = ((str(hours), "h"), (str(minutes), "m"), (_decimal(rest, 6), "s"))
    return "".join(amount + unit for amount, unit in parts if amount != "0") or "0s"


def _decimal(micros: int, digits: int) -> str:
    whole, fraction = divmod(micros, 10**digits)
    return f"{whole}.{fraction:0{digits}}".rstrip("0").rstrip(".") if fraction else str(whole)


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(_write, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"}),
]
"""A `timedelta`, written in objects as Kubernetes writes durations: `"30s"`, `"1m30s"`, `"500ms"`.

A plain `timedelta` is read and written as ISO 8601 (`"PT30S"`), which nobody expects in a Kubernetes object.
"""
