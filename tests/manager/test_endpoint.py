"""The endpoint answers honest clients, whoever else connects, and leaves no thread behind."""

from __future__ import annotations

import gzip
import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.manager import connection as module
from operator_kit.manager.connection import Connection, Request, Response, Route
from operator_kit.manager.endpoint import Endpoint, EndpointError
from operator_kit.settings import Address
from tests.processes import eventually

Serve = Callable[..., Endpoint]
LOCAL = Address("127.0.0.1", 0)


def hello(request: Request) -> Response:
    return Response(f"hello {request.path} {dict(request.query)}")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    made: list[Endpoint] = []
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.1)

    def start(routes: dict[str, Route] | None = None, address: Address = LOCAL, **options: int) -> Endpoint:
        endpoint = Endpoint(address, routes or {"/hello": hello, "/below/": hello}, **options)
        endpoint.bind()
        endpoint.start()
        made.append(endpoint)
        return endpoint

    yield start
    for endpoint in made:
        assert endpoint.stop(60)
        assert threads(endpoint) == 0


def threads(endpoint: Endpoint) -> int:
    return sum(thread.name.startswith(f"endpoint/{endpoint.address.port}") for thread in threading.enumerate())


def get(
    endpoint: Endpoint, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    client = http.client.HTTPConnection("127.0.0.1", endpoint.address.port, timeout=60)
    try:
        client.request(method, path, body, headers)
        response = client.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        client.close()


def raw(endpoint: Endpoint, data: bytes = b"") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", endpoint.address.port), timeout=60)
    peer.sendall(data)
    return peer


def rest(peer: socket.socket) -> bytes:
    """What comes until the other side closes; a reset counts as that."""
    received = b""
    with peer:
        try:
            while piece := peer.recv(65536):
                received += piece
        except ConnectionError:
            pass
    return received


# ------------------------------------------------------------------ answers


def test_a_path_a_prefix_and_what_is_neither(serve: Serve) -> None:
    endpoint = serve()
    assert get(endpoint, "/hello?a=1&a=2&b")[:2] == (200, b"hello /hello {'a': ['1', '2'], 'b': ['']}")
    assert get(endpoint, "/below/x%20y/z")[:2] == (200, b"hello /below/x y/z {}")
    assert get(endpoint, "/other")[:2] == (404, b"not found; there are /hello\n")


def test_head_has_the_headers_alone_and_other_methods_are_refused(serve: Serve) -> None:
    endpoint = serve()
    status, body, headers = get(endpoint, "/hello", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "15")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"):
        status, body, headers = get(endpoint, "/hello", method, b"x" * 10)
        assert (status, body, headers["allow"], headers["connection"]) == (405, b"only GET and HEAD\n", "GET, HEAD", "close")


def test_connections_are_kept_alive(serve: Serve) -> None:
    endpoint = serve()
    client = http.client.HTTPConnection("127.0.0.1", endpoint.address.port, timeout=60)
    client.connect()
    name = client.sock.getsockname()
    for _ in range(3):
        client.request("GET", "/hello")
        assert client.getresponse().read().startswith(b"hello")
        assert client.sock.getsockname() == name
    client.close()


def test_large_answers_are_compressed_for_who_takes_it(serve: Serve) -> None:
    endpoint = serve({"/large": lambda _: Response("metric 1\n" * 1000)})
    assert get(endpoint, "/large")[1] == b"metric 1\n" * 1000
    _, body, headers = get(endpoint, "/large", **{"Accept-Encoding": "gzip;q=1.0"})
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == b"metric 1\n" * 1000


def test_a_route_that_fails_is_a_500_without_details(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: Request) -> Response:
        raise KeyError("secret")

    endpoint = serve({"/fails": fails, "/hello": hello})
    assert get(endpoint, "/fails")[:2] == (500, b"internal error\n")
    assert "answering failed" in caplog.text
    assert get(endpoint, "/hello")[0] == 200


@pytest.mark.parametrize("host", ["", "127.0.0.1", "localhost", "::1", "::"])
def test_every_kind_of_address(serve: Serve, host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6")
    endpoint = serve(address=Address(host, 0))
    target = "::1" if ":" in host else "127.0.0.1"
    client = http.client.HTTPConnection(target, endpoint.address.port, timeout=60)
    client.request("GET", "/hello")
    assert client.getresponse().status == 200
    client.close()


def test_an_address_in_use_and_addresses_that_are_none_are_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EndpointError, match=f"cannot listen on 127.0.0.1:{port}: another process listens there already"):
            Endpoint(Address("127.0.0.1", port), {}).bind()
    with pytest.raises(EndpointError, match=r"cannot listen on no\.such\.host\.invalid:1: its name cannot be resolved"):
        Endpoint(Address("no.such.host.invalid", 1), {}).bind()
    with pytest.raises(EndpointError, match="this machine has no such address"):
        Endpoint(Address("192.0.2.1", 0), {}).bind()


# ------------------------------------------------------------------ hostile clients


def test_who_sends_nothing_or_little_is_let_go_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.3)
    endpoint = serve()
    silent, half = raw(endpoint), raw(endpoint, b"GET /hello HTTP/1.1\r\nHost: ")
    dripping = raw(endpoint)
    for letter in b"GET /hello HTTP/1.1\r\n" * 3:  # each byte is in time, the whole is not
        try:
            dripping.sendall(bytes([letter]))
        except ConnectionError:
            break
        threading.Event().wait(0.02)
    assert rest(silent) == rest(half) == rest(dripping) == b""
    eventually(lambda: threads(endpoint) == 1, "only the thread that accepts is left")


def test_an_idle_connection_is_let_go_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)
    endpoint = serve()
    assert rest(raw(endpoint, b"GET /hello HTTP/1.1\r\n\r\n")).endswith(b"hello /hello {}")


def test_a_head_that_is_too_large_is_refused_while_it_comes(serve: Serve) -> None:
    endpoint = serve()
    for head in (b"GET /" + b"a" * 20_000, b"GET /hello HTTP/1.1\r\n" + b"x: y\r\n" * 5000, b"\r\n" * 20_000):
        peer = raw(endpoint)
        with suppress(ConnectionError):
            peer.sendall(head)
        answer = rest(peer)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert get(endpoint, "/hello")[0] == 200


def test_a_body_is_not_read_and_the_answer_arrives_all_the_same(serve: Serve) -> None:
    endpoint = serve()
    assert get(endpoint, "/hello", "POST", b"x" * 50_000)[0] == 405
    assert rest(raw(endpoint, b"GET /hello HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")).startswith(b"HTTP/1.1 200")
    chunked = b"GET /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    assert rest(raw(endpoint, chunked)).startswith(b"HTTP/1.1 200")


def test_who_does_not_read_its_answer_is_let_go_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.2)
    endpoint = serve({"/large": lambda _: Response(b"x" * 30_000_000)})
    peer = raw(endpoint, b"GET /large HTTP/1.1\r\n\r\n")
    assert peer.recv(12) == b"HTTP/1.1 200", "the answer is under way"
    eventually(lambda: threads(endpoint) == 1, "the connection is given up")
    peer.close()


def test_a_crowd_of_waiting_connections_keeps_nobody_from_an_answer(serve: Serve) -> None:
    endpoint = serve(limit=4)
    with ExitStack() as crowd:
        for _ in range(30):
            crowd.enter_context(raw(endpoint, b"GET /hello HTTP/1.1\r\nx:"))
        for _ in range(10):
            assert get(endpoint, "/hello")[0] == 200
        eventually(lambda: threads(endpoint) <= 5, "the crowd has been thinned")


def test_a_newcomer_waits_for_those_that_were_cut_to_go(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = threading.Event()
    close = Connection.close

    def close_late(connection: Connection) -> None:
        if connection.was_cut:
            slow.wait(0.3)
        close(connection)

    monkeypatch.setattr(Connection, "close", close_late)
    endpoint = serve(limit=2)
    with ExitStack() as crowd:
        for _ in range(6):
            crowd.enter_context(raw(endpoint, b"GET /hello HTTP/1.1\r\nx:"))
        assert get(endpoint, "/hello")[0] == 200


def test_the_place_of_a_newcomer_is_taken_from_the_peer_that_has_most() -> None:
    from operator_kit.manager import endpoint as server

    cut: list[str] = []

    class Fake:
        was_cut = False

        def __init__(self, name: str, peer: str, since: float, waiting: bool = True) -> None:
            self.name, self.peer, self.since, self.waiting = name, peer, since, waiting

        def cut(self) -> None:
            cut.append(self.name)

    crowd = [Fake("oldest", "kubelet", 1), Fake("busy", "many", 2, waiting=False), Fake("a", "many", 4), Fake("b", "many", 3)]
    server._make_room(crowd)  # type: ignore[arg-type]
    assert cut == ["b"]


def test_while_every_place_is_busy_answering_more_are_turned_away_and_not_queued(serve: Serve) -> None:
    go_on, running = threading.Event(), threading.Semaphore(0)

    def slow(request: Request) -> Response:
        running.release()
        go_on.wait(60)
        return Response("done")

    endpoint = serve({"/slow": slow}, limit=2)
    busy = []
    for _ in range(4):
        busy.append(raw(endpoint, b"GET /slow HTTP/1.0\r\n\r\n"))
        assert running.acquire(timeout=60)
    assert rest(raw(endpoint, b"")) == b""
    go_on.set()
    assert all(rest(peer).endswith(b"done") for peer in busy)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.sampled_from([b"GET ", b"/hello", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\x16\x03\x01"])
        ),
        max_size=8,
    )
)
def test_no_bytes_disturb_it(parts: list[bytes]) -> None:
    endpoint = Endpoint(LOCAL, {"/hello": hello})
    endpoint.bind()
    endpoint.start()
    try:
        peer = raw(endpoint, b"".join(parts))
        peer.shutdown(socket.SHUT_WR)
        rest(peer)
        assert get(endpoint, "/hello")[0] == 200
    finally:
        assert endpoint.stop(60)


def test_what_a_peer_sends_is_logged_at_the_debug_level_only(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = serve()
    with caplog.at_level(logging.DEBUG, "operator_kit.endpoint"):
        rest(raw(endpoint, b"NONSENSE \x1b[2J /\r\n\r\n"))
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


# ------------------------------------------------------------------ the end


def test_a_stop_ends_what_waits_and_lets_an_answer_be_finished() -> None:
    answering, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        answering.set()
        go_on.wait(60)
        return Response("done")

    endpoint = Endpoint(LOCAL, {"/slow": slow})
    endpoint.bind()
    endpoint.start()
    idle, busy = raw(endpoint), raw(endpoint, b"GET /slow HTTP/1.1\r\n\r\n")
    answering.wait(60)
    stopper = threading.Thread(target=endpoint.stop)
    stopper.start()
    assert rest(idle) == b""
    go_on.set()
    assert rest(busy).endswith(b"done")
    stopper.join(60)
    assert threads(endpoint) == 0
    with pytest.raises(OSError):  # noqa: PT011  # refused
        raw(endpoint)


def test_a_stop_before_the_start_gives_the_address_back() -> None:
    endpoint = Endpoint(LOCAL, {})
    endpoint.bind()
    assert endpoint.stop(1)
    again = Endpoint(endpoint.address, {})
    again.bind()
    again.stop(1)
