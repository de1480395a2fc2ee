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
    """Exact to the microsecond, which is all a timedelta holds."""
    micros = round(value / timedelta(microseconds=1))
    hours, rest = divmod(micros, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    seconds, millis = divmod(rest / 1000, 1000)
    parts = ((hours, "h"), (minutes, "m"), (int(seconds), "s"), (millis, "ms"))
    return "".join(f"{amount:.3f}".rstrip("0").rstrip(".") + unit for amount, unit in parts if amount) or "0s"


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(_write, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"}),
]
"""A `timedelta`, written in objects as Kubernetes writes durations: `"30s"`, `"1m30s"`, `"500ms"`.

A plain `timedelta` is read and written as ISO 8601 (`"PT30S"`), which nobody expects in a Kubernetes object.
"""
