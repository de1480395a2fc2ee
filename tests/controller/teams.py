"""A kind for tests on the sandbox: `Team`, whose `spec.members` say what children it has. It has a generation and a status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from operator_kit import Registry
from operator_kit.objects import Object

FINALIZER = "example.com/team"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def crd(scope: str = "Namespaced") -> Object:
    """The definition of the kind."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "teams.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"plural": "teams", "singular": "team", "kind": "Team", "listKind": "TeamList"},
            "versions": [version],
        },
    }


def team(name: str = "red", members: Iterable[str] = (), **spec: Any) -> Object:
    """A Team."""
    return {"apiVersion": "example.com/v1", "kind": "Team", "metadata": {"name": name}, "spec": {"members": [*members], **spec}}


def config_map(name: str, namespace: str = "", data: Mapping[str, str] | None = None) -> Object:
    """A ConfigMap to be applied."""
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data or {"made": "by operator-kit"})}


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def teams(function: Callable[..., Any], *, cleanup: Callable[..., Any] | None = None, **options: Any) -> Registry:
    """A registry with this reconciler of Teams."""
    registry = Registry()
    made = registry.reconciler("Team", **options)(function)
    if cleanup is not None:
        made.cleanup(cleanup)
    return registry
