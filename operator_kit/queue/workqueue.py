"""The WorkQueue: the de-duplicating queue with its retry part, per-key failures and delays.

The retry part decides *when* a key is added, the part below (`dedup.py`) what an add means. A key that is held back has one
deadline. It is either backing off (it failed) or asked to be looked at again later; `add` treats the two differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from heapq import nsmallest
from typing import TypeVar

from operator_kit.clock import Clock
from operator_kit.observe.metrics import Family, Registry
from operator_kit.queue.dedup import DedupQueue
from operator_kit.queue.delays import Delays, Held
from operator_kit.queue.lanes import NORMAL, check_priority
from operator_kit.queue.limiters import ExponentialBackoff, RateLimiter
from operator_kit.queue.snapshot import Delayed, Ready, Running, Snapshot, families

__all__ = ["WorkQueue"]

K = TypeVar("K", bound=Hashable)


class WorkQueue(DedupQueue[K]):
    """What must be reconciled next, for any hashable key. All methods may be called from any thread.

    The de-duplicating half of the face (`add`, `get`, `done`, `len`, `shut_down`, `shut_down_with_drain`) is inherited.
    A worker: `key = queue.get()`; run; `queue.forget(key)` or `queue.add_rate_limited(key)`; and in a `finally`,
    `queue.done(key)`.

    Args:
        name: of the queue, for people and as the `name` label of its metrics.
        clock: where time comes from.
        rate_limiter: how long a key that failed waits; `ExponentialBackoff()` unless given.
        flow: gives the flow of a key (hashable): the turns go round the flows that have keys waiting. By namespace unless given.
            Called for every key that is not waiting yet, on the caller's thread and without a lock.
        metrics: where the queue's metrics are to be read; it must have a name then.

    An unhashable key is a `TypeError` wherever a key is given. Whatever is refused leaves the queue as it was.
    """

    __slots__ = ("_delays", "_limiter", "_retries")

    def __init__(
        self,
        *,
        name: str = "",
        clock: Clock | None = None,
        rate_limiter: RateLimiter | None = None,
        flow: Callable[[K], Hashable] | None = None,
        metrics: Registry | None = None,
    ) -> None:
        super().__init__(name=name, clock=clock, flow=flow)
        self._limiter = ExponentialBackoff() if rate_limiter is None else rate_limiter
        self._delays: Delays[K] = Delays()
        self._held = self._delays.held
        self._retries = 0
        if metrics is not None:
            if not name:
                raise ValueError("a queue with metrics needs a name: it is their label")
            metrics.register(self.metrics)

    # ------------------------------------------------------------------ the face, beyond what is inherited

    def add_after(self, key: K, delay: float, *, priority: int | None = None) -> None:
        """Have the key run once `delay` seconds have passed, unless it runs sooner for another reason.

        Of several delays for a key the earliest deadline holds. A key that waits already, or will run again once it is done,
        gains nothing. Dropped silently once the queue shuts down.

        Args:
            key: what is to run.
            delay: seconds, finite; zero is `add`. A negative one or one that is not a number is a `ValueError`.
            priority: the lane; None: the one the key was handed out from if it is being processed, else `NORMAL`.
        """
        if not 0 <= delay < math.inf:
            raise ValueError(f"add_after({key!r}): the delay must be zero or more seconds, and finite; got {delay}")
        self._schedule(key, delay, priority, backoff=False)

    def add_rate_limited(self, key: K, *, priority: int | None = None) -> float:
        """The key failed: count it, and have the key run again after the delay that the rate limiter gives.

        Returns that delay in seconds. `priority` as in `add_after`. Once the queue shuts down the key is not run again, whatever
        the delay. Raises `ValueError` if the limiter gives a delay that is not one.
        """
        delay = self._limiter.when(key)
        if not 0 <= delay < math.inf:
            raise ValueError(f"add_rate_limited({key!r}): {self._limiter!r} gave a delay of {delay}")
        self._schedule(key, delay, priority, backoff=True)
        return delay

    def forget(self, key: K) -> None:
        """The key's failures are history: its next one is its first. Neither ends a run nor cancels a delay."""
        self._limiter.forget(key)

    def num_requeues(self, key: K) -> int:
        """How often the key failed since it was last forgotten."""
        return self._limiter.num_requeues(key)

    # ------------------------------------------------------------------ the retry part

    def _schedule(self, key: K, delay: float, priority: int | None, *, backoff: bool) -> None:
        group = self._flow(key)
        now = self._monotonic()
        try:
            with self._lock:
                if self._alarm <= now:
                    self._sound(now)
                if self._closed:
                    return
                if priority is None:
                    priority = self._processing[key][0] if key in self._processing else NORMAL
                check_priority(priority)
                if delay <= 0 or key in self._waiting:
                    self._admit(key, priority, group, now, plain=True)
                elif key in self._again and (self._again[key].plain or not backoff):
                    self._again[key].priority = max(self._again[key].priority, priority)
                else:
                    if key in self._again:  # only by adds that respect backoff: the failure's deadline holds
                        priority = max(self._again[key].priority, priority)
                    self._delays.hold(Held(key, now + delay, priority, group, backoff=backoff))
                    self._again.pop(key, None)
                    self._set_alarm(self._held[key].deadline)
                self._retries += 1
                self._pass_on()
        except BaseException:
            self._recover()
            raise

    def _sound(self, now: float) -> None:
        """Admit every held key that is due, as an ordinary add at its deadline."""
        while (entry := self._delays.due(now)) is not None:
            self._admit(entry.key, entry.priority, entry.group, entry.deadline, plain=True)
            self._held.pop(entry.key, None)
        self._alarm = self._delays.next_deadline()

    def _release(self, key: K, priority: int, *, plain: bool) -> int | None:
        entry = self._held[key]
        entry.priority = max(entry.priority, priority)
        return None if entry.backoff and not plain else entry.priority

    def _close(self, *, draining: bool) -> None:
        self._delays.clear()
        super()._close(draining=draining)

    # ------------------------------------------------------------------ to be looked at

    @property
    def idle(self) -> bool:
        """Nothing waits, runs or backs off. A key that asked to be looked at again later does not count."""
        with self._lock:
            if self._alarm < math.inf:
                self._sound_if_due()
            return not (self._waiting or self._processing or any(entry.backoff for entry in self._held.values()))

    def snapshot(self, limit: int = 100) -> Snapshot:
        """What is in the queue, for people: at most `limit` keys of each sort, and the count of all."""
        with self._lock:
            if self._alarm < math.inf:
                self._sound_if_due()
            now = self._monotonic()
            ready = [
                Ready(lane.priority, len(lane), now - self._waiting[lane.head()][1], tuple(lane.keys(limit)))
                for lane in self._order
            ]
            running = [
                Running(key, now - since, level, key in self._again)
                for key, (level, since) in sorted(self._processing.items(), key=lambda item: item[1][1])[:limit]
            ]
            held = nsmallest(limit, self._held.values(), key=lambda entry: entry.deadline)
            counts = (len(self._waiting), len(self._processing), len(self._held))
            state = self._state()
        return Snapshot(
            self.name,
            state,
            *counts,
            tuple(ready),
            tuple(running),
            tuple(
                Delayed(entry.key, max(0.0, entry.deadline - now), entry.priority, entry.backoff, self.num_requeues(entry.key))
                for entry in held
            ),
        )

    def metrics(self) -> list[Family]:
        """The queue's metrics now, with client-go's names and meaning, labelled with the queue's name."""
        with self._lock:
            if self._alarm < math.inf:
                self._sound_if_due()
            now = self._monotonic()
            depth = {NORMAL: 0} | {priority: len(lane) for priority, lane in self._lanes.items()}
            for again in self._again.values():
                depth[again.priority] = depth.get(again.priority, 0) + 1
            running = [max(0.0, now - since) for _, since in self._processing.values()]
            adds, retries = self._adds, self._retries
        self._fold()
        queued, worked = self._queued.read(), self._worked.read()
        return families(self.name, depth=depth, adds=adds, retries=retries, queued=queued, worked=worked, running=running)

    def _state(self) -> str:
        if not self._closed:
            return "open"
        if self._draining:
            return "draining" if self._waiting or self._processing else "drained"
        return "shut down"

    def __repr__(self) -> str:
        # Without the lock, so that it also answers in a debugger: a glance, each number right by itself.
        name = f" {self.name!r}" if self.name else ""
        return (
            f"<WorkQueue{name} {self._state()}: {len(self._waiting)} ready, {len(self._processing)} running, "
            f"{len(self._held)} delayed>"
        )
