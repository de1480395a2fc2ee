"""The life of CustomResourceDefinitions: names accepted or in conflict, established, served, changed, and taken away again.

A CRD is served from the moment its `Established` condition is written. Deleting one deletes its objects first; while those
remain, its condition `Terminating` says so and nothing new can be created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.deletion import CRD_CLEANUP, Deleter
from operator_kit.sandbox.registry import CUSTOM_VERBS, CrdVersion, Rules, Served, Subresource
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.schema import compile_schema
from operator_kit.sandbox.storage import Entry, Event
from operator_kit.sandbox.structure import Structure
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["CRDS", "CustomResources"]

Object = dict[str, Any]

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_MANAGER = "kube-apiserver"


def _compile(version: Mapping[str, Any]) -> CrdVersion:
    openapi: Mapping[str, Any] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    subresources = version.get("subresources") or {}
    warning = ""
    if version.get("deprecated"):
        warning = version.get("deprecationWarning") or ""
    return CrdVersion(
        schema=compile_schema(openapi, scale=subresources.get("scale")),
        structure=Structure.from_crd_schema(openapi),
        has_status="status" in subresources,
        scale=subresources.get("scale"),
        printer_columns=tuple(version.get("additionalPrinterColumns") or ()),
        selectable_fields=tuple(field["jsonPath"] for field in version.get("selectableFields") or ()),
        deprecation_warning=warning,
        openapi=openapi,
    )


class CustomResources:
    """Follows the stored CRDs and keeps the registry true to them."""

    def __init__(self, world: World, writer: Writer, deleter: Deleter) -> None:
        self._world = world
        self._writer = writer
        self._deleter = deleter
        self._specs: dict[str, Object] = {}
        self._stores: dict[str, str] = {}
        self._queued: set[str] = set()
        served = world.registry.get("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        assert served is not None
        self._served = served
        world.storage.observers.append(self._see)

    def _see(self, event: Event) -> None:
        if event.store is self._served.store:
            self._queue(event.key)
        elif event.new is None and event.store.name in self._terminating():
            self._queue(event.store.name)

    def _terminating(self) -> set[str]:
        return {name for name in self._stores if (entry := self._served.objects().get(name)) and _deleting(entry)}

    def _queue(self, name: str) -> None:
        if name not in self._queued:
            self._queued.add(name)
            self._world.later(lambda: self._step(name))

    def _step(self, name: str) -> None:
        self._queued.discard(name)
        entry = self._served.objects().get(name)
        if entry is None:
            self._take_away(name)
        elif _deleting(entry):
            self._empty(entry)
        else:
            self._establish(entry)

    # ------------------------------------------------------------------ names and conditions

    def _establish(self, entry: Entry) -> None:
        spec = entry.obj["spec"]
        conflict = self._conflict(entry)
        now = self._world.now()
        status: Object = codec.clone(entry.obj.get("status") or {})
        conditions = {item["type"]: item for item in status.get("conditions") or ()}
        if conflict is None:
            status["acceptedNames"] = codec.clone(spec["names"])
            accepted = ("True", "NoConflicts", "no conflicts found")
        else:
            status.setdefault("acceptedNames", {"kind": "", "plural": ""})
            accepted = ("False", *conflict)
        _set(conditions, "NamesAccepted", accepted, now)
        established = conditions.get("Established", {}).get("status") == "True"
        if conflict is None:
            _set(conditions, "Established", ("True", "InitialNamesAccepted", "the initial names have been accepted"), now)
        elif not established:
            _set(conditions, "Established", ("False", "NotAccepted", "not all names are accepted"), now)
        status["conditions"] = list(conditions.values())
        stored = status.get("storedVersions") or []
        storage = next(version["name"] for version in spec["versions"] if version["storage"])
        status["storedVersions"] = stored if storage in stored else [*stored, storage]
        if status != entry.obj.get("status"):
            self._write_status(entry.name, lambda obj: obj.update(status=status))
        if (conflict is None or established) and self._specs.get(entry.name) != spec:
            self._serve(entry, spec, status["acceptedNames"])

    def _conflict(self, entry: Entry) -> tuple[str, str] | None:
        """Reason and message where a name is taken by another CRD of the group."""
        spec = entry.obj["spec"]
        names = spec["names"]
        plurals: set[str] = set()
        kinds: set[str] = set()
        for other in self._served.objects().scan():
            if other.name == entry.name or other.obj["spec"]["group"] != spec["group"]:
                continue
            taken = (other.obj.get("status") or {}).get("acceptedNames") or {}
            plurals |= {taken.get("plural", ""), taken.get("singular", ""), *(taken.get("shortNames") or ())}
            kinds |= {taken.get("kind", ""), taken.get("listKind", "")}
        checks = (
            ("PluralConflict", [names["plural"]], plurals),
            ("SingularConflict", [names.get("singular", "")], plurals),
            ("ShortNamesConflict", names.get("shortNames") or [], plurals),
            ("KindConflict", [names["kind"]], kinds),
            ("ListKindConflict", [names.get("listKind", "")], kinds),
        )
        for reason, wanted, taken_names in checks:
            for name in wanted:
                if name and name in taken_names:
                    return reason, f'"{name}" is already in use'
        return None

    def _write_status(self, name: str, change: Callable[[Object], Any]) -> None:
        def changed(obj: Object) -> Object:
            change(obj)
            return obj

        self._writer.modify(self._served, "", name, changed, WriteOptions(manager=_MANAGER), subresource="status")

    # ------------------------------------------------------------------ serving

    def _serve(self, entry: Entry, spec: Object, names: Object) -> None:
        self._specs[entry.name] = spec
        self._stores[entry.name] = entry.name
        self._world.registry.replace(entry.name, self._versions(entry, spec, names))

    def _versions(self, entry: Entry, spec: Object, names: Object) -> list[Served]:
        group = spec["group"]
        storage = next(version["name"] for version in spec["versions"] if version["storage"])
        found = []
        for version in spec["versions"]:
            if not version.get("served"):
                continue
            crd = _compile(version)
            subresources = {}
            if crd.has_status:
                subresources["status"] = Subresource("status", names["kind"])
            if crd.scale:
                subresources["scale"] = Subresource("scale", "Scale", "autoscaling", "v1")
            found.append(
                Served(
                    group,
                    version["name"],
                    names["kind"],
                    names["plural"],
                    names.get("singular") or names["kind"].lower(),
                    spec["scope"] == "Namespaced",
                    list_kind=names.get("listKind") or "",
                    short_names=tuple(names.get("shortNames") or ()),
                    categories=tuple(names.get("categories") or ()),
                    verbs=CUSTOM_VERBS,
                    subresources=subresources,
                    rules=Rules(generation=True, unconditional_update=False),
                    storage_version=f"{group}/{storage}",
                    store=self._world.storage.store(entry.name),
                    crd=crd,
                    crd_name=entry.name,
                )
            )
        return found

    # ------------------------------------------------------------------ the end

    def _empty(self, entry: Entry) -> None:
        """Delete the objects of a CRD that is deleted, then the CRD."""
        if CRD_CLEANUP not in (entry.obj["metadata"].get("finalizers") or ()):
            return
        for served in self._world.registry:
            if served.crd_name == entry.name:
                served.terminating = True
        served_now = next((served for served in self._world.registry if served.crd_name == entry.name), None)
        store = self._world.storage.store(entry.name)
        if served_now is not None:
            for item in list(store.scan()):
                if not _deleting(item):
                    options = WriteOptions(manager=_MANAGER, propagation="Background")
                    self._deleter.delete_entry(served_now, item, options)
        if len(store):
            self._tell_terminating(entry.name)
            return
        self._writer.modify(self._served, "", entry.name, _without_cleanup, WriteOptions(manager=_MANAGER))

    def _tell_terminating(self, name: str) -> None:
        now = self._world.now()

        def change(obj: Object) -> None:
            conditions = {item["type"]: item for item in obj["status"].get("conditions") or ()}
            _set(conditions, "Terminating", ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress"), now)
            obj["status"]["conditions"] = list(conditions.values())

        self._write_status(name, change)

    def _take_away(self, name: str) -> None:
        self._specs.pop(name, None)
        self._world.registry.replace(name, [])
        if self._stores.pop(name, None) is not None:
            self._world.storage.drop(name)


def _deleting(entry: Entry) -> bool:
    return "deletionTimestamp" in entry.obj["metadata"]


def _without_cleanup(obj: Object) -> Object:
    meta = obj["metadata"]
    meta["finalizers"] = [finalizer for finalizer in meta["finalizers"] if finalizer != CRD_CLEANUP]
    if not meta["finalizers"]:
        del meta["finalizers"]
    return obj


def _set(conditions: dict[str, Object], kind: str, state: tuple[str, str, str], now: str) -> None:
    status, reason, message = state
    old = conditions.get(kind)
    since = old["lastTransitionTime"] if old is not None and old["status"] == status else now
    conditions[kind] = {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
