"""Validation rules (`x-kubernetes-validations`) as a CRD states them: their form, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.golang import Struct
from operator_kit.sandbox.schema.node import parse
from operator_kit.sandbox.schema.paths import FieldPathError, field_path
from operator_kit.sandbox.status import Cause

__all__ = ["Costs", "Scope", "check_expressions", "check_form"]

_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


def check_form(raw: Mapping[str, Any], rules: list[Any], path: str) -> list[Cause]:
    """What is wrong with the form of one schema's rules. `path` is the schema's."""
    causes: list[Cause] = []
    for at, rule in enumerate(rules):
        if isinstance(rule, Mapping):
            causes += _form(raw, rule, fields.index(fields.child(path, "x-kubernetes-validations"), at))
    return causes


class Costs:
    """What the rules of a schema cost together, and which of them cost most."""

    def __init__(self) -> None:
        self.total = 0
        self._dear: list[tuple[int, str]] = []

    def add(self, path: str, cost: int) -> None:
        """Count the rule at a path."""
        self.total += cost
        self._dear.append((cost, path))

    def causes(self, path: str) -> list[Cause]:
        """The complaints when all rules together cost too much. `path` is the whole schema's."""
        from operator_kit.sandbox.schema.cel.cost import CRD_LIMIT, excess

        if self.total <= CRD_LIMIT:
            return []
        dearest = sorted((entry for entry in self._dear if entry[0] >= CRD_LIMIT // 100), reverse=True)[:4]
        text = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        return [fields.forbidden(where, text) for _, where in dearest] + [
            fields.forbidden(path, excess(what, self.total, CRD_LIMIT))
        ]

    def __repr__(self) -> str:
        return f"<Costs {self.total}>"


class Scope(NamedTuple):
    """Where the schema of a rule stands.

    `root`: it is that of a whole resource. `occurrences`: how often it can stand in one object; None: nothing limits that.
    `uncorrelated`: the path of the list or map around it whose elements cannot be told apart between an object and its
    predecessor, where there is one: there is no `oldSelf` inside it.
    """

    root: bool
    occurrences: int | None
    uncorrelated: str


def check_expressions(raw: Mapping[str, Any], rules: list[Any], path: str, scope: Scope, costs: Costs) -> list[Cause]:
    """What is wrong with the expressions of one schema's rules, which are well formed.

    What the rules cost is added to `costs`.
    """
    from operator_kit.sandbox.schema.cel.cost import RULE_LIMIT, excess, rule_cost
    from operator_kit.sandbox.schema.cel.static import check_expression

    node = parse(raw)
    causes: list[Cause] = []
    for at, rule in enumerate(rules):
        if not isinstance(rule, Mapping) or not isinstance(rule.get("rule"), str):
            continue
        where = fields.index(fields.child(path, "x-kubernetes-validations"), at)
        optional = rule.get("optionalOldSelf")
        options = {"root": scope.root, "optional_old_self": optional is True}
        problem, uses_old = check_expression(rule["rule"], node, "bool", **options)
        if problem is not None:
            text = f"compilation failed: {problem}" if problem else "cel expression must evaluate to a bool"
            causes.append(fields.invalid(fields.child(where, "rule"), _shown(rule), text))
        message = rule.get("messageExpression")
        if problem is None and isinstance(message, str) and message:
            wrong, _ = check_expression(message, node, "string", **options)
            if wrong is not None:
                text = (
                    f"messageExpression compilation failed: {wrong}" if wrong else "messageExpression must evaluate to a string"
                )
                causes.append(fields.invalid(fields.child(where, "messageExpression"), _shown(rule), text))
        cost = rule_cost(rule["rule"], node, scope.occurrences)
        costs.add(fields.child(where, "rule"), cost)
        if cost > RULE_LIMIT:
            causes.append(fields.forbidden(fields.child(where, "rule"), excess("estimated rule cost", cost, RULE_LIMIT)))
        if uses_old and scope.uncorrelated:
            text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {scope.uncorrelated}"
            causes.append(fields.invalid(fields.child(where, "rule"), rule["rule"], text))
        elif not uses_old and isinstance(optional, bool):
            text = "may not be set if oldSelf is not used in rule"
            causes.append(fields.invalid(fields.child(where, "optionalOldSelf"), optional, text))
    return causes


def _shown(rule: Mapping[str, Any]) -> Struct:
    """A rule as the server prints it: its inner type, which has Go's field names."""
    return Struct(
        Rule=rule.get("rule") or "",
        Message=rule.get("message") or "",
        MessageExpression=rule.get("messageExpression") or "",
        Reason=rule.get("reason"),
        FieldPath=rule.get("fieldPath") or "",
        OptionalOldSelf=rule.get("optionalOldSelf"),
    )


def _has_newline(text: str) -> bool:
    return "\n" in text or "\r" in text


def _form(raw: Mapping[str, Any], rule: Mapping[str, Any], path: str) -> list[Cause]:
    causes = []
    names = ("rule", "message", "messageExpression", "fieldPath")
    given = [value if isinstance(value := rule.get(name), str) else "" for name in names]
    expression, message, message_expression, field_at = given
    if not expression.strip():
        causes.append(fields.required(fields.child(path, "rule"), "rule is not specified"))
    elif message and not message.strip():
        causes.append(fields.invalid(fields.child(path, "message"), message, "must be non-empty if specified"))
    elif _has_newline(message.strip()):
        causes.append(fields.invalid(fields.child(path, "message"), message, "must not contain line breaks"))
    elif _has_newline(expression.strip()) and not message.strip():
        text = "message must be specified if rule contains line breaks"
        causes.append(fields.required(fields.child(path, "message"), text))
    if message_expression and not message_expression.strip():
        text = "messageExpression must be non-empty if specified"
        causes.append(fields.required(fields.child(path, "messageExpression"), text))
    reason = rule.get("reason")
    if isinstance(reason, str) and reason not in _REASONS:
        causes.append(fields.not_supported(fields.child(path, "reason"), reason, _REASONS))
    where = fields.child(path, "fieldPath")
    if field_at and not field_at.strip():
        causes.append(fields.invalid(where, field_at, "must be non-empty if specified"))
    if _has_newline(field_at):
        causes.append(fields.invalid(where, field_at, "must not contain line breaks"))
    if field_at:
        try:
            field_path(field_at, raw)
        except FieldPathError:
            causes.append(fields.invalid(where, field_at, "must be a valid path"))
    return causes
