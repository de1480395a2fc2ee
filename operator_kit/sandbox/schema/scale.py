"""What the scale subresource demands of a custom resource: replica counts that are counts, a selector that is text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.golang import go_value, is_int64
from operator_kit.sandbox.status import Cause

__all__ = ["check_scale"]

_INT32_MAX = 2**31 - 1
_GO_TYPES = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    type(None): "<nil>",
}


def check_scale(scale: Mapping[str, Any] | None, obj: Mapping[str, Any], *, spec: bool) -> list[Cause]:
    """Complaints about the fields that a scale subresource shows; `spec`: also about the wanted count, not only the status."""
    if not scale:
        return []
    causes = _replicas(obj, scale.get("specReplicasPath")) if spec else []
    causes += _replicas(obj, scale.get("statusReplicasPath"))
    selector = scale.get("labelSelectorPath")
    if isinstance(selector, str) and selector:
        found, value, wrong = _nested(obj, selector)
        if found and not isinstance(value, str):
            causes.append(fields.invalid(selector, "", wrong or _accessor(selector, value, "string")))
    return causes


def _replicas(obj: Mapping[str, Any], path: Any) -> list[Cause]:
    if not isinstance(path, str) or not path:
        return []
    found, value, wrong = _nested(obj, path)
    if not found:
        return []
    if wrong or not is_int64(value):
        return [fields.invalid(path, 0, wrong or _accessor(path, value, "int64"))]
    if value < 0:
        return [fields.invalid(path, value, "should be a non-negative integer")]
    if value > _INT32_MAX:
        return [fields.invalid(path, value, f"should be less than or equal to {_INT32_MAX}")]
    return []


def _accessor(path: str, value: Any, expected: str) -> str:
    shown = value if isinstance(value, str) else "<nil>" if value is None else go_value(value)
    return (
        f".{path.removeprefix('.')} accessor error: {shown} is of the type {_GO_TYPES.get(type(value), '?')}, expected {expected}"
    )


def _nested(obj: Mapping[str, Any], path: str) -> tuple[bool, Any, str]:
    """Whether there is a value at a path, the value, and what is wrong with the way to it."""
    value: Any = obj
    walked: list[str] = []
    for name in path.removeprefix(".").split("."):
        walked.append(name)
        if value is None:
            return False, None, ""
        if not isinstance(value, Mapping):
            return True, None, _accessor(".".join(walked), value, "map[string]interface{}")
        if name not in value:
            return False, None, ""
        value = value[name]
    return True, value, ""
