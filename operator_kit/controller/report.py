"""How outcomes look in the log: a line for what somebody asked for, a defect with its traceback once and in a line afterwards.

A success is logged at the info level when somebody asked for it, by creating, changing or deleting the object, and when it ends a
row of failures; at the debug level otherwise. A key that fails on and on is logged at its 1st, 2nd, 4th, 8th, … failure in
a row; at the debug level always, with the traceback.
"""

from __future__ import annotations

import logging
import threading
import traceback
from typing import Any

from operator_kit.clock import Clock
from operator_kit.controller.blame import author_line
from operator_kit.controller.outcome import Action, Decision, describe_error
from operator_kit.errors import (
    ConnectionFailed,
    NotLeader,
    OperatorKitError,
    PermanentError,
    ServerError,
    TemporaryError,
    TooManyRequests,
)
from operator_kit.observe.logging import BoundLogger
from operator_kit.settings import format_duration

__all__ = ["FailureLog"]

SERVER_TROUBLE_EVERY = 30.0
_REMEMBERED = 1000


class FailureLog:
    """Logs the outcomes of one controller's runs.

    Args:
        clock: the clock.
        verb: what a run does.
    """

    def __init__(self, clock: Clock | None = None, *, verb: str = "reconciled") -> None:
        self._verb = verb
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._server_said = -SERVER_TROUBLE_EVERY  # when the API server's own trouble was last logged
        self._server_unsaid = 0
        self._shown: set[tuple[str, str, int]] = set()

    def succeeded(
        self, log: BoundLogger, decision: Decision, seconds: float, *, asked: str = "", failures: int = 0, timeout: float = 0
    ) -> None:
        """A run that did what it should.

        Args:
            log: bound to the run.
            decision: its outcome.
            seconds: how long it took.
            asked: what somebody did that is answered now: `"created"`, `"changed"`, `"deleted"`; or empty.
            failures: how many there were in a row before it.
            timeout: what it should have taken at most, in seconds; 0 for no limit.
        """
        level = logging.INFO if asked or failures else logging.DEBUG
        if log.isEnabledFor(level):  # most are not: a text for nobody would cost every run
            verb = "cleaned up" if asked == "deleted" else self._verb
            why = f" ({asked})" if asked and asked != "deleted" else ""
            after = f", after {failures} failure{'s' if failures > 1 else ''}" if failures else ""
            again = f"; again in {format_duration(decision.delay)}" if decision.action is Action.AFTER else ""
            log.log(level, "%s in %s%s%s%s", verb, format_duration(seconds), why, after, again)
        if timeout and seconds > timeout:
            log.warning(
                "took %s, longer than its timeout of %s: look at ctx.stopping, or give it timeout=…",
                format_duration(seconds),
                format_duration(timeout),
            )

    def failed(self, log: BoundLogger, decision: Decision, failures: int, delay: float | None) -> None:
        """A run that did not.

        Args:
            log: bound to the run.
            decision: its outcome.
            failures: how often in a row, this time included.
            delay: seconds until the next try; None when there is none until the object changes.
        """
        error = decision.error
        assert error is not None
        when = "; not again until the object changes" if delay is None else f"; again in {format_duration(delay)}"
        times = f" (failed {failures} times)" if failures > 1 else ""
        text = describe_error(error)
        debugging = log.isEnabledFor(logging.DEBUG)
        if failures & (failures - 1) and not debugging:
            return  # the same again and again: the 1st, 2nd, 4th, 8th, … time is enough to read
        if isinstance(error, ConnectionFailed | ServerError | TooManyRequests):
            self._server_trouble(log, text)
        elif isinstance(error, NotLeader):
            log.info("stopped before it was done: %s", text)  # the elector is about to end this work
        elif decision.action is Action.CONFLICT:
            log.debug("the object moved on meanwhile: %s%s", text, when)
        elif isinstance(error, TemporaryError):
            log.warning("not yet: %s%s%s", text, times, when, exc_info=_info(error) if debugging else None)
        elif isinstance(error, PermanentError):
            log.error("given up: %s%s", text, when, exc_info=_info(error) if debugging else None)
        elif isinstance(error, OperatorKitError):
            log.error("failed: %s%s%s", text, times, when, exc_info=_info(error) if debugging else None)
        else:
            show = self._is_new(error) or debugging
            line = author_line(error)
            place = f" at {line}" if line else ""
            log.error("failed: %s%s%s%s", text, place, times, when, exc_info=_info(error) if show else None)

    def _server_trouble(self, log: BoundLogger, text: str) -> None:
        """One trouble of the API server fails every object at once: that is one line in a while, not one for each."""
        now = self._clock.monotonic()
        with self._lock:
            say = now - self._server_said >= SERVER_TROUBLE_EVERY
            unsaid = self._server_unsaid
            self._server_said, self._server_unsaid = (now, 0) if say else (self._server_said, unsaid + 1)
        if say:
            more = f"; {unsaid} more runs failed like this" if unsaid else ""
            log.warning("the API server is in trouble, every failed run is tried again: %s%s", text, more)
        else:
            log.debug("failed: %s", text)

    def _is_new(self, error: BaseException) -> bool:
        """Whether this defect, by type and place, is seen for the first time."""
        frames = traceback.extract_tb(error.__traceback__)
        place = (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)
        site = (type(error).__name__, *place)
        with self._lock:
            if site in self._shown or len(self._shown) >= _REMEMBERED:
                return False
            self._shown.add(site)
            return True


def _info(error: BaseException) -> Any:
    return (type(error), error, error.__traceback__)
