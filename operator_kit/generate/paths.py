"""Plain paths such as `.spec.replicas`, followed through a structural schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["field_at"]

_METADATA = {
    "creationTimestamp": {"type": "string", "format": "date-time"},
    "generation": {"type": "integer"},
    "name": {"type": "string"},
    "namespace": {"type": "string"},
}


def field_at(schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The schema of the field, or None where there is none."""
    if not path.startswith("."):
        return None
    steps = path[1:].split(".")
    if steps[0] == "metadata":
        return _METADATA.get(steps[1]) if len(steps) == 2 else None
    at: Mapping[str, Any] | None = schema
    for step in steps:
        if at is None:
            return None
        at = at.get("properties", {}).get(step, at.get("additionalProperties"))
    return at
