"""Which kinds the API server knows, and what an author's name for one means.

A kind is written `"Foo"`, `"Foo.example.com"`, or `"example.com/v1/Foo"` (`"v1/Secret"` for the core group). A name that could
mean more than one is refused with the candidates; one that means nothing, with the nearest. Without a version, the one that the
server prefers counts.

What the server says is asked for once, and again when a name is missing (not more often than once a second: a CRD that is
waited for is waited for by many). A group that cannot answer, as an aggregated API whose server is down, keeps what it last said
and harms no other. Discovery needs no rights beyond those that every user has.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from operator_kit.api.cancel import Cancel
from operator_kit.clock import Clock
from operator_kit.errors import AmbiguousKind, ApiError, ConnectionFailed, KindNotFound, UsageError
from operator_kit.objects import GVK, Object, Resource, gvk_of

__all__ = ["Discovery"]

_REFRESH_SECONDS = 1.0
_AGGREGATED = ",".join(
    [f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")]
    + ["application/json"]
)
_FORMS = 'write "Foo", "Foo.example.com" or "example.com/v1/Foo" ("v1/Foo" in the core group)'


@dataclass(slots=True)
class _Table:
    """What the server said: per group, its versions (the preferred one first) with their resources."""

    groups: dict[str, dict[str, tuple[Resource, ...]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  # "group/version" -> why it could not be asked

    def resources(self) -> Iterable[Resource]:
        """Every kind once, in the version that its group prefers for it."""
        for versions in self.groups.values():
            seen: set[str] = set()
            for listed in versions.values():
                for resource in listed:
                    if resource.kind not in seen:
                        seen.add(resource.kind)
                        yield resource


class Discovery:
    """Resolves kinds. Thread-safe; asks the server when first used."""

    def __init__(self, get: Callable[[str, str, Cancel | None], Object], *, clock: Clock) -> None:
        self._get = get  # (path, accept, cancel) -> document
        self._clock = clock
        self._asking = threading.Lock()  # one thread asks, the others wait for what it hears
        self._table: _Table | None = None
        self._asked_at = 0.0

    def resolve(self, name: str, *, cancel: Cancel | None = None) -> Resource:
        """The resource that an author's name means.

        Args:
            name: see the module.
            cancel: ends the request from another thread, if one is needed.

        Raises:
            KindNotFound: there is no such kind (yet).
            AmbiguousKind: there is more than one.
            UsageError: the text is not the name of a kind.
            ApiError, ConnectionFailed: the server could not be asked.
            Cancelled: it was given up.
        """
        kind, group, version = _parse(name)

        def find(table: _Table) -> Resource | None:
            if version is not None:
                listed = table.groups.get(group or "", {}).get(version, ())
                return next((resource for resource in listed if resource.kind == kind), None)
            found = [res for res in table.resources() if res.kind == kind and group in {None, res.group}]
            if len(found) > 1:
                candidates = " or ".join(f"{res.kind}.{res.group}" if res.group else f"{res.version}/{res.kind}" for res in found)
                raise AmbiguousKind(f"{name} can mean more than one kind: write {candidates}")
            return found[0] if found else None

        resource = self._look(find, cancel)
        if resource is None:
            raise KindNotFound(self._not_found(name, kind))
        return resource

    def for_gvk(self, gvk: GVK) -> Resource:
        """The resource of exactly this group, version and kind. Errors as for `resolve`."""

        def find(table: _Table) -> Resource | None:
            listed = table.groups.get(gvk.group, {}).get(gvk.version, ())
            return next((resource for resource in listed if resource.kind == gvk.kind), None)

        resource = self._look(find)
        if resource is None:
            raise KindNotFound(self._not_found(str(gvk), gvk.kind))
        return resource

    def for_object(self, obj: Mapping[str, Any]) -> Resource:
        """The resource of an object, by its `apiVersion` and `kind`. Errors as for `resolve`."""
        return self.for_gvk(gvk_of(obj))

    def refresh(self, *, cancel: Cancel | None = None) -> None:
        """Ask the server now. `cancel` and errors as for `resolve`."""
        with self._asking:
            self._ask(cancel)

    def resources(self) -> list[Resource]:
        """Every kind that is served, in its preferred version."""
        return list(self._known().resources())

    @property
    def failures(self) -> Mapping[str, str]:
        """The groups and versions that could not be asked the last time, with the reason."""
        return dict(self._table.failures) if self._table else {}

    # -- below ------------------------------------------------------------------------------------------------------------------

    def _known(self, cancel: Cancel | None = None) -> _Table:
        table = self._table
        if table is None:
            with self._asking:
                table = self._table or self._ask(cancel)
        return table

    def _look(self, find: Callable[[_Table], Resource | None], cancel: Cancel | None = None) -> Resource | None:
        table = self._known(cancel)
        found = find(table)
        if found is None:
            with self._asking:
                if self._table is table and self._clock.monotonic() - self._asked_at >= _REFRESH_SECONDS:
                    self._ask(cancel)
                table = self._table or table
            found = find(table)
        return found

    def _ask(self, cancel: Cancel | None) -> _Table:
        self._asked_at = self._clock.monotonic()
        old = self._table or _Table()
        table = _Table()
        for path in ("/api", "/apis"):
            document = self._get(path, _AGGREGATED, cancel)
            if document.get("kind") == "APIGroupDiscoveryList":
                _take_aggregated(document, table, old)
            elif path == "/api":
                self._take_legacy("", [str(version) for version in document.get("versions") or []], table, old, cancel)
            else:
                for group in document.get("groups") or []:
                    self._take_legacy(str(group.get("name")), _versions_of(group), table, old, cancel)
        self._table = table
        return table

    def _take_legacy(self, group: str, versions: list[str], table: _Table, old: _Table, cancel: Cancel | None) -> None:
        for version in versions:
            group_version = f"{group}/{version}" if group else version
            path = f"/apis/{group_version}" if group else f"/api/{version}"
            try:
                document = self._get(path, "application/json", cancel)
            except (ApiError, ConnectionFailed) as exc:
                table.failures[group_version] = str(exc)
                listed = old.groups.get(group, {}).get(version, ())
            else:
                listed = _legacy_resources(group, version, document)
            table.groups.setdefault(group, {})[version] = listed

    def _not_found(self, name: str, kind: str) -> str:
        table = self._known()
        lines = f"the API server has no kind {name}"
        known: dict[str, Resource] = {}
        for resource in table.resources():
            for alias in (resource.kind, resource.plural, resource.singular, *resource.short_names):
                known.setdefault(alias.lower(), resource)
        same = [resource for resource in table.resources() if resource.kind == kind]
        if same:
            lines += f"; there is {' and '.join(str(resource) for resource in same)}"
        else:
            near = difflib.get_close_matches(kind.lower(), known, n=1, cutoff=0.8)
            lines += f"; did you mean {known[near[0]]}?" if near else "; is its CustomResourceDefinition installed?"
        if table.failures:
            lines += f" (could not ask {', '.join(sorted(table.failures))})"
        return lines


def _parse(name: str) -> tuple[str, str | None, str | None]:
    """Kind, group and version; None where the name leaves it open."""
    group: str | None
    version: str | None
    if "/" in name:
        api_version, _, kind = name.rpartition("/")
        gvk = GVK.of(api_version, kind)
        kind, group, version = gvk.kind, gvk.group, gvk.version
        if not version or "/" in group:
            raise UsageError(f"{name!r} is not the name of a kind: {_FORMS}")
    else:
        kind, _, rest = name.partition(".")
        group, version = rest or None, None
    if not kind:
        raise UsageError(f"{name!r} is not the name of a kind: {_FORMS}")
    return kind, group, version


def _versions_of(group: Mapping[str, Any]) -> list[str]:
    """The versions of a legacy APIGroup, the preferred one first."""
    versions = [str(entry.get("version")) for entry in group.get("versions") or []]
    preferred = str((group.get("preferredVersion") or {}).get("version") or "")
    return sorted(versions, key=lambda version: version != preferred)


def _take_aggregated(document: Mapping[str, Any], table: _Table, old: _Table) -> None:
    for item in document.get("items") or []:
        group = str((item.get("metadata") or {}).get("name") or "")
        for entry in item.get("versions") or []:
            version = str(entry.get("version"))
            listed = tuple(_aggregated_resource(group, version, resource) for resource in entry.get("resources") or [])
            if entry.get("freshness") == "Stale":
                table.failures[f"{group}/{version}"] = "its server did not answer the API server"
                listed = listed or old.groups.get(group, {}).get(version, ())
            table.groups.setdefault(group, {})[version] = listed


def _aggregated_resource(group: str, version: str, entry: Mapping[str, Any]) -> Resource:
    kind = entry.get("responseKind") or {}
    return Resource(
        group=group,
        version=version,
        kind=str(kind.get("kind") or ""),
        plural=str(entry.get("resource")),
        namespaced=entry.get("scope") == "Namespaced",
        singular=str(entry.get("singularResource") or ""),
        short_names=tuple(entry.get("shortNames") or ()),
        verbs=frozenset(entry.get("verbs") or ()),
        subresources=frozenset(str(sub.get("subresource")) for sub in entry.get("subresources") or ()),
    )


def _legacy_resources(group: str, version: str, document: Mapping[str, Any]) -> tuple[Resource, ...]:
    entries = document.get("resources") or []
    subresources: dict[str, set[str]] = {}
    for entry in entries:
        plural, _, sub = str(entry.get("name")).partition("/")
        if sub:
            subresources.setdefault(plural, set()).add(sub)
    return tuple(
        Resource(
            group=group,
            version=version,
            kind=str(entry.get("kind")),
            plural=str(entry.get("name")),
            namespaced=bool(entry.get("namespaced")),
            singular=str(entry.get("singularName") or ""),
            short_names=tuple(entry.get("shortNames") or ()),
            verbs=frozenset(entry.get("verbs") or ()),
            subresources=frozenset(subresources.get(str(entry.get("name")), ())),
        )
        for entry in entries
        if "/" not in str(entry.get("name"))
    )
