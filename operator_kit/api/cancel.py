"""Calls that another thread can end at once, whatever they wait for: a connect, a TLS handshake, an answer, the next event.

A blocking socket call in Python is ended from outside by shutting its socket down. While a call runs that can be cancelled,
its scope holds a duplicate of the socket's descriptor: shutting the duplicate down works in every phase, also while the TLS
layer owns the original. Only the resolution of a name cannot be interrupted; the resolver's own timeout bounds it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from operator_kit.clock import Clock, Signal

__all__ = ["Cancel", "Scope", "current_scope"]

_running = threading.local()


class Scope:
    """One call: the sockets it uses, and how far it got. Close it when the call is over.

    Attributes:
        clock: the clock.
        connected: whether there is a connection; until then nothing of the request was sent.
        lookup: the name that was looked up for a new connection, and the seconds that took.
    """

    __slots__ = ("_cancel", "_duplicates", "clock", "connected", "lookup")

    def __init__(self, cancel: Cancel | None, clock: Clock) -> None:
        self._cancel = cancel
        self.clock = clock
        self.lookup: tuple[str, float] | None = None
        self._duplicates: list[socket.socket] = []
        self.connected = False

    def attach(self, sock: socket.socket) -> None:
        """Make the socket one that `Cancel.cancel` ends. At once, if it was called already."""
        if self._cancel is not None:
            duplicate = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
            self._duplicates.append(duplicate)
            self._cancel._register(duplicate)  # noqa: SLF001  # the two are one mechanism

    def close(self) -> None:
        """Let the sockets go. The connection itself is not touched."""
        if self._cancel is not None:
            self._cancel._unregister(self._duplicates)  # noqa: SLF001
        for duplicate in self._duplicates:
            duplicate.close()
        self._duplicates = []

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Connections that this thread uses in the block belong to this call."""
        outer = current_scope()
        _running.scope = self
        try:
            yield
        finally:
            _running.scope = outer


def current_scope() -> Scope | None:
    """The call this thread is in, if any."""
    return getattr(_running, "scope", None)


class Cancel:
    """Ends the calls it was given to, from any thread, now and for ever. Thread-safe."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.signal = Signal(clock)
        self._lock = threading.RLock()  # a signal handler may cancel what its own thread registers just now
        self._sockets: set[socket.socket] = set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.signal.is_set()

    @property
    def running(self) -> int:
        """How many connections the calls that run have."""
        with self._lock:
            return len(self._sockets)

    def cancel(self) -> None:
        """End the calls that run and refuse those to come. Returns at once."""
        self.signal.set()
        with self._lock:
            for sock in self._sockets:
                _shut_down(sock)

    def wait(self, seconds: float) -> bool:
        """Sleep, or less when cancelled in the meantime. Returns whether it was cancelled."""
        return self.signal.wait(seconds)

    def _register(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.add(sock)
            if self.cancelled:
                _shut_down(sock)

    def _unregister(self, sockets: list[socket.socket]) -> None:
        with self._lock:
            self._sockets.difference_update(sockets)

    def __repr__(self) -> str:
        return f"<Cancel {'cancelled' if self.cancelled else f'{len(self._sockets)} connections'}>"


def _shut_down(sock: socket.socket) -> None:
    # Never blocks, so it may happen under the lock: that keeps the descriptor from being closed and used anew meanwhile.
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # not connected any more: what waited on it has been told
