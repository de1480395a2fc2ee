"""The stand-ins for the workload controllers: what is applied becomes ready, follows its template, and goes with its owner."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.workloads import Workloads

Object = dict[str, Any]
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


class Cluster:
    """An engine with the stand-ins, on a clock of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = Engine(clock=self.clock)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self.workloads = Workloads(self.engine.world, self.engine.writer, self.engine.deleter, delay=1.0, after=self.after)
        self.workloads.start()
        self.run(0)

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.clock.monotonic() + seconds, next(self._count), job))

    def run(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.clock.monotonic() + seconds
        self.engine.world.settle()
        while self._timers and self._timers[0][0] <= end:
            due, _, job = heapq.heappop(self._timers)
            self.clock.advance(max(0.0, due - self.clock.monotonic()))
            job()
            self.engine.world.settle()
        self.clock.advance(end - self.clock.monotonic())

    def served(self, kind: str) -> Any:
        api = {
            "Deployment": "apps/v1",
            "ReplicaSet": "apps/v1",
            "StatefulSet": "apps/v1",
            "DaemonSet": "apps/v1",
            "Job": "batch/v1",
        }
        served = self.engine.world.registry.of_kind(api.get(kind, "v1"), kind)
        assert served is not None
        return served

    def create(self, kind: str, name: str, spec: Object) -> None:
        obj = {"apiVersion": self.served(kind).api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.engine.writer.create(self.served(kind), "default", obj, WriteOptions(manager="test"))

    def change(self, kind: str, name: str, **spec: Any) -> None:
        self.edit(kind, name, lambda present: present.update(spec))

    def new_image(self, kind: str, name: str, image: str) -> None:
        self.edit(kind, name, lambda spec: spec["template"]["spec"]["containers"][0].update(image=image))

    def edit(self, kind: str, name: str, edit: Callable[[Object], None]) -> None:
        def changed(obj: Object) -> Object:
            edit(obj["spec"])
            return obj

        self.engine.writer.modify(self.served(kind), "default", name, changed, WriteOptions(manager="test"))

    def delete(self, kind: str, name: str) -> None:
        self.engine.deleter.delete(self.served(kind), "default", name, WriteOptions(propagation="Background"))

    def get(self, kind: str, name: str) -> Object:
        entry = self.served(kind).objects().get(f"default/{name}")
        assert entry is not None, f"there is no {kind} {name}"
        return entry.obj

    def all(self, kind: str) -> list[Object]:
        return [entry.obj for entry in self.served(kind).objects().scan("default")]

    def condition(self, kind: str, name: str, type_: str) -> str:
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((item["status"] for item in conditions if item["type"] == type_), "")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_deployment_becomes_available_after_a_while_not_at_once(cluster: Cluster) -> None:
    cluster.create("Deployment", "web", {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE})
    cluster.run(0.5)
    assert cluster.condition("Deployment", "web", "Available") == "False"
    cluster.run(10)
    status = cluster.get("Deployment", "web")["status"]
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"], status["updatedReplicas"]) == (3, 3, 3, 3)
    assert status["observedGeneration"] == cluster.get("Deployment", "web")["metadata"]["generation"]
    assert cluster.condition("Deployment", "web", "Available") == "True"
    pods = cluster.all("Pod")
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    assert all(pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet" for pod in pods)


def test_a_settled_cluster_writes_nothing(cluster: Cluster) -> None:
    cluster.create("Deployment", "web", {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE})
    cluster.create("StatefulSet", "db", {"replicas": 2, "serviceName": "db", "selector": SELECTOR, "template": TEMPLATE})
    cluster.create("Job", "once", {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}})
    cluster.run(60)
    version = cluster.engine.world.storage.version
    cluster.run(600)
    assert cluster.engine.world.storage.version == version


def test_a_deployment_is_scaled_up_and_down(cluster: Cluster) -> None:
    cluster.create("Deployment", "web", {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE})
    cluster.run(10)
    for replicas in (4, 0, 2):
        cluster.change("Deployment", "web", replicas=replicas)
        cluster.run(60)
        assert cluster.get("Deployment", "web")["status"].get("readyReplicas", 0) == replicas
        assert len(cluster.all("Pod")) == replicas


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_a_new_template_replaces_the_pods(cluster: Cluster, strategy: str) -> None:
    cluster.create(
        "Deployment", "web", {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE, "strategy": {"type": strategy}}
    )
    cluster.run(10)
    cluster.new_image("Deployment", "web", "nginx:2")
    cluster.run(120)
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.all("Pod")} == {"nginx:2"}
    assert len(cluster.all("Pod")) == 2
    assert len(cluster.all("ReplicaSet")) == 2
    assert cluster.condition("Deployment", "web", "Available") == "True"


def test_a_deleted_pod_comes_back(cluster: Cluster) -> None:
    cluster.create("Deployment", "web", {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE})
    cluster.run(10)
    first = cluster.all("Pod")[0]["metadata"]["name"]
    cluster.delete("Pod", first)
    cluster.run(60)
    assert [pod["metadata"]["name"] != first for pod in cluster.all("Pod")] == [True]


def test_everything_goes_with_the_deployment(cluster: Cluster) -> None:
    cluster.create("Deployment", "web", {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE})
    cluster.run(10)
    cluster.delete("Deployment", "web")
    cluster.run(60)
    assert cluster.all("ReplicaSet") == []
    assert cluster.all("Pod") == []


def test_a_stateful_set_starts_in_order_and_its_claims_are_bound(cluster: Cluster) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }
    spec = {"replicas": 2, "serviceName": "db", "selector": SELECTOR, "template": TEMPLATE, "volumeClaimTemplates": [claim]}
    cluster.create("StatefulSet", "db", spec)
    cluster.run(0.5)
    assert [pod["metadata"]["name"] for pod in cluster.all("Pod")] == ["db-0"]
    cluster.run(30)
    assert [pod["metadata"]["name"] for pod in cluster.all("Pod")] == ["db-0", "db-1"]
    assert cluster.get("StatefulSet", "db")["status"]["readyReplicas"] == 2
    bound = cluster.get("PersistentVolumeClaim", "data-db-0")
    assert (bound["status"]["phase"], bound["status"]["capacity"]) == ("Bound", {"storage": "2Gi"})
    cluster.delete("StatefulSet", "db")
    cluster.run(60)
    assert cluster.all("Pod") == []
    assert len(cluster.all("PersistentVolumeClaim")) == 2


def test_a_stateful_set_rolls_from_the_last_pod(cluster: Cluster) -> None:
    cluster.create("StatefulSet", "db", {"replicas": 2, "serviceName": "db", "selector": SELECTOR, "template": TEMPLATE})
    cluster.run(30)
    cluster.new_image("StatefulSet", "db", "nginx:2")
    cluster.run(200)
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.all("Pod")] == ["nginx:2", "nginx:2"]
    status = cluster.get("StatefulSet", "db")["status"]
    assert status["currentRevision"] == status["updateRevision"]


def test_a_daemon_set_has_a_pod_on_the_node(cluster: Cluster) -> None:
    cluster.create("DaemonSet", "agent", {"selector": SELECTOR, "template": TEMPLATE})
    cluster.run(30)
    status = cluster.get("DaemonSet", "agent")["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (1, 1)


def test_a_job_completes(cluster: Cluster) -> None:
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    cluster.create("Job", "batch", {"completions": 3, "parallelism": 2, "template": template})
    cluster.run(1.5)
    assert cluster.get("Job", "batch")["status"].get("active") == 2
    cluster.run(60)
    status = cluster.get("Job", "batch")["status"]
    assert status["succeeded"] == 3
    assert cluster.condition("Job", "batch", "Complete") == "True"
    assert len(cluster.all("Pod")) == 3


def test_a_bare_pod_runs(cluster: Cluster) -> None:
    cluster.create("Pod", "alone", TEMPLATE["spec"])
    cluster.run(10)
    assert cluster.get("Pod", "alone")["status"]["phase"] == "Running"
    cluster.delete("Pod", "alone")
    cluster.run(10)
    assert cluster.all("Pod") == []
