"""Deletion: finalizers, grace, preconditions and the three ways to treat dependents.

An object that nothing holds back is gone at once. Otherwise it is marked (`deletionTimestamp`) and goes when the last
finalizer is taken off. `Foreground` and `Orphan` are finalizers of their own, worked off by the garbage collector.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.sandbox import strategies
from operator_kit.sandbox.metadata import timestamp
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.status import conflict, forbidden, not_found
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.world import World

__all__ = ["CRD_CLEANUP", "FOREGROUND", "ORPHAN", "Deleted", "Deleter"]

Object = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class Deleted(NamedTuple):
    """What a delete did: the object as it is or last was, and whether it is gone."""

    entry: Entry
    gone: bool


class Deleter:
    """The deletes of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def delete(self, served: Served, namespace: str, name: str, options: WriteOptions) -> Deleted:
        """Delete one object. Raises 404, 409 for preconditions that do not hold, 403 for namespaces that must stay."""
        if served.plural == "namespaces" and not served.group and name in strategies.PROTECTED_NAMESPACES:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            raise not_found(served.group, served.plural, name)
        return self.delete_entry(served, entry, options)

    def delete_entry(self, served: Served, entry: Entry, options: WriteOptions) -> Deleted:
        """Delete an object that was found."""
        self._check_preconditions(served, entry, options)
        meta = entry.obj["metadata"]
        finalizers = self._finalizers(served, meta.get("finalizers") or [], options)
        grace = self._grace(served, entry.obj, options)
        held = bool(finalizers) or bool(grace) or self._held(served, entry.obj)
        if held:
            return Deleted(self._mark(served, entry, finalizers, grace, options), gone=False)
        if not options.dry_run:
            served.objects().remove(entry.key)
        return Deleted(entry, gone=True)

    @staticmethod
    def _check_preconditions(served: Served, entry: Entry, options: WriteOptions) -> None:
        meta = entry.obj["metadata"]
        uid, version = options.precondition_uid, options.precondition_version
        if uid is not None and uid != meta["uid"]:
            text = (
                f"the UID in the precondition ({uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(served.group, served.kind, entry.name, text)
        if version is not None and version != meta["resourceVersion"]:
            text = (
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({meta['resourceVersion']}). The object might have been modified"
            )
            raise conflict(served.group, served.kind, entry.name, text)

    @staticmethod
    def _finalizers(served: Served, present: list[str], options: WriteOptions) -> list[str]:
        """The finalizers with those of the garbage collector put in or taken out, as the options ask."""
        kept = [finalizer for finalizer in present if finalizer not in {ORPHAN, FOREGROUND}]
        if options.orphan is not None:
            return [*kept, ORPHAN] if options.orphan else kept
        if options.propagation:
            wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.propagation)
            return [*kept, wanted] if wanted else kept
        if len(kept) < len(present):
            return present
        return [*kept, ORPHAN] if served.rules.orphan_by_default else kept

    @staticmethod
    def _held(served: Served, obj: Object) -> bool:
        """Whether the kind has something of its own to finish first."""
        if served.group == "" and served.plural == "namespaces":
            return bool((obj.get("spec") or {}).get("finalizers"))
        return served.plural == "customresourcedefinitions" and "deletionTimestamp" not in obj["metadata"]

    @staticmethod
    def _grace(served: Served, obj: Object, options: WriteOptions) -> int:
        """Seconds the object has left; only Pods that run somewhere have any."""
        if not served.rules.graceful:
            return 0
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in {"Failed", "Succeeded"}:
            return 0
        default = spec.get("terminationGracePeriodSeconds")
        grace = options.grace if options.grace is not None else 30 if default is None else int(default)
        running = obj["metadata"].get("deletionGracePeriodSeconds")
        if running is not None and "deletionTimestamp" in obj["metadata"]:
            return min(max(grace, 0), int(running)) if options.grace is not None else int(running)
        return 1 if grace < 0 else grace

    def _mark(self, served: Served, entry: Entry, finalizers: list[str], grace: int, options: WriteOptions) -> Entry:
        """Write the deletion into the object; a second delete changes nothing, or shortens the grace."""
        obj: Object = codec.clone(entry.obj)
        meta = obj["metadata"]
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        if served.plural == "customresourcedefinitions" and CRD_CLEANUP not in finalizers:
            meta["finalizers"] = [*finalizers, CRD_CLEANUP]
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = self._world.in_seconds(grace)
            if meta.get("generation"):
                meta["generation"] += 1
        elif grace < int(meta.get("deletionGracePeriodSeconds") or 0):
            begun = datetime.strptime(meta["deletionTimestamp"], "%Y-%m-%dT%H:%M:%S%z")
            meta["deletionTimestamp"] = timestamp(begun - timedelta(seconds=meta["deletionGracePeriodSeconds"] - grace))
        if served.group == "" and served.plural == "namespaces":
            obj.setdefault("status", {})["phase"] = "Terminating"
        else:
            meta["deletionGracePeriodSeconds"] = grace
        if obj == entry.obj:
            return entry
        if options.dry_run:
            return Entry(entry.key, obj, entry.version)
        return served.objects().put(entry.key, obj)
