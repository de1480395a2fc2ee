"""`ctx.apply_set`: the children are those that are desired, whatever happened in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from operator_kit import AsyncContext, Context
from operator_kit.controller.sets import rank
from operator_kit.errors import UsageError
from operator_kit.objects import Object, Resource
from operator_kit.testing import Cluster, OperatorFaults, OperatorWrites, StartOperator, assert_event, assert_object
from tests.controller.fakes import CONFIG_MAP, DEPLOYMENT, FOO, NAMESPACE, SECRET
from tests.controller.teams import config_map, crd, team, teams


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd())
    return cluster


def names(cluster: Cluster, kind: str = "v1/ConfigMap", namespace: str | None = None) -> list[str]:
    return [obj["metadata"]["name"] for obj in cluster.list(kind, namespace=namespace)]


def members(obj: Object, ctx: Context) -> None:
    ctx.apply_set(config_map(name) for name in obj["spec"]["members"])


OWNS: dict[str, Any] = {"owns": ["v1/ConfigMap"]}


def test_what_is_desired_is_there_and_what_is_not_any_more_is_gone(world: Cluster, operator: StartOperator) -> None:
    world.create(team(members=["a", "b", "c"]))
    running = operator(teams(members, **OWNS)).settle()
    assert names(world) == ["a", "b", "c"]
    world.patch("Team", "red", {"spec": {"members": ["c", "d"]}})
    running.settle()
    assert names(world) == ["c", "d"]
    world.patch("Team", "red", {"spec": {"members": []}})
    running.settle()
    assert names(world) == []


def test_nothing_is_written_to_the_owner_and_members_say_to_which_set_they_belong(
    world: Cluster, operator: StartOperator
) -> None:
    before = world.create(team(members=["a"]))
    operator(teams(members, **OWNS)).settle()
    assert world.get("Team", "red") == before
    assert_object(world.get("v1/ConfigMap", "a"), {"metadata": {"labels": {"example.com/team.set": "children"}}})


def test_the_children_come_back_in_the_order_in_which_they_were_given(world: Cluster, operator: StartOperator) -> None:
    got: list[list[str]] = []

    def function(obj: Object, ctx: Context) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}}
        live = ctx.apply_set([service, config_map("b"), secret, config_map("a")])
        got.append([child["metadata"]["name"] for child in live])
        assert all(child["metadata"]["uid"] for child in live)

    world.create(team())
    operator(teams(function, owns=["v1/ConfigMap", "v1/Secret", "v1/Service"])).settle()
    assert set(map(tuple, got)) == {("x", "b", "s", "a")}


def test_what_others_need_is_applied_first_and_deleted_last(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    def function(obj: Object, ctx: Context) -> None:
        meta = {"name": "x"}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}}
        ctx.apply_set([service, config_map("x"), account] if obj["spec"]["members"] else [])

    world.create(team(members=["some"]))
    running = operator(teams(function, owns=["v1/Service", "v1/ConfigMap", "v1/ServiceAccount"])).settle()
    order = ["serviceaccounts", "configmaps", "services"]
    assert writes.take() == [f"patch {plural} default/x" for plural in order]
    world.patch("Team", "red", {"spec": {"members": []}})
    running.settle()
    assert writes.take() == [f"delete {plural} default/x" for plural in reversed(order)]


def test_the_order_of_kinds() -> None:
    webhooks = Resource("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "x", namespaced=False)
    assert sorted([webhooks, DEPLOYMENT, FOO, SECRET, NAMESPACE, CONFIG_MAP], key=rank) == [
        NAMESPACE,
        SECRET,
        CONFIG_MAP,
        DEPLOYMENT,
        FOO,
        webhooks,
    ]


def test_an_operator_that_died_between_applying_and_deleting_is_made_good(
    world: Cluster, operator: StartOperator, faults: OperatorFaults
) -> None:
    world.create(team(members=["a", "b"]))
    first = operator(teams(members, **OWNS)).settle()
    with faults.during("status", verb="delete", code=500):
        world.patch("Team", "red", {"spec": {"members": ["b", "c"]}})
        first.wait_failing("ServerError")
        assert names(world) == ["a", "b", "c"]
        first.stop()
    operator(teams(members, **OWNS)).settle()
    assert names(world) == ["b", "c"]


def test_nothing_is_deleted_unless_everything_was_applied(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply_set(config_map(name, data={"size": name} if name != "bad" else {"/": ""}) for name in obj["spec"]["members"])

    world.create(team(members=["a"]))
    running = operator(teams(function, **OWNS)).settle()
    world.patch("Team", "red", {"spec": {"members": ["bad", "c"]}})
    running.wait_failing("Invalid")
    assert names(world) == ["a"]
    world.patch("Team", "red", {"spec": {"members": ["c"]}})
    running.settle()
    assert names(world) == ["c"]


def test_a_kind_that_left_the_code_and_is_still_declared_is_deleted(world: Cluster, operator: StartOperator) -> None:
    def both(obj: Object, ctx: Context) -> None:
        ctx.apply_set([config_map("a"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}])

    def without(obj: Object, ctx: Context) -> None:
        ctx.apply_set([config_map("a")])

    world.create(team())
    declared = ["v1/ConfigMap", "v1/Secret"]
    operator(teams(both, owns=declared)).settle().stop()
    assert names(world, "v1/Secret") == ["s"]
    operator(teams(without, owns=["v1/ConfigMap"])).settle().stop()
    assert names(world, "v1/Secret") == ["s"]  # nobody looks at Secrets any more
    operator(teams(without, owns=declared)).settle()
    assert names(world, "v1/Secret") == []
    assert names(world) == ["a"]


def test_sets_of_one_object_do_not_touch_each_other(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply_set([config_map(f"one-{name}") for name in obj["spec"]["members"]], name="one")
        ctx.apply_set([config_map(f"two-{name}") for name in obj["spec"]["others"]], name="two")
        ctx.apply(config_map("alone"))

    world.create(team(members=["a"], others=["b", "c"]))
    running = operator(teams(function, **OWNS)).settle()
    world.patch("Team", "red", {"spec": {"members": ["x"], "others": ["c"]}})
    running.settle()
    assert names(world) == ["alone", "one-x", "two-c"]


def test_a_child_that_moves_to_another_set_is_not_deleted_by_the_one_it_left(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        moved = obj["spec"]["members"]
        ctx.apply_set([config_map("a")] if moved else [], name="new")
        ctx.apply_set([] if moved else [config_map("a")], name="old")

    world.create(team())
    running = operator(teams(function, **OWNS)).settle()
    before = world.get("v1/ConfigMap", "a")
    assert before is not None
    world.patch("Team", "red", {"spec": {"members": ["moved"]}})
    running.settle()
    assert_object(
        world.get("v1/ConfigMap", "a"),
        {"metadata": {"uid": before["metadata"]["uid"], "labels": {"example.com/team.set": "new"}}},
    )


def test_only_what_this_owner_and_this_controller_made_is_deleted(world: Cluster, operator: StartOperator) -> None:
    def other(obj: Object, ctx: Context) -> None:
        ctx.apply_set([config_map(f"{obj['metadata']['name']}-other")])

    registry = teams(members, **OWNS)
    registry.reconciler("Team", name="second", owns=["v1/ConfigMap"])(other)
    stranger = config_map("stranger")
    stranger["metadata"]["labels"] = {"example.com/team.set": "children"}
    world.create(stranger)
    world.create(team("red", members=["a"]))
    world.create(team("blue", members=["b"]))
    running = operator(registry).settle()
    for name in ("red", "blue"):
        world.patch("Team", name, {"spec": {"members": []}})
    running.settle()
    assert names(world) == ["blue-other", "red-other", "stranger"]


def test_a_copy_with_our_label_that_was_never_applied_is_left_alone(world: Cluster, operator: StartOperator) -> None:
    world.create(team(members=["a"]))
    running = operator(teams(members, **OWNS)).settle()
    original = world.get("v1/ConfigMap", "a")
    assert original is not None
    meta = original["metadata"]
    copied = {"name": "copy", "labels": meta["labels"], "ownerReferences": meta["ownerReferences"]}
    world.create({**config_map("copy"), "metadata": copied})  # as some controllers copy labels, without our annotation
    running.settle()
    assert names(world) == ["a", "copy"]


def test_with_caches_that_are_behind_the_server_is_asked(world: Cluster, operator: StartOperator, faults: OperatorFaults) -> None:
    def function(obj: Object, ctx: Context) -> None:
        members(obj, ctx)

    world.create(team(members=["a", "b"]))
    running = operator(teams(function, **OWNS), watch=False, resync="200ms").settle()
    world.patch("Team", "red", {"spec": {"members": ["b"]}})
    running.settle()
    assert names(world) == ["b"]


@pytest.mark.parametrize(
    "refused",
    [
        ([config_map("a"), config_map("a")], "s", "ConfigMap default/a is given twice"),
        ([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}], "s", r"declare owns=\['v1/Pod'\]"),
        ([config_map("a")], "", "is no name for a set"),
        ([config_map("a")], "a b", "is no name for a set"),
        ([config_map("a")], "x" * 64, "is no name for a set"),
    ],
)
def test_a_set_that_cannot_be_is_refused_before_anything_is_written(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, refused: tuple[Sequence[Object], str, str]
) -> None:
    desired, name, message = refused

    def function(obj: Object, ctx: Context) -> None:
        with pytest.raises(UsageError, match=message):
            ctx.apply_set(desired, name=name)

    world.create(team())
    operator(teams(function, **OWNS)).settle()
    assert writes.take() == []


def test_in_an_async_function_it_is_awaited(world: Cluster, operator: StartOperator) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> None:
        live = await ctx.apply_set([config_map(name) for name in obj["spec"]["members"]], name="later")
        ctx.event("Made", ", ".join(child["metadata"]["name"] for child in live))

    created = world.create(team(members=["b", "a"]))
    running = operator(teams(function, **OWNS)).settle()
    assert_event(world.events_of(created), reason="Made", message="b, a")
    world.patch("Team", "red", {"spec": {"members": ["c"]}})
    running.settle()
    assert names(world) == ["c"]
