"""What a CRD's schema may say: the OpenAPI subset, list and map types, defaults, validation rules, in the server's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.crd_rules import Costs, Scope, check_expressions, check_form
from operator_kit.sandbox.schema.embedded import check_resource, compile_embedded
from operator_kit.sandbox.schema.node import ABSENT, MAX_DEPTH, Node, has_rules, parse
from operator_kit.sandbox.schema.openapi import check_of, compile_table
from operator_kit.sandbox.schema.problems import same, to_causes
from operator_kit.sandbox.schema.shape import compile_prune
from operator_kit.sandbox.schema.structural import properties_of, schema_at, schemas_at, unsupported, validate_structural
from operator_kit.sandbox.status import Cause

__all__ = ["validate_schema"]

Raw = Mapping[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_META = frozenset({"metadata", "kind", "apiVersion"})
_ALLOWED_AT_ROOT = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems "
    "MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations"
)
# The keywords, in the order of the server's own type, that a schema with a status subresource may not have at its root.
_NOT_AT_ROOT = (
    "id",
    "$schema",
    "$ref",
    "nullable",
    "default",
    "enum",
    "maxProperties",
    "minProperties",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
)
_FORBIDDEN = (
    ("id", "id is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("$ref", "$ref is not supported"),
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the schema we are: what is forbidden here and why."""

    root: bool = False
    in_metadata: bool = False
    no_defaults: str | None = None
    uncorrelated: str = ""  # the path of the nearest list or map whose elements cannot be told apart between two versions
    occurrences: int | None = 1  # how often this schema can stand in one object; None: nothing limits that
    rules: bool = True  # whether validation rules are looked at (not inside anyOf and the like)


def validate_schema(raw: Raw, path: str, *, has_status: bool) -> list[Cause]:
    """All that is wrong with the `openAPIV3Schema` at a path. `has_status`: the version has a status subresource."""
    if _too_deep(raw):
        return [fields.invalid(path, "", f"must not be nested deeper than {MAX_DEPTH} levels")]
    causes = _root(raw, path, has_status=has_status)
    initial = unsupported(raw)
    structural = False
    if initial is None:
        found = validate_structural(raw, path) or _defaults(parse(raw), path)
        structural = not found
        causes += found
    schema_errors: list[Cause] = []
    rule_errors: list[Cause] = []
    costs = Costs()
    _Walk(schema_errors, rule_errors, costs).openapi(raw, path, _Place(root=True, rules=structural))
    causes += schema_errors + rule_errors
    if costs.total:
        causes += costs.causes(path)
    if not causes and initial is not None:
        causes.append(fields.invalid(path, "", initial))
    return causes


def _too_deep(raw: Any) -> bool:
    """Whether a value nests deeper than a schema may, found without recursion."""
    depth, level = 0, [raw]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return True
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, Mapping) else value)
            if isinstance(item, Mapping | list)
        ]
    return False


def _root(raw: Raw, path: str, *, has_status: bool) -> list[Cause]:
    causes = []
    if has_status:
        if any(raw.get(keyword) not in (None, "", False, [], {}) for keyword in _NOT_AT_ROOT):
            text = f"only [{_ALLOWED_AT_ROOT}] fields are allowed at the root of the schema if the status subresource is enabled"
            causes.append(fields.invalid(path, raw, text))
        elif raw.get("type") and raw["type"] != "object":
            text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            causes.append(fields.invalid(fields.child(path, "type"), raw["type"], text))
    if raw.get("nullable") is True:
        causes.append(fields.forbidden(fields.child(path, "nullable"), "nullable cannot be true at the root"))
    return causes


# --------------------------------------------------------------------------- defaults


def _defaults(node: Node, path: str) -> list[Cause]:
    """Defaults must be valid themselves. Those below `additionalProperties` are not looked at, as on the server."""
    causes: list[Cause] = []
    if node.default is not ABSENT:
        causes += _default(node, fields.child(path, "default"))
    if node.items is not None:
        causes += _defaults(node.items, fields.child(path, "items"))
    for name, sub in node.properties.items():
        causes += _defaults(sub, fields.key(fields.child(path, "properties"), name))
    return causes


def _default(node: Node, path: str) -> list[Cause]:
    causes = []
    pruned = codec.clone(node.default)
    prune = compile_prune(node, root=node.embedded)
    if prune is not None:
        prune(pruned)
    if not same(pruned, node.default):
        causes.append(fields.invalid(path, node.default, "must not have unknown fields"))
    embedded = compile_embedded(node)
    wrong = embedded(node.default, path) if embedded is not None else []
    if node.embedded and isinstance(node.default, dict):
        wrong += check_resource(node.default, path)
    causes += wrong or to_causes(check_of(compile_table(node.raw))(node.default) or (), path)
    if not causes and has_rules(node):
        from operator_kit.sandbox.schema.cel.rules import compile_rules

        rules = compile_rules(node)
        if rules is not None:
            causes += rules.check(node.default, None, path)
    return causes


# --------------------------------------------------------------------------- OpenAPI


class _Walk:
    """One walk through a schema: the faults of schemas, those of rules, and what the rules cost."""

    def __init__(self, schema_errors: list[Cause], rule_errors: list[Cause], costs: Costs) -> None:
        self._schema_errors = schema_errors
        self._rule_errors = rule_errors
        self._costs = costs

    def openapi(self, raw: Raw, path: str, place: _Place) -> None:
        """A schema and all below it."""
        own = len(self._schema_errors)
        self._schema_errors += _keywords(raw, path, place)
        self._below(raw, path, place)
        self._schema_errors += _merging(raw, path)
        rules = raw.get("x-kubernetes-validations")
        if not isinstance(rules, list) or not rules:
            return
        self._schema_errors += check_form(raw, rules, path)
        if place.rules and len(self._schema_errors) == own:
            root = place.root or raw.get("x-kubernetes-embedded-resource") is True
            scope = Scope(root, place.occurrences, place.uncorrelated)
            self._rule_errors += check_expressions(raw, rules, path, scope, self._costs)

    def _below(self, raw: Raw, path: str, place: _Place) -> None:
        inner = replace(place, root=False, occurrences=_occurrences(raw, place.occurrences))
        additional = schema_at(raw, "additionalProperties")
        if additional is not None:
            there = inner
            if place.in_metadata:
                there = replace(inner, no_defaults="inside additionalProperties applying to object metadata")
            self.openapi(additional, fields.child(path, "additionalProperties"), there)
        for name, sub in properties_of(raw).items():
            there = inner
            if raw.get("x-kubernetes-map-type") == "atomic":
                there = replace(there, uncorrelated=there.uncorrelated or path)
            if (place.root or raw.get("x-kubernetes-embedded-resource") is True) and name in _META:
                there = replace(there, in_metadata=True, no_defaults=f"in top-level {name}" if place.root else there.no_defaults)
            self.openapi(sub, fields.key(fields.child(path, "properties"), name), there)
        nested = replace(inner, rules=False)
        negated = schema_at(raw, "not")
        if negated is not None:
            self.openapi(negated, fields.child(path, "not"), nested)
        for keyword in ("allOf", "oneOf", "anyOf"):
            for at, sub in enumerate(schemas_at(raw, keyword)):
                self.openapi(sub, fields.index(fields.child(path, keyword), at), nested)
        items = schema_at(raw, "items")
        if items is not None:
            there = (
                inner if raw.get("x-kubernetes-list-type") == "map" else replace(inner, uncorrelated=inner.uncorrelated or path)
            )
            self.openapi(items, fields.child(path, "items"), there)


def _occurrences(raw: Raw, here: int | None) -> int | None:
    """How often what a schema holds can stand in one object, when the schema itself can stand there `here` times."""
    kind = raw.get("type")
    limit: Any = 1
    if kind == "array":
        limit = raw.get("maxItems")
    elif kind == "object" and raw.get("additionalProperties") is not None:
        limit = raw.get("maxProperties")
    return None if here is None or not isinstance(limit, int) else here * max(limit, 0)


def _keywords(raw: Raw, path: str, place: _Place) -> list[Cause]:
    causes = []
    kind = raw.get("type")
    if isinstance(kind, str) and kind and kind not in _TYPES:
        causes.append(fields.not_supported(fields.child(path, "type"), kind, _TYPES))
    if raw.get("default") is not None and place.no_defaults is not None:
        causes.append(fields.forbidden(fields.child(path, "default"), f"must not be set {place.no_defaults}"))
    for keyword, text in _FORBIDDEN:
        value = raw.get(keyword)
        if value or (keyword in {"additionalItems", "dependencies"} and value is not None):
            causes.append(fields.forbidden(fields.child(path, keyword), text))
    if kind == "null":
        text = "type cannot be set to null, use nullable as an alternative"
        causes.append(fields.forbidden(fields.child(path, "type"), text))
    if isinstance(raw.get("items"), list) and raw["items"]:
        causes.append(fields.forbidden(fields.child(path, "items"), "items must be a schema object and not an array"))
    if place.in_metadata and raw.get("x-kubernetes-embedded-resource") is True:
        where = fields.child(path, "x-kubernetes-embedded-resource")
        causes.append(fields.forbidden(where, "must not be used inside of resource meta"))
    if raw.get("uniqueItems") is True:
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        causes.append(fields.forbidden(fields.child(path, "uniqueItems"), text))
    additional = raw.get("additionalProperties")
    if properties_of(raw) and (isinstance(additional, Mapping) or additional is False):
        text = "additionalProperties and properties are mutual exclusive"
        causes.append(fields.forbidden(fields.child(path, "additionalProperties"), text))
    return causes


# --------------------------------------------------------------------------- list and map types


def _merging(raw: Raw, path: str) -> list[Cause]:
    causes = []
    kind = raw.get("type") or ""
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        where = fields.child(path, "x-kubernetes-preserve-unknown-fields")
        causes.append(fields.invalid(where, False, "must be true or undefined"))
    for keyword, wanted, allowed in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "set", "map")),
    ):
        value = raw.get(keyword)
        if not isinstance(value, str):
            continue
        if kind != wanted:
            where, text = fields.child(path, "type"), f"must be {wanted} if {keyword} is specified"
            causes.append(fields.invalid(where, kind, text) if kind else fields.required(where, text))
        elif value == "set":
            causes += _set_items(schema_at(raw, "items"), fields.child(path, "items"))
        if value not in allowed:
            causes.append(fields.not_supported(fields.child(path, keyword), value, allowed))
    return causes + _map_list(raw, path)


def _set_items(items: Raw | None, path: str) -> list[Cause]:
    if items is None:
        return []
    text = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
        return [fields.invalid(fields.child(path, "x-kubernetes-list-type"), items["x-kubernetes-list-type"], text)]
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        return [fields.invalid(fields.child(path, "x-kubernetes-map-type"), items.get("x-kubernetes-list-type"), text)]
    return []


def _map_list(raw: Raw, path: str) -> list[Cause]:
    causes: list[Cause] = []
    list_type = raw.get("x-kubernetes-list-type")
    given = raw.get("x-kubernetes-list-map-keys")
    keys = [key for key in given if isinstance(key, str)] if isinstance(given, list) else []
    items = schema_at(raw, "items")
    type_path, keys_path = (fields.child(path, f"x-kubernetes-list-{name}") for name in ("type", "map-keys"))
    if keys and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        causes.append(fields.required(type_path, text) if list_type is None else fields.invalid(type_path, list_type, text))
    if list_type == "map":
        if not keys:
            causes.append(fields.required(keys_path, "must not be empty if x-kubernetes-list-type is map"))
        if items is None:
            causes.append(fields.required(fields.child(path, "items"), "must have a schema if x-kubernetes-list-type is map"))
        elif items.get("type") != "object":
            where, text = fields.child(path, "items", "type"), "must be object if parent array's x-kubernetes-list-type is map"
            causes.append(fields.invalid(where, items.get("type") or "", text))
        else:
            causes += _map_keys(keys, items, keys_path, fields.child(path, "items"))
    if list_type in {"map", "set"} and items is not None:
        causes += _not_null(keys if list_type == "map" else [], items, str(list_type), fields.child(path, "items"))
    return causes


def _map_keys(keys: list[str], items: Raw, keys_path: str, path: str) -> list[Cause]:
    causes = []
    properties = properties_of(items)
    for at, key in enumerate(keys):
        if key not in properties:
            causes.append(fields.invalid(keys_path, keys, "entries must all be names of item properties"))
        elif properties[key].get("type") in {"array", "object"}:
            where = fields.child(fields.key(fields.child(path, "properties"), key), "type")
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            causes.append(fields.invalid(where, items.get("type"), text))
        if key in keys[:at]:
            causes.append(fields.invalid(keys_path, keys, "must not contain duplicate entries"))
    return causes


def _not_null(keys: list[str], items: Raw, list_type: str, path: str) -> list[Cause]:
    causes = []
    if items.get("nullable") is True:
        text = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        causes.append(fields.forbidden(fields.child(path, "nullable"), text))
    properties = properties_of(items)
    wanted = items.get("required")
    required = wanted if isinstance(wanted, list) else []
    for key in keys:
        if key not in properties:
            continue
        where = fields.key(fields.child(path, "properties"), key)
        what = "this property is in x-kubernetes-list-map-keys, so it"
        if key not in required and properties[key].get("default") is None:
            text = f"{what} must have a default or be a required property"
            causes.append(fields.required(fields.child(where, "default"), text))
        if properties[key].get("nullable") is True:
            causes.append(fields.forbidden(fields.child(where, "nullable"), f"{what} cannot be nullable"))
    return causes
