"""Discovery: what is served, in the two forms clients ask for - one document per group and version, and all of it aggregated.

Documents are made from the registry and kept until it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operator_kit.sandbox.registry import Registry, Served

__all__ = ["VERSION", "Discovery"]

Document = dict[str, Any]

VERSION: Document = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "operator-kit-sandbox",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.10",
    "compiler": "gc",
    "platform": "linux/amd64",
}


class Discovery:
    """The discovery documents of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[tuple[str, ...], Document | None] = {}
        self._generation = -1

    def _kept(self, key: tuple[str, ...], make: Callable[[], Document | None]) -> Document | None:
        if self._generation != self._registry.generation:
            self._made.clear()
            self._generation = self._registry.generation
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def core_versions(self, address: str) -> Document:
        """`/api`."""
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        }

    def groups(self) -> Document:
        """`/apis`."""
        groups = [self._group(name) for name in self._registry.groups()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Document | None:
        """`/apis/GROUP`, or None for a group nobody serves."""
        if name not in self._registry.groups():
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def _group(self, name: str) -> Document:
        versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in self._registry.versions(name)]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def resources(self, group: str, version: str) -> Document | None:
        """`/api/VERSION` or `/apis/GROUP/VERSION`, or None where nobody serves it."""
        return self._kept(("resources", group, version), lambda: self._resources(group, version))

    def _resources(self, group: str, version: str) -> Document | None:
        if not self._registry.has_version(group, version):
            return None
        listed: list[Document] = []
        for served in self._registry.resources(group, version):
            listed.append(_resource(served))
            listed.extend(_subresources(served))
        api_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}

    def aggregated(self, *, core: bool, beta: bool) -> Document:
        """`/api` or `/apis` in the aggregated form, `apidiscovery.k8s.io` v2 or v2beta1."""
        key = ("aggregated", str(core), str(beta))
        made = self._kept(key, lambda: self._aggregated(core=core, beta=beta))
        assert made is not None
        return made

    def _aggregated(self, *, core: bool, beta: bool) -> Document:
        items = []
        for group in [""] if core else self._registry.groups():
            versions = [
                {
                    "version": version,
                    "resources": [_aggregated_resource(served) for served in self._registry.resources(group, version)],
                    "freshness": "Current",
                }
                for version in self._registry.versions(group)
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": versions})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{'v2beta1' if beta else 'v2'}",
            "metadata": {},
            "items": items,
        }


def _resource(served: Served) -> Document:
    document: Document = {
        "name": served.plural,
        "singularName": served.singular,
        "namespaced": served.namespaced,
        "kind": served.kind,
        "verbs": list(served.verbs),
    }
    if served.short_names:
        document["shortNames"] = list(served.short_names)
    if served.categories:
        document["categories"] = list(served.categories)
    return document


def _subresources(served: Served) -> list[Document]:
    found = []
    for sub in served.subresources.values():
        document: Document = {
            "name": f"{served.plural}/{sub.name}",
            "singularName": "",
            "namespaced": served.namespaced,
            "kind": sub.kind,
            "verbs": list(sub.verbs),
        }
        if sub.group:
            document["group"], document["version"] = sub.group, sub.version
        found.append(document)
    return found


def _aggregated_resource(served: Served) -> Document:
    document: Document = {
        "resource": served.plural,
        "responseKind": _kind(served, served.kind),
        "scope": "Namespaced" if served.namespaced else "Cluster",
        "singularResource": served.singular,
        "verbs": list(served.verbs),
    }
    if served.short_names:
        document["shortNames"] = list(served.short_names)
    if served.categories:
        document["categories"] = list(served.categories)
    if served.subresources:
        document["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _kind(served, sub.kind, sub.group, sub.version),
                "verbs": list(sub.verbs),
            }
            for sub in served.subresources.values()
        ]
    return document


def _kind(served: Served, kind: str, group: str = "", version: str = "") -> Document:
    """A built-in resource leaves its own group and version out."""
    if not group and served.custom:
        group, version = served.group, served.version
    return {"group": group, "version": version, "kind": kind}
