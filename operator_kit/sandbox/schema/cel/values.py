"""JSON values as CEL sees them through a schema, optional values, and equality and order as Kubernetes' CEL has them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from celpy import celtypes

from operator_kit.sandbox.schema.formats import go_duration
from operator_kit.sandbox.schema.golang import is_int64
from operator_kit.sandbox.schema.node import Node

__all__ = ["NONE", "Optional", "boolean", "equal", "in_order", "to_cel", "to_text"]

_TIMES = frozenset({"date-time", "datetime", "date"})


class Optional:
    """A value that may be absent (`optional.of(x)`, `optional.none()`, `a.?b`)."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any = None, *, present: bool = True) -> None:
        self.value = value
        self.present = present

    def __repr__(self) -> str:
        return f"optional({self.value!r})" if self.present else "optional.none()"


NONE = Optional(present=False)


def boolean(value: object) -> Any:
    """A CEL bool."""
    return celtypes.BoolType(bool(value))


def to_cel(value: Any, node: Node | None) -> Any:
    """A JSON value with the types its schema gives it: formats make timestamps, durations and bytes, `number` makes doubles."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value, node)
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, int | float):
        if is_int64(value) and (node is None or node.type != "number"):
            return celtypes.IntType(value)
        if isinstance(value, float) and node is not None and node.type == "integer" and value.is_integer() and abs(value) < 2**53:
            return celtypes.IntType(int(value))
        return celtypes.DoubleType(float(value))
    if isinstance(value, list):
        items = node.items if node is not None else None
        return celtypes.ListType([to_cel(item, items) for item in value])
    made = celtypes.MapType()
    properties: Mapping[str, Node] = node.properties if node is not None else {}
    others = node.values if node is not None else None
    for name, item in value.items():
        dict.__setitem__(made, celtypes.StringType(name), to_cel(item, properties.get(name, others)))
    return made


def _text(value: str, node: Node | None) -> Any:
    name = node.raw.get("format") if node is not None and node.type == "string" else None
    if name in _TIMES:
        try:
            return celtypes.TimestampType(value)
        except (ValueError, TypeError, OverflowError):
            return celtypes.StringType(value)
    if name == "duration":
        nanoseconds = go_duration(value)
        if nanoseconds is not None:
            return celtypes.DurationType(f"{nanoseconds // 1000}us")
    if name == "byte":
        try:
            return celtypes.BytesType(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            return celtypes.StringType(value)
    return celtypes.StringType(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, celtypes.BoolType | bool)


def equal(left: Any, right: Any) -> bool:
    """Whether two CEL values are equal. Values of different types are not; numbers are compared by what they are worth."""
    if left is right:
        return True
    if isinstance(left, Optional) or isinstance(right, Optional):
        if not (isinstance(left, Optional) and isinstance(right, Optional)) or left.present is not right.present:
            return False
        return not left.present or equal(left.value, right.value)
    if left is None or right is None:
        return False
    if _is_number(left) and _is_number(right):
        plain = [float(value) if isinstance(value, float) else int(value) for value in (left, right)]
        return bool(plain[0] == plain[1])
    if isinstance(left, dict) and isinstance(right, dict):
        if len(left) != len(right):
            return False
        return all(dict.__contains__(right, key) and equal(item, dict.__getitem__(right, key)) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    for of in (str, bytes, celtypes.BoolType, celtypes.TimestampType, celtypes.DurationType):
        if isinstance(left, of):
            return isinstance(right, of) and _plain(left) == _plain(right)
    return bool(type(left) is type(right) and left == right)


def _plain(value: Any) -> Any:
    """A value stripped of the library's operators, which refuse to compare some types."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, celtypes.BoolType):
        return bool(value)
    return value


def in_order(left: Any, right: Any) -> int:
    """-1, 0 or 1, as `left` is less than, equal to or more than `right`. Raises `TypeError` when they have no order."""
    if _is_number(left) and _is_number(right):
        pair = [float(value) if isinstance(value, float) else int(value) for value in (left, right)]
    else:
        for of in (str, bytes, celtypes.BoolType, celtypes.TimestampType, celtypes.DurationType):
            if isinstance(left, of) and isinstance(right, of):
                pair = [_plain(left), _plain(right)]
                break
        else:
            raise TypeError("no such overload")
    return (pair[0] > pair[1]) - (pair[0] < pair[1])


def to_text(value: Any) -> str:
    """A value as CEL's `string()` writes it."""
    if isinstance(value, celtypes.BoolType):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return bytes(value).decode()
    if isinstance(value, float):
        return repr(float(value)).removesuffix(".0")
    if isinstance(value, int):
        return str(int(value))
    return str(value)
