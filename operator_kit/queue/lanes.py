"""A lane: the waiting keys of one priority, in the order in which they will be handed out.

Inside a lane the turns go round the *flows* (by default one per namespace) that have keys waiting, and within a flow the first
in is the first out. So one flow with ten thousand keys does not hold up another's one.

A key whose priority is raised leaves its lane without being searched for: its entry stays as a *ghost* and is skipped when its
turn comes. Ghosts never outnumber the waiting keys by much; beyond that the lane is rebuilt without them.

A lane is only touched under its queue's lock. What happens for every key is written out in `dedup.py`, with operators instead
of calls; the reason is given there. This module holds the layout and what happens rarely.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

__all__ = ["HIGH", "LOW", "NORMAL", "Lane", "by_namespace", "check_priority"]

LOW = -100
"""What is not urgent: the initial list and resyncs. controller-runtime's number."""
NORMAL = 0
"""A fresh change."""
HIGH = 100
"""What must not wait behind fresh changes."""

_SPARE_FLOWS = 64
_SPARE_GHOSTS = 64


def by_namespace(key: Any) -> Hashable:
    """The flow of a key unless told otherwise: the namespace of `"namespace/name"`; one flow for all keys without one."""
    return key.rpartition("/")[0] if isinstance(key, str) else ""


def check_priority(priority: int) -> None:
    """Raise `TypeError` unless the priority is an int."""
    if not isinstance(priority, int):
        raise TypeError(f"priority must be an int, not {priority!r}")


class Lane:
    """The waiting keys of one priority.

    Attributes:
        flows: the keys of each flow, first in first. Empty ones may linger, so that they need not be made anew.
        ring: the flows that have entries, next turn first. A flow is in it exactly when its deque is not empty.
        ghosts: for each key that left for a higher lane, how many entries it left behind. They are the oldest entries of the key.
        unseen: the number of ghosts.
    """

    __slots__ = ("flows", "ghosts", "priority", "ring", "unseen")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.flows: dict[Hashable, deque[Any]] = {}
        self.ring: deque[Hashable] = deque()
        self.ghosts: dict[Any, int] = {}
        self.unseen = 0

    def flow(self, group: Hashable) -> deque[Any]:
        """The keys of a flow; made if need be, and not in the ring while it is empty."""
        fifo = self.flows.get(group)
        if fifo is None:
            if len(self.flows) > 2 * len(self.ring) + _SPARE_FLOWS:
                self.flows = {busy: self.flows[busy] for busy in self.ring}
            fifo = self.flows[group] = deque()
        return fifo

    def settle(self) -> bool:
        """Skip ghosts until the next entry is a waiting key again. False if there is none."""
        ring, ghosts = self.ring, self.ghosts
        while ring:
            fifo = self.flows[ring[0]]
            while fifo and fifo[0] in ghosts:
                key = fifo[0]
                left = ghosts[key] - 1
                del fifo[0]  # from here on without a call: an entry and its count go together
                self.unseen -= 1
                if left:
                    ghosts[key] = left
                else:
                    del ghosts[key]
            if fifo:
                return True
            del ring[0]
        return False

    def bury(self, most: int) -> None:
        """Drop all ghosts if there are many more than `most`. The order of turns and keys stays."""
        if self.unseen <= most + _SPARE_GHOSTS:
            return
        left = dict(self.ghosts)
        flows: dict[Hashable, deque[Any]] = {}
        for group in self.ring:
            kept: deque[Any] = deque()
            for key in self.flows[group]:
                if left.get(key):
                    left[key] -= 1
                else:
                    kept.append(key)
            if kept:
                flows[group] = kept
        self.flows, self.ring, self.ghosts, self.unseen = flows, deque(flows), {}, 0

    def __len__(self) -> int:
        """How many keys wait here."""
        return sum(map(len, self.flows.values())) - self.unseen

    def head(self) -> Any:
        """The key whose turn is next. The lane has one."""
        return self.flows[self.ring[0]][0]

    def keys(self, limit: int) -> list[Any]:
        """The first `limit` keys in the order in which the lane will hand them out, if nothing comes or goes."""
        left = dict(self.ghosts)
        taken: list[Any] = []
        turns = deque(iter(self.flows[group]) for group in self.ring)
        while turns and len(taken) < limit:
            turn = turns.popleft()
            for key in turn:
                if left.get(key):
                    left[key] -= 1
                    continue
                taken.append(key)
                turns.append(turn)
                break
        return taken
