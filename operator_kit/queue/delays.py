"""Keys that wait for their time: one deadline per key, the earliest wins.

A plain structure without lock or clock; the queue holds its lock and says what time it is. Putting, cancelling and taking what
is due cost O(log n); an entry that was cancelled or brought forward stays in the heap until its old time or until such entries
are the majority.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Delays", "Held"]

K = TypeVar("K", bound=Hashable)


class Held(Generic[K]):
    """A key held back until `deadline` (seconds of the clock's `monotonic`).

    `backoff` tells a key that failed from one that asked to be looked at again later: only the former is left alone by an `add`
    that respects backoff.
    """

    __slots__ = ("backoff", "deadline", "group", "key", "priority")

    def __init__(self, key: K, deadline: float, priority: int, group: Hashable, *, backoff: bool) -> None:
        self.key = key
        self.deadline = deadline
        self.priority = priority
        self.group = group
        self.backoff = backoff


class Delays(Generic[K]):
    """The held keys (`held`, by key) and the order in which they come due."""

    __slots__ = ("_count", "_heap", "held")

    def __init__(self) -> None:
        self.held: dict[K, Held[K]] = {}
        self._heap: list[tuple[float, int, Held[K]]] = []
        self._count = 0  # ties are broken by order of arrival, and entries are never compared

    def hold(self, entry: Held[K]) -> None:
        """Hold a key. If it is held already, the earlier deadline and the higher priority hold, and a backoff stays one."""
        known = self.held.get(entry.key)
        if known is not None:
            entry.priority = known.priority = max(known.priority, entry.priority)
            entry.backoff = known.backoff = known.backoff or entry.backoff
            if known.deadline <= entry.deadline:
                return
        self._count += 1
        heappush(self._heap, (entry.deadline, self._count, entry))
        self.held[entry.key] = entry
        if len(self._heap) > 2 * len(self.held) + 64:
            self._heap = [item for item in self._heap if self.held.get(item[2].key) is item[2]]
            heapify(self._heap)

    def cancel(self, key: K) -> Held[K]:
        """Hold the key no longer. `KeyError` if it was not held."""
        return self.held.pop(key)

    def due(self, now: float) -> Held[K] | None:
        """The entry that came due first, still held, or None. Whoever takes it cancels it once the key is safe elsewhere."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heap[0][2]
            if self.held.get(entry.key) is entry:
                return entry
            heappop(heap)
        return None

    def next_deadline(self) -> float:
        """No key comes due before this; infinity when none is held. It may be early, after a cancellation."""
        return self._heap[0][0] if self.held and self._heap else math.inf

    def clear(self) -> None:
        """Hold nothing."""
        self.held.clear()
        self._heap.clear()
