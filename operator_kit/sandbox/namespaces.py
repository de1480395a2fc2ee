"""The namespace controller: a namespace that is deleted ends after everything in it has.

Its contents are deleted in the background; while some remain (finalizers hold them), the namespace says so in its conditions;
when none do, the finalizer `kubernetes` is taken out of its spec, and it is gone unless finalizers of its own hold it.
"""

from __future__ import annotations

from typing import Any

from operator_kit import codec
from operator_kit.sandbox.deletion import Deleter
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.storage import Event
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["DEFAULT_NAMESPACES", "Namespaces"]

Object = dict[str, Any]

DEFAULT_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_MANAGER = "kube-controller-manager"


def _condition(kind: str, problem: str, good: tuple[str, str], bad: tuple[str, str], now: str) -> Object:
    status, (reason, message) = ("True", bad) if problem else ("False", good)
    return {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}


class Namespaces:
    """Ends namespaces, and makes the ones every server has."""

    def __init__(self, world: World, writer: Writer, deleter: Deleter) -> None:
        self._world = world
        self._writer = writer
        self._deleter = deleter
        self._terminating: set[str] = set()
        self._queued: set[str] = set()
        served = world.registry.get("", "v1", "namespaces")
        assert served is not None
        self._served = served
        world.storage.observers.append(self._see)

    def make_defaults(self) -> None:
        """The namespaces that are there from the start."""
        for name in DEFAULT_NAMESPACES:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self._writer.create(self._served, "", obj, WriteOptions(manager="kube-apiserver"))

    def _see(self, event: Event) -> None:
        if event.store is self._served.store:
            if event.new is None:
                self._terminating.discard(event.key)
            elif "deletionTimestamp" in event.new.obj["metadata"]:
                self._terminating.add(event.key)
                self._queue(event.key)
        elif self._terminating:
            namespace = event.key.partition("/")[0] if "/" in event.key else ""
            if namespace in self._terminating:
                self._queue(namespace)

    def _queue(self, name: str) -> None:
        if name not in self._queued:
            self._queued.add(name)
            self._world.later(lambda: self._step(name))

    def _step(self, name: str) -> None:
        self._queued.discard(name)
        entry = self._served.objects().get(name)
        if entry is None or "deletionTimestamp" not in entry.obj["metadata"]:
            return
        if not (entry.obj.get("spec") or {}).get("finalizers"):
            return
        left: dict[str, int] = {}
        held: dict[str, int] = {}
        for served in self._world.registry.storing():
            if not served.namespaced:
                continue
            for item in list(served.objects().scan(name)):
                if "deletionTimestamp" not in item.obj["metadata"] or served.rules.graceful:
                    options = WriteOptions(manager=_MANAGER, propagation="Background", grace=0)
                    self._deleter.delete_entry(served, item, options)
            for item in served.objects().scan(name):
                left[served.resource] = left.get(served.resource, 0) + 1
                for finalizer in item.obj["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        if left:
            self._tell(name, left, held)
        else:
            self._finish(name)

    def _tell(self, name: str, left: dict[str, int], held: dict[str, int]) -> None:
        """Write into the namespace's conditions what it waits for."""
        now = self._world.now()
        some = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(left.items()))
        who = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(held.items()))
        conditions = [
            _condition(
                "NamespaceDeletionDiscoveryFailure",
                "",
                ("ResourcesDiscovered", "All resources successfully discovered"),
                ("DiscoveryFailed", ""),
                now,
            ),
            _condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                "",
                ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
                ("GroupVersionParsingFailed", ""),
                now,
            ),
            _condition(
                "NamespaceDeletionContentFailure",
                "",
                ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
                ("ContentDeletionFailed", ""),
                now,
            ),
            _condition(
                "NamespaceContentRemaining",
                some,
                ("ContentRemoved", "All content successfully removed"),
                ("SomeResourcesRemain", f"Some resources are remaining: {some}"),
                now,
            ),
            _condition(
                "NamespaceFinalizersRemaining",
                who,
                ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
                ("SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {who}"),
                now,
            ),
        ]
        entry = self._served.objects().get(name)
        assert entry is not None
        old = {item["type"]: item for item in (entry.obj.get("status") or {}).get("conditions") or ()}
        for condition in conditions:
            before = old.get(condition["type"])
            if before is not None and before["status"] == condition["status"]:
                condition["lastTransitionTime"] = before["lastTransitionTime"]
        self._write(name, lambda obj: obj.setdefault("status", {}).update(conditions=conditions), "status")

    def _finish(self, name: str) -> None:
        self._write(name, lambda obj: obj["spec"].update(finalizers=[]), "finalize")

    def _write(self, name: str, change: Any, subresource: str) -> None:
        def changed(obj: Object) -> Object:
            copy: Object = codec.clone(obj)
            change(copy)
            return copy

        self._writer.modify(self._served, "", name, changed, WriteOptions(manager=_MANAGER), subresource=subresource)
