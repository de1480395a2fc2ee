"""A queue to look at: the snapshot for people, and the metrics for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operator_kit.observe.metrics import Distribution, Family

__all__ = ["Delayed", "Ready", "Running", "Snapshot", "families"]

_MOST_PRIORITIES = 25  # samples; controller-runtime's limit and its word for the rest
_REST = "exceeded_cardinality_limit"


@dataclass(frozen=True, slots=True)
class Ready:
    """One lane: its priority, how many keys wait in it, for how many seconds the next has waited, and the first keys in order."""

    priority: int
    count: int
    waited: float
    keys: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """A key being processed for `seconds`. `again`: it was added meanwhile and runs once more."""

    key: Any
    seconds: float
    priority: int
    again: bool


@dataclass(frozen=True, slots=True)
class Delayed:
    """A key held back for `seconds` more.

    `backoff`: because it failed, `failures` times; otherwise it asked to be looked at again.
    """

    key: Any
    seconds: float
    priority: int
    backoff: bool
    failures: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A queue at one moment. `state` is "open", "draining", "drained" or "shut down". `str()` is for people.

    Lanes come highest first, running keys longest first, delayed keys soonest first. The counts are of all keys, the tuples may
    be cut.
    """

    name: str
    state: str
    ready_count: int
    running_count: int
    delayed_count: int
    ready: tuple[Ready, ...]
    running: tuple[Running, ...]
    delayed: tuple[Delayed, ...]

    def __str__(self) -> str:
        """Several lines, one per lane and per key."""
        counts = f"{self.ready_count} ready, {self.running_count} running, {self.delayed_count} delayed"
        lines = [f"queue {self.name or '(unnamed)'}, {self.state}: {counts}"]
        for lane in self.ready:
            more = ", …" if lane.count > len(lane.keys) else ""
            lines.append(
                f"  ready, priority {lane.priority}: {lane.count}, the next for {lane.waited:.3g}s: "
                f"{', '.join(map(str, lane.keys))}{more}"
            )
        lines += [f"  running for {run.seconds:.3g}s: {run.key}{', and once more' if run.again else ''}" for run in self.running]
        for entry in self.delayed:
            times = "once" if entry.failures == 1 else f"{entry.failures} times"
            why = f"backing off, failed {times}" if entry.backoff else "to be looked at again"
            lines.append(f"  in {entry.seconds:.3g}s: {entry.key} ({why})")
        return "\n".join(lines)


def families(
    name: str,
    *,
    depth: Mapping[int, int],
    adds: int,
    retries: int,
    queued: Distribution,
    worked: Distribution,
    running: Sequence[float],
) -> list[Family]:
    """A queue's numbers under client-go's names.

    Args:
        name: the queue's, for the labels `name` and `controller`.
        depth: keys waiting, or added while processed, by priority.
        adds: how often a key came in that was not there already.
        retries: how often a key was to come later.
        queued: seconds from coming in to being handed out.
        worked: seconds from being handed out to done.
        running: for each key being processed, for how many seconds.
    """
    labels, values = ("name", "controller"), (name, name)

    def one(kind: Any, suffix: str, help_text: str, value: float | Distribution) -> Family:
        return Family(f"workqueue_{suffix}", kind, help_text, labels, [(values, value)])

    levels = sorted(depth, reverse=True)
    by_level: list[tuple[tuple[str, ...], float | Distribution]] = [
        ((*values, str(level)), depth[level]) for level in levels[:_MOST_PRIORITIES]
    ]
    if levels[_MOST_PRIORITIES:]:
        by_level.append(((*values, _REST), sum(depth[level] for level in levels[_MOST_PRIORITIES:])))
    return [
        Family("workqueue_depth", "gauge", "Keys that wait, or wait for their run to end.", (*labels, "priority"), by_level),
        one("counter", "adds_total", "Keys that came in and were not waiting already.", adds),
        one("histogram", "queue_duration_seconds", "How long keys wait until they are handed out.", queued),
        one("histogram", "work_duration_seconds", "How long keys are processed.", worked),
        one("gauge", "unfinished_work_seconds", "Seconds of work in progress, over all running keys.", sum(running)),
        one("gauge", "longest_running_processor_seconds", "How long the longest running key has run.", max(running, default=0.0)),
        one("counter", "retries_total", "Keys that were to come later: delays and retries.", retries),
    ]
