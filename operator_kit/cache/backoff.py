"""How long to wait after a failure: longer each time, up to a cap, and short again only after a time without any."""

from __future__ import annotations

import random

from operator_kit.clock import Clock

__all__ = ["Backoff"]


class Backoff:
    """Delays of `base` seconds doubling to `longest`, each shortened at random by up to a half, so that clients spread out.

    A success alone resets nothing: a server that answers one list and refuses the next is not well. Only `reset` seconds without
    a failure do. One thread uses it.
    """

    def __init__(self, clock: Clock, *, base: float = 0.8, longest: float = 30.0, reset: float = 120.0) -> None:
        self._clock = clock
        self._base = base
        self._longest = longest
        self._reset = reset
        self._failures = 0
        self._last = float("-inf")

    def next(self) -> float:
        """Note a failure; returns the seconds to wait."""
        now = self._clock.monotonic()
        if now - self._last > self._reset:
            self._failures = 0
        self._last = now
        delay = min(self._base * 2.0 ** min(self._failures, 60), self._longest)
        self._failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311  # it spreads load, it hides nothing

    @property
    def well(self) -> bool:
        """Whether there was no failure for the time that resets it."""
        return self._clock.monotonic() - self._last > self._reset
