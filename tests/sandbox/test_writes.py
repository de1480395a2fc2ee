"""Creates, updates and patches: names, locks, generations, subresources, options, warnings."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import CONFIG_MAPS, JSON, MERGE, WIDGET_CRD, WIDGETS, Talk

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
APPLY = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        talk = Talk(sandbox)
        talk.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGET_CRD)
        talk.until(WIDGETS, 200)
        yield sandbox


@pytest.fixture
def talk(sandbox: Sandbox) -> Talk:
    return Talk(sandbox)


def deployment(name: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}


def widget(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def test_generated_names_differ_and_keep_their_prefix(talk: Talk) -> None:
    names = {talk.create(CONFIG_MAPS, {"metadata": {"generateName": "gen-"}})["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"gen-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names)


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        ({"name": "Upper"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"name": "x", "labels": {"-bad": "v"}}, "metadata.labels"),
        ({"name": "x", "labels": {"k": "bad value"}}, "metadata.labels"),
        ({"name": "x", "annotations": {"bad key": "v"}}, "metadata.annotations"),
        ({"name": "x", "annotations": {"k": "v" * 262_145}}, "metadata.annotations"),
        ({"name": "x", "finalizers": ["bad finalizer"]}, "metadata.finalizers"),
        ({"name": "x", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "1"}]}, "metadata.owner"),
        ({"generateName": "Bad-"}, "metadata.generateName"),
    ],
)
def test_metadata_that_breaks_a_rule_is_422_and_named(talk: Talk, meta: dict[str, Any], field: str) -> None:
    for path, kind in ((CONFIG_MAPS, "ConfigMap"), (WIDGETS, "Widget")):
        status, refused = talk.send("POST", path, {"kind": kind, "metadata": meta})
        assert (status, refused["reason"]) == (422, "Invalid")
        assert any(cause["field"].startswith(field) for cause in refused["details"]["causes"]), refused


def test_what_only_the_server_says_cannot_be_set(talk: Talk) -> None:
    meta = {
        "name": "mine",
        "uid": "11111111-1111-1111-1111-111111111111",
        "creationTimestamp": "2000-01-01T00:00:00Z",
        "deletionTimestamp": "2000-01-01T00:00:00Z",
        "generation": 7,
    }
    made = talk.create(CONFIG_MAPS, {"metadata": meta})["metadata"]
    assert made["uid"] != meta["uid"]
    assert not made["creationTimestamp"].startswith("2000")
    assert "deletionTimestamp" not in made
    assert "generation" not in made
    changed = talk.merge(f"{CONFIG_MAPS}/mine", {"metadata": {"creationTimestamp": None, "generation": 9}})
    assert changed["metadata"]["resourceVersion"] == made["resourceVersion"]


def test_built_in_kinds_are_replaced_without_a_version_and_leases_are_not(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, {"metadata": {"name": "loose"}})
    assert talk.send("PUT", f"{CONFIG_MAPS}/loose", {"metadata": {"name": "loose"}, "data": {"a": "b"}})[0] == 200
    # A lease may be made by a PUT, and is changed only by one that carries its version.
    assert talk.send("PUT", f"{LEASES}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})[0] == 201
    status, refused = talk.send("PUT", f"{LEASES}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "b"}})
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


def test_a_patch_with_a_stale_version_or_another_uid_is_a_conflict(talk: Talk) -> None:
    old = talk.create(CONFIG_MAPS, {"metadata": {"name": "moving"}})
    talk.merge(f"{CONFIG_MAPS}/moving", {"data": {"a": "1"}})
    for meta in ({"resourceVersion": old["metadata"]["resourceVersion"]}, {"uid": "1234"}):
        status, refused = talk.send("PATCH", f"{CONFIG_MAPS}/moving", {"metadata": meta}, content_type=MERGE)
        assert (status, refused["reason"]) == (409, "Conflict")


def test_generation_counts_changes_of_the_spec_alone(talk: Talk) -> None:
    path = f"{DEPLOYMENTS}/counted"
    assert talk.create(DEPLOYMENTS, deployment("counted"))["metadata"]["generation"] == 1
    assert talk.merge(path, {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    assert talk.merge(f"{path}/status", {"status": {"replicas": 1}})["metadata"]["generation"] == 1
    assert talk.merge(path, {"spec": {"replicas": 2}})["metadata"]["generation"] == 2


def test_status_and_the_rest_are_written_apart(talk: Talk) -> None:
    path = f"{DEPLOYMENTS}/apart"
    made = talk.create(DEPLOYMENTS, {**deployment("apart"), "status": {"replicas": 9}})
    assert made["status"] == {}
    assert talk.merge(path, {"status": {"replicas": 9}})["status"] == {}
    changed = talk.merge(f"{path}/status", {"spec": {"replicas": 7}, "status": {"replicas": 3}})
    assert changed["status"] == {"replicas": 3}
    assert changed["spec"] == made["spec"]


def test_scale_reads_and_writes_replicas(talk: Talk) -> None:
    path = f"{DEPLOYMENTS}/scaled"
    talk.create(DEPLOYMENTS, deployment("scaled"))
    scale = talk.get(f"{path}/scale")
    assert (scale["kind"], scale["apiVersion"], scale["status"]["selector"]) == ("Scale", "autoscaling/v1", "app=scaled")
    scale["spec"]["replicas"] = 5
    status, scaled = talk.send("PUT", f"{path}/scale", scale)
    assert (status, scaled["spec"]["replicas"]) == (200, 5)
    assert talk.get(path)["spec"]["replicas"] == 5
    status, refused = talk.send("PUT", f"{path}/scale", scale)
    assert (status, refused["reason"]) == (409, "Conflict")
    status, refused = talk.send("PATCH", f"{path}/scale", {"spec": {"replicas": -1}}, content_type=MERGE)
    assert (status, refused["reason"]) == (422, "Invalid")


def test_a_dry_run_answers_as_if_and_leaves_no_trace(talk: Talk) -> None:
    status, made = talk.send("POST", CONFIG_MAPS, {"metadata": {"name": "dry"}}, dryRun="All")
    assert status == 201
    assert made["metadata"]["uid"]
    assert talk.send("GET", f"{CONFIG_MAPS}/dry")[0] == 404
    talk.create(CONFIG_MAPS, {"metadata": {"name": "wet"}})
    before = talk.get(f"{CONFIG_MAPS}/wet")
    assert talk.merge(f"{CONFIG_MAPS}/wet", {"data": {"a": "b"}}, dryRun="All")["data"] == {"a": "b"}
    assert talk.get(f"{CONFIG_MAPS}/wet") == before
    status, refused = talk.send("POST", CONFIG_MAPS, {"metadata": {"name": "dry"}}, dryRun="Some")
    assert (status, refused["details"]["kind"]) == (422, "CreateOptions")


def test_unknown_fields_are_refused_warned_of_or_dropped_as_asked(sandbox: Sandbox, talk: Talk) -> None:
    body = {**deployment("strict"), "nonsense": 1}
    body["spec"]["typo"] = True
    status, refused = talk.send("POST", DEPLOYMENTS, body, fieldValidation="Strict")
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert 'unknown field "spec.typo"' in refused["message"]
    for validation, warned in (("Warn", 2), ("Ignore", 0)):
        body["metadata"] = {"name": f"strict-{validation.lower()}"}
        request = urllib.request.Request(
            f"{sandbox.url}{DEPLOYMENTS}?fieldValidation={validation}",
            data=json.dumps(body).encode(),
            method="POST",
            headers={"Content-Type": JSON},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            warnings = response.headers.get_all("Warning") or []
            made = json.load(response)
        assert len(warnings) == warned
        assert all(re.fullmatch(r'299 - "unknown field \\".*\\""', warning) for warning in warnings)
        assert "nonsense" not in made
        assert "typo" not in made["spec"]
    status, refused = talk.send("POST", DEPLOYMENTS, body, fieldValidation="Sometimes")
    assert status == 422


def test_apply_creates_merges_and_conflicts(talk: Talk) -> None:
    path = f"{WIDGETS}/applied"

    def apply(manager: str, spec: dict[str, Any], **query: Any) -> tuple[int, Any]:
        body = widget("applied", **spec)
        return talk.send("PATCH", path, body, content_type=APPLY, fieldManager=manager, **query)

    assert apply("one", {"a": 1, "b": 1})[0] == 201
    assert apply("two", {"b": 2})[0] == 409
    status, forced = apply("two", {"b": 2}, force="true")
    assert (status, forced["spec"]) == (200, {"a": 1, "b": 2})
    status, dropped = apply("one", {})
    assert (status, dropped["spec"]) == (200, {"b": 2})
    status, refused = talk.send("PATCH", f"{WIDGETS}/nobody/status", widget("nobody"), content_type=APPLY, fieldManager="m")
    assert (status, refused["reason"]) == (404, "NotFound")


def test_applied_yaml_is_read_like_json(talk: Talk) -> None:
    body = b"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: from-yaml}\nspec: {when: 2026-01-01, on: 1}\n"
    status, made = talk.send("PATCH", f"{WIDGETS}/from-yaml", body, content_type=APPLY, fieldManager="m")
    assert (status, made["spec"]) == (201, {"when": "2026-01-01", "true": 1})


def test_yaml_bodies_and_yaml_answers(talk: Talk) -> None:
    body = b"metadata:\n  name: from-yaml\ndata:\n  k: v\n"
    status, answer = talk.send("POST", CONFIG_MAPS, body, content_type="application/yaml", accept="application/yaml")
    assert status == 201
    assert "kind: ConfigMap" in answer


def test_two_versions_of_a_horizontal_pod_autoscaler_are_one_object(talk: Talk) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    old = talk.create(path.format("v1"), {"metadata": {"name": "h"}, "spec": spec})
    assert old["spec"]["targetCPUUtilizationPercentage"] == 70
    new = talk.get(f"{path.format('v2')}/h")
    assert new["apiVersion"] == "autoscaling/v2"
    assert new["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert talk.get(f"{path.format('v1')}/h")["spec"] == spec


def test_reviews_answer_and_store_nothing(talk: Talk) -> None:
    path = "/apis/authorization.k8s.io/v1/{}"
    ask = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    assert talk.create(path.format("selfsubjectaccessreviews"), ask)["status"]["allowed"] is True
    assert talk.send("POST", path.format("selfsubjectaccessreviews"), {"spec": {}})[0] == 422
    assert talk.create(path.format("selfsubjectrulesreviews"), {"spec": {"namespace": "default"}})["status"]["resourceRules"]
    assert talk.send("GET", path.format("selfsubjectaccessreviews"))[0] == 405


def test_a_service_account_token_is_known_again(talk: Talk) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    talk.create(accounts, {"metadata": {"name": "robot"}})
    token = talk.create(f"{accounts}/robot/token", {"spec": {"expirationSeconds": 600}})["status"]["token"]
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = talk.create(reviews, {"spec": {"token": token}})["status"]
    assert (status["authenticated"], status["user"]["username"]) == (True, "system:serviceaccount:default:robot")
    assert "authenticated" not in talk.create(reviews, {"spec": {"token": "forged"}})["status"]
    assert talk.send("POST", f"{accounts}/nobody/token", {"spec": {}})[0] == 404


def test_a_bound_pod_has_its_node_and_an_evicted_one_goes(talk: Talk) -> None:
    pods = "/api/v1/namespaces/default/pods"
    talk.create(pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    talk.create(f"{pods}/p/binding", {"kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
    assert talk.get(f"{pods}/p")["spec"]["nodeName"] == "n"
    body = {"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    talk.create(f"{pods}/p/eviction", body)
    talk.until(f"{pods}/p", 404)
