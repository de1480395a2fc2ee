"""An exception out of nowhere (Ctrl-C, a signal handler that raises) inside the queue's own code.

CPython delivers such an exception where a call begins or a C function has returned. Here one is raised at each of those places in turn,
and after each the queue must be whole: its lock free, no key lost, none twice, no worker left asleep beside a waiting key.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import pytest

from operator_kit.clock import FakeClock
from operator_kit.queue import HIGH, LOW, ExponentialBackoff, WorkQueue

Queue = WorkQueue[str]


class Interrupted(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


class InterruptAt:
    """Raises at the `number`th place inside the queue's modules and what they call."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.raised = False

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event not in {"call", "c_return"} or self.raised:
            return
        inner: FrameType | None = frame
        while inner is not None and inner.f_code.co_filename == threading.__file__:
            inner = inner.f_back  # what the queue calls of the standard library is a part of it
        if inner is None or "operator_kit/queue/" not in inner.f_code.co_filename or inner.f_code.co_name == "_recover":
            return
        if self.left == 0:
            self.raised = True
            raise Interrupted
        self.left -= 1

    def __enter__(self) -> Self:
        gc.disable()  # a finalizer or a callback of the collector is no place of the queue's
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()


def every_place(prepare: Callable[[], Queue], act: Callable[[Queue], Any], check: Callable[[Queue, Any], None]) -> int:
    """Prepare a queue, interrupt `act` at one place, and check; for each place. `check` gets what `act` returned, or Interrupted.

    Gives the number of places. It varies: CPython reports no return from a call that it has specialised.
    """
    number = 0
    while True:
        queue = prepare()
        result: Any = Interrupted
        try:
            with InterruptAt(number) as interrupt:
                result = act(queue)
        except Interrupted:
            pass
        lock_is_free(queue)
        try:
            check(queue, result)
        except BaseException as exc:
            exc.add_note(f"interrupted at place {number}")
            raise
        queue.shut_down()
        if not interrupt.raised:
            return number
        number += 1


def lock_is_free(queue: Queue) -> None:
    free: list[bool] = []

    def probe() -> None:
        free.append(queue._lock.acquire(timeout=60))
        if free[0]:
            queue._lock.release()

    thread = threading.Thread(target=probe, name="probe")
    thread.start()
    thread.join()
    assert free == [True], "the lock is held by nobody and lost"


def drain(queue: Queue) -> list[str]:
    keys = []
    while True:
        try:
            keys.append(queue.get(0))
        except TimeoutError:
            return sorted(keys)


def filled() -> Queue:
    queue: Queue = WorkQueue(clock=FakeClock(), rate_limiter=ExponentialBackoff(jitter=0))
    for key in ("a/1", "a/2", "b/1"):
        queue.add(key)
    queue.add("c/1", priority=LOW)
    return queue


ALL = ["a/1", "a/2", "b/1", "c/1"]


@pytest.mark.parametrize("turns", [7, 0])
def test_get_gives_the_key_to_the_caller_or_back_to_the_queue(turns: int) -> None:
    def act(queue: Queue) -> str:
        queue._turns = turns
        return queue.get(0)

    def check(queue: Queue, result: Any) -> None:
        rest = drain(queue)
        assert sorted([*rest, result] if isinstance(result, str) else rest) == ALL

    assert every_place(filled, act, check) > 1


@pytest.mark.parametrize("options", [{}, {"priority": LOW}, {"priority": HIGH}, {"priority": 7}])
@pytest.mark.parametrize("key", ["d/1", "a/1", "c/1", "c/2"])
def test_add_happened_or_did_not(key: str, options: dict[str, int]) -> None:
    def check(queue: Queue, result: Any) -> None:
        got = drain(queue)
        assert Counter(got) in (Counter(ALL), Counter({*ALL, key}))
        if result is not Interrupted:
            assert key in got

    assert every_place(filled, lambda queue: queue.add(key, **options), check) > 1


def test_a_raised_key_is_still_there_once() -> None:
    def prepare() -> Queue:
        queue = filled()
        for number in range(80):  # so many ghosts that the next one has the lane rebuilt
            queue.add(f"g/{number}", priority=LOW)
            queue.add(f"g/{number}")
        return queue

    def check(queue: Queue, _: Any) -> None:
        assert drain(queue) == sorted([*ALL, *(f"g/{number}" for number in range(80))])
        assert not queue._lanes[LOW].ring

    assert every_place(prepare, lambda queue: queue.add("c/1"), check) > 1


def test_done_leaves_the_key_done_or_processing_and_a_rerun_is_not_lost() -> None:
    def prepare() -> Queue:
        queue = filled()
        assert queue.get(0) == "a/1"
        queue.add("a/1")
        return queue

    def check(queue: Queue, _: Any) -> None:
        rest = drain(queue)
        if rest != ALL:  # done did not happen
            queue.done("a/1")
            rest = sorted(rest + drain(queue))
        assert rest == ALL

    assert every_place(prepare, lambda queue: queue.done("a/1"), check) > 1


@pytest.mark.parametrize("key", ["d/1", "a/1", "p/1", "held/1"])
def test_a_delay_is_there_or_not_and_nothing_else_changed(key: str) -> None:
    def prepare() -> Queue:
        queue = filled()
        queue.add("p/1", priority=HIGH)
        queue.get(0)
        queue.add("p/1", respect_backoff=True)
        queue.add_after("held/1", 60)
        return queue

    def check(queue: Queue, result: Any) -> None:
        assert isinstance(queue._clock, FakeClock)
        assert queue.snapshot().running[0].key == "p/1"
        queue.done("p/1")
        queue._clock.advance(60)
        got = drain(queue)
        assert Counter(got) in (Counter([*ALL, "p/1", "held/1"]), Counter({*ALL, "p/1", "held/1", key}))
        if result is not Interrupted:
            assert key in got

    assert every_place(prepare, lambda queue: queue.add_after(key, 5), check) > 1
    assert every_place(prepare, lambda queue: queue.add_rate_limited(key), check) > 1


def test_keys_that_come_due_are_not_lost() -> None:
    def prepare() -> Queue:
        queue = filled()
        for number in range(5):
            queue.add_after(f"due/{number}", 1)
        assert isinstance(queue._clock, FakeClock)
        queue._clock.advance(1)
        return queue

    def check(queue: Queue, result: Any) -> None:
        got = drain(queue)
        assert sorted([*got, result] if isinstance(result, str) else got) == sorted(
            [*ALL, *(f"due/{number}" for number in range(5))]
        )

    assert every_place(prepare, lambda queue: queue.get(0), check) > 1


def test_a_waker_that_is_interrupted_leaves_no_worker_asleep_beside_a_key() -> None:
    number = 0
    while True:
        clock = FakeClock()
        queue: Queue = WorkQueue(clock=clock)
        got: list[str] = []
        workers = [
            threading.Thread(target=lambda queue=queue, got=got: got.append(queue.get()), name=f"worker-{i}") for i in range(2)
        ]
        for thread in workers:
            thread.start()
        clock.wait_for_waiters(2)
        try:
            with InterruptAt(number) as interrupt:
                queue.add("a")
        except Interrupted:
            queue.add("a")  # the caller cannot know whether it came in, and adds again: one run or two, but no sleep
        queue.add("b")
        for thread in workers:
            thread.join(60)
            assert not thread.is_alive(), f"asleep; interrupted at place {number}"
        assert set(got) <= {"a", "b"}
        if not interrupt.raised:
            break
        number += 1
    assert number > 5


def test_a_new_earlier_deadline_is_kept_though_the_timekeeper_was_not_told() -> None:
    number = 0
    while True:
        clock = FakeClock()
        queue: Queue = WorkQueue(clock=clock)
        got: list[str] = []
        queue.add_after("later", 100)
        worker = threading.Thread(target=lambda queue=queue, got=got: got.append(queue.get()), name="timekeeper")
        worker.start()
        clock.wait_for_waiters(1)
        try:
            with InterruptAt(number) as interrupt:
                queue.add_after("soon", 5)
        except Interrupted:
            pass
        held = {entry.key for entry in queue.snapshot().delayed}
        clock.advance(5)
        if "soon" in held:
            worker.join(60)
            assert got == ["soon"], f"interrupted at place {number}"
        else:
            clock.advance(95)
            worker.join(60)
            assert got == ["later"], f"interrupted at place {number}"
        if not interrupt.raised:
            break
        number += 1
    assert number > 5


def test_workers_interrupted_at_random_lose_nothing() -> None:
    # In a process of its own: CPython 3.11 does not forget an asynchronous exception whose thread ended before it came.
    storm = subprocess.run(
        [sys.executable, "-m", "tests.queue.interrupt_storm"], capture_output=True, text=True, timeout=240, check=False
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
