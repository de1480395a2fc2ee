"""What a type says to the API server beyond its shape: `Annotated[list[Port], ListMap("name")]`, `Rule("self == oldSelf", …)`.

Markers change the generated CRD and nothing else; parsing an object does not look at them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ["Atomic", "EmbeddedResource", "ListMap", "ListSet", "Marker", "PreserveUnknownFields", "Rule"]

_REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")


class Marker:
    """Something put beside a type in `Annotated`."""

    def keywords(self) -> dict[str, Any]:
        """What it adds to the schema of the type it stands beside."""
        raise NotImplementedError

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler(core_schema))
        more = self.keywords()
        rules = more.pop("x-kubernetes-validations", [])
        if rules:
            schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", []), *rules]
        return {**schema, **more}


class ListMap(Marker):
    """A list whose items are told apart by these fields, as containers are by name: server-side apply merges item by item.

    Args:
        *keys: the fields' names as in the object (`"name"`, `"containerPort"`). Each must be required, or have a default.
    """

    def __init__(self, *keys: str) -> None:
        if not keys or not all(keys):
            raise ValueError('ListMap needs the fields that tell items apart, such as ListMap("name")')
        self.keys = keys

    def keywords(self) -> dict[str, Any]:
        """See Marker."""
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.keys)}


class ListSet(Marker):
    """A list of texts or numbers in which each stands once. A Python `set` is one by itself."""

    def keywords(self) -> dict[str, Any]:
        """See Marker."""
        return {"x-kubernetes-list-type": "set"}


class Atomic(Marker):
    """A list or a mapping that has one owner and is replaced as a whole. Lists are so by themselves."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = dict(handler(core_schema))
        resolved = handler.resolve_ref_schema(dict(schema))
        kind = "list" if resolved.get("type") == "array" else "map"
        return {**schema, f"x-kubernetes-{kind}-type": "atomic"}


class PreserveUnknownFields(Marker):
    """A value the server keeps as it is, without looking into it. It also ends a type that contains itself."""

    def keywords(self) -> dict[str, Any]:
        """See Marker."""
        return {"x-kubernetes-preserve-unknown-fields": True}


class EmbeddedResource(Marker):
    """A whole Kubernetes object inside this one: the server checks its apiVersion, kind and metadata."""

    def keywords(self) -> dict[str, Any]:
        """See Marker."""
        return {"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class Rule(Marker):
    """A CEL rule the server checks at every write.

    On a field, `self` is its value: `Annotated[str, Rule("self == oldSelf", "cannot be changed")]`. On a class
    (`class Spec(Model, rules=[…])`), `self` is the object: `Rule("has(self.a) != has(self.b)", "give either a or b")`. The server
    has a budget for what rules cost: give lists, mappings and texts they walk through a `max_length`.

    Args:
        rule: the CEL expression.
        message: what the server answers when it is false.
        reason: `"FieldValueInvalid"` (by default), `"FieldValueForbidden"`, `"FieldValueRequired"` or `"FieldValueDuplicate"`.
        field_path: the field the answer names, such as `".replicas"`; by default where the rule stands.
        message_expression: a CEL expression that makes the message.

    Raises:
        ValueError: no rule, a message of several lines, an unknown reason.
    """

    rule: str
    message: str = ""
    reason: str = ""
    field_path: str = ""
    message_expression: str = ""

    def __post_init__(self) -> None:
        if not self.rule.strip():
            raise ValueError('Rule needs a CEL expression, such as Rule("self.minReplicas <= self.maxReplicas")')
        if "\n" in self.message:
            raise ValueError(f"Rule({self.rule!r}): the message must be one line")
        if "\n" in self.rule and not self.message:
            raise ValueError("Rule: an expression of several lines needs a message")
        if self.reason and self.reason not in _REASONS:
            raise ValueError(f"Rule({self.rule!r}): the reason is one of {', '.join(_REASONS)}, not {self.reason!r}")

    def keywords(self) -> dict[str, Any]:
        """See Marker."""
        return {"x-kubernetes-validations": [self.as_dict()]}

    def as_dict(self) -> dict[str, str]:
        """As it stands in a CRD."""
        fields = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "reason": self.reason,
            "fieldPath": self.field_path,
        }
        return {name: value for name, value in fields.items() if value}
