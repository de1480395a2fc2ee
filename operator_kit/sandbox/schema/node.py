"""A structural schema as a tree of nodes: what prune, default, list types and validation rules walk over.

Reading is tolerant: a keyword of the wrong type is taken as absent (`crd` has complained about it), so that a hostile schema
costs nothing but its own usefulness. Only too deep a nesting is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from operator_kit.sandbox.status import StatusError

__all__ = ["ABSENT", "MAX_DEPTH", "Node", "Rule", "has_rules", "parse", "sub_schema"]

MAX_DEPTH = 150
"""How deep the JSON of a schema may nest. The API server has no such limit; CRDs in the wild stay far below it."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Says that there is no default, where None could be one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool | None = None


@dataclass(slots=True)
class Node:
    """One schema. `additional` is a node, True or False as the schema has it, or None (nothing said)."""

    type: str = ""
    properties: dict[str, Node] = field(default_factory=dict)
    additional: Node | bool | None = None
    items: Node | None = None
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    default: Any = ABSENT
    list_type: str = ""
    map_keys: tuple[str, ...] = ()
    map_type: str = ""
    rules: tuple[Rule, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> Node | None:
        """The schema of the values of a map, where there is one."""
        return self.additional if isinstance(self.additional, Node) else None


def sub_schema(schema: Mapping[str, Any], keyword: str) -> Mapping[str, Any] | None:
    """The schema under a keyword, or None when there is none (or something else)."""
    found = schema.get(keyword)
    return found if isinstance(found, Mapping) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _rules(value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        return ()
    rules = []
    for entry in value:
        if isinstance(entry, Mapping):
            optional = entry.get("optionalOldSelf")
            rules.append(
                Rule(
                    rule=_text(entry.get("rule")),
                    message=_text(entry.get("message")),
                    message_expression=_text(entry.get("messageExpression")),
                    reason=_text(entry.get("reason")),
                    field_path=_text(entry.get("fieldPath")),
                    optional_old_self=optional if isinstance(optional, bool) else None,
                )
            )
    return tuple(rules)


def parse(schema: Any, depth: int = 0) -> Node:
    """Read a schema. Raises `StatusError` (422) when it nests deeper than `MAX_DEPTH`."""
    if depth > MAX_DEPTH:
        raise StatusError(422, "Invalid", f"the schema is nested deeper than {MAX_DEPTH} levels")
    node = Node()
    if not isinstance(schema, Mapping):
        return node
    node.raw = schema
    node.type = _text(schema.get("type"))
    properties = sub_schema(schema, "properties")
    if properties:
        node.properties = {str(name): parse(sub, depth + 1) for name, sub in properties.items()}
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        node.additional = parse(additional, depth + 1)
    elif isinstance(additional, bool):
        node.additional = additional
    items = sub_schema(schema, "items")
    node.items = parse(items, depth + 1) if items is not None else None
    node.preserve = schema.get("x-kubernetes-preserve-unknown-fields") is True
    node.embedded = schema.get("x-kubernetes-embedded-resource") is True
    node.int_or_string = schema.get("x-kubernetes-int-or-string") is True
    node.nullable = schema.get("nullable") is True
    default = schema.get("default")
    node.default = ABSENT if default is None else default  # a default of null is none: the server keeps no null there
    node.list_type = _text(schema.get("x-kubernetes-list-type"))
    node.map_type = _text(schema.get("x-kubernetes-map-type"))
    keys = schema.get("x-kubernetes-list-map-keys")
    if isinstance(keys, list):
        node.map_keys = tuple(key for key in keys if isinstance(key, str))
    node.rules = _rules(schema.get("x-kubernetes-validations"))
    return node


def has_rules(node: Node) -> bool:
    """Whether there are validation rules in a schema, at whatever depth."""
    below = (*node.properties.values(), *(sub for sub in (node.items, node.values) if sub is not None))
    return bool(node.rules) or any(has_rules(sub) for sub in below)
