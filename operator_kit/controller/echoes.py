"""Echoes: changes that tell a key nothing but what its last run knew.

A run that creates a child hears of it again from the watch, and would run a second time for nothing. A change is an echo, and
wakes nobody, only where that is certain:

- of the object itself: it is the very version that the function was given;
- of another object: it is the very version that the run's own write was answered with, and the run read nothing of that kind, in
  any version of it, nor applied that object twice, so that running again it would be handed the same answers.

Versions are compared exactly, never times: a change by anybody else has another version and wakes the key, and so does a
deletion. What arrives while the key runs is held until the run's writes are known; it could not have run earlier anyway. A resync
is no echo of anything, and neither is what a list finds changed in the object itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from operator_kit.controller.scope import Write
from operator_kit.objects import Resource

__all__ = ["Echoes", "Wake"]

HELD = 1000
"""Of how many objects the last change is held while a key runs; that of any more is taken for no echo, which costs a run."""

_Target: TypeAlias = tuple[Resource, str]


class Wake(NamedTuple):
    """A key that shall run, and why.

    Attributes:
        key: the key.
        priority: the lane of the queue.
        respect_backoff: whether a failing key keeps its deadline.
        reason: for the log.
        seen: the version of the object that changed; None for what is no echo of anything: a deletion, a resync.
        lost: a child is gone. Perhaps because its owner is, which the owner's own watch may tell later.
    """

    key: str
    priority: int
    respect_backoff: bool
    reason: str
    seen: Write | None = None
    lost: bool = False


@dataclass(slots=True)
class _Held:
    """What came while the key ran: of each object the last change, and one wake for all that is no echo in any case."""

    changes: dict[_Target, Wake] = field(default_factory=dict)
    certain: Wake | None = None


class Echoes:
    """Holds wakes back for one controller. Thread-safe; wakes come from the threads of the caches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Held] = {}  # under the lock
        self._known: dict[str, dict[_Target, tuple[str, str]]] = {}  # under the lock; uid and version, not seen yet

    def begin(self, key: str) -> None:
        """The key is about to run: to be called before it looks at the cache."""
        with self._lock:
            self._running[key] = _Held()
            self._known.pop(key, None)

    def end(self, key: str, known: Iterable[Write]) -> Wake | None:
        """The key has run.

        Args:
            key: the key.
            known: the versions of which it need not be told.

        Returns:
            What must wake it, of all that came meanwhile.
        """
        versions = {(write.resource, write.key): (write.uid, write.version) for write in known}
        with self._lock:
            held = self._running.pop(key, None) or _Held()
            due = held.certain
            for target, wake in held.changes.items():
                if wake.seen is not None and versions.get(target) == (wake.seen.uid, wake.seen.version):
                    del versions[target]
                else:
                    due = _stronger(due, wake)
            if versions:
                self._known[key] = versions
        return due

    def take(self, wake: Wake) -> bool:
        """Whether this wake is an echo, or is held until its key has run."""
        seen = wake.seen
        with self._lock:
            held = self._running.get(wake.key)
            if held is not None:
                before = held.changes.get((seen.resource, seen.key)) if seen is not None else None
                if seen is None or (before is None and len(held.changes) >= HELD):
                    held.certain = _stronger(held.certain, wake)
                else:
                    held.changes[seen.resource, seen.key] = _stronger(before, wake)
                return True
            versions = self._known.get(wake.key)
            if seen is None or versions is None or versions.get((seen.resource, seen.key)) != (seen.uid, seen.version):
                return False
            del versions[seen.resource, seen.key]
            if not versions:
                del self._known[wake.key]
            return True

    def __len__(self) -> int:
        return len(self._known)


def _stronger(one: Wake | None, other: Wake) -> Wake:
    """Two wakes of a key as one: as urgent as either; the later one's object and reason."""
    if one is None:
        return other
    return other._replace(
        priority=max(one.priority, other.priority),
        respect_backoff=one.respect_backoff and other.respect_backoff,
        lost=one.lost or other.lost,
    )
