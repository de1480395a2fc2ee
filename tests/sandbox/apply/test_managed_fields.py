"""managedFields of writes that are no apply: creates, replaces, patches, subresources."""

from __future__ import annotations

import copy
from typing import Any

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.apply import update_managed_fields
from operator_kit.sandbox.structure import Structure
from tests.sandbox.apply.support import API, NOW, STRUCTURE, Server, gadget


def test_a_create_owns_all_but_what_nobody_owns() -> None:
    server = Server()
    server.update("m", gadget({"namespace": "n", "labels": {"a": "b"}, "generation": 1}, size=1, ports=[{"port": 1}]))
    assert server.fields("m", "Update") == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {
            ".": {},
            "f:size": {},
            "f:ports": {".": {}, 'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}}},
        },
    }


def test_an_update_takes_over_what_it_changes_and_only_that() -> None:
    server = Server()
    server.apply("alice", gadget(size=1, color="red"))
    server.update("ed", gadget(size=2, color="red"))
    assert server.fields("alice") == {"f:spec": {"f:color": {}}}
    assert server.fields("ed", "Update") == {"f:spec": {"f:size": {}}}


def test_updates_of_one_manager_are_one_entry_with_the_newest_time() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    server.update("ed", gadget(size=1, color="red"))
    assert server.fields("ed", "Update") == {"f:spec": {".": {}, "f:size": {}, "f:color": {}}}
    assert server.entry("ed")["time"] == "2026-01-01T00:00:02Z"


def test_what_an_update_removes_is_nobodys() -> None:
    server = Server()
    server.apply("alice", gadget(size=1, opts={"a": "1"}))
    server.update("ed", gadget(size=1))
    assert server.fields("alice") == {"f:spec": {"f:size": {}}}
    assert server.fields("ed", "Update") is None


def test_a_write_that_changes_nothing_keeps_every_entry_and_time() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    before = copy.deepcopy(server.stored())
    server.update("bo", gadget(size=1))
    assert server.stored() == before


def test_status_writes_have_entries_of_their_own() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    server.update("ed", {**gadget(size=1), "status": {"phase": "Up"}}, subresource="status")
    assert server.fields("ed", "Update", "status") == {"f:status": {".": {}, "f:phase": {}}}
    assert server.fields("ed", "Update") == {"f:spec": {".": {}, "f:size": {}}}


def test_the_main_resource_never_owns_the_status_of_a_kind_that_has_the_subresource() -> None:
    server = Server()
    server.update("ed", {**gadget(size=1), "status": {"phase": "Up"}})
    assert server.fields("ed", "Update") == {"f:spec": {".": {}, "f:size": {}}}


def test_an_empty_list_or_an_empty_entry_resets_the_entries_and_tracking_stays_off() -> None:
    for reset in ([], [{}]):
        server = Server()
        server.update("ed", gadget(size=1))
        server.update("ed", gadget({"managedFields": reset}, size=1))
        assert "managedFields" not in server.stored()["metadata"]
        server.update("ed", gadget(size=2))
        assert "managedFields" not in server.stored()["metadata"]


def test_entries_that_a_request_carries_replace_the_live_ones_and_bad_ones_do_not() -> None:
    server = Server()
    server.update("ed", gadget(size=1, color="red"))
    mine = [
        {
            "manager": "x",
            "operation": "Apply",
            "apiVersion": API,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:size": {}}},
        }
    ]
    server.update("ed", gadget({"managedFields": mine}, size=1, color="red"))
    assert server.fields("x") == {"f:spec": {"f:size": {}}}
    assert server.fields("ed", "Update") is None
    server.update("ed", gadget({"managedFields": [{"manager": "bad"}]}, size=1, color="red"))
    assert server.fields("x") == {"f:spec": {"f:size": {}}}


def test_a_subresource_cannot_write_the_entries() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    server.update("op", {**gadget({"managedFields": []}, size=1), "status": {"phase": "x"}}, subresource="status")
    assert server.fields("ed", "Update") == {"f:spec": {".": {}, "f:size": {}}}


def test_the_eleventh_updater_makes_the_oldest_ancient() -> None:
    server = Server()
    opts: dict[str, str] = {}
    for number in range(12):
        opts[f"k{number:02}"] = "v"
        server.update(f"m{number:02}", gadget(opts=dict(opts)))
    managers = [entry["manager"] for entry in server.stored()["metadata"]["managedFields"]]
    assert len(managers) == 10
    assert "ancient-changes" in managers
    assert server.fields("ancient-changes", "Update")["f:spec"]["f:opts"].keys() >= {"f:k00", "f:k01"}


def test_scale_writes_have_no_time() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    server.update("kubectl", gadget(size=2), subresource="scale")
    assert server.fields("kubectl", "Update", "scale") == {"f:spec": {"f:size": {}}}
    assert "time" not in server.entry("kubectl")


def test_duplicates_in_a_set_are_owned_as_one_value() -> None:
    server = Server()
    server.update("ed", gadget(names=["a", "a", "b"]))
    assert server.fields("ed", "Update")["f:spec"]["f:names"] == {".": {}, 'v:"a"': {}, 'v:"b"': {}}
    server.update("bo", gadget(names=["a", "b"]))
    assert server.fields("bo", "Update") == {"f:spec": {"f:names": {'v:"a"': {}}}}


def test_entries_of_versions_that_are_gone_are_dropped() -> None:
    old = gadget({"uid": "u"}, size=1)
    update_managed_fields(None, old, manager="ed", api_version="contract.example.com/v0", structure=STRUCTURE, now=NOW)
    new = codec.clone(old)
    new["spec"]["color"] = "red"
    update_managed_fields(old, new, manager="bo", api_version=API, structure=STRUCTURE, now=NOW, known_versions=[API])
    assert [entry["manager"] for entry in new["metadata"]["managedFields"]] == ["bo"]


def test_a_number_that_becomes_a_boolean_is_a_change() -> None:
    server = Server()
    server.update("ed", gadget(any={"x": 1}))
    server.update("bo", gadget(any={"x": True}))
    assert server.fields("bo", "Update") == {"f:spec": {"f:any": {"f:x": {}}}}


def test_kubectl_create_deployment_is_recorded_as_by_a_real_server() -> None:
    container: dict[str, Any] = {"name": "nginx", "image": "nginx", "resources": {}, "imagePullPolicy": "Always"}
    deployment: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "labels": {"app": "d"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "d"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [container], "securityContext": {}, "dnsPolicy": "ClusterFirst"},
            },
        },
        "status": {},
    }
    structure = Structure.for_builtin(GVK("apps", "v1", "Deployment"))
    update_managed_fields(
        None, deployment, manager="kubectl-create", api_version="apps/v1", structure=structure, now=NOW, has_status=True
    )
    (entry,) = deployment["metadata"]["managedFields"]
    labels = {"f:labels": {".": {}, "f:app": {}}}
    item = {".": {}, "f:name": {}, "f:image": {}, "f:resources": {}, "f:imagePullPolicy": {}}
    assert entry["fieldsV1"] == {
        "f:metadata": labels,
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:type": {}, "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}},
            "f:template": {
                "f:metadata": labels,
                "f:spec": {"f:containers": {'k:{"name":"nginx"}': item}, "f:securityContext": {}, "f:dnsPolicy": {}},
            },
        },
    }
