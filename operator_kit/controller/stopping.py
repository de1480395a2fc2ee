"""`ctx.stopping`: whether a run should come to its end, because the operator stops or because its time is up."""

from __future__ import annotations

from operator_kit.clock import Clock, Signal

__all__ = ["Stopping"]


class Stopping:
    """Set once the operator stops, or the run is past its deadline. A function cannot be ended from outside: it looks here.

    Args:
        signal: set when the operator stops.
        clock: the clock.
        deadline: of the run, on the monotonic clock; None for none.
    """

    def __init__(self, signal: Signal, clock: Clock, deadline: float | None) -> None:
        self._signal = signal
        self._clock = clock
        self._deadline = deadline

    def is_set(self) -> bool:
        """Whether to come to the end."""
        return self._signal.is_set() or (self._deadline is not None and self._clock.monotonic() >= self._deadline)

    def wait(self, timeout: float | None = None) -> bool:
        """A sleep that ends when it is set: at most `timeout` seconds. Returns whether it is set."""
        if self._deadline is not None:
            left = max(0.0, self._deadline - self._clock.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        self._signal.wait(timeout)
        return self.is_set()

    def __repr__(self) -> str:
        return f"<Stopping {'set' if self.is_set() else 'not set'}>"
