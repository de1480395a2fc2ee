"""What an author, or a cluster, does wrong: each test says what happens then, and that no other key notices.

The bad reconciler misbehaves for the team red. The team blue has the same reconciler, and a change of it is carried out while red is
at its worst. What else could be registered wrongly is in `test_registry.py`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from operator_kit import AsyncContext, Context, Registry
from operator_kit.errors import UsageError
from operator_kit.objects import Object
from operator_kit.testing import (
    Cluster,
    NotSettled,
    OperatorWrites,
    RunningOperator,
    StartOperator,
    assert_condition,
    assert_object,
)
from tests.controller.teams import config_map, crd, team, teams
from tests.processes import eventually
from tests.unhurried import UnhurriedClock

BLUE = ["patch configmaps default/blue", "patch teams.example.com/status default/blue"]
"""The writes for blue: at first, and again for a change of it, whose generation the status names."""


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd())
    cluster.create(team("red"))
    cluster.create(team("blue", size=1))
    return cluster


def bad(function: Callable[..., Any], **options: Any) -> Registry:
    """The function for red, and a good one for blue."""

    def both(obj: Object, ctx: Context) -> Any:
        if obj["metadata"]["name"] != "blue":
            return function(obj, ctx)
        ctx.apply(config_map("blue", data={"size": str(obj["spec"]["size"])}))
        ctx.set_condition("Ready", True)
        return None

    return teams(both, owns=["v1/ConfigMap"], **options)


def unharmed(world: Cluster, writes: OperatorWrites) -> None:
    """Blue is as it should be, follows a change, and costs no write more than that."""
    world.wait("v1/ConfigMap", "blue", {"data": {"size": "1"}})
    world.wait("Team", "blue", lambda blue: assert_condition(blue, "Ready", True))
    assert sorted(line for line in writes.take() if line.endswith("/blue")) == BLUE
    world.patch("Team", "blue", {"spec": {"size": 2}})
    world.wait("v1/ConfigMap", "blue", {"data": {"size": "2"}})
    blue = world.get("Team", "blue")
    assert blue is not None
    assert [each["type"] for each in blue["status"]["conditions"]] == ["Ready"]


def failing(running: RunningOperator, error: str) -> None:
    """The operator does not come to rest, because red fails like this; and it does not hammer the server."""
    before = running.requests
    running.wait_failing(rf"(?s)default/red: .*{error}")
    with pytest.raises(NotSettled, match="default/red "):
        running.settle(timeout=0.5)
    assert running.requests - before < 60


def told(world: Cluster, reason: str, message: str) -> None:
    """Red says what is wrong with it, in a condition and an Event."""
    red = world.wait("Team", "red", lambda red: assert_condition(red, "Reconciled", False, reason=reason, message=message))
    world.wait_event(red, reason=reason, type_="Warning", message=message)
    assert len(world.events_of(red)) < 5


def test_one_that_raises_at_once(world: Cluster, operator: StartOperator, writes: OperatorWrites) -> None:
    def raises(obj: Object, ctx: Context) -> None:
        raise RuntimeError("boom")

    running = operator(bad(raises))
    unharmed(world, writes)
    failing(running, "RuntimeError: boom")
    told(world, "RuntimeError", "RuntimeError: boom")
    # The condition says the same each time, so it is written once, however often it fails.
    assert [line for line in writes.take() if line.endswith("/red")] in ([], ["patch teams.example.com/status default/red"])


def test_one_that_never_returns_holds_one_worker_and_is_named(
    unhurried_clock: UnhurriedClock,
    world: Cluster,
    operator: StartOperator,
    writes: OperatorWrites,
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on, refused = threading.Event(), []

    def never(obj: Object, ctx: Context) -> None:
        assert go_on.wait(120)
        refused.append(ctx.stopping.is_set())
        ctx.apply(config_map("late"))  # it is past its deadline

    running = operator(bad(never, workers=2, timeout="2s"), clock=unhurried_clock)
    unharmed(world, writes)
    complaint = "team: the reconcile of default/red goes on past its timeout of 2s, and holds one of 2 workers"
    eventually(lambda: complaint in caplog.text, "the complaint")
    world.delete("Team", "red")
    held = [informer.store for informer in running.informers() if informer.resource.kind == "Team"]
    eventually(lambda: not any(store.entry("default/red") for store in held), "the cache without red")  # it would run again else
    go_on.set()
    running.settle()
    assert refused == [True]
    assert world.get("v1/ConfigMap", "late") is None


def test_a_coroutine_that_never_returns_is_cancelled_at_its_deadline(
    unhurried_clock: UnhurriedClock, world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    async def never(obj: Object, ctx: AsyncContext) -> None:
        if obj["metadata"]["name"] == "red":
            await asyncio.Event().wait()
        await ctx.apply(config_map("blue", data={"size": str(obj["spec"]["size"])}))
        ctx.set_condition("Ready", True)

    running = operator(teams(never, owns=["v1/ConfigMap"], timeout="2s", workers=2), clock=unhurried_clock)
    unharmed(world, writes)
    failing(running, "DeadlineExceeded: the reconcile was cancelled at its deadline")
    told(world, "DeadlineExceeded", "cancelled at its deadline")


def test_a_coroutine_that_blocks_the_loop_is_named_and_holds_up_none_but_coroutines(
    unhurried_clock: UnhurriedClock,
    world: Cluster,
    operator: StartOperator,
    writes: OperatorWrites,
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = threading.Event()
    registry = bad(lambda obj, ctx: None)

    @registry.reconciler("Team", name="blocks", timeout="2s", workers=1)
    async def blocks(obj: Object, ctx: AsyncContext) -> None:
        go_on.wait(120)

    operator(registry, clock=unhurried_clock)
    try:
        unharmed(world, writes)
        late = "goes on past its timeout of 2s, and holds one of 1 workers"
        blocker = "blocks in test_bad_input.py blocks the loop of all async functions: it must await, or use asyncio.to_thread"
        eventually(lambda: f"{late}; {blocker}" in caplog.text, "the complaint")
    finally:
        go_on.set()


async def _forgotten() -> None: ...


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        (lambda: True, "the function returned bool; return None or Result"),
        (lambda: {"requeue": True}, "the function returned dict; return None or Result"),
        (lambda: _forgotten(), "the function returned a coroutine, which nobody awaits; make it `async def`"),
    ],
    ids=["a truth", "a mapping", "a coroutine"],
)
def test_one_that_returns_nonsense_is_told_what_to_return(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, nonsense: Callable[[], Any], message: str
) -> None:
    running = operator(bad(lambda obj, ctx: nonsense()))
    unharmed(world, writes)
    failing(running, message)
    told(world, "TypeError", message)


def test_one_that_changes_all_it_is_given_changes_nothing_of_anybodys(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    seen: list[Any] = []

    def vandal(obj: Object, ctx: Context) -> None:
        other = ctx.get("Team", "blue")
        seen.append((obj["spec"], other["kind"], [each["kind"] for each in ctx.list("Team")]))
        for each in (obj, other, *ctx.list("Team"), *ctx.list("v1/ConfigMap")):
            each.clear()
        child = ctx.apply(config_map("child"))
        child["data"].clear()
        ctx.patch_status({"ok": True})

    running = operator(bad(vandal, requeue_every="50ms"))
    unharmed(world, writes)
    eventually(lambda: len(seen) > 3, "more runs")
    running.settle()
    assert all(each == ({"members": []}, "Team", ["Team", "Team"]) for each in seen)
    assert_object(world.get("Team", "red"), {"spec": {"members": []}, "status": {"ok": True}})
    assert_object(world.get("v1/ConfigMap", "child"), {"data": {"made": "by operator-kit"}})


def test_one_that_starts_threads_may_use_its_context_in_them_until_its_run_is_over(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    over, refused = threading.Event(), []

    def straggler(ctx: Context) -> None:
        assert over.wait(120)
        for call in (lambda: ctx.apply(config_map("late")), lambda: ctx.set_condition("Late", True), lambda: ctx.list("Team")):
            try:
                call()
            except RuntimeError as exc:
                refused.append(str(exc))

    started: list[threading.Thread] = []

    def threads(obj: Object, ctx: Context) -> None:
        helpers = [threading.Thread(target=ctx.apply, args=(config_map(f"child-{number}"),)) for number in range(8)]
        for helper in helpers:
            helper.start()
        for helper in helpers:
            helper.join()
        if not started:
            started.append(threading.Thread(target=straggler, args=(ctx,)))
            started[0].start()

    running = operator(bad(threads))
    unharmed(world, writes)
    running.settle()
    over.set()
    started[0].join(60)
    assert refused == ["the reconcile of default/red is over: its ctx must not be used any more"] * 3
    assert len([each for each in world.list("v1/ConfigMap") if each["metadata"]["name"].startswith("child-")]) == 8
    assert len(writes.take()) <= 10  # each child once, and what a change of blue costs: its child and its status


def test_an_invalid_child_is_refused_and_nothing_after_it_is_done(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    def invalid(obj: Object, ctx: Context) -> None:
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}, "data": {"n": "1"}})
        ctx.apply(config_map("after"))

    running = operator(bad(invalid))
    unharmed(world, writes)
    failing(running, "Invalid: .*Not A Name")
    told(world, "Invalid", "Not A Name")
    assert world.get("v1/ConfigMap", "after") is None


def test_an_object_cannot_be_its_own_child(world: Cluster, operator: StartOperator, writes: OperatorWrites) -> None:
    before = world.get("Team", "red")

    def narcissus(obj: Object, ctx: Context) -> None:
        ctx.apply({**team("red"), "spec": {"members": ["me"]}})

    running = operator(bad(narcissus))
    unharmed(world, writes)
    failing(running, "UsageError: apply: Team default/red cannot be its own child")
    told(world, "UsageError", "cannot be its own child")
    after = world.get("Team", "red")
    assert before is not None
    assert after is not None
    assert (after["spec"], after["metadata"].get("ownerReferences")) == (before["spec"], None)


@pytest.mark.parametrize("fails", [False, True], ids=["and returns", "and raises"])
def test_a_status_of_two_megabytes_is_refused_and_said_where_it_cannot_stand(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, fails: bool
) -> None:
    world.load({**team("red"), "status": {"kept": "as it was"}})

    def verbose(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"log": "x" * 2_000_000})
        if fails:
            raise UsageError("besides")

    running = operator(bad(verbose))
    unharmed(world, writes)
    failing(running, "besides" if fails else "TooLarge: etcdserver: request is too large")
    told(world, "UsageError" if fails else "TooLarge", "besides" if fails else "request is too large")
    red = world.get("Team", "red")
    assert red is not None
    assert red["status"]["kept"] == "as it was"
    assert "log" not in red["status"]


def test_a_kind_that_vanishes_is_said_and_taken_up_again_when_it_comes_back(
    world: Cluster, operator: StartOperator, caplog: pytest.LogCaptureFixture
) -> None:
    registry = bad(lambda obj, ctx: None)
    others: list[str] = []
    registry.reconciler("v1/Secret", name="others")(lambda obj, ctx: others.append(ctx.key))
    caplog.set_level(logging.INFO)
    running = operator(registry).settle()
    world.delete("CustomResourceDefinition", "teams.example.com")
    world.wait_gone("CustomResourceDefinition", "teams.example.com")
    world.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "meanwhile"}})
    eventually(lambda: "default/meanwhile" in others, "the other kind, while this one is gone")
    eventually(lambda: any("teams.example.com" in problem for problem in running.manager.problems()), "the trouble is said")
    world.load(crd())
    world.create(team("blue", size=7))
    world.wait("v1/ConfigMap", "blue", {"data": {"size": "7"}})
    running.settle()
    assert running.manager.problems() == []
