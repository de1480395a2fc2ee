"""A change that a key's last run made itself does not run it again; any other does, whenever it arrives."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit import Context, Result
from operator_kit.clock import FakeClock
from operator_kit.controller.echoes import HELD, LONGEST_DELAY, REMEMBERED, SELF_WOKEN, Echoes, Wake
from operator_kit.controller.scope import Run, Write
from operator_kit.errors import NotFound, ServerError
from operator_kit.objects import Object
from operator_kit.queue import LOW, NORMAL
from operator_kit.testing import Cluster, OperatorFaults, OperatorWrites, StartOperator
from tests.controller.fakes import CONFIG_MAP, DEPLOYMENT, FOO
from tests.controller.teams import config_map, crd, team, teams
from tests.processes import eventually

KEY = "default/a"


def wake(version: str | None, name: str = "child", kind: Any = CONFIG_MAP, **fields: Any) -> Wake:
    seen = Write(kind, f"default/{name}", f"uid-{name}", version) if version is not None else None
    return Wake(KEY, fields.pop("priority", NORMAL), fields.pop("respect", True), "because", seen, **fields)


def wrote(version: str, name: str = "child", kind: Any = CONFIG_MAP) -> Write:
    return Write(kind, f"default/{name}", f"uid-{name}", version)


# ------------------------------------------------------------------ what is an echo


def test_what_the_run_wrote_is_an_echo_before_and_after_its_end_and_only_once() -> None:
    for early in (True, False):
        echoes = Echoes()
        echoes.begin(KEY)
        if early:
            assert echoes.take(wake("5"))
        assert echoes.end(KEY, [wrote("5")]) is None
        if not early:
            assert echoes.take(wake("5"))
        assert not echoes.take(wake("5"))
        assert len(echoes) == 0


@pytest.mark.parametrize(
    "other",
    [wake("6"), wake("4"), wake("5", name="sibling"), wake("5", kind=DEPLOYMENT), wake(None)],
    ids=["newer", "older", "another object", "another kind", "a deletion"],
)
def test_anything_else_is_none(other: Wake) -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    assert echoes.end(KEY, [wrote("5")]) is None
    assert not echoes.take(other)
    echoes.begin(KEY)
    assert echoes.take(other)
    assert echoes.end(KEY, [wrote("5")]) == other


def test_a_child_made_anew_under_its_name_is_none() -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    echoes.end(KEY, [wrote("5")])
    assert not echoes.take(Wake(KEY, NORMAL, True, "x", Write(CONFIG_MAP, "default/child", "another", "5")))


def test_a_change_by_another_that_the_runs_own_write_came_after_is_known_by_its_answer() -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    echoes.take(wake("4"))
    echoes.take(wake("5"))
    assert echoes.end(KEY, [wrote("5")]) is None


def test_the_next_run_begins_with_nothing_remembered() -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    echoes.end(KEY, [wrote("5")])
    echoes.begin(KEY)
    echoes.end(KEY, [])
    assert not echoes.take(wake("5"))


def test_wakes_that_were_held_are_as_urgent_together_as_the_most_urgent_of_them() -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    for each in (wake("4", priority=LOW), wake("7", kind=FOO, respect=False), wake(None, priority=LOW, lost=True)):
        assert echoes.take(each)
    due = echoes.end(KEY, [])
    assert due is not None
    assert (due.priority, due.respect_backoff, due.lost) == (NORMAL, False, True)


def test_what_is_held_while_a_key_runs_for_long_has_a_limit_and_loses_nothing() -> None:
    echoes = Echoes()
    echoes.begin(KEY)
    for number in range(3 * HELD):
        assert echoes.take(wake(str(number), name=f"pod-{number}"))
    assert echoes.take(wake("9", name="pod-0"))  # one that is held is held on
    assert len(echoes._running[KEY].changes) == HELD
    known = [wrote(str(number), f"pod-{number}") for number in range(1, HELD)] + [wrote("9", "pod-0")]
    due = echoes.end(KEY, known)
    assert due is not None  # of the rest it cannot be told whether they are echoes
    assert len(echoes) == 0


def test_runs_that_own_writes_alone_lead_to_are_counted_and_put_off_in_the_end() -> None:
    echoes = Echoes()

    def run(number: int, *others: Wake) -> int:
        """A run that writes, and looked at the kind; afterwards it hears of that, and perhaps of others."""
        rounds = echoes.begin(KEY)
        echoes.end(KEY, [], [wrote(str(number))])
        for each in (wake(str(number)), *others):
            assert not echoes.take(each)
        return rounds

    assert [run(number) for number in range(SELF_WOKEN)] == list(range(SELF_WOKEN))
    assert echoes.delay(KEY) == 0
    assert [run(SELF_WOKEN), echoes.delay(KEY)] == [SELF_WOKEN, 1]
    assert [run(SELF_WOKEN + 1, wake("another's", "other")), echoes.delay(KEY)] == [SELF_WOKEN + 1, 0]
    assert [run(1000), echoes.delay(KEY)] == [0, 2]  # it was another's change, and the loop goes on
    for number in range(1001, 1010):
        run(number)
    assert echoes.delay(KEY) == LONGEST_DELAY
    echoes.begin(KEY)
    echoes.end(KEY, [], [])  # it writes nothing: that was it
    assert [run(2000), echoes.delay(KEY)] == [0, 0]


def test_of_how_many_keys_the_writes_are_remembered_has_a_limit() -> None:
    echoes = Echoes()
    for number in range(REMEMBERED + 100):
        echoes.begin(f"default/{number}")
        echoes.end(f"default/{number}", [wrote("5")], [wrote("5"), wrote("6", "other")])
    assert len(echoes._last) == REMEMBERED
    assert [len(last.written) for last in echoes._last.values()] == [1] * REMEMBERED


@pytest.mark.parametrize("seen", ["v1beta1", "v1"])
def test_a_look_at_any_version_of_a_kind_is_a_look_at_the_kind(seen: str) -> None:
    run = Run({"metadata": {"name": "a", "namespace": "default"}}, Any, 1, None)  # type: ignore[arg-type]
    run.writes.append(wrote("5", kind=DEPLOYMENT))
    assert run.known(run.obj, FOO) == run.writes
    run.read.add(replace(DEPLOYMENT, version=seen).group_resource)
    assert run.known(run.obj, FOO) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["begin", "end", "ours", "theirs", "told"]), st.integers(0, 2), st.booleans())))
def test_whatever_the_order_a_key_that_is_not_queued_knows_the_newest_of_everything(steps: list[tuple[str, int, bool]]) -> None:
    """Three children, changed by the key's runs and by others, told of late and only in their newest form."""
    echoes, newest, told = Echoes(), [0, 0, 0], [0, 0, 0]
    knows, writes = [0, 0, 0], dict[int, int]()
    running = queued = False
    version = 0
    closing = [("end", 0, False), *[("told", child, False) for child in range(3)]]
    for step, child, reads in [*steps, *closing]:
        if step == "begin" and not running:
            running, queued, knows, writes = True, False, list(told), {}
            echoes.begin(KEY)
        elif step == "end" and running:
            running = False
            known = {} if reads else writes
            knows = [known.get(each, knows[each]) for each in range(3)]
            queued = echoes.end(KEY, [wrote(str(known[each]), str(each)) for each in known]) is not None or queued
        elif step == "ours" and running:
            version += 1
            newest[child] = writes[child] = version
        elif step == "theirs":
            version += 1
            newest[child] = version
        elif step == "told" and told[child] != newest[child]:
            told[child] = newest[child]
            queued = not echoes.take(wake(str(newest[child]), str(child))) or queued
    assert queued or knows == newest


# ------------------------------------------------------------------ on the API server


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd())
    return cluster


def counted(runs: list[int], then: Callable[[Object, Context], Any]) -> Callable[[Object, Context], Any]:
    def function(obj: Object, ctx: Context) -> Any:
        runs.append(1)
        return then(obj, ctx)

    return function


def nothing(obj: Object, ctx: Context) -> None:
    """A cleanup."""


def test_a_new_object_with_a_finalizer_children_and_a_status_runs_once(world: Cluster, operator: StartOperator) -> None:
    runs: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        for name in ("a", "b", "c"):
            ctx.apply(config_map(name))
        ctx.apply_set([config_map("d")])
        ctx.patch_status({"done": True})

    world.create(team())
    running = operator(teams(counted(runs, function), cleanup=nothing, owns=["v1/ConfigMap"]))
    for _ in range(3):  # everything that comes back was told by then
        running.settle()
    assert len(runs) == 1


def test_a_requeue_is_not_cut_short_by_what_the_run_wrote(world: Cluster, operator: StartOperator) -> None:
    runs: list[int] = []

    def function(obj: Object, ctx: Context) -> Result:
        ctx.apply(config_map("a"))
        return Result(requeue_after="1h")

    world.create(team())
    operator(teams(counted(runs, function), owns=["v1/ConfigMap"])).settle().settle()
    assert len(runs) == 1


@pytest.mark.parametrize(
    "look",
    [
        lambda ctx: ctx.children("v1/ConfigMap"),
        lambda ctx: ctx.list("v1/ConfigMap"),
        lambda ctx: ctx.get_or_none("v1/ConfigMap", "a"),
        lambda ctx: ctx.live.get_or_none("v1/ConfigMap", "a"),
        lambda ctx: ctx.live.list("v1/ConfigMap"),
    ],
    ids=["children", "list", "get", "live.get", "live.list"],
)
def test_a_function_that_looked_before_it_wrote_looks_again(world: Cluster, operator: StartOperator, look: Any) -> None:
    seen: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        found = look(ctx)
        seen.append(len(found) if isinstance(found, list) else int(found is not None))
        ctx.apply(config_map("a"))

    world.create(team())
    operator(teams(function, owns=["v1/ConfigMap"])).settle()
    assert seen[0] < seen[-1]


def test_a_function_that_applied_twice_and_saw_two_forms_runs_again(world: Cluster, operator: StartOperator) -> None:
    seen: list[tuple[Any, Any]] = []
    both = {"made": "by operator-kit", "more": "of it"}

    def function(obj: Object, ctx: Context) -> None:
        lister = ctx._scope.caches.lister("v1/ConfigMap")

        def told(data: Object) -> None:
            eventually(lambda: (lister.get("default/a") or {}).get("data") == data, f"{data} in the cache")
            lister.informers[0].wait_told()

        first = ctx.apply(config_map("a"))
        if not seen:
            world.patch("v1/ConfigMap", "a", {"data": {"made": "by hand", "more": "of it"}})
            told({"made": "by hand", "more": "of it"})
        second = ctx.apply(config_map("a"))
        told(both)
        seen.append((first["data"], second["data"]))

    world.create(team())
    operator(teams(function, owns=["v1/ConfigMap"])).settle()
    assert seen[0] == ({"made": "by operator-kit"}, both)
    assert seen[-1] == (both, both)


def test_a_change_by_another_in_the_middle_of_a_run_is_seen(world: Cluster, operator: StartOperator) -> None:
    """Whoever changes a child between the run's write and its end has changed it after all that the run knew."""
    runs: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("a"))
        if len(runs) == 1:
            world.patch("v1/ConfigMap", "a", {"data": {"made": "by hand"}})

    world.create(team())
    operator(teams(counted(runs, function), owns=["v1/ConfigMap"])).settle()
    found = world.get("v1/ConfigMap", "a")
    assert found is not None
    assert found["data"] == {"made": "by operator-kit"}
    assert len(runs) == 2


def test_a_change_of_the_object_in_the_middle_of_its_run_is_seen(world: Cluster, operator: StartOperator) -> None:
    sizes: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        sizes.append(obj["spec"]["size"])
        if len(sizes) == 1:
            world.patch("Team", "red", {"spec": {"size": 2}})

    world.create(team(size=1))
    operator(teams(function, cleanup=nothing)).settle()
    assert sizes == [1, 2]


def test_a_resync_runs_everything_again(world: Cluster, operator: StartOperator) -> None:
    runs: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("a"))

    world.create(team())
    running = operator(teams(counted(runs, function), owns=["v1/ConfigMap"]), resync="200ms").settle()
    before = len(runs)
    world.wait("Team", "red", lambda _: len(runs) > before)
    running.stop()


def test_without_a_watch_each_list_runs_also_what_it_finds_changed_in_what_leads_to_no_run(
    world: Cluster, operator: StartOperator, fake_clock: FakeClock
) -> None:
    """Others write the status between every two lists, and the first run has put the finalizer on: its echo is that list's."""
    runs: list[int] = []
    world.create(team())
    registry = teams(counted(runs, lambda _obj, _ctx: None), cleanup=nothing)
    running = operator(registry, clock=fake_clock, watch=False, resync="60s")
    eventually(lambda: fake_clock.advance(0.01) or runs, "the first run")
    eventually(lambda: (world.get("Team", "red") or {})["metadata"].get("finalizers"), "the finalizer")
    (informer,) = running.informers()

    def listed() -> bool:
        entry, newest = informer.store.entry("default/red"), world.get("Team", "red")
        assert entry is not None
        assert newest is not None
        return bool(entry.resource_version == newest["metadata"]["resourceVersion"])

    for number in (2, 3, 4):
        if number > 2:
            world.patch("Team", "red", {"status": {"seen": number}}, subresource="status")
        eventually(lambda: fake_clock.advance(10) or listed(), "the next list", every=0.02)
        eventually(lambda: len(runs) >= number, f"run {number}, by this list")  # noqa: B023  # called here and now


STEPS = ["apply a", "apply b", "apply c", "get a", "get b", "live c", "children", "set", "fail", "status"]


def program(obj: Object, ctx: Context) -> list[Any]:
    """What the spec says, and all that the function was answered meanwhile."""
    own, answers = obj["metadata"]["name"], list[Any]()

    def child(letter: str) -> Object:
        return config_map(f"{own}-{letter}")

    def shown(found: Object | None) -> Any:
        return None if found is None else (found["data"], found["metadata"].get("labels"))

    for step in obj["spec"]["members"]:
        match step.split():
            case ["apply", letter]:
                answers.append(shown(ctx.apply(child(letter))))
            case ["get", letter]:
                answers.append(shown(ctx.get_or_none("v1/ConfigMap", f"{own}-{letter}")))
            case ["live", letter]:
                answers.append(shown(ctx.live.get_or_none("v1/ConfigMap", f"{own}-{letter}")))
            case ["children"]:
                answers.append(sorted((each["metadata"]["name"], str(shown(each))) for each in ctx.children("v1/ConfigMap")))
            case ["set"]:
                answers.append([shown(each) for each in ctx.apply_set([child("s"), child("t")])])
            case ["fail"] if ctx.attempt == 1:
                raise ServerError("the first attempt fails", status=500)  # of which no condition tells
            case ["status"]:
                ctx.patch_status({"steps": len(obj["spec"]["members"])})
    return answers


def test_at_rest_no_run_would_be_answered_otherwise_than_the_last_was(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    """Programs of all sorts, while others change and delete their children: what was dropped was no news."""
    chance, last = random.Random(7), dict[str, list[Any]]()

    def function(obj: Object, ctx: Context) -> None:
        last[ctx.key] = program(obj, ctx)

    def steps() -> list[str]:
        return chance.sample(STEPS, chance.randint(1, 6))

    names = [f"team-{number}" for number in range(8)]
    for name in names:
        world.create(team(name, steps()))
    running = operator(teams(function, cleanup=nothing, owns=["v1/ConfigMap"], workers=3))
    for number in range(12):
        for _ in range(12):
            name, child = chance.choice(names), f"{chance.choice(names)}-{chance.choice('abcst')}"
            with suppress(NotFound):
                match chance.randrange(4):
                    case 0:
                        world.patch("Team", name, {"spec": {"members": steps()}})
                    case 1:
                        world.delete("v1/ConfigMap", child)
                    case 2:
                        world.patch("v1/ConfigMap", child, {"metadata": {"labels": {"theirs": str(number)}}})
                    case 3:
                        world.patch("v1/ConfigMap", child, {"data": {"more": str(chance.random())}})
        running.settle()
        writes.take()
        before = dict(last)
        for key in before:
            running.manager.controllers[0].queue.add(key)
        running.settle()
        assert (last, writes.take()) == (before, [])


# ------------------------------------------------------------------ a child is gone: perhaps because its owner is


def test_a_child_that_was_deleted_makes_the_run_look_whether_its_owner_is_still_there(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    world.create(team(members=["a"]))

    def function(obj: Object, ctx: Context) -> None:
        for name in obj["spec"]["members"]:
            ctx.apply(config_map(name))

    running = operator(teams(function, owns=["v1/ConfigMap"])).settle()
    writes.take()
    for propagation in ("Background", "Foreground"):
        world.client.delete(world.client.discovery.resolve("Team"), "red", "default", propagation=propagation)
        world.wait_gone("v1/ConfigMap", "a")
        running.settle()
        assert writes.take() == []
        world.create(team(members=["a"]))
        running.settle()
        assert writes.take() == ["patch configmaps default/a"]


def test_a_look_that_fails_is_made_again_before_anything_is(
    world: Cluster, operator: StartOperator, faults: OperatorFaults
) -> None:
    runs: list[int] = []
    world.create(team())
    running = operator(
        teams(counted(runs, lambda _obj, ctx: ctx.apply(config_map("a")) and None), owns=["v1/ConfigMap"])
    ).settle()
    before = len(runs)
    with faults.during("status", verb="get", resource="teams.example.com", code=403) as fault:
        world.delete("v1/ConfigMap", "a")
        eventually(lambda: faults.struck(fault) >= 3, "three looks that fail")
        assert len(runs) == before
    running.settle()
    assert len(runs) == before + 1
    assert world.get("v1/ConfigMap", "a")
