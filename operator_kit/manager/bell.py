"""A bell: wakes the one who waits for something to do before its time is up."""

from __future__ import annotations

import threading

from operator_kit.clock import Clock

__all__ = ["Bell"]


class Bell:
    """Rung from any thread, and from a signal handler. A ring while nobody waits is kept for the next wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._rung = False

    def ring(self) -> None:
        """Wake who waits. Returns at once."""
        with self._condition:
            self._rung = True
            self._condition.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait until it rings, at most so many seconds. Returns whether it has rung."""
        deadline = self._clock.monotonic() + timeout
        with self._condition:
            while not self._rung and self._clock.monotonic() < deadline:
                self._clock.wait_until(self._condition, deadline)
            rung, self._rung = self._rung, False
            return rung
