"""Where idle workers wait, and how they are woken: in a chain, with one of them watching the clock.

**Wake-ups go in a chain.** Waking a thread costs more than queueing a key. Whoever makes work wakes one worker, and only if
there are more keys than workers on their way already, and fewer than `ABREAST` of these; a worker that takes a key and leaves
more behind wakes the next. So a burst of keys meets as many workers as it needs, and no worker is woken to find nothing. More
than one abreast, because a woken worker must wait for the interpreter lock before it can wake the next.

**No thread of its own.** Where something is to happen later (`_alarm`), one of the idle workers, the *timekeeper*, waits no
longer than until then. It is woken last, and when it leaves another takes its place.

**No wake-up is lost.** A worker that comes back under the lock, whether it was woken, timed out or was interrupted, first says so
(`_unpark`), then looks for work, and before it leaves it passes on (`DedupQueue._pass_on`) what it does not do itself.
"""

from __future__ import annotations

import math
import threading

from operator_kit.clock import Clock

__all__ = ["ABREAST", "Parking"]

ABREAST = 4
"""So many workers may be on their way at once."""


class Parking:
    """The lock of a queue and the threads that wait under it. Everything here is called with the lock held."""

    __slots__ = ("_alarm", "_clock", "_coming", "_enter", "_lock", "_monotonic", "_parked", "_spare", "_timekeeper")

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock or Clock()
        self._monotonic = self._clock.monotonic
        # Reentrant only because a release by a thread that does not own it is then an error, not somebody else's unlocking.
        self._lock = threading.RLock()
        # `True in self._enter` takes the lock, as `with` does, in half the time: it calls `acquire`, which answers True. Unlike a
        # call written out it lets nothing come between the lock and the `try` that gives it back: no thread switch, no exception.
        self._enter = iter(self._lock.acquire, None)
        self._parked: list[threading.Condition] = []  # idle workers; the last is woken first, the timekeeper is the first
        self._spare: list[threading.Condition] = []
        self._coming: list[threading.Condition] = []  # woken, and not yet back under the lock
        self._timekeeper: threading.Condition | None = None
        self._alarm = math.inf  # nothing is to happen before; may be early, never late

    def _place_to_park(self) -> threading.Condition:
        """A condition for the calling thread alone.

        Handed back to `_spare` only after a clean return: then nobody else knows it.
        """
        return self._spare.pop() if self._spare else threading.Condition(self._lock)

    def _park(self, me: threading.Condition, deadline: float | None) -> None:
        """Wait until woken, until the deadline, or, as timekeeper, until the alarm. May return early."""
        if self._timekeeper is None and self._alarm < math.inf:
            deadline = self._alarm if deadline is None else min(self._alarm, deadline)
            self._timekeeper = me
            self._parked.insert(0, me)
        else:
            self._parked.append(me)
        self._clock.wait_until(me, deadline)
        self._unpark(me)

    def _unpark(self, me: threading.Condition) -> None:
        """The worker is back, woken or not. May be repeated."""
        if me in self._parked:
            self._parked.remove(me)
        if self._timekeeper is me:
            self._timekeeper = None
        if me in self._coming:
            self._coming.remove(me)

    def _wake_one(self) -> None:
        """Wake the worker that parked last. There must be one."""
        worker = self._parked[-1]
        worker.notify()  # first: if this is interrupted, nobody believes in a wake-up that was never sent
        del self._parked[-1]
        self._coming += (worker,)

    def _wake_all(self) -> None:
        """Wake every worker."""
        for worker in self._parked:
            worker.notify()

    def _set_alarm(self, at: float) -> None:
        """Something is to happen at `at`. The timekeeper must know if that is sooner than what it waits for."""
        if at < self._alarm:
            self._alarm = at
            if self._timekeeper is not None:
                self._timekeeper.notify()
