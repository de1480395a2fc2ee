"""docs/migrating.md: both operators on the page run and do what it says of them, and kopf's marks come off as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operator_kit.controller import Registry, collect
from operator_kit.models import Metadata
from operator_kit.sandbox import Sandbox
from operator_kit.testing import Cluster, StartOperator, assert_condition, assert_object
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "migrating.md").read_text("utf-8")
CLAIM, MEMCACHED = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
KOPF = "kopf.zalando.org"


def claims(**versions: Any) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **versions}
    names = {
        "kind": "EphemeralVolumeClaim",
        "plural": "ephemeralvolumeclaims",
        "singular": "ephemeralvolumeclaim",
        "shortNames": ["evc"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ephemeralvolumeclaims.kopf.dev"},
        "spec": {"group": "kopf.dev", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def claim(name: str = "mine", **metadata: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": {"app": "shop", "tier": "web"}, **metadata}
    return {"apiVersion": "kopf.dev/v1", "kind": "EphemeralVolumeClaim", "metadata": meta, "spec": {"size": "1G"}}


def run_code(code: str) -> tuple[dict[str, Any], Registry]:
    """The names the page's code defines, and what it registers."""
    names: dict[str, Any] = {"__name__": "migrating"}
    registry = Registry()
    with collect(registry):
        exec(compile(code, "<docs/migrating.md>", "exec", dont_inherit=True), names)
    return names, registry


@pytest.fixture
def evc() -> Registry:
    return run_code(CLAIM)[1]


def test_the_claim_is_made_resized_relabelled_and_made_again(cluster: Cluster, operator: StartOperator, evc: Registry) -> None:
    cluster.load(claims(subresources={"status": {}}), claim())
    running = operator(evc).settle()
    owned = {"metadata": {"labels": {"app": "shop", "tier": "web"}}, "spec": {"resources": {"requests": {"storage": "1G"}}}}
    assert_object(cluster.get("PersistentVolumeClaim", "mine"), owned)

    cluster.patch("EphemeralVolumeClaim", "mine", {"metadata": {"labels": {"tier": None}}, "spec": {"size": "2G"}})
    running.settle()
    owned = {"metadata": {"labels": {"app": "shop", "tier": None}}, "spec": {"resources": {"requests": {"storage": "2G"}}}}
    assert_object(cluster.get("PersistentVolumeClaim", "mine"), owned)

    cluster.delete("PersistentVolumeClaim", "mine")
    running.settle()
    assert_object(cluster.get("PersistentVolumeClaim", "mine"), owned)
    cluster.patch("PersistentVolumeClaim", "mine", {"status": {"phase": "Bound"}}, subresource="status")
    running.settle()
    assert_object(cluster.get("EphemeralVolumeClaim", "mine"), {"status": {"pvc": "mine", "phase": "Bound"}})


def test_a_size_that_is_missing_is_told_and_not_tried_again(cluster: Cluster, operator: StartOperator, evc: Registry) -> None:
    cluster.load(claims(subresources={"status": {}}), claim() | {"spec": {}})
    running = operator(evc).settle()
    assert_condition(cluster.get("EphemeralVolumeClaim", "mine"), "Reconciled", False, reason="NoSize", message="spec.size")
    cluster.wait_event(cluster.get("EphemeralVolumeClaim", "mine"), reason="NoSize", type_="Warning")

    cluster.patch("EphemeralVolumeClaim", "mine", {"spec": {"size": "1G"}})
    running.settle()
    assert cluster.get("PersistentVolumeClaim", "mine")


def test_a_crd_without_a_status_subresource_is_told_with_the_remedy(
    cluster: Cluster, operator: StartOperator, evc: Registry
) -> None:
    cluster.load(claims(), claim())
    running = operator(evc)
    running.wait_failing(r"default/mine: .*no status subresource: add `subresources: \{status: \{\}\}`")


@pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("jq")), reason="needs kubectl and jq")
def test_what_kopf_left_on_its_objects_comes_off_and_nothing_else(cluster: Cluster, sandbox: Sandbox, tmp_path: Path) -> None:
    theirs = {
        "finalizers": ["example.com/backup", f"{KOPF}/KopfFinalizerMarker"],
        "annotations": {f"{KOPF}/last": "{}", "own": "1"},
    }
    cluster.load(claims(), claim("one", **theirs), claim("two", finalizers=[f"{KOPF}/KopfFinalizerMarker"]), claim("three"))
    kubeconfig = tmp_path / "kubeconfig"
    sandbox.write_kubeconfig(kubeconfig)
    command = re.findall(r"^      (kubectl get evc .*?kubectl replace --filename -)$", PAGE, re.MULTILINE | re.DOTALL)[0]
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    left = {obj["metadata"]["name"]: obj["metadata"] for obj in cluster.list("EphemeralVolumeClaim")}
    assert {name: meta.get("finalizers", []) for name, meta in left.items()} == {
        "one": ["example.com/backup"],
        "two": [],
        "three": [],
    }
    assert left["one"]["annotations"] == {"own": "1"}


@pytest.mark.sandbox(workloads=0)
def test_memcached_becomes_available_is_scaled_and_says_goodbye(cluster: Cluster, operator: StartOperator) -> None:
    page, registry = run_code(MEMCACHED)
    one = page["Memcached"](metadata=Metadata(name="one"), spec=page["MemcachedSpec"](size=3))
    cluster.load(page["Memcached"], one.to_dict())
    operator(registry)

    def available(size: int) -> Any:
        def check(obj: dict[str, Any]) -> bool:
            assert_condition(obj, "Available", True, message=f"{size} of {size} pods are ready")
            return len(obj["status"]["nodes"]) == size

        return check

    cluster.wait("Memcached", "one", available(3))
    cluster.patch("Memcached", "one", {"spec": {"size": 1}})
    cluster.wait("Memcached", "one", available(1))
    obj = cluster.get("Memcached", "one")
    cluster.delete("Memcached", "one")
    cluster.wait_gone("Memcached", "one")
    assert obj is not None
    cluster.wait_event(obj, reason="Deleting", type_="Warning")
