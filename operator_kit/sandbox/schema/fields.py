"""Complaints about fields in the API server's words: one function per kind of error of `k8s.io/apimachinery`'s `field` package.

Each returns a `Cause`. A path is the text the server shows, e.g. `spec.ports[0].name`; `child`, `index` and `key` build it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operator_kit.sandbox.schema.golang import go_json, go_value, quote
from operator_kit.sandbox.status import Cause

__all__ = [
    "BLOCKING",
    "OMIT",
    "child",
    "duplicate",
    "forbidden",
    "immutable",
    "index",
    "internal",
    "invalid",
    "key",
    "not_found",
    "not_supported",
    "required",
    "too_few",
    "too_long",
    "too_many",
    "type_invalid",
]

OMIT = object()
"""A bad value that is not shown."""

BLOCKING = frozenset(
    {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)
"""Reasons that keep the server from evaluating validation rules (CEL): the object may not have the form they rely on."""


def child(path: str, *names: str) -> str:
    """The path of a field below another one."""
    for name in names:
        path = f"{path}.{name}" if path else name
    return path


def index(path: str, position: int) -> str:
    """The path of a list element."""
    return f"{path}[{position}]"


def key(path: str, name: str) -> str:
    """The path of a map element."""
    return f"{path}[{name}]"


def _shown(path: str) -> str:
    return path or "<nil>"


def _with_detail(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text


def _bad_value(title: str, value: Any) -> str:
    return title if value is OMIT else f"{title}: {go_value(value)}"


def required(path: str, detail: str = "") -> Cause:
    """A value is missing."""
    return Cause("FieldValueRequired", _with_detail("Required value", detail), _shown(path))


def invalid(path: str, value: Any, detail: str) -> Cause:
    """A value breaks a rule; `detail` says which."""
    return Cause("FieldValueInvalid", _with_detail(_bad_value("Invalid value", value), detail), _shown(path))


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    """A value has the wrong type for the schema."""
    return Cause("FieldValueTypeInvalid", _with_detail(_bad_value("Invalid value", value), detail), _shown(path))


def not_supported(path: str, value: Any, supported: Iterable[Any]) -> Cause:
    """A value is none of the allowed ones."""
    names = [quote(item if isinstance(item, str) else go_json(item)) for item in supported]
    detail = f"supported values: {', '.join(names)}" if names else ""
    return Cause("FieldValueNotSupported", _with_detail(_bad_value("Unsupported value", value), detail), _shown(path))


def duplicate(path: str, value: Any) -> Cause:
    """A value stands twice where it must be unique."""
    return Cause("FieldValueDuplicate", _bad_value("Duplicate value", value), _shown(path))


def not_found(path: str, value: Any) -> Cause:
    """A value refers to something that is not there."""
    return Cause("FieldValueNotFound", _bad_value("Not found", value), _shown(path))


def forbidden(path: str, detail: str) -> Cause:
    """A value is not allowed here, however well formed."""
    return Cause("FieldValueForbidden", _with_detail("Forbidden", detail), _shown(path))


def too_long(path: str, limit: int) -> Cause:
    """Text has too many bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} byte{'' if limit == 1 else 's'}", _shown(path))


def too_many(path: str, actual: int, limit: int) -> Cause:
    """A list or map has too many elements."""
    text = f"Too many: {actual}: must have at most {limit} item{'' if limit == 1 else 's'}"
    return Cause("FieldValueTooMany", text, _shown(path))


def too_few(path: str, actual: int, limit: int) -> Cause:
    """A list or map has too few elements."""
    text = f"Too few: {actual}: must have at least {limit} item{'' if limit == 1 else 's'}"
    return Cause("FieldValueTooFew", text, _shown(path))


def internal(path: str, detail: str) -> Cause:
    """The server's own fault."""
    return Cause("InternalError", _with_detail("Internal error", detail), _shown(path))


def immutable(path: str, new: Any, old: Any) -> list[Cause]:
    """One complaint when a value changed that must not, else none."""
    return [] if new == old else [invalid(path, new, "field is immutable")]
