"""What people and machines see of a queue: metrics with client-go's meaning, the snapshot, the repr."""

from __future__ import annotations

import subprocess
import sys

import pytest

from operator_kit.clock import FakeClock
from operator_kit.observe.metrics import QUEUE_BUCKETS, Distribution, Registry
from operator_kit.queue import HIGH, LOW, ExponentialBackoff, WorkQueue

Queue = WorkQueue[str]


def read(queue: Queue) -> dict[str, float | Distribution]:
    """The metrics without their labels; depth summed over the lanes."""
    values: dict[str, float | Distribution] = {}
    for family in queue.metrics():
        name = family.name.removeprefix("workqueue_")
        if name == "depth":
            values[name] = sum(value for _, value in family.samples if isinstance(value, int))
        else:
            [(labels, values[name])] = family.samples
            assert labels == ("test", "test")
            assert family.label_names == ("name", "controller")
    return values


def durations(value: float | Distribution) -> tuple[int, float]:
    assert isinstance(value, Distribution)
    return value.count, value.sum


def test_metrics(queue: Queue, clock: FakeClock) -> None:
    """Upstream's TestMetrics, step by step."""
    queue.add("foo")
    clock.advance(0.00005)
    seen = read(queue)
    assert (seen["adds_total"], seen["depth"]) == (1, 1)

    queue.add("foo")
    queue.get(0)
    seen = read(queue)
    assert seen["adds_total"] == 1, "a key that waits already is no new one"
    assert seen["depth"] == 0
    assert durations(seen["queue_duration_seconds"]) == (1, pytest.approx(0.00005)), "from the first add"

    queue.add("foo")
    queue.add("foo")
    seen = read(queue)
    assert (seen["adds_total"], seen["depth"]) == (2, 1), "once more, when its run has ended"

    clock.advance(0.000025)
    queue.done("foo")
    seen = read(queue)
    assert durations(seen["work_duration_seconds"]) == (1, pytest.approx(0.000025))
    assert seen["depth"] == 1

    clock.advance(0.00001)
    queue.get(0)
    assert durations(read(queue)["queue_duration_seconds"]) == (2, pytest.approx(0.00005 + 0.000035)), "since the add"
    clock.advance(0.00001)
    queue.done("foo")
    assert durations(read(queue)["work_duration_seconds"]) == (2, pytest.approx(0.000035))


def test_unfinished_work_and_the_longest_running(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.add("bar")
    queue.get(0)
    clock.advance(3)
    queue.get(0)
    clock.advance(2)
    seen = read(queue)
    assert seen["unfinished_work_seconds"] == 7
    assert seen["longest_running_processor_seconds"] == 5
    queue.done("foo")
    queue.done("bar")
    seen = read(queue)
    assert seen["unfinished_work_seconds"] == seen["longest_running_processor_seconds"] == 0


def test_retries_are_delays_asked_for(queue: Queue) -> None:
    queue.add_after("foo", 1)
    queue.add_after("foo", 0)
    queue.add_rate_limited("bar")
    assert read(queue)["retries_total"] == 3


def test_a_key_that_comes_due_has_waited_since_then(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 5)
    clock.advance(7)
    queue.get(0)
    assert durations(read(queue)["queue_duration_seconds"]) == (1, 2)


def test_metric_shutdown(queue: Queue) -> None:
    queue.add("foo")
    queue.shut_down()
    queue.add("bar")
    queue.add_after("bar", 1)
    seen = read(queue)
    assert (seen["adds_total"], seen["retries_total"], seen["depth"]) == (1, 0, 0)


def test_depth_is_by_priority_and_of_few_priorities(clock: FakeClock) -> None:
    queue: Queue = WorkQueue(name="test", clock=clock)
    queue.add("a")
    queue.add("b", priority=LOW)
    queue.add("c", priority=LOW)
    queue.add("d", priority=HIGH)
    queue.get(0)
    queue.add("d", priority=HIGH)
    depth = queue.metrics()[0]
    assert depth.label_names == ("name", "controller", "priority")
    assert depth.samples == [
        (("test", "test", "100"), 1),
        (("test", "test", "0"), 1),
        (("test", "test", "-100"), 2),
    ]
    for number in range(1000, 1100):
        queue.add(f"{number}", priority=number)
    samples = queue.metrics()[0].samples
    assert len(samples) == 26
    assert samples[-1][0][-1] == "exceeded_cardinality_limit"
    assert sum(value for _, value in samples if isinstance(value, int)) == 104


def test_every_duration_ends_in_a_bucket_however_many_there_are(queue: Queue, clock: FakeClock) -> None:
    for number in range(3000):
        queue.add(f"{number}")
        clock.advance(0.5e-3 if number % 2 else 0.5)
        queue.get(0)
        queue.done(f"{number}")
    seen = read(queue)["queue_duration_seconds"]
    assert isinstance(seen, Distribution)
    assert seen.bounds == QUEUE_BUCKETS
    assert dict(zip(seen.bounds, seen.counts, strict=True))[0.001] == 1500
    assert dict(zip(seen.bounds, seen.counts, strict=True))[1.0] == 3000
    assert seen.count == 3000
    assert seen.sum == pytest.approx(1500 * 0.5005)
    assert len(queue._waits) < 2000


def test_a_registry_reads_all_its_queues_as_one_family_each(clock: FakeClock) -> None:
    registry = Registry()
    queues = [WorkQueue[str](name=name, clock=clock, metrics=registry) for name in ("one", "two")]
    queues[1].add("foo")
    adds = {family.name: family for family in registry.collect()}["workqueue_adds_total"]
    assert adds.kind == "counter"
    assert adds.samples == [(("one", "one"), 0), (("two", "two"), 1)]


def test_the_snapshot_says_what_waits_what_runs_and_what_backs_off(queue: Queue, clock: FakeClock) -> None:
    for key in ("a/1", "a/2", "b/1"):
        queue.add(key)
    queue.add("c/1", priority=LOW)
    clock.advance(2)
    assert queue.get(0) == "a/1"
    queue.add("a/1")
    queue.add_rate_limited("broken")
    queue.add_rate_limited("broken")
    queue.add_after("later", 30)
    clock.advance(0.001)
    seen = queue.snapshot()
    assert (seen.name, seen.state) == ("test", "open")
    assert (seen.ready_count, seen.running_count, seen.delayed_count) == (3, 1, 2)
    assert [(lane.priority, lane.count, lane.keys) for lane in seen.ready] == [(0, 2, ("b/1", "a/2")), (LOW, 1, ("c/1",))]
    assert seen.ready[0].waited == pytest.approx(2.001)
    assert [(run.key, run.again) for run in seen.running] == [("a/1", True)]
    assert seen.running[0].seconds == pytest.approx(0.001)
    assert [(entry.key, entry.backoff, entry.failures) for entry in seen.delayed] == [("broken", True, 2), ("later", False, 0)]
    assert seen.delayed[0].seconds == pytest.approx(0.004)
    assert str(seen) == (
        "queue test, open: 3 ready, 1 running, 2 delayed\n"
        "  ready, priority 0: 2, the next for 2s: b/1, a/2\n"
        "  ready, priority -100: 1, the next for 2s: c/1\n"
        "  running for 0.001s: a/1, and once more\n"
        "  in 0.004s: broken (backing off, failed 2 times)\n"
        "  in 30s: later (to be looked at again)"
    )


def test_a_snapshot_of_many_keys_is_cut_and_still_counts_all(queue: Queue) -> None:
    for number in range(500):
        queue.add(f"a/{number}")
        queue.add_after(f"b/{number}", 1)
    seen = queue.snapshot(limit=10)
    assert (seen.ready_count, seen.delayed_count) == (500, 500)
    assert seen.ready[0].count == 500
    assert len(seen.ready[0].keys) == len(seen.delayed) == 10
    assert str(seen).splitlines()[1].endswith("a/9, …")


def test_the_snapshot_lists_keys_in_the_order_they_will_be_handed_out(queue: Queue) -> None:
    for number in range(10):
        for namespace in ("a", "a", "b", "c"):
            queue.add(f"{namespace}/{number}-{len(queue)}", priority=LOW)
    for key in ("a/0-0", "b/0-2", "c/3-15"):
        queue.add(key)
        queue.get(0)
    [lane] = queue.snapshot().ready
    assert list(lane.keys) == [queue.get(0) for _ in range(lane.count)]


def test_the_repr_tells_the_state(queue: Queue) -> None:
    queue.add("a")
    queue.add("b")
    queue.get(0)
    queue.add_after("c", 1)
    assert repr(queue) == "<WorkQueue 'test' open: 1 ready, 1 running, 1 delayed>"
    queue.shut_down()
    assert repr(queue) == "<WorkQueue 'test' shut down: 0 ready, 1 running, 0 delayed>"
    assert repr(WorkQueue()) == "<WorkQueue open: 0 ready, 0 running, 0 delayed>"
    assert repr(ExponentialBackoff()) == "<ExponentialBackoff 0.005s x2 to 300s, 0 keys failing>"


def test_idle_counts_backoffs_and_not_requests_to_look_again(queue: Queue, clock: FakeClock) -> None:
    assert queue.idle
    queue.add_after("foo", 10)
    assert queue.idle
    queue.add_rate_limited("bar")
    assert not queue.idle
    clock.advance(1)
    assert not queue.idle
    assert queue.get(0) == "bar"
    assert not queue.idle
    queue.done("bar")
    assert queue.idle
    clock.advance(10)
    assert not queue.idle, "its time has come"


def test_importing_the_queue_loads_nothing_of_kubernetes() -> None:
    code = (
        "import sys, operator_kit.queue; print([m for m in sys.modules if m.split('.')[0] in {'kubernetes', 'aiohttp', 'yaml'}])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
