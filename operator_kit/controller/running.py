"""What runs just now, and since when: for who waits for its end, looks for what is stuck, or asks where a thread is."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from operator_kit.clock import Clock

__all__ = ["RunningKey", "RunningKeys"]


@dataclass(frozen=True, slots=True)
class RunningKey:
    """A key that is being reconciled, or another function of the author's that runs.

    For how many seconds, on which thread, and since when on the monotonic clock. `key` is empty for what belongs to no object;
    its text says then what it is.
    """

    controller: str
    key: str
    seconds: float
    thread: str
    what: str = ""
    began: float = 0.0

    def __str__(self) -> str:
        return self.what or f"{self.controller}: the reconcile of {self.key}"


class RunningKeys:
    """The keys that one controller's workers reconcile. Thread-safe.

    Attributes:
        ended: how many reconciles have ended.
    """

    def __init__(self, controller: str, clock: Clock) -> None:
        self._controller = controller
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, threading.Thread]] = {}  # under the lock
        self.ended = 0  # under the lock

    def begin(self, key: str) -> None:
        """This thread begins to reconcile the key."""
        with self._lock:
            self._running[key] = (self._clock.monotonic(), threading.current_thread())

    def end(self, key: str) -> float:
        """The reconcile of the key has ended. Returns the seconds that it took."""
        now = self._clock.monotonic()
        with self._lock:
            began, _ = self._running.pop(key)
            self.ended += 1
        return now - began

    def look(self) -> list[RunningKey]:
        """Those that run, longest first."""
        now = self._clock.monotonic()
        with self._lock:
            running = list(self._running.items())
        keys = [RunningKey(self._controller, key, now - since, thread.name, began=since) for key, (since, thread) in running]
        return sorted(keys, key=lambda item: -item.seconds)

    def thread(self, key: str) -> threading.Thread | None:
        """The thread that reconciles the key, if one does."""
        with self._lock:
            _, thread = self._running.get(key, (0.0, None))
        return thread
