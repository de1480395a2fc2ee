"""Tasks and hooks: work that belongs to no object, and what is done before and after everything else."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_kit.clock import FakeClock, Signal
from operator_kit.controller import AsyncTaskContext, Hooks, Limits, Registry, Result, Task, TaskContext, TaskRunner
from operator_kit.controller.aio import LoopThread
from operator_kit.errors import (
    DeadlineExceeded,
    NotCached,
    NotFound,
    PermanentError,
    RegistrationError,
    StartupFailed,
    TemporaryError,
)
from operator_kit.objects import Object
from operator_kit.observe.metrics import Registry as Metrics
from operator_kit.testing import Cluster, StartOperator
from tests.controller.fakes import FakeClient
from tests.controller.teams import config_map, crd, namespace
from tests.processes import eventually

Make = Callable[..., TaskRunner]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.stop(5)


@pytest.fixture
def task(clock: FakeClock, loop: LoopThread) -> Iterator[Make]:
    made: list[TaskRunner] = []

    def make(function: Any, interval: Any = "1m", *, metrics: Metrics | None = None, **options: Any) -> TaskRunner:
        declared = Registry().every(interval, name=options.pop("name", "tick"), **options)(function)
        client: Any = FakeClient()
        made.append(TaskRunner(declared, client, limits=Limits(), loop=loop, clock=clock, metrics=metrics))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        assert each.join(clock.monotonic() + 5) == []


def waits(clock: FakeClock, runner: TaskRunner, runs: int) -> float:
    """Seconds until the next run, once this many have ended."""
    eventually(lambda: runner.runs == runs and (clock.next_deadline() or 0) > 0, f"run {runs} and the wait after it", every=0.001)
    left = clock.next_deadline()
    assert left is not None
    return left


# ------------------------------------------------------------------ what is declared


def test_a_task_is_named_after_its_function_and_stays_callable() -> None:
    registry = Registry()

    @registry.every("5m")
    def rotate_keys(ctx: TaskContext) -> None:
        raise KeyError("called")

    assert isinstance(rotate_keys, Task)
    assert (rotate_keys.name, rotate_keys.interval, rotate_keys.leader) == ("rotate-keys", 300.0, True)
    assert registry.tasks == (rotate_keys,)
    with pytest.raises(KeyError):
        rotate_keys(None)


@pytest.mark.parametrize(
    ("interval", "options", "message"),
    [
        ("soon", {}, r"@every\('soon'\): 'soon' is not a duration; .*such as @every\(\"5m\"\)"),
        (0, {}, r"@every\(0\): 0 is no interval; it must be more than zero"),
        (print, {}, r"is not a duration"),
        ("5m", {"nam": "x"}, r"@every has no option nam; did you mean name\?"),
        ("5m", {"leader": 1}, r"@every\('5m', leader=…\): 1 is not True or False"),
        ("5m", {"name": "Not A Name"}, r"@every\('5m', name=…\): 'Not A Name' is not a name"),
        ("5m", {"timeout": "x"}, r"@every\('5m', timeout=…\): 'x' is not a duration"),
        ("5m", {"reads": "v1/Node"}, r"@every\('5m', reads=…\): expected a list of kinds, such as \['v1/Node'\]"),
    ],
)
def test_a_task_is_checked_where_it_is_declared(interval: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistrationError, match=r"test_tasks\.py:\d+: .*" + message):
        Registry().every(interval, **options)


def test_a_task_takes_a_context_alone_and_so_does_a_hook() -> None:
    def two(obj: Any, ctx: Any) -> None:
        pass

    registry = Registry()
    for decorator in (registry.every("5m"), registry.on_startup, registry.on_shutdown):
        with pytest.raises(RegistrationError, match=r"two must take one argument, \(ctx\), not \(obj"):
            decorator(two)  # type: ignore[operator]


def test_a_task_and_a_reconciler_have_names_of_their_own() -> None:
    registry = Registry()
    registry.reconciler("Foo")(lambda obj, ctx: None)
    with pytest.raises(RegistrationError, match=r"a reconciler named foo exists at .*; two need names: @every\(…, name=…\)"):
        registry.every("5m", name="foo")(lambda ctx: None)


def test_a_registry_takes_in_what_another_holds_once() -> None:
    one, other = Registry(), Registry(permissions=["get v1/Secret"])
    other.reconciler("Foo")(lambda obj, ctx: None)
    other.every("5m", name="tick")(lambda ctx: None)
    other.on_startup(lambda ctx: None)
    one.include(other)
    one.include(other)
    assert ([made.name for made in one], [made.name for made in one.tasks]) == (["foo"], ["tick"])
    assert (len(one), len(one.hooks()), len(one.permissions)) == (2, 1, 1)


# ------------------------------------------------------------------ when it runs


def test_it_runs_at_once_and_then_an_interval_after_each_run_give_or_take_a_tenth(task: Make, clock: FakeClock) -> None:
    one = task(lambda ctx: None, "100s")
    assert not one.idle()
    one.start()
    gaps = []
    for run in range(1, 9):
        gaps.append(waits(clock, one, run))
        assert one.idle()
        clock.advance(gaps[-1])
    assert all(90 <= gap <= 110 for gap in gaps)
    assert len(set(gaps)) > 1


def test_it_never_runs_twice_at_once_and_what_was_missed_is_not_made_up_for(task: Make, clock: FakeClock) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(ctx: TaskContext) -> None:
        began.set()
        assert go_on.wait(60)

    one = task(slow, "1s")
    one.start()
    assert began.wait(60)
    (running,) = one.running()
    assert str(running) == "the task tick"
    clock.advance(3600)
    go_on.set()
    assert 0.9 <= waits(clock, one, 1) <= 1.1


def test_a_failure_is_tried_again_after_a_backoff_no_longer_than_the_interval(
    task: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    def fails(ctx: TaskContext) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) <= 12:
            raise ValueError("boom")

    metrics = Metrics()
    one = task(fails, "1s", metrics=metrics)
    with caplog.at_level(logging.INFO):
        one.start()
        gaps = []
        for run in range(1, 14):
            gaps.append(waits(clock, one, run))
            assert bool(one.errors()) == (run <= 12) == (not one.idle())
            clock.advance(gaps[-1])
        waits(clock, one, 14)
    assert gaps[0] < 0.006
    assert max(gaps) <= 1.1
    assert attempts == [*range(1, 14), 1]
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info is not None for record in failures] == [True, False, False, False]  # the 1st, 2nd, 4th and 8th
    values = {family.name: dict(family.samples) for family in metrics.collect()}
    assert values["controller_runtime_reconcile_total"]["tick", "error"] == 12
    assert values["controller_runtime_reconcile_total"]["tick", "success"] == 2
    assert values["controller_runtime_reconcile_errors_total"][("tick",)] == 12
    assert values["controller_runtime_max_concurrent_reconciles"][("tick",)] == 1


@pytest.mark.parametrize(
    ("outcome", "least", "most"),
    [
        (Result(requeue_after=7), 7, 7),
        (TemporaryError("not yet", delay=9), 9, 9),
        (PermanentError("never"), 90, 110),
        (SystemExit(3), 0, 0.006),
        ("nonsense", 0, 0.006),
    ],
)
def test_an_outcome_of_a_task_means_what_it_means_elsewhere(
    task: Make, clock: FakeClock, outcome: Any, least: float, most: float
) -> None:
    def once(ctx: TaskContext) -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    one = task(once, "100s")
    one.start()
    assert least <= waits(clock, one, 1) <= most


def test_a_task_is_told_of_its_deadline_and_its_calls_are_refused_after_it(task: Make, clock: FakeClock) -> None:
    told: list[Any] = []

    def slow(ctx: TaskContext) -> None:
        told.append(ctx.stopping.is_set())
        clock.advance(11)
        told.append(ctx.stopping.wait(60))
        try:
            ctx.live.get("v1/ConfigMap", "a", "default")
        except DeadlineExceeded as exc:
            told.append(str(exc))
            raise

    metrics = Metrics()
    one = task(slow, timeout="10s", metrics=metrics)
    one.start()
    waits(clock, one, 1)
    assert told == [False, True, "the run of tick is past its deadline"]
    values = {family.name: dict(family.samples) for family in metrics.collect()}
    assert values["controller_runtime_reconcile_timeouts_total"][("tick",)] == 1


def test_an_async_task_reads_and_writes_and_is_cancelled_at_its_deadline(task: Make, clock: FakeClock) -> None:
    seen: list[Any] = []

    async def tick(ctx: AsyncTaskContext) -> None:
        if not seen:
            made = await ctx.apply(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": {"n": "1"}}
            )
            seen.append((made["data"], await ctx.live.get_or_none("v1/ConfigMap", "b", "default"), await ctx.delete(made)))
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    one = task(tick, "1s", timeout=10)
    one.start()
    clock.advance(waits(clock, one, 1))
    eventually(lambda: clock.next_deadline() == 10, "the second run")
    clock.advance(10)
    waits(clock, one, 2)
    assert seen == [({"n": "1"}, None, True), "cancelled"]


def test_a_task_reads_what_it_declares_from_caches_that_are_in_sync(cluster: Cluster, operator: StartOperator) -> None:
    registry = Registry()
    seen: dict[str, Any] = {}

    @registry.index("v1/ConfigMap", "by-made")
    def by_made(obj: Object) -> list[str]:
        return [obj["data"]["made"]]

    @registry.every("1h", reads=["v1/ConfigMap"])
    def look(ctx: TaskContext) -> None:
        seen["everywhere"] = sorted(obj["metadata"]["name"] for obj in ctx.list("v1/ConfigMap", namespace="*", selector="!odd"))
        seen["here"] = [obj["metadata"]["name"] for obj in ctx.list("v1/ConfigMap", namespace="default")]
        seen["by index"] = [obj["metadata"]["name"] for obj in ctx.by_index("v1/ConfigMap", "by-made", "elsewhere")]
        seen["one"] = ctx.get("v1/ConfigMap", "a", "default")["data"]
        seen["none"] = ctx.get_or_none("v1/ConfigMap", "a", "elsewhere")
        with pytest.raises(NotFound):
            ctx.get("v1/ConfigMap", "a", "elsewhere")
        with pytest.raises(NotCached, match=r"look does not cache v1/Secret: declare it with reads=\['v1/Secret'\]"):
            ctx.list("v1/Secret", namespace="*")

    @registry.every("1h", reads=["v1/ConfigMap"])
    async def look_too(ctx: AsyncTaskContext) -> None:
        found = await ctx.list("v1/ConfigMap", namespace="*")
        one = await ctx.get("v1/ConfigMap", "a", "default")
        none = await ctx.get_or_none("v1/ConfigMap", "b", "default")
        by_index = await ctx.by_index("v1/ConfigMap", "by-made", "elsewhere")
        seen["async"] = (len(found), one["metadata"]["name"], none, len(by_index))

    cluster.load(namespace("elsewhere"), config_map("a"), config_map("b", "elsewhere", {"made": "elsewhere"}))
    running = operator(registry, namespace=()).settle()
    assert seen == {
        "everywhere": ["a", "b"],
        "here": ["a"],
        "by index": ["b"],
        "one": {"made": "by operator-kit"},
        "none": None,
        "async": (2, "a", None, 1),
    }
    assert running.requests < 20  # one cache for both tasks, and no read of its own for any


def test_a_task_waits_for_what_it_reads_and_others_do_not_wait_for_it(cluster: Cluster, operator: StartOperator) -> None:
    registry = Registry()
    ran: list[str] = []
    registry.every("1h", name="at-once")(lambda ctx: ran.append("at once"))
    registry.every("1h", name="later", reads=["example.com/v1/Team"])(
        lambda ctx: ran.append(str(ctx.list("Team", namespace="*")))
    )
    running = operator(registry)
    eventually(lambda: running.manager.waiting(), "the kind to be missed")
    eventually(lambda: ran == ["at once"], "the task that reads nothing")
    assert "later waits" in running.manager.waiting()["later"]
    cluster.load(crd())
    running.settle()
    assert ran == ["at once", "[]"]


def test_a_hook_has_no_cache(loop: LoopThread, clock: FakeClock) -> None:
    registry = Registry()

    @registry.on_startup
    def connect(ctx: TaskContext) -> None:
        ctx.list("v1/ConfigMap", namespace="*")

    with pytest.raises(StartupFailed, match=r"nothing is cached for on_startup connect: read live with ctx\.live\.get"):
        hooks_of(registry, loop, clock).start_up()


def test_stopping_ends_the_wait_and_tells_the_running(task: Make, clock: FakeClock) -> None:
    began, told = threading.Event(), []

    def patient(ctx: TaskContext) -> None:
        began.set()
        told.append(ctx.stopping.wait())

    one, other = task(patient), task(lambda ctx: None, name="tock")
    one.start()
    other.start()
    assert began.wait(60)
    clock.wait_for_waiters(2)
    for each in (one, other):
        each.stop()
        assert each.join(clock.monotonic() + 10) == []
    assert told == [True]
    with pytest.raises(RuntimeError, match="started already"):
        one.start()


def test_a_context_is_of_no_use_after_its_run_and_asks_for_a_namespace(task: Make, clock: FakeClock) -> None:
    kept: list[TaskContext] = []

    def keep(ctx: TaskContext) -> None:
        kept.append(ctx)
        ctx.live.get("v1/ConfigMap", "a")

    one = task(keep, "1s")
    one.start()
    waits(clock, one, 1)
    assert one.errors() == {
        "tick": 'UsageError: which namespace of ConfigMaps? tick belongs to none; give one, or "*" to list all'
    }
    with pytest.raises(RuntimeError, match="the run of tick is over"):
        kept[0].live.get("v1/ConfigMap", "a", "default")


# ------------------------------------------------------------------ hooks


def hooks_of(registry: Registry, loop: LoopThread, clock: FakeClock, stopping: Signal | None = None) -> Hooks:
    client: Any = FakeClient()
    return Hooks(registry, client, loop=loop, clock=clock, stopping=stopping or Signal(clock), request_timeout=30)


def test_hooks_run_in_order_at_startup_and_the_last_first_at_shutdown(loop: LoopThread, clock: FakeClock) -> None:
    registry, ran = Registry(), []

    @registry.on_startup
    def connect(ctx: TaskContext) -> None:
        ran.append("connect")

    @registry.on_startup
    async def warm(ctx: AsyncTaskContext) -> None:
        ran.append(f"warm {await ctx.live.get_or_none('v1/ConfigMap', 'a', 'default')}")

    @registry.on_shutdown
    def disconnect(ctx: TaskContext) -> None:
        ran.append("disconnect")

    @registry.on_shutdown
    async def cool(ctx: AsyncTaskContext) -> None:
        ran.append("cool")

    hooks = hooks_of(registry, loop, clock)
    hooks.start_up()
    assert ran == ["connect", "warm None"]
    hooks.shut_down(clock.monotonic() + 10)
    assert ran[2:] == ["cool", "disconnect"]
    connect(None)
    assert ran[-1] == "connect"


def test_a_startup_hook_that_raises_is_named_with_the_line_and_the_next_does_not_run(loop: LoopThread, clock: FakeClock) -> None:
    registry, ran = Registry(), []

    @registry.on_startup
    def connect(ctx: TaskContext) -> None:
        raise ConnectionRefusedError("no database")

    registry.on_startup(lambda ctx: ran.append("later"))
    with pytest.raises(
        StartupFailed, match=r"test_tasks\.py:\d+: on_startup connect failed: ConnectionRefusedError: no database"
    ) as caught:
        hooks_of(registry, loop, clock).start_up()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert ran == []


def test_a_startup_hook_that_takes_long_is_said_and_a_stop_does_not_wait_for_it(
    loop: LoopThread, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    registry, go_on, ran = Registry(), threading.Event(), []

    @registry.on_startup
    def slow(ctx: TaskContext) -> None:
        ran.append(ctx.stopping.is_set())
        assert go_on.wait(60)
        ran.append(ctx.stopping.is_set())

    registry.on_startup(lambda ctx: ran.append("later"))
    stopping = Signal(clock)
    hooks = hooks_of(registry, loop, clock, stopping)
    starting = threading.Thread(target=hooks.start_up)
    starting.start()
    clock.wait_for_waiters()
    clock.advance(30)
    eventually(lambda: clock.next_deadline() == 60, "the reminder")
    assert "on_startup slow has run for 30s; nothing starts before it has ended" in caplog.text
    stopping.set()
    starting.join(60)
    assert not starting.is_alive()
    (running,) = hooks.join(clock.monotonic())
    assert "on_startup slow" in str(running)
    go_on.set()
    assert hooks.join(clock.monotonic() + 10) == []
    assert ran == [False, True]


def test_a_shutdown_hook_that_fails_or_hangs_does_not_stop_the_others_or_the_end(
    loop: LoopThread, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    registry, go_on, hangs, ran = Registry(), threading.Event(), threading.Event(), []

    @registry.on_shutdown
    def hang(ctx: TaskContext) -> None:
        hangs.set()
        assert go_on.wait(60)

    registry.on_shutdown(lambda ctx: ran.append("second"))

    @registry.on_shutdown
    def bad(ctx: TaskContext) -> None:
        raise SystemExit(3)

    hooks = hooks_of(registry, loop, clock)
    hooks.shut_down(clock.monotonic() + 0.2)
    assert hangs.wait(60)
    assert ran == ["second"]
    assert "on_shutdown bad failed: SystemExit: 3; the others run" in caplog.text
    assert len(hooks.join(clock.monotonic())) == 1
    go_on.set()
    assert hooks.join(clock.monotonic() + 10) == []
