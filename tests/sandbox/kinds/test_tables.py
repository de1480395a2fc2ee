"""Tables as kubectl prints them, metadata-only objects, and the paths of printer columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from operator_kit.objects import GVK
from operator_kit.sandbox.columns import BUILTIN, human_duration
from operator_kit.sandbox.jsonpath import find
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.tables import columns_of, partial_metadata, table

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CREATED = "2026-01-01T23:57:30Z"


@dataclass
class Custom:
    printer_columns: tuple[dict[str, Any], ...] = ()


@dataclass
class Kind:
    gvk: GVK
    crd: Custom | None = None


def row(gvk: GVK, wide: bool = False, **fields: Any) -> list[Any]:
    """The cells of one object, without the wide ones unless asked for."""
    obj = {"metadata": {"name": "x", "creationTimestamp": CREATED}, **fields}
    kind = Kind(gvk)
    cells = table(kind, [obj], now=NOW)["rows"][0]["cells"]
    assert len(cells) == len(columns_of(kind))
    return [cell for cell, column in zip(cells, columns_of(kind), strict=True) if wide or column.priority == 0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (9 * 3600, "9h"),
        (47 * 3600, "47h"),
        (50 * 3600, "2d2h"),
        (192 * 3600, "8d"),
        (400 * 86400, "400d"),
        (730 * 86400, "2y"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_are_written_as_by_kubectl(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_pod_tells_its_containers_states() -> None:
    pod = GVK("", "v1", "Pod")
    spec = {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "n"}
    running = {"ready": True, "restartCount": 0, "state": {"running": {}}}
    crashed = {
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T23:59:00Z"}},
    }
    status = {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "containerStatuses": [running, crashed]}
    assert row(pod, wide=True, spec=spec, status=status) == [
        *["x", "1/2", "CrashLoopBackOff", "3 (60s ago)", "2m30s", "10.0.0.1", "n", "<none>", "<none>"]
    ]
    waiting = {"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}
    assert row(pod, spec={**spec, "initContainers": [{"name": "i"}]}, status=waiting)[1:3] == ["0/2", "Init:0/1"]
    done = [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]
    assert row(pod, spec={"containers": [{}]}, status={"phase": "Succeeded", "containerStatuses": done})[2] == "Completed"
    gone = {"metadata": {"name": "x", "deletionTimestamp": CREATED}, "status": {"phase": "Running"}}
    assert table(Kind(pod), [gone], now=NOW)["rows"][0]["cells"][2] == "Terminating"


def test_finished_pods_are_marked() -> None:
    rows = table(Kind(GVK("", "v1", "Pod")), [{"status": {"phase": "Succeeded"}}, {"status": {"phase": "Running"}}])["rows"]
    assert rows[0]["conditions"][0]["type"] == "Completed"
    assert "conditions" not in rows[1]


@pytest.mark.parametrize(
    ("gvk", "fields", "cells"),
    [
        (
            GVK("apps", "v1", "Deployment"),
            {"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}},
            ["x", "2/3", 3, 1, "2m30s"],
        ),
        (GVK("apps", "v1", "StatefulSet"), {"spec": {"replicas": 1}}, ["x", "0/1", "2m30s"]),
        (GVK("", "v1", "ConfigMap"), {"data": {"a": "1"}, "binaryData": {"b": ""}}, ["x", 2, "2m30s"]),
        (GVK("", "v1", "Secret"), {"type": "Opaque", "data": {"a": ""}}, ["x", "Opaque", 1, "2m30s"]),
        (
            GVK("", "v1", "Service"),
            {"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30000}]}},
            ["x", "LoadBalancer", "10.0.0.1", "<pending>", "80:30000/TCP", "2m30s"],
        ),
        (
            GVK("batch", "v1", "Job"),
            {"spec": {"completions": 2}, "status": {"succeeded": 1, "startTime": "2026-01-01T23:59:00Z"}},
            ["x", "Running", "1/2", "60s", "2m30s"],
        ),
        (
            GVK("batch", "v1", "CronJob"),
            {"spec": {"schedule": "* * * * *", "suspend": False}},
            ["x", "* * * * *", "<none>", "False", 0, "<none>", "2m30s"],
        ),
        (
            GVK("networking.k8s.io", "v1", "Ingress"),
            {"spec": {"rules": [{"host": h} for h in "abcd"]}},
            ["x", "<none>", "a,b,c + 1 more...", "", "80", "2m30s"],
        ),
        (GVK("policy", "v1", "PodDisruptionBudget"), {"spec": {"minAvailable": 1}}, ["x", "1", "N/A", 0, "2m30s"]),
        (GVK("rbac.authorization.k8s.io", "v1", "Role"), {}, ["x", CREATED]),
        (GVK("coordination.k8s.io", "v1", "Lease"), {"spec": {"holderIdentity": "me"}}, ["x", "me", "2m30s"]),
        (
            GVK("", "v1", "Event"),
            {
                "type": "Warning",
                "reason": "Failed",
                "message": " boom\n",
                "involvedObject": {"kind": "Gadget", "name": "a"},
                "lastTimestamp": CREATED,
            },
            ["2m30s", "Warning", "Failed", "gadget/a", "boom"],
        ),
        (
            GVK("autoscaling", "v2", "HorizontalPodAutoscaler"),
            {
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                    "maxReplicas": 5,
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
                    ],
                }
            },
            ["x", "Deployment/d", "cpu: <unknown>/50%", "<unset>", 5, 0, "2m30s"],
        ),
        (
            GVK("", "v1", "Node"),
            {
                "metadata": {"name": "x", "creationTimestamp": CREATED, "labels": {"node-role.kubernetes.io/worker": ""}},
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1"}},
            },
            ["x", "Ready,SchedulingDisabled", "worker", "2m30s", "v1"],
        ),
        (GVK("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), {}, ["x", CREATED]),
    ],
)
def test_rows_of_built_in_kinds(gvk: GVK, fields: dict[str, Any], cells: list[Any]) -> None:
    assert row(gvk, **fields) == cells


@pytest.mark.parametrize("key", sorted(BUILTIN), ids="/".join)
def test_odd_objects_never_break_a_row(key: tuple[str, str]) -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"metadata": None, "spec": 5, "status": []},
        {"metadata": {"name": "x"}, "spec": {}, "data": 3, "rules": "x", "subjects": [5], "status": {"conditions": 5}},
        {"spec": {"rules": [None], "containers": [5], "ports": [{}], "template": {"spec": {"containers": {}}}}},
    ]
    for obj in odd:
        if isinstance(obj.get("metadata", {}), dict):
            assert len(BUILTIN[key].cells(obj, NOW)) == len(BUILTIN[key].columns)


GADGET = GVK("contract.example.com", "v1", "Gadget")
COLUMNS = (
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Ratio", "type": "number", "jsonPath": ".spec.ratio"},
    {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status', "priority": 1},
    {"name": "Since", "type": "date", "jsonPath": ".status.since", "description": "d"},
    {"name": "Map", "type": "string", "jsonPath": ".spec.map"},
)


def test_printer_columns_show_values_of_their_type_and_nothing_else() -> None:
    obj = {
        "metadata": {"name": "a"},
        "spec": {"size": 4.0, "ratio": 1.5, "on": True, "map": {"b": [1, "x"], "a": None}},
        "status": {"since": CREATED, "conditions": [{"type": "Other"}, {"type": "Ready", "status": "True"}]},
    }
    odd = {"metadata": {"name": "b"}, "spec": {"size": "4", "ratio": "x", "on": 1}, "status": {"since": "never"}}
    made = table(Kind(GADGET, Custom(COLUMNS)), [obj, odd], now=NOW)
    assert [item["cells"] for item in made["rows"]] == [
        ["a", 4, 1.5, True, "True", "2m30s", "map[a:<nil> b:[1 x]]"],
        ["b", None, None, None, None, "<invalid>", None],
    ]
    first, ready, since = (made["columnDefinitions"][index] for index in (1, 4, 5))
    assert first["description"] == "Custom resource definition column (in JSONPath format): .spec.size"
    assert (ready["priority"], since["description"]) == (1, "d")


def test_without_printer_columns_there_is_an_age() -> None:
    made = table(Kind(GADGET, Custom()), [{"metadata": {"name": "a", "creationTimestamp": CREATED}}], now=NOW)
    assert [column["name"] for column in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["a", "2m30s"]


def test_rows_carry_metadata_the_object_or_nothing() -> None:
    obj = {"metadata": {"name": "a"}, "spec": {}}
    kind = Kind(GADGET, Custom())
    meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1", "metadata": {"name": "a"}}
    assert table(kind, [obj], version="v1beta1")["rows"][0]["object"] == meta
    assert table(kind, [obj], include_object="Object")["rows"][0]["object"] == obj
    assert table(kind, [obj], include_object="None")["rows"][0]["object"] is None
    assert table(kind, [obj], headers=False)["columnDefinitions"] is None
    assert partial_metadata({}) == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
    with pytest.raises(StatusError, match="Unable to convert to Table as requested"):
        table(kind, [obj], include_object="All")


DOCUMENT = {
    "a": {"b": 1, "x.y": 2, "ns.io/k": 3},
    "l": [{"t": "R", "n": 1}, {"t": "S", "n": 2, "d": {"e": True}}, {"n": 3}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        ("a.b", None),
        ("$.a.b", [1]),
        (".a.none.deeper", []),
        (".a['x.y']", [2]),
        (r".a.x\.y", [2]),
        (r".a.ns\.io/k", [3]),
        (".l[0].n", [1]),
        (".l[-1].n", [3]),
        (".l[7].n", []),
        (".l[*].n", [1, 2, 3]),
        (".l[0:2].n", [1, 2]),
        (".a.*", [1, 3, 2]),
        ("..e", [True]),
        (".l[?(@.t=='S')].n", [2]),
        (".l[?(@.t!='S')].n", [1]),
        (".l[?(@.n>1)].n", [2, 3]),
        (".l[?(@.d.e==true)].n", [2]),
        (".l[?(@.t)].n", [1, 2]),
        ("", [DOCUMENT]),
        (".l[", None),
        (".l[x]", None),
        (".l[?(@.t==)]", None),
        (".l[?]", None),
        (".", None),
        ("." + "a" * 5000, None),
    ],
)
def test_paths_find_or_are_refused(path: str, found: list[Any] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match=r"unrecognized|unterminated|invalid"):
            find(DOCUMENT, path)
    else:
        assert find(DOCUMENT, path) == found
