"""Probes and metrics as an operator serves them: where, with TLS, and to whom."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from operator_kit.api import Client
from operator_kit.clock import Clock, FakeClock
from operator_kit.errors import ConfigError, UsageError
from operator_kit.manager import ExitCode, Manager, binding
from operator_kit.manager import certificates as module
from operator_kit.manager.authorization import Authorizer
from operator_kit.manager.connection import Request, Response
from operator_kit.manager.endpoint import EndpointError
from operator_kit.objects import Object
from operator_kit.sandbox import Sandbox
from operator_kit.settings import Settings
from tests.manager.conftest import Cluster, Operator, registry_of
from tests.processes import ROOT, eventually, free_port

ANY = "127.0.0.1:0"


def nothing(obj: Object, ctx: Any) -> None:
    return None


def fetch(url: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    client = (
        http.client.HTTPSConnection(host, timeout=30, context=context)
        if scheme == "https"
        else http.client.HTTPConnection(host, timeout=30)
    )
    try:
        client.request("GET", slash + path, headers=headers)
        response = client.getresponse()
        return response.status, response.read().decode()
    finally:
        client.close()


def url(operator: Operator, path: str) -> str:
    return eventually(lambda: operator.manager.serving.url(path), f"{path} is served")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "BIND_AGAIN", 0.1)  # seconds between two looks for a kind


# ------------------------------------------------------------------ where


def test_probes_and_metrics_are_served_until_the_very_end(cluster: Cluster) -> None:
    operator = cluster.start(registry_of(nothing), metrics_bind_address=ANY, health_probe_bind_address=ANY)
    live, ready, metrics = (url(operator, path) for path in ("/livez", "/readyz", "/metrics"))
    assert fetch(live) == (200, "ok")
    status, text = fetch(ready)
    assert (status, "[-]kinds failed: " in text) == (500, True)  # before anything else works, it answers
    cluster.install()
    eventually(lambda: fetch(ready) == (200, "ok"), "ready")
    assert fetch(ready + "?verbose")[1].splitlines() == ["[+]shutdown ok", "[+]kinds ok", "[+]caches ok", "readyz check passed"]
    assert fetch(live.replace("/livez", "/healthz/workers")) == (200, "ok")
    assert 'controller_runtime_active_workers{controller="foo"} 0.0' in fetch(metrics)[1]
    assert fetch(live.replace("/livez", "/metrics"))[0] == 404
    assert operator.stop() is ExitCode.OK
    with pytest.raises(ConnectionRefusedError):
        fetch(live)


def test_a_stopping_operator_is_not_ready_while_its_reconciles_end(foos: Cluster) -> None:
    running, go_on = threading.Event(), threading.Event()

    def slow(obj: Object, ctx: Any) -> None:
        running.set()
        go_on.wait(60)

    foos.create("a")
    operator = foos.start(registry_of(slow), health_probe_bind_address=ANY)
    ready = url(operator, "/readyz")
    assert running.wait(60)
    operator.manager.stop()
    status, text = fetch(ready)
    assert (status, text.splitlines()[0]) == (500, "[-]shutdown failed: the operator is stopping")
    assert fetch(ready.replace("readyz", "livez")) == (200, "ok")
    go_on.set()
    operator.end()


def test_one_address_serves_both(cluster: Cluster) -> None:
    address = f"127.0.0.1:{free_port()}"
    operator = cluster.start(registry_of(nothing), metrics_bind_address=address, health_probe_bind_address=address)
    assert fetch(url(operator, "/livez")) == (200, "ok")
    assert fetch(f"http://{address}/metrics")[0] == 200
    assert len(operator.manager.serving.endpoints) == 1


def test_both_are_off_unless_asked_for(cluster: Cluster) -> None:
    operator = cluster.start(registry_of(nothing))
    eventually(lambda: operator.manager.beat, "it runs")
    assert operator.manager.serving.endpoints == ()


def test_an_address_in_use_ends_it_with_a_line_and_nothing_half_started(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = f"127.0.0.1:{free_port()}"
        operator = cluster.start(registry_of(nothing), metrics_bind_address=other, health_probe_bind_address=address)
        with pytest.raises(EndpointError, match=f"cannot listen on {address}: another process listens there already") as caught:
            operator.end()
        assert caught.value.exit_code is ExitCode.ENDPOINT
        with pytest.raises(ConnectionRefusedError):
            fetch(f"http://{other}/metrics")  # taken first, and given back
    assert operator.client.metrics.count() == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"metrics_secure": True, "metrics_cert_file": "x"}, "belong together"),
        ({"metrics_cert_file": "x", "metrics_key_file": "y"}, "add --metrics-secure"),
        ({"metrics_auth": True}, "add --metrics-secure"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_anything_is_made(
    cluster: Cluster, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Manager(registry_of(nothing), cluster.client, Settings(metrics_bind_address=ANY, **settings))


def test_certificate_files_that_are_not_there_are_told_in_a_line(cluster: Cluster) -> None:
    files = {"metrics_cert_file": "none.crt", "metrics_key_file": "none.key"}
    operator = cluster.start(registry_of(nothing), metrics_bind_address=ANY, metrics_secure=True, **files)
    with pytest.raises(EndpointError, match=r"none\.crt cannot be read: No such file"):
        operator.end()


# ------------------------------------------------------------------ TLS


def write_pair(folder: Path, name: str, *, key: ec.EllipticCurvePrivateKey | None = None) -> ec.EllipticCurvePrivateKey:
    """A certificate for localhost that is its own authority, and its key, replaced at once as a mounted Secret is."""
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = Clock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(own, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = (key or own).private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content in ((folder / "tls.crt", certificate.public_bytes(pem)), (folder / "tls.key", private)):
        fresh = file.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(file)
    return own


def served_name(operator: Operator) -> str:
    """The name in the certificate that is served now."""
    address = operator.manager.serving.endpoints[0].address
    pem = ssl.get_server_certificate((address.host, address.port), timeout=30)
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def with_files(cluster: Cluster, folder: Path) -> Operator:
    files = {"metrics_cert_file": str(folder / "tls.crt"), "metrics_key_file": str(folder / "tls.key")}
    return cluster.start(registry_of(nothing), metrics_bind_address=ANY, metrics_secure=True, **files)


def metric(operator: Operator, name: str) -> float:
    return operator.manager.metrics.counter(name, "").value()


def test_certificates_are_renewed_under_it_and_a_bad_renewal_changes_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)
    first = write_pair(tmp_path, "first")
    operator = with_files(cluster, tmp_path)
    address = url(operator, "/metrics").replace("127.0.0.1", "localhost")
    assert fetch(address, ssl.create_default_context(cafile=str(tmp_path / "tls.crt")))[0] == 200
    assert served_name(operator) == "first"
    write_pair(tmp_path, "broken", key=first)
    assert served_name(operator) == "first"
    assert "is not the one of the certificate" in caplog.text
    (tmp_path / "tls.key").unlink()
    assert served_name(operator) == "first"
    write_pair(tmp_path, "second")
    assert served_name(operator) == "second"
    assert fetch(address, ssl.create_default_context(cafile=str(tmp_path / "tls.crt")))[0] == 200
    assert metric(operator, "certwatcher_read_certificate_total") >= 4
    assert metric(operator, "certwatcher_read_certificate_errors_total") == 2


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("", "", "are not a certificate and its key in PEM"),
        ("nonsense", "nonsense", "are not a certificate"),
        (None, "other", "is not the one"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_in_a_line(
    cluster: Cluster, tmp_path: Path, certificate: str | None, key: str, says: str
) -> None:
    write_pair(tmp_path, "good", key=ec.generate_private_key(ec.SECP256R1()) if key == "other" else None)
    if certificate is not None:
        (tmp_path / "tls.crt").write_text(certificate)
        (tmp_path / "tls.key").write_text(key)
    with pytest.raises(EndpointError, match=says):
        with_files(cluster, tmp_path).end()


def test_without_files_a_certificate_is_made_for_the_run(cluster: Cluster) -> None:
    operator = cluster.start(registry_of(nothing), metrics_bind_address=ANY, metrics_secure=True)
    address = url(operator, "/metrics")
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch(address, ssl.create_default_context())
    anyone = ssl._create_unverified_context()
    assert fetch(address, anyone)[0] == 200
    assert served_name(operator) == "operator-kit"


def test_without_files_and_without_the_package_the_remedy_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    operator = cluster.start(registry_of(nothing), metrics_bind_address=ANY, metrics_secure=True)
    with pytest.raises(EndpointError, match=r"pip install 'operator-kit\[tls\]', or give the files"):
        operator.end()


def test_who_speaks_no_tls_is_told_and_who_never_does_is_let_go(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from operator_kit.manager import connection

    operator = cluster.start(registry_of(nothing), metrics_bind_address=ANY, metrics_secure=True)
    address = url(operator, "/metrics")
    status, text = fetch(address.replace("https", "http"))
    assert (status, text) == (400, "this port speaks HTTPS, not HTTP\n")
    target = operator.manager.serving.endpoints[0].address
    with monkeypatch.context() as hurried:
        hurried.setattr(connection, "HEAD_SECONDS", 0.3)
        for junk in (b"", b"\x16", b"\x16\x03\x01\x00\xff" + b"x" * 300):
            with socket.create_connection(target, timeout=60) as peer:
                peer.sendall(junk)
                with suppress(ConnectionResetError):
                    while peer.recv(1000):  # an alert, or nothing, and then the end
                        pass
    assert fetch(address, ssl._create_unverified_context())[0] == 200


# ------------------------------------------------------------------ whose token


class Guarded:
    """A server with roles, and a client that may ask."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = FakeClock()
        self.client = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        self.authorizer = Authorizer(self.client, clock=self.clock)

    def account(self, name: str, *paths: str) -> str:
        """A service account that may get these paths. Returns its token."""
        client = self.client
        resolve = client.discovery.resolve
        client.create(resolve("v1/ServiceAccount"), {"metadata": {"name": name}}, namespace="default")
        role = {"metadata": {"name": name}, "rules": [{"nonResourceURLs": list(paths), "verbs": ["get"]}] if paths else []}
        client.create(resolve("ClusterRole"), role)
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        }
        client.create(resolve("ClusterRoleBinding"), binding)
        made = client.call("POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", body={"spec": {}})
        return str(made["status"]["token"])

    def ask(self, token: str | None, path: str = "/metrics") -> int:
        from email.message import Message

        headers = Message()
        if token is not None:
            headers["Authorization"] = token
        route = self.authorizer.guarded(lambda _: Response("the metrics"))
        return route(Request(path, {}, headers)).status


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with Sandbox(rbac=True) as sandbox:
        made = Guarded(sandbox)
        yield made
        made.client.close()


def test_who_may_is_answered_who_may_not_is_refused_and_who_is_unknown_as_well(guarded: Guarded) -> None:
    prometheus, other = guarded.account("prometheus", "/metrics"), guarded.account("other")
    assert guarded.ask(f"Bearer {prometheus}") == 200
    assert guarded.ask(f"bearer   {prometheus} ") == 200
    assert guarded.ask(f"Bearer {prometheus}", "/else") == 403
    assert guarded.ask(f"Bearer {other}") == 403
    for nobody in (None, "", "Bearer", "Bearer ", f"Basic {prometheus}", "Bearer nonsense", "Bearer \xe9\xff"):
        assert guarded.ask(nobody) == 401


def test_verdicts_are_remembered_as_long_as_upstream_does(guarded: Guarded) -> None:
    may, may_not = guarded.account("may", "/metrics"), guarded.account("may-not")

    def asked(token: str) -> int:
        before = guarded.client.metrics.count("POST")
        guarded.ask(f"Bearer {token}")
        return guarded.client.metrics.count("POST") - before

    assert (asked(may), asked(may)) == (2, 0)
    guarded.clock.advance(59)
    assert asked(may) == 0
    guarded.clock.advance(2)
    assert asked(may) == 1  # the token again; the yes is good for five minutes
    guarded.clock.advance(240)
    assert asked(may) == 2
    assert (asked(may_not), asked(may_not)) == (2, 0)
    guarded.clock.advance(31)
    assert asked(may_not) == 1  # the no again; the token is good for a minute
    assert (asked("nonsense"), asked("nonsense")) == (1, 0)
    guarded.clock.advance(61)
    assert asked("nonsense") == 1


def test_an_api_server_that_does_not_say_is_a_500_told_once_with_the_rules(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    token = guarded.account("may", "/metrics")
    guarded.sandbox.faults.add(action="status", code=403, resource="subjectaccessreviews.authorization.k8s.io")
    assert [guarded.ask(f"Bearer {token}") for _ in range(3)] == [500] * 3
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 'resources: ["subjectaccessreviews"], verbs: ["create"]' in record.getMessage()
    assert token not in caplog.text
    guarded.sandbox.faults.clear()
    assert guarded.ask(f"Bearer {token}") == 200


def test_an_operator_asks_for_tokens_when_told_to(guarded: Guarded) -> None:
    token = guarded.account("prometheus", "/metrics")
    settings = Settings(metrics_bind_address=ANY, metrics_secure=True, metrics_auth=True)
    operator = Manager(registry_of(nothing), Client.from_kubeconfig_dict(guarded.sandbox.kubeconfig()), settings)
    thread = threading.Thread(target=operator.run)
    thread.start()
    try:
        address = eventually(lambda: operator.serving.url("/metrics"), "served")
        anyone = ssl._create_unverified_context()
        assert fetch(address, anyone)[0] == 401
        assert fetch(address, anyone, Authorization=f"Bearer {token}")[0] == 200
    finally:
        operator.stop()
        thread.join(30)


def test_endpoint_errors_are_for_people_to_mend_and_the_page_knows_their_code() -> None:
    assert issubclass(EndpointError, UsageError)
    assert f"exit code {ExitCode.ENDPOINT.value}" in (ROOT / "docs" / "probes.md").read_text("utf-8")
