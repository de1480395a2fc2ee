"""What client-go and controller-runtime promise of their queues, under the names of their tests."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from collections.abc import Callable

import pytest

from operator_kit.clock import FakeClock
from operator_kit.queue import HIGH, LOW, NORMAL, ShutDown, WorkQueue

Queue = WorkQueue[str]


def start(target: Callable[[], object], name: str = "worker") -> threading.Thread:
    thread = threading.Thread(target=target, name=name)
    thread.start()
    return thread


def handed_out(queue: Queue) -> list[str]:
    """Everything ready, in order, each done at once."""
    keys = []
    while len(queue):
        keys.append(queue.get(0))
        queue.done(keys[-1])
    return keys


# ---------------------------------------------------------------------------- the queue


@pytest.mark.parametrize("drain", [False, True], ids=["ShutDown", "ShutDownWithDrain"])
def test_basic(drain: bool) -> None:
    queue: Queue = WorkQueue()
    ran: Counter[str] = Counter()
    lock = threading.Lock()
    running: set[str] = set()

    def produce(number: int) -> None:
        for _ in range(50):
            queue.add(str(number))

    def consume() -> None:
        while True:
            try:
                key = queue.get()
            except ShutDown:
                return
            with lock:
                assert key not in running, "in two workers at once"
                assert key != "added after shutdown!"
                running.add(key)
                ran[key] += 1
            with lock:
                running.remove(key)
            queue.done(key)

    producers = [start(lambda number=number: produce(number)) for number in range(50)]
    consumers = [start(consume) for _ in range(10)]
    for thread in producers:
        thread.join()
    if drain:
        assert queue.shut_down_with_drain()
        assert set(ran) == {str(number) for number in range(50)}
    else:
        queue.shut_down()
    queue.add("added after shutdown!")
    for thread in consumers:
        thread.join()
    assert len(queue) == 0


def test_add_while_processing(queue: Queue) -> None:
    queue.add("a")
    key = queue.get()
    queue.add("a")
    with pytest.raises(TimeoutError):
        queue.get(0)
    queue.done(key)
    assert handed_out(queue) == ["a"]


def test_len(queue: Queue) -> None:
    queue.add("foo")
    assert len(queue) == 1
    queue.add("bar")
    assert len(queue) == 2
    queue.add("foo")
    assert len(queue) == 2
    queue.get()
    assert len(queue) == 1, "what is being processed does not count"


def test_reinsert(queue: Queue) -> None:
    queue.add("foo")
    key = queue.get()
    queue.add(key)
    assert len(queue) == 0
    queue.done(key)
    assert queue.get(0) == "foo"
    queue.done("foo")
    assert len(queue) == 0


def test_collapse(queue: Queue) -> None:
    queue.add("bar")
    queue.add("bar")
    assert handed_out(queue) == ["bar"]


def test_collapse_while_processing(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get()
    queue.add("foo")
    queue.add("foo")
    got: list[str] = []
    second = start(lambda: got.append(queue.get()))
    clock.wait_for_waiters(1)
    assert not got, "the second worker waits until the first is done"
    queue.done("foo")
    second.join()
    assert got == ["foo"]
    queue.done("foo")
    assert len(queue) == 0, "exactly one more run"


def test_queue_drainage_using_shut_down_with_drain(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.add("bar")
    first, second = queue.get(), queue.get()
    drained: list[bool] = []
    drainer = start(lambda: drained.append(queue.shut_down_with_drain()))
    clock.wait_for_waiters(1)
    queue.done(first)
    assert drainer.is_alive()
    assert not drained
    queue.done(second)
    drainer.join()
    assert drained == [True]


def test_no_queue_drainage_using_shut_down(queue: Queue) -> None:
    queue.add("foo")
    queue.get()
    queue.shut_down()  # returns, though nothing is done
    queue.done("foo")


def test_force_queue_shutdown_using_shut_down(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get()
    drained: list[bool] = []
    drainer = start(lambda: drained.append(queue.shut_down_with_drain()))
    clock.wait_for_waiters(1)
    queue.shut_down()
    drainer.join()
    assert drained == [False]


def test_queue_drainage_using_shut_down_with_drain_with_dirty_item(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get()
    queue.add("foo")
    drained: list[bool] = []
    drainer = start(lambda: drained.append(queue.shut_down_with_drain()))
    clock.wait_for_waiters(1)
    queue.done("foo")
    assert drainer.is_alive()
    assert queue.get(0) == "foo", "it was dirty before the shutdown: it runs again"
    queue.done("foo")
    drainer.join()
    assert drained == [True]


def test_garbage_collection() -> None:
    class Key:
        pass

    queue: WorkQueue[Key] = WorkQueue()
    key = Key()
    gone = weakref.ref(key)
    queue.add(key)
    assert queue.get() is key
    queue.done(key)
    del key
    gc.collect()
    assert gone() is None, "a key that is done is not kept alive"


def test_get_is_unblocked_on_shutdown(queue: Queue, clock: FakeClock) -> None:
    ended: list[bool] = []

    def worker() -> None:
        with pytest.raises(ShutDown):
            queue.get()
        ended.append(True)

    workers = [start(worker) for _ in range(5)]
    clock.wait_for_waiters(5)
    queue.shut_down()
    for thread in workers:
        thread.join()
    assert len(ended) == 5


def test_get_after_shutdown_does_not_hang(queue: Queue) -> None:
    queue.shut_down()
    with pytest.raises(ShutDown, match="'test' is shut down"):
        queue.get()


def test_shut_down_may_be_repeated(queue: Queue) -> None:
    queue.shut_down()
    queue.shut_down()
    assert queue.shut_down_with_drain()
    assert queue.shutting_down


# ---------------------------------------------------------------------------- delays


def test_simple_queue(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 0.05)
    assert len(queue) == 0
    clock.advance(0.049)
    assert len(queue) == 0, "not before its time"
    clock.advance(0.002)
    assert handed_out(queue) == ["foo"]
    clock.advance(10)
    assert len(queue) == 0, "once"


def test_deduping(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 0.05)
    queue.add_after("foo", 0.07)
    clock.advance(0.06)
    assert handed_out(queue) == ["foo"], "the earlier one holds"
    clock.advance(0.02)
    assert len(queue) == 0, "the later one is gone"

    queue.add_after("foo", 0.05)
    queue.add_after("foo", 0.03)
    clock.advance(0.04)
    assert handed_out(queue) == ["foo"], "an earlier one wins, whenever it comes"
    clock.advance(0.02)
    assert len(queue) == 0


def test_add_two_fire_early(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("first", 1)
    queue.add_after("second", 0.05)
    clock.advance(0.06)
    assert handed_out(queue) == ["second"]
    clock.advance(1)
    assert handed_out(queue) == ["first"]


def test_copy_shifting(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("first", 1)
    queue.add_after("second", 0.5)
    queue.add_after("third", 0.25)
    clock.advance(2)
    assert handed_out(queue) == ["third", "second", "first"], "in the order in which they came due"


def test_item_is_returned_as_soon_as_possible(queue: Queue, clock: FakeClock) -> None:
    got: list[str] = []
    worker = start(lambda: got.append(queue.get()))
    clock.wait_for_waiters(1)
    queue.add_after("foo", 1)
    while clock.next_deadline() is None:  # the worker takes up its post as timekeeper
        clock.wait_for_waiters(1)
    assert clock.next_deadline() == pytest.approx(1)
    clock.advance(1)
    worker.join()
    assert got == ["foo"]


def test_waiting_item_is_returned_right_after_add_without_after(queue: Queue) -> None:
    queue.add_after("foo", 3600)
    queue.add("foo")
    assert queue.get(0) == "foo"


def test_rate_limiting_queue(queue: Queue, clock: FakeClock) -> None:
    assert queue.add_rate_limited("one") == pytest.approx(0.005)
    assert queue.add_rate_limited("one") == pytest.approx(0.010)
    assert queue.num_requeues("one") == 2
    assert queue.add_rate_limited("two") == pytest.approx(0.005), "each key has failures of its own"
    clock.advance(0.005)
    assert sorted(handed_out(queue)) == ["one", "two"], "the earliest deadline holds"
    queue.forget("one")
    assert queue.num_requeues("one") == 0
    assert queue.add_rate_limited("one") == pytest.approx(0.005)


def test_when_adding_multiple_items_rate_limited_they_do_not_affect_each_other(queue: Queue) -> None:
    for number in range(1000):
        assert queue.add_rate_limited(f"key-{number}") == pytest.approx(0.005)


# ---------------------------------------------------------------------------- priorities


def test_returns_items_in_order_of_priority(queue: Queue) -> None:
    queue.add("low", priority=LOW)
    queue.add("normal")
    queue.add("high", priority=HIGH)
    assert handed_out(queue) == ["high", "normal", "low"]


def test_does_not_return_a_locked_item_and_returns_it_as_soon_as_unlocked(queue: Queue) -> None:
    queue.add("foo", priority=HIGH)
    queue.get()
    queue.add("foo", priority=HIGH)
    queue.add("bar")
    assert queue.get(0) == "bar"
    queue.done("foo")
    assert queue.get(0) == "foo"


def test_retains_the_highest_priority(queue: Queue) -> None:
    queue.add("foo", priority=1)
    queue.add("foo", priority=3)
    queue.add("foo", priority=2)
    queue.add("bar", priority=2)
    assert queue.snapshot().ready[0].keys == ("foo",)
    assert [lane.priority for lane in queue.snapshot().ready] == [3, 2]


def test_pushed_to_front_on_increase_and_fifo_in_the_new_priority(queue: Queue) -> None:
    queue.add("foo")
    queue.add("bar", priority=1)
    queue.add("baz", priority=1)
    queue.add("foo", priority=1)
    assert handed_out(queue) == ["bar", "baz", "foo"]


def test_a_key_raised_while_it_is_held_back_waits_with_the_higher_priority(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 1, priority=LOW)
    queue.add_after("foo", 5, priority=HIGH)
    queue.add("bar")
    clock.advance(1)
    assert handed_out(queue) == ["foo", "bar"]


def test_high_priority_item_that_became_ready_is_returned_before_low_priority_item(queue: Queue, clock: FakeClock) -> None:
    queue.add("low", priority=LOW)
    queue.add_after("high", 1, priority=HIGH)
    clock.advance(1)
    assert handed_out(queue) == ["high", "low"]


def test_items_are_included_in_len_and_metrics_once_they_are_ready(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 1)
    depth = {family.name: family for family in queue.metrics()}["workqueue_depth"]
    assert len(queue) == 0
    assert sum(value for _, value in depth.samples) == 0  # type: ignore[misc]  # gauges hold numbers
    clock.advance(1)
    depth = {family.name: family for family in queue.metrics()}["workqueue_depth"]
    assert depth.samples == [(("test", "test", "0"), 1)]
    assert len(queue) == 1


def test_does_not_deadlock_on_shutdown_while_handing_out_items() -> None:
    queue: Queue = WorkQueue()
    for number in range(1000):
        queue.add(f"key-{number}")

    def worker() -> None:
        try:
            while True:
                queue.done(queue.get())
        except ShutDown:
            return

    workers = [start(worker) for _ in range(8)]
    queue.shut_down()
    for thread in workers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in workers)


@pytest.mark.parametrize("waits", [0, 1], ids=["at once", "after a second"])
def test_high_priority_items_are_returned_before_low_priority_items(queue: Queue, clock: FakeClock, waits: float) -> None:
    for number in range(1000):
        for level in (LOW, NORMAL, HIGH):
            queue.add_after(f"{level}/{number}", waits, priority=level)
    clock.advance(waits)
    order = [int(key.split("/")[0]) for key in handed_out(queue)]
    assert order.count(HIGH) == order.count(NORMAL) == order.count(LOW) == 1000
    first = order[: 8 * 100]
    assert first.count(HIGH) == 7 * 100, "seven of eight turns are the highest lane's"
