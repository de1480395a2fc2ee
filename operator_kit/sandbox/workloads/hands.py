"""What the stand-in controllers work with: who owns what, and writes in the way the real controllers make them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

from operator_kit import codec
from operator_kit.objects import controller_of, owner_reference
from operator_kit.sandbox.deletion import Deleter
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.storage import Entry, Event
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["Hands", "Object", "Place", "conditions", "template_hash"]

Object = dict[str, Any]
Place: TypeAlias = tuple[str, str]
"""A store's name and a key in it."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels and no look-alikes, as in generated names


class Hands:
    """Reads and writes for the stand-ins."""

    def __init__(self, world: World, writer: Writer, deleter: Deleter, delay: float) -> None:
        self.world = world
        self.delay = delay
        self._writer = writer
        self._deleter = deleter
        self._children: dict[str, set[Place]] = {}
        for store in world.storage.stores():
            for entry in store.scan():
                self._own(entry, (store.name, entry.key), add=True)

    # ------------------------------------------------------------------ who owns what

    def index(self, event: Event) -> None:
        """Take one change into the index of children."""
        place = (event.store.name, event.key)
        if event.old is not None:
            self._own(event.old, place, add=False)
        if event.new is not None:
            self._own(event.new, place, add=True)

    def _own(self, entry: Entry, place: Place, *, add: bool) -> None:
        reference = controller_of(entry.obj)
        if reference is None:
            return
        uid = reference["uid"]
        if add:
            self._children.setdefault(uid, set()).add(place)
        elif uid in self._children:
            self._children[uid].discard(place)
            if not self._children[uid]:
                del self._children[uid]

    def children(self, owner: Entry, resource: str) -> list[Entry]:
        """The objects of a resource that this one controls, by name."""
        store = self.world.storage.store(resource)
        found = [store.get(key) for name, key in self._children.get(owner.uid, ()) if name == resource]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.name)

    # ------------------------------------------------------------------ writes

    def served(self, resource: str) -> Served:
        """What serves a resource (`"pods"`, `"deployments.apps"`)."""
        plural, _, group = resource.partition(".")
        return next(found for found in self.world.registry.storing() if (found.plural, found.group) == (plural, group))

    def create(
        self,
        resource: str,
        obj: Object,
        *,
        owner: Entry | None = None,
        namespace: str = "",
        manager: str = "kube-controller-manager",
    ) -> None:
        """Create an object, in the owner's namespace and controlled by it if one is given. One that exists is left alone."""
        served = self.served(resource)
        if owner is not None:
            namespace = owner.namespace
            obj["metadata"]["ownerReferences"] = [owner_reference(owner.obj)]
        obj = {"apiVersion": served.api_version, "kind": served.kind, **obj}
        try:
            self._writer.create(served, namespace, obj, WriteOptions(manager=manager))
        except StatusError as exc:
            if exc.reason != "AlreadyExists":
                raise

    def change(self, resource: str, entry: Entry, change: Callable[[Object], None]) -> None:
        """Change an object's desired state."""
        self._modify(resource, entry, change, "")

    def status(self, resource: str, entry: Entry, status: Object, *, manager: str = "kube-controller-manager") -> None:
        """Make the status say this; fields it does not name stay. Nothing is written when nothing differs."""
        current = entry.obj.get("status") or {}
        if any(current.get(key) != value for key, value in status.items()):
            self._modify(resource, entry, lambda obj: obj.setdefault("status", {}).update(codec.clone(status)), "status", manager)

    def _modify(
        self,
        resource: str,
        entry: Entry,
        change: Callable[[Object], None],
        subresource: str,
        manager: str = "kube-controller-manager",
    ) -> None:
        def changed(obj: Object) -> Object:
            change(obj)
            return obj

        options = WriteOptions(manager=manager)
        self._writer.modify(self.served(resource), entry.namespace, entry.name, changed, options, subresource=subresource)

    def delete(self, resource: str, entry: Entry, *, grace: int | None = None) -> None:
        """Delete an object, its dependents in the background."""
        options = WriteOptions(manager="kube-controller-manager", propagation="Background", grace=grace)
        self._deleter.delete_entry(self.served(resource), entry, options)

    def bind(self, entry: Entry, node: str) -> None:
        """Give a Pod its node, as the binding subresource does."""
        obj: Object = entry.copy()
        obj["spec"]["nodeName"] = node
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.world.now()}
        obj.setdefault("status", {})["conditions"] = [condition]
        self.world.storage.store("pods").put(entry.key, obj)


def conditions(entry: Entry, now: str, **wanted: tuple[bool, str, str]) -> list[Object]:
    """The conditions of an object with these set: type to (status, reason, message). Times change with the status only."""
    present = {item["type"]: item for item in (entry.obj.get("status") or {}).get("conditions") or ()}
    for kind, (holds, reason, message) in wanted.items():
        before = present.get(kind, {})
        status = "True" if holds else "False"
        changed = before.get("status") != status
        moment = now if changed else before["lastTransitionTime"]
        present[kind] = {
            **before,
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": moment,
        }
    return list(present.values())


def template_hash(template: Any) -> str:
    """Ten characters that stand for a pod template."""
    number = int.from_bytes(hashlib.sha256(codec.dumps(template)).digest()[:8])
    letters = []
    for _ in range(10):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)
