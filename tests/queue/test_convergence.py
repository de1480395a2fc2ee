"""The four sentences the queue is built on: events may be lost, doubled, reordered, and the process may restart; it converges.

A world of objects, a channel that tells of their changes as badly as Hypothesis can think of, and a worker that makes the applied state
equal to what it reads when it runs. What it reads is the world, never the event: the queue carries keys.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.clock import FakeClock
from operator_kit.queue import LOW, ExponentialBackoff, WorkQueue

KEYS = ["a/1", "a/2", "b/1"]
CHANGES = st.lists(st.sampled_from(KEYS), max_size=30)


class Operator:
    def __init__(self, fails: Callable[[], bool] = lambda: False) -> None:
        self.clock = FakeClock()
        self.world: dict[str, int] = {}
        self.applied: dict[str, int] = {}
        self.fails = fails
        self.start()

    def start(self) -> None:
        """The process begins: nothing is known but what a list of the world says."""
        self.queue: WorkQueue[str] = WorkQueue(clock=self.clock, rate_limiter=ExponentialBackoff(jitter=0))
        self.resync()

    def resync(self) -> None:
        for key in {**self.world, **self.applied}:
            self.queue.add(key, priority=LOW, respect_backoff=True)

    def change(self, key: str) -> None:
        self.world[key] = self.world.get(key, 0) + 1

    def work(self, turns: int = 10_000) -> None:
        for _ in range(turns):
            try:
                key = self.queue.get(0)
            except TimeoutError:
                if self.queue.idle:
                    return
                self.clock.advance(1)
                continue
            if self.fails():
                self.queue.add_rate_limited(key)
            else:
                self.applied[key] = self.world[key]
                self.queue.forget(key)
            self.queue.done(key)

    def converged(self) -> bool:
        return self.applied == self.world and self.queue.idle


@given(CHANGES, st.data())
def test_event_loss_converges_at_the_next_resync(changes: list[str], data: st.DataObject) -> None:
    operator = Operator()
    for key in changes:
        operator.change(key)
        if data.draw(st.booleans(), label="the event arrives"):
            operator.queue.add(key)
        operator.work(data.draw(st.integers(0, 2), label="turns"))
    operator.resync()
    operator.work()
    assert operator.converged()


@given(CHANGES, st.data())
def test_event_duplication_converges_and_costs_no_runs_while_keys_wait(changes: list[str], data: st.DataObject) -> None:
    operator = Operator()
    for key in changes:
        operator.change(key)
        for _ in range(data.draw(st.integers(1, 5), label="times told")):
            operator.queue.add(key)
    assert len(operator.queue) == len(set(changes))
    operator.work()
    assert operator.converged()


@given(CHANGES, st.data())
def test_event_reordering_converges(changes: list[str], data: st.DataObject) -> None:
    operator = Operator()
    pending: list[str] = []
    for key in changes:
        operator.change(key)
        pending.append(key)
        pending = data.draw(st.permutations(pending), label="the channel")
        if data.draw(st.booleans(), label="deliver"):
            operator.queue.add(pending.pop())
            operator.work(1)
    for key in pending:
        operator.queue.add(key)
    operator.work()
    assert operator.converged()


@given(CHANGES, st.data())
def test_restart_converges_from_a_list_alone(changes: list[str], data: st.DataObject) -> None:
    operator = Operator()
    for key in changes:
        operator.change(key)
        operator.queue.add(key)
        operator.work(data.draw(st.integers(0, 2), label="turns"))
        if data.draw(st.integers(0, 4), label="crash") == 0:
            operator.start()  # what was queued, running or backing off is gone with the process
    operator.start()
    operator.work()
    assert operator.converged()


@given(CHANGES, st.data())
@settings(max_examples=50)
def test_all_of_it_at_once_with_failing_runs_converges(changes: list[str], data: st.DataObject) -> None:
    left = [data.draw(st.integers(0, 20), label="failures to come")]

    def fails() -> bool:
        left[0] -= 1
        return left[0] >= 0

    operator = Operator(fails)
    for key in changes:
        operator.change(key)
        for _ in range(data.draw(st.integers(0, 3), label="times told")):
            operator.queue.add(data.draw(st.sampled_from([key, *operator.world]), label="of"))
        operator.work(data.draw(st.integers(0, 3), label="turns"))
        if data.draw(st.integers(0, 6), label="crash") == 0:
            operator.start()
    operator.resync()
    operator.work()
    assert operator.converged()
