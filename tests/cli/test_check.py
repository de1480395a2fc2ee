"""`operator-kit check`: tells beforehand whether an operator would run, as people and as programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from operator_kit.api import Client
from operator_kit.cli import main
from operator_kit.manager import ExitCode
from operator_kit.objects import Resource
from operator_kit.sandbox import Sandbox

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: plains.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Plain, plural: plains}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
OPERATOR = """
from operator_kit import Registry
registry = Registry()

@registry.reconciler("Plain", owns=["v1/ConfigMap"], permissions=["get v1/Secret in vault"])
def plain(obj, ctx):
    ctx.apply(child(obj))

def child(obj): ...
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: op, namespace: default}
rules:
  - {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, create, patch]}
  - {apiGroups: [example.com], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: op, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: op}
subjects: [{kind: ServiceAccount, name: op, namespace: default}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: op, namespace: default}
"""
ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("check")
    (folder / "all.yaml").write_text(f"{CRD}---{ROLE}")
    with Sandbox(rbac=True) as sandbox:
        sandbox.load(folder / "all.yaml")
        yield sandbox


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: Sandbox) -> None:
    monkeypatch.chdir(tmp_path)
    kubeconfig = guarded.kubeconfig()
    client = Client.from_kubeconfig_dict(kubeconfig)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = client.create(ACCOUNTS, asked, namespace="default", name="op", subresource="token")
    client.close()
    kubeconfig["users"][0]["user"] = {"token": made["status"]["token"]}
    Path("kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("OPERATOR_KIT_NAMESPACE", raising=False)


def check(*arguments: str, code: str = OPERATOR) -> Result:
    Path("op.py").write_text(code)
    return CliRunner().invoke(main, ["check", *arguments, "op.py"])


def test_what_is_missing_is_told_with_the_rules_to_paste() -> None:
    done = check("--namespace", "default")
    assert done.exit_code == ExitCode.NOT_ALLOWED, done.output
    head, *lines = done.output.splitlines()
    assert "v1.36.2, as system:serviceaccount:default:op, from " in head
    assert lines[: lines.index("")] == [
        "Kinds",
        "  ok       Plain         served as plains.example.com",
        "  ok       v1/ConfigMap  served as configmaps",
        "Permissions in the namespace default",
        "  ok       plains.example.com             get, list, watch",
        "  ok       plains.example.com/finalizers  update",
        "  ok       configmaps                     get, list, watch, create, patch",
        "  missing  configmaps                     delete  (plain owns them)",
        "  missing  events.events.k8s.io           create, patch  (events)",
        "Permissions in the namespace vault",
        "  missing  secrets                        get  (declared by plain)",
    ]
    pasted = done.output.partition(
        "# Add to the rules of a Role in the namespace default bound to system:serviceaccount:default:op:\n"
    )[2]
    assert yaml.safe_load(pasted.partition("\n#")[0]) == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    assert lines[-1] == "It would not run: 4 permissions are missing."


def test_programs_get_the_same_as_json() -> None:
    done = check("--namespace", "default", "--output", "json")
    found: dict[str, Any] = json.loads(done.output)
    assert done.exit_code == ExitCode.NOT_ALLOWED
    assert found["ok"] is False
    assert found["server"]["version"] == "v1.36.2"
    assert found["user"] == "system:serviceaccount:default:op"
    assert {each["kind"]: each["served"] for each in found["kinds"]} == {"Plain": True, "v1/ConfigMap": True}
    refused = [(each["namespace"], each["resource"], each["verb"]) for each in found["permissions"] if not each["allowed"]]
    assert refused == [
        ("default", "configmaps", "delete"),
        ("default", "events", "create"),
        ("default", "events", "patch"),
        ("vault", "secrets", "get"),
    ]
    assert [each["namespace"] for each in found["missingRules"]] == ["default", "vault"]


def test_with_rights_in_a_namespace_the_whole_cluster_is_still_refused() -> None:
    done = check()
    assert done.exit_code == ExitCode.NOT_ALLOWED
    assert "# Add to the rules of a ClusterRole bound to" in done.output


def test_an_operator_that_would_run_is_told_so(guarded: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(guarded.write_kubeconfig(tmp_path / "admin")))
    done = check()
    assert done.exit_code == 0
    assert done.output.endswith("It would run.\n")
    assert "missing" not in done.output


def test_a_kind_that_is_not_installed_comes_before_everything_else() -> None:
    done = check("--namespace", "default", code=OPERATOR.replace("v1/ConfigMap", "Gadget"))
    assert done.exit_code == ExitCode.NOT_INSTALLED
    assert (
        "  missing  op.py:5: plain: the API server has no kind Gadget; is its CustomResourceDefinition installed?" in done.output
    )
    assert done.output.endswith("It would not run: 1 kind and 3 permissions are missing.\n")


def test_a_status_is_asked_for_only_where_the_code_writes_one() -> None:
    assert "warning" not in check("--namespace", "default").output
    deep = OPERATOR.replace("def child(obj): ...", "def child(obj):\n    return [c.set_condition('A', True) for c in obj]")
    done = check("--namespace", "default", code=deep)
    assert (
        "warning: op.py:5: plain calls ctx.set_condition, and Plain has no status subresource: the call will fail; "
        "add `subresources: {status: {}}` to its CustomResourceDefinition"
    ) in done.output


def test_a_namespace_that_does_not_exist_is_a_warning(guarded: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(guarded.write_kubeconfig(tmp_path / "admin")))
    done = check("--namespace", "typo")
    assert done.exit_code == 0
    assert "warning: the namespace typo does not exist (yet)" in done.output


def test_settings_of_run_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_KIT_NAMESPACE", "default")
    done = check("--workers", "9")
    assert "Permissions in the namespace default" in done.output
    done = check("--leader-elect", "--leader-election-id", "plain", "--leader-election-namespace", "ops")
    leases = done.output.partition("Permissions in the namespace ops\n")[2].splitlines()
    assert [line.split()[:3] for line in leases[:2]] == [
        ["missing", "leases.coordination.k8s.io", "create"],
        ["missing", "leases.coordination.k8s.io", "plain"],
    ]
    done = check("--metrics-auth")
    assert "  missing  tokenreviews.authentication.k8s.io         create  (--metrics-auth)" in done.output


@pytest.mark.parametrize(
    ("break_it", "code", "says"),
    [
        (lambda config: config["users"][0].update(user={"token": "nonsense"}), ExitCode.UNREACHABLE, "401"),
        (
            lambda config: config["clusters"][0]["cluster"].update(server="http://127.0.0.1:1"),
            ExitCode.UNREACHABLE,
            "no answer from",
        ),
        (lambda config: config.update({"current-context": "no"}), ExitCode.CONFIG, "has no context named no"),
    ],
    ids=["token", "server", "context"],
)
def test_a_server_that_cannot_be_asked_is_one_line_and_a_code(break_it: Any, code: int, says: str) -> None:
    config = yaml.safe_load(Path("kubeconfig").read_text())
    break_it(config)
    Path("kubeconfig").write_text(yaml.safe_dump(config))
    done = check()
    assert done.exit_code == code, done.output
    assert says in done.output
    assert len(done.output.splitlines()) == 1


def test_a_kind_that_cannot_be_used_as_declared_ends_like_run_would() -> None:
    done = check(code=OPERATOR.replace("v1/ConfigMap", "v1/Node"))
    assert done.exit_code == ExitCode.KIND
    assert "plain owns v1/Node: no owner reference of a namespaced Plain reaches what is cluster-scoped" in done.output
