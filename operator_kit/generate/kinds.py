"""Kinds without an API server: from CustomResourceDefinitions, from models, and from whoever knows the built-in ones.

What they say is put into the form of an API server's discovery and looked up there, so that a name means the same with a
server and without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from operator_kit.api import Discovery
from operator_kit.clock import Clock
from operator_kit.controller import Registry
from operator_kit.errors import ConfigError, KindNotFound
from operator_kit.objects import GVK, Object, Resource
from operator_kit.settings import suggest

__all__ = ["Kinds", "resources_of_crd", "resources_of_models"]


class Kinds:
    """Kinds that are known without asking a server.

    Args:
        resources: they, each group's versions in the order in which they are preferred.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources = list(dict.fromkeys(resources))
        document = _document(self._resources)

        def get(path: str, *_: Any) -> Object:
            return document if path == "/apis" else _document(())

        self._discovery = Discovery(get, clock=Clock())

    def resolve(self, name: str) -> Resource:
        """The resource that an author's name means. Raises `KindNotFound`, `AmbiguousKind` or `UsageError`."""
        try:
            return self._discovery.resolve(name)
        except KindNotFound:
            kind = name.rpartition("/")[2].partition(".")[0]
            same = [str(resource) for resource in self._resources if resource.kind == kind]
            near = suggest(kind, [resource.kind for resource in self._resources])
            hint = f"; there is {' and '.join(same)}" if same else near if "did you mean" in near else ""
            raise KindNotFound(
                f"the kind {name} is not known here{hint}; give its definition with --crd FILE, or an API server with "
                "--kubeconfig FILE"
            ) from None


def _document(resources: Iterable[Resource]) -> Object:
    groups: dict[str, dict[str, list[Object]]] = {}
    for resource in resources:
        groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(
            {
                "resource": resource.plural,
                "responseKind": {"kind": resource.kind},
                "scope": "Namespaced" if resource.namespaced else "Cluster",
                "singularResource": resource.singular,
                "shortNames": list(resource.short_names),
                "verbs": sorted(resource.verbs),
                "subresources": [{"subresource": name} for name in sorted(resource.subresources)],
            }
        )
    items = [
        {
            "metadata": {"name": group},
            "versions": [{"version": version, "resources": found} for version, found in versions.items()],
        }
        for group, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "items": items}


def resources_of_crd(crd: Mapping[str, Any], origin: str) -> Iterator[Resource]:
    """The kind of a CustomResourceDefinition in each version it serves. Raises `ConfigError` for what is none."""
    try:
        spec = crd["spec"]
        names = spec["names"]
        # The stored version first: which one a server prefers follows from all their names, and only rarely matters here.
        for version in sorted(spec["versions"], key=lambda each: not each.get("storage")):
            if version["served"]:
                yield Resource(
                    str(spec["group"]),
                    str(version["name"]),
                    str(names["kind"]),
                    str(names["plural"]),
                    namespaced=spec["scope"] == "Namespaced",
                    subresources=frozenset(version.get("subresources") or ()),
                )
    except (KeyError, TypeError, AttributeError) as exc:
        name = (crd.get("metadata") or {}).get("name") or "without a name"
        raise ConfigError(f"{origin}: the CustomResourceDefinition {name} is not complete: {type(exc).__name__} {exc}") from None


def resources_of_models(registry: Registry) -> Iterator[Resource]:
    """The kinds of the classes that reconcilers were registered with. `operator-kit crd` gives each a status subresource."""
    for made in registry:
        definition: Any = getattr(made.model, "__definition__", None)
        if definition is not None:
            gvk: GVK = definition.gvk
            yield Resource(
                gvk.group,
                gvk.version,
                gvk.kind,
                definition.plural,
                namespaced=definition.namespaced,
                subresources=frozenset({"status", *(("scale",) if definition.scale is not None else ())}),
            )
