"""One request: credentials, failures, limits in time, cancellation."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Cancel, Client
from operator_kit.clock import FakeClock
from operator_kit.errors import (
    AlreadyExists,
    ApiError,
    Cancelled,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from operator_kit.objects import Resource
from tests.processes import free_port

from .conftest import Serve
from .scripted import Asked, Peer, ScriptedServer

CM = Resource("", "v1", "ConfigMap", "configmaps")


def ok(asked: Asked, peer: Peer) -> None:
    peer.json({"kind": "ConfigMap", "metadata": {"name": "a"}})


# -- credentials ----------------------------------------------------------------------------------------------------------------


def test_every_request_says_who_asks(serve: Serve) -> None:
    server, client = serve(ok, user={"token": "secret", "as": "jane"}, user_agent="websites/1.0")
    client.get(CM, "a", "default")
    headers = server.asked[0].headers
    assert headers["authorization"] == "Bearer secret"
    assert headers["user-agent"] == "websites/1.0"
    assert headers["impersonate-user"] == "jane"
    assert headers["accept"] == "application/json"


@pytest.mark.parametrize("name", ["a\r\nX-Evil: y", "a\ny"])
def test_what_would_be_two_headers_is_never_sent(serve: Serve, name: str) -> None:
    server, client = serve(ok, user_agent=name)
    with pytest.raises(ValueError, match="User-Agent"):
        client.get(CM, "a", "default")
    assert not server.asked


def test_a_token_rotated_in_the_kubeconfig_is_found_after_a_401(tmp_path: Path) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        if asked.headers.get("authorization") == "Bearer new":
            ok(asked, peer)
        else:
            peer.status(401, "Unauthorized", "Unauthorized")

    with ScriptedServer(handler) as server:
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(server.kubeconfig(token="old")))
        client = Client.from_config(kubeconfig=str(path))
        with pytest.raises(Unauthorized):
            client.get(CM, "a", "default")
        assert len(server.asked) == 1  # nothing changed on disk: asking again would be vain
        path.write_text(yaml.safe_dump(server.kubeconfig(token="new")))
        # A write as well: it was refused before anything was done.
        client.create(CM, {"metadata": {"name": "a"}}, namespace="default")
        assert [asked.method for asked in server.asked] == ["GET", "POST", "POST"]
        client.close()


def test_a_pods_token_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        if asked.headers.get("authorization", "").lower() == "bearer new":
            ok(asked, peer)
        else:
            peer.status(401, "Unauthorized")

    from operator_kit.api import config

    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    for name, content in (("token", "old"), ("namespace", "here"), ("ca.crt", certificate.read_text())):
        (tmp_path / name).write_text(content)
    with ScriptedServer(handler, tls=context) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        clock = FakeClock()
        from operator_kit.api.transport import Transport

        source = config.find(service_account=tmp_path, environ={"KUBERNETES_SERVICE_HOST": "x", "HOME": str(tmp_path)})
        client = Client(Transport(lambda: source, clock=clock, pool_size=2, user_agent="x"), clock=clock, request_timeout=30)
        assert client.namespace == "here"
        with pytest.raises(Unauthorized):
            client.get(CM, "a", "default")  # loaded a moment ago, and nothing has changed since
        (tmp_path / "token").write_text("newer")
        with pytest.raises(Unauthorized):
            client.get(CM, "a", "default")
        (tmp_path / "token").write_text("new")
        client.get(CM, "a", "default")  # what has changed is read at once
        client.close()


def test_a_server_that_moved_is_found_by_the_kubeconfig_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "config"
    with ScriptedServer(ok) as old:
        path.write_text(yaml.safe_dump(old.kubeconfig()))
        client = Client.from_config(kubeconfig=str(path))
        client.get(CM, "a", "default")
    with ScriptedServer(ok) as new:
        path.write_text(yaml.safe_dump(new.kubeconfig()))
        client.get(CM, "a", "default")
        assert client.host == new.url
        client.close()


def test_a_kubeconfig_that_cannot_be_used_is_told_of_once_in_a_while_and_the_next_one_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "config", FakeClock()
    with ScriptedServer(ok) as old:
        path.write_text(yaml.safe_dump(old.kubeconfig()))
        client = Client.from_config(kubeconfig=str(path), clock=clock)
        client.get(CM, "a", "default")
    client.close()
    path.write_text("a: [")  # half of it, say
    for seconds in (0, 0, 0, 11, 0):
        clock.advance(seconds)
        with pytest.raises(ConnectionFailed):
            client.get(CM, "a", "default", retries=False)
    assert caplog.text.count("the configuration changed and cannot be used, the old one stays") == 2
    with ScriptedServer(ok) as new:
        path.write_text(yaml.safe_dump(new.kubeconfig()))
        with pytest.raises(ConnectionFailed):  # it is looked for where it was
            client.get(CM, "a", "default", retries=False)
        client.get(CM, "a", "default")
        client.close()


def test_a_credential_plugin_is_asked(tmp_path: Path, serve: Serve) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\necho '"
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-plugin"}}'
        "'\n"
    )
    plugin.chmod(0o700)
    execute = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    server, client = serve(ok, user={"exec": execute})
    client.get(CM, "a", "default")
    assert server.asked[0].headers["authorization"] == "Bearer from-plugin"


def test_a_credential_plugin_is_asked_again_after_a_401(tmp_path: Path) -> None:
    plugin, token = tmp_path / "plugin", tmp_path / "token"
    token.write_text("old")
    credential = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}'
    plugin.write_text(f"#!/bin/sh\nprintf '{credential}' \"$(cat {token})\"\n")
    plugin.chmod(0o700)

    def handler(asked: Asked, peer: Peer) -> None:
        if asked.headers.get("authorization") == "Bearer new":
            ok(asked, peer)
        else:
            peer.status(401, "Unauthorized")

    from operator_kit.api import config
    from operator_kit.api.transport import Transport

    execute = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    with ScriptedServer(handler) as server:
        clock = FakeClock()
        source = config.from_dict(server.kubeconfig(exec=execute))
        client = Client(Transport(lambda: source, clock=clock, pool_size=2, user_agent="x"), clock=clock, request_timeout=30)
        token.write_text("new")
        with pytest.raises(Unauthorized):
            client.get(CM, "a", "default")  # it was asked a moment ago: not again so soon
        clock.advance(11)
        client.get(CM, "a", "default")
        client.close()


# -- errors ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (422, "Invalid", Invalid),
        (418, "", ApiError),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerError),
    ],
)
def test_a_refusal_carries_the_servers_reason_and_the_request_in_one_line(
    serve: Serve, code: int, reason: str, kind: type[ApiError]
) -> None:
    causes = [{"reason": "FieldValueInvalid", "field": "spec", "message": "no"}]
    _, client = serve(lambda asked, peer: peer.status(code, reason, "it will not do", details={"causes": causes}))
    with pytest.raises(kind) as caught:
        client.get(CM, "a", "default", retries=False)
    assert caught.value.causes == causes
    said = f"{code} {reason}".rstrip()
    assert str(caught.value) == f"it will not do ({said}, GET /api/v1/namespaces/default/configmaps/a)"


def test_a_proxys_html_is_an_error_with_its_text(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.text("<h1>Bad\n  gateway</h1>", 502))
    with pytest.raises(ServerError, match="<h1>Bad gateway</h1> \\(502"):
        client.get(CM, "a", "default", retries=False)


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.text("", 302, Location="http://127.0.0.1:1/elsewhere"))
    with pytest.raises(ApiError, match="302"):
        client.get(CM, "a", "default")
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", ["not json", "[1]", '{"a":'])
def test_a_success_that_is_no_object_is_an_error(serve: Serve, body: str) -> None:
    _, client = serve(lambda asked, peer: peer.text(body))
    with pytest.raises(ServerError, match="the answer is"):
        client.get(CM, "a", "default", retries=False)


def test_no_answer_says_why_and_whether_anything_was_sent(serve: Serve) -> None:
    port = free_port()
    with ScriptedServer(ok) as server:
        document = server.kubeconfig()
    document["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{port}"
    client = Client.from_kubeconfig_dict(document)
    with pytest.raises(
        ConnectionFailed, match=rf"^no answer from http://127\.0\.0\.1:{port}: \[Errno \d+\] Connection refused"
    ) as caught:
        client.get(CM, "a", "default", retries=False)
    assert not caught.value.sent
    _, client = serve(lambda asked, peer: peer.drop())
    with pytest.raises(ConnectionFailed, match="the connection broke") as caught:
        client.get(CM, "a", "default", retries=False)
    assert caught.value.sent


def test_a_name_that_does_not_resolve_is_named() -> None:
    document = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://no-such-host.invalid"}}],
    }
    with pytest.raises(ConnectionFailed, match=r"no answer from https://no-such-host.invalid: its name cannot be resolved"):
        Client.from_kubeconfig_dict(document).get(CM, "a", "default", retries=False)


def test_what_is_no_name_at_all_is_named_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = serve(ok)

    def none(*_: object) -> None:  # as for a proxy of the environment that is none
        raise UnicodeError("label empty or too long")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    with pytest.raises(ConnectionFailed, match=r"its name cannot be resolved \(label empty or too long\)") as caught:
        client.get(CM, "a", "default", retries=False)
    assert not caught.value.sent


def test_an_answer_cut_short_is_no_answer(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        peer.drop()

    _, client = serve(handler)
    with pytest.raises(ConnectionFailed, match="broke"):
        client.get(CM, "a", "default", retries=False)


def test_a_silent_server_is_given_up_after_the_limit(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.hang())
    with pytest.raises(ConnectionFailed, match="it went silent") as caught:
        client.get(CM, "a", "default", timeout=0.2, retries=False)
    assert caught.value.silent
    assert caught.value.sent


def test_a_warning_of_the_server_is_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.json({"kind": "ConfigMap"}, Warning='299 - "unknown field \\"spec.colour\\""')

    _, client = serve(handler)
    with caplog.at_level(logging.WARNING):
        client.get(CM, "a", "default")
        client.get(CM, "b", "default")
    assert [record.getMessage() for record in caplog.records] == [
        'the API server warns: unknown field "spec.colour" (GET /api/v1/namespaces/default/configmaps/a)'
    ]


def test_connections_are_kept_alive_by_tcp_too(serve: Serve) -> None:
    server, client = serve(ok)
    client.get(CM, "a", "default")
    pool: Any = client._transport._link.pool.connection_from_url(server.url)
    assert pool.pool.queue[-1].sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# -- guards ---------------------------------------------------------------------------------------------------------------------


def test_a_guard_is_asked_before_each_try_and_can_refuse(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.status(503))
    asked: list[str] = []

    def guard(method: str) -> float:
        asked.append(method)
        if len(server.asked) >= 2:
            raise DeadlineExceeded("enough")
        return 5.0

    with pytest.raises(DeadlineExceeded, match="enough"):
        client.guarded(guard).get(CM, "a", "default")
    assert len(server.asked) == 2
    assert set(asked) == {"GET"}
    assert client.guarded(lambda method: 1.0).host == client.host


def test_a_guard_without_time_left_sends_nothing(serve: Serve) -> None:
    server, client = serve(ok)
    with pytest.raises(DeadlineExceeded, match="no time is left for DELETE"):
        client.guarded(lambda method: 0.0).delete(CM, "a", "default")
    assert server.asked == []


def test_the_guard_is_asked_again_when_the_credentials_are_ready(serve: Serve) -> None:
    # A credential plugin may take longer than the lease lasts: what was allowed before it ran is allowed no more.
    server, client = serve(ok, user={"token": "secret"})
    allowed = [5.0]
    configuration = client._transport._link.client.configuration
    renew = configuration.auth_settings

    def slow() -> Any:
        allowed[0] = 0.0
        return renew()

    configuration.auth_settings = slow
    with pytest.raises(DeadlineExceeded):
        client.guarded(lambda method: allowed[0]).delete(CM, "a", "default")
    assert server.asked == []


# -- cancellation ---------------------------------------------------------------------------------------------------------------


def make_certificate(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate, key


@pytest.mark.parametrize("phase", ["connecting", "handshake", "answer", "body", "tls answer"])
def test_a_call_is_ended_from_another_thread_in_every_phase(phase: str, tmp_path: Path, serve: Serve) -> None:
    reached = threading.Event()
    cancel = Cancel()
    tls = None
    if phase == "tls answer":
        certificate, key = make_certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)

    def handler(asked: Asked, peer: Peer) -> None:
        if phase == "body":
            peer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        reached.set()
        peer.hang()

    server, client = serve(handler, tls=tls)
    fillers: list[socket.socket] = []
    if phase in {"connecting", "handshake"}:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0 if phase == "connecting" else 5)
        fillers.append(listener)
        for _ in range(3 if phase == "connecting" else 0):  # the kernel's queue is full: further connects get no answer
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        document = server.kubeconfig()
        scheme = "https" if phase == "handshake" else "http"
        document["clusters"][0]["cluster"]["server"] = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        client = Client.from_kubeconfig_dict(document)
    outcome: list[BaseException] = []

    def call() -> None:
        try:
            client.get(CM, "a", "default", timeout=60, cancel=cancel)
        except BaseException as exc:  # noqa: BLE001  # it is what the test looks at
            outcome.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    if phase in {"connecting", "handshake"}:
        while not cancel._sockets and thread.is_alive():
            threading.Event().wait(0.005)
    else:
        assert reached.wait(30)
    cancel.cancel()
    thread.join(25)
    assert not thread.is_alive()
    assert [type(exc) for exc in outcome] == [Cancelled]
    assert not cancel._sockets
    for filler in fillers:
        filler.close()


def test_an_interruptible_client_has_its_reads_ended_and_its_writes_left_alone(serve: Serve) -> None:
    cancel = Cancel()
    asked_for_reading = threading.Event()

    def handler(asked: Asked, peer: Peer) -> None:
        if asked.method == "GET":
            asked_for_reading.set()
            peer.hang()
        else:
            peer.json({})

    _, plain = serve(handler)
    client = plain.interruptible(cancel)
    ended: list[Exception] = []

    def read() -> None:
        try:
            client.get(CM, "a", "default", timeout=60)
        except Cancelled as exc:
            ended.append(exc)

    thread = threading.Thread(target=read)
    thread.start()
    assert asked_for_reading.wait(30)
    assert cancel.running == 1
    cancel.cancel()
    thread.join(30)
    assert len(ended) == 1
    assert client.patch(CM, "a", "default", {}) == {}
    with pytest.raises(Cancelled):
        client.get(CM, "a", "default")


def test_a_cancelled_caller_sends_nothing_more(serve: Serve) -> None:
    server, client = serve(ok)
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(Cancelled):
        client.get(CM, "a", "default", cancel=cancel)
    assert server.asked == []


@pytest.mark.parametrize("moment", ["connecting", "taking a kept connection", "reading the answer", "reading a refusal"])
def test_a_thread_that_is_killed_leaves_no_socket_open(serve: Serve, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([200, 404] if moment == "reading a refusal" else [200, 200])
    _, client = serve(lambda asked, peer: peer.status(next(answers)))

    def killed(*_: Any, **__: Any) -> Any:
        raise SystemExit  # as it comes from outside, at any point

    class Killed(socket.socket):
        connect = killed

    if moment == "connecting":
        monkeypatch.setattr("operator_kit.api.connection.socket.socket", Killed)
    else:
        client.get(CM, "a", "default")
        reading, taking = "urllib3.response.HTTPResponse.read", "urllib3.connectionpool.is_connection_dropped"
        monkeypatch.setattr(reading if "reading" in moment else taking, killed)
    with pytest.raises(SystemExit):
        client.get(CM, "a", "default", retries=False)
    monkeypatch.undo()
    gc.collect()  # a socket that nobody closed would be a warning here, and a warning is an error


def test_a_refusal_that_breaks_off_is_no_answer_and_gives_its_connection_up(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.raw(b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{")
        peer.drop()

    _, client = serve(handler)
    with pytest.raises(ConnectionFailed, match="broke"):
        client.get(CM, "a", "default", retries=False)
    gc.collect()  # a socket that nobody closed would be a warning here, and a warning is an error
