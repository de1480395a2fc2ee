"""Evaluation of rules: the CEL library's evaluator, with Kubernetes' functions, macros and optionals, and a limit to its cost.

An expression is parsed once and evaluated many times. Whatever a rule or an object says, evaluation returns a value or raises
`CelError` with the server's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from celpy import celtypes
from celpy.evaluation import CELEvalError, Evaluator, base_functions

from operator_kit.sandbox.schema.cel.functions import GLOBALS, METHODS, QUALIFIED
from operator_kit.sandbox.schema.cel.syntax import OPTIONAL_INDEX, OPTIONAL_SELECT, Tree, parse_rule
from operator_kit.sandbox.schema.cel.values import NONE, Optional, boolean, equal, in_order

__all__ = ["Budget", "CelError", "CostExceeded", "Expression", "unescape"]

_MOST_STEPS = 100_000  # steps a single evaluation may take, in place of the server's cost units
_LONGEST = 4_000_000  # elements or characters of a value that is made on the way
_COMPARISONS: dict[str, Callable[[int], bool]] = {
    "relation_lt": lambda order: order < 0,
    "relation_le": lambda order: order <= 0,
    "relation_gt": lambda order: order > 0,
    "relation_ge": lambda order: order >= 0,
}
_TYPES = frozenset({"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "uint"})
_WORDS = {
    "divide by zero": "division by zero",
    "modulus or divide by zero": "division by zero",
    "return error for overflow": "integer overflow",
    "invalid_argument": "index out of bounds",
}
_ESCAPED = re.compile(r"__(underscores|dot|dash|slash|[a-z]+)__")
_SYMBOLS = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter", "optMap", "optFlatMap"})


class CelError(Exception):
    """An evaluation failed; the text is the server's."""


class CostExceeded(CelError):
    """An evaluation took more than it may."""


def unescape(name: str) -> str:
    """The property that an identifier stands for: `foo__dash__bar` is `foo-bar`, `__for__` is `for`."""
    return _ESCAPED.sub(lambda match: _SYMBOLS.get(match[1], match[1]), name)


class Budget:
    """The steps that all rules of one write may take together."""

    __slots__ = ("left",)

    def __init__(self, steps: int = 10 * _MOST_STEPS) -> None:
        self.left = steps

    def __repr__(self) -> str:
        return f"<Budget {self.left} steps left>"


class _Functions:
    """Stands for the library's activation, of which its operators need only this."""

    @staticmethod
    def resolve_function(name: str) -> Any:
        return base_functions[name]


class _Machine(Evaluator):
    """One evaluation. Variables live in a plain dict; macros bind theirs there and put back what was there before."""

    def __init__(self, variables: Mapping[str, Any], budget: int) -> None:
        self.activation: Any = _Functions
        self.level = 0
        self._variables = dict(variables)
        self.left = budget

    def visit(self, tree: Any) -> Any:
        """Evaluate a subtree, counting the step."""
        self.left -= 1
        if self.left < 0:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")
        return getattr(self, tree.data)(tree)

    def visit_children(self, tree: Any) -> list[Any]:
        """Evaluate the children that are trees; tokens stand for themselves."""
        return [self.visit(child) if isinstance(child, Tree) else child for child in tree.children]

    def __default__(self, tree: Any) -> Any:
        return self.visit_children(tree)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.__default__

    # ------------------------------------------------------------------ operators

    def conditionaland(self, tree: Any) -> Any:
        """`a && b`: false whenever one side is, even when the other fails."""
        return self._logical(tree, decisive=False)

    def conditionalor(self, tree: Any) -> Any:
        """`a || b`: true whenever one side is, even when the other fails."""
        return self._logical(tree, decisive=True)

    def _logical(self, tree: Any, *, decisive: bool) -> Any:
        left = self.visit(tree.children[0])
        if isinstance(left, celtypes.BoolType) and bool(left) is decisive:
            return left
        right = self.visit(tree.children[1])
        if isinstance(right, celtypes.BoolType) and bool(right) is decisive:
            return right
        for side in (left, right):
            if isinstance(side, CELEvalError):
                return side
            if not isinstance(side, celtypes.BoolType):
                return CELEvalError("no such overload")
        return right

    def expr(self, tree: Any) -> Any:
        """`a ? b : c`."""
        condition = self.visit(tree.children[0])
        if isinstance(condition, CELEvalError):
            return condition
        if not isinstance(condition, celtypes.BoolType):
            return CELEvalError("no such overload")
        return self.visit(tree.children[1 if condition else 2])

    def relation(self, tree: Any) -> Any:
        """Comparisons and `in`."""
        operator = tree.children[0].data
        left, right = self.visit(tree.children[0].children[0]), self.visit(tree.children[1])
        for side in (left, right):
            if isinstance(side, CELEvalError):
                return side
        if operator == "relation_eq":
            return boolean(equal(left, right))
        if operator == "relation_ne":
            return boolean(not equal(left, right))
        try:
            if operator == "relation_in":
                return boolean(self._is_in(left, right))
            return boolean(_COMPARISONS[operator](in_order(left, right)))
        except TypeError:
            return CELEvalError("no such overload")

    def _is_in(self, item: Any, container: Any) -> bool:
        if isinstance(container, dict):
            return isinstance(item, str | int | bool) and dict.__contains__(container, item)
        if not isinstance(container, list):
            raise TypeError("no such overload")
        self.left -= len(container)
        return any(equal(item, other) for other in container)

    def addition(self, tree: Any) -> Any:
        """`a + b` and `a - b`."""
        result = super().addition(tree)
        if isinstance(result, list) and not isinstance(result, celtypes.ListType):
            result = celtypes.ListType(result)
        elif isinstance(result, str) and not isinstance(result, celtypes.StringType):
            result = celtypes.StringType(result)
        if isinstance(result, str | list):
            self.left -= len(result) // 10
            if len(result) > _LONGEST:
                raise CostExceeded("operation cancelled: actual cost limit exceeded")
        return result

    # ------------------------------------------------------------------ names and members

    def ident(self, tree: Any) -> Any:
        """A variable, or the name of a type."""
        name = str(tree.children[0])
        if name in self._variables:
            return self._variables[name]
        if name in _TYPES:
            return base_functions[name]
        return CELEvalError(f"no such attribute(s): {name}")

    def dot_ident(self, tree: Any) -> Any:
        """A variable of the outermost scope."""
        return self.ident(tree)

    def member_dot(self, tree: Any) -> Any:
        """`a.b`."""
        return self._select(self.visit(tree.children[0]), str(tree.children[1]))

    def _select(self, target: Any, name: str) -> Any:
        if isinstance(target, CELEvalError):
            return target
        if isinstance(target, Optional):
            return self._maybe(target, name)
        if not isinstance(target, dict):
            return CELEvalError("no such overload")
        if dict.__contains__(target, name):
            return dict.__getitem__(target, name)
        plain = unescape(name)
        if dict.__contains__(target, plain):
            return dict.__getitem__(target, plain)
        return CELEvalError(f"no such key: {plain}")

    def _maybe(self, target: Any, key: Any) -> Any:
        """Optional selection: nothing where there is nothing."""
        if isinstance(target, CELEvalError):
            return target
        holder = target if isinstance(target, Optional) else Optional(target)
        if not holder.present:
            return NONE
        value = holder.value
        if isinstance(value, list):
            return Optional(value[int(key)]) if isinstance(key, int) and 0 <= key < len(value) else NONE
        if not isinstance(value, dict):
            return CELEvalError("no such overload")
        found = self._select(value, key) if isinstance(key, str) else CELEvalError("no such key")
        return NONE if isinstance(found, CELEvalError) else Optional(found)

    def member_index(self, tree: Any) -> Any:
        """`a[b]`."""
        target, key = self.visit_children(tree)
        for side in (target, key):
            if isinstance(side, CELEvalError):
                return side
        if isinstance(target, Optional):
            return self._maybe(target, key)
        if isinstance(target, dict):
            if isinstance(key, str | int | bool) and dict.__contains__(target, key):
                return dict.__getitem__(target, key)
            return CELEvalError(f"no such key: {key}")
        if isinstance(target, list) and isinstance(key, int) and not isinstance(key, celtypes.BoolType):
            return (
                list.__getitem__(target, int(key)) if 0 <= key < len(target) else CELEvalError(f"index out of bounds: {int(key)}")
            )
        return CELEvalError("no such overload")

    # ------------------------------------------------------------------ calls

    def ident_arg(self, tree: Any) -> Any:
        """`f(x)`, with the macros `has` and `dyn`."""
        name, arguments = str(tree.children[0]), _arguments(tree, 1)
        if name == "has":
            return self._has(arguments[0])
        if name == "dyn":
            return self.visit(arguments[0])
        return self._call(GLOBALS.get(name), name, [self.visit(argument) for argument in arguments])

    def dot_ident_arg(self, tree: Any) -> Any:
        """`.f(x)`."""
        return self.ident_arg(tree)

    def _has(self, operand: Any) -> Any:
        """`has(a.b)`: a itself must be there."""
        if operand.data == "member_dot_arg" and str(operand.children[1]) == OPTIONAL_SELECT:
            found = self.visit(operand)
            return boolean(found.present) if isinstance(found, Optional) else found
        target = self.visit(operand.children[0])
        if isinstance(target, CELEvalError):
            return target
        found = self._select(target, str(operand.children[1]))
        if isinstance(found, Optional):
            return boolean(found.present)
        if isinstance(found, CELEvalError):
            return boolean(False) if isinstance(target, dict) else found
        return boolean(True)

    def member_dot_arg(self, tree: Any) -> Any:
        """`a.f(x)`: a macro, a function with a dotted name, or a method."""
        name, arguments = str(tree.children[1]), _arguments(tree, 2)
        qualifier = _name_of(tree.children[0])
        if qualifier == "cel" and name == "bind" and len(arguments) == 3:
            return self._with({_variable(arguments[0]): self.visit(arguments[1])}, arguments[2])
        if qualifier and qualifier not in self._variables and f"{qualifier}.{name}" in QUALIFIED:
            return self._call(QUALIFIED[f"{qualifier}.{name}"], name, [self.visit(argument) for argument in arguments])
        target = self.visit(tree.children[0])
        if isinstance(target, CELEvalError):
            return target
        if name in {OPTIONAL_SELECT, OPTIONAL_INDEX}:
            key = self.visit(arguments[0])
            return key if isinstance(key, CELEvalError) else self._maybe(target, key)
        if name in _MACROS and len(arguments) > 1:
            return self._macro(name, target, arguments)
        return self._call(METHODS.get(name), name, [target, *(self.visit(argument) for argument in arguments)])

    def _call(self, function: Any, name: str, arguments: list[Any]) -> Any:
        if function is None:
            return CELEvalError(f"no such overload: {name}")
        for argument in arguments:
            if isinstance(argument, CELEvalError):
                return argument
            if isinstance(argument, str | list):
                self.left -= len(argument) // 10
        try:
            result = function(*arguments)
        except ValueError as exc:
            return CELEvalError(_WORDS.get(str(exc), str(exc)))
        except OverflowError:
            return CELEvalError("integer overflow")
        except (TypeError, AttributeError, KeyError, IndexError, RecursionError):
            return CELEvalError("no such overload")
        if isinstance(result, str | list) and len(result) > _LONGEST:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")
        return result

    def _with(self, bound: Mapping[str, Any], tree: Any) -> Any:
        """Evaluate with more variables."""
        before = self._variables
        self._variables = {**before, **bound}
        try:
            return self.visit(tree)
        finally:
            self._variables = before

    def _macro(self, name: str, target: Any, arguments: list[Any]) -> Any:
        if name in {"optMap", "optFlatMap"}:
            if not isinstance(target, Optional):
                return CELEvalError("no such overload")
            if not target.present:
                return NONE
            result = self._with({_variable(arguments[0]): target.value}, arguments[1])
            return result if name == "optFlatMap" or isinstance(result, CELEvalError) else Optional(result)
        pairs = len(arguments) > 2 and name != "map"
        rows = _rows(target, pairs=pairs)
        if rows is None:
            return CELEvalError("no such overload")
        names = [_variable(argument) for argument in arguments[: 2 if pairs else 1]]
        body = arguments[len(names) :]
        if name in {"map", "filter"}:
            return self._gather(name, rows, names, body)
        return self._quantify(name, rows, names, body[0])

    def _gather(self, name: str, rows: Iterable[tuple[Any, ...]], names: list[str], body: list[Any]) -> Any:
        made = []
        for row in rows:
            bound = dict(zip(names, row, strict=True))
            keep = self._with(bound, body[0]) if name == "filter" or len(body) > 1 else boolean(True)
            if isinstance(keep, CELEvalError):
                return keep
            if keep:
                value = row[0] if name == "filter" else self._with(bound, body[-1])
                if isinstance(value, CELEvalError):
                    return value
                made.append(value)
        return celtypes.ListType(made)

    def _quantify(self, name: str, rows: Iterable[tuple[Any, ...]], names: list[str], body: Any) -> Any:
        """`all` and `exists` are decided by one element, whatever fails on others; `exists_one` looks at all of them."""
        error = None
        count = 0
        for row in rows:
            result = self._with(dict(zip(names, row, strict=True)), body)
            if not isinstance(result, celtypes.BoolType):
                error = error or (result if isinstance(result, CELEvalError) else CELEvalError("no such overload"))
                continue
            count += bool(result)
            if name == "all" and not result:
                return result
            if name == "exists" and result:
                return result
        if error is not None:
            return error
        return boolean(count == 1 if name in {"exists_one", "existsOne"} else name == "all")

    # ------------------------------------------------------------------ literals

    def list_lit(self, tree: Any) -> Any:
        """`[a, b]`."""
        values = [self.visit(item) for item in _arguments(tree, 0)]
        return next((value for value in values if isinstance(value, CELEvalError)), celtypes.ListType(values))

    def map_lit(self, tree: Any) -> Any:
        """`{a: b}`."""
        made = celtypes.MapType()
        parts = [self.visit(item) for child in tree.children for item in child.children]
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            for side in (key, value):
                if isinstance(side, CELEvalError):
                    return side
            if not isinstance(key, str | int | bool):
                return CELEvalError("unsupported key type")
            dict.__setitem__(made, key, value)  # type: ignore[misc]  # the library's own setter is slow
        return made


def _arguments(tree: Any, at: int) -> list[Any]:
    return list(tree.children[at].children) if len(tree.children) > at else []


def _name_of(tree: Any) -> str:
    return str(tree.children[0]) if isinstance(tree, Tree) and tree.data == "ident" else ""


def _variable(tree: Any) -> str:
    return _name_of(tree)


def _rows(target: Any, *, pairs: bool) -> list[tuple[Any, ...]] | None:
    """What a macro goes through: elements of a list, keys of a map; with two variables, index and element or key and value."""
    if isinstance(target, dict):
        return list(dict.items(target)) if pairs else [(key,) for key in target]
    if isinstance(target, list):
        return [(celtypes.IntType(at), item) for at, item in enumerate(target)] if pairs else [(item,) for item in target]
    return None


class Expression:
    """A parsed expression. Raises `CelSyntaxError` where it is none."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = parse_rule(source)
        self.uses_old_self = any(_name_of(tree) == "oldSelf" for tree in self.tree.iter_subtrees())

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value of the expression. Raises `CelError`, and `CostExceeded` when it takes more than a rule or the budget may."""
        allowed = _MOST_STEPS if budget is None else min(_MOST_STEPS, budget.left)
        machine = _Machine(variables, allowed)
        try:
            value = machine.visit(self.tree)
        except RecursionError:
            raise CostExceeded("operation cancelled: actual cost limit exceeded") from None
        finally:
            if budget is not None:
                budget.left -= allowed - max(machine.left, 0)
        if isinstance(value, CELEvalError):
            text = str(value.args[0]) if value.args else "evaluation failed"
            text = "no such overload" if text.startswith("found no matching overload") else _WORDS.get(text, text)
            raise CelError(text)
        return value

    def __repr__(self) -> str:
        return f"<Expression {self.source!r}>"
