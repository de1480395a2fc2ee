"""Uniqueness in lists that the schema calls sets and maps (`x-kubernetes-list-type`), in the server's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.golang import go_json
from operator_kit.sandbox.schema.node import Node
from operator_kit.sandbox.status import Cause

__all__ = ["compile_lists"]

Check: TypeAlias = Callable[[Any, str], list[Cause]]


def compile_lists(node: Node) -> Check | None:
    """A function of a value and its path that finds duplicates, or None where the schema has no sets and maps."""
    properties = {name: fn for name, sub in node.properties.items() if (fn := compile_lists(sub)) is not None}
    on_value = compile_lists(node.values) if node.values is not None else None
    on_item = compile_lists(node.items) if node.items is not None else None
    own = {"set": _set, "map": _map(node.map_keys)}.get(node.list_type)
    if not properties and on_value is None and on_item is None and own is None:
        return None

    def check(value: Any, path: str) -> list[Cause]:
        causes: list[Cause] = []
        if type(value) is dict:
            if on_value is not None:
                for name, item in value.items():
                    causes += on_value(item, fields.key(path, name))
            for name, below in properties.items():
                if name in value:
                    causes += below(value[name], fields.child(path, name))
        elif type(value) is list:
            if own is not None:
                causes += own(value, path)
            if on_item is not None:
                for at, item in enumerate(value):
                    causes += on_item(item, fields.index(path, at))
        return causes

    return check


def _identity(value: Any) -> Any:
    """What makes two elements equal: the value with its type, or the text of a list or object."""
    return go_json(value) if isinstance(value, dict | list) else (type(value), value)


def _surely_unique(values: list[Any]) -> bool:
    """Whether nothing can stand twice, seen at a glance: all scalars, all different even where true equals 1."""
    try:
        return len(set(values)) == len(values)
    except TypeError:  # lists and objects have no hash
        return False


def _repeated(values: list[Any]) -> list[int]:
    """Where a value stands for the second time (a third time is not told again)."""
    if _surely_unique(values):
        return []
    seen: dict[Any, int] = {}
    repeated = []
    for at, value in enumerate(values):
        identity = _identity(value)
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] == 2:
            repeated.append(at)
    return repeated


def _set(value: list[Any], path: str) -> list[Cause]:
    if len(value) < 2:
        return []
    return [fields.duplicate(fields.index(path, at), value[at]) for at in _repeated(value)]


def _map(names: tuple[str, ...]) -> Check:
    missing = object()
    only = names[0] if len(names) == 1 else None

    def unique(value: list[Any], path: str) -> list[Cause]:
        if only is not None and set(map(type, value)) == {dict} and _surely_unique([item.get(only, missing) for item in value]):
            return []  # the usual case, at a glance
        for at, item in enumerate(value):
            if type(item) is not dict and item is not None:
                return [fields.invalid(fields.index(path, at), item, "must be an object for an array of list-type map")]
        if len(value) < 2:
            return []
        keys = [tuple([item.get(name, missing) for name in names]) if item is not None else () for item in value]
        if _surely_unique(keys):
            return []
        shown = [{name: item[name] for name in names if name in item} if item is not None else {} for item in value]
        return [fields.duplicate(fields.index(path, at), shown[at]) for at in _repeated(shown)]

    return unique
