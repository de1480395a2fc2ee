"""What can be said of a rule before it meets an object: its syntax, its names and fields, types where they are plain to see.

The server's compiler knows every type; this one knows those of fields, literals and common functions, takes all else as `dyn`,
and complains only where it is sure.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from operator_kit.sandbox.schema.cel.evaluator import unescape
from operator_kit.sandbox.schema.cel.functions import GLOBALS, METHODS, QUALIFIED
from operator_kit.sandbox.schema.cel.syntax import OPTIONAL_INDEX, OPTIONAL_SELECT, CelSyntaxError, Tree, complaint, parse_rule
from operator_kit.sandbox.schema.node import Node

__all__ = ["StaticCheck", "check_expression", "type_name"]

Type: TypeAlias = "str | Node | tuple[str, Any]"

_DYN = "dyn"
_SCALARS = {"integer": "int", "number": "double", "boolean": "bool"}
_FORMATS = {"date-time": "timestamp", "datetime": "timestamp", "date": "timestamp", "duration": "duration", "byte": "bytes"}
_OPERATORS = {
    "relation_lt": ("_<_", 1),
    "relation_le": ("_<=_", 2),
    "relation_gt": ("_>_", 1),
    "relation_ge": ("_>=_", 2),
    "relation_eq": ("_==_", 2),
    "relation_ne": ("_!=_", 2),
    "relation_in": ("@in", 2),
    "addition_add": ("_+_", 1),
    "addition_sub": ("_-_", 1),
    "multiplication_mul": ("_*_", 1),
    "multiplication_div": ("_/_", 1),
    "multiplication_mod": ("_%_", 1),
}
_NUMBERS = frozenset({"int", "uint", "double"})
_KNOWN = _NUMBERS | {"bool", "string", "bytes", "timestamp", "duration"}
_TYPE_NAMES = frozenset({"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "uint"})
_RETURNS = {
    **dict.fromkeys(
        [
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "isSorted",
            "isGreaterThan",
            "isLessThan",
            "isInteger",
            "hasValue",
            "containsIP",
            "containsCIDR",
            "isURL",
            "isIP",
            "isCIDR",
            "isQuantity",
            "isSemver",
            "bool",
            "isUnspecified",
            "isLoopback",
            "isLinkLocalUnicast",
            "isGlobalUnicast",
        ],
        "bool",
    ),
    **dict.fromkeys(
        [
            "size",
            "compareTo",
            "sign",
            "asInteger",
            "prefixLength",
            "family",
            "int",
            "getFullYear",
            "getMonth",
            "getHours",
            "getMinutes",
        ],
        "int",
    ),
    **dict.fromkeys(
        [
            "lowerAscii",
            "upperAscii",
            "trim",
            "replace",
            "substring",
            "charAt",
            "join",
            "find",
            "format",
            "string",
            "getScheme",
            "getHost",
            "getHostname",
            "getPort",
        ],
        "string",
    ),
    **{name: name for name in ("double", "timestamp", "duration", "uint", "bytes")},
    "split": ("list", "string"),
    "findAll": ("list", "string"),
}


class _Complaint(Exception):
    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column, self.text = line, column, text


class StaticCheck:
    """The type of an expression over `self` and `oldSelf`; names in scope are added by macros."""

    def __init__(self, node: Node, *, root: bool, optional_old_self: bool) -> None:
        own = _type_of(node, root=root)
        self._scope: dict[str, Type] = {"self": own, "oldSelf": "optional" if optional_old_self else own}

    def type(self, tree: Any) -> Type:
        """The type of a subtree. Raises `_Complaint`."""
        if not isinstance(tree, Tree):
            return _DYN
        known = getattr(self, f"_{tree.data}", None)
        if known is not None:
            found: Type = known(tree)
            return found
        for child in tree.children:
            self.type(child)
        return _DYN

    def _ident(self, tree: Any) -> Type:
        token = tree.children[0]
        name = str(token)
        if name in self._scope:
            return self._scope[name]
        if name in _TYPE_NAMES:
            return "type"
        raise _Complaint(token.line, token.column, f"undeclared reference to '{name}' (in container '')")

    def _literal(self, tree: Any) -> Type:
        token = tree.children[0]
        kinds = {
            "INT_LIT": "int",
            "UINT_LIT": "uint",
            "FLOAT_LIT": "double",
            "STRING_LIT": "string",
            "MLSTRING_LIT": "string",
            "BYTES_LIT": "bytes",
            "BOOL_LIT": "bool",
        }
        return kinds.get(token.type, _DYN)

    def _member_dot(self, tree: Any) -> Type:
        target, token = self.type(tree.children[0]), tree.children[1]
        return self._field(target, token)

    def _field(self, target: Type, token: Any) -> Type:
        name = str(token)
        column = max(token.column - 1, 1)
        if isinstance(target, Node):
            sub = target.properties.get(name) if name in target.properties else target.properties.get(unescape(name))
            found: Type | None = _type_of(sub) if sub is not None else None
            if found is None:
                raise _Complaint(token.line, column, f"undefined field '{name}'")
            return found
        if isinstance(target, tuple) and target[0] == "map":
            inner: Type = target[1]
            return inner
        if target in _KNOWN:
            raise _Complaint(token.line, column, f"type '{target}' does not support field selection")
        return _DYN

    def _member_index(self, tree: Any) -> Type:
        target = self.type(tree.children[0])
        self.type(tree.children[1])
        if isinstance(target, tuple):
            inner: Type = target[1]
            return inner
        return _DYN

    def _ident_arg(self, tree: Any) -> Type:
        token, arguments = tree.children[0], _arguments(tree, 1)
        name = str(token)
        if name == "has" and arguments:
            operand = arguments[0]
            if operand.data not in {"member_dot", "member_dot_arg"}:
                raise _Complaint(token.line, token.end_column, "invalid argument to has() macro")
            self.type(operand)
            return "bool"
        for argument in arguments:
            self.type(argument)
        if name == "dyn":
            return _DYN
        if name not in GLOBALS:
            raise _Complaint(token.line, token.end_column, f"undeclared reference to '{name}' (in container '')")
        return _RETURNS.get(name, _DYN)

    def _member_dot_arg(self, tree: Any) -> Type:
        receiver, token, arguments = tree.children[0], tree.children[1], _arguments(tree, 2)
        name = str(token)
        qualifier = str(receiver.children[0]) if isinstance(receiver, Tree) and receiver.data == "ident" else ""
        if qualifier == "cel" and name == "bind" and len(arguments) == 3:
            return self._bound({str(arguments[0].children[0]): self.type(arguments[1])}, arguments[2])
        if qualifier and qualifier not in self._scope and f"{qualifier}.{name}" in QUALIFIED:
            for argument in arguments:
                self.type(argument)
            return "bool" if qualifier == "sets" else _DYN
        target = self.type(receiver)
        if name in {OPTIONAL_SELECT, OPTIONAL_INDEX}:
            return "optional"
        if name in {"all", "exists", "exists_one", "existsOne", "map", "filter"} and len(arguments) > 1:
            return self._macro(name, target, arguments)
        if name in {"optMap", "optFlatMap"} and len(arguments) == 2:
            self._bound({str(arguments[0].children[0]): _DYN}, arguments[1])
            return "optional"
        for argument in arguments:
            self.type(argument)
        if name not in METHODS:
            raise _Complaint(token.line, token.end_column, f"undeclared reference to '{name}' (in container '')")
        return _RETURNS.get(name, _DYN)

    def _macro(self, name: str, target: Type, arguments: list[Any]) -> Type:
        names = [str(argument.children[0]) for argument in arguments[:-1] if argument.data == "ident"]
        element: Type = _DYN
        if isinstance(target, tuple):
            element = target[1] if target[0] == "list" else "string"
        pairs = len(arguments) > 2 and name != "map"
        bound: dict[str, Type] = {}
        if pairs and len(names) == 2:
            first: Type = "int" if isinstance(target, tuple) and target[0] == "list" else _DYN
            bound = {names[0]: first, names[1]: target[1] if isinstance(target, tuple) else _DYN}
        elif names:
            bound = {names[0]: element}
        bodies = arguments[len(bound) :]
        types = [self._bound(bound, body) for body in bodies]
        if name == "map":
            made: Type = ("list", types[-1] if types else _DYN)
            return made
        if name == "filter":
            return target
        return "bool"

    def _bound(self, bound: dict[str, Type], tree: Any) -> Type:
        before = self._scope
        self._scope = {**before, **bound}
        try:
            return self.type(tree)
        finally:
            self._scope = before

    def _binary(self, tree: Any) -> tuple[str, Type, Type, int, int]:
        head = tree.children[0]
        left, right = self.type(head.children[0]), self.type(tree.children[1])
        operator, width = _OPERATORS[head.data]
        return operator, left, right, head.meta.end_line, head.meta.end_column - width

    def _relation(self, tree: Any) -> Type:
        operator, left, right, line, column = self._binary(tree)
        comparable = left == right or not {left, right} <= _KNOWN if isinstance(left, str) and isinstance(right, str) else True
        if operator not in {"@in", "_==_", "_!=_"} and isinstance(left, str) and isinstance(right, str):
            comparable = comparable or {left, right} <= _NUMBERS
        if operator != "@in" and not comparable:
            raise _mismatch(operator, (left, right), line, column)
        return "bool"

    def _addition(self, tree: Any) -> Type:
        return self._arithmetic(tree)

    def _multiplication(self, tree: Any) -> Type:
        return self._arithmetic(tree)

    def _arithmetic(self, tree: Any) -> Type:
        operator, left, right, line, column = self._binary(tree)
        times = {"timestamp", "duration"}
        known = isinstance(left, str) and isinstance(right, str) and {left, right} <= _KNOWN
        if known and left != right and not ({left, right} <= times):
            raise _mismatch(operator, (left, right), line, column)
        if known and left == right == "bool":
            raise _mismatch(operator, (left, right), line, column)
        return left if left == right and left in _NUMBERS | {"string", "bytes"} else _DYN

    def _conditionaland(self, tree: Any) -> Type:
        return self._logical(tree)

    def _conditionalor(self, tree: Any) -> Type:
        return self._logical(tree)

    def _logical(self, tree: Any) -> Type:
        types = [self.type(child) for child in tree.children]
        if any(isinstance(found, str) and found in _KNOWN - {"bool"} for found in types):
            first = tree.children[0].meta
            wrong = next(found for found in types if isinstance(found, str) and found in _KNOWN - {"bool"})
            text = f"expected type 'bool' but found '{wrong}'"
            raise _Complaint(getattr(first, "line", 1), getattr(first, "column", 1), text)
        return "bool"

    def _unary(self, tree: Any) -> Type:
        found = self.type(tree.children[1])
        if tree.children[0].data == "unary_not":
            if isinstance(found, str) and found in _KNOWN - {"bool"}:
                raise _mismatch("!_", (found,), tree.meta.line, tree.meta.column)
            return "bool"
        return found

    def _expr(self, tree: Any) -> Type:
        types = [self.type(child) for child in tree.children]
        return types[1] if types[1] == types[2] else _DYN

    def _list_lit(self, tree: Any) -> Type:
        types = [self.type(item) for item in _arguments(tree, 0)]
        return ("list", types[0] if types and all(found == types[0] for found in types) else _DYN)


def _mismatch(operator: str, types: tuple[Type, ...], line: int, column: int) -> _Complaint:
    shown = ", ".join(type_name(found) for found in types)
    return _Complaint(line, max(column, 1), f"found no matching overload for '{operator}' applied to '({shown})'")


def _arguments(tree: Any, at: int) -> list[Any]:
    return list(tree.children[at].children) if len(tree.children) > at else []


def type_name(found: Type) -> str:
    """A type as the server names it."""
    if isinstance(found, Node):
        return "object"
    if isinstance(found, tuple):
        return f"list({type_name(found[1])})" if found[0] == "list" else f"map(string, {type_name(found[1])})"
    return found


_META = Node(type="object", properties={"name": Node(type="string"), "generateName": Node(type="string")})


def _type_of(node: Node, *, root: bool = False) -> Any:
    """The type of what a schema describes; None when rules cannot see it."""
    if node.int_or_string:
        return _DYN
    if node.type == "object":
        if node.values is not None:
            inner = _type_of(node.values)
            return ("map", inner) if inner is not None else None
        if node.additional is True and not node.properties:
            return _DYN
        if root or node.embedded:
            text = Node(type="string")
            given = {**node.properties, "apiVersion": text, "kind": text, "metadata": _META}
            return Node(type="object", properties=given, raw=node.raw)
        return node
    if node.type == "array":
        inner = _type_of(node.items) if node.items is not None else None
        return ("list", inner) if inner is not None else None
    if node.type == "string":
        return _FORMATS.get(str(node.raw.get("format") or ""), "string")
    return _SCALARS.get(node.type)


def check_expression(source: str, node: Node, wanted: str, *, root: bool, optional_old_self: bool) -> tuple[str | None, bool]:
    """What is wrong with an expression in a schema's rule, in the compiler's words, and whether it uses `oldSelf`.

    `wanted`: the type it must have, `bool` or `string`.
    """
    try:
        tree = parse_rule(source)
    except CelSyntaxError as exc:
        return str(exc), False
    uses = any(isinstance(found.children[0], str) and str(found.children[0]) == "oldSelf" for found in tree.find_data("ident"))
    try:
        found = StaticCheck(node, root=root, optional_old_self=optional_old_self).type(tree)
    except _Complaint as exc:
        return complaint(source, exc.line, exc.column, exc.text), uses
    except RecursionError:
        return "ERROR: <input>:-1:0: expression recursion limit exceeded: 250", uses
    if found not in (wanted, _DYN):
        return "", uses
    return None, uses
