"""OpenAPI documents of what is served, v3 and v2: enough for kubectl's validation, explain and apply."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from operator_kit.sandbox.openapi.documents import Documents
from operator_kit.sandbox.registry import Registry

__all__ = ["V2_PROTOBUF", "V2_PROTOBUF_TYPE", "Documents", "v2", "v3", "v3_index"]

V2_PROTOBUF_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""The form in which Go clients want v2. They ask with `@v1.0`, which their own parser of the answer's type cannot read."""

V2_PROTOBUF = b"\x0a\x032.0\x12\x19\x0a\x0aKubernetes\x12\x0bunversioned\x42\x00"
"""A v2 document without a path: swagger (field 1), info (2: title, version), paths (8).

kubectl reads v3, and turns to this for a kind that v3 has not: one whose CustomResourceDefinition is not installed. What it
looks for is not in a real server's document either. An error in its place would hide kubectl's own advice, "ensure CRDs are
installed first".
"""

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
