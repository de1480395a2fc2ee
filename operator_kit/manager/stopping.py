"""How work ends: what runs may finish, coroutines and reads are cancelled when its time is up, and what remains is named."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from enum import Enum

from operator_kit.controller import Hooks, RunningKey
from operator_kit.manager.work import Work
from operator_kit.queue import Snapshot
from operator_kit.settings import format_duration

__all__ = ["CANCEL_GRACE", "Ending", "How", "name_overdue", "report_stop"]

CANCEL_GRACE = 1.0
"""Seconds that what was cancelled gets to end."""

_log = logging.getLogger("operator_kit.manager")


class How(Enum):
    """How far an end is."""

    WAITING = "waiting"
    ENDED = "ended"
    OVERDUE = "overdue"


class Ending:
    """The end of a work, or of hooks, looked at again and again until it has come."""

    def __init__(self, what: Work | Hooks) -> None:
        self.what = what
        self._cancelled = False

    def look(self, patience: float, limit: float) -> How:
        """How far it is.

        Args:
            patience: seconds until coroutines and reads are cancelled.
            limit: seconds until nothing may run any more.
        """
        if self.what.ended:
            return How.ENDED
        if limit <= 0:
            return How.OVERDUE
        if patience <= 0 and not self._cancelled:
            self._cancelled = True
            if not self.what.cancel():
                return How.OVERDUE  # what runs is nothing that could be cancelled
        return How.WAITING


def report_stop(dropped: Sequence[Snapshot], running: int, timeout: float) -> None:
    """Say what may still finish, and what is dropped: whoever runs next lists it again. Nothing for a work stopped before."""
    if not dropped:
        return
    ready, delayed = sum(one.ready_count for one in dropped), sum(one.delayed_count for one in dropped)
    parts = []
    if running:
        parts.append(f"{running} that run may take {format_duration(timeout)}")
    if delayed:
        parts.append(f"{delayed} that wait for a retry or a requeue are dropped")
    if ready:
        parts.append(f"{ready} that are queued are dropped")
    if not parts:
        return
    _log.info("stopping: %s", "; ".join(parts))
    for one in dropped:
        for entry in one.delayed:
            times = "once" if entry.failures == 1 else f"{entry.failures} times"
            why = f"failed {times}" if entry.backoff else "asked to be looked at again"
            _log.debug("dropped: %s %s, due in %s, %s", one.name, entry.key, format_duration(entry.seconds), why)
        more = one.delayed_count - len(one.delayed)
        if more > 0:
            _log.debug("dropped: %s, %d more", one.name, more)


def name_overdue(keys: Iterable[RunningKey], past: str) -> None:
    """Name what of the author's outlives the process."""
    for key in keys:
        _log.critical(
            "%s is still running after %s, past %s; the process ends without it", key, format_duration(key.seconds), past
        )
