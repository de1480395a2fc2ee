"""deploy/ is the chart for those who use kustomize: the same objects, made from it, and kept the same by these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.errors import NotFound
from operator_kit.sandbox import Sandbox
from tests.chart import manifests
from tests.chart.helm import ROOT, Object
from tests.chart.manifest import complaints, not_restricted
from tests.chart.manifests import COMPONENTS, DEPLOY

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def built(folder: Path) -> dict[tuple[str, str, str], Object]:
    """What `kubectl kustomize` makes of a folder, by kind, namespace and name."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return by_key([obj for obj in yaml.safe_load_all(done.stdout) if obj])


def by_key(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    found = {(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects}
    assert len(found) == len(objects)
    return found


def overlay(folder: Path, **content: Any) -> Path:
    folder.mkdir()
    base = os.path.relpath(DEPLOY, folder.resolve())
    components = [f"{base}/{component}" for component in content.pop("components", [])]
    document = {"resources": [f"{base}/default"], "components": components, **content}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_what_is_made_from_the_chart_is_up_to_date() -> None:
    made = manifests.files()
    stale = [path for path, text in made.items() if not (DEPLOY / path).is_file() or (DEPLOY / path).read_text("utf-8") != text]
    assert stale == [], "run: make manifests"
    orphans = [
        str(path.relative_to(DEPLOY))
        for path in DEPLOY.rglob("*.yaml")
        if path.name not in ("kustomization.yaml", "values.yaml") and str(path.relative_to(DEPLOY)) not in made
    ]
    assert orphans == []


@needs_kubectl
def test_kustomize_makes_the_objects_that_helm_makes() -> None:
    objects = built(DEPLOY / "default")
    namespace = objects.pop(("Namespace", "", manifests.NAMESPACE))
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert objects == by_key([obj for made in manifests.rendered({}).values() for obj in made])


@needs_kubectl
def test_the_components_add_what_the_charts_switches_add(tmp_path: Path) -> None:
    objects = built(overlay(tmp_path / "all", components=list(COMPONENTS)))
    del objects["Namespace", "", manifests.NAMESPACE]
    switched = manifests.rendered({**manifests.OPTIONAL, "replicaCount": 2})
    assert objects == by_key([obj for made in switched.values() for obj in made])


@needs_kubectl
def test_an_overlay_may_change_namespace_and_image_and_everything_follows(tmp_path: Path) -> None:
    images = [{"name": "website-operator", "newName": "registry.example.com/mine", "newTag": "2.0.0"}]
    objects = built(overlay(tmp_path / "mine", namespace="elsewhere", images=images))
    assert {place for _, place, _ in objects} == {"", "elsewhere"}
    assert ("Namespace", "", "elsewhere") in objects
    for (kind, _, _), obj in objects.items():
        if kind.endswith("Binding"):
            assert obj["subjects"][0]["namespace"] == "elsewhere"
    pod = objects["Deployment", "elsewhere", "website-operator"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.com/mine:2.0.0"
    assert manifests.NAMESPACE not in yaml.safe_dump(list(objects.values()))


@needs_kubectl
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_verbs_of_the_makefile_put_the_operator_into_a_cluster_and_take_it_out(tmp_path: Path) -> None:
    def make(*verbs: str) -> None:
        environment = os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig"), "IMG": "registry.example.com/mine:2"}
        done = subprocess.run(
            ["make", *verbs], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr

    with Sandbox(workloads=0.01) as sandbox:
        sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        client = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        deployments, definitions = (client.discovery.resolve(kind) for kind in ("Deployment", "CustomResourceDefinition"))
        make("install", "deploy")
        pod = client.get(deployments, "website-operator", manifests.NAMESPACE)["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == "registry.example.com/mine:2"
        make("undeploy")
        with pytest.raises(NotFound):
            client.get(deployments, "website-operator", manifests.NAMESPACE)
        assert client.get(definitions, "websites.example.com")
        make("uninstall")
        with pytest.raises(NotFound):
            client.get(definitions, "websites.example.com")
        client.close()


@needs_kubectl
def test_everything_in_deploy_is_valid() -> None:
    for folder in ("crd", "rbac", "manager", "default", "samples"):
        objects = list(built(DEPLOY / folder).values())
        assert complaints(objects) == []
        pods = [obj["spec"]["template"]["spec"] for obj in objects if obj["kind"] == "Deployment"]
        assert [list(not_restricted(pod)) for pod in pods] in ([], [[]])
