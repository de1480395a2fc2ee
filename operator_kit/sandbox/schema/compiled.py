"""A custom resource's schema, compiled: what a write goes through, in the order in which the API server does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.embedded import compile_embedded
from operator_kit.sandbox.schema.lists import compile_lists
from operator_kit.sandbox.schema.node import Node, has_rules, parse
from operator_kit.sandbox.schema.openapi import Table, check_of, compile_table
from operator_kit.sandbox.schema.problems import Problem, to_causes, unchanged
from operator_kit.sandbox.schema.scale import check_scale
from operator_kit.sandbox.schema.shape import compile_default, compile_prune
from operator_kit.sandbox.status import Cause

if TYPE_CHECKING:
    from operator_kit.sandbox.schema.cel.rules import RuleSet

__all__ = ["Schema", "compile_schema"]

Object = dict[str, Any]

_UNCHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)


class Schema:
    """A compiled schema. Its methods may be called from several threads at once, each with an object of its own."""

    def __init__(self, raw: Mapping[str, Any], scale: Mapping[str, Any] | None = None) -> None:
        self.node: Node = parse(raw)
        self._scale = scale
        self._default = compile_default(self.node)
        self._prune = compile_prune(self.node, root=True)
        self._check = check_of(compile_table(self.node.raw))
        self._status = self.node.properties.get("status")
        status_table: Table = compile_table(self._status.raw) if self._status is not None else {}
        self._check_status = check_of(status_table)
        self._lists = compile_lists(self.node)
        self._embedded = compile_embedded(self.node)
        self._rules = _compile_rules(self.node) if has_rules(self.node) else None

    def default(self, obj: Object) -> None:
        """Write defaults into a whole object, in place, and take away nulls where the schema allows none."""
        if self._default is not None:
            self._default(obj)

    def prune(self, obj: Object) -> list[str]:
        """Take away, in place, what the schema does not know. Returns the paths (`spec.ports[0].nmae`), sorted."""
        unknown = self._prune(obj) if self._prune is not None else None
        return [] if unknown is None else sorted(path for path in unknown if path not in {"apiVersion", "kind", "metadata"})

    def validate(
        self, obj: Object, old: Object | None = None, prior: Sequence[Cause] = (), *, subresource: str = ""
    ) -> list[Cause]:
        """Everything the schema finds wrong with a whole, pruned and defaulted object, in the server's words and order.

        `old`: the object as it was, for an update: mistakes it has already are let stand where the server does so, and
        transition rules are evaluated. `prior`: what is wrong with the metadata; it is not returned again, but it decides with
        the rest whether rules are evaluated at all. `subresource="status"`: as the server checks a write to `/status`.
        """
        status_only = subresource == "status"
        causes = self._validate_status(obj, old) if status_only else self._validate_values(obj, old)
        causes += check_scale(self._scale, obj, spec=not status_only)
        if self._embedded is not None and not status_only:
            causes += self._embedded(obj, "")
        if self._lists is not None:
            repeated = self._lists(obj, "")
            if repeated and (old is None or not self._lists(old, "")):
                causes += repeated
        if self._rules is not None:
            if any(cause.reason in fields.BLOCKING for cause in (*prior, *causes)):
                causes.append(_UNCHECKED)
            else:
                causes += self._rules.check(obj, old)
        return causes

    def _validate_values(self, obj: Object, old: Object | None) -> list[Cause]:
        problems = self._check(obj)
        if problems is None:
            return []
        return to_causes(problems if old is None else _changed(problems, self.node, obj, old))

    def _validate_status(self, obj: Object, old: Object | None) -> list[Cause]:
        if "status" not in obj:
            return []
        problems = self._check_status(obj["status"])
        if problems is None:
            return []
        before = old.get("status") if old is not None else None
        return to_causes(problems if old is None else _changed(problems, self._status, obj["status"], before), "status")


def _compile_rules(node: Node) -> RuleSet | None:
    from operator_kit.sandbox.schema.cel.rules import (
        compile_rules,  # the CEL library is slow to import, and most schemas have no rules
    )

    return compile_rules(node)


def _changed(problems: list[Problem], node: Node | None, new: Any, old: Any) -> list[Problem]:
    """Problems that are new in an update."""
    return [problem for problem in problems if not unchanged(reversed(problem.trail), node, new, old)]


def compile_schema(schema: Mapping[str, Any] | None, *, scale: Mapping[str, Any] | None = None) -> Schema:
    """Compile an `openAPIV3Schema`, as `validate_crd` has accepted it. `scale`: the version's `subresources.scale`, if any.

    Raises `StatusError` for a schema that nests too deep.
    """
    return Schema(schema if isinstance(schema, Mapping) else {}, scale)
