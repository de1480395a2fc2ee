"""An author's day with kubectl, against the embedded API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox

pytestmark = [
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
    pytest.mark.timeout(600),
]

WEBSITE = Path(__file__).parents[2] / "examples" / "website"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}, {name: log, image: "log:1"}]}
"""


class Kubectl:
    """kubectl with a home of its own."""

    def __init__(self, sandbox: Sandbox, home: Path) -> None:
        self.sandbox = sandbox
        self.home = home
        kubeconfig = sandbox.write_kubeconfig(home / "kubeconfig")
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    def run(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.env | (env or {}),
        )

    def __call__(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        done = self.run(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} was not refused\n{done.stdout}"
        return done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(workloads=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = Kubectl(server, tmp_path_factory.mktemp("home"))
    made("apply", "-f", str(WEBSITE / "crd.yaml"))
    made("wait", "--for=condition=Established", "crd/websites.example.com", "--timeout=60s")
    return made


@pytest.fixture
def space(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = "n" + str(abs(hash(request.node.name)) % 10**8)
    kubectl("create", "namespace", name)
    kubectl("config", "set-context", "--current", f"--namespace={name}")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_client_side_apply(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    assert "created" in kubectl("apply", "-f", "-", stdin=site)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=site)
    assert "configured" in kubectl("apply", "-f", "-", stdin=site.replace("replicas: 2", "replicas: 3"))
    assert kubectl.json("get", "website", "blog")["spec"]["replicas"] == 3
    assert "created" in kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    changed = DEPLOYMENT.replace(', {name: log, image: "log:1"}', "").replace("nginx:1", "nginx:2")
    diff = kubectl.run("diff", "-f", "-", stdin=changed)
    assert diff.returncode == 1, diff.stderr
    assert "nginx:2" in diff.stdout
    assert "configured" in kubectl("apply", "-f", "-", stdin=changed)
    containers = kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert [container["image"] for container in containers] == ["nginx:2"]


def test_what_is_wrong_is_refused_before_and_after_it_is_sent(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    assert "unknown field" in kubectl.refused("apply", "-f", "-", stdin=site.replace("replicas:", "replica:"))
    assert "should be less than or equal to 20" in kubectl.refused(
        "apply", "-f", "-", stdin=site.replace("replicas: 2", "replicas: 200")
    )
    assert "unknown field" in kubectl.refused("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas:", "replica:"))
    assert "NotFound" in kubectl.refused("get", "website", "none")
    assert "the server doesn't have a resource type" in kubectl.refused("get", "nonsense")


def test_server_side_apply_and_its_conflicts(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    assert "serverside-applied" in kubectl("apply", "--server-side", "--field-manager=alice", "-f", "-", stdin=site)
    other = site.replace("replicas: 2", "replicas: 5")
    refused = kubectl.refused("apply", "--server-side", "--field-manager=bob", "-f", "-", stdin=other)
    assert 'conflict with "alice"' in refused
    assert ".spec.replicas" in refused
    kubectl("apply", "--server-side", "--field-manager=bob", "--force-conflicts", "-f", "-", stdin=other)
    live = json.loads(kubectl("get", "website", "blog", "-o", "json", "--show-managed-fields"))
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} >= {"alice", "bob"}
    assert live["spec"]["replicas"] == 5


def test_get_in_every_form(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    kubectl("apply", "-f", "-", stdin=site)
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    table = kubectl("get", "websites").splitlines()
    assert table[0].split() == ["NAME", "REPLICAS", "AVAILABLE", "REASON", "AGE"]
    assert table[1].split()[:2] == ["blog", "2"]
    assert kubectl("get", "site/blog", "--no-headers").split()[0] == "blog"
    wide = kubectl("get", "deployments", "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert "nginx:1,log:1" in wide[1]
    assert space in kubectl("get", "websites", "-A")
    assert kubectl("get", "websites", "-o", "name").strip() == "website.example.com/blog"
    assert kubectl("get", "websites", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas").split() == ["N", "R", "blog", "2"]
    assert kubectl("get", "website", "blog", "-o", "jsonpath={.spec.domain}") == "blog.example.com"
    assert "kind: Website" in kubectl("get", "website", "blog", "-o", "yaml")
    assert kubectl("get", "deployments", "-l", "app=web", "-o", "name").strip() == "deployment.apps/web"
    assert kubectl("get", "deployments", "-l", "app!=web", "-o", "name").strip() == ""
    assert kubectl("get", "deployments", "--field-selector=metadata.name=web", "-o", "name").strip() == "deployment.apps/web"
    assert kubectl("get", "websites,deployments", "-o", "name").split() == ["website.example.com/blog", "deployment.apps/web"]


def test_get_watches(kubectl: Kubectl, space: str) -> None:
    arguments = ["kubectl", "get", "configmaps", "-w", "--no-headers", "--output-watch-events"]
    with subprocess.Popen(arguments, env=kubectl.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            # The watch may begin before or after: the first line it shows is the creation either way.
            kubectl("create", "configmap", "seen", "--from-literal=a=1")
            assert watching.stdout.readline().split()[:3] == ["ADDED", "seen", "1"]
            kubectl("patch", "configmap", "seen", "--type=merge", "-p", '{"data":{"b":"2"}}')
            assert watching.stdout.readline().split()[:3] == ["MODIFIED", "seen", "2"]
            kubectl("delete", "configmap", "seen")
            assert watching.stdout.readline().split()[:2] == ["DELETED", "seen"]
        finally:
            watching.terminate()


def test_describe_and_explain(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    kubectl("apply", "-f", "-", stdin=site)
    described = kubectl("describe", "website", "blog")
    assert "API Version:  example.com/v1" in described
    assert "Replicas:  2" in described
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "2 desired" in kubectl("describe", "deployment", "web")
    assert "How many pods serve the site." in kubectl("explain", "website.spec.replicas")
    assert "htmlFrom" in kubectl("explain", "website.spec", "--recursive")
    explained = kubectl("explain", "deployment.spec.template.spec.containers")
    assert "imagePullPolicy" in explained
    assert "FIELDS:" in explained


def test_labels_annotations_and_patches_of_all_kinds(kubectl: Kubectl, space: str) -> None:
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "labeled" in kubectl("label", "deployment", "web", "tier=front")
    assert "already has a value" in kubectl.refused("label", "deployment", "web", "tier=back")
    kubectl("label", "deployment", "web", "tier=back", "--overwrite")
    kubectl("annotate", "deployment", "web", "note=one")
    kubectl("annotate", "deployment", "web", "note-")
    kubectl("patch", "deployment", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"log","image":"log:2"}]}}}}')
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    kubectl("patch", "deployment", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/minReadySeconds","value":1}]')
    kubectl("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"collisionCount":4}}')
    kubectl("set", "image", "deployment/web", "web=nginx:9")
    live = kubectl.json("get", "deployment", "web")
    assert live["metadata"]["labels"]["tier"] == "back"
    assert "note" not in live["metadata"].get("annotations", {})
    assert [item["image"] for item in live["spec"]["template"]["spec"]["containers"]] == ["nginx:9", "log:2"]
    assert (live["spec"]["replicas"], live["spec"]["minReadySeconds"], live["status"]["collisionCount"]) == (3, 1, 4)


def test_scale_and_rollout(kubectl: Kubectl, space: str) -> None:
    site = (WEBSITE / "blog.yaml").read_text().replace("namespace: default", f"namespace: {space}")
    kubectl("apply", "-f", "-", stdin=site)
    assert "scaled" in kubectl("scale", "website/blog", "--replicas=4")
    assert "expected replicas" in kubectl.refused("scale", "website/blog", "--current-replicas=1", "--replicas=2").lower()
    assert kubectl.json("get", "website", "blog")["spec"]["replicas"] == 4
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "condition met" in kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    assert "Running" in kubectl("get", "pods", "-l", "app=web")


def test_replace_and_edit(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    document = kubectl("get", "configmap", "c", "-o", "yaml")
    kubectl("replace", "-f", "-", stdin=document.replace('a: "1"', 'a: "2"'))
    assert "Conflict" in kubectl.refused("replace", "-f", "-", stdin=document)
    editor = kubectl.home / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i \'s/a: "2"/a: "3"/\' "$1"\n')
    editor.chmod(0o755)
    assert "edited" in kubectl("edit", "configmap", "c", env={"KUBE_EDITOR": str(editor)})
    assert kubectl.json("get", "configmap", "c")["data"] == {"a": "3"}


def test_create_commands(kubectl: Kubectl, space: str) -> None:
    kubectl("create", "deployment", "d", "--image=nginx", "--replicas=2", "--port=80")
    kubectl("create", "secret", "generic", "s", "--from-literal=password=x")
    kubectl("create", "serviceaccount", "sa")
    kubectl("create", "role", "r", "--verb=get,list", "--resource=pods,deployments.apps")
    kubectl("create", "rolebinding", "rb", "--role=r", f"--serviceaccount={space}:sa")
    kubectl("create", "service", "clusterip", "svc", "--tcp=80:8080")
    kubectl("create", "job", "j", "--image=busybox")
    kubectl("create", "cronjob", "cj", "--image=busybox", "--schedule=*/5 * * * *")
    kubectl("create", "ingress", "i", "--rule=a.example.com/*=svc:80")
    kubectl("create", "poddisruptionbudget", "p", "--selector=app=d", "--min-available=1")
    kubectl("expose", "deployment", "d", "--name=exposed", "--port=80")
    kubectl("autoscale", "deployment", "d", "--max=5")
    assert kubectl.json("get", "secret", "s")["data"] == {"password": "eA=="}
    assert kubectl.json("get", "role", "r")["rules"][0]["verbs"] == ["get", "list"]
    assert kubectl.json("get", "service", "svc")["spec"]["clusterIP"]
    assert kubectl("create", "token", "sa").count(".") == 2
    assert "condition met" in kubectl("wait", "--for=condition=complete", "job/j", "--timeout=60s")
    listed = kubectl("get", "deploy,svc,ing,pdb,cj,hpa", "-o", "name").split()
    assert {"deployment.apps/d", "service/exposed", "ingress.networking.k8s.io/i", "cronjob.batch/cj"} <= set(listed)


def test_what_the_server_can_do(kubectl: Kubectl, space: str) -> None:
    resources = kubectl("api-resources")
    for line in ("websites", "deployments", "configmaps", "leases", "customresourcedefinitions"):
        assert f"\n{line} " in resources
    assert "example.com/v1" in kubectl("api-versions")
    assert kubectl("auth", "can-i", "list", "websites").strip() == "yes"
    assert "Server Version" in kubectl("version")
    assert "is running at" in kubectl("cluster-info")


def test_deletion_in_every_way(kubectl: Kubectl, space: str) -> None:
    def alive(what: str) -> str:
        return kubectl("get", what, "-o", "name", "--ignore-not-found").strip()

    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("delete", "deployment", "web", "--cascade=orphan")
    assert len(alive("replicasets").split()) == 1
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("name: web, labels", "name: two, labels"))
    kubectl("rollout", "status", "deployment/two", "--timeout=60s")
    kubectl("delete", "deployment", "two", "--cascade=foreground", "--timeout=60s")
    assert "two" not in alive("replicasets")
    kubectl("create", "configmap", "held", "--from-literal=a=1")
    kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}')
    kubectl("delete", "configmap", "held", "--wait=false")
    assert kubectl.json("get", "configmap", "held")["metadata"]["deletionTimestamp"]
    assert "timed out" in kubectl.refused("wait", "--for=delete", "configmap/held", "--timeout=1s")
    kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "configmap/held", "--timeout=60s")
    kubectl("create", "configmap", "x1")
    kubectl("create", "configmap", "x2")
    kubectl("delete", "configmaps", "--all")
    assert alive("configmaps") == ""
    kubectl("delete", "pods", "--all", "--grace-period=0", "--force")


def test_a_namespace_ends_after_its_contents(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "doomed")
    kubectl("create", "configmap", "c", "-n", "doomed")
    kubectl("patch", "configmap", "c", "-n", "doomed", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}')
    kubectl("delete", "namespace", "doomed", "--wait=false")
    assert kubectl("get", "namespace", "doomed", "--no-headers").split()[1] == "Terminating"
    assert "is being terminated" in kubectl.refused("create", "configmap", "late", "-n", "doomed")
    kubectl("patch", "configmap", "c", "-n", "doomed", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "namespace/doomed", "--timeout=60s")
