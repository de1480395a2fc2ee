"""A server that authorises, speaks TLS and keeps its state, as clients and restarts meet it."""

from __future__ import annotations

import base64
import gc
import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operator_kit.errors import ConfigError, UsageError
from operator_kit.sandbox import Sandbox

MAPS = "/api/v1/namespaces/default/configmaps"


def call(
    sandbox: Sandbox, method: str, path: str, body: Any = None, token: str = "", *, content: str = "application/json"
) -> tuple[int, Any]:
    config = sandbox.kubeconfig()
    authority = config["clusters"][0]["cluster"].get("certificate-authority-data")
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode()) if authority else None
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(sandbox.url + path, data=data, method=method, headers={"Content-Type": content})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as response:
            return response.status, json.loads(response.read() or b"null") if "json" in response.headers["Content-Type"] else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def admin(sandbox: Sandbox) -> str:
    return str(sandbox.kubeconfig()["users"][0]["user"]["token"])


@pytest.fixture
def guarded() -> Iterator[Sandbox]:
    with Sandbox(rbac=True) as sandbox:
        yield sandbox


def account(sandbox: Sandbox, *rules: dict[str, Any]) -> str:
    """A service account bound to these rules in the namespace default. Returns its token."""
    boss = admin(sandbox)
    api = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    assert call(sandbox, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "op"}}, boss)[0] == 201
    assert call(sandbox, "POST", f"{api}/roles", {"metadata": {"name": "op"}, "rules": list(rules)}, boss)[0] == 201
    binding = {
        "metadata": {"name": "op"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "op"},
        "subjects": [{"kind": "ServiceAccount", "name": "op", "namespace": "default"}],
    }
    assert call(sandbox, "POST", f"{api}/rolebindings", binding, boss)[0] == 201
    status, made = call(sandbox, "POST", "/api/v1/namespaces/default/serviceaccounts/op/token", {"spec": {}}, boss)
    assert status == 201
    return str(made["status"]["token"])


def test_a_service_account_may_do_what_its_role_says_and_no_more(guarded: Sandbox) -> None:
    token = account(guarded, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create"]})
    assert call(guarded, "POST", MAPS, {"metadata": {"name": "a"}}, token)[0] == 201
    assert call(guarded, "GET", MAPS, token=token)[0] == 200
    status, answer = call(guarded, "DELETE", f"{MAPS}/a", token=token)
    assert status == 403
    assert answer["message"] == (
        'configmaps "a" is forbidden: User "system:serviceaccount:default:op" cannot delete resource "configmaps" '
        'in API group "" in the namespace "default"'
    )
    assert call(guarded, "GET", "/api/v1/configmaps", token=token)[0] == 403
    assert call(guarded, "GET", f"{MAPS}?watch=1&timeoutSeconds=1", token=token)[0] == 403


def test_an_apply_and_a_replace_that_create_need_the_verb_create_too(guarded: Sandbox) -> None:
    rule = {"apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"], "verbs": ["get", "patch", "update"]}
    token = account(guarded, rule)
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    apply = "application/apply-patch+yaml"
    status, answer = call(guarded, "PATCH", f"{MAPS}/a?fieldManager=me", applied, token, content=apply)
    assert status == 403
    assert answer["message"].startswith('configmaps "a" is forbidden: ')
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
    assert call(guarded, "PUT", lease, {"metadata": {"name": "a"}, "spec": {}}, token)[0] == 403
    assert call(guarded, "POST", MAPS, {"metadata": {"name": "a"}}, admin(guarded))[0] == 201
    assert call(guarded, "PATCH", f"{MAPS}/a?fieldManager=me", {**applied, "data": {"k": "v"}}, token, content=apply)[0] == 200


def test_the_permissions_of_owner_references_are_enforced_where_asked_for() -> None:
    """As OwnerReferencesPermissionEnforcement does: `delete` to change them, `update` on the owner's finalizers to block with one."""
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]}
    cannot_block = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>"
    with Sandbox(rbac=True, owner_permissions=True) as server:
        token = account(server, maps)
        role = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/op"
        owner = call(server, "POST", MAPS, {"metadata": {"name": "owner"}}, admin(server))[1]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
        blocking = {**reference, "blockOwnerDeletion": True}

        def owned(verb: str, name: str, *references: Any) -> tuple[int, Any]:
            body = {"metadata": {"name": name, "ownerReferences": list(references)}}
            if verb == "POST":
                return call(server, "POST", MAPS, body, token)
            return call(server, "PATCH", f"{MAPS}/{name}", body, token, content="application/merge-patch+json")

        status, answer = owned("POST", "a", blocking)
        assert (status, answer["message"]) == (403, f'configmaps "a" is forbidden: {cannot_block}')
        unknown = {**blocking, "apiVersion": "no.such/v1"}
        assert "cannot find RESTMapping for APIVersion no.such/v1 Kind ConfigMap" in owned("POST", "a", unknown)[1]["message"]
        assert owned("POST", "a", reference)[0] == 201  # who creates it may give it an owner
        status, answer = owned("PATCH", "a")
        assert (status, answer["message"]) == (
            403,
            'configmaps "a" is forbidden: cannot set an ownerRef on a resource you can\'t delete: , <nil>',
        )
        maps["verbs"].append("delete")
        finalizers = {"apiGroups": [""], "resources": ["configmaps/finalizers"], "verbs": ["update"], "resourceNames": ["owner"]}
        for rules, allowed in (([maps], 403), ([maps, finalizers], 200)):
            assert call(server, "PUT", role, {"metadata": {"name": "op"}, "rules": rules}, admin(server))[0] == 200
            assert owned("PATCH", "a", blocking)[0] == allowed
        assert owned("PATCH", "a")[0] == 200
        assert call(server, "DELETE", f"{MAPS}/owner", token=admin(server))[0] == 200
    with pytest.raises(UsageError, match="owner_permissions is for rbac"):
        Sandbox(owner_permissions=True)


def test_discovery_is_open_to_all_who_are_known(guarded: Sandbox) -> None:
    token = account(guarded)
    assert call(guarded, "GET", "/apis/apps/v1", token=token)[0] == 200
    assert call(guarded, "GET", "/apis/apps/v1")[0] == 403
    assert call(guarded, "GET", "/readyz")[0] == 200


def test_a_token_that_is_nobodys_is_401(guarded: Sandbox) -> None:
    token = account(guarded)
    for bad in ("nonsense", token[:-2] + "xx", token.rpartition(".")[0] + ".sandbox"):
        assert call(guarded, "GET", MAPS, token=bad)[0] == 401


def test_the_token_of_a_deleted_account_is_worth_nothing(guarded: Sandbox) -> None:
    token = account(guarded, {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    assert call(guarded, "GET", MAPS, token=token)[0] == 200
    assert call(guarded, "DELETE", "/api/v1/namespaces/default/serviceaccounts/op", token=admin(guarded))[0] == 200
    assert call(guarded, "GET", MAPS, token=token)[0] == 401
    again = {"metadata": {"name": "op"}}
    assert call(guarded, "POST", "/api/v1/namespaces/default/serviceaccounts", again, admin(guarded))[0] == 201
    assert call(guarded, "GET", MAPS, token=token)[0] == 401  # it is another account, whatever its name


def test_reviews_say_what_would_be_decided(guarded: Sandbox) -> None:
    token = account(guarded, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})

    def allowed(verb: str, namespace: str) -> bool:
        spec = {"resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": namespace}}
        answer = call(guarded, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec}, token)[1]
        return bool(answer["status"]["allowed"])

    assert (allowed("get", "default"), allowed("list", "default"), allowed("get", "other")) == (True, False, False)
    review = {"spec": {"namespace": "default"}}
    rules = call(guarded, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review, token)[1]["status"]
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]} in rules["resourceRules"]
    who = call(guarded, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token)[1]
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:op"
    told = call(guarded, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}}, admin(guarded))[1]
    assert told["status"]["authenticated"] is True


def test_without_rbac_nobody_is_refused() -> None:
    with Sandbox() as sandbox:
        assert call(sandbox, "GET", MAPS, token="whatever")[0] == 200
        assert call(sandbox, "GET", MAPS)[0] == 200


def test_tls_is_verified_by_the_authority_of_the_kubeconfig() -> None:
    with Sandbox(tls=True) as sandbox:
        assert sandbox.url.startswith("https://")
        assert call(sandbox, "GET", MAPS)[0] == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(sandbox.url + "/readyz", timeout=60)


def test_a_stop_leaves_no_connection_of_a_tls_client_that_says_no_goodbye() -> None:
    with Sandbox(tls=True) as sandbox:
        authority = base64.b64decode(sandbox.kubeconfig()["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        raw = socket.create_connection(("127.0.0.1", sandbox.port), timeout=240)
        silent = ssl.create_default_context(cadata=authority).wrap_socket(raw, server_hostname="127.0.0.1")
        silent.sendall(b"GET /readyz HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert silent.recv(9) == b"HTTP/1.1 "
    gc.collect()  # what was left open says so as a warning, which fails this test
    silent.close()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_is_the_administrator_by_its_kubeconfig(tmp_path: Path) -> None:
    with Sandbox(rbac=True, tls=True) as sandbox:
        kubeconfig = sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}
        done = subprocess.run(
            ["kubectl", "auth", "whoami", "-o", "json"], capture_output=True, text=True, env=env, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"]["userInfo"]["username"] == "kubernetes-admin"


def test_state_outlives_the_server(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with Sandbox(state=file) as first:
        first.load(Path(__file__).parents[2] / "examples" / "website" / "crd.yaml")
        owner = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "a"}, "spec": {"html": "x"}}
        made = call(first, "POST", "/apis/example.com/v1/namespaces/default/websites", owner)[1]
        reference = {"apiVersion": "example.com/v1", "kind": "Website", "name": "a", "uid": made["metadata"]["uid"]}
        child = {"metadata": {"name": "child", "ownerReferences": [reference]}}
        assert call(first, "POST", MAPS, child)[0] == 201
        before = call(first, "GET", MAPS)[1]
    with Sandbox(state=file) as second:
        after = call(second, "GET", MAPS)[1]
        assert after["items"] == before["items"]
        assert int(after["metadata"]["resourceVersion"]) >= int(before["metadata"]["resourceVersion"])
        assert call(second, "GET", "/apis/example.com/v1/namespaces/default/websites/a")[1] == made
        assert call(second, "DELETE", "/apis/example.com/v1/namespaces/default/websites/a")[0] == 200
        status, gone = call(second, "GET", f"{MAPS}?watch=1&resourceVersion=5&timeoutSeconds=1")
        assert (status, gone["object"]["code"]) == (200, 410)
    with Sandbox(state=file) as third:
        assert "child" not in [item["metadata"]["name"] for item in call(third, "GET", MAPS)[1]["items"]]


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is no JSON"), ("[]", "was not written by a sandbox"), ('{"format": "x"}', "not written by")]
)
def test_a_state_file_that_is_none_is_refused_and_kept(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Sandbox(state=file)
    assert file.read_text() == text


def test_whoever_waits_for_the_kubeconfig_never_reads_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kubeconfig"
    there_before: list[bool] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        there_before.append(file.exists())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    with Sandbox() as sandbox:
        sandbox.write_kubeconfig(file)
    assert there_before == [False]
    assert "current-context: sandbox" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
