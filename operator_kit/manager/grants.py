"""Whether everything that an operator needs is granted: asked at the start and now and then, so that it is known beforehand.

A cache that may not be read says so itself, at once. A write that is not granted would be refused only when it is due, perhaps
after months: the `delete` of a child, say. What to ask is handed in by who can read it off the registration.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TypeAlias

from operator_kit.api import Cancel
from operator_kit.clock import Clock
from operator_kit.errors import Cancelled, OperatorKitError
from operator_kit.manager.checks import Finding
from operator_kit.manager.probes import BLIND_AFTER
from operator_kit.settings import format_duration
from operator_kit.threads import has_ended

__all__ = ["AskGranted", "Grants"]

AskGranted: TypeAlias = Callable[[Cancel], str]
"""Asks the API server what is not granted; returns it in words, with the rules to add, or nothing. Raises as the client does."""

ASK_AGAIN = 300.0  # seconds between two looks while all is granted; jittered
MISSING_AGAIN = 5.0  # and while something is missing, or cannot be asked

_log = logging.getLogger("operator_kit.manager")


class Grants:
    """Owns the thread `permissions`.

    Args:
        ask: see `AskGranted`.
        stop: ends it, whatever it is at.
        clock: the clock.
    """

    def __init__(self, ask: AskGranted, stop: Cancel, clock: Clock) -> None:
        self._ask = ask
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._answered = False  # under the lock, as what follows: whether the question was answered, or refused, at all
        self._complete = False  # all was granted once
        self._missing = ""
        self._since = 0.0  # when that began
        self._failure = ""  # why it could not be asked the last time
        self._thread = threading.Thread(target=self._run, name="permissions", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, if it was started. Returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def dead(self) -> list[str]:
        """Its thread, if that has ended without being told to."""
        return ["permissions"] if has_ended(self._thread) and not self._stop.cancelled else []

    @property
    def problem(self) -> str:
        """What is not granted, with the rules to add; empty when all is, as far as is known."""
        with self._lock:
            return self._missing

    def check(self) -> Finding:
        """For `/readyz`: what was never granted is a problem at once, what was taken away after `BLIND_AFTER`."""
        with self._lock:
            answered, complete, missing, failure = self._answered, self._complete, self._missing, self._failure
            lasting = self._clock.monotonic() - self._since
        if not answered:
            return Finding("the API server has not said yet what is granted")
        if not missing:
            return Finding(note=f"cannot be asked: {failure}" if failure else "")
        if complete and lasting <= BLIND_AFTER:
            return Finding(note=f"for {format_duration(lasting)}: {missing}")
        return Finding(missing)

    def _run(self) -> None:
        while not self._stop.cancelled:
            try:
                self._note(self._ask(self._stop), "")
            except Cancelled:
                return
            except OperatorKitError as exc:
                self._note(None, str(exc))
            except Exception as exc:  # noqa: BLE001  # logged; that it cannot be asked is no reason to stop
                _log.exception("asking what is granted failed, which is a defect")
                self._note(None, f"{type(exc).__name__}: {exc}")
            with self._lock:
                pause = MISSING_AGAIN if self._missing or self._failure else ASK_AGAIN
            self._stop.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311  # jitter

    def _note(self, missing: str | None, failure: str) -> None:
        with self._lock:
            self._answered = True
            self._failure = failure
            if missing is None:
                return
            if missing and not self._missing:
                self._since = self._clock.monotonic()
            self._missing = missing
            self._complete = self._complete or not missing
