"""JSON patch (RFC 6902) with the ways of the library that kube-apiserver uses.

Those differ from the RFC where clients may notice: `replace` of a missing key adds it, a null is the same as nothing for `test`,
and an array index may count from the end. A patch that does not apply is answered 422, without saying why, as the server does.
"""

from __future__ import annotations

import re
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.status import StatusError

__all__ = ["json_patch"]

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024

_INDEX = re.compile(r"[+-]?\d{1,18}", re.ASCII)


class _DoesNotApply(Exception):
    """An operation that cannot be carried out. The reason stays here: the server does not tell it."""


def json_patch(document: Any, operations: Any) -> Any:
    """Apply the operations to `document`, which may be changed, and return the result.

    Raises:
        StatusError: 413 for too many operations, 400 for something else than a list of objects, 422 when one does not apply.
    """
    if not isinstance(operations, list) or not all(isinstance(item, dict) for item in operations):
        text = "error decoding patch: json: cannot unmarshal the patch into Go value of type []handlers.jsonPatchOp"
        raise StatusError(400, "BadRequest", text)
    if len(operations) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity is too large: {text}")
    for item in operations:
        for name in ("op", "path", "from"):
            if not isinstance(item.get(name), str | None):
                text = f"error decoding patch: json: cannot unmarshal into Go struct field jsonPatchOp.{name} of type string"
                raise StatusError(400, "BadRequest", text)
    copied = 0
    try:
        for item in operations:
            document, size = _apply(document, item, MAX_COPIED_BYTES - copied)
            copied += size
    except _DoesNotApply:
        text = "the server rejected our request due to an error in our request"
        raise StatusError(422, "Invalid", text, {}) from None
    return document


def _apply(document: Any, item: dict[str, Any], room: int) -> tuple[Any, int]:
    """One operation: the document after it, and the bytes it copied, of which there is `room` for."""
    kind, path, value = item.get("op"), item.get("path"), item.get("value")
    if kind in {"add", "remove", "replace", "test", "move", "copy"} and path is None:
        raise _DoesNotApply
    assert isinstance(path, str) or path is None
    if kind == "test":
        _test(document, path or "", value)
        return document, 0
    if kind == "replace" and path == "":
        if not isinstance(value, dict | list):
            raise _DoesNotApply
        return codec.clone(value), 0
    if kind == "add":
        _add(*_find(document, path or ""), codec.clone(value))
    elif kind == "remove":
        _remove(*_find(document, path or ""))
    elif kind == "replace":
        _set(*_find(document, path or ""), codec.clone(value))
    elif kind in {"move", "copy"}:
        source = item.get("from")
        if not isinstance(source, str):
            raise _DoesNotApply
        container, key = _find(document, source)
        moved = _get(container, key)
        if kind == "move":
            _remove(container, key)
            _add(*_find(document, path or ""), moved)
            return document, 0
        size = len(codec.dumps(moved))
        if size > room:
            raise _DoesNotApply
        _add(*_find(document, path or ""), codec.clone(moved))
        return document, size
    else:
        raise _DoesNotApply
    return document, 0


def _find(document: Any, path: str) -> tuple[dict[str, Any] | list[Any], str]:
    """The container of what a pointer names, and the last key."""
    parts = path.split("/")
    if len(parts) < 2:
        raise _DoesNotApply
    here = document
    for part in parts[1:-1]:
        here = _get(here, _unescape(part))
    if not isinstance(here, dict | list):
        raise _DoesNotApply
    return here, _unescape(parts[-1])


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _index(key: str, *, room: int) -> int:
    """An array index within `room` places; negative ones count from the end."""
    if not _INDEX.fullmatch(key):
        raise _DoesNotApply
    index = int(key)
    if index < 0:
        index += room
    if not 0 <= index < room:
        raise _DoesNotApply
    return index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    if isinstance(container, list):
        return container[_index(key, room=len(container))]
    raise _DoesNotApply


def _set(container: dict[str, Any] | list[Any], key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container[_index(key, room=len(container))] = value


def _add(container: dict[str, Any] | list[Any], key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(key, room=len(container) + 1), value)


def _remove(container: dict[str, Any] | list[Any], key: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise _DoesNotApply
        del container[key]
    else:
        del container[_index(key, room=len(container))]


def _test(document: Any, path: str, value: Any) -> None:
    found = document if path == "" else _get(*_find(document, path))
    if not _same(found, value):
        raise _DoesNotApply


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same text: `1`, `1.0` and `true` are three different ones."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and bool(left == right)
