"""What the outcome of a run means: to the queue, to what is remembered of its key, and in the log."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from operator_kit.controller.finalizers import finalizer_name
from operator_kit.controller.outcome import Action
from operator_kit.controller.report import FailureLog
from operator_kit.queue import LOW
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from operator_kit.cache import Entry
    from operator_kit.clock import Clock, Signal
    from operator_kit.controller.listers import Caches
    from operator_kit.controller.outcome import Decision
    from operator_kit.controller.progress import Progress
    from operator_kit.controller.registered import Reconciler
    from operator_kit.controller.troubles import Troubles
    from operator_kit.observe.logging import BoundLogger
    from operator_kit.queue import WorkQueue

__all__ = ["CONFLICT_WAIT", "Concluder", "spread"]

CONFLICT_WAIT = 1.0
"""Seconds a key waits, at most, for the cache to catch up after its first conflict."""

_log = logging.getLogger("operator_kit.controller")


class Concluder:
    """Concludes the runs of one controller, on the threads of its workers.

    Args:
        made: the reconciler.
        caches: of the reconciler.
        queue: its keys.
        troubles: what is remembered of keys that did not end well.
        progress: what people asked for.
        stopping: set when nothing runs again in this process.
        timeout: seconds one run may take; 0 for no limit.
        clock: the clock.
    """

    def __init__(
        self,
        made: Reconciler,
        caches: Caches,
        queue: WorkQueue[str],
        *,
        troubles: Troubles,
        progress: Progress,
        stopping: Signal,
        timeout: float,
        clock: Clock,
    ) -> None:
        self._made = made
        self._caches = caches
        self._queue = queue
        self._troubles = troubles
        self._progress = progress
        self._stopping = stopping
        self._timeout = timeout
        self._clock = clock
        self._failure_log = FailureLog(clock)
        self._started_at = 0.0

    def start(self) -> None:
        """The workers start now."""
        self._started_at = self._clock.monotonic()

    def gone(self, key: str) -> None:
        """The key's object is gone."""
        self._troubles.forget(key)
        self._queue.forget(key)

    def conclude(self, key: str, entry: Entry, decision: Decision, seconds: float, log: BoundLogger) -> None:
        """A run has ended. To be called before the key is given back to the queue.

        Args:
            key: the key.
            entry: what the run saw of the object.
            decision: its outcome.
            seconds: how long it took.
            log: bound to the run.
        """
        if self._stopping.is_set() and decision.error is not None:
            # Nothing runs again in this process, and what failed may have failed because of the stop.
            log.info("stopped before it was done: %s", decision.error)
            return
        if decision.action in {Action.FORGET, Action.AFTER}:
            self._succeeded(key, entry, decision, seconds, log)
            return
        if decision.action is not Action.CONFLICT:
            self._ended(key, well=False)
        current = self._caches.own.entry(key)
        if current is None or current.uid != entry.uid:
            # What failed is gone; one that took its name begins anew, and was queued when it appeared.
            self.gone(key)
            log.debug("failed, and gone: %s", decision.error)
            return
        self._failed(key, entry, decision, log)

    def _succeeded(self, key: str, entry: Entry, decision: Decision, seconds: float, log: BoundLogger) -> None:
        failures = self._troubles.forget(key)
        self._queue.forget(key)
        if decision.action is Action.AFTER:
            self._queue.add_after(key, decision.delay)
        elif self._made.requeue_every is not None and not entry.deleting:
            self._queue.add_after(key, spread(self._made.requeue_every), priority=LOW)
        asked = self._ended(key, well=True) or self._cleaned_up(entry, decision)
        self._failure_log.succeeded(log, decision, seconds, asked=asked, failures=failures, timeout=self._timeout)

    def _failed(self, key: str, entry: Entry, decision: Decision, log: BoundLogger) -> None:
        failures, conflicts = self._troubles.failed(key, entry, decision)
        delay: float | None = None
        if decision.action is Action.CONFLICT and conflicts == 1:
            # The wake-up comes from the cache, unless it came before it was waited for; the delay is for a conflict on an object
            # that the cache does not show.
            newest = self._caches.own.entry(key)
            delay = CONFLICT_WAIT if newest is not None and newest.resource_version == entry.resource_version else 0.0
            self._queue.add_after(key, delay)
        elif decision.action is Action.RETRY_AFTER:
            delay = decision.delay
            self._queue.add_after(key, delay)
        elif decision.action is not Action.GIVE_UP:
            delay = self._queue.add_rate_limited(key)
        self._failure_log.failed(log, decision, failures, delay)

    def _ended(self, key: str, *, well: bool) -> str:
        """What somebody asked for and is done now, or empty."""
        asked, started = self._progress.ended(key, well=well)
        if started:
            took = format_duration(self._clock.monotonic() - self._started_at)
            _log.info("%s: %s, after %s", self._made.name, started, took)
        return asked

    def _cleaned_up(self, entry: Entry, decision: Decision) -> str:
        """`"deleted"` when this run took the finalizer off."""
        done = entry.deleting and decision.action is Action.FORGET
        return "deleted" if done and finalizer_name(self._caches.own.resource, self._made.name) in entry.finalizers else ""


def spread(interval: float) -> float:
    """An interval, give or take a tenth: what was started together must not run together for ever."""
    return interval * random.uniform(0.9, 1.1)  # noqa: S311  # jitter
