"""The connections under the official client's pool: kept alive, cancellable, and their failures in our own words.

urllib3 makes connections of the class its pools name; these are urllib3's own, with three things added: TCP keep-alive, the scope
of the call that uses them (see `operator_kit.api.cancel`), and requests that go out in one piece.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
from functools import lru_cache
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from operator_kit.api.cancel import Scope, current_scope
from operator_kit.api.heads import Response
from operator_kit.errors import ConnectionFailed

__all__ = ["FAILURES", "adopt", "connection_failed"]

# What urllib3, http.client and the sockets below them raise.
FAILURES = (HTTPError, OSError, http.client.HTTPException)


_HEADER = re.compile(r"[!-9;-~]+:[^\r\n]*")


def _keep_alive_options() -> list[tuple[int, int, int]]:
    """No delay, and a probe after 30 s of silence, then every 15 s, 9 times: what client-go asks the kernel for."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9)):
        if hasattr(socket, name):  # not every system has all three
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


class _Scoped(HTTPConnection):
    """A connection that tells the running call's scope of its socket, and sends head and body of a request at once."""

    response_class = Response
    _held: list[bytes] | None = None

    def __del__(self) -> None:
        # Lost, as when its thread is killed in the middle of the pool's code: its socket must not stay open.
        if getattr(self, "sock", None) is not None:
            self.close()

    def _new_conn(self) -> socket.socket:
        """As urllib3's, except that the socket is known to the scope while it is still connecting."""
        scope = current_scope()
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        began = scope.clock.monotonic() if scope is not None else 0.0
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM)
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except UnicodeError as exc:  # a proxy's, say, that is no name at all
            raise NameResolutionError(self.host, self, socket.gaierror(str(exc))) from exc
        finally:
            if scope is not None and not _is_address(self._dns_host):
                scope.lookup = (self.host, scope.clock.monotonic() - began)
        failure: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(timeout)
                if self.source_address:
                    sock.bind(self.source_address)
                if scope is not None:
                    scope.attach(sock)
                sock.connect(address)
            except OSError as exc:
                sock.close()
                failure = exc
            except BaseException:  # the thread is being ended
                sock.close()
                raise
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"connect timed out after {timeout} s") from failure
        raise NewConnectionError(self, str(failure)) from failure

    def connect(self) -> None:
        super().connect()
        scope = current_scope()
        if scope is not None:
            scope.connected = True

    def request(self, *args: Any, **kwargs: Any) -> None:
        scope = current_scope()
        if scope is not None and self.sock is not None and not scope.connected:  # a connection that was kept from an earlier call
            scope.connected = True
            scope.attach(self.sock)
        # urllib3 sends the head and the body one by one: two system calls, two packets, and a server that wakes up twice.
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        self.send(b"".join(held))

    def putheader(self, header: Any, *values: Any) -> None:
        # urllib3 and http.client examine each, which is a tenth of a call; the same were sent a moment ago.
        if len(values) == 1:
            self._output(_header_line(header, values[0]))  # type: ignore[attr-defined]  # http.client's own
        else:
            super().putheader(header, *values)

    def send(self, data: Any) -> None:
        if self._held is not None:
            self._held.append(data)
        else:
            super().send(data)


@lru_cache(maxsize=64)
def _header_line(name: str, value: str | bytes) -> bytes:
    """A header as it is sent. Raises `ValueError` for what would be more than one."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not _HEADER.fullmatch(f"{name}:{text}"):
        raise ValueError(f"the header {name!r} cannot be sent: its name or its value has characters that no header has")
    return f"{name}: {text}".encode("latin-1")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _ScopedTLS(_Scoped, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Scoped


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _ScopedTLS

    def _validate_conn(self, conn: Any) -> None:
        # As urllib3's, without its warning for each connection to a server that a kubeconfig says not to verify: the transport
        # says so once.
        if conn.is_closed:
            conn.connect()


def adopt(manager: urllib3.PoolManager) -> None:
    """Let a pool manager make our connections. A SOCKS proxy keeps its own: those can be cancelled between reads only."""
    manager.connection_pool_kw["socket_options"] = _keep_alive_options()
    if manager.pool_classes_by_scheme.get("http") is HTTPConnectionPool:
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def connection_failed(exc: BaseException, what: str, host: str, scope: Scope) -> ConnectionFailed:
    """Tell in one line why there was no answer, and whether the request can have been sent."""
    cause: BaseException = exc
    if isinstance(cause, MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    proxy = ""
    if isinstance(cause, ProxyError):
        proxy = "the proxy in between: "
        cause = cause.original_error
    if isinstance(cause, NameResolutionError):
        text = f"its name cannot be resolved ({_root(cause)})"
    elif isinstance(cause, NewConnectionError):  # a ConnectTimeoutError too, so it comes first
        text = str(_root(cause)).removeprefix(f"{cause.conn}: ")  # the connection object, which says nothing to a person
    elif isinstance(cause, ConnectTimeoutError):
        text = str(cause.args[-1])
    elif isinstance(cause, ReadTimeoutError):
        text = "it went silent"
    elif isinstance(cause, SSLError):
        text = f"TLS: {_root(cause)}"
    elif isinstance(cause, ProtocolError):
        text = f"the connection broke ({_root(cause)})"
    else:
        text = str(cause) or type(cause).__name__
    message = f"no answer from {host}: {proxy}{' '.join(text.split())} ({what})"
    return ConnectionFailed(message, sent=scope.connected, silent=isinstance(cause, ReadTimeoutError) and scope.connected)


def _root(exc: BaseException) -> BaseException:
    """The innermost error, whose text is the plainest."""
    while True:
        inner = exc.__cause__ or next((arg for arg in exc.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return exc
        exc = inner
