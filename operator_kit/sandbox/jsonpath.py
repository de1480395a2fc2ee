r"""The JSONPath subset of printer columns and scale paths: fields, indexes, wildcards, slices, descent and filters.

`.spec.replicas`, `.metadata.annotations.example\.com/x`, `.spec['a.b']`, `.items[0]`, `.items[*].name`,
`.status.conditions[?(@.type=="Ready")].status`. Missing keys find nothing; only a path that cannot be read is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

__all__ = ["find"]

Step = Callable[[Any], Iterator[Any]]

_NAME = re.compile(r"(?:\\.|[^.\[\]\\])+")
_FILTER = re.compile(r"\?\(\s*(?P<left>.+?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*\)")
_MAX_LENGTH = 2000


def find(document: Any, path: str) -> list[Any]:
    """All that a path finds, in order. Raises `ValueError` for a path that cannot be read."""
    found = [document]
    for step in _parse(path):
        found = [item for value in found for item in step(value)]
    return found


@lru_cache(maxsize=1024)
def _parse(path: str) -> tuple[Step, ...]:
    if len(path) > _MAX_LENGTH:
        raise ValueError("unrecognized column definition: too long")
    text = path.strip().removeprefix("$")
    steps: list[Step] = []
    place = 0
    while place < len(text):
        if text.startswith("..", place):
            steps.append(_descend)
            place += 1 if not text.startswith("..[", place) else 2
        elif text[place] == ".":
            match = _NAME.match(text, place + 1)
            if match is None:
                if text.startswith(".[", place):
                    place += 1
                    continue
                raise ValueError(f'unrecognized column definition "{path}"')
            name = re.sub(r"\\(.)", r"\1", match[0])
            steps.append(_each if name == "*" else _field(name))
            place = match.end()
        elif text[place] == "[":
            end = _closing(text, place)
            steps.append(_bracket(text[place + 1 : end].strip(), path))
            place = end + 1
        else:
            raise ValueError(f'unrecognized column definition "{path}"')
    return tuple(steps)


def _closing(text: str, start: int) -> int:
    """The place of the bracket that closes the one at `start`, quotes respected."""
    depth, quote = 0, ""
    for place in range(start, len(text)):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if depth == 0:
                return place
    raise ValueError(f'unterminated array in "{text}"')


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[key] for key in sorted(value))
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for item in _each(value):
        yield from _descend(item)


def _bracket(inside: str, path: str) -> Step:
    if inside == "*":
        return _each
    if len(inside) >= 2 and inside[0] in "'\"" and inside[-1] == inside[0]:
        return _field(inside[1:-1])
    if inside.startswith("?"):
        return _filter(inside, path)
    parts = inside.split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"\s*-?\d{0,9}\s*", part) for part in parts) or not inside:
        raise ValueError(f"invalid array index {inside}")
    numbers = [int(part) if part.strip() else None for part in parts]

    def step(value: Any) -> Iterator[Any]:
        if not isinstance(value, list):
            return
        if len(numbers) > 1:
            if numbers[-1] != 0 or len(numbers) < 3:
                yield from value[slice(*numbers)]
        elif numbers[0] is not None and -len(value) <= numbers[0] < len(value):
            yield value[numbers[0]]

    return step


def _filter(inside: str, path: str) -> Step:
    match = _FILTER.fullmatch(inside)
    if match is None or (match["op"] is None and re.search("[=<>!]", match["left"])):
        raise ValueError(f'unrecognized column definition "{path}"')
    left, op, right = _operand(match["left"]), match["op"], _operand(match["right"] or "null")

    def holds(item: Any) -> bool:
        try:
            a = left(item)
            if op is None:
                return bool(a)
            b = right(item)
        except ValueError:
            return False
        if not a or not b:
            return False
        return _compare(a[0], b[0], op)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (item for item in value if holds(item))

    return step


def _operand(text: str) -> Callable[[Any], list[Any]]:
    text = text.strip()
    if text.startswith("@"):
        _parse(text[1:])  # so that a path that cannot be read is an error now
        return lambda item: find(item, text[1:])
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return lambda _: [text[1:-1]]
    constants: dict[str, Any] = {"true": True, "false": False, "null": None}
    if text in constants:
        return lambda _: [constants[text]]
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"unrecognized filter operand {text}") from None
    return lambda _: [number]


def _compare(a: Any, b: Any, op: str) -> bool:
    plain = (int, float)
    comparable = (isinstance(a, str) and isinstance(b, str)) or (isinstance(a, plain) and isinstance(b, plain))
    if op == "==":
        return comparable and bool(a == b)
    if op == "!=":
        return not comparable or bool(a != b)
    if not comparable:
        return False
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])
