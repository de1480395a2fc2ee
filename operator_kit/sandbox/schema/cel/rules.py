"""The validation rules of a schema, compiled with it and evaluated on every create and update, in the server's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.cel.evaluator import Budget, CelError, CostExceeded, Expression
from operator_kit.sandbox.schema.cel.syntax import CelSyntaxError
from operator_kit.sandbox.schema.cel.values import NONE, Optional, to_cel
from operator_kit.sandbox.schema.node import Node, Rule
from operator_kit.sandbox.schema.paths import FieldPathError, field_path
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.status import Cause

__all__ = ["RuleSet", "compile_rules"]

_LONGEST_MESSAGE = 5 * 1024  # bytes a messageExpression may give
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class _Compiled(NamedTuple):
    rule: Rule
    expression: Expression | None
    error: str
    message: Expression | None
    below: str  # the field below the schema's that the complaint is about


class _Stopped(Exception):
    """No further rules are evaluated."""


class _Run(NamedTuple):
    """One evaluation of all rules: what they found, and what they may still cost."""

    causes: list[Cause]
    budget: Budget


class RuleSet:
    """The rules of one schema node and of all below it."""

    __slots__ = ("_items", "_node", "_own", "_properties", "_values", "transitions")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._own = [_compile(rule, node) for rule in node.rules if rule.rule.strip()]
        self._items = compile_rules(node.items) if node.items is not None else None
        self._values = compile_rules(node.values) if node.values is not None else None
        self._properties = {name: rules for name, sub in node.properties.items() if (rules := compile_rules(sub)) is not None}
        below = [rules for rules in (self._items, self._values, *self._properties.values()) if rules is not None]
        own = any(entry.expression is not None and entry.expression.uses_old_self for entry in self._own)
        self.transitions: bool = own or any(rules.transitions for rules in below)

    @property
    def empty(self) -> bool:
        """Whether there is no rule here or below."""
        return not self._own and self._items is None and self._values is None and not self._properties

    def check(self, value: Any, old: Any = None, path: str = "") -> list[Cause]:
        """What the rules find wrong with a value that is otherwise valid; `old`: as it was, for an update."""
        run = _Run([], Budget())
        try:
            self.walk(value, old, path, run, unchanged=False)
        except _Stopped:
            return run.causes
        return run.causes

    def walk(self, value: Any, old: Any, path: str, run: _Run, *, unchanged: bool) -> None:
        """Evaluate the rules of this node and of those below it.

        `unchanged`: this value, or one that holds it, is what it was: only transition rules are of interest.
        """
        if value is None:
            return
        unchanged = unchanged or (old is not None and same(value, old))
        if unchanged and not self.transitions:
            return
        self._check_own(value, old, path, run, unchanged=unchanged)
        if isinstance(value, list) and self._items is not None:
            before = _by_key(old, self._node)
            for at, item in enumerate(value):
                key = _key(item, self._node) if before else None
                earlier = before.get(key) if key is not None else None
                self._items.walk(item, earlier, fields.index(path, at), run, unchanged=unchanged)
        elif isinstance(value, dict):
            earlier = old if isinstance(old, dict) and self._node.map_type != "atomic" else {}
            if self._values is not None:
                for name, item in value.items():
                    self._values.walk(item, earlier.get(name), fields.key(path, name), run, unchanged=unchanged)
            for name, rules in self._properties.items():
                if name in value:
                    rules.walk(value[name], earlier.get(name), fields.child(path, name), run, unchanged=unchanged)

    def _check_own(self, value: Any, old: Any, path: str, run: _Run, *, unchanged: bool) -> None:
        variables: dict[str, Any] | None = None
        for entry in self._own:
            expression = entry.expression
            if expression is None:
                run.causes.append(fields.invalid(path, self._node.type, f"rule compile error: {entry.error}"))
                continue
            optional = entry.rule.optional_old_self is True
            if expression.uses_old_self:
                if old is None and not optional:
                    continue
            elif unchanged:
                continue
            if variables is None:
                variables = {"self": to_cel(value, self._node), "oldSelf": to_cel(old, self._node)}
            scope: Mapping[str, Any] = variables
            if optional:
                scope = {**variables, "oldSelf": NONE if old is None else Optional(variables["oldSelf"])}
            if not self._holds(entry, expression, scope, path, run):
                detail = _message(entry, variables, run.budget)
                run.causes.append(self._complaint(entry, value, path, detail))

    def _holds(self, entry: _Compiled, expression: Expression, scope: Mapping[str, Any], path: str, run: _Run) -> bool:
        """Whether a rule holds. Failures to evaluate it are told here, and count as told."""
        kind, name = self._node.type, _shown(entry.rule)
        if run.budget.left <= 0:
            run.causes.append(fields.invalid(path, kind, _OUT_OF_BUDGET))
            raise _Stopped
        try:
            return bool(expression.evaluate(scope, run.budget))
        except CostExceeded as exc:
            text = f"'{exc}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"
            run.causes.append(fields.invalid(path, kind, text))
            raise _Stopped from None
        except CelError as exc:
            if str(exc).startswith("no such overload"):
                text = f"'{exc}': call arguments did not match a supported operator, function or macro signature for rule: {name}"
            else:
                text = f"{exc} evaluating rule: {name}"
            run.causes.append(fields.invalid(path, kind, text))
            return True

    def _complaint(self, entry: _Compiled, value: Any, path: str, detail: str) -> Cause:
        where = fields.child(path, entry.below) if entry.below else path
        shown = fields.OMIT if self._node.type in {"object", "array"} else value
        match entry.rule.reason:
            case "FieldValueForbidden":
                return fields.forbidden(where, detail)
            case "FieldValueRequired":
                return fields.required(where, detail)
            case "FieldValueDuplicate":
                return fields.duplicate(where, shown)
            case _:
                return fields.invalid(where, shown, detail)

    def __repr__(self) -> str:
        return f"<RuleSet {len(self._own)} own, {len(self._properties)} properties with rules>"


def compile_rules(node: Node) -> RuleSet | None:
    """The rules of a schema, or None when it has none."""
    rules = RuleSet(node)
    return None if rules.empty else rules


def _compile(rule: Rule, node: Node) -> _Compiled:
    below = ""
    if rule.field_path:
        try:
            below = field_path(rule.field_path, node.raw)[1]
        except FieldPathError:  # `validate_crd` has complained; without the path the rule still stands
            below = ""
    try:
        message = Expression(rule.message_expression) if rule.message_expression.strip() else None
        return _Compiled(rule, Expression(rule.rule), "", message, below)
    except CelSyntaxError as exc:
        return _Compiled(rule, None, f"compilation failed: {exc}", None, below)


def _shown(rule: Rule) -> str:
    return rule.message.strip() or rule.rule.strip()


def _message(entry: _Compiled, variables: Mapping[str, Any], budget: Budget) -> str:
    """What a broken rule says: its messageExpression where that gives a usable text, else its message, else the rule itself."""
    if entry.message is not None and budget.left > 0:
        try:
            made = entry.message.evaluate(variables, budget)
        except CelError:
            made = None
        if isinstance(made, str):
            text = str.__str__(made).strip()
            if text and "\n" not in text and len(text.encode("utf-8", "replace")) <= _LONGEST_MESSAGE:
                return text
    return entry.rule.message.strip() or f"failed rule: {entry.rule.rule.strip()}"


def _key(item: Any, node: Node) -> tuple[Any, ...] | None:
    if not isinstance(item, dict):
        return None
    try:
        made = tuple((type(item.get(name)), item.get(name)) for name in node.map_keys)
        hash(made)
    except TypeError:
        return None
    return made


def _by_key(old: Any, node: Node) -> dict[tuple[Any, ...], Any]:
    """The earlier elements of a list whose elements can be told apart, by their keys."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {key: item for item in old if (key := _key(item, node)) is not None}
