"""Arguments of CEL functions read, and their results made. A wrong type is a `TypeError`: CEL's "no such overload"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from celpy import celtypes

__all__ = ["Function", "cel_int", "cel_string", "plain_int", "plain_list", "plain_text"]

Function: TypeAlias = Callable[..., Any]


def plain_text(value: Any) -> str:
    """A string argument."""
    if not isinstance(value, str):
        raise TypeError("no such overload")
    return str.__str__(value)


def plain_list(value: Any) -> list[Any]:
    """A list argument."""
    if not isinstance(value, list):
        raise TypeError("no such overload")
    return value


def plain_int(value: Any) -> int:
    """An integer argument."""
    if not isinstance(value, int) or isinstance(value, celtypes.BoolType):
        raise TypeError("no such overload")
    return int(value)


def cel_string(value: str) -> Any:
    """A CEL string."""
    return celtypes.StringType(value)


def cel_int(value: int) -> Any:
    """A CEL int."""
    return celtypes.IntType(value)
