"""Whether a value fits a structural schema: a server refuses a CRD whose defaults do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from operator_kit.generate.patterns import matches

__all__ = ["misfits"]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def misfits(schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """What a server would say against the value, one line each, beginning with the path below `path` where there is one."""
    if value is None:
        if not schema.get("nullable"):
            yield _at(path, "must not be null")
        return
    allowed = (
        _TYPES["integer"] + _TYPES["string"] if schema.get("x-kubernetes-int-or-string") else _TYPES.get(schema.get("type", ""))
    )
    if allowed is not None and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
        yield _at(path, f"must be of type {schema.get('type', 'integer or string')}, not {type(value).__name__}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _at(path, f"must be one of {', '.join(map(repr, schema['enum']))}, not {value!r}")
    if isinstance(value, str):
        yield from _string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    elif isinstance(value, list):
        yield from _length(schema, len(value), path, "Items", "items")
        for at, item in enumerate(value):
            yield from misfits(schema.get("items", {}), item, f"{path}[{at}]")
        if schema.get("x-kubernetes-list-type") == "set" and any(item in value[:at] for at, item in enumerate(value)):
            yield _at(path, "must not hold the same item twice")
    elif isinstance(value, dict):
        yield from _object(schema, value, path)
    if "oneOf" in schema:
        fitting = sum(not any(misfits(branch, value, path)) for branch in schema["oneOf"])
        if fitting != 1:
            yield _at(path, "must fit exactly one of the alternatives")
    if "anyOf" in schema and all(any(misfits(branch, value, path)) for branch in schema["anyOf"]):
        yield _at(path, "must fit one of the alternatives")


def _string(schema: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    yield from _length(schema, len(value), path, "Length", "characters")
    if "pattern" in schema and not matches(schema["pattern"], value):
        yield _at(path, f"must match {schema['pattern']}")


def _number(schema: Mapping[str, Any], value: float, path: str) -> Iterator[str]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if value < low or (value == low and schema.get("exclusiveMinimum")):
        yield _at(path, f"{value} is less than the minimum, {low}")
    if value > high or (value == high and schema.get("exclusiveMaximum")):
        yield _at(path, f"{value} is more than the maximum, {high}")
    step = schema.get("multipleOf")
    if step and not math.isclose(value / step, round(value / step), abs_tol=1e-9):
        yield _at(path, f"{value} is no multiple of {step}")


def _object(schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _length(schema, len(value), path, "Properties", "fields")
    for key in schema.get("required", ()):
        if key not in value:
            yield _at(path, f"lacks {key}, which is required")
    # Branches of oneOf say nothing of other fields: only the schema with the type knows them all.
    complete = "type" in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    for key, item in value.items():
        below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if isinstance(below, Mapping):
            yield from misfits(below, item, f"{path}.{key}" if path else str(key))
        elif complete:
            yield _at(path, f"has {key}, which the type does not know")


def _length(schema: Mapping[str, Any], length: int, path: str, suffix: str, unit: str) -> Iterator[str]:
    if length < schema.get(f"min{suffix}", 0):
        yield _at(path, f"has {length} {unit}, fewer than {schema[f'min{suffix}']}")
    if length > schema.get(f"max{suffix}", math.inf):
        yield _at(path, f"has {length} {unit}, more than {schema[f'max{suffix}']}")


def _at(path: str, problem: str) -> str:
    return f"{path} {problem}" if path else problem
