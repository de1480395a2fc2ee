"""CEL text to syntax tree: the CEL library's grammar, with optional selection (`a.?b`, `a[?b]`) added and the tree made small.

The library's tree spells out every level of precedence; all that merely passes one value on is taken out, which makes evaluation
several times faster.
"""

from __future__ import annotations

import re
from typing import Any

import lark
from celpy.celparser import CELParseError, CELParser

__all__ = ["OPTIONAL_INDEX", "OPTIONAL_SELECT", "CelSyntaxError", "Tree", "complaint", "parse_rule"]

OPTIONAL_SELECT, OPTIONAL_INDEX = "optionalSelect__", "optionalIndex__"

Tree = lark.Tree

_MAX_DEPTH = 120
_PASSING = frozenset(
    {
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "primary",
        "paren_expr",
    }
)
_STRING = re.compile(r"[rRbB]{0,2}(\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|//[^\n]*")
_SELECT = re.compile(r"\.\?\s*([_a-zA-Z][_a-zA-Z0-9]*)")


class CelSyntaxError(ValueError):
    """The text is not CEL; the message is in the form of the server's compiler."""


def complaint(source: str, line: int, column: int, text: str) -> str:
    """One complaint as the server's compiler words it: where, what, and the line with a pointer. `column` counts from 1."""
    lines = source.split("\n")
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    return f"ERROR: <input>:{line}:{column}: {text}\n | {shown}\n | {'.' * (column - 1)}^"


def parse_rule(source: str) -> Tree[Any]:
    """The syntax tree of an expression. Raises `CelSyntaxError`."""
    try:
        tree = CELParser().parse(_with_optionals(source))
        small = _small(tree, 0)
    except CELParseError as exc:
        line, column = exc.line or 1, exc.column or 1
        raise CelSyntaxError(complaint(source, line, column, f"Syntax error: {_near(source, line, column)}")) from None
    except RecursionError:
        raise CelSyntaxError("ERROR: <input>:-1:0: expression recursion limit exceeded: 250") from None
    except (lark.exceptions.LarkError, ValueError) as exc:
        raise CelSyntaxError(complaint(source, 1, 1, f"Syntax error: {str(exc).partition(chr(10))[0]}")) from None
    if not isinstance(small, lark.Tree):
        raise CelSyntaxError(complaint(source, 1, 1, "Syntax error: not an expression"))
    return small


def _near(source: str, line: int, column: int) -> str:
    lines = source.split("\n")
    rest = lines[line - 1][column - 1 :] if 0 < line <= len(lines) else ""
    token = re.match(r"\w+|\S|$", rest)
    shown = token[0] if token and token[0] else "<EOF>"
    wanted = "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER"
    return f"mismatched input '{shown}' expecting {{{wanted}}}"


def _with_optionals(source: str) -> str:
    """Optional selection, which the grammar does not know, as a call of a method that it does."""
    if "?" not in source:
        return source
    parts: list[str] = []
    at = 0
    for match in _STRING.finditer(source):
        parts += [_rewrite(source[at : match.start()]), match[0]]
        at = match.end()
    text = "".join([*parts, _rewrite(source[at:])])
    while "[?" in text:
        start = text.index("[?")
        end = _closing(text, start)
        if end < 0:
            return text
        text = f"{text[:start]}.{OPTIONAL_INDEX}({text[start + 2 : end]}){text[end + 1 :]}"
    return text


def _rewrite(code: str) -> str:
    return _SELECT.sub(rf'.{OPTIONAL_SELECT}("\1")', code)


def _closing(text: str, start: int) -> int:
    depth, at = 0, start
    while at < len(text):
        match = _STRING.match(text, at)
        if match:
            at = match.end()
            continue
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if depth == 0:
            return at
        at += 1
    return -1


def _small(tree: Any, depth: int) -> Any:
    while isinstance(tree, lark.Tree) and len(tree.children) == 1 and tree.data in _PASSING:
        tree = tree.children[0]
    if not isinstance(tree, lark.Tree):
        return tree
    if depth > _MAX_DEPTH:
        raise RecursionError
    return lark.Tree(str(tree.data), [_small(child, depth + 1) for child in tree.children], tree.meta)
