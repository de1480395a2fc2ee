"""Fencing by time: what a leader's write path asks before each request.

A leader may write for `renew_deadline` seconds from the moment it *sent* the last renewal that succeeded, on a clock that goes on
while the machine is suspended. The fence tells what is left of that, refuses a write when nothing is, and thereby caps every
request. What this cannot promise is written in docs/leader-election.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from operator_kit.clock import Clock, Signal
from operator_kit.errors import NotLeader

__all__ = ["Fence"]

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Fence:
    """The right to write during one term of leadership. Once that has ended, it never comes back.

    Thread-safe and cheap; never blocks.

    Attributes:
        lost: set when the term has ended; for `ctx.stopping` and for waits.
        holder: the leader's identity; empty without an election.
        transitions: the lease's count of transitions in this term: it orders the terms.
    """

    def __init__(
        self,
        remaining: Callable[[], float],
        *,
        holder: str = "",
        transitions: int = 0,
        clock: Clock | None = None,
        on_refusal: Callable[[], None] | None = None,
    ) -> None:
        self._remaining = remaining
        self._on_refusal = on_refusal
        self.holder = holder
        self.transitions = transitions
        self.lost = Signal(clock)

    @classmethod
    def unfenced(cls) -> Fence:
        """For a process without leader election: every write may be sent, for any time."""
        return cls(lambda: math.inf)

    def valid_for(self) -> float:
        """Seconds for which writes may still be sent and be under way; 0 when none may."""
        return 0.0 if self.lost.is_set() else max(0.0, self._remaining())

    def check(self) -> float:
        """`valid_for()`, or an error when it is 0. The write, with all its retries, must be over within that time.

        Raises:
            NotLeader: nothing may be written any more.
        """
        left = self.valid_for()
        if left <= 0:
            if self._on_refusal is not None:
                self._on_refusal()
            who = f"{self.holder} (transition {self.transitions})" if self.holder else "this process"
            raise NotLeader(f"nothing is written any more: {who} does not hold the lease, or not surely")
        return left

    def cap(self, timeout: float) -> float:
        """`timeout`, or what is left if that is less. Raises NotLeader as `check` does."""
        return min(timeout, self.check())

    def guard(self, method: str) -> float:
        """For `Client.guarded`: asked before each try of a request with its HTTP method. Reads are free.

        Raises:
            NotLeader: as `check` does.
        """
        return math.inf if method in _READS else self.check()

    def fields(self) -> dict[str, str | int]:
        """What log lines of this term carry; nothing without an election."""
        return {"holder": self.holder, "transition": self.transitions} if self.holder else {}

    def __repr__(self) -> str:
        return f"<Fence holder={self.holder!r} transitions={self.transitions} valid_for={self.valid_for():.3f}>"
