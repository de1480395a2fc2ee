"""Which resources are served, in which versions, and by what rules: the built-in table plus whatever CRDs add and take away.

The registry is the one place that answers "what is at this path?". It changes only when a CRD does; `generation` counts the
changes, so that discovery and OpenAPI documents are made once per state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from operator_kit.objects import GVK

if TYPE_CHECKING:
    from operator_kit.sandbox.schema import Schema
    from operator_kit.sandbox.storage import ResourceStore
    from operator_kit.sandbox.structure import Structure

__all__ = ["CrdVersion", "Registry", "Rules", "Served", "Subresource", "version_order"]

READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
# A custom resource lists its verbs in another order than a built-in one does.
CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
GET_PATCH_UPDATE = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """One subresource: what kind it shows and which verbs it takes. An empty group and version are those of the resource."""

    name: str
    kind: str
    group: str = ""
    version: str = ""
    verbs: tuple[str, ...] = GET_PATCH_UPDATE


@dataclass(frozen=True, slots=True)
class Rules:
    """How a kind behaves where kinds differ.

    `generation` is counted up when anything but metadata and status changes. `owned_fields` are the top-level fields that a
    write to `/status` leaves alone beside metadata (`("spec",)` mostly; empty: everything but status). `name` picks the
    name rule: `subdomain`, `label`, `label1035` (a Service) or `path` (RBAC).
    """

    generation: bool = False
    unconditional_update: bool = True
    create_on_update: bool = False
    returns_deleted: bool = False
    name: str = "subdomain"
    fields: tuple[str, ...] = ()
    graceful: bool = False
    orphan_by_default: bool = False
    secret_like: bool = False


@dataclass(frozen=True, slots=True)
class CrdVersion:
    """What a CRD says of one version, compiled."""

    schema: Schema
    structure: Structure
    has_status: bool
    scale: Mapping[str, str] | None
    printer_columns: tuple[Mapping[str, Any], ...]
    selectable_fields: tuple[str, ...]
    deprecation_warning: str = ""
    openapi: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Served:
    """One resource in one version. `storage_version` is the apiVersion its objects are stored in."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ_WRITE
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    rules: Rules = Rules()
    storage_version: str = ""
    store: ResourceStore | None = None
    crd: CrdVersion | None = None
    crd_name: str = ""
    terminating: bool = False

    def __post_init__(self) -> None:
        self.list_kind = self.list_kind or f"{self.kind}List"
        self.storage_version = self.storage_version or self.api_version

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.group, self.version, self.kind)

    @property
    def resource(self) -> str:
        """`"pods"` or `"deployments.apps"`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def custom(self) -> bool:
        """Whether a CRD defines it."""
        return self.crd is not None

    @property
    def has_status(self) -> bool:
        """Whether status is a subresource: kept apart from the rest in writes."""
        return "status" in self.subresources

    def objects(self) -> ResourceStore:
        """Where its objects are. Only reviews and the like have no store; asking for theirs is a defect."""
        assert self.store is not None, f"{self.resource} stores nothing"
        return self.store

    def key(self, namespace: str, name: str) -> str:
        """The key of an object in the store."""
        return f"{namespace}/{name}" if self.namespaced else name

    def __repr__(self) -> str:
        return f"<Served {self.plural} {self.api_version}>"


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key of versions as Kubernetes prefers them: v2, v1, v1beta2, v1beta1, v1alpha1, then anything else by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), "")


class Registry:
    """What is served. Groups keep the order in which the server's discovery lists them: built-in first, then CRDs' by name."""

    def __init__(self, builtin: Iterable[Served]) -> None:
        self.generation = 0
        self._resources: dict[tuple[str, str, str], Served] = {}
        self._groups: dict[str, list[str]] = {}
        self._builtin_groups: list[str] = []
        for served in builtin:
            self._resources[(served.group, served.version, served.plural)] = served
            versions = self._groups.setdefault(served.group, [])
            if served.version not in versions:
                versions.append(served.version)
        self._builtin_groups = list(self._groups)

    def get(self, group: str, version: str, plural: str) -> Served | None:
        """What is at `/apis/GROUP/VERSION/PLURAL`, or None."""
        return self._resources.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Served | None:
        """The resource of a kind, as an object names it, or None. Resources that store objects come first."""
        found = [served for served in self._resources.values() if served.kind == kind and served.api_version == api_version]
        return next((served for served in found if served.store is not None), found[0] if found else None)

    def of_group_kind(self, group: str, kind: str) -> Served | None:
        """The resource of a kind in any version, or None."""
        for served in self._resources.values():
            if served.kind == kind and served.group == group and served.store is not None:
                return served
        return None

    def has_version(self, group: str, version: str) -> bool:
        """Whether anything is served in this group and version."""
        return version in self._groups.get(group, ())

    def is_builtin(self, group: str) -> bool:
        """Whether the group is the server's own."""
        return group in self._builtin_groups

    def groups(self) -> list[str]:
        """The named groups, in discovery order (the core group is not among them)."""
        custom = sorted(group for group in self._groups if group not in self._builtin_groups)
        return [group for group in self._builtin_groups if group] + custom

    def versions(self, group: str) -> list[str]:
        """The versions of a group, the preferred one first."""
        versions = self._groups.get(group, [])
        return list(versions) if group in self._builtin_groups else sorted(versions, key=version_order)

    def resources(self, group: str, version: str) -> list[Served]:
        """What a group and version serves, by name within what CRDs and the built-in table gave."""
        found = [served for key, served in self._resources.items() if key[:2] == (group, version)]
        return sorted(found, key=lambda served: served.plural)

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._resources.values()))

    def storing(self) -> list[Served]:
        """One entry for each resource that holds objects (whatever number of versions serve it)."""
        seen: dict[int, Served] = {}
        for served in self._resources.values():
            if served.store is not None:
                seen.setdefault(id(served.store), served)
        return list(seen.values())

    def replace(self, crd_name: str, served: Iterable[Served]) -> None:
        """Put a CRD's versions in the place of what it had before; with none, it is gone."""
        for key in [key for key, old in self._resources.items() if old.crd_name == crd_name]:
            del self._resources[key]
        for new in served:
            self._resources[(new.group, new.version, new.plural)] = new
        self._groups = {group: versions for group, versions in self._groups.items() if group in self._builtin_groups}
        for group, version, _ in self._resources:
            versions = self._groups.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        self.generation += 1

    def __repr__(self) -> str:
        return f"<Registry {len(self._resources)} resources, generation {self.generation}>"
