"""The probes tell the truth: ready is synced and kept up, alive is not wedged, and each failure names its cause."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from operator_kit.cache import HANGS, InformerStatus, ReflectorSettings
from operator_kit.clock import FakeClock
from operator_kit.controller import AsyncContext, Context, Registry, RunningKey
from operator_kit.errors import ShutDown
from operator_kit.manager import binding
from operator_kit.manager.checks import Finding
from operator_kit.manager.probes import BLIND_AFTER, WEDGED_AFTER, Probes
from operator_kit.manager.watchdog import Watchdog
from operator_kit.objects import Object, Resource
from operator_kit.observe.logging import JsonFormatter, TextFormatter
from operator_kit.queue import WorkQueue
from tests.manager.conftest import Cluster, registry_of
from tests.processes import eventually

FOO = Resource("example.com", "v1", "Foo", "foos")
SYNCED = InformerStatus(FOO, None, synced=True, objects=1, bytes=1, seconds_since_sign_of_life=0)


class Made:
    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout


class FakeController:
    """As much of a controller as is looked at."""

    def __init__(self, name: str = "foo", timeout: float | None = None, limit: float = 300.0) -> None:
        self.name, self.made, self.timeout = name, Made(timeout), limit
        self.runs: list[RunningKey] = []

    def running(self) -> list[RunningKey]:
        return self.runs

    def stack(self, key: str) -> list[str]:
        return [f"site.py:12 in foo: wait_for_ever({key!r})"]


@dataclass
class FakeBinding:
    """As much of a binding as is looked at."""

    name: str
    done: bool = True


class Operator:
    """As much of a manager as is looked at."""

    def __init__(self) -> None:
        self.runnables: list[Any] = [FakeController()]
        self.bindings: list[Any] = [FakeBinding("foo")]
        self.statuses = [SYNCED]
        self.informers: Any = self
        self.stopping = False
        self.beat = 0.0
        self.missing: dict[str, str] = {}
        self.dead: list[str] = []

    def status(self) -> list[InformerStatus]:
        return self.statuses

    def waiting(self) -> dict[str, str]:
        return self.missing

    def dead_threads(self) -> list[str]:
        return self.dead


class World:
    def __init__(self, stuck_after: float = 3600.0) -> None:
        self.clock = FakeClock()
        self.operator = Operator()
        self.operator.beat = self.clock.monotonic()
        self.watchdog = Watchdog(lambda: self.operator.runnables, stuck_after)
        self.probes = Probes(self.operator, self.watchdog, clock=self.clock)

    def ready(self) -> dict[str, str]:
        return {name: finding.problem for name, finding in self.probes.ready.look().items() if finding.problem}

    def live(self) -> dict[str, str]:
        return {name: finding.problem for name, finding in self.probes.live.look().items() if finding.problem}


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------ ready


def test_all_well_is_ready_and_alive(world: World) -> None:
    assert (world.ready(), world.live()) == ({}, {})


def test_before_it_runs_it_is_alive_and_not_ready(world: World) -> None:
    world.operator.beat = 0.0
    world.operator.statuses = []
    assert world.ready() == {"kinds": "the operator is starting", "caches": "the operator is starting"}
    assert world.live() == {}


def test_a_stop_makes_it_unready_at_once_and_it_stays_alive(world: World) -> None:
    world.operator.stopping = True
    world.operator.dead = ["foo-1"]
    assert world.ready() == {"shutdown": "the operator is stopping"}
    assert world.live() == {}


def test_kinds_that_are_not_found_are_named_with_what_is_missing(world: World) -> None:
    world.operator.bindings = [FakeBinding("foo", done=False), FakeBinding("bar", done=False), FakeBinding("baz")]
    world.operator.missing = {"foo": "foo waits: the API server has no kind Foo"}
    assert world.ready() == {"kinds": "foo waits: the API server has no kind Foo; bar looks for its kinds"}


def test_a_cache_that_is_not_synced_is_named_with_its_problem(world: World) -> None:
    world.operator.statuses = [
        replace(SYNCED, synced=False),
        replace(SYNCED, synced=False, namespace="team", problem="not allowed; Add to a Role: {…}"),
        SYNCED,
    ]
    assert world.ready() == {
        "caches": "foos.example.com is not synced: it is being listed; "
        "foos.example.com in team is not synced: not allowed; Add to a Role: {…}"
    }


def test_a_blind_cache_is_told_at_once_and_makes_it_unready_after_a_while(world: World) -> None:
    world.operator.statuses = [replace(SYNCED, problem="no answer", problem_seconds=BLIND_AFTER - 1)]
    assert world.ready() == {}
    assert world.probes.ready.look()["caches"].note == "foos.example.com is blind for 4m59s: no answer"
    world.operator.statuses = [replace(SYNCED, problem="no answer", problem_seconds=BLIND_AFTER + 1)]
    assert world.ready() == {"caches": "foos.example.com is blind for 5m1s: no answer"}
    assert world.live() == {}  # a restart would not mend it


def test_a_cache_that_the_authors_code_holds_up_is_told_of_and_a_restart_frees_it_in_the_end(world: World) -> None:
    held_up = replace(SYNCED, problem="the mapper keys of foo hangs over default/a of secrets", problem_reason=HANGS)
    world.operator.statuses = [replace(held_up, problem_seconds=31)]
    assert world.ready() == {}
    assert world.probes.ready.look()["caches"].note == f"foos.example.com is held up for 31s: {held_up.problem}"
    world.operator.statuses = [replace(held_up, problem_seconds=3600)]
    assert (list(world.ready()), world.live()) == (["caches"], {})
    world.operator.statuses = [replace(held_up, problem_seconds=3601)]
    assert world.live() == {"handlers": held_up.problem}
    never = World(stuck_after=0)
    never.operator.statuses = [replace(held_up, problem_seconds=1e6)]
    assert never.live() == {}


# ------------------------------------------------------------------ alive


def test_a_dead_thread_of_the_operators_own_is_named(world: World) -> None:
    world.operator.dead = ["foo-1", "binder"]
    assert world.live() == {"threads": "dead: foo-1, binder"}


def test_a_main_thread_that_no_longer_goes_round_is_noticed(world: World) -> None:
    world.operator.beat = world.clock.monotonic()
    world.clock.advance(WEDGED_AFTER)
    assert world.live() == {}
    world.clock.advance(1)
    assert world.live() == {"threads": "the main thread hangs since 1m1s"}


@pytest.mark.parametrize(
    ("stuck_after", "own", "limit", "seconds", "stuck"),
    [
        (3600, None, 300, 3599, False),
        (3600, None, 300, 3601, True),
        (3600, 7200, 7200, 7199, False),  # its author gave it more time
        (3600, 7200, 7200, 7201, True),
        (3600, 0, 0, 1e6, False),  # its author said: for ever
        (3600, None, 0, 3601, True),  # no limit for all of them is no such word
        (0, None, 300, 1e6, False),  # off
    ],
)
def test_a_reconcile_is_stuck_beyond_the_setting_and_its_own_limit(
    stuck_after: float, own: float | None, limit: float, seconds: float, stuck: bool
) -> None:
    world = World(stuck_after)
    controller = FakeController(timeout=own, limit=limit)
    controller.runs = [RunningKey("foo", "default/a", seconds, "foo-1", began=1.0)]
    world.operator.runnables = [controller]
    assert bool(world.live()) is stuck
    if stuck:
        assert world.live()["workers"].startswith("foo: the reconcile of default/a is stuck for ")


def test_nothing_reconciled_for_long_is_no_sign_of_anything(world: World) -> None:
    world.clock.advance(1e6)
    world.operator.beat = world.clock.monotonic()
    assert world.live() == {}


def test_each_stuck_reconcile_is_logged_once_with_its_stack(world: World, caplog: pytest.LogCaptureFixture) -> None:
    [controller] = world.operator.runnables
    for seconds, began in ((4000.0, 1.0), (4001.0, 1.0), (4000.0, 9000.0)):
        controller.runs = [RunningKey("foo", "default/a", seconds, "foo-1", began=began)]
        world.live()
        world.live()
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 2
    assert "default/a is stuck for 1h6m40s; thread foo-1 is at" in logged[0].getMessage()
    assert TextFormatter().format(logged[0]).endswith("is at\n    site.py:12 in foo: wait_for_ever('default/a')")
    assert json.loads(JsonFormatter().format(logged[0]))["stack"] == ["site.py:12 in foo: wait_for_ever('default/a')"]


# ------------------------------------------------------------------ a whole operator


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_stuck_worker_fails_the_probe_and_its_stack_is_in_the_log(
    foos: Cluster, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def waits_for_something_that_never_comes(obj: Object, ctx: Context) -> None:
        release.wait(30)

    foos.create("a")
    operator = foos.start(registry_of(waits_for_something_that_never_comes, timeout="50ms"), stuck_after=0.2)
    eventually(lambda: "default/a" in operator.manager.probes.live.look()["workers"].problem, "the probe fails")
    [record] = [record for record in caplog.records if "is stuck" in record.getMessage()]
    assert "in waits_for_something_that_never_comes: release.wait(30)" in TextFormatter().format(record)
    release.set()
    eventually(operator.manager.probes.live.passes, "the probe passes again")


def test_a_mapper_that_hangs_is_named_with_its_object_and_holds_up_nobody_else(
    foos: Cluster, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    registry = Registry()

    def keys_of(config: Object) -> list[str]:
        if config["metadata"]["name"] == "slow":
            release.wait(60)
        return ["default/a"]

    @registry.reconciler("Foo", name="maps", watches={"v1/ConfigMap": keys_of})
    def maps(obj: Object, ctx: Context) -> None:
        done.append("maps")

    @registry.reconciler("Foo", name="owner", owns=["v1/ConfigMap"])
    def owner(obj: Object, ctx: Context) -> None:
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": obj["metadata"]["name"]}})
        done.append("owner")

    foos.create("a")
    operator = foos.start(registry, reflector=ReflectorSettings(patience=0.2))
    eventually(lambda: operator.manager.started() and {"maps", "owner"} <= set(done), "the first runs")
    foos.create("slow", kind="v1/ConfigMap")
    note = "the mapper keys_of of maps hangs over default/slow of configmaps, at "
    eventually(lambda: note in operator.manager.probes.ready.look()["caches"].note, "the note")
    eventually(lambda: note in caplog.text, "the warning")
    assert "in keys_of: release.wait(60)" in operator.manager.probes.ready.look()["caches"].note
    foos.client.delete(foos.kind("v1/ConfigMap"), "a", "default")  # the other reconciler hears of it, and makes it again
    eventually(lambda: foos.get("v1/ConfigMap", "a"), "the child being made again")
    maps_before = done.count("maps")
    release.set()
    eventually(lambda: done.count("maps") > maps_before, "what waited for the mapper")
    eventually(lambda: operator.manager.probes.ready.look()["caches"] == Finding(), "the end of it")


def test_a_stuck_coroutine_is_shown_where_it_awaits(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    async def foo(obj: Object, ctx: AsyncContext) -> None:
        await stubborn()

    foos.create("a")
    operator = foos.start(registry_of(foo, timeout="50ms"), stuck_after=0.2)
    try:
        eventually(lambda: not operator.manager.probes.live.passes(), "the probe fails")
    finally:
        over.set()
    [record] = [record for record in caplog.records if "is stuck" in record.getMessage()]
    text = TextFormatter().format(record)
    assert "in foo: await stubborn()" in text
    assert "in stubborn: await asyncio.sleep" in text


def test_ready_begins_with_the_kind_and_ends_with_the_stop(
    cluster: Cluster, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "BIND_AGAIN", 0.1)

    def foo(obj: Object, ctx: Context) -> None:
        release.wait(30)

    operator = cluster.start(registry_of(foo))
    ready = operator.manager.probes.ready
    eventually(lambda: "no kind Foo" in ready.look()["kinds"].problem, "the missing kind is named")
    cluster.install()
    cluster.create("a")
    eventually(ready.passes, "ready")
    operator.manager.stop()
    assert ready.look()["shutdown"].problem == "the operator is stopping"
    assert operator.manager.probes.live.passes()


def test_a_worker_that_has_died_is_named_and_threads_that_begin_are_not(foos: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(self: object, timeout: float | None = None) -> str:
        raise ShutDown

    operator = foos.start(registry_of(lambda obj, ctx: None, workers=1))
    live = operator.manager.probes.live

    def ready() -> bool:
        assert live.passes(), live.look()
        return operator.manager.started()

    eventually(ready, "started", every=0)
    monkeypatch.setattr(WorkQueue, "get", dies)
    foos.create("a")  # wakes the worker for the last time
    eventually(lambda: live.look()["threads"].problem == "dead: foo-1", "the dead worker is named")


def test_a_forbidden_kind_is_named_with_the_rule_and_a_blind_one_as_well(foos: Cluster) -> None:
    foos.sandbox.faults.add(action="status", code=403, resource="foos.example.com")
    operator = foos.start(registry_of(lambda obj, ctx: None))
    ready = operator.manager.probes.ready
    eventually(lambda: "verbs: [" in ready.look()["caches"].problem, "the missing rule is named")
    foos.sandbox.faults.clear()
    eventually(ready.passes, "ready")
    assert "informer_problem_seconds" in {family.name for family in operator.manager.metrics.collect()}
