"""A client-side rate limit that is fair: a token bucket whose tokens go round those who wait for one.

Off unless asked for: API servers have had priority and fairness of their own since 1.20, and a limit here makes nothing faster.
It is for servers that must be spared all the same, and for operators that must not take more than a given share.

What is limited is what grows with the objects: the calls of reconciles, and the Events. Each controller is a *flow*, the Events
are one more; a flow that waits gets every n-th token when n flows wait, whatever the others ask for, and a flow that is alone
gets all. What is *not* limited, because it is few by itself and others depend on it: the calls of the leader election, the lists
and watches of the caches (one at a time for each kind, with pauses of their own), and discovery.

A call that could not have its turn within the time it may take is refused at once, with `RateLimited`: waiting in vain would hold
a worker up and help nobody. Its key is tried again with its own backoff.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from operator_kit.api.cancel import Cancel
from operator_kit.clock import Clock
from operator_kit.errors import Cancelled, RateLimited

__all__ = ["RateLimiter", "Turn", "Turns"]

_NEARLY = 1 - 1e-9  # tokens are fractions: what is one but for rounding is one


class Turn:
    """One call that waits, or has its token."""

    __slots__ = ("condition", "flow", "granted")

    def __init__(self, flow: str, condition: threading.Condition) -> None:
        self.flow = flow
        self.condition = condition
        self.granted = False


class Turns:
    """The bucket, and whose turn is next. Reads no clock and takes no lock: it is told the time, by the limiter that owns it.

    Args:
        qps: tokens per second.
        burst: tokens the bucket holds at most, and at first.
        now: seconds, of the scale that all moments here are of.
    """

    def __init__(self, qps: float, burst: int, now: float) -> None:
        self.qps = qps
        self.burst = burst
        self._tokens = float(burst)
        self._at = now
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()  # by flow; the first flow is next

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def next(self) -> Turn | None:
        """The call whose turn is next."""
        return next(iter(self._waiting.values()))[0] if self._waiting else None

    def join(self, turn: Turn) -> None:
        """Wait, behind those of the same flow; a flow that did not wait comes behind all others."""
        self._waiting.setdefault(turn.flow, deque()).append(turn)

    def leave(self, turn: Turn) -> None:
        """Wait no more. No error if it does not wait."""
        queue = self._waiting.get(turn.flow)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[turn.flow]

    def grant(self, now: float) -> list[Turn]:
        """Give out the tokens that are there: one to each flow that waits, in turn. Returns whose turn it is."""
        self._refill(now)
        granted = []
        while self._waiting and self._tokens >= _NEARLY:
            flow, queue = next(iter(self._waiting.items()))
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(flow)
            else:
                del self._waiting[flow]
            self._tokens = max(0.0, self._tokens - 1)
            turn.granted = True
            granted.append(turn)
        return granted

    def seconds_to(self, tokens: float, now: float) -> float:
        """How long it is from now until so many tokens have come, on top of none."""
        self._refill(now)
        return max(0.0, (tokens - self._tokens) / self.qps)

    def expected(self, flow: str, now: float) -> float:
        """How long a call of this flow that came now would wait for its turn, if nobody else came."""
        own = len(self._waiting.get(flow, ()))
        rounds, before = own + 1, own  # its turn is in this round; flows that come after it in a round have had one turn less
        for other, queue in self._waiting.items():
            if other == flow:
                rounds = own
            else:
                before += min(len(queue), rounds)
        return self.seconds_to(before + 1, now)

    def _refill(self, now: float) -> None:
        self._tokens = min(float(self.burst), self._tokens + max(0.0, now - self._at) * self.qps)
        self._at = max(self._at, now)


class RateLimiter:
    """Hands out turns to threads. Thread-safe.

    Args:
        qps: calls per second, in the long run; more than 0.
        burst: calls that need not wait after a time of quiet; 1 or more.
        clock: the clock.
    """

    def __init__(self, qps: float, burst: int, *, clock: Clock | None = None) -> None:
        if qps <= 0 or burst < 1:
            raise ValueError(f"a rate limit of {qps} calls per second and a burst of {burst} would let nothing through")
        self._clock = clock or Clock()
        self._lock = threading.RLock()  # a signal handler may cancel a call of its own thread
        self._turns = Turns(qps, burst, self._clock.monotonic())  # under the lock

    def wait(self, flow: str, what: str, seconds: float, cancel: Cancel | None = None) -> float:
        """Wait for the flow's turn.

        Args:
            flow: who asks: flows take turns.
            what: the request, for messages.
            seconds: how long it may take at most.
            cancel: ends it from another thread.

        Returns:
            The seconds it took.

        Raises:
            RateLimited: its turn would come too late, or has.
            Cancelled: it was cancelled.
        """
        began = self._clock.monotonic()
        turn = Turn(flow, threading.Condition(self._lock))
        with self._lock:
            expected = self._turns.expected(flow, began)
            if expected > seconds:
                raise self._refused(flow, what, seconds, f"its turn would come in {expected:.3g} s")
            self._turns.join(turn)
            if self._grant(turn):
                return 0.0
        forget = cancel.signal.on_set(lambda: self._wake(turn)) if cancel is not None else None
        try:
            with self._lock:
                while not self._grant(turn):
                    now = self._clock.monotonic()
                    if cancel is not None and cancel.cancelled:
                        raise Cancelled(f"{what} was cancelled while it waited for its turn")
                    if now >= began + seconds:
                        raise self._refused(flow, what, seconds, "others came before it")
                    until = began + seconds
                    if self._turns.next is turn:  # it keeps the time, for all
                        until = min(until, now + self._turns.seconds_to(1, now))
                    self._clock.wait_until(turn.condition, until)
        finally:
            if forget is not None:
                forget()
            with self._lock:
                self._turns.leave(turn)  # if it gave up
                following = self._turns.next
                if following is not None:
                    following.condition.notify_all()  # from here on that one keeps the time
        return self._clock.monotonic() - began

    def _grant(self, turn: Turn) -> bool:
        """Give out the tokens that are there. Returns whether this one has its own."""
        for other in self._turns.grant(self._clock.monotonic()):
            other.condition.notify_all()
        return turn.granted

    def _wake(self, turn: Turn) -> None:
        with self._lock:
            turn.condition.notify_all()

    def _refused(self, flow: str, what: str, seconds: float, why: str) -> RateLimited:
        qps = self._turns.qps
        return RateLimited(
            f"{what} was not sent: under the limit of {qps:g} calls per second (kube_api_qps) {flow} has no turn within the "
            f"{seconds:.3g} s it may take; {why}"
        )

    def __repr__(self) -> str:
        turns = self._turns
        return f"<RateLimiter {turns.qps:g}/s burst {turns.burst}: {len(turns)} wait>"
