"""Structures: for every path of an object, whether it is a scalar, a list (atomic, set, keyed map) or a map (atomic, granular).

One tree serves structured merge (server-side apply, managed fields) and strategic merge patches. It is made from a CRD's
schema or, for built-in kinds, from `operator_kit.sandbox.shapes`, and follows the API server's own conversion of OpenAPI
schemas. Trees are shared and not changed once handed out; those of recursive messages contain themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from operator_kit.objects import GVK
from operator_kit.sandbox import shapes

__all__ = ["ATOMIC", "DEDUCED", "FieldShape", "ListShape", "MapShape", "Structure"]


@dataclass(slots=True)
class ListShape:
    """A list: associative (a set, or a map when it has keys) or atomic."""

    element: Structure
    associative: bool = False
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class FieldShape:
    """A declared field of a map, with its strategic merge patch strategy."""

    structure: Structure
    default: Any = None
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""


@dataclass(slots=True)
class MapShape:
    """A map or struct. `element` is the structure of undeclared keys; None: undeclared keys are refused."""

    fields: dict[str, FieldShape] = field(default_factory=dict)
    element: Structure | None = None
    atomic: bool = False

    def child(self, key: str) -> Structure | None:
        """The structure of what is under a key."""
        found = self.fields.get(key)
        return found.structure if found is not None else self.element


@dataclass(slots=True)
class Structure:
    """One node: the forms a value may take here. `scalar` is `"string"`, `"numeric"`, `"boolean"` or `"untyped"`."""

    scalar: str = ""
    list: ListShape | None = None
    map: MapShape | None = None
    deduced: bool = False
    name: str = ""
    loose: bool | None = None

    def is_loose(self) -> bool:
        """Whether values of any type may stand somewhere below, so that 1 and true must be told apart by looking."""
        if self.loose is None:
            self.loose = False  # a structure that contains itself is as loose as the rest of it
            found = self.deduced or self is ATOMIC or (self.list is not None and self.list.element.is_loose())
            if self.map is not None and not found:
                below = [item.structure for item in self.map.fields.values()]
                below += [self.map.element] if self.map.element is not None else []
                found = any(item.is_loose() for item in below)
            self.loose = found
        return self.loose

    @classmethod
    def from_crd_schema(cls, schema: Mapping[str, Any] | None) -> Structure:
        """The structure of a custom resource, from its version's `openAPIV3Schema`; metadata is always typed."""
        source: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
        with _lock:
            meta = _message("meta.ObjectMeta")
        root = _from_schema({"type": "object", **source}, preserve=False)
        shape = root.map or MapShape(element=DEDUCED)
        shape.fields = {
            **shape.fields,
            "apiVersion": FieldShape(_STRING),
            "kind": FieldShape(_STRING),
            "metadata": FieldShape(meta),
        }
        root.map = shape
        return root

    @classmethod
    def for_builtin(cls, gvk: GVK) -> Structure:
        """The structure of a built-in kind; the deduced structure for a kind that is not known."""
        with _lock:
            return _builtin(gvk)

    def __repr__(self) -> str:
        forms = [self.scalar] if self.scalar else []
        if self.list:
            forms.append(f"list{list(self.list.keys)}" if self.list.associative else "list")
        if self.map:
            forms.append("atomic map" if self.map.atomic else "map")
        return f"<Structure {self.name or '|'.join(forms)}>"


def _untyped(name: str) -> Structure:
    return Structure(scalar="untyped", name=name)


ATOMIC = _untyped("__untyped_atomic_")
"""Anything, and all of it one value."""
ATOMIC.list = ListShape(ATOMIC)
ATOMIC.map = MapShape(element=ATOMIC, atomic=True)

DEDUCED = _untyped("__untyped_deduced_")
"""Anything: maps are granular, lists are atomic."""
DEDUCED.deduced = True
DEDUCED.list = ListShape(ATOMIC)
DEDUCED.map = MapShape(element=DEDUCED)

_STRING = Structure(scalar="string")
_SCALARS = {
    "s": _STRING,
    "B": _STRING,
    "b": Structure(scalar="boolean"),
    "i": Structure(scalar="numeric"),
    "l": Structure(scalar="numeric"),
    "f": Structure(scalar="numeric"),
    "Time": Structure(scalar="untyped"),
    "MicroTime": Structure(scalar="untyped"),
    "Quantity": Structure(scalar="untyped"),
    "IntOrString": Structure(scalar="untyped"),
    "Raw": ATOMIC,
    "JSON": DEDUCED,
    "Fields": Structure(map=MapShape(element=DEDUCED), loose=False),
    "[]s": Structure(list=ListShape(_STRING)),
}


# ---------------------------------------------------------------------------------------------------------------- built-in kinds

_lock = threading.RLock()  # a message is in the cache before its fields are made: nobody else may see it then
_messages: dict[str, Structure] = {}


def _message(name: str) -> Structure:
    """The structure of a message. Entered in the cache before its fields are made, for messages that contain themselves."""
    made = _messages.get(name)
    if made is not None:
        return made
    found = shapes.message(name)
    node = Structure(name=found.schema_name)
    if any(item.presence == ">" and item.number and _is_union(item) for item in found.fields):
        _messages[name] = DEDUCED
        return DEDUCED
    shape = MapShape(atomic=found.atomic)
    if not found.json_fields:
        shape.element = DEDUCED  # a struct without fields is a free-form object
    node.map = shape
    _messages[name] = node
    for key, item in found.json_fields.items():
        shape.fields[key] = FieldShape(_field(item), item.default, item.strategies, item.merge_key)
    return node


def _is_union(item: shapes.Field) -> bool:
    """Whether a field belongs to an apiextensions union ("a schema or an array of schemas"), which has no declared form."""
    return item.type in {"b", "s"} or item.name in {"schema", "jSONSchemas"}


def _field(item: shapes.Field) -> Structure:
    scalar = _SCALARS.get(item.type)
    base = scalar if scalar is not None else _message(item.type)
    if item.container == "list":
        return Structure(list=ListShape(base, item.list_type != "atomic", item.keys))
    if item.container == "map":
        return Structure(map=MapShape(element=base, atomic=item.atomic))
    if item.atomic and base.map is not None and not base.map.atomic:
        return Structure(map=MapShape(base.map.fields, base.map.element, atomic=True), name=base.name)
    return base


@cache
def _builtin(gvk: GVK) -> Structure:
    found = shapes.message_for(gvk)
    if found is None:
        return DEDUCED
    node = _message(found.name)
    if node.map is None:
        return node
    fields = {"apiVersion": FieldShape(_STRING), "kind": FieldShape(_STRING), **node.map.fields}
    return Structure(map=MapShape(fields, node.map.element, node.map.atomic), name=node.name)


# ------------------------------------------------------------------------------------------------------------------ CRD schemas


def _from_schema(schema: Mapping[str, Any], *, preserve: bool) -> Structure:
    """One node of a structural schema; `preserve` is inherited by all nodes below one that keeps unknown fields."""
    preserve = preserve or schema.get("x-kubernetes-preserve-unknown-fields") is True
    kind = schema.get("type")
    if kind == "object":
        return Structure(map=_map_shape(schema, preserve=preserve))
    if kind == "array":
        return Structure(list=_list_shape(schema, preserve=preserve))
    if kind in {"integer", "number"}:
        return Structure(scalar="numeric")
    if kind == "boolean":
        return Structure(scalar="boolean")
    if kind == "string":
        return Structure(scalar="string" if schema.get("format") in {None, "", "byte"} else "untyped")
    return Structure(scalar="untyped", list=_list_shape(schema, preserve=preserve), map=_map_shape(schema, preserve=preserve))


def _map_shape(schema: Mapping[str, Any], *, preserve: bool) -> MapShape:
    shape = MapShape(atomic=schema.get("x-kubernetes-map-type") == "atomic")
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        for key, sub in properties.items():
            if isinstance(sub, Mapping):
                shape.fields[key] = FieldShape(_from_schema(sub, preserve=preserve), sub.get("default"))
    if schema.get("x-kubernetes-embedded-resource") is True:
        shape.fields.setdefault("apiVersion", FieldShape(_STRING))
        shape.fields.setdefault("kind", FieldShape(_STRING))
        with _lock:
            shape.fields["metadata"] = FieldShape(_message("meta.ObjectMeta"))
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        shape.element = _from_schema(extra, preserve=preserve)
    elif extra is True or (extra is None and (preserve or not shape.fields)):
        shape.element = DEDUCED
    return shape


def _list_shape(schema: Mapping[str, Any], *, preserve: bool) -> ListShape:
    items = schema.get("items")
    element = _from_schema(items, preserve=preserve) if isinstance(items, Mapping) else ATOMIC
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        keys = schema.get("x-kubernetes-list-map-keys")
        return ListShape(element, associative=True, keys=tuple(map(str, keys)) if isinstance(keys, list) else ())
    return ListShape(element, associative=kind == "set")
