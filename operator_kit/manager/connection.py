"""One connection of the endpoint: what is read from it and written to it, within limits in time and size.

The parser is the standard library's. Bodies are not read: there is nothing to send here.
"""

from __future__ import annotations

import gzip
import io
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from operator_kit.clock import Clock

__all__ = ["Connection", "Request", "Response", "Route", "Site"]

HEAD_SECONDS = 5.0
HEAD_BYTES = 16 * 1024
IDLE_SECONDS = 60.0
WRITE_SECONDS = 10.0
LINGER_SECONDS = 0.5
GZIP_FROM = 1024

_log = logging.getLogger("operator_kit.endpoint")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the decoded path, the query, and the headers (looked up in any case)."""

    path: str
    query: Mapping[str, list[str]]
    headers: Message


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Text is UTF-8 unless the content type says otherwise."""

    body: bytes | str = b""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Response]
"""Answers a request, on the connection's thread. It must end by itself; what it raises is a 500."""


class Site(Protocol):
    """What a connection is of: an `Endpoint`."""

    clock: Clock
    tls: Callable[[], ssl.SSLContext] | None
    routes: dict[str, Route]

    @property
    def url(self) -> str:
        """For the log."""

    @property
    def stopping(self) -> bool:
        """Whether an answer is the last."""

    def route(self, path: str) -> Route | None:
        """Who answers for a path."""


class Connection:
    """One connection, on one thread. Others only look at it, and may cut it."""

    def __init__(self, site: Site, sock: socket.socket, peer: str) -> None:
        self.site = site
        self.peer = peer
        self.since = site.clock.monotonic()
        self.waiting = True  # for its peer: to send something, or to read its answer
        self.was_cut = False
        self.unread = False  # whether the peer may have sent what was not read
        self._lock = threading.Lock()  # the socket changes when it becomes one of TLS
        self._sock = sock

    def run(self) -> None:
        """Serve the peer until it, or its time, is over."""
        sock = self._sock
        sock.settimeout(HEAD_SECONDS)
        if self.site.tls is not None:
            if sock.recv(1, socket.MSG_PEEK) != b"\x16":  # no handshake
                self.unread = True
                sock.sendall(b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis port speaks HTTPS, not HTTP\n")
                return
            with self._lock:
                self._sock = sock = self.site.tls().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            sock.do_handshake()
        _Handler(self, sock)

    def cut(self) -> None:
        """End it, from any thread: its own wakes up and goes."""
        self.was_cut = True
        with self._lock, suppress(OSError):
            # Not SSLSocket's, which takes the TLS state away from whoever reads.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket up. An answer is not lost for a body that nobody read."""
        with suppress(OSError, ValueError):
            if self.unread and not self.was_cut:
                socket.socket.shutdown(self._sock, socket.SHUT_WR)
                self._sock.settimeout(LINGER_SECONDS)
                for _ in range(8):
                    if not socket.socket.recv(self._sock, 8192):
                        break
        with self._lock, suppress(OSError):
            self._sock.close()


class _Reader(io.RawIOBase):
    """Reads from a connection under a limit in time and size, which `begin` sets for the next request."""

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self._connection = connection
        self._sock = sock
        self._clock = connection.site.clock
        self.begin(HEAD_SECONDS)

    def begin(self, seconds: float) -> None:
        """A request may come within these seconds; once it has begun, it must be there soon."""
        self._left = HEAD_BYTES
        self._deadline = self._clock.monotonic() + seconds
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._deadline - self._clock.monotonic()
        if seconds <= 0:
            raise TimeoutError("the request is not complete in time")
        if self._left <= 0:
            raise _TooLarge
        self._sock.settimeout(seconds)
        count = self._sock.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        if not self._begun:
            self._begun = True
            self._deadline = self._clock.monotonic() + HEAD_SECONDS
        return count


class _TooLarge(Exception):
    """A head of too many bytes."""


class _Handler(BaseHTTPRequestHandler):
    """The standard library's parser and answers, on our connection."""

    protocol_version = "HTTP/1.1"
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s\n"

    def __init__(self, connection: Connection, sock: socket.socket) -> None:
        self._connection = connection
        super().__init__(sock, (connection.peer, 0), connection.site)  # type: ignore[arg-type]  # kept, and not used

    def version_string(self) -> str:
        return "operator-kit"

    def setup(self) -> None:
        self.connection = self.request
        self._reader = _Reader(self._connection, self.request)
        self.rfile = io.BufferedReader(self._reader, HEAD_BYTES)
        self.wfile = io.BytesIO()

    def finish(self) -> None:
        """Nothing: the connection closes itself."""

    def handle(self) -> None:
        self.close_connection = True
        first = True
        while first or not self.close_connection:
            self._reader.begin(HEAD_SECONDS if first else IDLE_SECONDS)
            first = False
            try:
                self.handle_one_request()
            except _TooLarge:
                self.send_error(431, "the head of the request is too large")
            self._flush()

    def _flush(self) -> None:
        """Send the answer; the peer must take it in time."""
        assert isinstance(self.wfile, io.BytesIO)
        data = self.wfile.getvalue()
        self.wfile = io.BytesIO()
        if data:
            self._connection.waiting = True
            self.request.settimeout(WRITE_SECONDS)
            self.request.sendall(data)

    def handle_expect_100(self) -> bool:
        return True  # a body is not wanted: the final answer is all there is

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def parse_request(self) -> bool:
        """Refuse what is neither, beside what the base class refuses."""
        if not super().parse_request():
            return False
        if self.command in {"GET", "HEAD"}:
            return True
        self._send(Response("only GET and HEAD\n", 405, headers={"Allow": "GET, HEAD"}))
        return False

    def _answer(self) -> None:
        self._connection.waiting = False
        site = self._connection.site
        try:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            route = site.route(path)
            if route is None:
                known = ", ".join(known for known in sorted(site.routes) if not known.endswith("/"))
                response = Response(f"not found; there are {known}\n", 404)
            else:
                response = route(Request(path, parse_qs(parts.query, keep_blank_values=True, max_num_fields=100), self.headers))
        except ValueError as exc:
            response = Response(f"bad request: {exc}\n", 400)
        except Exception:  # noqa: BLE001  # logged, and told to the peer without details
            _log.exception("%s%s: answering failed, which is a defect", site.url, self.path[:100])
            response = Response("internal error\n", 500)
        self._send(response)

    def _send(self, response: Response) -> None:
        body = response.body.encode() if isinstance(response.body, str) else response.body
        if self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0").strip() != "0":
            self._connection.unread = True
            self.close_connection = True
        if self._connection.site.stopping:
            self.close_connection = True
        self.send_response(response.status)
        if len(body) >= GZIP_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._connection.unread = True  # what made no sense may go on
        super().send_error(code, message, explain)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        _log.debug("%s, %s: " + format, self._connection.site.url, self._connection.peer, *args)
