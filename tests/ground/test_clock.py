"""The clocks: the real one waits and can be woken; the fake one moves only when told, and loses no wake-up."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, timedelta

import pytest

from operator_kit.clock import Clock, FakeClock, Signal


def start(target: object, name: str = "waiter") -> threading.Thread:
    thread = threading.Thread(target=target, name=name)  # type: ignore[arg-type]  # a lambda without arguments
    thread.start()
    return thread


# ---------------------------------------------------------------------------- the real one


def test_the_real_clock_reads() -> None:
    clock = Clock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.boottime() <= clock.boottime()
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_a_real_wait_ends_in_its_time(timeout: float) -> None:
    clock, condition = Clock(), threading.Condition()
    with condition:
        clock.wait(condition, timeout)
        clock.wait_until(condition, clock.monotonic() + timeout)


@pytest.mark.parametrize("timeout", [None, 1e300, math.inf])
def test_a_real_wait_is_ended_by_its_condition_however_long_it_was_to_be(timeout: float | None) -> None:
    clock, condition = Clock(), threading.Condition()
    waiting = Signal()

    def wait() -> None:
        with condition:
            waiting.set()
            clock.wait_until(condition, timeout)

    thread = start(wait)
    waiting.wait()
    with condition:
        condition.notify()
    thread.join(60)
    assert not thread.is_alive()


def test_a_real_sleep_is_ended_by_its_signal() -> None:
    clock, signal = Clock(), Signal()
    assert clock.sleep(0.001, signal) is False
    assert clock.sleep(0.001) is False
    signal.set()
    assert clock.sleep(3600, signal) is True


# ---------------------------------------------------------------------------- Signal


def test_a_signal_stays_set() -> None:
    signal = Signal()
    assert not signal.is_set()
    assert repr(signal) == "<Signal not set>"
    assert signal.wait(0) is False
    signal.set()
    signal.set()
    assert signal.is_set()
    assert signal.wait() is True
    assert repr(signal) == "<Signal set>"


def test_a_signal_wakes_everyone() -> None:
    clock = FakeClock()
    signal = Signal(clock)
    woken: list[bool] = []
    threads = [start(lambda: woken.append(signal.wait())) for _ in range(4)]
    clock.wait_for_waiters(4)
    signal.set()
    for thread in threads:
        thread.join()
    assert woken == [True] * 4


def test_a_signal_that_is_not_set_in_time_says_so() -> None:
    clock = FakeClock()
    signal = Signal(clock)
    answers: list[bool] = []
    thread = start(lambda: answers.append(signal.wait(5)))
    clock.wait_for_waiters(1)
    clock.advance(4.9)
    assert not answers
    clock.advance(0.2)
    thread.join()
    assert answers == [False]


# ---------------------------------------------------------------------------- the fake one


def test_the_fake_clocks_move_together_and_only_when_told() -> None:
    clock = FakeClock(start=50, now=datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.monotonic(), clock.boottime(), clock.now()) == (50, 50, datetime(2030, 1, 1, tzinfo=UTC))
    clock.advance(10)
    assert (clock.monotonic(), clock.boottime()) == (60, 60)
    assert clock.now() == datetime(2030, 1, 1, 0, 0, 10, tzinfo=UTC)


def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = FakeClock()
    before = (clock.monotonic(), clock.boottime(), clock.now())
    clock.jump(-3600)
    assert (clock.monotonic(), clock.boottime(), clock.now()) == (*before[:2], before[2] - timedelta(hours=1))


def test_a_suspend_is_not_seen_by_the_monotonic_clock() -> None:
    clock = FakeClock()
    before = (clock.monotonic(), clock.boottime(), clock.now())
    clock.suspend(60)
    assert (clock.monotonic(), clock.boottime(), clock.now()) == (
        before[0],
        before[1] + 60,
        before[2] + timedelta(seconds=60),
    )


def test_the_monotonic_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)


def test_a_moment_that_has_come_is_not_waited_for() -> None:
    clock, condition = FakeClock(), threading.Condition()
    with condition:
        clock.wait(condition, 0)
        clock.wait(condition, -1)
        clock.wait_until(condition, clock.monotonic())
    assert clock.waiting() == 0


def test_each_waiter_is_woken_in_its_time() -> None:
    clock = FakeClock()
    woken: list[int] = []
    threads = [start(lambda seconds=seconds: (clock.sleep(seconds), woken.append(seconds))) for seconds in (1, 2, 3)]
    clock.wait_for_waiters(3)
    assert clock.next_deadline() == 1
    for number, thread in enumerate(threads, 1):
        clock.advance(1)
        thread.join()
        assert woken == list(range(1, number + 1))
    assert clock.next_deadline() is None
    assert repr(clock) == "<FakeClock monotonic=1003.0 waiting=0>"


def test_an_advance_between_the_look_at_the_clock_and_the_wait_is_not_lost() -> None:
    """`wait` with the rest of the time would sleep too long here; `wait_until` knows the moment."""
    clock, condition = FakeClock(), threading.Condition()
    deadline = clock.monotonic() + 5
    clock.advance(5)  # another thread's doing, at the worst moment
    with condition:
        clock.wait_until(condition, deadline)  # returns
    done: list[bool] = []

    def wait() -> None:
        with condition:
            clock.wait_until(condition, deadline + 2)
            done.append(True)

    clock.advance(1)
    thread = start(wait)
    clock.wait_for_waiters(1)
    clock.advance(1)
    thread.join()
    assert done


def test_waiters_without_a_deadline_are_woken_by_their_condition_alone() -> None:
    clock, condition = FakeClock(), threading.Condition()

    def wait() -> None:
        with condition:
            clock.wait_until(condition, None)

    thread = start(wait)
    clock.wait_for_waiters(1)
    clock.advance(1e9)
    assert clock.waiting() == 1
    assert clock.next_deadline() is None
    with condition:
        condition.notify()
    thread.join()
    assert clock.waiting() == 0


def test_waiting_for_waiters_that_do_not_come_times_out() -> None:
    with pytest.raises(TimeoutError, match="0 threads wait on the fake clock, not 1"):
        FakeClock().wait_for_waiters(1, timeout=0.01)
