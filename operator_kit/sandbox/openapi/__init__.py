"""OpenAPI documents of what is served, v3 and v2: enough for kubectl's validation, explain and apply."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from operator_kit.sandbox.openapi.documents import Documents
from operator_kit.sandbox.registry import Registry

__all__ = ["Documents", "v2", "v3", "v3_index"]

_documents: WeakKeyDictionary[Registry, Documents] = WeakKeyDictionary()


def _of(registry: Registry) -> Documents:
    found = _documents.get(registry)
    if found is None:
        found = _documents[registry] = Documents(registry)
    return found


def v3_index(registry: Registry) -> dict[str, Any]:
    """What `/openapi/v3` answers. Shared: not to be changed."""
    return _of(registry).index()


def v3(registry: Registry, path: str) -> dict[str, Any] | None:
    """The document of a group and version (`api/v1`, `apis/apps/v1`), or None. Shared: not to be changed."""
    return _of(registry).v3(path)


def v2(registry: Registry) -> dict[str, Any]:
    """What `/openapi/v2` answers as JSON. Shared: not to be changed."""
    return _of(registry).v2()
