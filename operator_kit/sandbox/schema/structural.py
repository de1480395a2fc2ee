"""The rules that make an OpenAPI schema *structural*: every field has one type, said in one place, outside of anyOf and the like.

Works on schemas as CRDs have them, taking keywords of the wrong type as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.regex import BadPattern, compile_pattern
from operator_kit.sandbox.status import Cause

__all__ = ["properties_of", "schema_at", "schemas_at", "unsupported", "validate_structural"]

Raw = Mapping[str, Any]

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_MISSING_TYPE = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
# What a schema inside anyOf, allOf, oneOf and not must leave out, and how the server says so.
_FORBIDDEN_NESTED = (
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)
_UNSUPPORTED = (
    ("id", "id"),
    ("$schema", "schema"),
    ("$ref", "$ref"),
    ("patternProperties", "patternProperties"),
    ("dependencies", "dependencies"),
    ("additionalItems", "additionalItems"),
    ("definitions", "definitions"),
)


def schema_at(raw: Raw, keyword: str) -> Raw | None:
    """The schema under a keyword."""
    value = raw.get(keyword)
    return value if isinstance(value, Mapping) else None


def schemas_at(raw: Raw, keyword: str) -> list[Raw]:
    """The schemas listed under a keyword."""
    value = raw.get(keyword)
    return [sub for sub in value if isinstance(sub, Mapping)] if isinstance(value, list) else []


def properties_of(raw: Raw) -> dict[str, Raw]:
    """The named properties; what is no schema counts as an empty one."""
    found = schema_at(raw, "properties") or {}
    return {str(name): sub if isinstance(sub, Mapping) else {} for name, sub in found.items()}


def unsupported(raw: Raw) -> str | None:
    """Why a schema cannot be read as a structural one at all, or None."""
    for keyword, name in _UNSUPPORTED:
        value = raw.get(keyword)
        if value or (keyword == "additionalItems" and value is not None):
            return f"OpenAPIV3Schema '{name}' is not supported"
    if isinstance(raw.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    below = list(properties_of(raw).values())
    below += [sub for keyword in ("items", "additionalProperties", "not") if (sub := schema_at(raw, keyword)) is not None]
    for keyword in ("allOf", "anyOf", "oneOf"):
        below += schemas_at(raw, keyword)
    return next((found for sub in below if (found := unsupported(sub)) is not None), None)


def validate_structural(raw: Raw, path: str) -> list[Cause]:
    """All that keeps a schema from being structural, sorted as the server sorts it."""
    causes: list[Cause] = []
    _invariants(raw, "root", path, causes)
    _completeness(raw, raw, path, path, causes)
    return sorted(causes, key=lambda cause: f"{cause.field}: {cause.message}")


def _text(raw: Raw, keyword: str) -> str:
    value = raw.get(keyword)
    return value if isinstance(value, str) else ""


def _invariants(raw: Raw, level: str, path: str, out: list[Cause]) -> None:
    kind = _text(raw, "type")
    embedded = raw.get("x-kubernetes-embedded-resource") is True
    items = schema_at(raw, "items")
    properties = properties_of(raw)
    additional = raw.get("additionalProperties")
    if kind == "array" and items is None:
        out.append(fields.required(fields.child(path, "items"), "must be specified"))
    if items is not None:
        _invariants(items, "item", fields.child(path, "items"), out)
    for name, sub in properties.items():
        _invariants(sub, "field", fields.key(fields.child(path, "properties"), name), out)
    if additional is not None:
        if level == "root":
            out.append(fields.forbidden(fields.child(path, "additionalProperties"), "must not be used at the root"))
        if isinstance(additional, Mapping):
            _invariants(additional, "field", fields.child(path, "additionalProperties"), out)
    _extensions(raw, path, out)
    any_of, all_of = schemas_at(raw, "anyOf"), schemas_at(raw, "allOf")
    _values(raw, path, out, skip_any_of=any_of == _INT_OR_STRING, skip_first=bool(all_of) and _is_int_or_string(all_of[0]))
    _type(raw, kind, level, path, out)
    if embedded and additional is not None:
        text = "must not be used if x-kubernetes-embedded-resource is set"
        out.append(fields.forbidden(fields.child(path, "additionalProperties"), text))
    if level == "root" and kind and kind != "object":
        out.append(fields.invalid(fields.child(path, "type"), kind, "must be object at the root"))
    _metadata(properties, level, path, out, checked=level == "root" or embedded)
    if embedded and raw.get("x-kubernetes-preserve-unknown-fields") is not True and not properties:
        text = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        out.append(fields.required(fields.child(path, "properties"), text))


def _is_int_or_string(raw: Raw) -> bool:
    return raw.get("anyOf") == _INT_OR_STRING


def _type(raw: Raw, kind: str, level: str, path: str, out: list[Cause]) -> None:
    where = fields.child(path, "type")
    if raw.get("x-kubernetes-embedded-resource") is True and kind != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        out.append(fields.invalid(where, kind, text) if kind else fields.required(where, text))
    elif not kind and not any(raw.get(f"x-kubernetes-{name}") is True for name in ("int-or-string", "preserve-unknown-fields")):
        out.append(fields.required(where, _MISSING_TYPE[level]))


def _extensions(raw: Raw, path: str, out: list[Cause]) -> None:
    if raw.get("x-kubernetes-int-or-string") is not True:
        return
    out.extend(
        fields.invalid(fields.child(path, name), True, "must be false if x-kubernetes-int-or-string is true")
        for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
        if raw.get(name) is True
    )


def _metadata(properties: dict[str, Raw], level: str, path: str, out: list[Cause], *, checked: bool) -> None:
    below = fields.child(path, "properties")
    for name in ("kind", "apiVersion"):
        if checked and name in properties and properties[name].get("type") != "string":
            where = fields.child(fields.key(below, name), "type")
            out.append(fields.invalid(where, _text(properties[name], "type"), "must be string"))
    meta = properties.get("metadata")
    if meta is None:
        return
    where = fields.key(below, "metadata")
    if checked and meta.get("type") != "object":
        out.append(fields.invalid(fields.child(where, "type"), _text(meta, "type"), "must be object"))
    if level == "root":
        allowed = {"type", "default", "properties"}
        extra = [name for name, value in meta.items() if name not in allowed and value not in (None, "", False)]
        if extra or set(properties_of(meta)) - {"name", "generateName"}:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            out.append(fields.forbidden(where, text))


def _values(raw: Raw, path: str, out: list[Cause], *, skip_any_of: bool = False, skip_first: bool = False) -> None:
    """Value validations, and the schemas nested in anyOf and the like."""
    if not skip_any_of:
        for at, sub in enumerate(schemas_at(raw, "anyOf")):
            _nested(sub, fields.index(fields.child(path, "anyOf"), at), out)
    for at, sub in enumerate(schemas_at(raw, "allOf")):
        _nested(sub, fields.index(fields.child(path, "allOf"), at), out, skip_any_of=skip_first and at == 0)
    for at, sub in enumerate(schemas_at(raw, "oneOf")):
        _nested(sub, fields.index(fields.child(path, "oneOf"), at), out)
    negated = schema_at(raw, "not")
    if negated is not None:
        _nested(negated, fields.child(path, "not"), out)
    pattern = _text(raw, "pattern")
    if pattern:
        try:
            compile_pattern(pattern)
        except BadPattern as exc:
            text = f"must be a valid regular expression, but isn't: {exc}"
            out.append(fields.invalid(fields.child(path, "pattern"), pattern, text))


def _nested(raw: Raw, path: str, out: list[Cause], *, skip_any_of: bool = False) -> None:
    _values(raw, path, out, skip_any_of=skip_any_of)
    items = schema_at(raw, "items")
    if items is not None:
        _nested(items, fields.child(path, "items"), out)
    properties = properties_of(raw)
    for name, sub in properties.items():
        _nested(sub, fields.key(fields.child(path, "properties"), name), out)
    if raw.get("type"):
        out.append(fields.forbidden(fields.child(path, "type"), "must be empty to be structural"))
    if raw.get("additionalProperties") not in (None, False):
        out.append(fields.forbidden(fields.child(path, "additionalProperties"), "must be undefined to be structural"))
    for keyword, text in _FORBIDDEN_NESTED:
        value = raw.get(keyword)
        if value or (keyword == "default" and value is not None):
            out.append(fields.forbidden(fields.child(path, keyword), text))
    if "metadata" in properties:
        where = fields.key(fields.child(path, "properties"), "metadata")
        out.append(fields.forbidden(where, "must not be specified in a nested context"))


def _completeness(values: Raw, schema: Raw | None, schema_path: str, values_path: str, out: list[Cause]) -> None:
    """Every field that anyOf and the like speak of must be declared outside of them."""
    for keyword in ("allOf", "anyOf", "oneOf"):
        for at, sub in enumerate(schemas_at(values, keyword)):
            _declared(sub, schema, schema_path, fields.index(fields.child(values_path, keyword), at), out)
    negated = schema_at(values, "not")
    if negated is not None:
        _declared(negated, schema, schema_path, fields.child(values_path, "not"), out)


def _declared(nested: Raw, schema: Raw | None, schema_path: str, nested_path: str, out: list[Cause]) -> None:
    if schema is None:
        out.append(fields.required(schema_path, f"because it is defined in {nested_path}"))
        return
    _completeness(nested, schema, schema_path, nested_path, out)
    items = schema_at(nested, "items")
    if items is not None:
        where = (fields.child(schema_path, "items"), fields.child(nested_path, "items"))
        _declared(items, schema_at(schema, "items"), *where, out)
    known = properties_of(schema)
    for name, sub in properties_of(nested).items():
        where = (
            fields.key(fields.child(schema_path, "properties"), name),
            fields.key(fields.child(nested_path, "properties"), name),
        )
        if name in known:
            _declared(sub, known[name], *where, out)
        else:
            out.append(fields.required(where[0], f"because it is defined in {where[1]}"))
