"""Work: controllers and tasks that begin and end together, and write through one client.

What runs in every replica is one work, for as long as the process lives. What only the leader does is another one for each term
of leadership, with new queues and workers, whose every write passes the fence of that term.

    begin()     its Events can be written
    tend()      each controller and task starts once every cache it reads is synced, a controller having heard of what is there
    stop()      nothing new begins, `ctx.stopping` is set
    ended       whether everything that ran has returned
    close()     no change is heard of any more, its Events are written
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from operator_kit.api import Cancel, RateLimiter
from operator_kit.controller import Controller, EventRecorder, Limits, Reconciler, Runnable, RunningKey, TaskRunner
from operator_kit.queue import Snapshot

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.clock import Clock
    from operator_kit.controller.aio import LoopThread
    from operator_kit.leader import Fence
    from operator_kit.manager.binding import Binding
    from operator_kit.observe.metrics import Registry as Metrics
    from operator_kit.settings import Settings

__all__ = ["Shared", "Work"]

_log = logging.getLogger("operator_kit.manager")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all work of a process has in common."""

    client: Client
    settings: Settings
    loop: LoopThread
    clock: Clock
    metrics: Metrics
    limiter: RateLimiter | None = None

    def limits(self) -> Limits:
        """The settings, as a controller takes them."""
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


def limiter_of(settings: Settings, clock: Clock) -> RateLimiter | None:
    """The rate limit that the settings ask for, if they do."""
    return RateLimiter(settings.kube_api_qps, settings.kube_api_burst, clock=clock) if settings.kube_api_qps else None


class _Common(TypedDict):
    """What controllers and tasks are made with alike."""

    limits: Limits
    loop: LoopThread
    fence: Fence | None
    clock: Clock
    metrics: Metrics


class Work:
    """The controllers of some reconcilers, and some tasks. All but `stop` is called by the manager's thread alone.

    Attributes:
        recorder: writes the Events of these controllers.
        runnables: the controllers that hear of changes already, and the tasks whose kinds are found.
        fence: what their writes pass; None where no leader is needed.
    """

    def __init__(self, shared: Shared, bindings: Sequence[Binding], fence: Fence | None = None) -> None:
        self._shared = shared
        self._bindings = bindings
        self.fence = fence
        self._no_more = Cancel(shared.clock)  # ends reads, and who waits for a turn under the rate limit
        client = self._share("events")
        client = client if fence is None else client.guarded(fence.guard)
        self.recorder = EventRecorder(client, clock=shared.clock, timeout=shared.settings.request_timeout)
        self.runnables: tuple[Runnable, ...] = ()  # replaced, never changed: `stop` may come from another thread
        self._stopping = False

    def _share(self, flow: str) -> Client:
        """The client for one who takes turns with others under the rate limit, if there is one."""
        shared = self._shared
        return shared.client if shared.limiter is None else shared.client.limited(shared.limiter, flow, self._no_more)

    def begin(self) -> None:
        """Start what the controllers need."""
        self.recorder.start()

    def tend(self) -> None:
        """Start what can be started by now."""
        attached = {runnable.name for runnable in self.runnables}
        for binding in self._bindings:
            if self._stopping:
                return
            if binding.done and binding.name not in attached:
                self._attach(binding)
        for runnable in self.runnables:
            if not self._stopping and not runnable.started and runnable.synced():
                runnable.start()
                workers = f"{runnable.workers} worker{'s' if runnable.workers > 1 else ''}"
                _log.info("%s started, %s", runnable.name, workers)
        if self._stopping:
            self.stop()  # it was asked for in the middle of this

    def _attach(self, binding: Binding) -> None:
        shared, made, caches = self._shared, binding.made, binding.caches
        client = self._share(binding.name).interruptible(self._no_more)
        common = _Common(limits=shared.limits(), loop=shared.loop, fence=self.fence, clock=shared.clock, metrics=shared.metrics)
        if not isinstance(made, Reconciler):
            self.runnables = (*self.runnables, TaskRunner(made, client, caches, **common))
            return
        controller = Controller(made, client, caches, self.recorder, **common)
        self.runnables = (*self.runnables, controller)
        controller.attach()

    # ------------------------------------------------------------------ to be looked at

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """Those of the runnables that are controllers."""
        return tuple(runnable for runnable in self.runnables if isinstance(runnable, Controller))

    def started(self) -> bool:
        """Whether every controller has started its workers, and every task runs."""
        return len(self.runnables) == len(self._bindings) and all(runnable.started for runnable in self.runnables)

    def idle(self) -> bool:
        """Whether nothing is left to do just now. A pending requeue-after does not count."""
        return self.recorder.idle() and all(runnable.synced() and runnable.idle() for runnable in self.runnables)

    def running(self) -> list[RunningKey]:
        """The keys that are being reconciled, and the tasks that run."""
        return [key for runnable in self.runnables for key in runnable.running()]

    @property
    def ended(self) -> bool:
        """Whether no worker runs any more, or yet."""
        return all(runnable.ended for runnable in self.runnables)

    # ------------------------------------------------------------------ the end

    def stop(self) -> list[Snapshot]:
        """Begin nothing new, and tell what runs. Returns at once; from any thread; may be repeated.

        Returns what was in the queues; nothing when it was stopped already.
        """
        first, self._stopping = not self._stopping, True
        for runnable in self.runnables:
            if isinstance(runnable, TaskRunner):
                runnable.stop()
        dropped = [controller.stop() for controller in self.controllers]
        return dropped if first else []

    def join(self, deadline: float) -> list[RunningKey]:
        """Wait until `deadline` (monotonic) for what runs. Returns what still runs then."""
        return [key for runnable in self.runnables for key in runnable.join(deadline)]

    def cancel(self) -> bool:
        """Cancel the coroutines, the reads and the waits for a turn that run still. Returns whether that can have ended anything.

        Threads cannot be cancelled, but what they ask of the API server can; a write is left to its own limit.
        """
        reads = self._no_more.running
        self._no_more.cancel()
        return reads + sum(runnable.cancel() for runnable in self.runnables) > 0 or self._shared.limiter is not None

    def detach(self) -> None:
        """Hear of no more changes."""
        for controller in self.controllers:
            controller.close()

    def close(self, timeout: float) -> bool:
        """Write the Events that wait, and end. Returns whether all of it has ended within so many seconds."""
        return self.recorder.stop(timeout)

    def forget(self) -> None:
        """Leave the metrics: another work takes the same names."""
        for controller in self.controllers:
            controller.forget()

    def __repr__(self) -> str:
        return f"<Work {', '.join(binding.name for binding in self._bindings) or 'none'}{' stopping' if self._stopping else ''}>"
