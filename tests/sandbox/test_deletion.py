"""Deletion: finalizers, grace, the three ways with dependents, namespaces and CRDs that end after their contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import CONFIG_MAPS, WIDGET_CRD, WIDGETS, Talk

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def talk() -> Iterator[Talk]:
    with Sandbox() as sandbox:
        yield Talk(sandbox)


@pytest.fixture
def widgets(talk: Talk) -> Talk:
    talk.create(CRDS, WIDGET_CRD)
    talk.until(WIDGETS, 200)
    return talk


def widget(name: str, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, **meta}}


def owned(name: str, owner: dict[str, Any], *, blocks: bool = False, **meta: Any) -> dict[str, Any]:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    reference["uid"] = owner["metadata"]["uid"]
    if blocks:
        reference["blockOwnerDeletion"] = True
    return {"metadata": {"name": name, "ownerReferences": [reference], **meta}}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def test_dependents_of_dependents_go_too(widgets: Talk) -> None:
    top = widgets.create(WIDGETS, widget("top"))
    middle = widgets.create(WIDGETS, {**widget("middle"), **owned("middle", top)})
    widgets.create(CONFIG_MAPS, owned("leaf", middle))
    widgets.create(CONFIG_MAPS, {"metadata": {"name": "stranger"}})
    widgets.delete(f"{WIDGETS}/top")
    widgets.until(f"{CONFIG_MAPS}/leaf", 404)
    assert widgets.names(CONFIG_MAPS) == ["stranger"]
    assert widgets.names(WIDGETS) == []


def test_an_object_with_another_owner_stays_and_loses_the_reference(widgets: Talk) -> None:
    one, two = (widgets.create(WIDGETS, widget(name)) for name in ("one", "two"))
    child = owned("child", one)
    child["metadata"]["ownerReferences"] += owned("child", two)["metadata"]["ownerReferences"]
    widgets.create(CONFIG_MAPS, child)
    widgets.create(CONFIG_MAPS, owned("canary", one))
    widgets.delete(f"{WIDGETS}/one")
    widgets.until(f"{CONFIG_MAPS}/canary", 404)
    left = widgets.get(f"{CONFIG_MAPS}/child")["metadata"]["ownerReferences"]
    assert [reference["name"] for reference in left] == ["two"]


def test_an_owner_that_never_was_is_no_owner(widgets: Talk) -> None:
    ghost = widget("ghost")
    ghost["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    widgets.create(CONFIG_MAPS, owned("orphan", ghost))
    widgets.until(f"{CONFIG_MAPS}/orphan", 404)


def test_an_owner_in_another_namespace_is_no_owner(widgets: Talk) -> None:
    far = widgets.create(WIDGETS.replace("default", "kube-system"), widget("far"))
    widgets.create(CONFIG_MAPS, owned("lost", far))
    widgets.until(f"{CONFIG_MAPS}/lost", 404)


def test_owners_of_a_kind_nobody_knows_are_left_alone(talk: Talk) -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Unknown", "metadata": {"name": "x", "uid": "1-2"}}
    talk.create(CONFIG_MAPS, owned("kept", unknown))
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "uid": "3-4"}}
    talk.create(CONFIG_MAPS, owned("canary", ghost))
    talk.until(f"{CONFIG_MAPS}/canary", 404)
    assert talk.names(CONFIG_MAPS) == ["kept"]


def test_foreground_waits_for_the_dependents_that_block(widgets: Talk) -> None:
    owner = widgets.create(WIDGETS, widget("owner"))
    widgets.create(CONFIG_MAPS, owned("blocks", owner, blocks=True, finalizers=["example.com/hold"]))
    widgets.create(CONFIG_MAPS, owned("free", owner))
    shown = widgets.delete(f"{WIDGETS}/owner", {"propagationPolicy": "Foreground"})
    assert shown["metadata"]["finalizers"] == ["foregroundDeletion"]
    widgets.until(f"{CONFIG_MAPS}/free", 404)
    assert widgets.get(f"{WIDGETS}/owner")["metadata"]["deletionTimestamp"]
    assert widgets.get(f"{CONFIG_MAPS}/blocks")["metadata"]["deletionTimestamp"]
    widgets.merge(f"{CONFIG_MAPS}/blocks", {"metadata": {"finalizers": None}})
    widgets.until(f"{WIDGETS}/owner", 404)


def test_foreground_without_dependents_ends_at_once(widgets: Talk) -> None:
    widgets.create(WIDGETS, widget("lonely"))
    widgets.delete(f"{WIDGETS}/lonely", propagationPolicy="Foreground")
    widgets.until(f"{WIDGETS}/lonely", 404)


def test_orphans_stay_without_their_owner(widgets: Talk) -> None:
    owner = widgets.create(WIDGETS, widget("owner"))
    widgets.create(CONFIG_MAPS, owned("child", owner, blocks=True))
    widgets.delete(f"{WIDGETS}/owner", {"propagationPolicy": "Orphan"})
    widgets.until(f"{WIDGETS}/owner", 404)
    assert "ownerReferences" not in widgets.get(f"{CONFIG_MAPS}/child")["metadata"]


def test_a_second_delete_of_a_held_object_changes_nothing(widgets: Talk) -> None:
    widgets.create(WIDGETS, widget("held", finalizers=["example.com/hold"]))
    first = widgets.delete(f"{WIDGETS}/held")
    assert first["metadata"]["generation"] == 2
    assert widgets.delete(f"{WIDGETS}/held") == first


def test_a_dry_delete_deletes_nothing(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert talk.delete(f"{CONFIG_MAPS}/a", dryRun="All")["status"] == "Success"
    assert talk.delete(f"{CONFIG_MAPS}/a", {"dryRun": ["All"]})["status"] == "Success"
    assert talk.names(CONFIG_MAPS) == ["a"]


def test_a_pod_nobody_runs_goes_at_once_and_is_shown(talk: Talk) -> None:
    talk.create(PODS, pod("waiting"))
    assert talk.delete(f"{PODS}/waiting")["kind"] == "Pod"
    assert talk.names(PODS) == []


def test_a_pod_on_a_node_gets_its_grace_and_goes_when_told_0(talk: Talk) -> None:
    talk.create(PODS, pod("running", nodeName="n", terminationGracePeriodSeconds=20))
    shown = talk.delete(f"{PODS}/running")
    assert shown["metadata"]["deletionGracePeriodSeconds"] == 20
    assert talk.delete(f"{PODS}/running", {"gracePeriodSeconds": 5})["metadata"]["deletionGracePeriodSeconds"] == 5
    assert talk.delete(f"{PODS}/running", {"gracePeriodSeconds": 60})["metadata"]["deletionGracePeriodSeconds"] == 5
    talk.delete(f"{PODS}/running", {"gracePeriodSeconds": 0})
    talk.until(f"{PODS}/running", 404)


def test_a_collection_is_deleted_as_selected(talk: Talk) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        talk.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": {"k": label}}})
    deleted = talk.delete(CONFIG_MAPS, labelSelector="k=x")
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "c"]
    assert talk.names(CONFIG_MAPS) == ["b"]


@pytest.mark.parametrize("body", [{"propagationPolicy": "Sideways"}, {"propagationPolicy": "Orphan", "orphanDependents": True}])
def test_delete_options_that_make_no_sense_are_422(talk: Talk, body: dict[str, Any]) -> None:
    talk.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    status, refused = talk.send("DELETE", f"{CONFIG_MAPS}/a", body)
    assert (status, refused["details"]["kind"]) == (422, "DeleteOptions")
    assert talk.names(CONFIG_MAPS) == ["a"]


# ---------------------------------------------------------------------------------------------------------------- namespaces


def test_the_namespaces_every_server_has_are_there_and_three_must_stay(talk: Talk) -> None:
    assert talk.names("/api/v1/namespaces") == ["default", "kube-node-lease", "kube-public", "kube-system"]
    for name in ("default", "kube-public", "kube-system"):
        status, refused = talk.send("DELETE", f"/api/v1/namespaces/{name}")
        assert (status, refused["reason"]) == (403, "Forbidden")
        assert refused["message"] == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


def test_a_namespace_takes_its_contents_along_and_says_what_it_waits_for(widgets: Talk) -> None:
    widgets.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    maps, held = "/api/v1/namespaces/team/configmaps", WIDGETS.replace("default", "team")
    widgets.create(maps, {"metadata": {"name": "a"}})
    widgets.create(held, widget("w", finalizers=["example.com/hold"]))
    assert widgets.delete("/api/v1/namespaces/team")["status"]["phase"] == "Terminating"
    widgets.until(f"{maps}/a", 404)
    conditions = {item["type"]: item for item in widgets.get("/api/v1/namespaces/team")["status"]["conditions"]}
    assert conditions["NamespaceContentRemaining"]["status"] == "True"
    assert "widgets.example.com has 1 resource instances" in conditions["NamespaceContentRemaining"]["message"]
    assert "example.com/hold" in conditions["NamespaceFinalizersRemaining"]["message"]
    status, refused = widgets.send("POST", maps, {"metadata": {"name": "late"}})
    assert (status, refused["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    widgets.merge(f"{held}/w", {"metadata": {"finalizers": []}})
    widgets.until("/api/v1/namespaces/team", 404)


def test_a_namespace_with_a_finalizer_of_its_own_waits_for_that_too(talk: Talk) -> None:
    path = "/api/v1/namespaces/team"
    talk.create("/api/v1/namespaces", {"metadata": {"name": "team", "finalizers": ["example.com/hold"]}})
    talk.delete(path)
    while talk.get(path)["spec"].get("finalizers"):
        pass
    talk.merge(path, {"metadata": {"finalizers": None}})
    talk.until(path, 404)


# ---------------------------------------------------------------------------------------------------------------------- CRDs


def test_a_deleted_crd_takes_its_objects_along(widgets: Talk) -> None:
    widgets.create(WIDGETS, widget("a"))
    owner = widgets.create(WIDGETS, widget("owner"))
    widgets.create(CONFIG_MAPS, owned("child", owner))
    widgets.delete(f"{CRDS}/widgets.example.com")
    widgets.until(WIDGETS, 404)
    widgets.until(f"{CRDS}/widgets.example.com", 404)
    widgets.until(f"{CONFIG_MAPS}/child", 404)
    widgets.create(CRDS, WIDGET_CRD)
    widgets.until(WIDGETS, 200)
    assert widgets.names(WIDGETS) == []


def test_a_crd_whose_objects_are_held_says_so_and_takes_no_new_ones(widgets: Talk) -> None:
    widgets.create(WIDGETS, widget("a", finalizers=["example.com/hold"]))
    widgets.delete(f"{CRDS}/widgets.example.com")
    assert widgets.send("POST", WIDGETS, widget("b"))[0] == 405
    conditions = widgets.get(f"{CRDS}/widgets.example.com")["status"]["conditions"]
    assert ("Terminating", "True") in {(item["type"], item["status"]) for item in conditions}
    widgets.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": None}})
    widgets.until(f"{CRDS}/widgets.example.com", 404)
