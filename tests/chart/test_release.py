"""The chart's life on an API server: installed, upgraded and uninstalled by Helm itself, on the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.errors import NotFound
from operator_kit.objects import Object
from operator_kit.sandbox import Sandbox
from tests.chart import helm
from tests.chart.helm import HelmError, render

CRD = (helm.ROOT / "examples" / "website" / "crd.yaml").read_text("utf-8")
SITE = yaml.safe_load((helm.ROOT / "examples" / "website" / "blog.yaml").read_text("utf-8"))
VALUES: dict[str, Any] = {
    "image": {"repository": "website-operator"},
    "crds": {"files": {"websites": CRD}},
    "rbac": {"rules": [{"apiGroups": ["example.com"], "resources": ["websites"], "verbs": ["get", "list", "watch"]}]},
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "grafanaDashboard": {"enabled": True},
}


class Cluster:
    """An API server, and Helm for one namespace of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.client = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        self.config = helm.helm_python.Config(kubeconfig_content=yaml.safe_dump(sandbox.kubeconfig()), namespace="demo-system")
        self.chart = helm.helm_python.Chart.load(helm.CHART)

    def install(self, values: dict[str, Any]) -> None:
        self.config.install(self.chart, "demo", values, create_namespace=True, wait="watcher", timeout=240)

    def upgrade(self, values: dict[str, Any]) -> None:
        self.config.upgrade(self.chart, "demo", values, wait="watcher", timeout=240)

    def get(self, obj: Object) -> Object:
        """The object on the server that this one names. Raises `NotFound`."""
        resource = self.client.discovery.resolve(f"{obj['apiVersion']}/{obj['kind']}")
        return self.client.get(resource, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))

    def close(self) -> None:
        self.chart.close()
        self.config.close()
        self.client.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Sandbox(workloads=0.01, tls=True) as sandbox:
        made = Cluster(sandbox)
        yield made
        made.close()


def test_a_release_is_installed_upgraded_and_uninstalled_and_its_definitions_and_objects_stay(cluster: Cluster) -> None:
    objects = render(VALUES)
    cluster.install(VALUES)
    for obj in objects:
        assert cluster.get(obj)["metadata"]["labels"].items() >= obj["metadata"]["labels"].items()
    deployment = helm.one(objects, "Deployment")
    assert cluster.get(deployment)["status"]["readyReplicas"] == 1, "Helm waited for it"
    cluster.client.create(cluster.client.discovery.resolve("Website"), SITE)

    wider = CRD.replace("maximum: 20", "maximum: 30")
    assert wider != CRD
    # More replicas, a wider definition, and no budget any more.
    cluster.upgrade(
        {**VALUES, "replicaCount": 2, "crds": {"files": {"websites": wider}}, "podDisruptionBudget": {"enabled": False}}
    )
    assert cluster.get(deployment)["status"]["readyReplicas"] == 2
    definition = helm.one(objects, "CustomResourceDefinition")
    schema = cluster.get(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["properties"]["replicas"]["maximum"] == 30
    with pytest.raises(NotFound):
        cluster.get(helm.one(objects, "PodDisruptionBudget"))

    answer = cluster.config.uninstall("demo")
    assert "websites.example.com" in answer["info"]
    for obj in objects:
        if obj["kind"] == "CustomResourceDefinition":
            assert cluster.get(obj)
        else:
            with pytest.raises(NotFound):
                cluster.get(obj)
    assert cluster.get(SITE)["spec"]["replicas"] == 2

    cluster.install(VALUES)  # once more: what was kept is taken over again
    assert cluster.config.history("demo")[-1]["status"] == "deployed"
    assert cluster.get(SITE)


def test_what_is_not_to_be_kept_goes_with_the_release(cluster: Cluster) -> None:
    values = {**VALUES, "crds": {"keep": False, "files": {"websites": CRD}}}
    cluster.install(values)
    cluster.config.uninstall("demo")
    for obj in render(values):
        with pytest.raises(NotFound):
            cluster.get(obj)


def test_values_that_are_refused_install_nothing(cluster: Cluster) -> None:
    for values in ({"replicaCount": 2, "leaderElection": {"enabled": False}}, {"replicaCont": 2}):
        with pytest.raises(HelmError):
            cluster.install(values)
        assert cluster.config.list() == []
    # Without the Prometheus Operator's kinds in the cluster: Helm asked it.
    with pytest.raises(HelmError, match="Install the Prometheus Operator"):
        cluster.install({"serviceMonitor": {"enabled": True}})
    cluster.install({**VALUES, "serviceMonitor": {"enabled": True, "renderMode": "skipIfMissing"}})
