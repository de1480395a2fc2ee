"""Tasks at work: what `@every` declares, run by a thread of its own, over and over, one run at a time.

To the manager a task has the face of a controller, and so it has to who reads the metrics and the logs: its name is the
`controller` of both. The first run begins when the operator has started (or leads), the next an interval after the last has
ended, give or take a tenth. A run that fails is tried again after its backoff, which is never longer than the interval.
"""

from __future__ import annotations

import logging
import secrets
import threading
from typing import TYPE_CHECKING

from operator_kit.clock import Clock, Signal
from operator_kit.controller.aio import LoopThread
from operator_kit.controller.conclusion import spread
from operator_kit.controller.controller import Controller
from operator_kit.controller.limits import Limits
from operator_kit.controller.outcome import Action, Decision, decide, describe_error
from operator_kit.controller.report import FailureLog
from operator_kit.controller.run_metrics import RunMetrics
from operator_kit.controller.running import RunningKey
from operator_kit.controller.task_context import Call, TaskContext, TaskScope
from operator_kit.leader import Fence
from operator_kit.observe.logging import BoundLogger, bound
from operator_kit.observe.metrics import Registry as Metrics
from operator_kit.queue import ExponentialBackoff
from operator_kit.settings import format_duration
from operator_kit.threads import has_ended, thread_stack

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.controller.listers import Caches
    from operator_kit.controller.registered import Task

__all__ = ["Runnable", "TaskRunner"]


class TaskRunner:
    """One task at work.

    Args:
        made: what was declared.
        client: the API server.
        caches: of the task, bound; none for one that reads none.
        limits: the operator's settings.
        loop: for asynchronous tasks.
        fence: every write passes it; none for a task that needs no leader.
        clock: the clock.
        metrics: where the sinks are.
    """

    workers = 1

    def __init__(
        self,
        made: Task,
        client: Client,
        caches: Caches | None = None,
        *,
        limits: Limits,
        loop: LoopThread,
        fence: Fence | None = None,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.made = made
        self.name = made.name
        self._client = client if fence is None else client.guarded(fence.guard)
        self._fence = fence or Fence.unfenced()
        self._leadership = self._fence.fields()
        self._caches = caches
        self._clock = clock or Clock()
        self._limits = limits
        self._loop = loop
        self.timeout = limits.timeout if made.timeout is None else made.timeout  # seconds; 0 for none
        self._backoff = ExponentialBackoff(limits.backoff_base, cap=max(limits.backoff_base, limits.backoff_max))
        self._counts = RunMetrics(metrics or Metrics(), made.name, self.workers)
        self._failure_log = FailureLog(self._clock, verb="done")
        self.stopping = Signal(self._clock)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._call: Call | None = None  # under the lock
        self._since = 0.0  # under the lock; when the call began
        self._failures = 0  # under the lock
        self._succeeded = False  # under the lock; once at least
        self._error = ""  # under the lock; of the last run, in one line
        self.runs = 0  # under the lock; how many runs have ended

    def synced(self) -> bool:
        """Whether it may start: every cache it reads is synced."""
        return self._caches is None or self._caches.synced()

    def start(self) -> None:
        """Start its thread. Only once."""
        if self._thread is not None:
            raise RuntimeError(f"task {self.name} is started already")
        self._thread = threading.Thread(target=self._work, name=f"{self.name}-1", daemon=True)
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether its thread runs (or ran)."""
        return self._thread is not None

    def stop(self) -> None:
        """Begin no further run, and tell a running one. Returns at once; may be repeated."""
        self.stopping.set()

    def join(self, deadline: float) -> list[RunningKey]:
        """Wait until `deadline` (monotonic) for a running run to end. Returns it if it still runs then."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - self._clock.monotonic()))
        return self.running()

    @property
    def ended(self) -> bool:
        """Whether its thread does not run any more, or yet."""
        return self._thread is None or not self._thread.is_alive()

    def cancel(self) -> int:
        """Cancel an asynchronous run, and say how many there were. Threads cannot be cancelled."""
        with self._lock:
            call = self._call
        return 0 if call is None else call.cancel()

    def running(self) -> list[RunningKey]:
        """The run in progress, if there is one."""
        with self._lock:
            if self._call is None:
                return []
            since = self._since
        return [RunningKey(self.name, "", self._clock.monotonic() - since, f"{self.name}-1", f"the task {self.name}", since)]

    def stack(self, key: str) -> list[str]:  # noqa: ARG002  # a controller's face
        """Where its thread is just now, a line for each frame, outermost first."""
        return [] if self._thread is None else thread_stack(self._thread)

    def dead_workers(self) -> list[str]:
        """Its thread, if that has ended without being told to."""
        thread = self._thread
        return [thread.name] if thread is not None and not self.stopping.is_set() and has_ended(thread) else []

    def overdue(self) -> dict[str, str]:
        """The run, if it goes on past its timeout, in words: a thread cannot be ended from outside."""
        late = [run for run in self.running() if self.timeout and run.seconds > self.timeout]
        return {str(run): f"{run} goes on past its timeout of {format_duration(self.timeout)}" for run in late}

    def idle(self) -> bool:
        """Whether it has run, and the last run was good. That it will run again does not count."""
        with self._lock:
            return self._call is None and self.runs > 0 and not self._error

    def errors(self) -> dict[str, str]:
        """The error of the last run in one line, under the task's name; empty after a good one."""
        with self._lock:
            return {self.name: self._error} if self._error else {}

    # ------------------------------------------------------------------ its thread

    def _work(self) -> None:
        while not self.stopping.is_set():
            self.stopping.wait(self._run_once())

    def _run_once(self) -> float:
        """One run, and the seconds until the next."""
        with self._lock:
            attempt = self._failures + 1
        fields = {"controller": self.name, "reconcile_id": secrets.token_hex(4), "attempt": attempt, **self._leadership}
        log = BoundLogger(logging.getLogger(f"operator_kit.reconcile.{self.name}"), fields)
        began = self._clock.monotonic()
        timeout = self._limits.request_timeout
        scope = TaskScope(self.name, self._client, self._clock, self.stopping, timeout, self._fence, self._caches)
        context = TaskContext(scope, log, attempt=attempt, deadline=began + self.timeout if self.timeout else None)
        call = Call(self.made.function, context, self._loop, self._clock)
        with self._lock:
            self._call, self._since = call, began
        self._counts.began()
        try:
            with bound(**fields):
                decision = self._decide(call)
        finally:
            self._counts.ended()
            seconds = self._clock.monotonic() - began
            with self._lock:
                self._call = None
                self.runs += 1
        self._counts.count(decision, seconds, timeout=self.timeout)
        return self._conclude(decision, seconds, log)

    @staticmethod
    def _decide(call: Call) -> Decision:
        try:
            return decide(call())
        except BaseException as exc:  # noqa: BLE001  # SystemExit included: one task must not end the operator
            return decide(error=exc)

    def _conclude(self, decision: Decision, seconds: float, log: BoundLogger) -> float:
        interval = spread(self.made.interval)
        if decision.error is None:
            with self._lock:
                failures, self._failures, self._error = self._failures, 0, ""
                first, self._succeeded = not self._succeeded, True
            self._backoff.forget(self.name)
            asked = "the first time" if first else ""
            self._failure_log.succeeded(log, decision, seconds, asked=asked, failures=failures, timeout=self.timeout)
            return decision.delay if decision.action is Action.AFTER else interval
        if self.stopping.is_set():
            log.info("stopped before it was done: %s", decision.error)
            return interval
        with self._lock:
            self._failures += 1
            self._error = describe_error(decision.error)
            failures = self._failures
        if decision.action is Action.RETRY_AFTER:
            delay = decision.delay
        elif decision.action is Action.GIVE_UP:
            delay = interval
        else:
            delay = min(self._backoff.when(self.name), interval)
        self._failure_log.failed(log, decision, failures, delay)
        return delay

    def __repr__(self) -> str:
        return f"<TaskRunner {self.name} {'started' if self._thread else 'not started'}>"


Runnable = Controller | TaskRunner
"""What the manager starts and stops."""
