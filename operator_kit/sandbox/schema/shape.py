"""Pruning and defaulting of custom resources, compiled from a schema once and run on every write and read.

Both change an object in place and are idempotent. Pruning takes away what the schema does not name and tells the paths, in the
server's form (`spec.ports[0].nmae`); defaulting writes missing values and takes away nulls where null is not allowed.
A schema node that has nothing to do costs nothing: its function is None.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from operator_kit import codec
from operator_kit.sandbox import shapes
from operator_kit.sandbox.schema.node import ABSENT, Node

__all__ = ["compile_default", "compile_prune"]

Default: TypeAlias = Callable[[Any], None]
Prune: TypeAlias = Callable[[Any], "list[str] | None"]

_META = frozenset({"apiVersion", "kind", "metadata"})


# --------------------------------------------------------------------------- defaults


def compile_default(node: Node) -> Default | None:
    """A function that writes defaults into a value, or None when there is nothing to write or take away."""
    on_map = _default_map(node)
    on_list = _default_list(node)
    if on_map is None and on_list is None:
        return None

    def default(value: Any) -> None:
        if type(value) is dict:
            if on_map is not None:
                on_map(value)
        elif type(value) is list and on_list is not None:
            on_list(value)

    return default


def _default_map(node: Node) -> Default | None:
    if not node.properties and node.values is None:
        return None
    defaults = [(name, sub.default, sub.nullable) for name, sub in node.properties.items() if sub.default is not ABSENT]
    names = frozenset(node.properties)
    droppable = frozenset(
        name for name, sub in node.properties.items() if not sub.nullable and sub.default is ABSENT
    )  # null means nothing there
    children = {name: fn for name, sub in node.properties.items() if (fn := compile_default(sub)) is not None}
    values = node.values
    on_value = compile_default(values) if values is not None else None
    value_default = values.default if values is not None else ABSENT
    drop_values = values is not None and not values.nullable

    def default(value: dict[str, Any]) -> None:
        for name, given, nullable in defaults:
            if name not in value or (value[name] is None and not nullable):
                value[name] = codec.clone(given)
        dropped = None
        for name, item in value.items():
            if item is None:
                if name in droppable or (drop_values and name not in names):
                    dropped = [name] if dropped is None else [*dropped, name]
            elif name in children:
                children[name](item)
            elif on_value is not None and name not in names:
                on_value(item)
        if dropped is not None:
            for name in dropped:
                if value_default is not ABSENT and name not in names:
                    value[name] = codec.clone(value_default)
                    if on_value is not None:
                        on_value(value[name])
                else:
                    del value[name]

    return default


def _default_list(node: Node) -> Default | None:
    items = node.items
    if items is None:
        return None
    on_item = compile_default(items)
    given = ABSENT if items.nullable else items.default
    if on_item is None and given is ABSENT:
        return None

    def default(value: list[Any]) -> None:
        for at, item in enumerate(value):
            if item is None:
                if given is not ABSENT:
                    value[at] = codec.clone(given)
                    if on_item is not None:
                        on_item(value[at])
            elif on_item is not None:
                on_item(item)

    return default


# --------------------------------------------------------------------------- pruning


def compile_prune(node: Node, *, root: bool = False) -> Prune | None:
    """A function that takes away unknown fields and returns their paths (None: none), or None where everything may stay.

    `root`: the schema is that of a whole resource, whose apiVersion, kind and metadata are not its to prune.
    """
    embedded = node.embedded or root
    if node.preserve:
        return _keep(node, embedded=embedded)
    on_map = _prune_map(node, embedded=embedded)
    on_item = compile_prune(node.items) if node.items is not None else _prune_unknown

    def prune(value: Any) -> list[str] | None:
        if type(value) is dict:
            return on_map(value)
        if type(value) is list and on_item is not None:
            return _each(value, on_item)
        return None

    return prune


def _is_scalar(node: Node) -> bool:
    return (
        node.type in {"string", "integer", "number", "boolean"}
        and not node.properties
        and node.items is None
        and node.additional is None
        and not node.preserve
    )


def _scalar(value: Any) -> list[str] | None:
    return _prune_unknown(value) if type(value) is dict or type(value) is list else None


def _prune_map(node: Node, *, embedded: bool) -> Prune:
    known: dict[str, Prune | None] = {
        name: _scalar if _is_scalar(sub) else compile_prune(sub) for name, sub in node.properties.items()
    }
    if embedded:
        known["apiVersion"] = known["kind"] = None
        known["metadata"] = _prune_metadata
    any_name = node.additional is not None
    on_other = compile_prune(node.values) if node.values is not None else _prune_unknown

    def prune(value: dict[str, Any]) -> list[str] | None:
        found: list[str] | None = None
        unknown: list[str] | None = None
        for name, item in value.items():
            if name in known:
                child = known[name]
            elif any_name:
                child = on_other
            else:
                unknown = [name] if unknown is None else [*unknown, name]
                continue
            if child is not None and (type(item) is dict or type(item) is list):
                below = child(item)
                if below is not None:
                    found = _prefixed(name, below, found)
        if unknown is not None:
            for name in unknown:
                del value[name]
            found = unknown if found is None else found + unknown
        return found

    return prune


def _prefixed(name: str, below: list[str], found: list[str] | None) -> list[str]:
    paths = [f"{name}{path}" if path.startswith("[") else f"{name}.{path}" for path in below]
    return paths if found is None else found + paths


def _each(value: list[Any], on_item: Prune) -> list[str] | None:
    found: list[str] | None = None
    for at, item in enumerate(value):
        if type(item) is dict or type(item) is list:
            below = on_item(item)
            if below is not None:
                found = _prefixed(f"[{at}]", below, found)
    return found


def _prune_unknown(value: Any) -> list[str] | None:
    """What no schema describes: objects lose all their fields; lists are looked into."""
    if type(value) is dict:
        names = list(value)
        value.clear()
        return names or None
    if type(value) is list:
        return _each(value, _prune_unknown)
    return None


def _keep(node: Node, *, embedded: bool) -> Prune | None:
    """Below `x-kubernetes-preserve-unknown-fields`, unknown fields stay, and the named ones are pruned by their own schema."""
    known: dict[str, Prune] = {
        name: fn for name, sub in node.properties.items() if (fn := compile_prune(sub)) is not None and not _is_scalar(sub)
    }
    if embedded:
        known = {name: fn for name, fn in known.items() if name not in _META}
        known["metadata"] = _prune_metadata
    named = frozenset(node.properties)
    on_other = None
    if node.additional is not None:
        on_other = compile_prune(node.values) if node.values is not None else _prune_unknown
    on_item = _keep(node.items, embedded=node.items.embedded) if node.items is not None else None
    if not known and on_other is None and on_item is None:
        return None

    def keep(value: Any) -> list[str] | None:
        if type(value) is list:
            return None if on_item is None else _each(value, on_item)
        if type(value) is not dict:
            return None
        found: list[str] | None = None
        for name, item in value.items():
            child = known.get(name) or (None if name in named or (embedded and name in _META) else on_other)
            if child is not None:
                below = child(item)
                if below is not None:
                    found = _prefixed(name, below, found)
        return found

    return keep


@cache
def _metadata_fields() -> dict[str, Prune | None]:
    return _message_fields("meta.ObjectMeta")


@cache
def _message_fields(name: str) -> dict[str, Prune | None]:
    """For each field of a built-in message, how to prune it; None: leave it alone."""
    fields: dict[str, Prune | None] = {}
    for field in shapes.message(name).json_fields.values():
        fields[field.name] = _message_list(field.type) if field.container == "list" and field.type not in shapes.SCALARS else None
    return fields


def _message_list(name: str) -> Prune:
    def prune_item(value: Any) -> list[str] | None:
        return _drop_unnamed(value, _message_fields(name)) if type(value) is dict else None

    def prune(value: Any) -> list[str] | None:
        return _each(value, prune_item) if type(value) is list else None

    return prune


def _prune_metadata(value: Any) -> list[str] | None:
    """Object metadata keeps the fields that all kinds have."""
    return _drop_unnamed(value, _metadata_fields()) if type(value) is dict else None


def _drop_unnamed(value: dict[str, Any], fields: dict[str, Prune | None]) -> list[str] | None:
    found: list[str] | None = None
    unknown = [name for name in value if name not in fields]
    for name, item in value.items():
        child = fields.get(name)
        if child is not None:
            below = child(item)
            if below is not None:
                found = _prefixed(name, below, found)
    for name in unknown:
        del value[name]
    return (found or []) + unknown if found or unknown else None
