"""The thread that makes the elector's calls, one at a time, so that the elector itself never waits for an answer.

A call may hang for as long as it likes: the elector goes on to count the time, ends the leadership when it is due, and tells so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from operator_kit.clock import Clock
from operator_kit.errors import OperatorKitError
from operator_kit.leader.lease import LeaseCalls
from operator_kit.leader.states import Answered, Call, Failed
from operator_kit.objects import Object

if TYPE_CHECKING:
    from operator_kit.api import Cancel

__all__ = ["Caller"]

_log = logging.getLogger("operator_kit.leader")


class Caller:
    """Owns the thread `leader-election-calls`. `done` is told of the end of each call, on that thread."""

    def __init__(self, calls: LeaseCalls, clock: Clock, done: Callable[[Answered | Failed], None]) -> None:
        self._calls = calls
        self._clock = clock
        self._done = done
        self._condition = threading.Condition()
        self._job: tuple[Call, Cancel] | None = None  # under the condition: the call that waits or runs
        self._fresh = False  # under the condition: it still waits
        self._stopping = False  # under the condition
        self._thread = threading.Thread(target=self._run, name="leader-election-calls", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Make this call. The one before must have ended."""
        from operator_kit.api import Cancel

        with self._condition:
            assert self._job is None, "one call at a time"
            self._job = (call, Cancel(self._clock))
            self._fresh = True
            self._condition.notify_all()

    def abandon(self, number: int) -> None:
        """End the call of this id, if it has not ended yet. Returns at once."""
        with self._condition:
            job = self._job
        if job is not None and job[0].id == number:
            job[1].cancel()

    def stop(self) -> None:
        """End the running call and the thread. Returns at once; see `join`."""
        with self._condition:
            self._stopping = True
            job = self._job
            self._condition.notify_all()
        if job is not None:
            job[1].cancel()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end. Returns whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._fresh and not self._stopping:
                    self._clock.wait(self._condition, None)
                if self._stopping or self._job is None:
                    return
                call, cancel = self._job
                self._fresh = False
            end = self._end_of(call, cancel)
            with self._condition:
                self._job = None
            self._done(end)

    def _end_of(self, call: Call, cancel: Cancel) -> Answered | Failed:
        try:
            return Answered(call.id, self._make(call, cancel))
        except OperatorKitError as exc:
            return Failed(call.id, exc)
        except Exception as exc:  # noqa: BLE001  # whatever a call raises, the election goes on; it is logged
            _log.exception("a call for the lease failed in an unexpected way")
            return Failed(call.id, exc)

    def _make(self, call: Call, cancel: Cancel) -> Object:
        if call.verb == "get":
            return self._calls.get(call.timeout, cancel)
        assert call.lease is not None
        write = self._calls.create if call.verb == "create" else self._calls.replace
        return write(call.lease, call.timeout, cancel)

    def __repr__(self) -> str:
        job = self._job
        return f"<Caller {job[0].verb if job else 'idle'}>"
