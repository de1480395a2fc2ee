"""A clock for whole operators in tests: it goes as fast as the machine lets this process go."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from operator_kit.clock import Clock, FakeClock

_TICK = 0.01  # seconds


class UnhurriedClock(FakeClock):
    """Goes by itself, in steps, and stands still whenever this process does.

    A lease, a deadline or a silence is some number of steps then. A machine that stalls, or has little time for this process, stalls
    the steps as well, so nothing lapses because of it. Use as a context manager.
    """

    def __init__(self) -> None:
        super().__init__(now=Clock().now())
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go, name="clock")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def _go(self) -> None:
        while not self._ending.wait(_TICK):
            self.advance(_TICK)
