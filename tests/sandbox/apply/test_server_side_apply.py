"""Server-side apply: what is merged, what is pruned, who owns what, and when it is a conflict."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from operator_kit.objects import GVK
from operator_kit.sandbox.apply import server_side_apply
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import Structure
from tests.sandbox.apply.support import API, NOW, SCHEMA, Server, gadget


def refused(server: Server, manager: str, body: dict[str, Any], **more: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        server.apply(manager, body, **more)
    return caught.value


def test_a_first_apply_owns_exactly_what_it_sets() -> None:
    server = Server()
    server.apply("alice", gadget({"labels": {"l": "1"}}, size=1, opts={"k": "v"}, tags=["x"], limits={"cpu": "1"}))
    assert server.fields("alice") == {
        "f:metadata": {"f:labels": {"f:l": {}}},
        "f:spec": {"f:size": {}, "f:opts": {"f:k": {}}, "f:tags": {}, "f:limits": {}},
    }
    assert server.entry("alice")["time"] == "2026-01-01T00:00:01Z"


def test_applying_twice_changes_nothing_not_even_the_time() -> None:
    server = Server()
    body = gadget(size=1, ports=[{"port": 80}], names=["a"], any={"x": {"y": [1]}})
    first = copy.deepcopy(server.apply("alice", body))
    assert server.apply("alice", body) == first


def test_another_manager_may_share_a_value_and_has_no_time_of_its_own_until_it_changes_something() -> None:
    server = Server()
    server.apply("alice", gadget(size=1))
    server.apply("bob", gadget(size=1))
    assert server.fields("bob") == {"f:spec": {"f:size": {}}}
    assert "time" not in server.entry("bob")


def test_changing_what_another_applies_is_a_conflict() -> None:
    server = Server()
    server.apply("alice", gadget(size=1))
    error = refused(server, "bob", gadget(size=2))
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "alice": .spec.size'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".spec.size"}
    assert error.details == {"causes": [cause]}
    assert server.spec == {"size": 1}


def test_conflicts_name_updaters_with_their_version_and_list_every_field() -> None:
    server = Server()
    server.update("kubectl edit", gadget(size=1, color="red", ports=[{"port": 80, "protocol": "TCP", "label": "w"}]))
    error = refused(server, "bob", gadget(size=2, color="blue", ports=[{"port": 80, "label": "x"}]))
    assert error.message == (
        'Apply failed with 3 conflicts: conflicts with "kubectl edit" using contract.example.com/v1:\n'
        '- .spec.color\n- .spec.size\n- .spec.ports[port=80,protocol="TCP"].label'
    )


def test_force_takes_the_field_over() -> None:
    server = Server()
    server.apply("alice", gadget(size=1, color="red"))
    server.apply("bob", gadget(size=2), force=True)
    assert server.spec == {"size": 2, "color": "red"}
    assert server.fields("alice") == {"f:spec": {"f:color": {}}}
    assert server.fields("bob") == {"f:spec": {"f:size": {}}}


def test_what_a_manager_no_longer_applies_goes() -> None:
    server = Server()
    server.apply("alice", gadget({"labels": {"a": "1"}}, size=1, opts={"k": "v"}, names=["x", "y"]))
    server.apply("alice", gadget(size=1, names=["y"]))
    assert server.spec == {"size": 1, "names": ["y"]}
    assert "labels" not in server.stored()["metadata"]


def test_what_another_manager_applies_or_set_stays() -> None:
    server = Server()
    server.apply("alice", gadget(size=1, opts={"a": "1", "b": "2"}))
    server.apply("bob", gadget(opts={"b": "2"}))
    server.update("ed", {**gadget(size=1, opts={"a": "1", "b": "2", "c": "3"})})
    server.apply("alice", gadget(size=1))
    assert server.spec == {"size": 1, "opts": {"b": "2", "c": "3"}}


def test_items_of_keyed_lists_belong_to_who_applied_them() -> None:
    server = Server()
    server.apply("alice", gadget(ports=[{"port": 80, "label": "web"}]))
    server.apply("bob", gadget(ports=[{"port": 443, "label": "tls"}]))
    assert server.spec["ports"] == [{"port": 80, "label": "web"}, {"port": 443, "label": "tls"}]
    key = 'k:{"port":443,"protocol":"TCP"}'
    assert server.fields("bob") == {"f:spec": {"f:ports": {key: {".": {}, "f:label": {}, "f:port": {}}}}}
    server.apply("alice", gadget(ports=[]))
    assert server.spec["ports"] == [{"port": 443, "label": "tls"}]


def test_a_field_another_owns_inside_an_item_keeps_that_item_alive() -> None:
    server = Server()
    server.apply("alice", gadget(ports=[{"port": 80, "protocol": "TCP", "label": "web"}]))
    server.apply("bob", gadget(ports=[{"port": 80, "protocol": "TCP", "sub": {"x": 1}}]))
    server.apply("alice", gadget(size=1))
    assert server.spec == {"size": 1, "ports": [{"port": 80, "protocol": "TCP", "sub": {"x": 1}}]}


def test_the_applied_order_of_keyed_lists_and_sets_holds() -> None:
    server = Server()
    server.apply("alice", gadget(names=["a", "b", "c"]))
    server.apply("bob", gadget(names=["c", "x", "a"]))
    assert server.spec["names"] == ["b", "c", "x", "a"]


def test_atomic_lists_and_maps_are_one_field() -> None:
    server = Server()
    server.apply("alice", gadget(tags=["a"], limits={"cpu": "1"}))
    error = refused(server, "bob", gadget(tags=["a", "b"], limits={"mem": "2"}))
    assert [cause["field"] for cause in (error.details or {})["causes"]] == [".spec.limits", ".spec.tags"]
    server.apply("bob", gadget(tags=["b"], limits={"mem": "2"}), force=True)
    assert server.spec == {"tags": ["b"], "limits": {"mem": "2"}}


def test_fields_without_a_schema_are_owned_level_by_level() -> None:
    server = Server()
    server.apply("alice", gadget(any={"x": {"y": 1}, "l": [1, {"a": 1}]}))
    assert server.fields("alice") == {"f:spec": {"f:any": {"f:x": {".": {}, "f:y": {}}, "f:l": {}}}}


def test_an_applied_null_is_a_value_that_is_owned() -> None:
    server = Server()
    server.apply("alice", gadget(note=None, size=1))
    assert server.spec == {"note": None, "size": 1}
    assert server.fields("alice") == {"f:spec": {"f:note": {}, "f:size": {}}}


def test_an_empty_map_is_owned_as_such() -> None:
    server = Server()
    server.apply("alice", gadget(opts={}, size=1))
    assert server.spec == {"opts": {}, "size": 1}
    assert server.fields("alice") == {"f:spec": {"f:opts": {}, "f:size": {}}}


def test_status_is_applied_through_its_subresource_only() -> None:
    server = Server()
    server.update("ed", gadget(size=1))
    status = {**gadget(), "status": {"phase": "Ready", "conditions": [{"type": "Ready", "status": "True"}]}}
    server.apply("op", status, subresource="status")
    key = 'k:{"type":"Ready"}'
    wanted = {"f:status": {"f:phase": {}, "f:conditions": {key: {".": {}, "f:status": {}, "f:type": {}}}}}
    assert server.fields("op", subresource="status") == wanted
    server.apply("op", {**gadget(size=1), "status": {"phase": "No"}})
    assert server.fields("op") == {"f:spec": {"f:size": {}}}


def test_the_first_apply_to_an_untracked_object_blames_before_first_apply() -> None:
    server = Server()
    server.obj = gadget({"uid": "u"}, size=1, color="red")
    error = refused(server, "alice", gadget(size=2))
    assert error.message.endswith('conflict with "before-first-apply" using contract.example.com/v1: .spec.size')
    server.apply("alice", gadget(size=2), force=True)
    assert server.fields("before-first-apply", "Update") == {"f:spec": {".": {}, "f:color": {}}}


def test_kubectl_takes_over_what_client_side_apply_set() -> None:
    server = Server()
    text = '{"apiVersion":"contract.example.com/v1","kind":"Gadget","metadata":{"name":"a"},"spec":{"size":1}}'
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": text}
    server.update("kubectl-client-side-apply", gadget({"annotations": annotation}, size=1, color="red"))
    assert refused(server, "other", gadget(size=2)).code == 409
    error = refused(server, "kubectl", gadget(size=2, color="blue"))
    assert error.message.endswith(".spec.color")
    assert ".spec.size" not in error.message
    server.apply("kubectl", gadget(size=2))
    written = server.stored()["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert '"size":2' in written


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"kind": "Gadget"}, 400, "invalid object type: /, Kind=Gadget"),
        ({"apiVersion": "v1", "kind": "Gadget"}, 400, "invalid object type: /v1, Kind=Gadget"),
        ({"apiVersion": API, "kind": "Gizmo"}, 400, "invalid object type: contract.example.com/v1, Kind=Gizmo"),
        (gadget({"managedFields": []}), 400, "metadata.managedFields must be nil"),
        (
            gadget({"namespace": "n"}, bogus=1),
            500,
            "failed to create typed patch object (n/a; contract.example.com/v1, Kind=Gadget):",
        ),
        (
            gadget(size="x"),
            500,
            "failed to create typed patch object (/a; contract.example.com/v1, Kind=Gadget): .spec.size: expected num",
        ),
        (
            gadget(names=["a", "a"]),
            500,
            "failed to create typed patch object (/a; contract.example.com/v1, Kind=Gadget): .spec.names: dup",
        ),
        (
            gadget(ports=[{}, {"label": "x"}]),
            500,
            "failed to create typed patch object (/a; contract.example.com/v1, Kind=Gadget): .spec",
        ),
        (
            gadget(ports={"a": 1}),
            500,
            "failed to create typed patch object (/a; contract.example.com/v1, Kind=Gadget): .spec.ports: exp",
        ),
        (
            gadget(names=[{"a": 1}]),
            500,
            "failed to create typed patch object (/a; contract.example.com/v1, Kind=Gadget): .spec.names: el",
        ),
    ],
)
def test_bodies_that_do_not_fit_get_the_servers_words(body: dict[str, Any], code: int, text: str) -> None:
    error = refused(Server(), "m", body)
    assert error.code == code
    assert error.message.startswith(text)


def test_a_field_that_became_atomic_is_owned_as_one() -> None:
    server = Server()
    server.apply("alice", gadget(opts={"a": "1", "b": "2"}))
    changed = copy.deepcopy(SCHEMA)
    changed["properties"]["spec"]["properties"]["opts"]["x-kubernetes-map-type"] = "atomic"
    server.structure = Structure.from_crd_schema(changed)
    server.apply("bob", gadget(size=1))
    assert server.fields("alice") == {"f:spec": {"f:opts": {}}}


def test_a_built_in_kind_is_created_as_the_server_would_hold_it() -> None:
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
            },
        },
    }
    structure = Structure.for_builtin(GVK("apps", "v1", "Deployment"))
    made = server_side_apply(
        None, body, manager="m", force=False, api_version="apps/v1", structure=structure, now=NOW, has_status=True
    )
    assert made["status"] == {}
    assert made["spec"]["strategy"] == {}
    fields = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert fields["f:selector"] == {}
    containers = fields["f:template"]["f:spec"]["f:containers"]
    port = 'k:{"containerPort":80,"protocol":"TCP"}'
    assert containers == {
        'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}, "f:ports": {port: {".": {}, "f:containerPort": {}}}}
    }
