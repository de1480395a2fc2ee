"""CEL's functions on strings and lists, sets among them, as Kubernetes has them."""

from __future__ import annotations

import re
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from celpy import celtypes

from operator_kit.sandbox.schema.cel.arguments import Function, cel_int, cel_string, plain_int, plain_list, plain_text
from operator_kit.sandbox.schema.cel.values import boolean, equal, in_order, to_text
from operator_kit.sandbox.schema.regex import BadPattern, compile_pattern

__all__ = ["GLOBALS", "METHODS", "QUALIFIED"]

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


# --------------------------------------------------------------------------- strings


def _size(value: Any) -> Any:
    if not isinstance(value, str | bytes | list | dict):
        raise TypeError("no such overload")
    return cel_int(len(value))


def _char_at(text: Any, at: Any) -> Any:
    plain, where = plain_text(text), plain_int(at)
    if not 0 <= where <= len(plain):
        raise ValueError(f"index out of range: {where}")
    return cel_string(plain[where : where + 1])


def _index_of(value: Any, wanted: Any, start: Any = None) -> Any:
    if isinstance(value, list):
        return cel_int(next((at for at, item in enumerate(value) if equal(item, wanted)), -1))
    return cel_int(plain_text(value).find(plain_text(wanted), 0 if start is None else plain_int(start)))


def _last_index_of(value: Any, wanted: Any, end: Any = None) -> Any:
    if isinstance(value, list):
        return cel_int(max((at for at, item in enumerate(value) if equal(item, wanted)), default=-1))
    plain, part = plain_text(value), plain_text(wanted)
    return cel_int(plain.rfind(part) if end is None else plain.rfind(part, 0, plain_int(end) + len(part)))


def _substring(text: Any, start: Any, end: Any = None) -> Any:
    plain, first = plain_text(text), plain_int(start)
    last = len(plain) if end is None else plain_int(end)
    if not 0 <= first <= len(plain):
        raise ValueError(f"index out of range: {first}")
    if not 0 <= last <= len(plain):
        raise ValueError(f"index out of range: {last}")
    if first > last:
        raise ValueError(f"invalid substring range. start: {first}, end: {last}")
    return cel_string(plain[first:last])


def _split(text: Any, separator: Any, limit: Any = None) -> Any:
    plain, by = plain_text(text), plain_text(separator)
    most = -1 if limit is None else plain_int(limit)
    if most == 0:
        return celtypes.ListType([])
    parts = list(plain) if not by else plain.split(by, most - 1 if most > 0 else -1)
    if not by and 0 < most < len(parts):
        parts = [*parts[: most - 1], "".join(parts[most - 1 :])]
    return celtypes.ListType([cel_string(part) for part in parts])


def _join(values: Any, separator: Any = "") -> Any:
    return cel_string(plain_text(separator).join(plain_text(value) for value in plain_list(values)))


def _replace(text: Any, old: Any, new: Any, limit: Any = None) -> Any:
    return cel_string(plain_text(text).replace(plain_text(old), plain_text(new), -1 if limit is None else plain_int(limit)))


def _format(template: Any, arguments: Any) -> Any:
    values = list(plain_list(arguments))

    def put(match: re.Match[str]) -> str:
        precision, kind = match[1], match[2]
        if kind == "%":
            return "%"
        if not values:
            raise ValueError("index 0 out of range")
        value = values.pop(0)
        if kind in {"f", "e"}:
            return f"{float(value):.{precision or 6}{kind}}"
        if kind in {"d", "b", "o", "x", "X"}:
            return format(plain_int(value), kind) if kind != "x" or isinstance(value, int) else plain_text(value).encode().hex()
        return to_text(value)

    return cel_string(re.sub(r"%(?:\.(\d+))?([a-zA-Z%])", put, plain_text(template)))


def _matches(text: Any, pattern: Any) -> Any:
    return boolean(_pattern(pattern).search(plain_text(text)))


def _pattern(pattern: Any) -> Any:
    try:
        return compile_pattern(plain_text(pattern))
    except BadPattern as exc:
        raise ValueError(str(exc)) from None


def _find(text: Any, pattern: Any) -> Any:
    match = _pattern(pattern).search(plain_text(text))
    return cel_string(match.group(0) if match else "")


def _find_all(text: Any, pattern: Any, limit: Any = None) -> Any:
    most = -1 if limit is None else plain_int(limit)
    found = [cel_string(match.group(0)) for match in _pattern(pattern).finditer(plain_text(text))]
    return celtypes.ListType(found if most < 0 else found[:most])


# --------------------------------------------------------------------------- lists and sets


def _sorted(values: Any) -> Any:
    items = plain_list(values)
    return boolean(all(in_order(left, right) <= 0 for left, right in pairwise(items)))


def _sort(values: Any) -> Any:
    return celtypes.ListType(sorted(plain_list(values), key=cmp_to_key(in_order)))


def _sum(values: Any) -> Any:
    items = plain_list(values)
    if not items:
        return cel_int(0)
    total = items[0]
    for item in items[1:]:
        total = total + item
    return total


def _extreme(sign: int, name: str) -> Function:
    def pick(values: Any) -> Any:
        items = plain_list(values)
        if not items:
            raise ValueError(f"{name} called on empty list")
        best = items[0]
        for item in items[1:]:
            if in_order(item, best) * sign > 0:
                best = item
        return best

    return pick


def _slice(values: Any, start: Any, end: Any) -> Any:
    items, first, last = plain_list(values), plain_int(start), plain_int(end)
    if not 0 <= first <= last <= len(items):
        raise ValueError(f"cannot slice({first}, {last}), list is length {len(items)}")
    return celtypes.ListType(items[first:last])


def _flatten(values: Any, depth: Any = 1) -> Any:
    level = plain_int(depth)
    found: list[Any] = []
    for item in plain_list(values):
        found += list(_flatten(item, level - 1)) if isinstance(item, list) and level > 0 else [item]
    return celtypes.ListType(found)


def _distinct(values: Any) -> Any:
    found: list[Any] = []
    for item in plain_list(values):
        if not any(equal(item, other) for other in found):
            found.append(item)
    return celtypes.ListType(found)


def _contains_all(left: Any, right: Any) -> bool:
    return all(any(equal(item, other) for other in plain_list(left)) for item in plain_list(right))


def _spread(values: tuple[Any, ...]) -> list[Any]:
    return list(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)


METHODS: dict[str, Function] = {
    "size": _size,
    "contains": lambda text, part: boolean(plain_text(part) in plain_text(text)),
    "startsWith": lambda text, part: boolean(plain_text(text).startswith(plain_text(part))),
    "endsWith": lambda text, part: boolean(plain_text(text).endswith(plain_text(part))),
    "matches": _matches,
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "substring": _substring,
    "split": _split,
    "join": _join,
    "replace": _replace,
    "format": _format,
    "lowerAscii": lambda text: cel_string(plain_text(text).translate(_LOWER)),
    "upperAscii": lambda text: cel_string(plain_text(text).translate(_UPPER)),
    "trim": lambda text: cel_string(plain_text(text).strip()),
    "reverse": lambda value: celtypes.ListType(value[::-1]) if isinstance(value, list) else cel_string(plain_text(value)[::-1]),
    "find": _find,
    "findAll": _find_all,
    "isSorted": _sorted,
    "sort": _sort,
    "sum": _sum,
    "min": _extreme(-1, "min"),
    "max": _extreme(1, "max"),
    "slice": _slice,
    "flatten": _flatten,
    "distinct": _distinct,
}

GLOBALS: dict[str, Function] = {
    "size": _size,
    "string": lambda value: cel_string(to_text(value)),
    "matches": _matches,
}

QUALIFIED: dict[str, Function] = {
    "sets.contains": lambda left, right: boolean(_contains_all(left, right)),
    "sets.equivalent": lambda left, right: boolean(_contains_all(left, right) and _contains_all(right, left)),
    "sets.intersects": lambda left, right: boolean(any(equal(a, b) for a in plain_list(left) for b in plain_list(right))),
    "math.greatest": lambda *values: _extreme(1, "math.greatest")(celtypes.ListType(_spread(values))),
    "math.least": lambda *values: _extreme(-1, "math.least")(celtypes.ListType(_spread(values))),
}
