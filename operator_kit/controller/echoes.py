"""Echoes: changes that tell a key nothing but what its last run knew.

A run that creates a child hears of it again from the watch, and would run a second time for nothing. A change is an echo, and
wakes nobody, only where that is certain:

- of the object itself: it is the very version that the function was given;
- of another object: it is the very version that the run's own write was answered with, and the run read nothing of that kind, in
  any version of it, nor applied that object twice, so that running again it would be handed the same answers.

Versions are compared exactly, never times: a change by anybody else has another version and wakes the key, and so does a
deletion. What arrives while the key runs is held until the run's writes are known; it could not have run earlier anyway. A resync
is no echo of anything, and neither is what a list finds changed in the object itself.

What is no echo may still be nothing but a key's own write, for which it runs because it looked at that kind as well. A function
that writes something else each time (a time, a random value) would run like that for ever. So runs in a row that nothing else led
to are counted; from the twentieth on the next is put off, for a second, two, four, down to once in a minute.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from operator_kit.controller.scope import Write
from operator_kit.objects import Resource

__all__ = ["LONGEST_DELAY", "REMEMBERED", "SELF_WOKEN", "Echoes", "Wake"]

SELF_WOKEN = 20
"""How often in a row a key must run because of nothing but what its last run wrote, to count as a loop."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds between runs in such a loop: the first, doubled with each to the longest."""

REMEMBERED = 10_000
"""Of how many keys the last writes are remembered for that."""

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
        gone: for a deletion: what was deleted, without a version.
        lost: a child is gone. Perhaps because its owner is, which the owner's own watch may tell later.
    """

    key: str
    priority: int
    respect_backoff: bool
    reason: str
    seen: Write | None = None
    gone: Write | None = None
    lost: bool = False


@dataclass(slots=True)
class _Held:
    """What came while the key ran: of each object the last change, and one wake for all that is no echo in any case."""

    changes: dict[_Target, Wake] = field(default_factory=dict)
    certain: Wake | None = None
    gone: list[Write] = field(default_factory=list)  # the deletions among those
    other: bool = False  # whether there was anything else among those
    rounds: int = 0  # runs in a row, this one included, that came of nothing but what the one before wrote


@dataclass(slots=True)
class _Last:
    """What a key's last run wrote and may hear of, and what has come since."""

    written: tuple[Write, ...]
    rounds: int
    own: bool = False  # what it wrote has come back, and is no echo
    other: bool = False  # something else has come

    def notice(self, what: Write | None) -> None:
        if what in self.written:
            self.own = True
        else:
            self.other = True


class Echoes:
    """Holds wakes back for one controller. Thread-safe; wakes come from the threads of the caches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Held] = {}  # under the lock
        self._known: dict[str, dict[_Target, tuple[str, str]]] = {}  # under the lock; uid and version, not seen yet
        self._last: OrderedDict[str, _Last] = OrderedDict()  # under the lock; of keys whose last run wrote what they may hear of

    def begin(self, key: str) -> int:
        """The key is about to run: to be called before it looks at the cache.

        Returns how many runs in a row, this one included, came of nothing but what the one before wrote; 0 if this one did not.
        """
        with self._lock:
            last = self._last.pop(key, None)
            rounds, one_more = 0, last is not None and last.own and not last.other
            if last is not None and (one_more or last.rounds >= SELF_WOKEN):  # in a loop it stays until it writes nothing more
                rounds = last.rounds + one_more
            self._running[key] = _Held(rounds=rounds)
            self._known.pop(key, None)
        return rounds if one_more else 0

    def end(self, key: str, known: Iterable[Write], written: Iterable[Write] = ()) -> Wake | None:
        """The key has run.

        Args:
            key: the key.
            known: the versions of which it need not be told.
            written: all that it wrote.

        Returns:
            What must wake it, of all that came meanwhile.
        """
        versions = {(write.resource, write.key): (write.uid, write.version) for write in known}
        told = tuple(write for write in written if versions.get((write.resource, write.key)) != (write.uid, write.version))
        with self._lock:
            held = self._running.pop(key, None) or _Held()
            last = _Last(told, held.rounds, other=held.other)
            due = held.certain
            for gone in held.gone:
                last.notice(gone)
            for target, wake in held.changes.items():
                if wake.seen is not None and versions.get(target) == (wake.seen.uid, wake.seen.version):
                    del versions[target]
                else:
                    due = _stronger(due, wake)
                    last.notice(wake.seen)
            if versions:
                self._known[key] = versions
            if told:
                self._last[key] = last
                if len(self._last) > REMEMBERED:
                    self._last.popitem(last=False)
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
                    if wake.gone is not None and len(held.gone) < HELD:
                        held.gone.append(wake.gone)
                    else:
                        held.other = True
                else:
                    held.changes[seen.resource, seen.key] = _stronger(before, wake)
                return True
            versions = self._known.get(wake.key)
            if seen is None or versions is None or versions.get((seen.resource, seen.key)) != (seen.uid, seen.version):
                last = self._last.get(wake.key)
                if last is not None:
                    last.notice(seen or wake.gone)
                return False
            del versions[seen.resource, seen.key]
            if not versions:
                del self._known[wake.key]
            return True

    def delay(self, key: str) -> float:
        """Seconds by which the key's next run is put off, as things are: it would be one more round of a loop."""
        if key not in self._last:  # most have not written: no lock for those
            return 0.0
        with self._lock:
            last = self._last.get(key)
            if last is None or last.other or last.rounds < SELF_WOKEN:
                return 0.0
            return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(last.rounds - SELF_WOKEN, 10))

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
