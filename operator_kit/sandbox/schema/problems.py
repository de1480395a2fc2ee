"""What a schema finds wrong with a value, before it is a cause: where, and what to say about it once the whole path is known.

Checks return problems from the inside out: each level adds its own step to the trail. That way a valid value builds no paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.golang import quote
from operator_kit.sandbox.schema.node import Node
from operator_kit.sandbox.status import Cause

__all__ = ["MapKey", "Problem", "body", "path_of", "quoted", "same", "to_causes", "unchanged"]


class MapKey(str):
    """A step of a trail that is a key of `additionalProperties`, which the server joins in its own way."""

    __slots__ = ()


class Problem:
    """One complaint. `trail` lists the steps from the value outwards; `child` names a field that is missing or not allowed.

    `kind` is `required`, `enum`, `too_long`, `too_many`, `type`, `invalid` or `whole`; `text` says it, given the path.
    """

    __slots__ = ("child", "kind", "text", "trail", "value")

    def __init__(self, kind: str, value: Any, text: Callable[[str], str], child: str = "") -> None:
        self.trail: list[str | int] = []
        self.kind = kind
        self.value = value
        self.text = text
        self.child = child

    def moved(self, step: str | int) -> Problem:
        """The same, seen from one level further out."""
        self.trail.append(step)
        return self

    def __repr__(self) -> str:
        return f"<Problem {self.kind} at {path_of(reversed(self.trail)) or '.'}>"


def body(text: str) -> Callable[[str], str]:
    """The usual form: `spec.size in body TEXT`."""
    return lambda name: f"{name} in body {text}"


def quoted(text: str) -> Callable[[str], str]:
    """The form of what concerns a whole value: `"spec.mode" TEXT`."""
    return lambda name: f"{quote(name)} {text}"


def path_of(steps: Iterable[str | int]) -> str:
    """Steps from the root to a value as the OpenAPI library writes them."""
    path = ""
    for step in steps:
        if type(step) is int:
            path += f"[{step}]"
        elif type(step) is MapKey:
            path += f".{step}"
        else:
            path = f"{path}.{step}" if path else str(step)
    return path


def to_causes(problems: Iterable[Problem], prefix: str = "") -> list[Cause]:
    """Causes in the server's words, each said once. `prefix` is where the checked value stands (`status`), or empty."""
    said: set[tuple[str, str]] = set()
    causes = []
    for problem in sorted(problems, key=_order):
        name = path_of(reversed(problem.trail))
        shown = f"{name}.{problem.child}" if problem.kind == "required" else name
        text = problem.text(shown)
        if (problem.kind, text) in said:
            continue
        said.add((problem.kind, text))
        below = shown.removeprefix(".")
        causes.append(_cause(problem, fields.child(prefix, below) if below else prefix, text, prefix))
    return causes


def _order(problem: Problem) -> list[str]:
    return [step if isinstance(step, str) else f"{step:08}" for step in reversed(problem.trail)]


def _cause(problem: Problem, path: str, text: str, prefix: str) -> Cause:
    value = problem.value
    match problem.kind:
        case "required":
            return fields.required(path)
        case "enum":
            return fields.not_supported(path, value[0], value[1])
        case "too_long":
            return fields.too_long(path, value)
        case "too_many":
            return fields.too_many(path, value[0], value[1])
        case "type":
            return fields.type_invalid(path, value, text)
        case "whole":
            return fields.invalid(prefix, "", text)
        case _:
            return fields.invalid(path, value, text)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; unlike Python's `==`, true is not 1. Values too deep to compare are not."""
    try:
        return _same(left, right)
    except RecursionError:
        return False


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and len(left) == len(right)
            and all(key in right and _same(item, right[key]) for key, item in left.items())
        )
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(_same, left, right))
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


_NOTHING = object()


def unchanged(steps: Iterable[str | int], node: Node | None, new: Any, old: Any) -> bool:
    """Whether the value at the end of the steps, or one that holds it, is what it was before the update.

    That is when the server lets old mistakes stand ("ratcheting"). Elements of lists are told apart by their map keys only.
    """
    if same(new, old):
        return True
    root = True
    for step in steps:
        if root and step in {"apiVersion", "kind"}:
            return False
        root = False
        new, old, node = _follow(step, node, new, old)
        if new is _NOTHING or old is _NOTHING:
            return False
        if same(new, old):
            return True
    return False


def _follow(step: str | int, node: Node | None, new: Any, old: Any) -> tuple[Any, Any, Node | None]:
    if isinstance(step, str):
        if not isinstance(new, dict) or not isinstance(old, dict) or step not in new or step not in old:
            return _NOTHING, _NOTHING, None
        if node is None:
            return new[step], old[step], None
        if node.map_type == "atomic":
            return _NOTHING, _NOTHING, None
        return new[step], old[step], node.properties.get(step, node.values)
    if node is None or node.list_type != "map" or not isinstance(new, list) or not isinstance(old, list):
        return _NOTHING, _NOTHING, None
    item = new[step]
    wanted = _map_key(item, node)
    for candidate in old:
        if _map_key(candidate, node) == wanted:
            return item, candidate, node.items
    return _NOTHING, _NOTHING, None


def _map_key(item: Any, node: Node) -> list[Any]:
    if not isinstance(item, dict):
        return [_NOTHING]
    return [(type(item.get(name)), item.get(name)) for name in node.map_keys]
