"""The de-duplicating queue: a set of keys that must be looked at, and the threads that wait for them.

A key is *waiting* (it will be handed out), *processing* (it was handed out and is not done), or processing and *again* (it was
added meanwhile, and will wait again once it is done). It promises:

- A key is never in two workers. Any number of adds while it waits is one run; while it is processed, exactly one more.
- A run begins after every add it stands for: whoever adds a key is answered by a run that sees what was true at the add.
- While a key waits and a worker is idle, a wake-up is under way: nothing added is left lying, whatever becomes of a woken worker.

All state changes under one lock, and nothing else happens there: no I/O, no log, no function of the user's, no clock.

**Why the sections under the lock in `add`, `get` and `done` are written with operators.** CPython gives the interpreter lock to
another thread only at calls and backward jumps, and delivers asynchronous exceptions only there. A section without either is
never left half done, so that no thread meets a lock whose owner is not running: with sixteen workers on one interpreter,
waiting for such owners costs more than everything else. The queue is correct without this; it is only slower.

Idle workers and wake-ups are the matter of `parking.py`, delays and failures that of `workqueue.py`, which builds on this.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from operator_kit.clock import Clock
from operator_kit.errors import ShutDown
from operator_kit.observe.metrics import Tally
from operator_kit.queue.lanes import NORMAL, Lane, by_namespace, check_priority
from operator_kit.queue.parking import ABREAST, Parking

__all__ = ["DedupQueue"]

K = TypeVar("K", bound=Hashable)

_EVERY = 8  # of so many keys handed out, one comes from a lower lane if one waits there
_NOTHING: Any = object()


class _Again:
    """What is known of a key that was added while it is processed."""

    __slots__ = ("added", "group", "plain", "priority")

    def __init__(self, priority: int, group: Hashable, added: float, *, plain: bool) -> None:
        self.priority = priority
        self.group = group
        self.added = added
        self.plain = plain  # False: only by adds that respect backoff


class DedupQueue(Parking, Generic[K]):
    """The part of `WorkQueue` that knows no delays. Use `WorkQueue`."""

    __slots__ = (
        "__weakref__", "_adds", "_again", "_closed", "_draining", "_dropped", "_finished", "_flow", "_held", "_lanes", "_order",
        "_processing", "_queued", "_runs", "_turns", "_waiting", "_waits", "_worked", "name",
    )  # fmt: skip

    def __init__(self, *, name: str = "", clock: Clock | None = None, flow: Callable[[K], Hashable] | None = None) -> None:
        super().__init__(clock)
        self.name = name
        self._flow: Callable[[K], Hashable] = flow or by_namespace

        self._waiting: dict[K, tuple[int, float]] = {}  # priority, when it was added
        self._processing: dict[K, tuple[int, float]] = {}  # priority it had, when it was handed out
        self._again: dict[K, _Again] = {}  # a part of _processing
        self._held: dict[K, Any] = {}  # filled by the retry part only; never a key that is in _waiting
        self._lanes: dict[int, Lane] = {}
        self._order: list[Lane] = []  # those with keys, highest priority first; the next entry of each is no ghost
        self._turns = _EVERY - 1  # of the highest lane, while a lower one has keys, until that has its turn

        self._finished = threading.Condition(self._lock)  # drainers wait here
        self._closed = False
        self._draining = False
        self._dropped = 0  # keys that a shutdown left undone

        self._adds = 0
        self._waits: list[float] = []  # seconds from add to get, until they are sorted into buckets
        self._runs: list[float] = []  # seconds from get to done
        self._queued = Tally()
        self._worked = Tally()

    # ------------------------------------------------------------------ the way of a key

    def add(self, key: K, *, priority: int = NORMAL, respect_backoff: bool = False) -> None:
        """Have the key run: now if it is idle, once more after the run that goes on, not at all beyond that if it waits already.

        A delay that is pending for the key is replaced by this. Dropped silently once the queue shuts down.

        Args:
            key: what is to run.
            priority: the lane. A waiting key keeps the highest priority it was given until it is handed out.
            respect_backoff: a key that failed and is backing off stays at its deadline; one that is being processed, and fails,
                gets the deadline its failure is given. For what brings no news: resyncs and secondary events.
        """
        # Without the lock: a key seen waiting now is handed out later than now, so its run sees what this add is about.
        if key in self._waiting:
            known = self._waiting.get(key)
            if known is not None and priority <= known[0]:
                return
        flow, monotonic = self._flow, self._monotonic
        group = key.rpartition("/")[0] if flow is by_namespace and isinstance(key, str) else flow(key)  # the usual one, inline
        now = monotonic()
        try:
            _ = True in self._enter  # `with self._lock`, quicker; see parking.py
            try:
                if self._alarm <= now:
                    self._sound(now)
                if self._closed:
                    return
                if key in self._waiting or key in self._processing or (self._held and key in self._held):
                    self._admit(key, priority, group, now, plain=not respect_backoff)
                else:  # what `_enqueue` does
                    try:
                        lane = self._lanes[priority]
                        fifo = lane.flows[group]
                    except KeyError:
                        lane, fifo = self._place(priority, group)
                    if not fifo:
                        if not lane.ring:
                            self._order = self._order_with(lane) if self._order else [lane]
                        lane.ring += (group,)
                    fifo += (key,)
                    self._waiting[key] = (priority, now)
                    self._adds += 1
                if self._parked and len(self._coming) < ABREAST:
                    self._pass_on()
            finally:
                self._lock.release()
        except BaseException:
            self._recover()
            raise

    def get(self, timeout: float | None = None) -> K:
        """Take the next key, in the order of priority, turn and arrival; from now on it is being processed, until `done`.

        Args:
            timeout: seconds to wait for one; None waits for ever, 0 not at all.

        Raises:
            ShutDown: the queue is shut down, or draining and nothing is left to hand out.
            TimeoutError: no key came in time.
            ValueError: the timeout is negative or not a number.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be zero or more, not {timeout}")
        key: K = _NOTHING
        monotonic = self._monotonic
        now = monotonic()
        try:
            _ = True in self._enter
            try:
                if self._alarm <= now:
                    self._sound(now)
                if not self._waiting:
                    now = self._await_key(timeout, now)
                order = self._order
                lane = order[0]
                if len(order) > 1:
                    if self._turns:
                        self._turns -= 1
                    else:
                        lane = self._lower_turn()
                ring = lane.ring
                group = ring[0]
                fifo = lane.flows[group]
                key = fifo[0]
                del fifo[0]
                del ring[0]
                if fifo:
                    ring += (group,)
                added = self._waiting[key][1]
                del self._waiting[key]
                self._processing[key] = (lane.priority, now)
                self._waits.append(now - added)
                if lane.ghosts:
                    self._settle(lane)
                elif not ring:
                    if lane is order[0]:
                        del order[0]
                    else:
                        order.remove(lane)
                if self._parked and len(self._coming) < ABREAST:
                    self._pass_on()
            finally:
                self._lock.release()
            return key
        except (ShutDown, TimeoutError):
            with self._lock:
                self._pass_on()
            raise
        except BaseException:
            self._recover(key)
            raise

    def done(self, key: K) -> None:
        """The run of the key has ended. If the key was added meanwhile it waits again, or stays at the deadline of its failure.

        Raises `ValueError` if the key is not being processed.
        """
        monotonic = self._monotonic
        now = monotonic()
        try:
            _ = True in self._enter
            try:
                try:
                    started = self._processing[key][1]
                except KeyError:
                    raise ValueError(f"done({key!r}): the key is not being processed") from None
                if self._again and key in self._again:
                    again = self._again[key]
                    self._enqueue(key, again.priority, again.group, again.added)
                else:
                    del self._processing[key]
                self._runs.append(now - started)
                if self._parked and len(self._coming) < ABREAST:
                    self._pass_on()
                if self._closed and not (self._waiting or self._processing):
                    self._finished.notify_all()
            finally:
                self._lock.release()
            if len(self._runs) >= Tally.BATCH:
                self._fold()
        except BaseException:
            self._recover()
            raise

    def __len__(self) -> int:
        """How many keys wait to be handed out: not those being processed, nor those held back for later."""
        with self._lock:
            if self._alarm < math.inf:
                self._sound_if_due()
            return len(self._waiting)

    # ------------------------------------------------------------------ what is rare, under the lock

    def _admit(self, key: K, priority: int, group: Hashable, now: float, *, plain: bool) -> None:
        """An add, whatever state the key is in. `plain`: the add does not respect backoff."""
        check_priority(priority)
        if key in self._waiting:
            self._raise_priority(key, priority, group)
            return
        if key in self._held:
            released = self._release(key, priority, plain=plain)
            if released is None:
                return
            priority = released
        if key not in self._processing:
            self._enqueue(key, priority, group, now)
            self._adds += 1
        elif key in self._again:
            again = self._again[key]
            again.priority = max(again.priority, priority)
            again.plain = again.plain or plain
        else:
            self._again[key] = _Again(priority, group, now, plain=plain)
            self._adds += 1
        # Last: interrupted before, the key is there twice and runs once, instead of never.
        self._held.pop(key, None)

    def _enqueue(self, key: K, priority: int, group: Hashable, added: float) -> None:
        """The key waits from now on; if it was being processed, that has ended."""
        lane, fifo = self._place(priority, group)
        if not fifo:
            if not lane.ring:
                self._order = self._order_with(lane)
            lane.ring += (group,)
        fifo += (key,)
        self._waiting[key] = (priority, added)
        if key in self._processing:
            del self._processing[key]
            if key in self._again:
                del self._again[key]

    def _raise_priority(self, key: K, priority: int, group: Hashable) -> None:
        """A waiting key goes to the end of a higher lane; it never goes to a lower one."""
        before, added = self._waiting[key]
        if priority <= before:
            return
        left = self._lanes[before]
        lane, fifo = self._place(priority, group)
        if not fifo:
            if not lane.ring:
                self._order = self._order_with(lane)
            lane.ring += (group,)
        fifo += (key,)
        self._waiting[key] = (priority, added)
        left.unseen += 1
        left.ghosts[key] = left.ghosts[key] + 1 if key in left.ghosts else 1
        left.bury(len(self._waiting))
        self._settle(left)

    def _place(self, priority: int, group: Hashable) -> tuple[Lane, deque[Any]]:
        """The lane and the flow a key belongs to, made if need be."""
        lane = self._lanes.get(priority)
        if lane is None:
            check_priority(priority)
            if len(self._lanes) > _EVERY:  # whoever makes up priorities as they go does not leave a lane behind for each
                self._lanes = {level: old for level, old in self._lanes.items() if old.ring}
            lane = self._lanes[priority] = Lane(priority)
        return lane, lane.flow(group)

    def _order_with(self, lane: Lane) -> list[Lane]:
        """The lanes that have keys once this one does."""
        return sorted([*self._order, lane], key=lambda each: -each.priority)

    def _settle(self, lane: Lane) -> None:
        """An entry of the lane went or became a ghost: the next must be none, and a lane without keys has no turns."""
        if not lane.settle():
            self._order = [each for each in self._order if each is not lane]

    def _lower_turn(self) -> Lane:
        """The lower lane whose next key has waited longest."""
        self._turns = _EVERY - 1
        return min(self._order[1:], key=lambda lane: self._waiting[lane.head()][1])

    def _fold(self) -> None:
        """Sort the durations measured so far into their buckets. Not under the lock, but for taking them."""
        with self._lock:
            waits, runs = self._waits, self._runs
            self._waits, self._runs = [], []
        self._queued.merge(waits)
        self._worked.merge(runs)

    # ------------------------------------------------------------------ waiting and waking, under the lock

    def _await_key(self, timeout: float | None, now: float) -> float:
        """Park until a key waits; gives the time then. Raises `ShutDown` or `TimeoutError`. The caller takes a key at once."""
        deadline = None if timeout is None else now + timeout
        me = self._place_to_park()
        try:
            while not self._waiting:
                if self._closed and not self._again:
                    raise ShutDown(f"queue {self.name!r} is shut down" if self.name else "the queue is shut down")
                if deadline is not None and now >= deadline:
                    raise TimeoutError(f"no key within {timeout:g} seconds")
                self._park(me, deadline)
                now = self._monotonic()
                if self._alarm <= now:
                    self._sound(now)
        finally:
            self._unpark(me)
        self._spare.append(me)
        return now

    def _pass_on(self) -> None:
        """Wake an idle worker if there is something for it to do that nobody on the way will do.

        Called at the end of every section that may have made it true: a key waits; held keys have no timekeeper; the last key
        of a drain was handed out. A woken worker calls it in its turn, when it took a key and when it leaves without one.
        """
        if self._closed and not self._waiting and not self._again:
            self._wake_all()
            return
        if self._parked and len(self._coming) < ABREAST:
            leaderless = self._timekeeper is None and self._alarm < math.inf
            if len(self._waiting) > len(self._coming) or (leaderless and not self._coming):
                self._wake_one()

    def _recover(self, key: K = _NOTHING) -> None:
        """An exception from outside left a section: put back a key taken and not returned, and mend what was half done."""
        group = self._flow(key) if key is not _NOTHING else None
        with self._lock:
            if key is not _NOTHING and key in self._processing:
                priority, now = self._processing[key]
                if not self._closed or self._draining:
                    again = self._again.get(key)
                    self._enqueue(key, max(priority, again.priority) if again else priority, group, now)
                else:
                    del self._processing[key]
                    self._finished.notify_all()
            # It may have come just before a lane without keys left the order, or before the timekeeper was told of a new alarm.
            lanes = sorted(self._lanes.values(), key=lambda lane: -lane.priority)
            self._order = [lane for lane in lanes if lane.settle()]
            self._sound(self._monotonic())
            if self._timekeeper is not None:
                self._timekeeper.notify()
            self._pass_on()

    # ------------------------------------------------------------------ what the retry part fills in, under the lock

    def _sound(self, now: float) -> None:
        """The alarm went off: admit what is due and set `_alarm` anew. Without a retry part there is no alarm."""

    def _sound_if_due(self) -> None:
        now = self._monotonic()
        if self._alarm <= now:
            self._sound(now)
            self._pass_on()

    def _release(self, key: K, priority: int, *, plain: bool) -> int | None:
        """A held key was added: the priority it is admitted with, or None if it stays held.

        The caller takes it out of `_held`.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ the end

    def shut_down(self) -> None:
        """Stop at once: unblock everyone who waits, refuse new keys, cancel the delayed ones, hand out nothing more.

        Returns without waiting for runs that go on; their `done` is still welcome. Frees a blocked drain. May be repeated.
        """
        with self._lock:
            self._close(draining=False)

    def shut_down_with_drain(self, timeout: float | None = None) -> bool:
        """Refuse new keys and cancel the delayed ones, but finish what is waiting and running, re-runs included; then stop.

        Blocks until workers have done so. Returns whether they did: False if `timeout` seconds went by, after which nothing
        more is handed out, or if `shut_down` was called meanwhile or before and left something undone. Raises `ValueError` if
        the timeout is negative or not a number.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be zero or more, not {timeout}")
        with self._lock:
            if not self._closed:
                self._close(draining=True)
            deadline = None if timeout is None else self._monotonic() + timeout
            while self._draining and (self._waiting or self._processing):
                if deadline is not None and self._monotonic() >= deadline:
                    self._close(draining=False)
                    break
                self._clock.wait_until(self._finished, deadline)
            return not self._dropped and not self._processing

    def _close(self, *, draining: bool) -> None:
        self._closed, self._draining = True, draining
        self._held.clear()
        self._alarm = math.inf
        if not draining:
            self._dropped += len(self._waiting) + len(self._again)
            self._lanes, self._order = {}, []
            self._waiting.clear()
            self._again.clear()
        self._wake_all()
        self._finished.notify_all()

    @property
    def shutting_down(self) -> bool:
        """Whether the queue was told to shut down, with or without drain."""
        return self._closed
