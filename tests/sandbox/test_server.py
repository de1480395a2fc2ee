"""The sandbox as a process sees it: start, stop, and the life of an object over HTTP."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
import warnings
from typing import Any

import pytest

from operator_kit.errors import UsageError
from operator_kit.sandbox import Sandbox


def call(url: str, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method=method, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, raw = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, raw = error.code, error.read()
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode()


def test_it_answers_as_soon_as_start_returns_and_its_thread_ends_with_stop() -> None:
    sandbox = Sandbox()
    with sandbox:
        assert "sandbox" in {thread.name for thread in threading.enumerate()}
        assert call(sandbox.url, "GET", "/readyz") == (200, "ok")
    assert "sandbox" not in {thread.name for thread in threading.enumerate()}
    sandbox.stop()


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_that_its_client_keeps_open_ends_with_the_server(tls: bool) -> None:
    with Sandbox(tls=tls) as sandbox:
        connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=60)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection, suppress_ragged_eofs=True)
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    connection.close()
    assert [str(warning.message) for warning in told if f"laddr=('127.0.0.1', {sandbox.port})" in str(warning.message)] == []


@pytest.mark.parametrize("turns", range(4))
def test_a_connection_that_comes_while_it_stops_is_not_left_open(turns: int) -> None:
    sandbox = Sandbox().start()
    loop, stop, thread = sandbox._loop, sandbox._stop, sandbox._thread
    assert loop is not None
    assert stop is not None
    assert thread is not None
    peers: list[socket.socket] = []

    def stop_in(more: int) -> None:
        if more:
            loop.call_soon(stop_in, more - 1)
        else:
            stop.set()

    def begin() -> None:
        peers.append(socket.create_connection(("127.0.0.1", sandbox.port), timeout=60))
        stop_in(turns)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loop.call_soon_threadsafe(begin)
        thread.join(60)
        gc.collect()
    peers[0].close()
    assert [str(warning.message) for warning in told if f"laddr=('127.0.0.1', {sandbox.port})" in str(warning.message)] == []
    sandbox._thread = None


def test_a_port_in_use_is_told_in_one_line() -> None:
    with Sandbox() as first:
        second = Sandbox(port=first.port)
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:"):
            second.start()


def test_an_object_is_created_read_changed_and_deleted() -> None:
    with Sandbox() as sandbox:
        path = "/api/v1/namespaces/default/configmaps"
        status, created = call(sandbox.url, "POST", path, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        assert status == 201
        status, read = call(sandbox.url, "GET", f"{path}/a")
        assert (status, read) == (200, created)
        merge = "application/merge-patch+json"
        status, patched = call(sandbox.url, "PATCH", f"{path}/a", {"data": {"k": "w"}}, merge)
        assert (status, patched["data"]) == (200, {"k": "w"})
        assert patched["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
        assert call(sandbox.url, "DELETE", f"{path}/a")[0] == 200
        assert call(sandbox.url, "GET", f"{path}/a")[0] == 404


def test_the_openapi_document_comes_as_json_unless_protobuf_is_asked_for() -> None:
    with Sandbox() as sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=60)
        try:
            protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
            for accept, status, answered in (
                ({}, 200, "application/json"),
                ({"Accept": protobuf}, 200, protobuf.replace("@", ".")),
                ({"Accept": "application/json;q=0.5, " + protobuf}, 200, "application/json"),
                ({"Accept": "text/html"}, 406, "application/json"),
            ):
                connection.request("GET", "/openapi/v2", headers=accept)
                response = connection.getresponse()
                response.read()
                assert (response.status, response.headers["Content-Type"]) == (status, answered)
        finally:
            connection.close()


def test_a_server_that_is_about_to_stop_is_alive_and_not_ready() -> None:
    with Sandbox() as sandbox:
        for path, status in (("/readyz", 500), ("/livez", 200)):
            sandbox.run(sandbox.app.shut_down)
            connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=60)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                assert response.status == status
            finally:
                connection.close()
