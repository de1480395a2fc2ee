"""An HTTP server that answers as a test tells it to, down to single bytes: for what no well-behaved server would do."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """The connection a request came on, to answer on."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def json(self, document: Any, status: int = 200, **headers: str) -> None:
        self.text(json.dumps(document), status, **headers)

    def text(self, text: str, status: int = 200, **headers: str) -> None:
        body = text.encode()
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.raw(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body)

    def status(self, code: int, reason: str = "", message: str = "", *, details: Any = None, **headers: str) -> None:
        document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
        if details is not None:
            document["details"] = details
        self.json(document, code, **headers)

    def begin_stream(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, kind: str, obj: Any) -> None:
        self.chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def end_stream(self) -> None:
        self.raw(b"0\r\n\r\n")

    def hang(self) -> None:
        self.stopping.wait(120)

    def drop(self) -> None:
        """Close without a word."""
        self.sock.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError


Handler = Callable[[Asked, Peer], None]


class ScriptedServer:
    """`handler` is called for each request, in the thread of its connection."""

    def __init__(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.asked: list[Asked] = []
        self._tls = tls
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="scripted-server")

    def kubeconfig(self, **user: Any) -> dict[str, Any]:
        return {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "home"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": user}],
        }

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(30)
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(30)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), name="scripted-connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        self._sockets.add(sock)
        try:
            if self._tls is not None:
                self._sockets.discard(sock)
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.add(sock)
            reader = sock.makefile("rb")
            with reader:
                while (line := reader.readline()) and not self._stopping.is_set():
                    method, target, _ = line.decode().split(" ", 2)
                    headers: dict[str, str] = {}
                    while (header := reader.readline().strip()) != b"":
                        name, _, value = header.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    body = reader.read(int(headers.get("content-length", "0")))
                    asked = Asked(method, target, headers, body)
                    self.asked.append(asked)
                    self.handler(asked, Peer(sock, self._stopping))
        except OSError:
            pass  # the client went away, or the test is over
        finally:
            self._sockets.discard(sock)
            sock.close()
