"""The queue against a naive model of itself, through any sequence of calls that Hypothesis can think of.

The model keeps lists and looks at everything; it knows what must hold and not how it is done. Which key comes next is checked by the
rules (priority, one turn in eight, turns between flows, first in first out inside one), not by copying the algorithm.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from operator_kit.clock import FakeClock
from operator_kit.queue import HIGH, LOW, NORMAL, ExponentialBackoff, ShutDown, WorkQueue

KEYS = st.sampled_from(["a/1", "a/1", "a/1", "a/2", "a/2", "b/1", "b/1", "c/1", "node"])
PRIORITIES = st.sampled_from([LOW, NORMAL, NORMAL, HIGH])
DELAYS = st.sampled_from([0, 0.25, 1, 2, 10])


def flow(key: str) -> str:
    return key.rpartition("/")[0]


@dataclass
class Waiting:
    priority: int
    since: int  # a count, for the order of arrival in this lane


@dataclass
class Held:
    deadline: float
    priority: int
    backoff: bool


@dataclass
class Model:
    now: float = 0.0
    ticks: int = 0
    waiting: dict[str, Waiting] = field(default_factory=dict)
    processing: dict[str, int] = field(default_factory=dict)
    again: dict[str, tuple[int, bool]] = field(default_factory=dict)  # priority, plain
    held: dict[str, Held] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    turns: int = 7
    served: dict[tuple[int, str], int] = field(default_factory=dict)  # when a flow last had its turn in a lane
    closed: str = ""
    adds: int = 0
    retries: int = 0

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    def wait(self, key: str, priority: int) -> None:
        self.waiting[key] = Waiting(priority, self.tick())

    def add(self, key: str, priority: int, *, plain: bool) -> None:
        if self.closed:
            return
        if key in self.waiting:
            if priority > self.waiting[key].priority:
                self.wait(key, priority)
            return
        if key in self.held:
            entry = self.held[key]
            entry.priority = priority = max(priority, entry.priority)
            if entry.backoff and not plain:
                return
            del self.held[key]
        if key not in self.processing:
            self.wait(key, priority)
            self.adds += 1
        elif key in self.again:
            before, was_plain = self.again[key]
            self.again[key] = (max(before, priority), was_plain or plain)
        else:
            self.again[key] = (priority, plain)
            self.adds += 1

    def delay(self, key: str, delay: float, priority: int | None, *, backoff: bool) -> None:
        if self.closed:
            return
        self.retries += 1
        if priority is None:
            priority = self.processing.get(key, NORMAL)
        if delay == 0 or key in self.waiting:
            self.add(key, priority, plain=True)
            return
        if key in self.again:
            before, plain = self.again[key]
            priority = max(before, priority)
            if plain or not backoff:
                self.again[key] = (priority, plain)
                return
            del self.again[key]
        entry = Held(self.now + delay, priority, backoff)
        if key in self.held:
            known = self.held[key]
            entry = Held(min(entry.deadline, known.deadline), max(priority, known.priority), entry.backoff or known.backoff)
        self.held[key] = entry

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [key for key, entry in self.held.items() if entry.deadline <= self.now]
        for key in sorted(due, key=lambda key: self.held[key].deadline):
            priority = self.held.pop(key).priority
            self.add(key, priority, plain=True)

    def take(self, key: str) -> None:
        """The queue handed out this key: was it the one whose turn it was?"""
        assert key in self.waiting, "a key that does not wait"
        assert key not in self.processing, "in two workers at once"
        mine = self.waiting[key]
        lanes = sorted({entry.priority for entry in self.waiting.values()}, reverse=True)
        if len(lanes) == 1 or self.turns > 0:
            assert mine.priority == lanes[0], "the highest lane's turn"
            self.turns -= len(lanes) > 1
        else:
            assert mine.priority < lanes[0], "a lower lane's turn"
            self.turns = 7
        lane = {other: entry for other, entry in self.waiting.items() if entry.priority == mine.priority}
        for other, entry in lane.items():
            if flow(other) == flow(key):
                assert entry.since >= mine.since, "first in, first out inside a flow"
        last = self.served.get((mine.priority, flow(key)))
        if last is not None:
            for other, entry in lane.items():
                if flow(other) != flow(key) and entry.since < last:
                    turn = self.served.get((mine.priority, flow(other)), 0)
                    assert turn > last, "two turns for one flow, while another waited all the time"
        self.served[mine.priority, flow(key)] = self.tick()
        del self.waiting[key]
        self.processing[key] = mine.priority

    def done(self, key: str) -> None:
        del self.processing[key]
        if key in self.again:
            self.wait(key, self.again.pop(key)[0])

    def shut_down(self, how: str) -> None:
        self.closed = how
        self.held.clear()
        if how == "shut down":
            self.waiting.clear()
            self.again.clear()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(start=0.0)
        self.limiter = ExponentialBackoff(base=0.25, cap=4, jitter=0)
        self.queue: WorkQueue[str] = WorkQueue(name="machine", clock=self.clock, rate_limiter=self.limiter)
        self.model = Model()
        self.drainer: threading.Thread | None = None
        self.drained: list[bool] = []
        self.dropped = False

    @initialize(keys=st.lists(KEYS, max_size=7), priority=PRIORITIES)
    def begin(self, keys: list[str], priority: int) -> None:
        for key in keys:
            self.add(key, priority, respect=False)

    @rule(key=KEYS, priority=PRIORITIES, respect=st.booleans())
    def add(self, key: str, priority: int, *, respect: bool) -> None:
        self.queue.add(key, priority=priority, respect_backoff=respect)
        self.model.add(key, priority, plain=not respect)

    @rule(key=KEYS, delay=DELAYS, priority=st.none() | PRIORITIES)
    def add_after(self, key: str, delay: float, priority: int | None) -> None:
        self.queue.add_after(key, delay, priority=priority)
        self.model.delay(key, delay, priority, backoff=False)

    def fail(self, key: str, priority: int | None) -> None:
        failures = self.model.failures.get(key, 0)
        expected = min(0.25 * 2**failures, 4)
        self.model.failures[key] = failures + 1
        assert self.queue.add_rate_limited(key, priority=priority) == expected
        self.model.delay(key, expected, priority, backoff=True)

    @rule(key=KEYS, priority=st.none() | PRIORITIES)
    def add_rate_limited(self, key: str, priority: int | None) -> None:
        self.fail(key, priority)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.model.failures.pop(key, None)

    @rule()
    def get(self) -> None:
        if self.model.closed == "shut down" or (self.model.closed and not self.model.waiting and not self.model.again):
            with pytest.raises(ShutDown):
                self.queue.get(0)
        elif not self.model.waiting:
            with pytest.raises(TimeoutError):
                self.queue.get(0)
        else:
            self.model.take(self.queue.get(0))

    @rule()
    def get_again(self) -> None:
        self.get()

    @precondition(lambda self: self.model.processing)
    @rule(data=st.data(), fails=st.booleans())
    def finish(self, data: st.DataObject, *, fails: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.processing)))
        if fails:
            self.fail(key, None)
        self.queue.done(key)
        self.model.done(key)

    @rule(key=KEYS)
    def done_of_what_is_not_processed(self, key: str) -> None:
        if key not in self.model.processing:
            with pytest.raises(ValueError, match="not being processed"):
                self.queue.done(key)

    @rule(seconds=st.sampled_from([0.125, 0.25, 1, 2, 10]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.advance(seconds)

    @precondition(lambda self: self.model.ticks > 12)
    @rule()
    def shut_down(self) -> None:
        self.dropped = self.dropped or bool(self.model.waiting or self.model.again)
        self.queue.shut_down()
        self.model.shut_down("shut down")

    @precondition(lambda self: self.model.ticks > 8 and not self.model.closed)
    @rule()
    def drain(self) -> None:
        self.drainer = threading.Thread(target=lambda: self.drained.append(self.queue.shut_down_with_drain()), name="drainer")
        self.drainer.start()
        while self.drainer.is_alive() and not self.clock.waiting():
            self.drainer.join(0.001)
        self.model.shut_down("draining")

    @invariant()
    def agrees_with_the_model(self) -> None:
        model, seen = self.model, self.queue.snapshot()
        assert len(self.queue) == seen.ready_count == len(model.waiting)
        lanes: dict[int, set[str]] = {}
        for key, entry in model.waiting.items():
            lanes.setdefault(entry.priority, set()).add(key)
        assert {lane.priority: set(lane.keys) for lane in seen.ready} == lanes
        assert all(len(lane.keys) == lane.count for lane in seen.ready)
        assert [lane.priority for lane in seen.ready] == sorted(lanes, reverse=True)
        assert {run.key: (run.priority, run.again) for run in seen.running} == {
            key: (priority, key in model.again) for key, priority in model.processing.items()
        }
        assert {entry.key: (entry.seconds, entry.priority, entry.backoff) for entry in seen.delayed} == {
            key: (entry.deadline - model.now, entry.priority, entry.backoff) for key, entry in model.held.items()
        }
        assert all(self.queue.num_requeues(key) == count for key, count in model.failures.items())
        busy = model.waiting or model.processing or any(entry.backoff for entry in model.held.values())
        assert self.queue.idle == (not busy)

    @invariant()
    def counts_as_client_go_does(self) -> None:
        families = {family.name: family.samples for family in self.queue.metrics()}
        depth = sum(value for _, value in families["workqueue_depth"])  # type: ignore[misc]  # gauges hold numbers
        assert depth == len(self.model.waiting) + len(self.model.again)
        assert families["workqueue_adds_total"][0][1] == self.model.adds
        assert families["workqueue_retries_total"][0][1] == self.model.retries

    @invariant()
    def a_drain_ends_when_all_is_done_or_dropped(self) -> None:
        if self.drainer is not None:
            left = self.model.waiting or self.model.processing
            if self.model.closed == "shut down" or not left:
                self.drainer.join(60)
                assert not self.drainer.is_alive()
            if self.drained:
                assert self.drained == [not left and not self.dropped] or self.model.closed == "shut down"
                assert self.drained[0] is False or not left or self.model.closed == "shut down"
            else:
                assert left

    def teardown(self) -> None:
        self.queue.shut_down()
        if self.drainer is not None:
            self.drainer.join()


QueueMachine.TestCase.settings = settings(
    max_examples=120, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestQueueAgainstTheModel = QueueMachine.TestCase
