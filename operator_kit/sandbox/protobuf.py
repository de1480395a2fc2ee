"""Protobuf request bodies: a magic word and a `runtime.Unknown` message, decoded to the dict the object has in JSON.

Typed Go clients and `kubectl create` send built-in kinds so, and accept JSON back. Field numbers and types come from
`operator_kit.sandbox.shapes`. Whatever cannot be decoded is a `StatusError`, never another exception: 415 for bytes that are
no such envelope or a kind without a table, 400 for a body that breaks off or has wrong wire types.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox import shapes
from operator_kit.sandbox.status import StatusError

__all__ = ["CONTENT_TYPE", "decode"]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_MAX_DEPTH = 100
_OPTIONS = {"DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions"}
_UNIONS = {
    "apiextensions.JSONSchemaPropsOrArray": "apiextensions.JSONSchemaProps",
    "apiextensions.JSONSchemaPropsOrBool": "apiextensions.JSONSchemaProps",
    "apiextensions.JSONSchemaPropsOrStringArray": "apiextensions.JSONSchemaProps",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Broken(ValueError):
    """Bytes that are no protobuf message of the expected type."""


def decode(body: bytes) -> dict[str, Any]:
    """Decode a request body.

    Returns:
        The object with `apiVersion` and `kind`, without what Go leaves out of JSON when it is empty.

    Raises:
        StatusError: 415 for another envelope, encoding or kind; 400 for a broken message.
    """
    if not body.startswith(_MAGIC):
        raise _unsupported()
    try:
        api_version, kind, raw = _envelope(body[len(_MAGIC) :])
        if not api_version or not kind:
            raise StatusError(400, "BadRequest", _text(f"Object 'Kind' is missing in '{_preview(raw)}'"))
        message = _message_of(api_version, kind)
        if message is None:
            raise _unsupported()
        made = _struct(memoryview(raw), message, 0)
    except _Broken as exc:
        raise StatusError(400, "BadRequest", f"proto: {exc}") from None
    return {"kind": kind, "apiVersion": api_version, **made}


def _unsupported() -> StatusError:
    text = f"the body of the request was in an unknown format - accepted media types include: {_ACCEPTED}"
    return StatusError(415, "UnsupportedMediaType", text)


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _preview(raw: bytes) -> str:
    return raw[:64].decode("utf-8", "replace")


def _message_of(api_version: str, kind: str) -> shapes.Message | None:
    if kind in _OPTIONS:  # sent in the version of the resource they are for
        return shapes.message("meta.DeleteOptions") if kind == "DeleteOptions" else None
    return shapes.message_for(GVK.of(api_version, kind))


def _envelope(data: bytes) -> tuple[str, str, bytes]:
    """The type and the bytes of a `runtime.Unknown`."""
    api_version = kind = encoding = content_type = ""
    raw = b""
    for number, value in _fields(memoryview(data)):
        if number == 1:
            for inner, text in _fields(_bytes(value)):
                if inner == 1:
                    api_version = _string(text)
                elif inner == 2:
                    kind = _string(text)
        elif number == 2:
            raw = bytes(_bytes(value))
        elif number == 3:
            encoding = _string(value)
        elif number == 4:
            content_type = _string(value)
    if encoding or content_type not in {"", CONTENT_TYPE}:
        raise _unsupported()
    return api_version, kind, raw


# ------------------------------------------------------------------------------------------------------------------------- wire


def _varint(data: memoryview, start: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(start, min(start + 10, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place + 1
        shift += 7
    raise _Broken("unexpected EOF" if len(data) - start < 10 else "integer overflow")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and an integer (varint, fixed) or the bytes."""
    place, end = 0, len(data)
    while place < end:
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _Broken("illegal tag 0")
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise _Broken(f"illegal wireType {wire}")
        if size > end - place:
            raise _Broken("unexpected EOF")
        chunk = data[place : place + size]
        place += size
        yield number, chunk if wire == 2 else int.from_bytes(chunk, "little")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Broken("wrong wireType")
    return value


def _string(value: int | memoryview) -> str:
    try:
        return bytes(_bytes(value)).decode()
    except UnicodeDecodeError:
        raise _Broken("invalid UTF-8") from None


def _integer(value: int | memoryview) -> int:
    """A signed 64-bit integer."""
    if not isinstance(value, int):
        raise _Broken("wrong wireType")
    return value - 2**64 if value >= 2**63 else value


# ---------------------------------------------------------------------------------------------------------------------- structs


def _struct(data: memoryview, message: shapes.Message, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise _Broken("nested too deeply")
    made: dict[str, Any] = {}
    for number, value in _fields(data):
        item = message.numbers.get(number)
        if item is None:
            continue  # a newer client's field
        if item.presence == ">" and not item.container:
            made.update(_struct(_bytes(value), shapes.message(item.type), depth + 1))
        elif item.container == "list":
            made.setdefault(item.name, []).append(_value(value, item.type, depth))
        elif item.container == "map":
            key, entry = _map_entry(_bytes(value), item.type, depth)
            made.setdefault(item.name, {})[key] = entry
        else:
            result = _value(value, item.type, depth)
            if item.presence in {"*", "^", "&", "?"} or item.type not in _OMITTED or result not in ("", 0, False):
                made[item.name] = result
            if item.presence == "~" and result is None:
                made.pop(item.name, None)
    for item in message.always:
        if item.name not in made and item.presence in {"*", "^"} and not item.container:
            zero = _ZEROS.get(item.type)
            if zero is not None:
                made[item.name] = zero
    return made


_OMITTED = {"s", "b", "i", "l", "f", "B"}
_ZEROS = {"s": "", "b": False, "i": 0, "l": 0, "f": 0}


def _map_entry(data: memoryview, kind: str, depth: int) -> tuple[str, Any]:
    key, value = "", _empty(kind, depth)
    for number, field in _fields(data):
        if number == 1:
            key = _string(field)
        elif number == 2:
            value = _value(field, kind, depth)
    return key, value


def _empty(kind: str, depth: int) -> Any:
    """The value of a map entry that has none on the wire."""
    return 0 if kind in {"i", "l", "f"} else False if kind == "b" else _value(memoryview(b""), kind, depth)


def _value(value: int | memoryview, kind: str, depth: int) -> Any:
    if kind == "s":
        return _string(value)
    if kind in {"i", "l"}:
        return _integer(value)
    if kind == "b":
        return _integer(value) != 0
    if kind == "f":
        number: float = struct.unpack("<d", (value if isinstance(value, int) else 0).to_bytes(8, "little"))[0]
        return int(number) if number.is_integer() else number
    chunk = _bytes(value)
    if kind == "B":
        return base64.b64encode(chunk).decode()
    if kind == "[]s":
        return [_string(text) for number, text in _fields(chunk) if number == 1]
    if kind in _UNIONS:
        return _union(chunk, kind, depth)
    if kind in shapes.SCALARS:
        return _special(chunk, kind)
    return _struct(chunk, shapes.message(kind), depth + 1)


def _special(chunk: memoryview, kind: str) -> Any:
    parts = dict(_fields(chunk))
    if kind in {"Time", "MicroTime"}:
        return _time(parts, micro=kind == "MicroTime")
    if kind == "Quantity":
        return _string(parts[1]) if 1 in parts else "0"
    if kind == "IntOrString":
        if _integer(parts.get(1, 0)) == 1:
            return _string(parts.get(3, memoryview(b"")))
        return _integer(parts.get(2, 0))
    raw = bytes(_bytes(parts.get(1, memoryview(b""))))
    if not raw:
        return None
    try:
        return codec.loads(raw)
    except ValueError as exc:
        raise _Broken(str(exc)) from None


def _time(parts: dict[int, int | memoryview], *, micro: bool) -> str | None:
    """A timestamp; None for Go's zero time, which an empty message stands for."""
    if not parts:
        return None
    seconds, nanos = _integer(parts.get(1, 0)), _integer(parts.get(2, 0))
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise _Broken("time out of range") from None
    if moment.year <= 1:
        return None
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text.rjust(19, '0')}.{moment.microsecond:06d}Z" if micro else f"{text.rjust(19, '0')}Z"


def _union(chunk: memoryview, kind: str, depth: int) -> Any:
    """A schema, or what may stand in its place: an array of schemas, a boolean, an array of names."""
    message = shapes.message(_UNIONS[kind])
    schema: Any = None
    others: list[Any] = []
    allows = False
    for number, value in _fields(chunk):
        if kind.endswith("Bool"):
            if number == 1:
                allows = _integer(value) != 0
            elif number == 2:
                schema = _struct(_bytes(value), message, depth + 1)
        elif number == 1:
            schema = _struct(_bytes(value), message, depth + 1)
        elif number == 2:
            strings = kind.endswith("StringArray")
            others.append(_string(value) if strings else _struct(_bytes(value), message, depth + 1))
    if schema is not None:
        return schema
    return allows if kind.endswith("Bool") else others
