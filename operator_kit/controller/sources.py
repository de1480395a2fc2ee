"""Sources: from a change in a cache to the keys that must run.

Three of them: the object itself (through its predicates), a child (through the owner reference that controls it, or the label
that binds it), and an object of another kind (through the author's mapper). For children and mapped objects the old form counts
as well as the new one, so that whoever lost a child, or is no longer pointed at, runs too.

Sources run on the threads of the caches: they are quick, and nothing an author's predicate raises gets past them. Those with a
mapper have threads of their own, for it may take its time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from operator_kit.controller.echoes import Wake
from operator_kit.controller.options import check_key
from operator_kit.controller.ownership import Marks, annotation_of
from operator_kit.controller.scope import Write
from operator_kit.objects import GVK, Resource, join_key, split_key
from operator_kit.predicates import DEFAULT, Predicate
from operator_kit.queue import LOW, NORMAL

if TYPE_CHECKING:
    from operator_kit.cache import Change, Entry
    from operator_kit.controller.options import Mapper

__all__ = ["Enqueue", "is_new_intent", "label_keys", "label_source", "mapped_source", "own_source", "owner_keys", "owner_source"]

Enqueue = Callable[[Wake], None]
"""What a source does with a key it found."""

_log = logging.getLogger("operator_kit.controller")


def own_source(enqueue: Enqueue, predicate: Predicate | None, kind: Resource) -> Callable[[Change], None]:
    """The object itself. A new object, a new generation and a deletion run at once; the rest keeps a failing key's deadline.

    A list after the first runs every object, also one that has changed in nothing that leads to a run.
    """
    passes = predicate or DEFAULT

    def on_change(change: Change) -> None:
        old, new = change.old, change.new
        if change.type == "resync":
            enqueue(Wake(change.key, LOW, True, "resync"))
        elif new is None:
            enqueue(Wake(change.key, NORMAL, True, "deleted", gone=_gone(kind, change)))
        elif old is None:
            priority, reason = (LOW, "first seen") if change.initial else (NORMAL, "created")
            enqueue(Wake(change.key, priority, False, reason, _version(kind, new)))
        # That it begins to be deleted no predicate hides: its finalizer would hold it until the next resync.
        elif (deletion := new.deleting and not old.deleting) or _passes(passes, old, new):
            fresh = is_new_intent(old, new)
            reason = "deletion" if deletion else "changed"
            # What a list found is its resync as well, and that is no echo.
            enqueue(Wake(change.key, NORMAL, not fresh, reason, None if change.listed else _version(kind, new)))
        elif change.listed:
            enqueue(Wake(change.key, LOW, True, "resync"))

    return on_change


def _version(kind: Resource, entry: Entry) -> Write:
    return Write(kind, entry.key, entry.uid, entry.resource_version)


def _gone(kind: Resource, change: Change) -> Write | None:
    return None if change.old is None else Write(kind, change.key, change.old.uid, "")


def _wake_all(enqueue: Enqueue, keys: Iterable[str], change: Change, kind: Resource, *, child: bool) -> None:
    """Wake the keys that lead back from a change of another object. A resync is left to their own."""
    seen, gone = (_version(kind, change.new), None) if change.new is not None else (None, _gone(kind, change))
    priority, reason = LOW if change.initial else NORMAL, f"{kind.kind} {change.key} {change.type}"
    for key in dict.fromkeys(keys):
        enqueue(Wake(key, priority, True, reason, seen, gone, lost=child and seen is None))


def is_new_intent(old: Entry, new: Entry) -> bool:
    """Whether somebody asked for something else: then a failing key need not wait for its backoff.

    Labels, annotations and finalizers do not count where there is a generation: a reconciler that changes one of them and then
    fails would wake itself without end.
    """
    if new.deleting and not old.deleting:
        return True
    if new.generation and old.generation:
        return new.generation != old.generation
    return new.digest != old.digest


def _passes(predicate: Predicate, old: Entry, new: Entry) -> bool:
    try:
        return predicate(old, new)
    except (Exception, SystemExit):  # noqa: BLE001  # the author's code, on a cache's thread
        # Letting it through costs one run; holding it back could lose a change for good.
        _log.exception("predicate %r failed on %s; the change passes", predicate, new.key)
        return True


def owner_keys(entry: Entry | None, owner: Resource) -> tuple[str, ...]:
    """The key of the object of kind `owner` (in any version) that controls this one: none or one."""
    reference = entry.controller if entry is not None else None
    if entry is None or reference is None or not reference.get("name"):
        return ()
    gvk = GVK.of(str(reference.get("apiVersion") or ""), str(reference.get("kind") or ""))
    if (gvk.group, gvk.kind) != (owner.group, owner.kind):
        return ()
    namespace = split_key(entry.key)[0] if owner.namespaced else ""
    return (join_key(namespace, str(reference["name"])),)


def owner_source(enqueue: Enqueue, owner: Resource, child: Resource) -> Callable[[Change], None]:
    """A child: the object that controls it runs, and so does the one that did before."""

    def on_change(change: Change) -> None:
        if change.type != "resync":
            keys = (*owner_keys(change.old, owner), *owner_keys(change.new, owner))
            _wake_all(enqueue, keys, change, child, child=True)

    return on_change


def label_keys(entry: Entry | None, marks: Marks) -> tuple[str, ...]:
    """The key of the object whose child this one is by label: none or one."""
    if entry is None or entry.controller is not None or marks.owner not in entry.labels:
        return ()
    key = annotation_of(entry.decode(), marks.owner)
    return (key,) if key and key.count("/") <= 1 else ()


def label_source(enqueue: Enqueue, marks: Marks, child: Resource) -> Callable[[Change], None]:
    """A child by label: the object whose key stands beside the label runs, and so does the one whose key stood there before."""

    def on_change(change: Change) -> None:
        if change.type != "resync":
            _wake_all(enqueue, (*label_keys(change.old, marks), *label_keys(change.new, marks)), change, child, child=True)

    return on_change


def mapped_source(enqueue: Enqueue, mapper: Mapper, kind: Resource) -> Callable[[Change], None]:
    """An object of another kind: whatever the author's mapper answers for its old and its new form runs.

    What it raises for one form is raised on, for the cache to log and count, once the keys of the other run.
    """

    def on_change(change: Change) -> None:
        if change.type == "resync":
            return
        keys: list[str] = []
        failure: BaseException | None = None
        for entry in (change.old, change.new):
            try:
                keys += _as_keys(mapper(entry.decode())) if entry is not None else ()
            except (Exception, SystemExit) as exc:  # noqa: BLE001  # the author's code
                failure = failure or exc
        _wake_all(enqueue, keys, change, kind, child=False)
        if failure is not None:
            raise failure

    return on_change


def _as_keys(answer: Any) -> tuple[str, ...]:
    if answer is None:
        return ()
    return tuple(check_key(key) for key in ((answer,) if isinstance(answer, str) else answer))
