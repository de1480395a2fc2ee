"""Whether a thread hangs in one piece of work, seen from outside: for how long, and in which line."""

from __future__ import annotations

import threading

from operator_kit.clock import Clock
from operator_kit.threads import whereabouts

__all__ = ["Work"]


class Work:
    """What one thread is at. That thread calls `begin` and `end`, any other asks.

    Attributes:
        what: it is at, in words; for whoever gives it.
    """

    __slots__ = ("_clock", "_said", "_since", "what")

    def __init__(self, clock: Clock, what: str = "") -> None:
        self._clock = clock
        self._since: float | None = None
        self._said: tuple[float, str] | None = None  # since when it hangs, and what was said of it
        self.what = what

    def begin(self) -> float:
        """It is at another piece of work from now on. Returns the moment."""
        self._since = now = self._clock.monotonic()
        return now

    def end(self) -> None:
        """It waits for others."""
        self._since = None

    def hangs(self, patience: float, thread: threading.Thread | None) -> tuple[str, float]:
        """If it has been at one piece of work for longer than `patience`: that in words, always the same, and the seconds."""
        since = self._since
        seconds = 0.0 if since is None else self._clock.monotonic() - since
        if since is None or thread is None or seconds <= patience:
            return "", 0.0
        if self._said is None or self._said[0] != since:
            at = whereabouts(thread)
            self._said = since, f"{self.what}{at and f', at {at}'}; what changes waits for it"
        return self._said[1], seconds
