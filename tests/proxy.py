"""A TCP proxy between one client and a server, which a test can cut: what a network does to a process."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 65536


class Proxy:
    """Forwards connections to a port of this machine. Use as a context manager.

    `cut` drops every connection and refuses new ones. `hang` keeps them, takes new ones, and forwards nothing until `go_on`;
    what was sent meanwhile is lost, and its connection with it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open = threading.Condition(self._lock)
        self._hanging = False  # under the lock
        self._stopped = False  # under the lock
        self._sockets: set[socket.socket] = set()  # under the lock
        self._threads: list[threading.Thread] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @staticmethod
    def _listen(port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port))

    def __enter__(self) -> Self:
        self._spawn(self._accept, self._listener)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        with self._open:
            self._stopped = True
            self._open.notify_all()
        self.cut()
        for thread in self._threads:
            thread.join(60)

    def cut(self) -> None:
        """Drop every connection, and refuse new ones."""
        with self._lock:
            sockets = [self._listener, *self._sockets]
            self._sockets.clear()
        for sock in sockets:
            _drop(sock)

    def hang(self) -> None:
        """Forward nothing any more."""
        with self._lock:
            self._hanging = True

    def go_on(self) -> None:
        """Forward again."""
        with self._open:
            self._hanging = False
            self._open.notify_all()

    def _spawn(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, name="proxy", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self._sockets |= {near, far}
            self._spawn(self._forward, near, far)
            self._spawn(self._forward, far, near)

    def _hung(self) -> bool:
        """Wait while it hangs. Returns whether it did."""
        with self._open:
            hung = self._hanging
            while self._hanging and not self._stopped:
                self._open.wait()
            return hung

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while (piece := source.recv(PIECE)) and not self._hung():
                sink.sendall(piece)
        except OSError:
            pass  # cut, from here or by its ends
        finally:
            _drop(source)
            _drop(sink)


def _drop(sock: socket.socket) -> None:
    with suppress(OSError):  # its other end was quicker
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
