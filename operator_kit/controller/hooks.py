"""Hooks: what an author wants done before anything is watched, and after every worker has ended.

They run on a thread of their own, one after the other, so that the manager can wait for them no longer than it wants to.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from operator_kit.clock import Clock, Signal
from operator_kit.controller.aio import LoopThread
from operator_kit.controller.blame import author_line
from operator_kit.controller.outcome import describe_error
from operator_kit.controller.running import RunningKey
from operator_kit.controller.task_context import Call, TaskContext, TaskScope
from operator_kit.errors import StartupFailed
from operator_kit.observe.logging import BoundLogger, bound
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.controller.registered import Hook
    from operator_kit.controller.registry import Registry

__all__ = ["Hooks"]

FIRST_REMINDER = 30.0  # seconds a startup hook may take before it is said that everything waits for it
LAST_REMINDER = 600.0

_log = logging.getLogger("operator_kit.controller")


class Hooks:
    """Runs the hooks of a registry. Used by one thread, the manager's.

    Args:
        registry: what was registered.
        client: the API server.
        loop: for asynchronous hooks.
        clock: the clock.
        stopping: set when the operator is told to stop.
        request_timeout: seconds one call may take.
    """

    def __init__(
        self, registry: Registry, client: Client, *, loop: LoopThread, clock: Clock, stopping: Signal, request_timeout: float
    ) -> None:
        self._registry = registry
        self._client = client
        self._loop = loop
        self._clock = clock
        self._stopping = stopping
        self._request_timeout = request_timeout
        self._current: _Sequence | None = None

    def start_up(self) -> None:
        """Run the startup hooks; return when all have ended, or when the operator is told to stop.

        Raises `StartupFailed` at the first that raises; those after it do not run.
        """
        run = self._begin("on_startup", self._registry.hooks("on_startup"), None)
        interval = FIRST_REMINDER
        while not run.wait(interval):
            interval = min(LAST_REMINDER, interval * 2)
            for running in run.running():
                _log.warning("%s has run for %s; nothing starts before it has ended", running, format_duration(running.seconds))
        if run.failed is not None:
            raise run.failed from run.failed.__cause__

    def shut_down(self, deadline: float) -> None:
        """Run the shutdown hooks, the last one first; return when all have ended, or at the deadline (monotonic)."""
        hooks = self._registry.hooks("on_shutdown")[::-1]
        self._begin("on_shutdown", hooks, deadline)
        self.join(deadline)

    def _begin(self, moment: str, hooks: Sequence[Hook], deadline: float | None) -> _Sequence:
        def make(hook: Hook) -> tuple[Call, BoundLogger]:
            log = BoundLogger(logging.getLogger(f"operator_kit.{moment}"), {"controller": hook.name})
            scope = TaskScope(f"{moment} {hook.name}", self._client, self._clock, self._stopping, self._request_timeout)
            return Call(hook.function, TaskContext(scope, log, deadline=deadline), self._loop, self._clock), log

        self._current = _Sequence(moment, hooks, make, self._clock, self._stopping)
        self._current.start()
        return self._current

    def join(self, deadline: float) -> list[RunningKey]:
        """Wait until `deadline` (monotonic) for hooks that run. Returns the one that still runs then."""
        if self._current is not None:
            self._current.join(max(0.0, deadline - self._clock.monotonic()))
        return self.running()

    def running(self) -> list[RunningKey]:
        """The hook that runs just now, if one does."""
        return [] if self._current is None else self._current.running()

    @property
    def ended(self) -> bool:
        """Whether no hook runs any more, or yet."""
        return self._current is None or self._current.ended

    def cancel(self) -> int:
        """Cancel an asynchronous hook, and say how many there were."""
        return 0 if self._current is None else self._current.cancel()


class _Sequence:
    """Some hooks, one after the other, on a thread."""

    def __init__(
        self,
        moment: str,
        hooks: Sequence[Hook],
        make: Callable[[Hook], tuple[Call, BoundLogger]],
        clock: Clock,
        stopping: Signal,
    ) -> None:
        self._moment = moment
        self._hooks = hooks
        self._make = make
        self._clock = clock
        self._stopping = stopping
        self._turn = Signal(clock)  # they have ended, or need not be waited for
        self._lock = threading.Lock()
        self._running: tuple[Hook, Call, float] | None = None  # under the lock
        self._thread: threading.Thread | None = None
        self.failed: StartupFailed | None = None

    def start(self) -> None:
        if self._hooks:
            self._thread = threading.Thread(target=self._run, name=self._moment.replace("_", "-"), daemon=True)
            self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until they have ended, or the operator is told to stop. Returns whether that is so."""
        if self._thread is None:
            return True
        forget = self._stopping.on_set(self._turn.set)
        try:
            return self._turn.wait(timeout)
        finally:
            forget()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def ended(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def running(self) -> list[RunningKey]:
        with self._lock:
            if self._running is None:
                return []
            hook, _, since = self._running
        what = f"{hook.where}: {hook.moment} {hook.name}"
        return [RunningKey(hook.name, "", self._clock.monotonic() - since, self._moment.replace("_", "-"), what)]

    def cancel(self) -> int:
        with self._lock:
            running = self._running
        return 0 if running is None else running[1].cancel()

    def _run(self) -> None:
        starting = self._moment == "on_startup"
        try:
            for hook in self._hooks:
                if starting and self._stopping.is_set():
                    return
                error = self._one(hook)
                if error is not None and starting:
                    if self._stopping.is_set():  # nobody waits for it any more, and it may have failed because of the stop
                        _log.info("stopped before it was done: %s", _failure(hook, error))
                    self.failed = _failure(hook, error)
                    return
                if error is not None:
                    _log.error("%s; the others run", _failure(hook, error), exc_info=error if _debugging() else None)
        finally:
            self._turn.set()

    def _one(self, hook: Hook) -> BaseException | None:
        call, log = self._make(hook)
        began = self._clock.monotonic()
        with self._lock:
            self._running = (hook, call, began)
        try:
            with bound(controller=hook.name):
                call()
        except BaseException as exc:  # noqa: BLE001  # SystemExit included: it is the hook's outcome
            return exc
        else:
            log.debug("%s ended after %s", hook.moment, format_duration(self._clock.monotonic() - began))
            return None
        finally:
            with self._lock:
                self._running = None


def _failure(hook: Hook, error: BaseException) -> StartupFailed:
    failed = StartupFailed(f"{author_line(error) or hook.where}: {hook.moment} {hook.name} failed: {describe_error(error)}")
    failed.__cause__ = error
    return failed


def _debugging() -> bool:
    return _log.isEnabledFor(logging.DEBUG)
