"""In a pod: a process that has the files of its service account and the variables of a pod, and nothing else.

The files are where they are in every pod. That is a fixed path, so the process gets a mount namespace of its own, in which a
directory of the test stands there.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from operator_kit.api import Client
from operator_kit.errors import NotFound
from operator_kit.manager import ExitCode
from operator_kit.objects import Object
from operator_kit.sandbox import Sandbox
from tests.processes import ROOT, Running, eventually

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# /run is hidden by an empty file system of the namespace's own: nothing is made on the machine.
INSIDE = f'mount -t tmpfs tmpfs /run && mkdir -p {MOUNT} && mount --bind "$0" {MOUNT} && exec "$@"'


def unshare() -> list[str]:
    """The command that gives a process a mount namespace here, as root or with a user namespace; none where neither works."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try:
            tried = subprocess.run([*command, "sh", "-c", INSIDE, "/tmp", "true"], capture_output=True, timeout=240, check=False)
        except OSError:
            return []
        if tried.returncode == 0:
            return command
    return []


UNSHARE = unshare()
pytestmark = pytest.mark.skipif(not UNSHARE, reason="mount namespaces are not permitted here")

OPERATOR = """
from operator_kit import reconciler
@reconciler("v1/ConfigMap", selector="app=test")
def labelled(obj, ctx):
    if obj["data"].get("fail"):
        raise RuntimeError("as asked")
    size = str(len(obj["data"]["text"]))
    if (obj["metadata"].get("annotations") or {}).get("size") != size:
        ctx.event("Measured", f"it has {size} letters")
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": obj["metadata"]["name"] + "-size"}, "data": {"size": size}})
"""
RULES = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
]


class Mount:
    """What a process in a pod finds: the files of its service account, and its variables."""

    def __init__(self, folder: Path, port: int = 1) -> None:
        self.folder = folder
        self.port = port
        self.mount = folder / "serviceaccount"
        self.mount.mkdir()
        self._serial = 0

    def project(self, files: dict[str, bytes]) -> None:
        """Put the files there as the kubelet does: into a new directory, to which a link is turned in one step."""
        self._serial += 1
        fresh = self.mount / f"..{self._serial}"
        fresh.mkdir()
        before = self.mount / "..data"
        kept = {file.name: file.read_bytes() for file in before.iterdir()} if before.exists() else {}
        for name, content in {**kept, **files}.items():
            (fresh / name).write_bytes(content)
            if not (self.mount / name).is_symlink():
                (self.mount / name).symlink_to(f"..data/{name}")
        turned = self.mount / "..data_tmp"
        turned.symlink_to(fresh.name)
        turned.replace(before)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
            "POD_NAME": "op-7d4b9c-x2x4x",
            "POD_NAMESPACE": "operators",
        }

    def command(self, *arguments: str) -> list[str]:
        target = self.folder / "in_pod_operator.py"
        target.write_text(OPERATOR)
        return [
            *UNSHARE,
            "sh",
            "-c",
            INSIDE,
            str(self.mount),
            sys.executable,
            "-m",
            "operator_kit",
            "run",
            *arguments,
            str(target),
        ]


class Pod(Mount):
    """A server that authorises and speaks TLS, and the files and variables of a pod on it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        super().__init__(folder, sandbox.port)
        self.client = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        self.create("v1/Namespace", "operators")
        self.create("ClusterRole", "op", rules=RULES)
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "op"}
        self.create(
            "ClusterRoleBinding",
            "op",
            roleRef=role,
            subjects=[{"kind": "ServiceAccount", "name": "op", "namespace": "operators"}],
        )
        self.create("v1/ServiceAccount", "op", "operators")
        authority = sandbox.kubeconfig()["clusters"][0]["cluster"]["certificate-authority-data"]
        self.project({"ca.crt": base64.b64decode(authority), "namespace": b"operators", "token": self.token()})

    def create(self, kind: str, name: str, namespace: str | None = None, **more: Any) -> Object:
        metadata = {"name": name, **more.pop("metadata", {})}
        return self.client.create(self.client.discovery.resolve(kind), {"metadata": metadata, **more}, namespace=namespace)

    def token(self) -> bytes:
        made = self.client.call("POST", "/api/v1/namespaces/operators/serviceaccounts/op/token", body={"spec": {}})
        return str(made["status"]["token"]).encode()

    def renew_account(self) -> None:
        """The tokens given out so far are worth nothing from here on."""
        accounts = self.client.discovery.resolve("v1/ServiceAccount")
        self.client.delete(accounts, "op", "operators")
        self.create("v1/ServiceAccount", "op", "operators")

    @contextmanager
    def operator(self, *arguments: str) -> Iterator[Running]:
        log = self.folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.command(*arguments),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                cwd=ROOT,
            )
        try:
            yield Running(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def find(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        try:
            return self.client.get(self.client.discovery.resolve(kind), name, namespace)
        except NotFound:
            return None

    def measured(self, name: str) -> bool:
        return self.find("v1/ConfigMap", f"{name}-size") is not None

    def make(self, name: str) -> None:
        self.create("v1/ConfigMap", name, "default", metadata={"labels": {"app": "test"}}, data={"text": "hello"})


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    with Sandbox(rbac=True, tls=True) as sandbox:
        made = Pod(sandbox, tmp_path)
        yield made
        made.client.close()


def test_it_works_by_its_service_account_and_is_named_by_its_pod(pod: Pod) -> None:
    pod.make("a")
    with pod.operator("--leader-elect", "--leader-election-id", "op") as process:
        eventually(lambda: pod.measured("a") or process.process.poll() is not None, "the object")
        assert f"API server https://127.0.0.1:{pod.port}, from the pod's service account" in process.output()
        lease = pod.find("coordination.k8s.io/v1/Lease", "op", "operators")  # in the namespace of the pod
        assert lease is not None
        assert lease["spec"]["holderIdentity"].startswith("op-7d4b9c-x2x4x_")
        kind = pod.client.discovery.resolve("events.k8s.io/v1/Event")
        events = eventually(lambda: [e for e in pod.client.list(kind, "default").items if e["reason"] == "Measured"], "the event")
        assert events[0]["reportingInstance"].startswith("op-7d4b9c-x2x4x-")
        assert process.stop() == 0, process.output()
    assert "(403 " not in process.output()


def test_a_token_that_is_renewed_is_used_and_the_old_one_is_not_missed(pod: Pod) -> None:
    with pod.operator() as process:
        eventually(lambda: "all started" in process.output() or process.process.poll() is not None, "the start")
        pod.renew_account()
        pod.project({"token": pod.token()})
        for name in ("b", "c"):
            pod.make(name)
            eventually(lambda: pod.measured(name), f"the object {name}: {process.output()}")  # noqa: B023  # called at once
        assert "loaded the configuration anew: the pod's service account" in process.output()
        assert process.stop() == 0, process.output()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("token", None, "the pod has no service account token at /var/run/secrets"),
        ("ca.crt", None, "the pod's service account cannot be used: Service certification file does not exist"),
        ("namespace", b"\xff", "/namespace cannot be read"),
    ],
)
def test_a_broken_service_account_is_one_line_and_an_exit_code(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    mount = Mount(tmp_path)
    mount.project({"token": b"x", "ca.crt": b"x", "namespace": b"x"})
    if content is None:
        (mount.mount / name).unlink()
    else:
        mount.project({name: content})
    done = subprocess.run(
        mount.command(), capture_output=True, text=True, timeout=240, check=False, env=mount.environment, cwd=ROOT
    )
    assert done.returncode == ExitCode.CONFIG, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
