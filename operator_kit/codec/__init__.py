"""JSON in and out, and private copies of objects: the one place that knows how.

The `fast` extra (msgspec) is used where it is installed; the standard library otherwise. Both give the same dicts.
Keys are text, numbers are int or float, and what is not JSON is refused with `ValueError`.
"""

from __future__ import annotations

from typing import Any

from operator_kit.codec.raw import (
    LAST_APPLIED,
    BadLine,
    Head,
    Identity,
    RawObject,
    Record,
    Version,
    flat_labels,
    flat_owners,
    parse_version,
    shared,
)

__all__ = [
    "ACCELERATED",
    "LAST_APPLIED",
    "BadLine",
    "Head",
    "Identity",
    "RawObject",
    "Record",
    "Version",
    "clone",
    "dumps",
    "dumps_sorted",
    "flat_labels",
    "flat_owners",
    "loads",
    "parse_version",
    "read_events",
    "shared",
    "visit_raw",
]

try:
    import msgspec as _msgspec  # noqa: F401  # asked for by itself: an error in our own half is not to pass for its absence
except ImportError:
    ACCELERATED = False
    from operator_kit.codec.standard import dumps, dumps_sorted, loads, read_events, visit_raw
else:
    ACCELERATED = True
    from operator_kit.codec.fast import dumps, dumps_sorted, loads, read_events, visit_raw  # type: ignore[assignment]


def clone(value: Any) -> Any:
    """A deep, private copy of a JSON value (dicts, lists, text, numbers, booleans, None)."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value
