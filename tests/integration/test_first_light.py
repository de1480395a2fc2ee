"""The whole way of a change, with real processes: the example operator against an API server over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.sandbox import Sandbox
from tests.processes import ROOT, eventually, operator_kit

WEBSITE = ROOT / "examples" / "website"
OPERATOR = str(ROOT / "examples" / "website.py")


class Cluster:
    """A sandbox with the example's kinds, and a client of it."""

    def __init__(self, sandbox: Sandbox, client: Client, kubeconfig: Path) -> None:
        self.sandbox = sandbox
        self.client = client
        self.kubeconfig = kubeconfig
        self.websites = client.discovery.resolve("example.com/v1/Website")
        self.deployments = client.discovery.resolve("apps/v1/Deployment")

    def create(self, *names: str, **spec: Any) -> None:
        for name in names:
            body = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": {"html": name, **spec}}
            self.client.create(self.websites, body, namespace="default")

    def made(self) -> dict[str, int]:
        """The Deployments that exist, with their replicas."""
        items = self.client.list_all(self.deployments, "default").items
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in items}

    def arguments(self, *more: str) -> tuple[str, ...]:
        return ("run", "--kubeconfig", str(self.kubeconfig), *more, OPERATOR)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Sandbox() as sandbox:
        sandbox.load(WEBSITE / "crd.yaml", WEBSITE / "namespace.yaml")
        kubeconfig = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(kubeconfig)
        client = Client.from_config(kubeconfig=str(kubeconfig))
        try:
            yield Cluster(sandbox, client, kubeconfig)
        finally:
            client.close()


NAMES = [f"site-{number}" for number in range(60)]


def test_killed_in_the_middle_and_started_again_it_converges(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create(*NAMES)
    with operator_kit(*cluster.arguments(), log=tmp_path / "first.log") as first:
        eventually(lambda: len(cluster.made()) >= 5, "the first children")
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    with operator_kit(*cluster.arguments(), log=tmp_path / "second.log") as second:
        eventually(lambda: len(cluster.made()) == len(NAMES), "children of every site")
        assert second.stop() == 0, second.output()


def test_without_any_watch_it_converges_by_lists(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create("a", "b")
    with operator_kit(*cluster.arguments("--no-watch", "--resync", "1s"), log=tmp_path / "log") as running:
        eventually(lambda: set(cluster.made()) == {"a", "b"}, "children of what was there before")
        cluster.create("c")
        cluster.client.patch(cluster.websites, "a", "default", {"spec": {"replicas": 4}})
        cluster.client.delete(cluster.deployments, "b", "default")
        eventually(lambda: cluster.made() == {"a": 4, "b": 1, "c": 1}, "a new, a changed and a repaired child")
        cluster.client.delete(cluster.websites, "c", "default")
        eventually(lambda: set(cluster.made()) == {"a", "b"}, "a deleted site's children to go")
        assert running.stop() == 0, running.output()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_at_once_converge_and_one_that_always_fails_delays_none(cluster: Cluster, tmp_path: Path) -> None:
    broken = yaml.safe_load((WEBSITE / "broken.yaml").read_text())
    cluster.client.create(cluster.websites, broken, namespace="default")
    names = [f"site-{number}" for number in range(1000)]
    cluster.create(*names)
    with operator_kit(*cluster.arguments("--workers", "8"), log=tmp_path / "log") as running:
        eventually(lambda: len(cluster.made()) == len(names), "children of every site", timeout=840, every=0.5)
        site = cluster.client.get(cluster.websites, "broken", "default")
        assert site["status"]["conditions"][0]["reason"] == "PageMissing"
        assert "broken" not in cluster.made()
        assert running.stop() == 0, running.output()


def test_a_run_that_ends_when_idle_has_done_everything(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create(*NAMES[:10])
    with operator_kit(*cluster.arguments("--exit-when-idle"), log=tmp_path / "log") as running:
        assert running.process.wait(120) == 0, running.output()
    assert set(cluster.made()) == set(NAMES[:10])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_three_terminals(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}

    def kubectl(*arguments: str) -> str:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=120, check=False, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def deployments() -> list[str]:
        return [item["metadata"]["name"] for item in json.loads(kubectl("get", "deployments", "-o", "json"))["items"]]

    load = ("--load", str(WEBSITE / "crd.yaml"), "--load", str(WEBSITE / "namespace.yaml"))
    with operator_kit("sandbox", "--kubeconfig", str(kubeconfig), *load, log=tmp_path / "sandbox.log") as server:
        eventually(kubeconfig.exists, "the kubeconfig")
        with (
            operator_kit("run", OPERATOR, log=tmp_path / "run.log", env={"KUBECONFIG": str(kubeconfig)}) as operator,
            subprocess.Popen(
                ["kubectl", "get", "websites", "-w"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as watching,
        ):
            try:
                assert "created" in kubectl("apply", "-f", str(WEBSITE / "blog.yaml"))
                eventually(lambda: deployments() == ["blog"], "the child of the applied site")
                assert "unchanged" in kubectl("apply", "-f", str(WEBSITE / "blog.yaml"))
                kubectl("scale", "website/blog", "--replicas=3")
                eventually(
                    lambda: kubectl("get", "deployment", "blog", "-o", "jsonpath={.spec.replicas}") == "3", "the scaled child"
                )
                assert "deleted" in kubectl("delete", "-f", str(WEBSITE / "blog.yaml"))
                eventually(lambda: deployments() == [], "the child to be collected")
                assert operator.stop() == 0, operator.output()
            finally:
                watching.terminate()
                seen = watching.communicate()[0]
        assert server.stop() == 0, server.output()
    assert "blog" in seen
