"""Notices reconciles that do not end: says which key, and where its thread is, once; `/livez` fails while one runs.

A reconcile is stuck when it has run for longer than `stuck_after`, and longer than its own time limit. From that limit on each
of its calls to the API server is refused, so nothing that the framework could end is left: it hangs in the author's code, a
worker and its key with it, and only a restart frees them. That nothing was reconciled for a while is no sign of anything. A
reconciler declared with `timeout=0` may run for ever: its author said so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from operator_kit.observe.logging import bound, stack
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from operator_kit.controller import Runnable
    from operator_kit.controller.running import RunningKey

__all__ = ["Watchdog"]

_log = logging.getLogger("operator_kit.manager")


class Watchdog:
    """Looks when asked: on every round of the manager's, and at every probe. Thread-safe.

    Args:
        runnables: gives those to look at.
        stuck_after: seconds; 0 for never.
    """

    def __init__(self, runnables: Callable[[], Sequence[Runnable]], stuck_after: float) -> None:
        self._runnables = runnables
        self.stuck_after = stuck_after
        self._lock = threading.Lock()
        self._told: set[tuple[str, str, float]] = set()  # under the lock; controller, key, and when it began

    def stuck(self) -> list[RunningKey]:
        """The reconciles that are stuck now, longest first. One that is new among them is logged."""
        if not self.stuck_after:
            return []
        found = [
            (runnable, run)
            for runnable in self._runnables()
            if runnable.made.timeout != 0
            for run in runnable.running()
            if run.seconds > max(self.stuck_after, runnable.timeout)
        ]
        runs = {(run.controller, run.key, run.began): (runnable, run) for runnable, run in found}
        with self._lock:
            new = runs.keys() - self._told
            self._told = set(runs)
        for one in sorted(new):
            _tell(*runs[one])
        return sorted((run for _, run in found), key=lambda run: -run.seconds)

    def problem(self) -> str:
        """The check: names the keys that are stuck."""
        return "; ".join(f"{run} is stuck for {format_duration(run.seconds)}" for run in self.stuck())


def _tell(runnable: Runnable, run: RunningKey) -> None:
    namespace, _, name = run.key.rpartition("/")
    with bound(controller=run.controller, namespace=namespace, name=name):
        frames = runnable.stack(run.key) or ["(it has just ended)"]
        _log.error("%s is stuck for %s; thread %s is at", run, format_duration(run.seconds), run.thread, extra=stack(frames))
