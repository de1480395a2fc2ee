"""A rule's estimated cost, by which the server refuses rules that could take too long on the largest objects it accepts.

The model is the CEL compiler's: steps, times the elements a list or map can have, times the length of texts. Where this one
does not know a size it takes a small one, so as to refuse less than the server rather than more. What it is after is the common
case: rules over lists, maps and strings that say no maximum.
"""

from __future__ import annotations

from typing import Any

from operator_kit.sandbox.schema.cel.syntax import OPTIONAL_SELECT, CelSyntaxError, Tree, parse_rule
from operator_kit.sandbox.schema.node import Node

__all__ = ["CRD_LIMIT", "RULE_LIMIT", "elements", "excess", "least_size", "rule_cost"]

RULE_LIMIT = 10_000_000
CRD_LIMIT = 100_000_000

_REQUEST = 3 * 1024 * 1024  # bytes of the largest request the server takes
_MOST = 2**64 - 1
_QUANTIFIERS = {"all": 3, "exists": 3, "exists_one": 3, "existsOne": 3}
_BUILDERS = {"map": 12, "filter": 12}
_TRAVERSING = frozenset(
    {"contains", "startsWith", "endsWith", "lowerAscii", "upperAscii", "replace", "split", "indexOf", "find", "findAll"}
)
_FORMATTED = {"date-time": 22, "datetime": 22, "date": 12, "duration": 32}


def _limit(node: Node, keyword: str) -> int | None:
    value = node.raw.get(keyword)
    return max(int(value), 0) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**62 else None


def least_size(node: Node) -> int:
    """The fewest bytes a value of the schema takes in JSON."""
    if node.type == "boolean":
        return 4
    if node.type in {"integer", "number"}:
        return 1
    if node.type == "object" and node.values is None:
        wanted = node.raw.get("required")
        names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
        return 2 + sum(len(name) + 4 + least_size(node.properties[name]) for name in names if name in node.properties)
    return _FORMATTED.get(str(node.raw.get("format") or ""), 2) if node.type == "string" else 2


def elements(node: Node) -> int:
    """The most elements or characters that a value of the schema can have."""
    if node.type == "array":
        given = _limit(node, "maxItems")
        return given if given is not None else _REQUEST // ((least_size(node.items) if node.items is not None else 1) + 1)
    if node.type == "object" and node.values is not None:
        given = _limit(node, "maxProperties")
        return given if given is not None else _REQUEST // (least_size(node.values) + 6)
    if node.type == "string":
        given = _limit(node, "maxLength")
        if given is not None:
            return given
        enum = node.raw.get("enum")
        if isinstance(enum, list):
            return max((len(item) for item in enum if isinstance(item, str)), default=0)
        return _FORMATTED.get(str(node.raw.get("format") or ""), _REQUEST - 2)
    return 1


class _Estimate:
    def __init__(self, node: Node) -> None:
        self._scope: dict[str, Node | None] = {"self": node, "oldSelf": node}

    def node(self, tree: Any) -> Node | None:
        """The schema of what a subtree selects, where that is plain to see."""
        if not isinstance(tree, Tree):
            return None
        if tree.data == "ident":
            return self._scope.get(str(tree.children[0]))
        if tree.data == "member_dot":
            holder = self.node(tree.children[0])
            return holder.properties.get(str(tree.children[1]), holder.values) if holder is not None else None
        if tree.data == "member_index":
            holder = self.node(tree.children[0])
            return (holder.items or holder.values) if holder is not None else None
        if tree.data == "member_dot_arg" and str(tree.children[1]) == "filter":
            return self.node(tree.children[0])
        return None

    def size(self, tree: Any) -> int:
        """How many elements or characters a subtree's value can have; 1 where that is not known."""
        if isinstance(tree, Tree) and tree.data == "literal":
            return max(len(str(tree.children[0])) - 2, 1)
        found = self.node(tree)
        return elements(found) if found is not None else 1

    def cost(self, tree: Any) -> int:
        """Steps to evaluate a subtree at the worst."""
        if not isinstance(tree, Tree):
            return 0
        if tree.data == "member_dot_arg":
            return min(self._method(tree), _MOST)
        below = sum(self.cost(child) for child in tree.children)
        if tree.data == "literal":
            return 0
        own = 1
        if tree.data == "relation" and tree.children[0].data == "relation_in":
            found = self.node(tree.children[1])
            own = self.size(tree.children[1]) if found is not None and found.type == "array" else 1
        elif tree.data == "ident_arg" and str(tree.children[0]) == "matches":
            own = self._matching(*tree.children[1].children[:2]) if len(tree.children[1].children) > 1 else 1
        elif tree.data.startswith(("relation_", "addition_", "multiplication_", "unary_", "exprlist")):
            own = 0
        return min(below + own, _MOST)

    def _matching(self, text: Any, pattern: Any) -> int:
        return (self.size(text) // 10 + 1) * (self.size(pattern) // 4 + 1)

    def _method(self, tree: Any) -> int:
        receiver, name = tree.children[0], str(tree.children[1])
        arguments = list(tree.children[2].children) if len(tree.children) > 2 else []
        start = self.cost(receiver)
        each = _QUANTIFIERS.get(name, _BUILDERS.get(name, 0))
        if each and len(arguments) > 1:
            return start + self.size(receiver) * (each + self._loop(receiver, arguments))
        start += sum(self.cost(argument) for argument in arguments)
        if name == OPTIONAL_SELECT:
            return start + 1
        if name == "matches" and arguments:
            return start + self._matching(receiver, arguments[0])
        if name in _TRAVERSING:
            return start + self.size(receiver) // 10 + 1
        return start + 1

    def _loop(self, receiver: Any, arguments: list[Any]) -> int:
        holder = self.node(receiver)
        names = [str(argument.children[0]) for argument in arguments[:-1] if argument.data == "ident"]
        inner = None if holder is None else holder.items if holder.type == "array" else None
        before = self._scope
        self._scope = {**before, **dict.fromkeys(names), **({names[0]: inner} if len(names) == 1 else {})}
        try:
            return sum(self.cost(argument) for argument in arguments[len(names) :])
        finally:
            self._scope = before


def rule_cost(source: str, node: Node, occurrences: int | None) -> int:
    """The estimated cost of a rule. `occurrences`: how often its schema can stand in an object; None: as often as fits."""
    try:
        cost = _Estimate(node).cost(parse_rule(source))
    except (CelSyntaxError, RecursionError):  # what cannot be read has been refused for that
        return 0
    return min(cost * (occurrences if occurrences is not None else _REQUEST // max(least_size(node), 1)), _MOST)


def excess(what: str, cost: int, limit: int) -> str:
    """The server's complaint about a cost above a limit."""
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{what} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength "
        "where arrays, maps, and strings are declared)"
    )
