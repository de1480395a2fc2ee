"""What is counted of runs, under the names that dashboards know. Tasks are counted as controllers are, with one worker each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operator_kit.controller.outcome import Action

if TYPE_CHECKING:
    from operator_kit.controller.outcome import Decision
    from operator_kit.observe.metrics import Registry as Metrics

__all__ = ["RunMetrics"]

_PREFIX = "controller_runtime_"
_LABELS = ("controller",)


class RunMetrics:
    """The figures of one controller's runs.

    Args:
        metrics: where the sinks are; those of all controllers are the same.
        name: of the controller, the sinks' label.
        workers: how many runs there may be at once.
    """

    def __init__(self, metrics: Metrics, name: str, workers: int) -> None:
        self._name = name
        self._total = metrics.counter(
            f"{_PREFIX}reconcile_total", "Total number of reconciliations per controller", ("controller", "result")
        )
        self._errors = metrics.counter(
            f"{_PREFIX}reconcile_errors_total", "Total number of reconciliation errors per controller", _LABELS
        )
        self._terminal = metrics.counter(
            f"{_PREFIX}terminal_reconcile_errors_total", "Total number of terminal reconciliation errors per controller", _LABELS
        )
        self._panics = metrics.counter(
            f"{_PREFIX}reconcile_panics_total", "Total number of reconciliation panics per controller", _LABELS
        )
        self._timeouts = metrics.counter(
            f"{_PREFIX}reconcile_timeouts_total", "Total number of reconciliation timeouts per controller", _LABELS
        )
        self._seconds = metrics.histogram(
            f"{_PREFIX}reconcile_time_seconds", "Length of time per reconciliation per controller", _LABELS
        )
        self._held_back = metrics.counter(
            "operator_kit_stale_sync_skips_total", "Runs put off because the cache did not hold the own writes yet", _LABELS
        )
        self._read_live = metrics.counter(
            "operator_kit_stale_sync_timeouts_total", "Runs that read live because the cache did not hold them in time", _LABELS
        )
        self._active = metrics.gauge(f"{_PREFIX}active_workers", "Number of currently used workers per controller", _LABELS)
        for counter in (self._errors, self._terminal, self._panics, self._timeouts, self._held_back, self._read_live):
            counter.inc(name, by=0)
        for result in ("success", "error", "requeue", "requeue_after"):
            self._total.inc(name, result, by=0)
        self._seconds.expect(name)
        self._active.set(0, name)
        metrics.gauge(
            f"{_PREFIX}max_concurrent_reconciles", "Maximum number of concurrent reconciles per controller", _LABELS
        ).set(workers, name)

    def held_back(self) -> None:
        """A run is put off until the cache holds what the key wrote."""
        self._held_back.inc(self._name)

    def reads_live(self) -> None:
        """A run reads live: the cache did not hold what the key wrote in time."""
        self._read_live.inc(self._name)

    def began(self) -> None:
        """A run has begun."""
        self._active.inc(self._name)

    def ended(self) -> None:
        """A run has ended, however."""
        self._active.inc(self._name, by=-1)

    def count(self, decision: Decision, seconds: float, *, timeout: float = 0) -> None:
        """What a run came to, how long it took, and how long it should have taken at most: seconds, 0 for no limit."""
        name = self._name
        self._seconds.observe(seconds, name)
        self._total.inc(name, decision.result)
        if decision.failed:
            self._errors.inc(name)
        if decision.action is Action.GIVE_UP:
            self._terminal.inc(name)
        if decision.error is not None and not isinstance(decision.error, Exception):
            self._panics.inc(name)
        if decision.timed_out or (timeout and seconds > timeout):
            self._timeouts.inc(name)
