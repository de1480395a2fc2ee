"""Whose child an object is: adoption, children that no owner reference reaches, and what happens when the owner goes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from operator_kit import Context, PermanentError
from operator_kit.errors import AlreadyOwned, UsageError
from operator_kit.objects import Object, owner_reference
from operator_kit.testing import (
    Cluster,
    OperatorFaults,
    OperatorWrites,
    StartOperator,
    assert_condition,
    assert_object,
)
from tests.controller.teams import FINALIZER, config_map, crd, namespace, team, teams


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd(), namespace("elsewhere"))
    return cluster


def one_child(obj: Object, ctx: Context) -> None:
    ctx.apply(config_map("child"))


def child_elsewhere(obj: Object, ctx: Context) -> None:
    ctx.apply(config_map("child", "elsewhere"))


ELSEWHERE: dict[str, Any] = {"owns_by_label": ["v1/ConfigMap"]}


# ------------------------------------------------------------------ adoption


def test_what_nobody_controls_is_adopted(world: Cluster, operator: StartOperator) -> None:
    world.create({**config_map("child"), "data": {"theirs": "stays"}})
    world.create(team())
    operator(teams(one_child, owns=["v1/ConfigMap"])).settle()
    found = world.get("v1/ConfigMap", "child")
    assert_object(found, {"data": {"theirs": "stays", "made": "by operator-kit"}})
    assert found is not None
    assert [each["kind"] for each in found["metadata"]["ownerReferences"]] == ["Team"]


def test_an_owner_that_does_not_control_is_no_obstacle_and_stays(world: Cluster, operator: StartOperator) -> None:
    other = world.create(config_map("other"))
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [owner_reference(other, controller=False)]
    world.create(child)
    world.create(team())
    operator(teams(one_child, owns=["v1/ConfigMap"])).settle()
    found = world.get("v1/ConfigMap", "child")
    assert found is not None
    assert {each["kind"] for each in found["metadata"]["ownerReferences"]} == {"ConfigMap", "Team"}


def test_what_another_controls_is_refused_by_name_and_left_as_it_is(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    rival = world.create(config_map("rival"))
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [owner_reference(rival)]
    before = world.create(child)
    made = world.create(team())
    running = operator(teams(one_child, owns=["v1/ConfigMap"]))
    running.wait_failing(r"ConfigMap default/child is controlled by ConfigMap rival \(v1\) and is left alone")
    assert world.get("v1/ConfigMap", "child") == before
    assert [line for line in writes.take() if "configmaps" in line] == []
    assert_condition(world.get("Team", "red"), "Reconciled", False, reason="AlreadyOwned")
    world.wait_event(made, reason="AlreadyOwned", message="controlled by ConfigMap rival")


def test_what_another_controls_may_be_changed_without_owning_it(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("child"), owned=False)

    rival = world.create(config_map("rival"))
    child = config_map("child", data={"theirs": "stays"})
    child["metadata"]["ownerReferences"] = [owner_reference(rival)]
    world.create(child)
    world.create(team())
    operator(teams(function, owns=["v1/ConfigMap"])).settle()
    found = world.get("v1/ConfigMap", "child")
    assert_object(found, {"data": {"theirs": "stays", "made": "by operator-kit"}})
    assert found is not None
    assert found["metadata"]["ownerReferences"] == child["metadata"]["ownerReferences"]


def test_a_child_that_is_not_owned_any_more_is_let_go(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("child"), owned=bool(obj["spec"]["members"]))

    world.create(team(members=["x"]))
    running = operator(teams(function, owns=["v1/ConfigMap"])).settle()
    world.patch("Team", "red", {"spec": {"members": []}})
    running.settle()
    found = world.get("v1/ConfigMap", "child")
    assert found is not None
    assert not found["metadata"].get("ownerReferences")


def test_an_owner_made_anew_under_its_name_waits_for_the_child_of_the_former_one_to_go(
    world: Cluster, operator: StartOperator
) -> None:
    former = {"apiVersion": "example.com/v1", "kind": "Team", "metadata": {"name": "red", "uid": "0" * 8}}
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [owner_reference(former)]
    # A child that something holds: the garbage collector cannot remove it at once.
    child["metadata"]["finalizers"] = ["example.com/held"]
    left = world.create(child)
    world.create(team())
    running = operator(teams(one_child, owns=["v1/ConfigMap"]))
    running.wait_failing("belongs to a former Team red and is about to be collected")
    world.patch("v1/ConfigMap", "child", {"metadata": {"finalizers": None}})
    running.settle()
    found = world.get("v1/ConfigMap", "child")
    assert found is not None
    assert found["metadata"]["uid"] != left["metadata"]["uid"]


def test_an_owner_that_was_deleted_and_made_anew_has_children_of_its_own(world: Cluster, operator: StartOperator) -> None:
    for _ in range(3):
        made = world.create(team())
        running = operator(teams(one_child, owns=["v1/ConfigMap"])).settle()
        found = world.get("v1/ConfigMap", "child")
        assert found is not None
        assert found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        world.delete("Team", "red")
        running.stop()


# ------------------------------------------------------------------ drift


def test_drift_wakes_the_parent(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("near"))
        ctx.apply(config_map("far", "elsewhere"))

    world.create(team())
    running = operator(teams(function, **ELSEWHERE)).settle()
    for name, where in (("near", "default"), ("far", "elsewhere")):
        for patch in (
            {"data": {"made": "by hand"}},
            {"data": None},
            {"metadata": {"labels": None, "annotations": None, "ownerReferences": None}},
        ):
            world.patch("v1/ConfigMap", name, patch, namespace=where)
            running.settle()
            found = world.get("v1/ConfigMap", name, namespace=where)
            assert_object(found, {"data": {"made": "by operator-kit"}})
            assert found is not None
            assert found["metadata"].get("ownerReferences" if name == "near" else "labels")
        world.delete("v1/ConfigMap", name, namespace=where)
        running.settle()
        assert world.get("v1/ConfigMap", name, namespace=where)


def test_a_kind_of_children_that_is_not_declared_is_told_once(
    world: Cluster, operator: StartOperator, caplog: pytest.LogCaptureFixture
) -> None:
    def function(obj: Object, ctx: Context) -> None:
        for name in ("one", "two"):
            ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
        ctx.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "three"}, "spec": {"ports": [{"port": 80}]}}, owned=False
        )
        ctx.apply(config_map("near"))

    world.create(team())
    operator(teams(function, owns=["v1/ConfigMap"])).settle()
    told = [record.getMessage() for record in caplog.records if "not declared" in record.getMessage()]
    assert len(told) == 1
    assert "a child of the kind v1/Secret" in told[0]
    assert "add owns=['v1/Secret']" in told[0]


def test_a_child_of_its_own_kind_that_the_selector_leaves_out_is_told_once_and_applied_once(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, caplog: pytest.LogCaptureFixture
) -> None:
    """No cache ever holds it: it would be applied at every run, and the run after it would wait for it in vain."""

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply({**team("child"), "spec": {"size": obj["spec"].get("size", 1)}})

    labels = {"tier": "one"}
    parent = team("parent")
    parent["metadata"]["labels"] = labels
    world.create(parent)
    running = operator(teams(function, owns=["Team"], selector="tier=one")).settle()
    assert writes.take() == ["patch teams.example.com default/child"]
    for value in ("a", "b"):
        world.patch("Team", "parent", {"metadata": {"annotations": {"seen": value}}})
        running.settle()
    assert writes.take() == []
    world.patch("Team", "parent", {"spec": {"size": 2}})
    running.settle()
    assert writes.take() == ["patch teams.example.com default/child"]
    told = [record.getMessage() for record in caplog.records if "do not run its owner" in record.getMessage()]
    assert len(told) == 1
    assert "of its own kind without the labels of its selector 'tier=one'" in told[0]


def test_a_member_of_a_set_that_the_selector_leaves_out_is_refused(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply_set([team("child")])

    parent = team("parent")
    parent["metadata"]["labels"] = {"tier": "one"}
    world.create(parent)
    running = operator(teams(function, owns=["Team"], selector="tier=one"))
    running.wait_failing("Team default/child could not be found again: it is of its own kind without the labels of its selector")


def test_an_object_that_leaves_the_selection_with_its_finalizer_on_is_told_of(
    world: Cluster, operator: StartOperator, caplog: pytest.LogCaptureFixture
) -> None:
    def labelled(name: str, tier: str) -> Object:
        return {**team(name), "metadata": {"name": name, "labels": {"tier": tier}}}

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if "has left the selection" in record.getMessage()]

    cleaned: list[str] = []
    for name in ("gone", "left", "next"):
        world.create(labelled(name, "one"))
    made = teams(lambda obj, ctx: None, selector="tier=one", cleanup=lambda obj, ctx: cleaned.append(ctx.key))
    running = operator(made).settle()
    world.delete("Team", "gone")
    world.wait_gone("Team", "gone")
    running.settle()
    assert told() == []
    for name in ("left", "next"):
        world.patch("Team", name, {"metadata": {"labels": {"tier": "two"}}})
        running.settle()
    assert len(told()) == 1
    assert told()[0].startswith(
        f"team: default/left has left the selection (selector='tier=one') with the finalizer {FINALIZER} on"
    )
    assert cleaned == ["default/gone"]
    world.delete("Team", "left")
    world.patch("Team", "left", {"metadata": {"labels": {"tier": "one"}}})
    world.wait_gone("Team", "left")


# ------------------------------------------------------------------ children that no owner reference reaches


def test_a_child_in_another_namespace_belongs_by_label(world: Cluster, operator: StartOperator) -> None:
    seen: list[list[str]] = []

    def function(obj: Object, ctx: Context) -> None:
        child_elsewhere(obj, ctx)
        ctx.apply(config_map("near"))
        seen.append(sorted(child["metadata"]["name"] for child in ctx.children("v1/ConfigMap")))

    made = world.create(team())
    operator(teams(function, **ELSEWHERE)).settle()
    assert_object(
        world.get("v1/ConfigMap", "child", namespace="elsewhere"),
        {
            "metadata": {
                "labels": {"example.com/team.owner": made["metadata"]["uid"]},
                "annotations": {"example.com/team.owner": "default/red"},
                "ownerReferences": None,
            }
        },
    )
    assert seen[-1] == ["child", "near"]


def test_the_finalizer_is_on_before_such_a_child_can_be_made(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    world.create(team())
    operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    assert writes.take() == ["patch teams.example.com default/red", "patch configmaps elsewhere/child"]


def test_deleting_the_owner_deletes_them_after_the_authors_cleanup(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    there: list[bool] = []

    def cleanup(obj: Object, ctx: Context) -> None:
        there.append(ctx.get_or_none("v1/ConfigMap", "child", "elsewhere") is not None)

    world.create(team())
    world.create(team("blue"))

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("child" if obj["metadata"]["name"] == "red" else "other", "elsewhere"))

    running = operator(teams(function, cleanup=cleanup, **ELSEWHERE)).settle()
    writes.take()
    world.delete("Team", "red")
    running.settle()
    assert there == [True]
    assert writes.take() == ["delete configmaps elsewhere/child", "patch teams.example.com default/red"]
    assert world.get("Team", "red") is None
    assert [each["metadata"]["name"] for each in world.list("v1/ConfigMap", namespace="elsewhere")] == ["other"]


def test_one_that_the_cleanup_has_changed_is_deleted_like_the_others(world: Cluster, operator: StartOperator) -> None:
    def cleanup(obj: Object, ctx: Context) -> None:
        ctx.apply(config_map("child", "elsewhere", {"made": "to go"}))

    world.create(team())
    running = operator(teams(child_elsewhere, cleanup=cleanup, **ELSEWHERE)).settle()
    world.delete("Team", "red")
    running.settle()
    assert world.list("v1/ConfigMap", namespace="elsewhere") == []


def test_a_cluster_scoped_child_of_a_namespaced_owner_goes_with_it(world: Cluster, operator: StartOperator) -> None:
    def function(obj: Object, ctx: Context) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "elsewhere"}}  # by its metadata
        ctx.apply_set([secret, config_map("quota", "of-red"), namespace("of-red")])

    world.create(team())
    running = operator(teams(function, owns_by_label=["v1/Namespace", "v1/ConfigMap", "v1/Secret"])).settle()
    assert world.get("v1/ConfigMap", "quota", namespace="of-red")
    assert world.get("v1/Secret", "key", namespace="elsewhere")
    world.delete("Team", "red")
    running.settle()
    world.wait_gone("v1/Namespace", "of-red")
    assert world.get("v1/Secret", "key", namespace="elsewhere") is None
    assert world.get("v1/Namespace", "default")


def test_the_owner_stays_while_they_cannot_be_deleted(world: Cluster, operator: StartOperator, faults: OperatorFaults) -> None:
    world.create(team())
    running = operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    with faults.during("status", verb="delete", resource="configmaps", code=403):
        world.delete("Team", "red")
        running.wait_failing("Forbidden")
        found = world.get("Team", "red")
        assert found is not None
        assert found["metadata"]["finalizers"] == [FINALIZER]
        assert_condition(found, "Reconciled", False, reason="Forbidden")
    running.settle()
    assert world.get("Team", "red") is None
    assert world.list("v1/ConfigMap", namespace="elsewhere") == []


def test_they_are_deleted_though_the_operator_was_not_there_when_the_owner_was(world: Cluster, operator: StartOperator) -> None:
    world.create(team())
    operator(teams(child_elsewhere, **ELSEWHERE)).settle().stop()
    world.delete("Team", "red")
    operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    assert world.get("Team", "red") is None
    assert world.list("v1/ConfigMap", namespace="elsewhere") == []


def test_without_a_watch_they_are_looked_for_on_the_server(world: Cluster, operator: StartOperator) -> None:
    world.create(team())
    running = operator(teams(child_elsewhere, **ELSEWHERE), watch=False, resync="200ms").settle()
    world.delete("Team", "red")
    running.settle()
    assert world.get("Team", "red") is None
    assert world.list("v1/ConfigMap", namespace="elsewhere") == []


def test_what_another_owner_has_by_label_is_refused_by_name(world: Cluster, operator: StartOperator) -> None:
    world.create(team("blue"))
    running = operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    world.create(team("red"))
    running.wait_failing("ConfigMap elsewhere/child belongs to Team default/blue and is left alone")
    world.delete("Team", "blue")
    running.settle()
    assert_object(
        world.get("v1/ConfigMap", "child", namespace="elsewhere"),
        {"metadata": {"annotations": {"example.com/team.owner": "default/red"}}},
    )


def test_what_a_former_owner_of_the_name_left_behind_is_taken_over(world: Cluster, operator: StartOperator) -> None:
    left = config_map("child", "elsewhere")
    left["metadata"]["labels"] = {"example.com/team.owner": "gone"}
    left["metadata"]["annotations"] = {"example.com/team.owner": "default/red"}
    world.create(left)
    made = world.create(team())
    operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    assert_object(
        world.get("v1/ConfigMap", "child", namespace="elsewhere"),
        {"metadata": {"labels": {"example.com/team.owner": made["metadata"]["uid"]}}},
    )


def test_a_label_that_was_copied_makes_nobody_a_child(world: Cluster, operator: StartOperator) -> None:
    made = world.create(team())
    running = operator(teams(child_elsewhere, **ELSEWHERE)).settle()
    labels = {"example.com/team.owner": made["metadata"]["uid"]}
    loose, controlled = config_map("loose", "elsewhere"), config_map("controlled", "elsewhere")
    loose["metadata"]["labels"] = controlled["metadata"]["labels"] = labels
    controlled["metadata"]["ownerReferences"] = [owner_reference(world.create(loose))]
    world.create(controlled)
    world.delete("Team", "red")
    running.settle()
    assert [each["metadata"]["name"] for each in world.list("v1/ConfigMap", namespace="elsewhere")] == ["controlled", "loose"]


def test_a_namespace_that_is_not_watched_is_no_place_for_a_child(world: Cluster, operator: StartOperator) -> None:
    world.create(team())
    running = operator(teams(child_elsewhere, **ELSEWHERE), namespace=["default"])
    running.wait_failing(r"does not see the namespace elsewhere.*give it with --namespace")


def test_no_child_by_label_is_made_for_an_owner_that_is_being_deleted(world: Cluster, operator: StartOperator) -> None:
    said: list[str] = []

    def cleanup(obj: Object, ctx: Context) -> None:
        with pytest.raises(UsageError) as refused:
            ctx.apply(config_map("late", "elsewhere"))
        said.append(str(refused.value))

    world.create(team())
    running = operator(teams(child_elsewhere, cleanup=cleanup, **ELSEWHERE)).settle()
    world.delete("Team", "red")
    running.settle()
    assert said == ["apply: Team default/red is being deleted: ConfigMap elsewhere/late, made now, would outlive it"]
    assert world.list("v1/ConfigMap", namespace="elsewhere") == []


# ------------------------------------------------------------------ deletion of the owner


def test_while_an_owner_is_deleted_in_the_foreground_no_child_is_made_again(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    """Its children go first, one after the other, and each tells the owner of it."""
    ran = threading.Event()

    def function(obj: Object, ctx: Context) -> None:
        ran.set()
        for name in obj["spec"]["members"]:
            ctx.apply(config_map(name))

    world.create(team(members=["a", "b", "c"]))
    running = operator(teams(function, owns=["v1/ConfigMap"])).settle()
    # One child is held, so that the owner stays in its foreground deletion as long as the test wants.
    world.patch("v1/ConfigMap", "c", {"metadata": {"finalizers": ["example.com/held"]}})
    running.settle()
    writes.take()
    ran.clear()
    world.client.delete(world.client.discovery.resolve("Team"), "red", "default", propagation="Foreground")
    world.wait_gone("v1/ConfigMap", "a")
    world.wait_gone("v1/ConfigMap", "b")
    running.settle()
    assert world.get("Team", "red") is not None
    assert writes.take() == []
    assert not ran.is_set()
    world.patch("v1/ConfigMap", "c", {"metadata": {"finalizers": None}})
    world.wait_gone("Team", "red")
    running.settle()
    assert world.list("v1/ConfigMap") == []
    assert writes.take() == []


@pytest.mark.parametrize(
    "error", [ValueError("no"), PermanentError("never"), AlreadyOwned("x")], ids=lambda error: type(error).__name__
)
def test_a_cleanup_that_fails_keeps_the_finalizer_and_is_tried_again(
    world: Cluster, operator: StartOperator, error: Exception
) -> None:
    tries: list[int] = []
    mended = threading.Event()

    def cleanup(obj: Object, ctx: Context) -> None:
        tries.append(ctx.attempt)
        if not mended.is_set():
            raise error

    world.create(team())
    running = operator(teams(one_child, cleanup=cleanup, owns=["v1/ConfigMap"]), backoff_max="50ms").settle()
    world.delete("Team", "red")
    world.wait("Team", "red", lambda found: assert_condition(found, "Reconciled", False))
    found = world.get("Team", "red")
    assert found is not None
    assert found["metadata"]["finalizers"] == [FINALIZER]
    mended.set()
    if isinstance(error, PermanentError):  # not tried again until the object changes
        running.settle()
        world.patch("Team", "red", {"metadata": {"annotations": {"example.com/try": "again"}}})
    running.settle()
    assert world.get("Team", "red") is None
    assert len(tries) > 1


def test_what_was_deleted_before_the_operator_came_is_cleaned_up_and_let_go(world: Cluster, operator: StartOperator) -> None:
    made = team()
    made["metadata"]["finalizers"] = [FINALIZER]
    world.create(made)
    world.delete("Team", "red")
    calls: list[str] = []
    operator(teams(lambda obj, ctx: calls.append("reconcile"), cleanup=lambda obj, ctx: calls.append("cleanup"))).settle()
    assert calls == ["cleanup"]
    assert world.get("Team", "red") is None


def test_code_that_has_no_cleanup_any_more_takes_its_finalizer_off_and_no_other(world: Cluster, operator: StartOperator) -> None:
    made = team()
    made["metadata"]["finalizers"] = ["example.com/other", FINALIZER]
    world.create(made)
    world.delete("Team", "red")
    operator(teams(one_child, owns=["v1/ConfigMap"])).settle()
    assert_object(world.get("Team", "red"), {"metadata": {"finalizers": ["example.com/other"]}})
