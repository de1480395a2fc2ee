"""What the probes tell of an operator: whether it lives, and whether it is ready.

Live (`/livez`, `/healthz`): a restart would help if it is not.

    ping         the process answers
    threads      the operator's own threads run, and its main one goes round
    workers      no reconcile is stuck, see `Watchdog`
    handlers     no function of the author's that hears of changes hangs for as long
    …            `leader-election`, where there is one

Ready (`/readyz`): it can do its work, or take it over at once; a standby is as ready as the leader.

    shutdown     it is not stopping
    kinds        every kind that is reconciled, owned or watched is served and was found
    caches       every cache is synced, and none has been blind for longer than `BLIND_AFTER`
    …            `permissions`, where who runs the manager asks for them: nothing that is needed is missing
    …            `leader-election`, where there is one: whether the lease can be had at all, not who has it

Blind is a cache that was synced and cannot be kept up, be it that a permission was taken away, a definition removed, or the API
server is not to be reached. From the first moment it is said in `?verbose`, and counted in `informer_problem_seconds`. For
`BLIND_AFTER` the pod stays ready, since a restart of the API server must not make every operator of a cluster unready; after
that it is not ready, because it does not do its work, and `kubectl get pods`, a rollout and a disruption budget should know. It
stays alive all the time: a restart mends none of these, and would lose the cache that still serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from operator_kit.cache import HANGS
from operator_kit.manager.checks import Checks, Finding
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operator_kit.cache import Informers, InformerStatus
    from operator_kit.clock import Clock
    from operator_kit.manager.binding import Binding
    from operator_kit.manager.watchdog import Watchdog

__all__ = ["BLIND_AFTER", "Observed", "Probes"]

BLIND_AFTER = 300.0
"""Seconds a synced cache may have a problem while the operator counts as ready."""

WEDGED_AFTER = 60.0
"""Seconds the main thread, which looks round several times a second, may be silent."""


class Observed(Protocol):
    """What is looked at: a `Manager`."""

    @property
    def bindings(self) -> Sequence[Binding]:
        """Its reconcilers and tasks, and whether their kinds are found."""

    @property
    def informers(self) -> Informers:
        """Its caches."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""

    @property
    def beat(self) -> float:
        """When its main thread last looked round, on the monotonic clock; 0 before it does."""

    def waiting(self) -> dict[str, str]:
        """By controller: why it has not found its kinds."""

    def dead_threads(self) -> list[str]:
        """Its threads that ended and should not have."""


class Probes:
    """The checks of an operator. More may be added to `live` and `ready`.

    Args:
        operator: the manager.
        watchdog: knows of stuck reconciles.
        clock: the clock.
        blind_after: see `BLIND_AFTER`.
    """

    def __init__(self, operator: Observed, watchdog: Watchdog, *, clock: Clock, blind_after: float = BLIND_AFTER) -> None:
        self._operator = operator
        self._watchdog = watchdog
        self._clock = clock
        self._blind_after = blind_after
        self.live = Checks("livez")
        self.live.add("ping", Finding)
        self.live.add("threads", self._threads)
        self.live.add("workers", watchdog.problem)
        self.live.add("handlers", self._handlers)
        self.ready = Checks("readyz")
        self.ready.add("shutdown", lambda: "the operator is stopping" if operator.stopping else "")
        self.ready.add("kinds", self._kinds)
        self.ready.add("caches", self._caches)

    def _threads(self) -> str:
        operator = self._operator
        if operator.stopping:
            return ""  # they end, and how long that may take is --shutdown-timeout
        dead = operator.dead_threads()
        if dead:
            return f"dead: {', '.join(dead)}"
        silent = self._clock.monotonic() - operator.beat if operator.beat else 0.0
        return f"the main thread hangs since {format_duration(silent)}" if silent > WEDGED_AFTER else ""

    def _handlers(self) -> str:
        limit = self._watchdog.stuck_after
        hanging = [status for status in self._operator.informers.status() if status.problem_reason == HANGS]
        return "; ".join(status.problem for status in hanging if limit and status.problem_seconds > limit)

    def _kinds(self) -> str:
        if not self._operator.beat:
            return "the operator is starting"
        waiting = self._operator.waiting()
        return "; ".join(
            dict.fromkeys(
                waiting.get(binding.name) or f"{binding.name} looks for its kinds"
                for binding in self._operator.bindings
                if not binding.done
            )
        )

    def _caches(self) -> Finding:
        problems: list[str] = []
        notes: list[str] = []
        if not self._operator.beat:
            problems.append("the operator is starting")
        for status in self._operator.informers.status():
            if not status.synced:
                problems.append(f"{_named(status)} is not synced: {status.problem or 'it is being listed'}")
            elif status.problem:
                how = "is held up" if status.problem_reason == HANGS else "is blind"
                text = f"{_named(status)} {how} for {format_duration(status.problem_seconds)}: {status.problem}"
                (problems if status.problem_seconds > self._blind_after else notes).append(text)
        return Finding("; ".join(dict.fromkeys(problems)), "; ".join(dict.fromkeys(notes)))


def _named(status: InformerStatus) -> str:
    resource = status.resource
    name = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    return f"{name} in {status.namespace}" if status.namespace else name
