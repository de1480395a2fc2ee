"""What the parts of the sandbox share: storage, registry, clock, and a queue of small jobs that run between requests.

Everything runs on one thread, the event loop's, and no job waits: a request and a job each see a state nobody else changes
meanwhile, so there are no locks. Controllers (garbage collection, namespaces, CRDs) put their steps into the queue with `later`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from operator_kit.clock import Clock
from operator_kit.sandbox.builtin import builtin_resources
from operator_kit.sandbox.metadata import timestamp
from operator_kit.sandbox.registry import Registry
from operator_kit.sandbox.storage import Storage

__all__ = ["World"]

_log = logging.getLogger(__name__)
_SLICE = 64


class World:
    """One embedded API server's state."""

    def __init__(self, *, clock: Clock | None = None, history: int = 10_000) -> None:
        self.clock = clock or Clock()
        self.skew = 0.0
        # Version 1 is nobody's: a watch from it is from before this server's time, as on a server with an old etcd.
        self.storage = Storage(history=history, start=10)
        self.registry = Registry(builtin_resources(self.storage))
        self._jobs: deque[Callable[[], Any]] = deque()
        self._soon: Callable[[Callable[[], Any]], Any] | None = None
        self._scheduled = False

    def moment(self) -> datetime:
        """The server's wall clock; `skew` seconds off the true one."""
        return self.clock.now() + timedelta(seconds=self.skew)

    def now(self) -> str:
        """The wall clock, as timestamps are written."""
        return timestamp(self.moment())

    def in_seconds(self, seconds: int) -> str:
        """A moment in the future (or past), as timestamps are written."""
        return timestamp(self.moment() + timedelta(seconds=seconds))

    def attach(self, soon: Callable[[Callable[[], Any]], Any] | None) -> None:
        """Let the jobs run on an event loop: `soon` is its `call_soon`. None detaches."""
        self._soon = soon
        self._scheduled = False
        if self._jobs:
            self._schedule()

    def later(self, job: Callable[[], Any]) -> None:
        """Run a job after what runs now."""
        self._jobs.append(job)
        self._schedule()

    def _schedule(self) -> None:
        if self._soon is not None and not self._scheduled:
            self._scheduled = True
            self._soon(self._run_some)

    def _run_some(self) -> None:
        """A slice of the queue, so that a mass deletion does not keep requests waiting."""
        self._scheduled = False
        for _ in range(min(_SLICE, len(self._jobs))):
            self._run(self._jobs.popleft())
        if self._jobs:
            self._schedule()

    def _run(self, job: Callable[[], Any]) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001  # a defect in one step must not stop the server; it is told, and tests fail on it
            _log.exception("a background step of the sandbox failed")

    def settle(self) -> None:
        """Run jobs until none is left. For use without an event loop."""
        while self._jobs:
            self._run(self._jobs.popleft())

    def __repr__(self) -> str:
        return f"<World {self.storage!r}, {len(self._jobs)} jobs wait>"
