"""The manager: assembles client, caches and controllers, and runs them from start to stop.

The order of both is in `Manager._start` and `Manager._end`. A kind that is not installed or not readable, and an API server that
does not answer, are waited for and said once in a while; the other controllers work meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from operator_kit.api import Cancel
from operator_kit.cache import HANGS, Informers, ReflectorSettings
from operator_kit.clock import Clock, Signal
from operator_kit.controller import Caches, Controller, Hooks, Reconciler, Registry, Runnable, Task
from operator_kit.controller.aio import LoopThread
from operator_kit.manager.bell import Bell
from operator_kit.manager.binding import Binder, Binding
from operator_kit.manager.complaints import Complaint, Complaints
from operator_kit.manager.exits import ExitCode
from operator_kit.manager.grants import AskGranted, Grants
from operator_kit.manager.idleness import IdleWatch
from operator_kit.manager.leadership import Leadership, election_rules
from operator_kit.manager.metrics import build_families, informer_families
from operator_kit.manager.probes import Probes
from operator_kit.manager.serving import Serving
from operator_kit.manager.stopping import CANCEL_GRACE, Ending, How, name_overdue, report_stop
from operator_kit.manager.watchdog import Watchdog
from operator_kit.manager.work import Shared, Work, limiter_of
from operator_kit.observe.metrics import Registry as Metrics
from operator_kit.settings import Settings, format_duration

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["Manager"]

TICK = 0.02  # seconds between two looks while something starts or ends, or idleness is waited for
QUIET_TICK = 0.5
CLOSE_TIMEOUT = 6.0  # seconds for the caches, the events, the loop and the election together: a pod has ten after its work
LOST_CLOSE_TIMEOUT = 2.0  # the same when the lease is lost: there is no hurry, and nobody to wait for either

_log = logging.getLogger("operator_kit.manager")


class Manager:
    """Runs the reconcilers of a registry.

    Args:
        registry: what was registered; it is read here and now.
        client: the API server. The manager closes it.
        settings: what the operator was told.
        clock: the clock.
        metrics: where the sinks of all parts are.
        reflector: times of the caches that the settings do not name: tests make them short.
        ask_granted: asks which permissions are missing; `/readyz` names them then.

    Attributes:
        bindings: the reconcilers and tasks with the caches they read.
        leadership: the election, if there is one.
        beat: when the thread of `run` last looked round, on the monotonic clock; 0 before it does.
        probes: the checks behind `/livez` and `/readyz`; more may be added.
        serving: where they and the metrics are served.

    Raises:
        ConfigError: the settings of the election, or of the metrics, contradict each other.
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
        ask_granted: AskGranted | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.metrics = metrics or Metrics()
        self._clock = clock or Clock()
        self._client = client
        self._stop = Signal(self._clock)
        self._done = Signal(self._clock)
        self._bell = Bell(self._clock)
        self._stop.on_set(self._bell.ring)
        searches = Cancel(self._clock)  # ends what is asked of discovery, should it hang
        self._stop.on_set(searches.cancel)
        self._loop = LoopThread()
        self._complaints = Complaints(self._clock)  # only the thread of `run` touches it, and the next
        self._warnings = Complaints(self._clock)  # of what keeps nothing from starting
        self.informers = Informers(
            client,
            clock=self._clock,
            resync=self.settings.resync,
            watch=self.settings.watch,
            settings=reflector or ReflectorSettings(streaming=self.settings.streaming_lists),
        )
        self.bindings = tuple(self._binding(made) for made in (*registry, *registry.tasks))
        self._binder = Binder(self.bindings, client, searches, self._clock, self._bell.ring)
        self._grants = Grants(ask_granted, searches, self._clock) if ask_granted is not None else None
        self._hooks = Hooks(
            registry,
            client,
            loop=self._loop,
            clock=self._clock,
            stopping=self._stop,
            request_timeout=self.settings.request_timeout,
        )
        shared = Shared(client, self.settings, self._loop, self._clock, self.metrics, limiter_of(self.settings, self._clock))
        elects = self.settings.leader_elect
        led = [binding for binding in self.bindings if elects and binding.made.leader]
        self._everywhere = Work(shared, [binding for binding in self.bindings if binding not in led])
        self.leadership: Leadership | None = None
        if elects:
            self.leadership = Leadership(
                election_rules(self.settings, client.namespace),
                shared,
                led,
                recorder=self._everywhere.recorder,
                changed=self._bell.ring,
            )
        self.beat = 0.0
        self._watchdog = Watchdog(lambda: self.runnables, self.settings.stuck_after)
        self.probes = Probes(self, self._watchdog, clock=self._clock)
        self.serving = Serving(self.settings, self.probes, self.metrics, client, clock=self._clock)
        self.metrics.register(build_families)
        self.metrics.register(client.metrics.families)
        self.metrics.register(lambda: informer_families(self.informers))
        if self._grants is not None:
            self.probes.ready.add("permissions", self._grants.check)
        if self.leadership is not None:
            elector = self.leadership.elector
            self.metrics.register(elector.collect)
            # While it stops after a loss, what runs in every replica may take its own time, and is not to be killed for it.
            self.probes.live.add("leader-election", lambda: "" if self.stopping else elector.health())
            self.probes.ready.add("leader-election", self.leadership.check)

    def _binding(self, made: Reconciler | Task) -> Binding:
        own = made.namespaces if isinstance(made, Reconciler) else ()
        return Binding(made, Caches(made, self._client, self.informers, own or self.settings.namespace), done=not made.kinds())

    # ------------------------------------------------------------------ the face

    def run(self) -> ExitCode:
        """Start everything, run until `stop` is called (or until idle, if the settings say so), and stop everything.

        Returns:
            How it went; see `ExitCode`. After `STUCK` and `LEASE_LOST` threads of the author's code may still run: end the
            process hard.

        Raises:
            EndpointError: probes or metrics cannot be served. Nothing was started.
            UsageError: something that waiting does not mend, such as a kind that can mean several. Everything is stopped by then.
            StartupFailed: an `@on_startup` function raised. So it is then.
            Exception: a defect.
        """
        try:
            self.serving.start()  # first, and last to stop: it tells of everything else
            return self._run()
        finally:
            self.serving.stop()
            self._client.close()
            self._done.set()

    def _run(self) -> ExitCode:
        code = ExitCode.CRASH
        try:
            self._start()
            code = self._until_stopped()
        finally:
            code = self._end(code)
        if self._binder.fatal is not None:
            raise self._binder.fatal
        return code

    def _start(self) -> None:
        """The order of the start. Workers come last, in `_until_stopped`: each controller's when its caches are synced."""
        self._hooks.start_up()
        self._everywhere.begin()
        self.informers.start()
        self._binder.start()
        if self._grants is not None:
            self._grants.start()
        if self.leadership is not None:
            self.leadership.start()

    def _end(self, code: ExitCode) -> ExitCode:
        """The order of the stop. Whatever does not end, the rest does; the lease is given back only if all work has ended."""
        self._stop.set()  # not ready from here on
        if self.leadership is not None:
            self.leadership.retire()
        deadline = self._clock.monotonic() + self.settings.shutdown_timeout
        works = self.works
        for work in works:
            report_stop(work.stop(), len(work.running()), self.settings.shutdown_timeout)
        code, finished = self._let_finish([*works, self._hooks], deadline, code)
        if finished:
            self._hooks.shut_down(max(deadline, self._clock.monotonic() + CANCEL_GRACE))
            code, finished = self._let_finish([self._hooks], deadline, code)
        lost = code is ExitCode.LEASE_LOST
        closed = self._clock.monotonic() + (CLOSE_TIMEOUT if not lost else LOST_CLOSE_TIMEOUT if finished else 0.0)

        def left() -> float:
            return max(0.0, closed - self._clock.monotonic())

        bound = self._binder.join(left())
        asked = self._grants is None or self._grants.join(left())
        cached = self.informers.stop(left())
        if cached:
            for work in works:
                work.detach()
        looped = self._loop.stop(left())
        if not looped:
            _log.critical("the loop of asynchronous reconcilers does not end: something in it blocks")
            code = code if lost else ExitCode.STUCK
        if self.leadership is not None:
            self.leadership.stop(release=finished and bound and asked and cached and looped and not lost, timeout=left())
        self._everywhere.close(left())  # writes the Events of what is not fenced, the end of the leadership among them
        _log.info("stopped")
        return code

    def stop(self) -> None:
        """Ask `run` to stop and return. From any thread, and from a signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait until `run` has stopped everything. Returns whether it has."""
        return self._done.wait(timeout)

    # ------------------------------------------------------------------ to be looked at

    @property
    def works(self) -> list[Work]:
        """What runs here just now: what every replica runs, and on the leader also what only it does."""
        led = self.leadership.work if self.leadership is not None else None
        return [self._everywhere, *([led] if led is not None else [])]

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """The controllers that hear of changes just now. A standby has none of those that only the leader runs."""
        return tuple(controller for work in self.works for controller in work.controllers)

    @property
    def runnables(self) -> tuple[Runnable, ...]:
        """The controllers, and the tasks that run here."""
        return tuple(runnable for work in self.works for runnable in work.runnables)

    def synced(self) -> bool:
        """Whether all kinds are found and their caches synced. A standby's too."""
        return all(binding.synced() for binding in self.bindings)

    def started(self) -> bool:
        """Whether everything that shall run here does: every controller's workers, but on a standby those of the leader."""
        return self._everywhere.started() and (self.leadership is None or self.leadership.settled())

    def idle(self) -> bool:
        """Whether everything is started and nothing is left to do just now. A pending requeue-after does not count."""
        return self.started() and all(work.idle() for work in self.works)

    def problems(self) -> list[str]:
        """What keeps controllers from starting, caches from being kept up and the lease from being had; in words for people."""
        return list(dict.fromkeys(complaint.text for complaint in self._troubles()))

    def waiting(self) -> dict[str, str]:
        """What keeps reconcilers from finding their kinds just now, by name."""
        return self._binder.troubles()

    def dead_threads(self) -> list[str]:
        """The manager's own threads that have ended without being told to: the process should be restarted."""
        dead = [name for runnable in self.runnables for name in runnable.dead_workers()]
        dead += [f"informer {name}" for name in self.informers.dead()]
        dead += ["events" for work in self.works if work.recorder.dead()]
        dead += ["reconcile-loop"] if self._loop.dead() else []
        dead += self._grants.dead() if self._grants is not None else []
        return [*dead, *self._binder.dead()]

    def _troubles(self) -> list[Complaint]:
        # The informers and the elector say themselves when they fail and work again; here they are only reminded of.
        troubles = [Complaint(name, text, over=f"{name} found its kinds") for name, text in self.waiting().items()]
        troubles += [
            Complaint(f"{status.resource} {status.namespace}", status.problem, told=status.problem_reason != HANGS)
            for status in self.informers.status()
            if status.problem
        ]
        troubles += [
            Complaint(
                f"namespace {name}",
                f"the namespace {name} does not exist: nothing in it is seen until it does",
                over=f"the namespace {name} exists",
            )
            for name in self._binder.absent()
        ]
        if self.leadership is not None and self.leadership.problem:
            troubles.append(Complaint("leader election", self.leadership.problem, told=True))
        return troubles

    def _imperfections(self) -> Iterator[Complaint]:
        for runnable in self.runnables:
            yield from (Complaint(what, text) for what, text in runnable.overdue().items())
        if self._grants is not None and self._grants.problem:
            yield Complaint("permissions", self._grants.problem, over="all permissions are granted")

    # ------------------------------------------------------------------ running

    def _until_stopped(self) -> ExitCode:
        began = busy_since = self._clock.monotonic()
        starting = True
        idle_watch = IdleWatch(self, self._binder, self._complaints, self._clock) if self.settings.exit_when_idle else None
        while not self._stop.is_set():
            self.beat = self._clock.monotonic()
            self._watchdog.stuck()
            self._everywhere.tend()
            if self.leadership is not None and not self.leadership.tend():
                _log.error("the lease is lost: this process ends")
                return ExitCode.LEASE_LOST
            if self._binder.fatal is not None:
                break
            self._complaints.hear(self._troubles())
            self._warnings.hear(self._imperfections())
            now, started = self._clock.monotonic(), self.started()
            if starting and started:
                starting = False
                _log.info("all started after %s", format_duration(now - began))
            code = idle_watch.look() if idle_watch is not None else None
            if code is not None:
                return code
            # What is waited for is noticed within a fiftieth of the time it has taken so far.
            pause = QUIET_TICK if started else min(QUIET_TICK, max(TICK, (now - busy_since) / 50))
            rung = self._bell.wait(TICK if idle_watch is not None else pause)
            if rung or started:
                busy_since = self._clock.monotonic()
        return ExitCode.OK

    def _let_finish(self, those: Sequence[Work | Hooks], deadline: float, code: ExitCode) -> tuple[ExitCode, bool]:
        """Wait until what runs has returned, or may not run any more. Returns the code to end with, and whether all has."""
        endings = [Ending(each) for each in those]
        while True:
            left = deadline - self._clock.monotonic()
            looks = [ending.look(*self._limits(ending.what, left)) for ending in endings]
            overdue = [ending.what for ending, how in zip(endings, looks, strict=True) if how is How.OVERDUE]
            for each in overdue:
                lost = self._is_lost(each)
                name_overdue(each.running(), "the end of its lease" if lost else "--shutdown-timeout")
                code = ExitCode.LEASE_LOST if lost or code is ExitCode.LEASE_LOST else ExitCode.STUCK
            if overdue or all(how is How.ENDED for how in looks):
                return code, not overdue
            for each in those:
                each.join(self._clock.monotonic() + TICK)

    def _limits(self, what: Work | Hooks, left: float) -> tuple[float, float]:
        """Seconds until coroutines are cancelled, and until nothing of it may run any more."""
        patience, limit = left, left + CANCEL_GRACE
        if self.leadership is not None and self._is_lost(what):
            until_cancelled, until_overdue = self.leadership.limits()
            return min(patience, until_cancelled), min(limit, until_overdue)
        return patience, limit

    def _is_lost(self, what: Work | Hooks) -> bool:
        return self.leadership is not None and what is self.leadership.work and self.leadership.lost

    def __repr__(self) -> str:
        state = "stopping" if self.stopping else "started" if self.started() else "starting"
        return f"<Manager {state}: {', '.join(binding.name for binding in self.bindings)}>"
