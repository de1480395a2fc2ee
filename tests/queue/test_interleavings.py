"""Two and three threads, in every order of their critical sections. After each order: nothing lost, nothing twice, nobody asleep."""

from __future__ import annotations

import pytest

from operator_kit.queue import HIGH, LOW, ExponentialBackoff, ShutDown, WorkQueue, dedup

from .scheduler import Scenario, Schedule, every_order

Queue = WorkQueue[str]


@pytest.fixture(params=[1, 4], ids=["one abreast", "four abreast"], autouse=True)
def abreast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain of wake-ups at its narrowest, and as it is."""
    monkeypatch.setattr(dedup, "ABREAST", request.param)


class World:
    """What is true outside the queue: a version per key, and what the runs saw of it."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.version: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.running: set[str] = set()
        self.runs: list[str] = []
        self.runs_at: dict[str, float] = {}
        self.ended = 0

    def __repr__(self) -> str:
        return f"{self.version} {self.seen} {self.running} {self.runs} {self.runs_at} {self.ended}"

    def change(self, key: str, **options: bool | int) -> None:
        self.version[key] = self.version.get(key, 0) + 1
        self.queue.add(key, **options)  # type: ignore[arg-type]

    def reconcile(self, timeout: float | None = None) -> str:
        key = self.queue.get(timeout)
        assert key not in self.running, "in two workers at once"
        self.running.add(key)
        self.runs.append(key)
        self.runs_at[key] = self.queue._clock.monotonic()
        self.seen[key] = self.version.get(key, 0)
        return key

    def finish(self, key: str) -> None:
        self.running.remove(key)
        self.queue.done(key)

    def work(self, timeout: float | None = None) -> None:
        """A worker, until the queue ends or no key comes in time."""
        try:
            while True:
                self.finish(self.reconcile(timeout))
        except (ShutDown, TimeoutError):
            self.ended += 1

    def work_once(self) -> None:
        self.finish(self.reconcile())

    def converged(self) -> None:
        """To be asked when no thread can go on: whoever could still do something was not told."""
        seen = self.queue.snapshot()
        assert seen.ready_count == 0, "a key waits, and nobody was woken for it"
        assert seen.running_count == 0
        assert self.seen == self.version, "the last version of each key was seen by a run that began after it"


def test_two_adds_of_a_key_and_a_worker() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        schedule.actor("add", lambda: world.change("a"))
        schedule.actor("add too", lambda: world.change("a"))
        schedule.actor("worker", world.work)
        yield
        world.converged()
        assert 1 <= len(world.runs) <= 2
        world.queue.shut_down()
        yield
        assert world.ended == 1

    assert every_order(scenario) > 30


def test_two_keys_and_two_workers() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())

        def produce() -> None:
            world.change("a")
            world.change("b")

        schedule.actor("producer", produce)
        schedule.actor("worker 1", world.work)
        schedule.actor("worker 2", world.work)
        yield
        world.converged()
        assert sorted(world.runs) == ["a", "b"]
        world.queue.shut_down()
        yield
        assert world.ended == 2

    assert every_order(scenario) > 100


def test_the_same_key_added_while_two_workers_want_it() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        world.change("a")
        schedule.actor("producer", lambda: world.change("a"))
        schedule.actor("worker 1", world.work)
        schedule.actor("worker 2", world.work)
        yield
        world.converged()
        assert 1 <= len(world.runs) <= 2
        world.queue.shut_down()
        yield
        assert world.ended == 2

    assert every_order(scenario) > 50


def test_workers_that_leave_after_one_key_pass_the_wake_up_on() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())

        def produce() -> None:
            world.change("a")
            world.change("b")

        schedule.actor("worker 1", world.work_once)
        schedule.actor("worker 2", world.work_once)
        schedule.actor("producer", produce)
        yield
        world.converged()

    assert every_order(scenario) > 100


def test_a_key_does_not_wait_for_a_busy_worker_while_another_is_idle() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())

        def produce() -> None:
            world.change("a")
            world.change("b")

        def work_when_both_do() -> None:
            key = world.reconcile()
            schedule.meet(2)
            world.finish(key)

        schedule.actor("worker 1", work_when_both_do)
        schedule.actor("worker 2", work_when_both_do)
        schedule.actor("producer", produce)
        yield
        world.converged()
        assert sorted(world.runs) == ["a", "b"]

    assert every_order(scenario) > 50


def test_a_worker_that_gives_up_just_when_it_is_woken_loses_nothing() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        schedule.actor("impatient", lambda: world.work(1))
        schedule.actor("patient", world.work)
        schedule.actor("producer", lambda: world.change("a"))
        yield
        world.converged()
        assert world.runs == ["a"]
        world.queue.shut_down()
        yield
        assert world.ended == 2

    assert every_order(scenario) > 50


def test_two_impatient_workers() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        schedule.actor("worker 1", lambda: world.work(1))
        schedule.actor("worker 2", lambda: world.work(2))
        schedule.actor("producer", lambda: world.change("a"))
        yield
        assert world.ended == 2
        world.work(0)  # if both had gone before the key came, it waits for the next
        world.converged()
        assert world.runs == ["a"]

    assert every_order(scenario) > 50


@pytest.mark.parametrize("delays", [(2, 1), (1, 2), (1, 1)])
def test_a_delayed_key_is_handed_out_whoever_watches_the_clock(delays: tuple[int, int]) -> None:
    def scenario(schedule: Schedule) -> Scenario:
        schedule.patient = True
        world = World(schedule.queue())
        world.version = {"a": 1, "b": 1}

        def produce() -> None:
            world.queue.add_after("a", delays[0])
            world.queue.add_after("b", delays[1])

        schedule.actor("worker 1", world.work_once)
        schedule.actor("worker 2", world.work_once)
        schedule.actor("producer", produce)
        yield
        world.converged()
        assert world.runs_at == {"a": delays[0], "b": delays[1]}, "each in its time: not before, and not late"

    assert every_order(scenario) > 50


def test_the_timekeeper_leaves_for_a_key_and_another_takes_its_place() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        world.queue.add_after("later", 5)
        world.version = {"later": 1}
        schedule.actor("worker 1", world.work_once)
        schedule.actor("worker 2", world.work_once)
        schedule.actor("producer", lambda: world.change("now"))
        yield
        world.converged()
        assert sorted(world.runs) == ["later", "now"]

    assert every_order(scenario) > 50


def test_the_timekeeper_gives_up_and_another_takes_its_place() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        world.version = {"later": 1}
        schedule.actor("impatient", lambda: world.work(1))
        schedule.actor("patient", world.work_once)
        schedule.actor("producer", lambda: world.queue.add_after("later", 5))
        yield
        world.converged()
        assert world.runs == ["later"]

    assert every_order(scenario) > 30


def test_an_add_and_a_delay_of_the_same_key_race() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        schedule.actor("delay", lambda: world.queue.add_after("a", 5))
        schedule.actor("add", lambda: world.change("a"))
        schedule.actor("worker", world.work)
        yield
        world.converged()
        assert world.seen["a"] == 1
        assert 1 <= len(world.runs) <= 2
        assert world.queue.snapshot().delayed_count == 0
        world.queue.shut_down()
        yield

    assert every_order(scenario) > 30


def test_a_failing_key_a_fresh_change_and_a_resync_race() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue(rate_limiter=ExponentialBackoff(base=1, cap=1, jitter=0)))
        world.change("a")

        def fail_once() -> None:
            key = world.reconcile()
            world.queue.add_rate_limited(key)
            world.finish(key)
            world.work()

        schedule.actor("worker", fail_once)
        schedule.actor("resync", lambda: world.queue.add("a", priority=LOW, respect_backoff=True))
        schedule.actor("change", lambda: world.change("a"))
        yield
        world.converged()
        assert 2 <= len(world.runs) <= 4
        assert world.queue.snapshot().delayed_count == 0
        world.queue.shut_down()
        yield

    assert every_order(scenario) > 100


def test_a_resync_never_cuts_a_backoff_short() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue(rate_limiter=ExponentialBackoff(base=1, cap=1, jitter=0)))
        world.change("a")
        runs_at: list[float] = []

        def fail_once() -> None:
            key = world.reconcile()
            schedule.actor("resync", lambda: world.queue.add("a", priority=LOW, respect_backoff=True))
            world.queue.add_rate_limited(key)
            world.finish(key)
            key = world.reconcile()
            runs_at.append(schedule.now)
            world.finish(key)

        schedule.actor("worker", fail_once)
        yield
        assert runs_at == [1.0]
        assert world.running == set()

    assert every_order(scenario) > 10


def test_a_key_raised_while_workers_take_it() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        world.change("a", priority=LOW)
        world.change("b", priority=LOW)
        schedule.actor("raise", lambda: world.change("a", priority=HIGH))
        schedule.actor("worker 1", world.work)
        schedule.actor("worker 2", world.work)
        yield
        world.converged()
        assert 2 <= len(world.runs) <= 3
        world.queue.shut_down()
        yield
        assert world.ended == 2

    assert every_order(scenario) > 100


def test_shut_down_ends_everyone_whenever_it_comes() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        schedule.actor("worker 1", world.work)
        schedule.actor("worker 2", world.work)

        def produce_and_stop() -> None:
            world.change("a")
            world.queue.shut_down()

        schedule.actor("producer", produce_and_stop)
        yield
        assert world.ended == 2
        assert len(world.queue) == 0

    assert every_order(scenario) > 100


@pytest.mark.parametrize("workers", [1, 2])
def test_drain_finishes_what_came_before_it_and_ends_everyone(workers: int) -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        drained: list[bool] = []
        world.change("a")

        def change_and_drain() -> None:
            world.change("a")
            drained.append(world.queue.shut_down_with_drain())

        schedule.actor("drain", change_and_drain)
        for number in range(workers):
            schedule.actor(f"worker {number}", world.work)
        yield
        assert drained == [True]
        assert world.ended == workers
        world.converged()

    assert every_order(scenario) > 10


def test_the_last_rerun_of_a_drain_sends_the_other_idle_workers_home() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        world.queue.add("a")
        world.queue.get(0)
        world.queue.add("a")
        schedule.actor("worker 1", world.work)
        schedule.actor("worker 2", world.work)
        schedule.actor("drain", world.queue.shut_down_with_drain)
        schedule.actor("finish", lambda: world.queue.done("a"))
        yield
        assert world.runs == ["a"]
        assert world.ended == 2

    assert every_order(scenario) > 100


def test_a_drain_races_with_the_add_of_a_running_key() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        drained: list[bool] = []
        world.queue.add("a")
        schedule.actor("worker", world.work)
        schedule.actor("add", lambda: world.queue.add("a"))
        schedule.actor("drain", lambda: drained.append(world.queue.shut_down_with_drain()))
        yield
        assert drained == [True]
        assert world.ended == 1
        assert world.queue.snapshot().ready_count == 0

    assert every_order(scenario) > 30


def test_a_shut_down_frees_a_drain_whenever_it_comes() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        drained: list[bool] = []
        world.queue.add("a")
        schedule.actor("drain", lambda: drained.append(world.queue.shut_down_with_drain()))
        schedule.actor("stop", world.queue.shut_down)
        schedule.actor("worker", world.work)
        yield
        assert len(drained) == 1
        assert world.ended == 1

    assert every_order(scenario) > 30


def test_a_drain_at_its_deadline_races_with_the_last_run() -> None:
    def scenario(schedule: Schedule) -> Scenario:
        world = World(schedule.queue())
        drained: list[bool] = []
        world.queue.add("a")
        schedule.actor("drain", lambda: drained.append(world.queue.shut_down_with_drain(1)))
        schedule.actor("worker", world.work)
        yield
        assert world.ended == 1
        assert drained == [bool(world.runs)] or (drained == [False] and world.runs == ["a"])

    assert every_order(scenario) > 3
