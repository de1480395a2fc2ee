"""The manager: assembles client, caches and controllers, and runs them from start to stop.

Start: caches, then each controller as soon as every cache it reads is synced. A kind that is not installed or not readable,
    and an API server that does not answer, are waited for and said once in a while; the other controllers work meanwhile.

Stop: no new keys, running reconciles finish within the deadline (asynchronous ones are cancelled at its end), then caches,
    events, connections. A function that outlives the deadline cannot be killed: the manager names the key and returns
    `ExitCode.STUCK`, with which the process must end hard.

Idle: every controller is started, nothing is ready, running, backing off or waiting for a cache, and no event is unwritten, for a
moment. A pending requeue-after does not count.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operator_kit.api import Cancel
from operator_kit.cache import Informers, ReflectorSettings
from operator_kit.clock import Clock, Signal
from operator_kit.controller import (
    Controller,
    EventRecorder,
    Hooks,
    Limits,
    Reconciler,
    Registry,
    Runnable,
    RunningKey,
    Task,
    TaskRunner,
)
from operator_kit.controller.aio import LoopThread
from operator_kit.errors import ApiError, Cancelled, ConnectionFailed, KindNotFound, UsageError
from operator_kit.manager.complaints import Complaints
from operator_kit.manager.exits import ExitCode
from operator_kit.manager.metrics import build_families, informer_families
from operator_kit.manager.probes import Probes
from operator_kit.manager.serving import Serving
from operator_kit.manager.watchdog import Watchdog
from operator_kit.observe.metrics import Registry as Metrics
from operator_kit.settings import Settings, format_duration
from operator_kit.threads import has_ended

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["Manager"]

TICK = 0.02  # seconds between two looks while something is starting, or idleness is waited for
QUIET_TICK = 0.5
SETTLE = 0.3  # seconds nothing may happen before the operator counts as idle
BIND_AGAIN = 3.0  # seconds between two looks for a kind that is not served
BACKOFF_FIRST, BACKOFF_MOST = 0.8, 30.0
CANCEL_GRACE = 1.0  # seconds a cancelled coroutine gets beyond the deadline
CLOSE_TIMEOUT = 5.0  # seconds each for the caches, the events and the loop to end

_log = logging.getLogger("operator_kit.manager")


@dataclass(slots=True)
class _Bind:
    """How far a controller is with finding its kinds. Only the binder's thread touches it, but for `done`."""

    controller: Runnable
    done: bool = False
    missing: bool = False  # a kind was not served the last time
    next_try: float = 0.0
    backoff: float = BACKOFF_FIRST


class Manager:
    """Runs the reconcilers of a registry.

    Args:
        registry: what was registered; it is read when `run` is called.
        client: the API server. The manager closes it.
        settings: what the operator was told.
        clock: the clock.
        metrics: where the sinks of all parts are.
        reflector: times of the caches that the settings do not name: tests make them short.
    """

    def __init__(
        self,
        registry: Registry,
        client: Client,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        reflector: ReflectorSettings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.metrics = metrics or Metrics()
        self._clock = clock or Clock()
        self._client = client
        self._stop = Signal(self._clock)
        self._done = Signal(self._clock)
        self._searches = Cancel(self._clock)  # ends what is asked of discovery, should it hang
        self._loop = LoopThread()
        self.recorder = EventRecorder(client, clock=self._clock, timeout=self.settings.request_timeout)
        self.informers = Informers(
            client, clock=self._clock, resync=self.settings.resync, watch=self.settings.watch, settings=reflector
        )
        self.metrics.register(build_families)
        self.metrics.register(lambda: informer_families(self.informers))
        self._registry = registry
        self.controllers: tuple[Controller, ...] = ()
        self.runnables: tuple[Runnable, ...] = ()  # the controllers and the tasks
        self._hooks = Hooks(
            registry,
            client,
            loop=self._loop,
            clock=self._clock,
            stopping=self._stop,
            request_timeout=self.settings.request_timeout,
        )
        self._complaints = Complaints(self._clock)  # only the thread of `run` touches it, and the next
        self._overruns = Complaints(self._clock)
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}  # under the lock; by controller: what keeps it from starting
        self._fatal: Exception | None = None  # under the lock; what waiting does not mend
        self._names: set[str] = set()
        self.beat = 0.0  # when the thread of `run` last looked round
        self._watchdog = Watchdog(lambda: self.runnables, self.settings.stuck_after)
        self.probes = Probes(self, self._watchdog, clock=self._clock)
        self.serving = Serving(self.settings, self.probes, self.metrics, client, clock=self._clock)
        self._binder: threading.Thread | None = None
        self._quiet_since: float | None = None
        self._seen_runs = -1

    # ------------------------------------------------------------------ the face

    def run(self) -> ExitCode:
        """Start everything, run until `stop` is called (or until idle, if the settings say so), and stop everything.

        Returns:
            How it went; see `ExitCode`. After `STUCK` threads of the author's code still run: end the process hard.

        Raises:
            EndpointError: probes or metrics cannot be served. Nothing was started.
            UsageError: something that waiting does not mend, such as a kind that can mean several. Everything is stopped by then.
            StartupFailed: an `@on_startup` function raised. So it is then.
            Exception: a defect.
        """
        try:
            self.serving.start()
            return self._run()
        finally:
            self.serving.stop()
            self._client.close()
            self._done.set()

    def _run(self) -> ExitCode:
        self.controllers = tuple(self._controller(made) for made in self._registry)
        self.runnables = (*self.controllers, *(self._task(made) for made in self._registry.tasks))
        self._names = {runnable.name for runnable in self.runnables}
        binds = [_Bind(runnable) for runnable in self.runnables]
        self._binder = binder = threading.Thread(target=self._bind_all, args=(binds,), name="binder", daemon=True)
        began = self._clock.monotonic()
        code = ExitCode.OK
        try:
            self._hooks.start_up()
            self.recorder.start()
            self.informers.start()
            binder.start()
            code = self._until_stopped(binds, began)
        finally:
            self.stop()
            stuck = self._shut_down(binder)
        if self._fatal is not None:
            raise self._fatal
        return ExitCode.STUCK if stuck else code

    def stop(self) -> None:
        """Ask `run` to stop and return. From any thread, and from a signal handler."""
        self._stop.set()
        self._searches.cancel()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait until `run` has stopped everything. Returns whether it has."""
        return self._done.wait(timeout)

    def started(self) -> bool:
        """Whether every controller has started its workers."""
        return bool(self.runnables) and all(runnable.started for runnable in self.runnables)

    def idle(self) -> bool:
        """Whether everything is started and nothing is left to do just now. A pending requeue-after does not count."""
        return (
            self.started() and self.recorder.idle() and all(runnable.synced() and runnable.idle() for runnable in self.runnables)
        )

    def problems(self) -> list[str]:
        """What keeps controllers from starting, and caches from being kept up, just now; in words for people."""
        with self._lock:
            waiting = list(self._troubles.values())
        return list(dict.fromkeys([*waiting, *(status.problem for status in self.informers.status() if status.problem)]))

    def waiting(self) -> dict[str, str]:
        """What keeps controllers from finding their kinds just now, by the controllers' names."""
        with self._lock:
            return dict(self._troubles)

    def dead_threads(self) -> list[str]:
        """The manager's own threads that have ended without being told to: the process should be restarted."""
        dead = [name for runnable in self.runnables for name in runnable.dead_workers()]
        dead += [f"informer {name}" for name in self.informers.dead()]
        if self.recorder.dead():
            dead.append("events")
        if self._loop.dead():
            dead.append("reconcile-loop")
        if self._binder is not None and has_ended(self._binder):
            dead += [f"binder, before {made.name} was bound" for made in self.runnables if not made.bound]
        return dead

    # ------------------------------------------------------------------ running

    def _limits(self) -> Limits:
        settings = self.settings
        return Limits(
            workers=settings.workers,
            timeout=settings.reconcile_timeout,
            backoff_base=settings.backoff_base,
            backoff_max=settings.backoff_max,
            request_timeout=settings.request_timeout,
            namespaces=settings.namespace,
            watching=settings.watch,
        )

    def _controller(self, made: Reconciler) -> Controller:
        return Controller(
            made,
            self._client,
            self.informers,
            self.recorder,
            limits=self._limits(),
            loop=self._loop,
            clock=self._clock,
            metrics=self.metrics,
        )

    def _task(self, made: Task) -> TaskRunner:
        return TaskRunner(made, self._client, limits=self._limits(), loop=self._loop, clock=self._clock, metrics=self.metrics)

    def _until_stopped(self, binds: list[_Bind], began: float) -> ExitCode:
        waiting = True
        while not self._stop.is_set():
            self.beat = self._clock.monotonic()
            self._watchdog.stuck()
            for bind in binds:
                if bind.done and not bind.controller.started and bind.controller.synced():
                    bind.controller.start()
                    _log.info("%s started, %d workers", bind.controller.name, bind.controller.workers)
            if waiting and self.started():
                waiting = False
                _log.info("all started after %s", format_duration(self._clock.monotonic() - began))
            self._complain()
            with self._lock:
                if self._fatal is not None:
                    break
            if self.settings.exit_when_idle:
                code = self._idle_or_hopeless(began)
                if code is not None:
                    return code
            self._stop.wait(TICK if waiting or self.settings.exit_when_idle else QUIET_TICK)
        return ExitCode.OK

    def _idle_or_hopeless(self, began: float) -> ExitCode | None:
        now = self._clock.monotonic()
        runs = sum(runnable.runs for runnable in self.runnables)
        if not self.idle() or runs != self._seen_runs:
            self._seen_runs = runs
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since >= SETTLE:
            _log.info("idle: %d objects are reconciled, nothing is left to do", sum(len(c.caches.own) for c in self.controllers))
            return ExitCode.OK
        lasting = max((self._complaints.since(subject) for subject in self._complaints.subjects()), default=0.0)
        if not self.started():
            lasting = max(lasting, now - began)
        return self._give_up() if lasting >= self.settings.cache_sync_timeout else None

    def _give_up(self) -> ExitCode:
        """Say what kept the operator from becoming idle, and tell an absent server from a kind that is not there."""
        with self._lock:
            troubles = list(self._troubles.values())
        troubles += [status.problem for status in self.informers.status() if status.problem]
        code = ExitCode.NOT_SYNCED
        try:
            self._client.discovery.refresh(cancel=self._searches)
        except ConnectionFailed as exc:
            code, troubles = ExitCode.UNREACHABLE, [str(exc)]
        except ApiError as exc:
            troubles.append(str(exc))
        except Cancelled:
            return ExitCode.OK  # it was asked to stop meanwhile
        text = troubles[0] if troubles else "the caches are not synced"
        _log.error("giving up after %s: %s", format_duration(self.settings.cache_sync_timeout), text)
        return code

    def _complain(self) -> None:
        """Say what is wrong, once in a while; and what is no longer wrong."""
        overdue = {what: text for runnable in self.runnables for what, text in runnable.overdue().items()}
        for what, text in overdue.items():
            self._overruns.say(what, text)
        for what in self._overruns.subjects():
            if what not in overdue:
                self._overruns.over(what)
        with self._lock:
            waiting = dict(self._troubles)
        # The informers say themselves when they fail and when they work again; here they are only reminded of.
        failing = {
            f"{status.resource} {status.namespace}": status.problem for status in self.informers.status() if status.problem
        }
        said: set[str] = set()
        for subject, text in (*waiting.items(), *failing.items()):
            if text not in said:  # several controllers wait for one server: that is one trouble
                said.add(text)
                self._complaints.say(subject, text, told=subject in failing)
        for subject in self._complaints.subjects():
            if subject not in waiting and subject not in failing:
                self._complaints.over(subject, f"{subject} found its kinds" if subject in self._names else "")

    # ------------------------------------------------------------------ finding the kinds

    def _bind_all(self, binds: list[_Bind]) -> None:
        """The binder's thread: discovery may block, and must not hold up a stop or the other controllers."""
        try:
            self._bind_in_turn(binds)
        except Exception as exc:  # noqa: BLE001  # it is raised again by `run`: nobody else would ever hear of it
            with self._lock:
                self._fatal = exc

    def _bind_in_turn(self, binds: list[_Bind]) -> None:
        while not self._stop.is_set():
            now = self._clock.monotonic()
            open_binds = [bind for bind in binds if not bind.done]
            for bind in open_binds:
                if bind.next_try <= now and not self._stop.is_set():
                    self._bind(bind)
            left = [bind.next_try for bind in open_binds if not bind.done]
            if not left:
                return
            self._stop.wait(max(0.05, min(left) - self._clock.monotonic()))

    def _bind(self, bind: _Bind) -> None:
        name = bind.controller.name
        try:
            if bind.missing:
                self._client.discovery.refresh(cancel=self._searches)
            bind.controller.bind(self._searches)
        except Cancelled:
            return  # by a stop
        except KindNotFound as exc:
            self._trouble(name, f"{name} waits: {exc}")
            bind.missing = True
            bind.next_try = self._clock.monotonic() + BIND_AGAIN
        except (ConnectionFailed, ApiError) as exc:
            self._trouble(name, f"{exc}; trying on" if isinstance(exc, ConnectionFailed) else f"{name} waits: {exc}")
            bind.next_try = self._clock.monotonic() + bind.backoff * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
            bind.backoff = min(BACKOFF_MOST, bind.backoff * 2)
        except UsageError as exc:
            with self._lock:
                self._fatal = type(exc)(f"{bind.controller.made.where}: {exc}")
        else:
            with self._lock:
                self._troubles.pop(name, None)
            bind.done = True

    def _trouble(self, name: str, text: str) -> None:
        with self._lock:
            self._troubles[name] = text

    # ------------------------------------------------------------------ stopping

    def _shut_down(self, binder: threading.Thread) -> bool:
        """Stop everything. Returns whether something of the author's still runs."""
        deadline = self._clock.monotonic() + self.settings.shutdown_timeout
        running = sum(len(runnable.running()) for runnable in self.runnables)
        if running:
            _log.info("stopping: %d running reconciles may take %s", running, format_duration(self.settings.shutdown_timeout))
        for controller in self.runnables:
            controller.stop()
        if binder.ident is not None:
            binder.join(max(CLOSE_TIMEOUT, deadline - self._clock.monotonic()))  # its calls are cancelled: it ends at once
        stuck = self._join(deadline)
        if not stuck:
            self._hooks.shut_down(max(deadline, self._clock.monotonic() + CANCEL_GRACE))
            stuck = self._join(deadline)
        for key in stuck:
            _log.critical(
                "%s is still running after %s, past --shutdown-timeout; the process ends without it",
                key,
                format_duration(key.seconds),
            )
        if not stuck:
            for controller in self.runnables:
                controller.close()
        self.informers.stop(CLOSE_TIMEOUT)
        self.recorder.stop(CLOSE_TIMEOUT)
        looped = self._loop.stop(CLOSE_TIMEOUT)
        if not looped:
            _log.critical("the loop of asynchronous reconcilers does not end: something in it blocks")
        _log.info("stopped")
        return bool(stuck) or not looped

    def _join(self, deadline: float) -> list[RunningKey]:
        """Wait for everything of the author's to end; coroutines are cancelled at the deadline. Returns what still runs."""
        authors: tuple[Runnable | Hooks, ...] = (*self.runnables, self._hooks)
        stuck = [key for each in authors for key in each.join(deadline)]
        if stuck and sum(each.cancel() for each in authors):
            grace = self._clock.monotonic() + CANCEL_GRACE
            stuck = [key for each in authors for key in each.join(grace)]
        return stuck

    def __repr__(self) -> str:
        state = "stopping" if self.stopping else "started" if self.started() else "starting"
        return f"<Manager {state}: {', '.join(made.name for made in self._registry)}>"
