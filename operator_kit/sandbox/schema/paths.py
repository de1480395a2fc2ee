"""JSON paths as CRDs use them for fields: `.spec.size`, `.labels['a.b']`, checked against the schema they point into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.structural import properties_of, schema_at

__all__ = ["FieldPathError", "field_path"]

_PART = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]]+")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class FieldPathError(ValueError):
    """The path does not lead to a field of the schema; the text says why, as the server does."""


def field_path(path: str, raw: Mapping[str, Any], *, arrays: bool = True) -> tuple[list[str], str, Mapping[str, Any]]:
    """Follow a path through a schema.

    Returns the first step and all others, the path in the server's form (without its leading dot), and the schema found.
    Raises `FieldPathError`. `arrays`: whether `['name']` is allowed.
    """
    parts = _PART.findall(path)
    if "".join(parts) != path:
        raise FieldPathError(f"expected [ or . but got: {path}")
    steps: list[str] = []
    shown = ""
    schema = raw
    while parts:
        part = parts.pop(0)
        if part == "[":
            if not arrays:
                raise FieldPathError("array notation is not allowed")
            name = _quoted(parts)
        elif part == ".":
            name = _next(parts)
        else:
            raise FieldPathError(f"expected [ or . but got: {part}")
        schema, named = _enter(schema, name)
        shown = fields.child(shown, name) if named else fields.key(shown, name)
        steps.append(name)
    return steps, shown, schema


def _next(parts: list[str]) -> str:
    if not parts:
        raise FieldPathError("unexpected end of JSON path")
    return parts.pop(0)


def _quoted(parts: list[str]) -> str:
    part = _next(parts)
    if len(part) < 2 or part[0] != "'" or part[-1] != "'":
        raise FieldPathError(f"expected single quoted string but got {part}")
    for escape in _ESCAPE.findall(part[1:-1]):
        if escape not in _ESCAPES:
            raise FieldPathError(f"invalid string literal: invalid escape char \\{escape}")
    closing = _next(parts)
    if closing != "]":
        raise FieldPathError(f"expected ] but got {closing}")
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], part[1:-1])


def _enter(schema: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], bool]:
    properties = properties_of(schema)
    if properties:
        if name not in properties:
            raise FieldPathError("does not refer to a valid field")
        return properties[name], True
    values = schema_at(schema, "additionalProperties")
    if values is None:
        raise FieldPathError("does not refer to a valid field")
    return values, False
