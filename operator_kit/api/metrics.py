"""What every client counts of its own requests: client-go's `rest_client_*` metrics, under the same names, labels and buckets.

A request costs one lock and a few additions; what becomes of them is worked out at scrape. A *request* is one try: a call that is
repeated, or sent again with fresh credentials, counts as often as it was sent. `verb` and `method` are the HTTP method, `host` is
the server's address with its port; `code` is the status, or `<error>` where there was no answer. A watch counts once it is open.
"""

from __future__ import annotations

import threading
from typing import Literal

from operator_kit.observe.metrics import REQUEST_BUCKETS, SIZE_BUCKETS, Distribution, Family, Tally

__all__ = ["ERROR", "RequestMetrics"]

ERROR = "<error>"
"""The code of a request without an answer."""

_Histogram = Literal["request_duration_seconds", "request_size_bytes", "response_size_bytes", "rate_limiter_duration_seconds"]
_HISTOGRAMS: dict[_Histogram, tuple[str, tuple[float, ...]]] = {
    "request_duration_seconds": ("Seconds from sending a request until its answer began", REQUEST_BUCKETS),
    "request_size_bytes": ("Bytes of the request's body", SIZE_BUCKETS),
    "response_size_bytes": ("Bytes of the answer's body as it was sent; without watches", SIZE_BUCKETS),
    "rate_limiter_duration_seconds": ("Seconds a request waited for the client-side rate limit", REQUEST_BUCKETS),
}


class _Measured:
    """A tally, and the values that are not sorted into it yet. Not thread-safe: the lock is the owner's."""

    __slots__ = ("_raw", "_tally")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._raw: list[float] = []
        self._tally = Tally(bounds)

    def add(self, value: float) -> None:
        self._raw.append(value)
        if len(self._raw) >= Tally.BATCH:
            self._sort()

    def _sort(self) -> None:
        raw, self._raw = self._raw, []
        self._tally.merge(raw)

    def read(self) -> Distribution:
        self._sort()
        return self._tally.read()


class RequestMetrics:
    """The requests of one client and its views. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, str], int] = {}  # (code, method, host)
        self._retries: dict[tuple[str, str, str], int] = {}  # (code, verb, host)
        self._measured: dict[tuple[_Histogram, str, str], _Measured] = {}  # (which, verb, host)
        self._resolved: dict[str, _Measured] = {}  # host

    # -- told by the transport and the calls ------------------------------------------------------------------------------------

    def sent(self, method: str, host: str, code: str, seconds: float, size: int) -> None:
        """A request of `size` bytes was sent; its answer began, or failed to come, after so many seconds."""
        with self._lock:
            key = (code, method, host)
            self._requests[key] = self._requests.get(key, 0) + 1
            self._add("request_duration_seconds", method, host, seconds)
            self._add("request_size_bytes", method, host, size)

    def received(self, method: str, host: str, size: int) -> None:
        """A whole answer of `size` bytes has come."""
        with self._lock:
            self._add("response_size_bytes", method, host, size)

    def waited(self, method: str, host: str, seconds: float) -> None:
        """A request had its turn under the rate limit after so many seconds."""
        with self._lock:
            self._add("rate_limiter_duration_seconds", method, host, seconds)

    def retried(self, method: str, host: str, code: str) -> None:
        """A request is made again after this code."""
        with self._lock:
            key = (code, method, host)
            self._retries[key] = self._retries.get(key, 0) + 1

    def resolved(self, host: str, seconds: float) -> None:
        """The name of a host was looked up, for a new connection."""
        with self._lock:
            if host not in self._resolved:
                self._resolved[host] = _Measured(REQUEST_BUCKETS[:-1])
            self._resolved[host].add(seconds)

    def _add(self, which: _Histogram, method: str, host: str, value: float) -> None:
        key = (which, method, host)
        measured = self._measured.get(key)
        if measured is None:
            measured = self._measured[key] = _Measured(_HISTOGRAMS[which][1])
        measured.add(value)

    # -- read -------------------------------------------------------------------------------------------------------------------

    def count(self, *methods: str) -> int:
        """How many requests were sent, failed ones included: of these HTTP methods, or of all."""
        with self._lock:
            return sum(count for (_, method, _), count in self._requests.items() if not methods or method in methods)

    def families(self) -> list[Family]:
        """Everything now, for `Registry.register`."""
        with self._lock:
            requests, retries = dict(self._requests), dict(self._retries)
            measured = {key: tally.read() for key, tally in self._measured.items()}
            resolved = {(host,): tally.read() for host, tally in self._resolved.items()}
        found = [
            Family("rest_client_requests_total", "counter", "Requests sent", ("code", "method", "host"), list(requests.items())),
            Family(
                "rest_client_request_retries_total",
                "counter",
                "Requests made again, by the code of the answer before",
                ("code", "verb", "host"),
                list(retries.items()),
            ),
            Family(
                "rest_client_dns_resolution_duration_seconds",
                "histogram",
                "Seconds it took to look a host's name up, for a new connection",
                ("host",),
                list(resolved.items()),
            ),
        ]
        for which, (text, _) in _HISTOGRAMS.items():
            samples: list[tuple[tuple[str, ...], float | Distribution]] = [
                ((verb, host), distribution) for (of, verb, host), distribution in measured.items() if of == which
            ]
            found.append(Family(f"rest_client_{which}", "histogram", text, ("verb", "host"), samples))
        return found

    def __repr__(self) -> str:
        return f"<RequestMetrics {self.count()} requests>"
