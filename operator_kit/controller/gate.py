"""Own writes are seen: a key waits until the caches hold what its last run wrote.

Without this a run that follows closely on another would decide on what was there before: apply a child again, make a second
one where names are generated, write a status back. Only objects the caches cover count. The wait is ended by the store, not
by handlers, so no predicate can hide it, and no worker is held up meanwhile: the key is put back and added again. At the
limit the run reads live instead, and so does every run after it until the caches have caught up: that one run was live makes
the caches no newer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from operator_kit.cache import Write as CacheWrite
from operator_kit.clock import Clock
from operator_kit.controller.scope import Write
from operator_kit.objects import Resource, split_key

if TYPE_CHECKING:
    from operator_kit.controller.listers import Caches

__all__ = ["LIMIT", "Gate", "Verdict"]

LIMIT = 5.0
"""Seconds after a write for which a key waits at most."""


class Verdict(Enum):
    """Whether a key may run."""

    GO = "go"
    WAIT = "wait"
    LIVE = "live"  # the caches are too far behind: read from the server


_Target = tuple[Resource, str, str]  # kind, key and uid of what was written


@dataclass(slots=True, eq=False)
class _Unseen:
    """A write that the caches do not hold yet; `forget` takes the wish to hear of it back."""

    forget: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class _Pending:
    """What a key's runs wrote and the caches do not hold yet: of each object the last write."""

    deadline: float = 0.0
    unseen: dict[_Target, _Unseen] = field(default_factory=dict)
    wanted: bool = False  # a worker came for the key and put it back


class Gate:
    """Holds keys back for one controller. Thread-safe.

    Args:
        caches: of the controller.
        add: puts a key in the queue again.
        clock: the clock.
        limit: seconds, see `LIMIT`.
    """

    def __init__(self, caches: Caches, add: Callable[[str], None], clock: Clock, limit: float = LIMIT) -> None:
        self._caches = caches
        self._add = add
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._pending: dict[str, _Pending] = {}  # under the lock

    def remember(self, key: str, writes: Iterable[Write]) -> None:
        """A run of the key wrote this. To be called before the key is given back."""
        last = {(write.resource, write.key, write.uid): write for write in writes}
        for target, write in last.items():
            lister = self._caches.find(write.resource)
            namespace = split_key(write.key)[0]
            if lister is None or not write.uid or not lister.covers(namespace):
                continue
            store = lister.store(namespace)
            written = CacheWrite(write.key, write.uid, write.version)
            if store.has_seen(written):  # most are, but for the last: watches are quick
                continue
            mine = _Unseen()
            with self._lock:
                pending = self._pending.setdefault(key, _Pending())
                pending.deadline = self._clock.monotonic() + self._limit
                earlier = pending.unseen.get(target)
                pending.unseen[target] = mine
            # Without our lock: the store calls back under none, but takes its own for this.
            if earlier is not None and earlier.forget is not None:
                earlier.forget()
            mine.forget = store.when_seen(written, partial(self._seen, key, target, mine))
            if mine.forget is None:
                self._seen(key, target, mine)

    def _seen(self, key: str, target: _Target, mine: _Unseen) -> None:
        with self._lock:
            pending = self._pending.get(key)
            if pending is None or pending.unseen.get(target) is not mine:
                return
            del pending.unseen[target]
            if pending.unseen:
                return
            del self._pending[key]
            wanted = pending.wanted
        if wanted:
            self._add(key)

    def check(self, key: str) -> tuple[Verdict, float]:
        """Whether the key may run; and for `WAIT` the seconds after which to come again, if the gate has not added it by then."""
        with self._lock:
            pending = self._pending.get(key)
            if pending is None:
                return Verdict.GO, 0.0
            left = pending.deadline - self._clock.monotonic()
            if left > 0:
                pending.wanted = True
                return Verdict.WAIT, left
            pending.wanted = False
            return Verdict.LIVE, 0.0

    def forget(self, key: str) -> None:
        """The key is of no interest any more."""
        with self._lock:
            pending = self._pending.pop(key, None)
        if pending is not None:
            _take_back(pending)

    def clear(self) -> None:
        """Forget everything: at shutdown."""
        with self._lock:
            everything = list(self._pending.values())
            self._pending.clear()
        for pending in everything:
            _take_back(pending)

    def idle(self, *, watching: bool) -> bool:
        """Whether no key is held back; with a watch, also whether every write was seen (its echo may still lead to a run)."""
        with self._lock:
            return not any(watching or pending.wanted for pending in self._pending.values())

    def __len__(self) -> int:
        return len(self._pending)


def _take_back(pending: _Pending) -> None:
    for unseen in pending.unseen.values():
        if unseen.forget is not None:
            unseen.forget()
