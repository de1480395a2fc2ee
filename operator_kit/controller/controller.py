"""A controller: one reconciler at work. Its caches feed its queue, its workers run what the queue hands out.

Promises, each a test: a key is never run twice at once; no worker runs before every cache is synced and its handlers have
seen the initial objects; whatever a run does, its worker goes on and its key is given back; a key that fails for ever delays
no other.

    attach()    hear of changes: they begin to queue up
    synced()    whether it may start
    start()     the workers
    stop()      no new keys, nothing more handed out, `ctx.stopping` set; running reconciles finish
    join()      wait for them
    close()     hear of no more changes

A controller lives once. The caches it reads are made, bound and given back by who made it, and outlive it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from operator_kit.clock import Clock, Signal
from operator_kit.controller.aio import LoopThread
from operator_kit.controller.applier import Applier
from operator_kit.controller.conclusion import Concluder
from operator_kit.controller.echoes import SELF_WOKEN, Echoes, Wake
from operator_kit.controller.finalizers import finalizer_name
from operator_kit.controller.gate import Gate, Verdict
from operator_kit.controller.leavers import Leavers
from operator_kit.controller.limits import Limits
from operator_kit.controller.listers import Caches
from operator_kit.controller.loops import tell_own_loop
from operator_kit.controller.options import name_of
from operator_kit.controller.ownership import Marks
from operator_kit.controller.progress import Progress
from operator_kit.controller.run import NOTHING, Finished, Runner
from operator_kit.controller.run_metrics import RunMetrics
from operator_kit.controller.running import RunningKey, RunningKeys
from operator_kit.controller.scope import Scope
from operator_kit.controller.sources import label_source, mapped_source, own_source, owner_source
from operator_kit.controller.troubles import Troubles
from operator_kit.errors import ShutDown
from operator_kit.leader import Fence
from operator_kit.objects import split_key
from operator_kit.observe.logging import BoundLogger, bound
from operator_kit.observe.metrics import Registry as Metrics
from operator_kit.observe.tracing import reconcile_span
from operator_kit.queue import NORMAL, ExponentialBackoff, Snapshot, WorkQueue
from operator_kit.settings import format_duration
from operator_kit.threads import has_ended, thread_stack

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.cache import Change, Entry
    from operator_kit.controller.events import EventRecorder
    from operator_kit.controller.registered import Reconciler

__all__ = ["Controller"]

_log = logging.getLogger("operator_kit.controller")


class Controller:
    """One reconciler at work.

    Args:
        made: the reconciler.
        client: the API server.
        caches: of the reconciler, bound.
        recorder: writes its Events.
        limits: what the reconciler does not say itself.
        loop: runs its coroutines.
        fence: every write passes it; none for a reconciler that needs no leader. (Its Events pass the recorder's client.)
        clock: the clock.
        metrics: where its sinks are.
    """

    def __init__(
        self,
        made: Reconciler,
        client: Client,
        caches: Caches,
        recorder: EventRecorder,
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
        self._recorder = recorder
        self._clock = clock or Clock()
        self._limits = limits
        self._loop = loop
        self._metrics = metrics or Metrics()
        base, longest = made.backoff or (limits.backoff_base, limits.backoff_max)
        self.queue: WorkQueue[str] = WorkQueue(
            name=made.name,
            clock=self._clock,
            rate_limiter=ExponentialBackoff(base, cap=max(base, longest)),
            metrics=self._metrics,
        )
        self.timeout = limits.timeout if made.timeout is None else made.timeout  # seconds; 0 for none
        self.workers = made.workers or limits.workers
        self.caches = caches
        self.stopping = Signal(self._clock)
        self._runner: Runner | None = None
        self._gate: Gate | None = None
        self._leavers: Leavers | None = None
        self._deaf: Callable[[], None] = lambda: None  # ends its hearing of what the author wakes
        # Looked up once: every look takes the logging module's one lock, which the workers would queue for.
        self._logger = logging.getLogger(f"operator_kit.reconcile.{made.name}")
        self._progress = Progress()
        self._troubles = Troubles()
        self._concluder = Concluder(
            made,
            caches,
            self.queue,
            troubles=self._troubles,
            progress=self._progress,
            stopping=self.stopping,
            timeout=self.timeout,
            clock=self._clock,
        )
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}  # under the lock; why a key runs next, for logs
        self._renew: set[str] = set()  # under the lock; keys that lost a child: perhaps because they are gone themselves
        self._echoes = Echoes()
        self._running = RunningKeys(made.name, self._clock)
        self._counts = RunMetrics(self._metrics, made.name, self.workers)

    # ------------------------------------------------------------------ life

    def attach(self) -> None:
        """Hear of the caches' changes, and of what they hold first: all of it queues up from now on."""
        made, caches = self.made, self.caches
        own = caches.own.resource
        manager = finalizer_name(own, made.name)
        marks = Marks(manager)
        scope = Scope(
            controller=made.name,
            client=self._client,
            caches=caches,
            applier=Applier(self._client, caches, marks, self._recorder, clock=self._clock, metrics=self._metrics),
            recorder=self._recorder,
            clock=self._clock,
            stopping=self.stopping,
            fence=self._fence,
            field_manager=manager,
            marks=marks,
            request_timeout=self._limits.request_timeout,
        )
        self._leavers = Leavers(made.name, own, made.selector, manager, self._client)
        self._gate = Gate(caches, self.queue.add, self._clock)
        self._runner = Runner(made, scope, manager, self._loop)
        self._deaf = made.on_wake(self._wake)
        caches.add_handler(own, self._own_handler())
        for lister in caches.owned:
            child = lister.resource
            caches.add_handler(child, owner_source(self._enqueue, own, child))
            if lister.labelled:
                caches.add_handler(child, label_source(self._enqueue, marks, child))
        for name, mapper in made.watches.items():
            kind = caches.resource(name)
            who = f"the mapper {name_of(mapper)} of {made.name}"
            caches.add_handler(kind, mapped_source(self._enqueue, mapper, kind), apart=who)

    def synced(self) -> bool:
        """Whether every cache is synced and every handler has seen the initial objects."""
        return self._runner is not None and self.caches.synced()

    def start(self) -> None:
        """Start the workers. Only once, and only when synced."""
        if self._threads:
            raise RuntimeError(f"controller {self.name} is started already")
        if not self.synced():
            raise RuntimeError(f"controller {self.name} must not start before its caches are synced")
        self._concluder.start()
        for number in range(1, self.workers + 1):
            thread = threading.Thread(target=self._work, name=f"{self.name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def started(self) -> bool:
        """Whether its workers run (or ran)."""
        return bool(self._threads)

    def stop(self) -> Snapshot:
        """Refuse new keys, hand out nothing more, tell running reconciles. Returns at once; may be repeated.

        Returns what was in the queue; what waited there is dropped.
        """
        self.stopping.set()
        self._deaf()
        dropped = self.queue.snapshot()
        self.queue.shut_down()
        return dropped

    def join(self, deadline: float) -> list[RunningKey]:
        """Wait until `deadline` (monotonic) for the workers to end. Returns the keys that still run then."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return self.running()

    @property
    def ended(self) -> bool:
        """Whether no worker runs any more, or yet."""
        return not any(thread.is_alive() for thread in self._threads)

    def cancel(self) -> int:
        """Cancel the asynchronous reconciles that still run, and say how many. Threads cannot be cancelled."""
        return 0 if self._runner is None else self._runner.cancel_async()

    def close(self) -> None:
        """Hear of no more changes. After the workers have ended."""
        if self._gate is not None:
            self._gate.clear()
        self.caches.detach()

    def forget(self) -> None:
        """Have its queue no more among the metrics: another takes its name."""
        self._metrics.unregister(self.queue.metrics)

    # ------------------------------------------------------------------ to be looked at

    def running(self) -> list[RunningKey]:
        """The keys that are being reconciled, longest first."""
        return self._running.look()

    @property
    def runs(self) -> int:
        """How many reconciles have ended."""
        return self._running.ended

    def stack(self, key: str) -> list[str]:
        """Where the run of a key is just now, a line for each frame, outermost first; empty when it does not run."""
        thread = self._running.thread(key)
        return [] if thread is None or self._runner is None else self._runner.coroutine_stack(key) or thread_stack(thread)

    def dead_workers(self) -> list[str]:
        """The threads of workers that have ended without being told to."""
        return [thread.name for thread in self._threads if has_ended(thread) and not self.stopping.is_set()]

    def overdue(self) -> dict[str, str]:
        """The runs that go on past their timeout, in words, by key: a thread cannot be ended from outside."""
        late = [run for run in self.running() if self.timeout and run.seconds > self.timeout]
        limit = format_duration(self.timeout)
        out = {}
        for run in late:
            out[str(run)] = f"{run} goes on past its timeout of {limit}, and holds one of {self.workers} workers"
            blocker = self._runner.held_up_by(run.key) if self._runner is not None else ""
            if blocker:  # then the deadline could not be kept, whosever function it is
                out[str(run)] += f"; {blocker} blocks the loop of all async functions: it must await, or use asyncio.to_thread"
        return out

    def idle(self) -> bool:
        """Whether nothing is ready, running, backing off or waiting for a cache. A pending requeue-after does not count."""
        if (
            not self.caches.idle()
            or not self.queue.idle
            or (self._gate is not None and not self._gate.idle(watching=self._limits.watching))
        ):
            return False
        return not self._troubles.waiting()

    def errors(self) -> dict[str, str]:
        """The keys whose last run did not end well, each with its error in one line."""
        return self._troubles.errors()

    def __repr__(self) -> str:
        return f"<Controller {self.name} {'started' if self._threads else 'not started'} {self.queue!r}>"

    # ------------------------------------------------------------------ from changes to keys

    def _enqueue(self, wake: Wake) -> None:  # a source's face
        if not self.caches.own.covers(split_key(wake.key)[0]):
            return  # a mapper's or a reference's, of a namespace that is not this operator's: nothing is known of it here
        if not self._echoes.take(wake):
            self._add(wake)

    def _wake(self, key: str) -> None:
        self._enqueue(Wake(key, NORMAL, True, "woken"))

    def _add(self, wake: Wake) -> None:
        with self._lock:
            if len(self._reasons) < 10_000:  # a reason is a nicety for the log; it must not become a cache
                self._reasons[wake.key] = wake.reason
            if wake.lost:
                self._renew.add(wake.key)
        delay = self._echoes.delay(wake.key)
        if delay and wake.key not in self._troubles:  # one that fails has a deadline of its own
            self.queue.add_after(wake.key, delay, priority=wake.priority)
        else:
            self.queue.add(wake.key, priority=wake.priority, respect_backoff=wake.respect_backoff)

    def _own_handler(self) -> Any:
        source = own_source(self._enqueue, self.made.predicates, self.caches.own.resource)
        leavers = self._leavers
        assert leavers is not None

        def on_change(change: Change) -> None:
            self._notice(change.key, change.new)
            leavers.notice(change)
            self._progress.notice(change)
            source(change)

        return on_change

    def _notice(self, key: str, entry: Entry | None) -> None:
        """Forget the troubles of an object that is gone or another; run one whose newer version was waited for."""
        other, caught_up = self._troubles.notice(key, entry)
        if other:
            self.queue.forget(key)
        elif caught_up:
            self._enqueue(Wake(key, NORMAL, False, "the cache caught up after a conflict"))

    # ------------------------------------------------------------------ workers

    def _work(self) -> None:
        while True:
            try:
                key = self.queue.get()
            except ShutDown:
                return
            try:
                self._process(key)
            except Exception:  # noqa: BLE001  # a worker outlives a defect of the framework too
                _log.exception("%s: reconciling %s failed in the framework itself; it is tried again", self.name, key)
                self.queue.add_rate_limited(key)
            finally:
                self.queue.done(key)

    def _process(self, key: str) -> None:
        gate = self._gate
        assert gate is not None
        verdict, seconds = gate.check(key)
        if verdict is Verdict.WAIT:
            self._counts.held_back()
            self.queue.add_after(key, seconds)
            return
        if verdict is Verdict.LIVE:
            self._counts.reads_live()
        finished = NOTHING
        rounds = self._echoes.begin(key)
        try:
            finished = self._reconcile(key, live=verdict is Verdict.LIVE)
            entry = self.caches.own.entry(key) if rounds == SELF_WOKEN and finished.writes else None
            if entry is not None:
                own, writes = self.caches.own.resource, finished.writes
                tell_own_loop(self.name, own, entry, writes, recorder=self._recorder, metrics=self._metrics)
        finally:
            due = self._echoes.end(key, finished.known, finished.writes)
            if due is not None:
                self._add(due)

    def _reconcile(self, key: str, *, live: bool) -> Finished:
        """Run a key."""
        runner, gate = self._runner, self._gate
        assert runner is not None
        assert gate is not None
        entry = self.caches.own.entry(key)
        failures = self._troubles.begin(key)
        with self._lock:
            renew = key in self._renew
            reason = self._reasons.pop(key, "requeued" if failures < 0 else "tried again")
        attempt = 1 + max(0, failures)
        if entry is None:
            self._renewed(key)
            self._concluder.gone(key)
            gate.forget(key)
            if self._leavers is not None:
                self._leavers.look(key)
            return NOTHING
        kind = self.caches.own.resource
        obj = entry.decode()
        obj.setdefault("apiVersion", kind.api_version)
        obj.setdefault("kind", kind.kind)
        namespace, name = split_key(key)
        fields = {
            "controller": self.name,
            "kind": kind.kind,
            "namespace": namespace,
            "name": name,
            "reconcile_id": f"{random.getrandbits(32):08x}",  # a name for log lines, no secret
            "attempt": attempt,
            "reason": reason,
            **self._leadership,
        }
        log = BoundLogger(self._logger, fields)
        self._running.begin(key)
        self._counts.began()
        try:
            with bound(**fields), reconcile_span(fields) as span:
                finished = runner.run(
                    obj, log=log, attempt=attempt, timeout=self.timeout or None, reason=reason, live=live, renew=renew
                )
                gate.remember(key, finished.writes)
                span.came_to(finished.decision.result, finished.decision.error if finished.decision.failed else None)
        finally:
            seconds = self._running.end(key)
            self._counts.ended()
        if renew and finished.decision.error is None:
            self._renewed(key)
        self._counts.count(finished.decision, seconds, timeout=self.timeout)
        self._concluder.conclude(key, entry, finished.decision, seconds, log)
        return finished

    def _renewed(self, key: str) -> None:
        """The loss of a child was looked into, with success. One that came during the run is held, and not forgotten with it."""
        with self._lock:
            self._renew.discard(key)
