"""A child that is changed back again and again is told of once, and applied at a slower pace, for ever."""

from __future__ import annotations

import pytest

from operator_kit import Context
from operator_kit.clock import FakeClock
from operator_kit.controller.children import first_difference, projection
from operator_kit.controller.echoes import SELF_WOKEN
from operator_kit.controller.loops import FIRST_DELAY, LONGEST_DELAY, REPAIRS, WINDOW, UpdateLoops, Wish, holders
from operator_kit.errors import PermanentError
from operator_kit.objects import Object
from operator_kit.predicates import anything
from operator_kit.testing import Cluster, OperatorWrites, RunningOperator, StartOperator, assert_event, assert_object
from tests.controller.fakes import CONFIG_MAP
from tests.controller.teams import config_map, crd, team, teams
from tests.processes import eventually

WISH = Wish(CONFIG_MAP, "default/a", "default/red", "x")
OTHER = WISH._replace(digest="y")


# ------------------------------------------------------------------ counting


def repair(loops: UpdateLoops, clock: FakeClock, every: float, times: int = REPAIRS) -> list[bool]:
    news = []
    for _ in range(times):
        clock.advance(every)
        news.append(loops.count(WISH))
    return news


def test_a_loop_is_news_once_and_then_the_pace_halves_down_to_the_slowest() -> None:
    clock = FakeClock()
    loops = UpdateLoops(clock)
    assert repair(loops, clock, 0.1) == [False] * (REPAIRS - 1) + [True]
    delay = FIRST_DELAY
    for _ in range(20):
        assert loops.wait(WISH) == pytest.approx(delay)
        clock.advance(delay)
        assert loops.wait(WISH) == 0
        assert not loops.count(WISH)
        delay = min(LONGEST_DELAY, delay * 2)
    assert delay == LONGEST_DELAY


def test_repairs_that_are_far_apart_are_no_loop() -> None:
    clock = FakeClock()
    loops = UpdateLoops(clock)
    assert not any(repair(loops, clock, WINDOW / (REPAIRS - 1) + 1, times=20))
    assert loops.wait(WISH) == 0


def test_other_content_is_applied_at_once_and_begins_anew() -> None:
    clock = FakeClock()
    loops = UpdateLoops(clock)
    repair(loops, clock, 0.1)
    assert loops.wait(OTHER) == 0
    assert not loops.count(OTHER)
    assert loops.wait(WISH) == 0


def test_a_loop_that_ended_long_ago_is_news_again() -> None:
    clock = FakeClock()
    loops = UpdateLoops(clock)
    for _ in range(2):
        assert repair(loops, clock, 0.1)[-1]
        clock.advance(WINDOW + LONGEST_DELAY)


def test_what_is_remembered_has_a_limit() -> None:
    loops = UpdateLoops(FakeClock())
    for number in range(5000):
        loops.count(WISH._replace(key=f"default/{number}"))
    assert len(loops) == 4096


# ------------------------------------------------------------------ who it was


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("spec", "replicas"), ["scaler"]),
        (("spec", "template", "containers", 0, "image"), ["deployer"]),
        (("spec", "template", "containers", 1, "image"), []),
        (("metadata", "labels", "a.b/c"), ["labeller"]),
        (("metadata", "finalizers", 0), ["holder"]),
        (("spec", "whole", "below"), ["deployer"]),
        (("spec", "nobody"), []),
    ],
)
def test_the_manager_of_a_field_is_found(path: tuple[str | int, ...], found: list[str]) -> None:
    image = {"f:template": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}, "f:whole": {}}
    managed = [
        {"manager": "us", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:nobody": {}}}},
        {"manager": "scaler", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "deployer", "fieldsV1": {"f:spec": image}},
        {"manager": "labeller", "fieldsV1": {"f:metadata": {"f:labels": {"f:a.b/c": {}}}}},
        {"manager": "holder", "fieldsV1": {"f:metadata": {"f:finalizers": {'v:"x.y/z"': {}}}}},
        {"manager": "odd", "fieldsV1": {"f:spec": {"f:template": {"f:containers": {"k:not json": {}}}}}},
    ]
    obj: Object = {
        "metadata": {"managedFields": managed, "labels": {"a.b/c": "d"}, "finalizers": ["x.y/z"]},
        "spec": {
            "replicas": 1,
            "template": {"containers": [{"name": "web", "image": "a"}, {"name": "other"}]},
            "whole": {"below": 1},
        },
    }
    assert holders(obj, path, besides="us") == found


# ------------------------------------------------------------------ on the API server


def one_child(obj: Object, ctx: Context) -> None:
    ctx.apply(config_map("a"))


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd())
    return cluster


def test_two_writers_that_fight_over_a_field(
    world: Cluster,
    operator: StartOperator,
    writes: OperatorWrites,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = world.create(team())
    running = operator(teams(one_child, owns=["v1/ConfigMap"]), clock=fake_clock).settle()
    writes.take()

    def fight() -> bool:
        """The rival writes once; whether the operator has put it right."""
        world.patch("v1/ConfigMap", "a", {"data": {"made": "by a rival"}})
        running.settle()
        found = world.get("v1/ConfigMap", "a")
        assert found is not None
        return bool(found["data"]["made"] == "by operator-kit")

    assert all(fight() for _ in range(REPAIRS))
    assert len(writes.take()) == REPAIRS
    said = [record.message for record in caplog.records if "again and again" in record.message]
    text = "data.made is changed back again and again, by test. It is applied at most once in 60 s from now on"
    assert said == [f"team: ConfigMap default/a: {text}; leave the field to one of the two"]
    assert_event(world.events_of(made), reason="UpdateLoop", type_="Warning", message="data.made")
    families = {family.name: family for family in running.manager.metrics.collect()}
    assert families["operator_kit_update_loops_total"].samples == [(("team", "configmaps"), 1)]

    assert not fight()  # it is held back now: however often the rival writes, nothing is sent
    assert not fight()
    assert writes.take() == []
    fake_clock.advance(FIRST_DELAY)
    running.settle()
    assert_object(world.get("v1/ConfigMap", "a"), {"data": {"made": "by operator-kit"}})
    assert len(writes.take()) == 1
    assert len([record for record in caplog.records if "again and again" in record.message]) == 1

    assert not fight()
    world.patch("Team", "red", {"spec": {"other": "thing"}})  # a change of the owner changes nothing of what is desired
    running.settle()
    assert writes.take() == []
    fake_clock.advance(2 * FIRST_DELAY)
    running.settle()
    assert len(writes.take()) == 1


def test_two_objects_of_one_controller_that_want_different_content_of_one_child(
    world: Cluster,
    operator: StartOperator,
    writes: OperatorWrites,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody owns it, so nobody refuses: each puts right what the other has made of it, as fast as the watch tells."""

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("shared", data={"of": obj["metadata"]["name"]}), owned=False)

    made = [world.create(team(name)) for name in ("blue", "red")]
    both = ["default/blue", "default/red"]
    operator(teams(function, watches={"v1/ConfigMap": lambda _: both}), clock=fake_clock).settle()
    applied = writes.take()
    assert set(applied) == {"patch configmaps default/shared"}
    assert len(applied) <= 2 * REPAIRS + 2  # the first of each finds nothing there
    said = [record.message for record in caplog.records if "again and again" in record.message]
    assert any("data.of is changed back again and again, by this controller for Team default/blue." in line for line in said)
    assert any("data.of is changed back again and again, by this controller for Team default/red." in line for line in said)
    for owner in made:
        world.wait_event(owner, reason="UpdateLoop", type_="Warning", message="this controller")


@pytest.mark.parametrize("what", ["child", "status", "made anew"])
def test_a_function_that_writes_something_else_each_time_and_looks_at_it(
    world: Cluster, operator: StartOperator, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    runs: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        runs.append(len(runs))
        if what == "child":
            ctx.get_or_none("v1/ConfigMap", "a")
            ctx.apply(config_map("a", data={"made": f"at {len(runs)} o'clock"}))
        elif what == "made anew":  # what it compares with is never what it finds
            if not ctx.delete("v1/ConfigMap", "a"):
                ctx.apply(config_map("a"))
        else:
            ctx.patch_status({"runs": len(runs)})

    def told() -> list[str]:
        return [record.message for record in caplog.records if "for nothing but what it wrote itself" in record.message]

    made = world.create(team())
    running = operator(teams(function, owns=["v1/ConfigMap"], predicates=anything), clock=fake_clock).settle()
    assert len(runs) == SELF_WOKEN + 1
    written = "Team default/red" if what == "status" else "ConfigMap default/a"
    assert len(told()) == 1
    assert told()[0].startswith(
        f"team: default/red was reconciled {SELF_WOKEN} times in a row for nothing but what it wrote itself: "
    )
    assert f": {written}, each time anew." in told()[0]
    world.wait_event(made, reason="UpdateLoop", type_="Warning", message=written)
    families = {family.name: family for family in running.manager.metrics.collect()}
    assert families["operator_kit_update_loops_total"].samples == [(("team", "teams.example.com"), 1)]

    running.settle()
    assert len(runs) == SELF_WOKEN + 1
    fake_clock.advance(FIRST_DELAY)
    running.settle()
    assert len(runs) == SELF_WOKEN + 2
    world.patch("Team", "red", {"spec": {"other": "thing"}})  # what others change is as urgent as ever
    running.settle()
    assert len(runs) == SELF_WOKEN + 3
    fake_clock.advance(2 * FIRST_DELAY)
    running.settle()
    assert len(runs) == SELF_WOKEN + 4
    assert len(told()) == 1


def test_a_loop_is_never_given_up_even_where_the_run_is(world: Cluster, operator: StartOperator, fake_clock: FakeClock) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("a"))
        raise PermanentError("the spec is wrong")

    def made() -> str:
        found = world.get("v1/ConfigMap", "a")
        return str(found["data"]["made"]) if found is not None else ""

    world.create(team())
    running = operator(teams(function, owns=["v1/ConfigMap"]), clock=fake_clock).settle()
    for _ in range(REPAIRS):
        world.patch("v1/ConfigMap", "a", {"data": {"made": "by a rival"}})
        running.settle()
        assert made() == "by operator-kit"
    world.patch("v1/ConfigMap", "a", {"data": {"made": "by a rival"}})
    (controller,) = running.manager.controllers
    eventually(lambda: controller.queue.snapshot().delayed_count, "the apply that is held back")
    assert made() == "by a rival"
    fake_clock.advance(FIRST_DELAY)
    eventually(lambda: made() == "by operator-kit", "the apply")


def test_an_apply_that_is_refused_is_an_error_each_time_and_no_loop(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody changes anything back: the server never took it. An apply that is held back would look like a success."""
    attempts: list[int] = []

    def function(obj: Object, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        ctx.apply(config_map("a", data={"bad/name" if obj["spec"].get("bad") else "good": "x"}))

    world.create(team())
    running = operator(teams(function, owns=["v1/ConfigMap"], backoff=("1ms", "20ms"))).settle()
    world.patch("Team", "red", {"spec": {"bad": True}})
    eventually(lambda: attempts[-1] > 2 * REPAIRS, "enough attempts, and none that succeeded in between", every=0.01)
    running.wait_failing("Invalid")
    assert "again and again" not in caplog.text
    world.patch("Team", "red", {"spec": {"bad": False}})
    running.settle()
    assert_object(world.get("v1/ConfigMap", "a"), {"data": {"good": "x"}})


def test_what_the_server_makes_of_an_apply_is_no_reason_to_apply_again(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, caplog: pytest.LogCaptureFixture
) -> None:
    """The server writes a quantity its own way, where nobody expects one; an admission webhook may change anything."""

    def function(obj: Object, ctx: Context) -> None:
        limit = {"type": "Container", "default": {"cpu": f"{obj['spec']['cpus']}000m"}}
        ctx.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "a"}, "spec": {"limits": [limit]}})

    def start() -> RunningOperator:
        return operator(teams(function, owns=["v1/LimitRange"])).settle()

    world.create(team(cpus=1))
    running = start()
    apply = ["patch limitranges default/a"]
    assert writes.take() == apply
    for value in ("one", "two"):  # others go on with it
        world.patch("v1/LimitRange", "a", {"metadata": {"labels": {"theirs": value}}})
        running.settle()
    assert writes.take() == []
    world.patch("v1/LimitRange", "a", {"spec": {"limits": [{"type": "Container", "default": {"cpu": "7"}}]}})
    running.settle()
    assert writes.take() == apply
    world.patch("Team", "red", {"spec": {"cpus": 2}})
    running.settle()
    assert writes.take() == apply
    running.stop()
    assert "in another form" not in caplog.text
    start()  # it cannot know, and finds out with one apply, which changes nothing
    assert writes.take() == apply
    assert "LimitRange default/a: the API server stores spec.limits[0].default.cpu in another form than it is" in caplog.text


def test_a_controller_that_applies_a_child_in_two_forms_is_told_so(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("a"))
        ctx.apply(config_map("a"))  # the same again is nothing
        ctx.apply(config_map("a", data={"made": "otherwise"}))

    world.create(team())
    running = operator(teams(function, owns=["v1/ConfigMap"]))
    running.wait_failing("ConfigMap default/a is applied twice in one run, and differently")
    assert_object(world.get("v1/ConfigMap", "a"), {"data": {"made": "by operator-kit"}})


def test_two_live_objects_that_hold_equally_much_have_the_same_projection() -> None:
    desired = {"metadata": {"finalizers": ["a"]}, "spec": {"list": [{"a": 1}], "x": "1000m"}}
    one = {
        "metadata": {"finalizers": ["b", "a"], "uid": "1"},
        "spec": {"list": [{"a": 2, "b": 3}], "x": "1", "y": 1},
        "status": 1,
    }
    two = {"metadata": {"finalizers": ["a"]}, "spec": {"list": [{"a": 2}], "x": "1"}}
    assert projection(desired, one) == projection(desired, two)
    two["spec"]["list"] = [{"a": 3}]
    assert projection(desired, one) != projection(desired, two)
    assert first_difference(desired, one) == ("spec", "list", 0, "a")
