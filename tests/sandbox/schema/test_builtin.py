"""Built-in kinds: the defaults a real server wrote, and what it says of the mistakes people make."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.objects import GVK, gvk_of
from operator_kit.sandbox import protobuf, shapes
from operator_kit.sandbox.schema import assign_service, default_builtin, label_job, validate_builtin
from operator_kit.sandbox.shapes.conform import conform
from operator_kit.sandbox.status import StatusError

RECORDED = json.loads((Path(__file__).parents[2] / "contract" / "protobuf.json").read_text())
# What other parts of the server fill in: reviews, a namespace's finalizer.
NOT_DEFAULTS = {"SelfSubjectAccessReview", "Namespace"}


def made(api_version: str, kind: str, spec: Any = None, **more: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "ns"}, **more}
    if spec is not None:
        obj["spec"] = spec
    obj = copy.deepcopy(obj)
    conform(gvk_of(obj), obj)
    default_builtin(gvk_of(obj), obj)
    return obj


def said(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in validate_builtin(gvk_of(obj), obj, old)]


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row["answer"]["kind"])
def test_defaults_are_those_that_a_real_server_wrote(row: dict[str, Any]) -> None:
    answer = row["answer"]
    if answer["kind"] in NOT_DEFAULTS:
        return
    obj = protobuf.decode(base64.b64decode(row["body_base64"]))
    conform(gvk_of(obj), obj)
    default_builtin(gvk_of(obj), obj)
    assert validate_builtin(gvk_of(obj), obj, None) == []
    if answer["kind"] == "Service":
        assert assign_service(obj, None, []) == []
        for found in (obj["spec"], answer["spec"]):
            for field in ("clusterIP", "clusterIPs"):
                found.pop(field, None)
    if answer["kind"] == "Job":
        obj["metadata"]["uid"] = "<uid>"
        label_job(obj)
        assert obj["metadata"]["labels"] == answer["metadata"]["labels"]
    assert {key: value for key, value in obj.items() if key != "metadata"} == {
        key: value for key, value in answer.items() if key != "metadata"
    }


POD = {"containers": [{"name": "c", "image": "nginx"}]}
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": POD}
SELECTOR = {"matchLabels": {"app": "a"}}


def deployment(**spec: Any) -> dict[str, Any]:
    return made("apps/v1", "Deployment", {"selector": SELECTOR, "template": TEMPLATE, **spec})


def with_pod(**spec: Any) -> dict[str, Any]:
    return deployment(template={**TEMPLATE, "spec": {**POD, **spec}})


def container(**fields: Any) -> dict[str, Any]:
    return with_pod(containers=[{"name": "c", "image": "nginx", **fields}])


C = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("obj", "complaints"),
    [
        (deployment(), []),
        (deployment(replicas=-1), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (deployment(selector=None), ["spec.selector: Required value"]),
        (deployment(selector={}), ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        (
            deployment(selector={"matchLabels": {"app": "b"}}),
            ['spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`'],
        ),
        (
            deployment(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            deployment(strategy={"type": "Big"}),
            ['spec.strategy.type: Unsupported value: "Big": supported values: "Recreate", "RollingUpdate"'],
        ),
        (with_pod(containers=[]), ["spec.template.spec.containers: Required value"]),
        (
            with_pod(restartPolicy="Never"),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (with_pod(containers=[{}]), [f"{C}.name: Required value", f"{C}.image: Required value"]),
        (
            with_pod(containers=[{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]),
            ['spec.template.spec.containers[1].name: Duplicate value: "c"'],
        ),
        (
            container(ports=[{"containerPort": 99999}, {}]),
            [
                f"{C}.ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
                f"{C}.ports[1].containerPort: Required value",
            ],
        ),
        (container(volumeMounts=[{"name": "v", "mountPath": "/x"}]), [f'{C}.volumeMounts[0].name: Not found: "v"']),
        (
            container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            [f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        (
            container(imagePullPolicy="Now"),
            [f'{C}.imagePullPolicy: Unsupported value: "Now": supported values: "Always", "IfNotPresent", "Never"'],
        ),
        (container(livenessProbe={"periodSeconds": 5}), [f"{C}.livenessProbe: Required value: must specify a handler type"]),
        (container(env=[{"name": ""}]), [f"{C}.env[0].name: Required value"]),
        (
            made("apps/v1", "StatefulSet", {"selector": {}, "template": TEMPLATE}),
            ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
        ),
        (
            made("apps/v1", "DaemonSet", {"template": TEMPLATE}),
            ['spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`'],
        ),
        (
            made("batch/v1", "Job", {"template": {"spec": POD}}),
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        (
            made(
                "batch/v1",
                "CronJob",
                {"schedule": "x * * * *", "jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}},
            ),
            ['spec.schedule: Invalid value: "x * * * *": failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
        ),
        (made("v1", "Service", {}), ["spec.ports: Required value"]),
        (made("v1", "Service", {"clusterIP": "None"}), []),
        (
            made("v1", "Service", {"ports": [{"port": 0}, {"port": 80, "name": "A"}]}),
            [
                "spec.ports[0].name: Required value",
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                (
                    'spec.ports[1].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric '
                    "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
                    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                ),
            ],
        ),
        (
            made("v1", "Service", {"type": "Odd", "ports": [{"port": 80}]}),
            ['spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
        ),
        (
            made("v1", "ConfigMap", data={"bad key": "x"}),
            [
                (
                    "data[bad key]: Invalid value: \"bad key\": a valid config key must consist of alphanumeric characters, '-', '_' or "
                    "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                )
            ],
        ),
        (made("v1", "ConfigMap", data={"k": "x" * 1048577}), [": Too long: may not be more than 1048576 bytes"]),
        (made("v1", "Secret", type="kubernetes.io/tls", data={"tls.crt": ""}), ["data[tls.key]: Required value"]),
        (
            made("v1", "PersistentVolumeClaim", {}),
            ["spec.accessModes: Required value: at least 1 access mode is required", "spec.resources[storage]: Required value"],
        ),
        (
            made("networking.k8s.io/v1", "Ingress", {}),
            ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            made("networking.k8s.io/v1", "Ingress", {"rules": [{"http": {"paths": [{"path": "x", "pathType": "Prefix"}, {}]}}]}),
            [
                'spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path',
                'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required',
                "spec.rules[0].http.paths[1].pathType: Required value: pathType must be specified",
            ],
        ),
        (
            made("networking.k8s.io/v1", "NetworkPolicy", {"ingress": [{"from": [{}]}]}),
            ["spec.ingress[0].from[0]: Required value: must specify a peer"],
        ),
        (
            made("policy/v1", "PodDisruptionBudget", {"minAvailable": 1, "maxUnavailable": "x"}),
            [
                'spec: Invalid value: {"maxUnavailable":"x","minAvailable":1}: minAvailable and maxUnavailable cannot be both set',
                (
                    'spec.maxUnavailable: Invalid value: "x": a valid percent string must be a numeric string followed by an ending '
                    "'%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
                ),
            ],
        ),
        (
            made("rbac.authorization.k8s.io/v1", "Role", rules=[{}]),
            [
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            made(
                "rbac.authorization.k8s.io/v1",
                "ClusterRoleBinding",
                roleRef={"kind": "Role", "name": "r"},
                subjects=[{"kind": "ServiceAccount", "name": "s"}],
            ),
            ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"', "subjects[0].namespace: Required value"],
        ),
        (
            made("coordination.k8s.io/v1", "Lease", {"leaseDurationSeconds": 0}),
            ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
        ),
        (
            made("autoscaling/v2", "HorizontalPodAutoscaler", {"minReplicas": 3, "maxReplicas": 1}),
            [
                "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`",
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Required value",
            ],
        ),
        (
            made("events.k8s.io/v1", "Event", type="Normal", reason="Synced", regarding={"namespace": "ns"}),
            [
                "eventTime: Required value",
                "reportingController: Required value",
                'reportingController: Invalid value: "": name part must be non-empty',
            ],
        ),
        (
            made("v1", "Event", involvedObject={"namespace": "other"}),
            ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
        ),
        (
            made("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", webhooks=[{"name": "x.y"}]),
            [
                'webhooks[0].name: Invalid value: "x.y": should be a domain with at least three segments separated by dots',
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
                "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            ],
        ),
    ],
)
def test_mistakes_get_the_servers_words(obj: dict[str, Any], complaints: list[str]) -> None:
    assert said(obj)[: len(complaints)] == complaints
    assert bool(said(obj)) is bool(complaints)


def test_what_an_update_must_not_change() -> None:
    old = deployment()
    assert said(deployment(replicas=3), old) == []
    other = deployment(selector={"matchLabels": {"app": "b"}}, template={"metadata": {"labels": {"app": "b"}}, "spec": POD})
    assert said(other, old) == ['spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable']
    config = made("v1", "ConfigMap", data={"k": "v"}, immutable=True)
    changed = made("v1", "ConfigMap", data={"k": "w"}, immutable=True)
    assert said(changed, config) == ["data: Forbidden: field is immutable when `immutable` is set"]
    secret = made("v1", "Secret", type="a")
    assert said(made("v1", "Secret", type="b"), secret) == ['type: Invalid value: "b": field is immutable']
    binding = made("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "Role", "name": "r"})
    rebound = made("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "Role", "name": "s"})
    assert said(rebound, binding) == [
        'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"s"}: cannot change roleRef'
    ]
    service = made("v1", "Service", {"ports": [{"port": 80}], "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]})
    moved = made("v1", "Service", {"ports": [{"port": 80}], "clusterIP": "10.0.0.8", "clusterIPs": ["10.0.0.8"]})
    assert said(moved, service) == ['spec.clusterIPs[0]: Invalid value: ["10.0.0.8"]: may not change once set']
    pod = made("v1", "Pod", POD)
    assert said(made("v1", "Pod", {"containers": [{"name": "c", "image": "nginx:2", "imagePullPolicy": "Always"}]}), pod) == []
    assert said(made("v1", "Pod", {"containers": [{"name": "d", "image": "nginx"}]}), pod)[0].startswith(
        "spec: Forbidden: pod updates"
    )
    stateful = made("apps/v1", "StatefulSet", {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "x"})
    renamed = made("apps/v1", "StatefulSet", {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "y"})
    assert said(renamed, stateful)[0].startswith("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'")


def test_a_stateful_set_may_mount_what_its_claims_will_be() -> None:
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]},
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    obj = made("apps/v1", "StatefulSet", {"selector": SELECTOR, "template": template, "volumeClaimTemplates": [claim]})
    assert said(obj) == []
    assert obj["spec"]["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"


def test_string_data_of_a_secret_becomes_data() -> None:
    obj = made("v1", "Secret", stringData={"k": "v"}, data={"k": "eA==", "l": "eA=="})
    assert obj["data"] == {"k": "dg==", "l": "eA=="}
    assert "stringData" not in obj


def test_services_get_addresses_and_ports_of_their_own_and_keep_them() -> None:
    first = made("v1", "Service", {"type": "NodePort", "ports": [{"port": 80}]})
    assert assign_service(first, None, []) == []
    second = made("v1", "Service", {"type": "NodePort", "ports": [{"port": 80}]}, metadata={"name": "b", "namespace": "ns"})
    assert assign_service(second, None, [first]) == []
    assert first["spec"]["clusterIP"] != second["spec"]["clusterIP"]
    assert first["spec"]["ports"][0]["nodePort"] != second["spec"]["ports"][0]["nodePort"]
    update = made("v1", "Service", {"type": "NodePort", "ports": [{"port": 80}]})
    assert assign_service(update, first, [first, second]) == []
    assert update == first
    greedy = made(
        "v1",
        "Service",
        {
            "type": "NodePort",
            "clusterIP": first["spec"]["clusterIP"],
            "ports": [{"port": 80, "nodePort": 30000}, {"port": 81, "nodePort": 80}],
        },
        metadata={"name": "c", "namespace": "ns"},
    )
    assert [cause.message.partition(": ")[2].partition(": ")[2] for cause in assign_service(greedy, None, [first, second])] == [
        f"failed to allocate IP {first['spec']['clusterIP']}: provided IP is already allocated",
        "provided port is already allocated",
        "provided port is not in the valid range. The range of valid ports is 30000-32767",
    ]
    named = made("v1", "Service", {"type": "ExternalName", "externalName": "x.example.com"})
    assert assign_service(named, first, [first]) == []
    assert "clusterIP" not in named["spec"]


@pytest.mark.parametrize(
    ("schedule", "fine"),
    [
        ("*/5 * * * *", True),
        ("0 0 1 jan sun", True),
        ("@hourly", True),
        ("@every 1h30m", True),
        ("TZ=UTC 1-5,7 * * * *", True),
        ("* * * *", False),
        ("61 * * * *", False),
        ("5-1 * * * *", False),
        ("*/0 * * * *", False),
        ("@often", False),
        ("1/2/3 * * * *", False),
    ],
)
def test_schedules(schedule: str, fine: bool) -> None:
    job = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
    assert (said(made("batch/v1", "CronJob", {"schedule": schedule, "jobTemplate": {"spec": job}})) == []) is fine


def all_kinds() -> list[GVK]:
    return [GVK.of(api_version, kind) for api_version in shapes.api_versions() for kind in shapes.kinds(api_version)]


FIELDS = sorted({name for gvk in all_kinds() if (message := shapes.message_for(gvk)) for name in message.json_fields})
INNER = [
    "containers",
    "name",
    "ports",
    "port",
    "template",
    "selector",
    "matchLabels",
    "type",
    "rules",
    "http",
    "paths",
    "strategy",
    "env",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=4) | st.sampled_from(["1", "50%", "None"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(gvk=st.sampled_from(all_kinds()), body=st.dictionaries(st.sampled_from(["spec", *FIELDS]), values, max_size=4))
def test_defaulting_twice_is_once_and_nothing_raises(gvk: GVK, body: dict[str, Any]) -> None:
    obj: dict[str, Any] = {**body, "apiVersion": gvk.api_version, "kind": gvk.kind, "metadata": {"name": "a"}}
    validate_builtin(gvk, obj, None)  # even before it has its shape
    try:
        conform(gvk, obj)
    except StatusError:
        return
    default_builtin(gvk, obj)
    once = copy.deepcopy(obj)
    default_builtin(gvk, obj)
    assert obj == once
    validate_builtin(gvk, obj, None)
    validate_builtin(gvk, obj, once)
