"""Whole Kubernetes objects inside others (`x-kubernetes-embedded-resource`): their apiVersion, kind and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from operator_kit.sandbox import metadata
from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.names import dns1035_label
from operator_kit.sandbox.schema.node import Node
from operator_kit.sandbox.status import Cause

__all__ = ["check_resource", "compile_embedded"]

Check: TypeAlias = Callable[[Any, str], list[Cause]]


def compile_embedded(node: Node, *, root: bool = True) -> Check | None:
    """A function of a value and its path that checks embedded objects, or None where the schema has none.

    The root itself is checked elsewhere, and with better knowledge of its kind.
    """
    properties = {name: fn for name, sub in node.properties.items() if (fn := compile_embedded(sub, root=False)) is not None}
    on_value = compile_embedded(node.values, root=False) if node.values is not None else None
    on_item = compile_embedded(node.items, root=False) if node.items is not None else None
    own = node.embedded and not root
    if not own and not properties and on_value is None and on_item is None:
        return None

    def check(value: Any, path: str) -> list[Cause]:
        causes: list[Cause] = []
        if type(value) is dict:
            if own:
                causes += check_resource(value, path)
            for name, item in value.items():
                below = properties.get(name)
                if below is not None:
                    causes += below(item, fields.child(path, name))
                elif on_value is not None:
                    causes += on_value(item, fields.key(path, name))
        elif type(value) is list and on_item is not None:
            for at, item in enumerate(value):
                causes += on_item(item, fields.index(path, at))
        return causes

    return check


def check_resource(value: dict[str, Any], path: str) -> list[Cause]:
    """What is wrong with an embedded object's apiVersion, kind and metadata."""
    causes = [fields.required(fields.child(path, name)) for name in ("apiVersion", "kind") if name not in value]
    if "apiVersion" in value:
        causes += _api_version(value["apiVersion"], fields.child(path, "apiVersion"))
    if "kind" in value:
        causes += _kind(value["kind"], fields.child(path, "kind"))
    if "metadata" in value:
        causes += _metadata(value["metadata"], fields.child(path, "metadata"))
    return causes


def _api_version(value: Any, path: str) -> list[Cause]:
    if not isinstance(value, str):
        return [fields.invalid(path, value, "must be a string")]
    if not value:
        return [fields.invalid(path, value, "must not be empty")]
    if value.count("/") > 1:
        return [fields.invalid(path, value, f"unexpected GroupVersion string: {value}")]
    return []


def _kind(value: Any, path: str) -> list[Cause]:
    if not isinstance(value, str):
        return [fields.invalid(path, value, "must be a string")]
    if not value:
        return [fields.invalid(path, value, "must not be empty")]
    problems = dns1035_label(value.lower())
    detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
    return [fields.invalid(path, value, detail)] if problems else []


def _metadata(value: Any, path: str) -> list[Cause]:
    wrong = metadata.check_types(value)
    if wrong is not None:
        return [fields.invalid(path, value, f"json: {wrong}")]
    named = {**value, "name": value.get("name") or "fakename"}
    return [
        Cause(cause.reason, cause.message, path + cause.field.removeprefix("metadata"))
        for cause in metadata.check_new(named, "path")
    ]
