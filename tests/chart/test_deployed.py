"""What the chart installs works: the example operator as a process with the pod's own command line and the account's own rights."""

from __future__ import annotations

import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.controller.status import condition_of
from operator_kit.objects import Object
from operator_kit.sandbox import Sandbox
from tests.chart import helm, manifests
from tests.processes import eventually, free_port, operator_kit, run_operator_kit

PLAIN: dict[str, Any] = {}
GUARDED = {"secure": True, "auth": True}


def token_of(client: Client, account: str, namespace: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(client.call("POST", path, body={"spec": {}})["status"]["token"])


def kubeconfig_with(token: str, sandbox: Sandbox, file: Path) -> Path:
    document = sandbox.kubeconfig()
    document["users"][0]["user"] = {"token": token}
    file.write_text(yaml.safe_dump(document))
    return file


def status_of(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30, context=ssl._create_unverified_context()) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def install(sandbox: Sandbox, values: dict[str, Any]) -> None:
    with (
        helm.helm_python.Config(kubeconfig_content=yaml.safe_dump(sandbox.kubeconfig()), namespace=manifests.NAMESPACE) as config,
        helm.helm_python.Chart.load(helm.CHART) as chart,
    ):
        config.install(chart, "website", values, create_namespace=True)


@pytest.mark.parametrize("metrics", [PLAIN, GUARDED], ids=["plain", "guarded"])
def test_the_installed_operator_does_its_work_is_ready_and_stops_in_order(metrics: dict[str, Any], tmp_path: Path) -> None:
    health, port = free_port(), free_port()
    values = {
        **manifests.base_values(),
        "targets": [str(helm.ROOT / "examples" / "website.py")],
        "healthProbe": {"port": health},
        "metrics": {**metrics, "port": port},
    }
    objects = helm.render(values, release="website", namespace=manifests.NAMESPACE)
    pod = helm.one(objects, "Deployment")["spec"]["template"]["spec"]
    environment = {"POD_NAME": "website-operator-0", "POD_NAMESPACE": manifests.NAMESPACE}
    assert [variable["name"] for variable in pod["containers"][0]["env"]] == list(environment)

    with Sandbox(rbac=True, tls=True, workloads=0.01) as sandbox:
        install(sandbox, values)
        sandbox.load(manifests.EXAMPLE / "namespace.yaml", manifests.EXAMPLE / "blog.yaml")
        admin = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        websites = admin.discovery.resolve("Website")

        def site() -> Object:
            return admin.get(websites, "blog", "default")

        account = pod["serviceAccountName"]
        kubeconfig = kubeconfig_with(token_of(admin, account, manifests.NAMESPACE), sandbox, tmp_path / "pod.kubeconfig")
        arguments = pod["containers"][0]["args"]
        environment["KUBECONFIG"] = str(kubeconfig)
        with operator_kit(*arguments, log=tmp_path / "log", env=environment) as operator:
            eventually(lambda: (condition_of(site(), "Available") or {}).get("status") == "True", "the site is available")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = pod["containers"][0][probe]["httpGet"]["path"]
                eventually(lambda path=path: status_of(f"http://127.0.0.1:{health}{path}") == 200, path)

            lease = admin.get(admin.discovery.resolve("Lease"), "website-operator", manifests.NAMESPACE)
            assert lease["spec"]["holderIdentity"].startswith("website-operator-0_")
            assert_endpoints_test_passes(values)
            assert_permissions_test_passes(values, environment)
            if metrics:
                reader = helm.one(objects, "ClusterRole", "website-operator-metrics-reader")["metadata"]["name"]
                assert status_of(f"https://127.0.0.1:{port}/metrics", account_bound_to(reader, admin)) == 200
                assert status_of(f"https://127.0.0.1:{port}/metrics", "somebody") == 401
            admin.delete(websites, "blog", "default")
            eventually(lambda: not admin.list(websites).items, "the cleanup ends")
            assert operator.stop() == 0
        assert "forbidden" not in operator.output().lower()
        admin.close()


def pod_of_test(values: dict[str, Any], name: str) -> Object:
    text = helm.templates(values, release="website", namespace=manifests.NAMESPACE)["tests/tests.yaml"]
    return helm.one(yaml.safe_load_all(text), "Pod", f"website-operator-test-{name}")["spec"]


def assert_endpoints_test_passes(values: dict[str, Any]) -> None:
    """Run the program of the pod here, where the Service's name is this machine's."""
    container = pod_of_test(values, "endpoints")["containers"][0]
    program = container["args"][0].replace(f"website-operator-metrics.{manifests.NAMESPACE}.svc", "127.0.0.1")
    assert container["command"] == ["python", "-c"]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2


def assert_permissions_test_passes(values: dict[str, Any], environment: dict[str, str]) -> None:
    pod = pod_of_test(values, "permissions")
    assert pod["serviceAccountName"] == "website-operator"
    done = run_operator_kit(*pod["containers"][0]["args"], env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def account_bound_to(role: str, client: Client) -> str:
    """The token of a new account that a ClusterRole is bound to."""
    meta = {"name": "prometheus", "namespace": "default"}
    client.create(client.discovery.resolve("ServiceAccount"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "prometheus"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", **meta}],
    }
    client.create(client.discovery.resolve("ClusterRoleBinding"), binding)
    return token_of(client, "prometheus", "default")
