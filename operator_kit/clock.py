"""Time, so that it can be told to tests: nothing else in operator-kit reads a clock or waits by itself.

`Clock` is the real one. `FakeClock` stands still until a test moves it with `advance`, and wakes whoever waited for that moment.
Every wait can be ended from outside: by notifying the condition, or by setting the `Signal`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "FakeClock", "Signal"]


class Clock:
    """The real clock."""

    monotonic = staticmethod(time.monotonic)
    """Seconds since some fixed moment; never goes back. For delays, deadlines and durations."""

    def boottime(self) -> float:
        """Like `monotonic`, but it goes on while the machine is suspended (where the system can tell). For leases."""
        try:
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        except (AttributeError, OSError):  # not Linux
            return time.monotonic()

    def now(self) -> datetime:
        """The wall clock, in UTC. For timestamps that people and other programs read; never for durations."""
        return datetime.now(UTC)

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on a condition that the caller holds, at most `timeout` seconds (None: until notified).

        May return early: the caller loops and looks at its state and at `monotonic()` again.
        """
        condition.wait(timeout if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX))

    def wait_until(self, condition: threading.Condition, deadline: float | None) -> None:
        """Like `wait`, but until a moment of `monotonic()`, so that no time passes unseen between the caller's look and this."""
        self.wait(condition, None if deadline is None else deadline - self.monotonic())

    def sleep(self, seconds: float, until: Signal | None = None) -> bool:
        """Sleep, or less if `until` is set in the meantime. Returns whether the signal was set."""
        return (until or Signal(self)).wait(seconds)


class Signal:
    """A flag that is set once and can be waited for, on any clock: a `threading.Event` for injected time."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._condition = threading.Condition()
        self._set = False
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Set the flag, wake everyone who waits for it, and call who asked to be called, in this thread."""
        with self._condition:
            self._set = True
            self._condition.notify_all()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called once when the flag is set; at once if it is. It must not block. Returns what takes it back."""
        with self._condition:
            if not self._set:
                self._callbacks.append(callback)

                def forget() -> None:
                    with self._condition:
                        if callback in self._callbacks:
                            self._callbacks.remove(callback)

                return forget
        callback()
        return lambda: None

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, at most `timeout` seconds. Returns whether it is set."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self._condition:
            while not self._set:
                if deadline is not None and deadline <= self._clock.monotonic():
                    break
                self._clock.wait_until(self._condition, deadline)
            return self._set

    def __repr__(self) -> str:
        return f"<Signal {'set' if self._set else 'not set'}>"


class FakeClock(Clock):
    """A clock that stands still until `advance` is called.

    Threads that wait with a timeout are woken when the time has come; threads that wait without one are woken by their
    condition, as usual. `advance` takes the conditions' locks one after the other: do not call it while holding one.
    """

    def __init__(self, start: float = 1000.0, now: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._monotonic = start
        self._suspended = 0.0
        self._now = now or datetime(2026, 1, 1, tzinfo=UTC)
        self._waiters: dict[int, tuple[float | None, threading.Condition]] = {}
        self._ids = 0

    def monotonic(self) -> float:
        """Seconds on the fake clock."""
        return self._monotonic

    def boottime(self) -> float:
        """Seconds on the fake clock, with what `suspend` added."""
        return self._monotonic + self._suspended

    def now(self) -> datetime:
        """The fake wall clock."""
        return self._now

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on the condition until notified or until the fake time has come."""
        self._wait(condition, timeout, None)

    def wait_until(self, condition: threading.Condition, deadline: float | None) -> None:
        """Wait on the condition until notified or until the fake clock shows `deadline`, also if it is advanced just now."""
        self._wait(condition, None, deadline)

    def _wait(self, condition: threading.Condition, timeout: float | None, deadline: float | None) -> None:
        with self._lock:
            if timeout is not None:
                deadline = self._monotonic + timeout
            if deadline is not None and deadline <= self._monotonic:
                return
            self._ids += 1
            me = self._ids
            self._waiters[me] = (deadline, condition)
            self._changed.notify_all()
        try:
            condition.wait()
        finally:
            with self._lock:
                del self._waiters[me]
                self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Move all three clocks forward and wake those whose time has come."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back; use jump() for the wall clock")
        with self._lock:
            self._monotonic += seconds
            self._now += timedelta(seconds=seconds)
            due = [
                condition
                for deadline, condition in self._waiters.values()
                if deadline is not None and deadline <= self._monotonic
            ]
        for condition in due:
            with condition:
                condition.notify_all()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or a person would. The monotonic clocks do not notice."""
        with self._lock:
            self._now += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: the boot time and the wall clock go on, the monotonic clock does not."""
        with self._lock:
            self._suspended += seconds
            self._now += timedelta(seconds=seconds)

    def waiting(self) -> int:
        """How many threads wait on this clock just now."""
        with self._lock:
            return len(self._waiters)

    def next_deadline(self) -> float | None:
        """Seconds until the first waiter with a timeout is due, or None."""
        with self._lock:
            deadlines = [deadline for deadline, _ in self._waiters.values() if deadline is not None]
            return min(deadlines) - self._monotonic if deadlines else None

    def wait_for_waiters(self, count: int = 1, timeout: float = 30.0) -> None:
        """Block, in real time, until `count` threads wait on this clock. Raises `TimeoutError`: it is for tests."""
        with self._lock:
            if not self._changed.wait_for(lambda: len(self._waiters) >= count, timeout):
                raise TimeoutError(f"{len(self._waiters)} threads wait on the fake clock, not {count}")

    def __repr__(self) -> str:
        return f"<FakeClock monotonic={self._monotonic} waiting={self.waiting()}>"
