"""How a run is held to its time: `ctx.stopping`, and what its calls may take."""

from __future__ import annotations

from operator_kit.clock import Clock, Signal
from operator_kit.errors import DeadlineExceeded

__all__ = ["Stopping", "time_left"]


def time_left(clock: Clock, deadline: float | None, most: float, whose: str) -> float:
    """Seconds that the next call of a run may take: what is left until its deadline, if it has one, and `most` at most.

    Raises `DeadlineExceeded`, which names the run as `whose` does, when nothing is left.
    """
    if deadline is None:
        return most
    left = deadline - clock.monotonic()
    if left <= 0:
        raise DeadlineExceeded(f"{whose} is past its deadline")
    return min(left, most)


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
