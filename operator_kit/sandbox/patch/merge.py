"""JSON merge patch (RFC 7386): nulls delete, objects merge, everything else replaces."""

from __future__ import annotations

from typing import Any

__all__ = ["merge_patch"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge `patch` into `target`, in place where both are objects, and return the result.

    As in the server, nulls inside new values are dropped too, also below arrays (where only the keys of objects can go).
    """
    if not isinstance(target, dict) or not isinstance(patch, dict):
        return _without_nulls(patch)
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(target.get(key), dict) and isinstance(value, dict):
            merge_patch(target[key], value)
        elif isinstance(target.get(key), dict):
            target[key] = value
        else:
            target[key] = _without_nulls(value)
    return target


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
