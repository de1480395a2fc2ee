"""A small HTTP server for probes and metrics: the standard library's, with what it leaves to its users.

Promises, each a test. Whoever connects, an honest client that comes is answered, and no thread is left behind:

- at most `LIMIT` connections at once; one more takes the place of one that only waits, of the peer that has most of them;
- a handshake, a request's head and an answer each have a limit in time as a whole, and a head one in size;
- bodies are not read; nothing is looked up in DNS; what a peer sends shows in the log at the debug level only;
- TLS handshakes run on the connection's own thread.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from operator_kit.clock import Clock, Signal
from operator_kit.errors import ConfigError
from operator_kit.manager.connection import Connection, Route
from operator_kit.manager.exits import ExitCode
from operator_kit.settings import Address

__all__ = ["Endpoint", "EndpointError"]

LIMIT = 32
_ROOM_SECONDS = 1.0  # how long a newcomer is left in the listener's queue while those that were cut go
_ACCEPT_PAUSE = 0.2  # seconds without accepting when the process has no descriptors left

_log = logging.getLogger("operator_kit.endpoint")


class EndpointError(ConfigError):
    """An endpoint cannot be served: its address is taken, unknown or not permitted, or its certificate cannot be used."""

    exit_code = ExitCode.ENDPOINT


class Endpoint:
    """Serves some paths at one address.

    Args:
        address: where to listen.
        routes: by path. One that ends in `/` answers for everything below it.
        tls: gives the context for each new connection; None for plain HTTP.
        clock: the clock.
        limit: connections at once.
    """

    def __init__(
        self,
        address: Address,
        routes: Mapping[str, Route],
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        clock: Clock | None = None,
        limit: int = LIMIT,
    ) -> None:
        self.routes = dict(routes)
        self.address = address
        self.clock = clock or Clock()
        self.tls = tls
        self._limit = limit
        self._lock = threading.Condition()  # notified when a connection has ended, and by `stop`
        self._connections: dict[threading.Thread, Connection] = {}  # under the lock
        self._listener: socket.socket | None = None
        self._stop = Signal(self.clock)
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None
        self._serial = 0

    @property
    def url(self) -> str:
        """Where it can be reached from this machine."""
        host = self.address.host if self.address.host not in {"", "::", "0.0.0.0"} else "127.0.0.1"  # noqa: S104  # compared, not bound
        return f"{'http' if self.tls is None else 'https'}://{Address(host, self.address.port)}"

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    # ------------------------------------------------------------------ life

    def bind(self) -> None:
        """Take the address; `address` tells the port then. Nothing is answered yet. Raises `EndpointError`."""
        try:
            listener = _listen(self.address)
        except OSError as exc:
            raise EndpointError(f"cannot listen on {self.address}: {_why(exc)}") from exc
        self._listener = listener
        self.address = Address(self.address.host, listener.getsockname()[1])

    def start(self) -> None:
        """Answer from now on. After `bind`, once."""
        self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._accept_all, name=f"endpoint/{self.address.port}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Give the address back; answers that are being made may be finished. Returns whether every thread has ended in time."""
        deadline = self.clock.monotonic() + timeout
        self._stop.set()
        with self._lock:
            self._lock.notify_all()
        if self._wake is not None:
            self._wake[1].close()
        if self._thread is not None:
            self._thread.join(timeout)
        if self._listener is not None:
            self._listener.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            if connection.waiting:
                connection.cut()
        if not self._joined(connections, deadline - timeout / 2):
            for connection in connections.values():
                connection.cut()  # who does not read its answer has had time enough
        if self._wake is not None:
            self._wake[0].close()
        return self._joined(connections, deadline)

    def _joined(self, threads: Collection[threading.Thread], deadline: float) -> bool:
        for thread in threads:
            thread.join(max(0.0, deadline - self.clock.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    # ------------------------------------------------------------------ connections

    def _accept_all(self) -> None:
        listener, wake = self._listener, self._wake
        assert listener is not None
        assert wake is not None
        listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake[0], selectors.EVENT_READ)  # readable when the other end is closed: by `stop`
            while not self._stop.is_set():
                if any(key.fileobj is listener for key, _ in selector.select()) and not self._stop.is_set():
                    self._accept(listener)

    def _wait_for_room(self) -> None:
        """Those that were cut are about to go: on a busy machine that takes a moment, and a newcomer must not pay for it."""
        deadline = self.clock.monotonic() + _ROOM_SECONDS
        with self._lock:
            while len(self._connections) >= 2 * self._limit and not self._stop.is_set():
                if self.clock.monotonic() >= deadline:
                    return
                self.clock.wait_until(self._lock, deadline)

    def _accept(self, listener: socket.socket) -> None:
        self._wait_for_room()
        try:
            peer, name = listener.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                _log.warning("%s cannot accept a connection: %s", self.url, exc.strerror)
                self._stop.wait(_ACCEPT_PAUSE)
            return  # otherwise the peer has gone before it was looked at
        with suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, peer, str(name[0]))
        self._serial += 1
        thread = threading.Thread(
            target=self._serve, args=(connection,), name=f"endpoint/{self.address.port}-{self._serial}", daemon=True
        )
        with self._lock:
            crowd = list(self._connections.values())
            full = len(crowd) >= 2 * self._limit  # those that were cut and are not gone yet included
            if not full:
                self._connections[thread] = connection
        if full:
            connection.close()
            return
        if len(crowd) >= self._limit:
            _make_room(crowd)
        try:
            thread.start()
        except RuntimeError as exc:  # the system gives no more threads
            _log.warning("%s cannot answer: %s", self.url, exc)
            with self._lock:
                del self._connections[thread]
            connection.close()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.run()
        except (OSError, ValueError) as exc:
            _log.debug("%s, %s: %s", self.url, connection.peer, exc)
        except Exception:  # noqa: BLE001  # logged; one connection must not end the server
            _log.exception("%s: answering failed, which is a defect", self.url)
        finally:
            connection.close()
            with self._lock:
                self._connections.pop(threading.current_thread(), None)
                self._lock.notify_all()

    def route(self, path: str) -> Route | None:
        """Who answers for a path."""
        exact = self.routes.get(path)
        if exact is not None:
            return exact
        above = [prefix for prefix in self.routes if prefix.endswith("/") and path.startswith(prefix)]
        return self.routes[max(above, key=len)] if above else None

    def __repr__(self) -> str:
        return f"<Endpoint {self.url} {len(self._connections)} connections: {', '.join(self.routes)}>"


def _make_room(crowd: list[Connection]) -> None:
    """Cut a connection that waits for its peer: the oldest of the peer that has most of them."""
    waiting = [connection for connection in crowd if connection.waiting and not connection.was_cut]
    if waiting:
        crowds = Counter(connection.peer for connection in crowd)
        min(waiting, key=lambda connection: (-crowds[connection.peer], connection.since)).cut()


def _listen(address: Address) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        except OSError as exc:
            if exc.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:  # IPv6 is built in and turned off
                raise
    if not address.host:
        return socket.create_server(("", address.port), backlog=128)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, name = found[0]
    return socket.create_server(name[:2], family=family, backlog=128)


def _why(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return f"its name cannot be resolved ({exc.strerror})"
    hints = {
        errno.EADDRINUSE: "another process listens there already; choose another port, or 0 for off",
        errno.EACCES: "not permitted; ports below 1024 are for privileged processes",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    return hints.get(exc.errno or 0, exc.strerror or str(exc))
