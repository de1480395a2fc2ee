"""The garbage collector: objects whose owners are gone go too; `Foreground` and `Orphan` deletions are worked off.

It keeps an index of who owns whom, fed by every change, so that a step costs what it touches and nothing else. As a real one it
acts on uids, does not look across namespaces, and leaves alone what refers to kinds it does not know.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from operator_kit.sandbox.deletion import FOREGROUND, ORPHAN, Deleter
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.storage import Entry, Event, ResourceStore
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["GarbageCollector"]

Object = dict[str, Any]
Place = tuple[str, str]  # the store's name and the key in it

_MANAGER = "kube-controller-manager"


def _references(entry: Entry | None) -> list[Object]:
    return entry.obj["metadata"].get("ownerReferences") or [] if entry is not None else []


class GarbageCollector:
    """Watches all of a world's storage and schedules its steps there."""

    def __init__(self, world: World, writer: Writer, deleter: Deleter) -> None:
        self._world = world
        self._writer = writer
        self._deleter = deleter
        self._owners: dict[str, Place] = {}
        self._dependents: dict[str, set[Place]] = {}
        self._served: dict[str, Served] = {}
        self._generation = -1
        world.storage.observers.append(self._see)

    # ------------------------------------------------------------------ the index

    def _see(self, event: Event) -> None:
        old, new, store = event.old, event.new, event.store
        place = (store.name, event.key)
        before, after = _references(old), _references(new)
        if before != after:
            for uid in {reference["uid"] for reference in before} - {reference["uid"] for reference in after}:
                self._forget(uid, place)
            for reference in after:
                self._dependents.setdefault(reference["uid"], set()).add(place)
            if new is not None:
                self._world.later(lambda: self._check_dependent(place))
        if new is None:
            assert old is not None
            self._gone(old, before)
            return
        if old is None or old.uid != new.uid:
            self._owners[new.uid] = place
        meta = new.obj["metadata"]
        if "deletionTimestamp" in meta and not {ORPHAN, FOREGROUND}.isdisjoint(meta.get("finalizers") or ()):
            self._world.later(lambda: self._work_off(place))

    def _forget(self, uid: str, place: Place) -> None:
        dependents = self._dependents.get(uid)
        if dependents is not None:
            dependents.discard(place)
            if not dependents:
                del self._dependents[uid]

    def _gone(self, entry: Entry, references: list[Object]) -> None:
        self._owners.pop(entry.uid, None)
        for place in self._dependents.get(entry.uid, ()):
            self._world.later(partial(self._check_dependent, place, gone=entry.uid))
        for reference in references:
            owner = self._owners.get(reference["uid"])
            if owner is not None:
                self._world.later(partial(self._work_off, owner))

    def _find(self, place: Place) -> tuple[Served, Entry] | None:
        if self._generation != self._world.registry.generation:
            self._generation = self._world.registry.generation
            self._served = {served.objects().name: served for served in self._world.registry.storing()}
        served = self._served.get(place[0])
        store: ResourceStore | None = served.store if served is not None else None
        entry = store.get(place[1]) if store is not None else None
        return (served, entry) if served is not None and entry is not None else None

    # ------------------------------------------------------------------ dependents

    def _state(self, dependent: Entry, reference: Object, gone: str) -> str:
        """`solid`, `waiting` (being deleted in the foreground) or `dangling`."""
        uid = reference["uid"]
        place = self._owners.get(uid)
        found = self._find(place) if place is not None else None
        if found is None:
            group = str(reference["apiVersion"]).rpartition("/")[0]
            known = uid == gone or self._world.registry.of_group_kind(group, str(reference["kind"])) is not None
            return "dangling" if known else "solid"
        _, owner = found
        if owner.namespace and not dependent.namespace:
            return "solid"  # a cluster-scoped object cannot have a namespaced owner; a real collector only complains
        if (owner.namespace and owner.namespace != dependent.namespace) or owner.name != reference["name"]:
            return "dangling"
        meta = owner.obj["metadata"]
        return "waiting" if "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ()) else "solid"

    def _check_dependent(self, place: Place, gone: str = "") -> None:
        found = self._find(place)
        if found is None:
            return
        served, entry = found
        references = _references(entry)
        states = {reference["uid"]: self._state(entry, reference, gone) for reference in references}
        lost = {uid for uid, state in states.items() if state != "solid"}
        if not lost:
            return
        if len(lost) < len(states):
            self._release(served, entry, lost)
            return
        finalizers = entry.obj["metadata"].get("finalizers") or ()
        policy = "Background"
        if ORPHAN in finalizers:
            policy = "Orphan"
        elif FOREGROUND in finalizers or ("waiting" in states.values() and self._dependents.get(entry.uid)):
            policy = "Foreground"
        if "deletionTimestamp" not in entry.obj["metadata"] or policy == "Foreground":
            self._deleter.delete_entry(served, entry, WriteOptions(manager=_MANAGER, propagation=policy))

    def _release(self, served: Served, entry: Entry, uids: set[str]) -> None:
        """Take the references to these owners out of an object."""

        def without(obj: Object) -> Object:
            kept = [reference for reference in obj["metadata"]["ownerReferences"] if reference["uid"] not in uids]
            if kept:
                obj["metadata"]["ownerReferences"] = kept
            else:
                del obj["metadata"]["ownerReferences"]
            return obj

        self._writer.modify(served, entry.namespace, entry.name, without, WriteOptions(manager=_MANAGER))

    # ------------------------------------------------------------------ owners

    def _work_off(self, place: Place) -> None:
        """Go on with an owner that is deleted with `Orphan` or `Foreground`."""
        found = self._find(place)
        if found is None:
            return
        served, owner = found
        meta = owner.obj["metadata"]
        finalizers = meta.get("finalizers") or ()
        if "deletionTimestamp" not in meta:
            return
        dependents = sorted(self._dependents.get(owner.uid, ()))
        if ORPHAN in finalizers:
            for dependent in dependents:
                child = self._find(dependent)
                if child is not None:
                    self._release(*child, {owner.uid})
            self._drop_finalizer(served, owner, ORPHAN)
        elif FOREGROUND in finalizers:
            if not any(self._blocks(dependent, owner.uid) for dependent in dependents):
                self._drop_finalizer(served, owner, FOREGROUND)
            for dependent in dependents:
                self._world.later(partial(self._check_dependent, dependent))

    def _blocks(self, place: Place, uid: str) -> bool:
        found = self._find(place)
        if found is None:
            return False
        return any(ref["uid"] == uid and ref.get("blockOwnerDeletion") is True for ref in _references(found[1]))

    def _drop_finalizer(self, served: Served, owner: Entry, name: str) -> None:
        def without(obj: Object) -> Object:
            obj["metadata"]["finalizers"] = [item for item in obj["metadata"].get("finalizers") or () if item != name]
            if not obj["metadata"]["finalizers"]:
                del obj["metadata"]["finalizers"]
            return obj

        try:
            self._writer.modify(served, owner.namespace, owner.name, without, WriteOptions(manager=_MANAGER))
        except StatusError as exc:
            if exc.code != 404:
                raise
