"""Where this queue differs from client-go's on purpose; the letters are those of docs/workqueue.md."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from operator_kit.clock import FakeClock
from operator_kit.queue import HIGH, LOW, NORMAL, ExponentialBackoff, MaxOf, ShutDown, TokenBucket, WorkQueue

Queue = WorkQueue[str]


def run(queue: Queue, *, fails: bool = False) -> str:
    """One turn of a worker."""
    key = queue.get(0)
    if fails:
        queue.add_rate_limited(key)
    else:
        queue.forget(key)
    queue.done(key)
    return key


def nothing_ready(queue: Queue) -> bool:
    with pytest.raises(TimeoutError):
        queue.get(0)
    return True


# ---------------------------------------------------------------------------- a


def test_a_add_replaces_a_pending_delay(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 10)
    queue.add("foo")
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue), "it does not fire a second time"


def test_a_add_replaces_a_backoff_too(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    run(queue, fails=True)
    queue.add("foo")
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_a_add_while_processing_replaces_the_delay_asked_for_meanwhile(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add_after("foo", 10)
    queue.add("foo")
    queue.done("foo")
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_a_a_delay_for_a_key_that_waits_adds_no_run(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.add_after("foo", 10)
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_a_a_delay_for_a_key_that_runs_once_more_adds_no_run(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo")
    queue.add_after("foo", 10)
    queue.done("foo")
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_a_delay_that_ends_while_the_key_is_processed_is_one_more_run(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add_after("foo", 10)
    clock.advance(10)
    assert nothing_ready(queue)
    queue.done("foo")
    assert run(queue) == "foo"


# ---------------------------------------------------------------------------- b


def test_b_respect_backoff_leaves_a_failing_key_at_its_deadline(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    run(queue, fails=True)
    for _ in range(10):
        queue.add("foo", respect_backoff=True)
    assert nothing_ready(queue)
    clock.advance(0.005)
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue), "the adds it stood for are answered"


def test_b_a_fresh_change_runs_a_failing_key_at_once(queue: Queue) -> None:
    queue.add("foo")
    run(queue, fails=True)
    queue.add("foo", respect_backoff=True)
    queue.add("foo")
    assert run(queue) == "foo"


def test_b_respect_backoff_still_raises_the_priority(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo", priority=LOW)
    run(queue, fails=True)
    queue.add("foo", priority=HIGH, respect_backoff=True)
    queue.add("bar")
    clock.advance(1)
    assert run(queue) == "foo"


def test_b_a_key_that_never_failed_runs_at_once_either_way(queue: Queue) -> None:
    queue.add("foo", respect_backoff=True)
    assert run(queue) == "foo"


def test_b_an_earlier_delay_does_not_end_the_backoff(queue: Queue, clock: FakeClock) -> None:
    for _ in range(10):
        queue.add_rate_limited("foo")
    queue.add_after("foo", 0.001)
    queue.add("foo", respect_backoff=True)
    assert nothing_ready(queue)
    clock.advance(0.001)
    assert run(queue) == "foo"


# ---------------------------------------------------------------------------- c


@pytest.mark.parametrize("upper", [NORMAL, HIGH])
def test_c_a_waiting_lower_lane_gets_one_turn_in_eight(queue: Queue, upper: int) -> None:
    for number in range(20):
        queue.add(f"low/{number}", priority=LOW)
    order = []
    for number in range(160):
        queue.add(f"fresh/{number}", priority=upper)
        order.append(run(queue).split("/")[0])
    turns = [index for index, lane in enumerate(order) if lane == "low"]
    assert turns[0] < 8
    assert all(after - before <= 8 for before, after in pairwise(turns))
    assert len(turns) == 20, "constant load does not starve it"


def test_c_the_turn_goes_to_the_lower_lane_that_has_waited_longest(queue: Queue, clock: FakeClock) -> None:
    queue.add("older", priority=-5)
    clock.advance(1)
    queue.add("younger", priority=-1)
    for number in range(20):
        queue.add(f"{number}")
    order = [run(queue) for _ in range(16)]
    assert order[7] == "older"
    assert order[15] == "younger"


def test_c_a_lane_alone_has_all_turns(queue: Queue) -> None:
    for number in range(20):
        queue.add(f"{number}", priority=LOW)
    assert [run(queue) for _ in range(20)] == [f"{number}" for number in range(20)]


def test_c_a_key_keeps_its_highest_priority_until_handed_out_and_not_longer(queue: Queue) -> None:
    queue.add("foo", priority=HIGH)
    queue.add("foo", priority=LOW)
    queue.add("bar")
    assert [run(queue), run(queue)] == ["foo", "bar"]
    queue.add("foo", priority=LOW)
    queue.add("bar")
    assert [run(queue), run(queue)] == ["bar", "foo"]


def test_c_a_key_raised_again_and_again_leaves_nothing_behind(queue: Queue) -> None:
    queue.add("stays", priority=LOW)
    for _ in range(5000):
        queue.add("foo", priority=LOW)
        queue.add("foo")
        queue._turns = 7  # the lower lane's own turns do not get to sweep
        assert run(queue) == "foo"
    assert queue._lanes[LOW].unseen <= 200
    assert sum(len(fifo) for fifo in queue._lanes[LOW].flows.values()) <= 200
    assert queue.snapshot().ready[0].keys == ("stays",)
    queue.add("foo", priority=LOW)
    assert [run(queue), run(queue)] == ["stays", "foo"]
    assert len(queue) == 0


def test_c_priorities_made_up_on_the_way_leave_no_lanes_behind(queue: Queue) -> None:
    for number in range(1000):
        queue.add("foo", priority=number)
        assert run(queue) == "foo"
    assert len(queue._lanes) < 20


def test_c_a_failing_key_stays_in_the_lane_it_came_from(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo", priority=LOW)
    run(queue, fails=True)
    assert queue.snapshot().delayed[0].priority == LOW
    clock.advance(1)
    queue.add("bar")
    assert [run(queue), run(queue)] == ["bar", "foo"]


# ---------------------------------------------------------------------------- d


def test_d_turns_go_round_the_namespaces(queue: Queue) -> None:
    for number in range(10_000):
        queue.add(f"noisy/{number}")
    queue.add("quiet/1")
    assert "quiet/1" in [run(queue), run(queue)]


def test_d_first_in_first_out_inside_a_namespace(queue: Queue) -> None:
    for number in range(5):
        for namespace in "abc":
            queue.add(f"{namespace}/{number}")
    order = [run(queue) for _ in range(15)]
    assert order == [f"{namespace}/{number}" for number in range(5) for namespace in "abc"]


def test_d_cluster_scoped_keys_share_one_turn(queue: Queue) -> None:
    for number in range(5):
        queue.add(f"node-{number}")
    queue.add("ns/a")
    assert [run(queue), run(queue)] == ["node-0", "ns/a"]


def test_d_any_flow_function_will_do(clock: FakeClock) -> None:
    queue: WorkQueue[tuple[str, int]] = WorkQueue(clock=clock, flow=lambda key: key[0])
    for number in range(100):
        queue.add(("a", number))
    queue.add(("b", 0))
    assert [queue.get(0), queue.get(0)] == [("a", 0), ("b", 0)]


def test_d_a_flow_function_that_raises_leaves_the_queue_as_it_was(clock: FakeClock) -> None:
    def flow(key: str) -> str:
        if key == "bad":
            raise LookupError(key)
        return ""

    queue: Queue = WorkQueue(clock=clock, flow=flow)
    queue.add("good")
    with pytest.raises(LookupError):
        queue.add("bad")
    with pytest.raises(LookupError):
        queue.add_after("bad", 1)
    assert run(queue) == "good"
    assert nothing_ready(queue)
    assert queue.idle


def test_d_a_namespace_that_is_empty_again_costs_nothing(queue: Queue) -> None:
    for number in range(5000):
        queue.add(f"ns-{number}/a")
        run(queue)
    assert len(queue._lanes[NORMAL].flows) <= 100


# ---------------------------------------------------------------------------- e


def test_e_a_plain_shutdown_hands_out_nothing_more(queue: Queue) -> None:
    queue.add("foo")
    queue.add_after("bar", 1)
    queue.shut_down()
    with pytest.raises(ShutDown):
        queue.get(0)
    assert len(queue) == 0
    assert queue.snapshot().delayed_count == 0


def test_e_a_shut_down_queue_takes_nothing(queue: Queue, clock: FakeClock) -> None:
    queue.shut_down()
    queue.add("foo")
    queue.add_after("foo", 1)
    assert queue.add_rate_limited("foo") == pytest.approx(0.005)
    clock.advance(3600)
    assert len(queue) == 0
    assert queue.snapshot().delayed_count == 0


def test_e_done_is_welcome_after_a_shutdown_and_runs_nothing_again(queue: Queue) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo")
    queue.shut_down()
    queue.done("foo")
    with pytest.raises(ShutDown):
        queue.get(0)


def test_e_drain_waits_for_what_is_queued_though_nothing_runs(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.add("bar")
    drained: list[bool] = []
    drainer = threading.Thread(target=lambda: drained.append(queue.shut_down_with_drain()), name="drainer")
    drainer.start()
    clock.wait_for_waiters(1)
    run(queue)
    assert not drained
    run(queue)
    drainer.join()
    assert drained == [True]
    assert repr(queue).startswith("<WorkQueue 'test' drained")
    with pytest.raises(ShutDown):
        queue.get(0)


def test_e_drain_refuses_new_keys_and_cancels_delayed_ones(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add_after("bar", 1)
    drainer = threading.Thread(target=queue.shut_down_with_drain, name="drainer")
    drainer.start()
    clock.wait_for_waiters(1)
    queue.add("foo")
    queue.add("baz")
    clock.advance(2)
    assert len(queue) == 0
    queue.done("foo")
    drainer.join()
    with pytest.raises(ShutDown):
        queue.get(0)


def test_e_drain_has_a_deadline_and_says_that_it_passed(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.add("bar")
    queue.get(0)
    drained: list[bool] = []
    drainer = threading.Thread(target=lambda: drained.append(queue.shut_down_with_drain(30)), name="drainer")
    drainer.start()
    clock.wait_for_waiters(1)
    clock.advance(29)
    assert drainer.is_alive()
    clock.advance(1)
    drainer.join()
    assert drained == [False]
    with pytest.raises(ShutDown):
        queue.get(0)
    queue.done("foo")


def test_e_a_worker_stays_during_a_drain_while_a_rerun_may_come(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo")
    got: list[str] = []
    ended: list[bool] = []

    def worker() -> None:
        try:
            while True:
                got.append(queue.get())
                queue.done(got[-1])
        except ShutDown:
            ended.append(True)

    workers = [threading.Thread(target=worker, name=f"worker-{number}") for number in range(3)]
    for thread in workers:
        thread.start()
    clock.wait_for_waiters(3)
    drained: list[bool] = []
    drainer = threading.Thread(target=lambda: drained.append(queue.shut_down_with_drain()), name="drainer")
    drainer.start()
    while not queue.shutting_down:
        drainer.join(0.001)
    assert not ended
    queue.done("foo")  # whoever called this is gone: another worker takes the re-run
    for thread in (*workers, drainer):
        thread.join()
    assert got == ["foo"]
    assert drained == [True]
    assert ended == [True] * 3


def test_e_drain_of_an_empty_queue_is_immediate(queue: Queue) -> None:
    queue.add_after("foo", 5)
    assert queue.shut_down_with_drain(0)


def test_e_drain_after_a_shutdown_that_dropped_keys_says_no(queue: Queue) -> None:
    queue.add("foo")
    queue.shut_down()
    assert not queue.shut_down_with_drain(10)


# ---------------------------------------------------------------------------- f


def test_f_done_of_a_key_that_is_not_processed_is_an_error_and_no_duplicate(queue: Queue) -> None:
    with pytest.raises(ValueError, match=r"done\('foo'\): the key is not being processed"):
        queue.done("foo")
    queue.add("foo")
    with pytest.raises(ValueError, match="not being processed"):
        queue.done("foo")
    assert run(queue) == "foo"
    with pytest.raises(ValueError, match="not being processed"):
        queue.done("foo")
    assert nothing_ready(queue)


# ---------------------------------------------------------------------------- g


def test_g_the_default_backoff_is_5_ms_doubling_to_5_minutes_with_jitter(clock: FakeClock) -> None:
    queue: Queue = WorkQueue(clock=clock)
    expected = 0.005
    for _ in range(40):
        delay = queue.add_rate_limited("foo")
        assert 0.9 * expected <= delay <= expected
        expected = min(2 * expected, 300.0)


def test_g_an_overall_token_bucket_can_be_had(clock: FakeClock) -> None:
    limiter = MaxOf(ExponentialBackoff(jitter=0), TokenBucket(rate=10, burst=5, clock=clock))
    queue: Queue = WorkQueue(clock=clock, rate_limiter=limiter)
    delays = [queue.add_rate_limited(f"key-{number}") for number in range(8)]
    assert delays == pytest.approx([0.005] * 5 + [0.1, 0.2, 0.3])


# ---------------------------------------------------------------------------- h


def test_h_a_failure_dirtied_by_a_plain_add_runs_at_once(queue: Queue) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo")
    queue.add("foo", respect_backoff=True)
    queue.add_rate_limited("foo")
    queue.done("foo")
    assert run(queue) == "foo"


@pytest.mark.parametrize("order", ["add first", "failure first"])
def test_h_a_failure_dirtied_only_by_adds_that_respect_backoff_keeps_its_deadline(
    queue: Queue, clock: FakeClock, order: str
) -> None:
    queue.add("foo")
    queue.get(0)
    if order == "add first":
        queue.add("foo", respect_backoff=True)
        queue.add_rate_limited("foo")
    else:
        queue.add_rate_limited("foo")
        queue.add("foo", respect_backoff=True)
    queue.done("foo")
    assert nothing_ready(queue)
    clock.advance(0.004)
    assert nothing_ready(queue)
    clock.advance(0.001)
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_h_a_success_dirtied_by_adds_that_respect_backoff_runs_again(queue: Queue) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo", respect_backoff=True)
    queue.forget("foo")
    queue.done("foo")
    assert run(queue) == "foo"


def test_h_a_requeue_after_does_not_hold_back_a_key_dirtied_by_adds_that_respect_backoff(queue: Queue, clock: FakeClock) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add("foo", respect_backoff=True)
    queue.add_after("foo", 30)
    queue.done("foo")
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


@pytest.mark.parametrize("respect", [False, True])
@pytest.mark.parametrize("processing", [False, True])
def test_h_any_add_cuts_a_requeue_after_short(queue: Queue, clock: FakeClock, *, respect: bool, processing: bool) -> None:
    queue.add("foo")
    queue.get(0)
    queue.add_after("foo", 30)
    if processing:
        queue.add("foo", respect_backoff=respect)
        queue.done("foo")
    else:
        queue.done("foo")
        queue.add("foo", respect_backoff=respect)
    assert run(queue) == "foo"
    clock.advance(3600)
    assert nothing_ready(queue)


def test_h_forget_and_add_start_a_recreated_object_afresh(queue: Queue) -> None:
    for _ in range(10):
        queue.add_rate_limited("foo")
    queue.forget("foo")
    queue.add("foo")
    assert run(queue, fails=True) == "foo"
    assert queue.num_requeues("foo") == 1
    assert queue.snapshot().delayed[0].seconds == pytest.approx(0.005)


# ---------------------------------------------------------------------------- time


def test_jumps_of_the_wall_clock_and_suspends_do_no_harm(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 10)
    clock.jump(-86_400)
    clock.jump(+86_400 * 365)
    clock.suspend(3600)
    assert nothing_ready(queue)
    clock.advance(10)
    assert run(queue) == "foo"


def test_a_very_long_delay_is_no_problem(queue: Queue, clock: FakeClock) -> None:
    queue.add_after("foo", 1e300)
    clock.advance(86_400 * 365)
    assert nothing_ready(queue)
    queue.add("foo")
    assert run(queue) == "foo"


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("delay", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_a_delay_that_is_none_is_refused(queue: Queue, delay: float) -> None:
    with pytest.raises(ValueError, match="zero or more"):
        queue.add_after("foo", delay)
    assert queue.idle
    assert len(queue) == 0


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
def test_a_limiter_that_gives_no_delay_is_named(clock: FakeClock, delay: float) -> None:
    class Broken:
        def when(self, key: str) -> float:
            return delay

        def forget(self, key: str) -> None:
            pass

        def num_requeues(self, key: str) -> int:
            return 0

        def __repr__(self) -> str:
            return "<Broken limiter>"

    queue: Queue = WorkQueue(clock=clock, rate_limiter=Broken())
    with pytest.raises(ValueError, match="<Broken limiter> gave a delay of"):
        queue.add_rate_limited("foo")
    assert queue.idle


def test_an_unhashable_key_is_a_type_error_everywhere_and_harms_nothing(queue: Queue) -> None:
    bad: str = ["a"]  # type: ignore[assignment]  # what the test is about
    queue.add("good")
    for call in (
        lambda: queue.add(bad),
        lambda: queue.add(bad, priority=HIGH, respect_backoff=True),
        lambda: queue.add_after(bad, 1),
        lambda: queue.add_after(bad, 0),
        lambda: queue.add_rate_limited(bad),
        lambda: queue.done(bad),
        lambda: queue.forget(bad),
        lambda: queue.num_requeues(bad),
    ):
        with pytest.raises(TypeError, match="unhashable"):
            call()
    assert run(queue) == "good"
    assert queue.idle


@pytest.mark.parametrize("state", ["absent", "waiting", "processing", "again", "held"])
def test_a_priority_that_is_no_int_is_a_type_error_and_harms_nothing(queue: Queue, state: str) -> None:
    if state != "absent":
        queue.add("foo")
    if state in {"processing", "again", "held"}:
        queue.get(0)
    if state == "again":
        queue.add("foo")
    if state == "held":
        queue.add_after("foo", 10)
        queue.done("foo")
    before = queue.snapshot()
    for call in (
        lambda: queue.add("foo", priority="high"),  # type: ignore[arg-type]  # what the test is about
        lambda: queue.add_after("foo", 1, priority="high"),  # type: ignore[arg-type]
        lambda: queue.add_rate_limited("foo", priority=1.5),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
        queue.forget("foo")
    assert queue.snapshot() == before


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused(queue: Queue, timeout: float) -> None:
    queue.add("foo")
    with pytest.raises(ValueError, match="timeout"):
        queue.get(timeout)
    with pytest.raises(ValueError, match="timeout"):
        queue.shut_down_with_drain(timeout)
    assert not queue.shutting_down
    assert queue.get(0) == "foo"


def test_a_timeout_of_zero_does_not_wait(queue: Queue) -> None:
    with pytest.raises(TimeoutError, match="no key within 0 seconds"):
        queue.get(0)
    queue.add("foo")
    assert queue.get(0) == "foo"


def test_a_timeout_ends_the_wait(queue: Queue, clock: FakeClock) -> None:
    ended: list[bool] = []

    def worker() -> None:
        with pytest.raises(TimeoutError):
            queue.get(5)
        ended.append(True)

    thread = threading.Thread(target=worker, name="worker")
    thread.start()
    clock.wait_for_waiters(1)
    clock.advance(4)
    assert not ended
    clock.wait_for_waiters(1)
    clock.advance(1)
    thread.join()
    assert ended


def test_keys_of_any_hashable_sort_live_together(clock: FakeClock) -> None:
    queue: WorkQueue[object] = WorkQueue(clock=clock)
    keys: list[object] = ["ns/a", ("ns", "a"), 1, None, frozenset({1}), b"ns/a"]
    for key in keys:
        queue.add(key)
        queue.add(key)
    got = [queue.get(0) for _ in keys]
    assert sorted(map(repr, got)) == sorted(map(repr, keys))
    assert len(queue) == 0


def test_a_queue_with_metrics_needs_a_name(clock: FakeClock) -> None:
    from operator_kit.observe.metrics import Registry

    with pytest.raises(ValueError, match="needs a name"):
        WorkQueue(clock=clock, metrics=Registry())
