"""The one module that knows the `kubernetes` package: configuration, authentication and pool are the official client's.

Requests go to its pool manager directly: through `ApiClient`'s methods the same call costs about twice the CPU. What those
methods do besides is done here: the authentication headers, asked for again and again, so that tokens rotate; a timeout on
everything; no retries and no redirects behind our back. Bodies are bytes; nothing here knows what they mean, except that a
status of 300 and up is an error of our tree.

A 401, or a failed connection after a kubeconfig changed on disk, makes the transport load its configuration anew: credentials
that were rotated and a server that moved are found again without a restart.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import kubernetes.client
import kubernetes.config
import urllib3
from kubernetes.config.incluster_config import InClusterConfigLoader
from urllib3.exceptions import ClosedPoolError

from operator_kit import codec
from operator_kit.api.cancel import Cancel, Scope
from operator_kit.api.chunked import pieces
from operator_kit.api.config import Source
from operator_kit.api.connection import FAILURES, adopt, connection_failed
from operator_kit.api.metrics import ERROR, RequestMetrics
from operator_kit.clock import Clock
from operator_kit.errors import ApiError, Cancelled, ConfigError, ConnectionFailed, OperatorKitError, Unauthorized, api_error
from operator_kit.observe.tracing import Span, request_span

__all__ = ["Request", "Stream", "Transport"]

log = logging.getLogger(__name__)

_AUTH_SECONDS = 1.0  # how long authentication headers are used again before the official client is asked anew
_RELOAD_SECONDS = 10.0  # the least time between two loads of the configuration
_CONNECT_SECONDS = 5.0
_WARNINGS_KEPT = 256


class Request(NamedTuple):
    """What is asked.

    Attributes:
        method: the HTTP method.
        path: the URL path.
        timeout: seconds for connecting and for the answer to begin, together; a silence of that length ends the call too.
        query: parameters.
        body: the request's body.
        content_type: of the body.
        accept: what the answer may be.
        cancel: ends the call from another thread.
        limit: asked directly before the request is sent, with its credentials ready: the seconds it may still take. May raise.
    """

    method: str
    path: str
    timeout: float
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    cancel: Cancel | None = None
    limit: Callable[[], float] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether its caller has given it up."""
        return self.cancel is not None and self.cancel.cancelled

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class _Link:
    """One loaded configuration, with its pool."""

    source: Source
    stamp: tuple[tuple[int, int], ...]
    loaded_at: float
    client: Any  # kubernetes.client.ApiClient
    pool: urllib3.PoolManager
    connections: urllib3.HTTPConnectionPool | None  # the pool's own of this host; None where a proxy is in between
    host: str
    base: str  # the path that the host's URL may have
    address: str  # the host's, with its port: how metrics name it
    headers: Mapping[str, str]

    def urlopen(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send over the host's connections: having the manager find them by URL each time costs a tenth of a call."""
        if self.connections is not None:
            # A pool that was closed is made anew by the manager; it says so before anything is sent.
            with suppress(ClosedPoolError):
                return self.connections.urlopen(method, self.base + path, **options)
        return self.pool.urlopen(method, self.host + path, **options)


class Stream:
    """The body of an answer that goes on: pieces of bytes as they come. Close it in the thread that reads it."""

    def __init__(self, response: urllib3.BaseHTTPResponse, scope: Scope, request: Request, host: str) -> None:
        self._response = response
        self._pieces = pieces(response)
        self._scope = scope
        self._request = request
        self._host = host

    def read(self) -> bytes:
        """The next piece, as soon as it is there; empty at the end.

        Raises:
            ConnectionFailed: broken, cut short, or silent for longer than the timeout.
            Cancelled: the call was cancelled.
        """
        try:
            piece = next(self._pieces, b"")
        except FAILURES as exc:
            raise _failure(exc, self._request, self._host, self._scope) from exc
        if self._request.cancelled:
            raise Cancelled(f"{self._request} was cancelled")
        return piece

    def close(self) -> None:
        """Give the connection up. It is never used again: there may be unread events in it."""
        connection = self._response.connection
        with suppress(*FAILURES):  # it may be broken already, and nobody wants anything from it any more
            self._response.close()
        if connection is not None:
            connection.close()
        self._scope.close()


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """The whole body. Whatever ends it before, also an exception put into this thread from outside: the connection is closed."""
    try:
        data: bytes = response.read()
        response.release_conn()
    except BaseException:
        response.close()
        raise
    return data


def _failure(exc: BaseException, request: Request, host: str, scope: Scope) -> OperatorKitError:
    if request.cancelled:  # the failure is our own doing
        return Cancelled(f"{request} was cancelled")
    return connection_failed(exc, str(request), host, scope)


class Transport:
    """Sends one request at a time per thread, from any number of threads.

    Attributes:
        metrics: counts what is sent.
    """

    def __init__(
        self,
        find: Callable[[], Source],
        *,
        clock: Clock,
        pool_size: int,
        user_agent: str,
    ) -> None:
        self._find = find
        self._clock = clock
        self._pool_size = pool_size
        self._user_agent = user_agent
        self.metrics = RequestMetrics()
        self._load_lock = threading.Lock()  # one thread loads or authenticates, the others wait for what it finds
        self._auth: tuple[float, _Link, Mapping[str, str]] | None = None
        self._warned: set[str] = set()
        self._refused: tuple[tuple[tuple[int, int], ...], float] | None = None  # what could not be used of late, and when
        self._link = self._load()

    @property
    def source(self) -> Source:
        """The configuration in use."""
        return self._link.source

    @property
    def host(self) -> str:
        """The server's URL."""
        return self._link.host

    @property
    def address(self) -> str:
        """The server's address with its port, where its URL names one."""
        return self._link.address

    def request(self, request: Request) -> bytes:
        """Send a request and read the whole answer.

        Raises:
            ApiError: the server said no.
            ConnectionFailed: no answer, or only a part of it.
            Cancelled: the call was cancelled.
        """
        with request_span(request.method, request.path, self.address) as span:
            return self._request(request, span)

    def _request(self, request: Request, span: Span) -> bytes:
        scope = Scope(request.cancel, self._clock)
        try:
            response = self._open(request, scope, total=request.timeout)
            span.set("http.response.status_code", response.status)
            try:
                data = _read(response)
            except FAILURES as exc:
                raise _failure(exc, request, self.host, scope) from exc
            self.metrics.received(request.method, self.address, len(data))
            return data
        finally:
            scope.close()

    def stream(self, request: Request) -> Stream:
        """Send a request whose answer goes on; the timeout is the longest silence. Errors as for `request`."""
        scope = Scope(request.cancel, self._clock)
        try:
            response = self._open(request, scope, total=None)
        except BaseException:
            scope.close()
            raise
        return Stream(response, scope, request, self.host)

    def _open(self, request: Request, scope: Scope, *, total: float | None) -> urllib3.BaseHTTPResponse:
        """Send it; the answer's head has come and is a success.

        A 401 is tried once more with credentials loaded anew: the server did not act on it.
        """
        link = self._link
        try:
            return self._send(link, request, scope, total)
        except Unauthorized:
            if not self._reload(link, by_401=True):
                raise
        except ConnectionFailed:
            self._reload(link, by_401=False)  # for the next try, which is the caller's to make
            raise
        return self._send(self._link, request, scope, total)

    def _send(self, link: _Link, request: Request, scope: Scope, total: float | None) -> urllib3.BaseHTTPResponse:
        headers = dict(self._authenticated(link))
        headers["Accept"] = request.accept
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        path = f"{request.path}?{_encoded(tuple(request.query))}" if request.query else request.path
        timeout = request.timeout
        if request.limit is not None:
            timeout = min(timeout, request.limit())
            total = total and min(total, timeout)
        if request.cancelled:
            raise Cancelled(f"{request} was cancelled")
        started = self._clock.monotonic()
        code = ERROR
        try:
            with scope.entered():
                response = link.urlopen(
                    request.method,
                    path,
                    body=request.body,
                    headers=headers,
                    timeout=urllib3.Timeout(total=total, connect=min(_CONNECT_SECONDS, timeout), read=timeout),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
            code = str(response.status)
            if response.status >= 300:
                raise self._error(response, request, link)
            for warning in response.headers.getlist("Warning"):
                self._warn(warning, request)
            return response
        except FAILURES as exc:
            raise _failure(exc, request, link.host, scope) from exc
        finally:
            self.metrics.sent(
                request.method, link.address, code, self._clock.monotonic() - started, len(request.body) if request.body else 0
            )
            if scope.lookup is not None:
                self.metrics.resolved(*scope.lookup)
                scope.lookup = None

    def _error(self, response: urllib3.BaseHTTPResponse, request: Request, link: _Link) -> ApiError:
        raw = _read(response)
        self.metrics.received(request.method, link.address, len(raw))
        document: Any = None
        with suppress(ValueError):  # a proxy in between answers in HTML: its text will do
            document = codec.loads(raw)
        if not isinstance(document, dict):
            document = " ".join(raw[:300].decode("utf-8", "replace").split())
        retry_after = response.headers.get("Retry-After", "")
        seconds = float(retry_after) if retry_after.isdecimal() else None
        return api_error(response.status, document, request=str(request), retry_after=seconds)

    def _warn(self, header: str, request: Request) -> None:
        """Log a warning of the server (`299 - "text"`) the first time it comes."""
        _, _, text = header.partition('"')
        text = text.rstrip().removesuffix('"').replace('\\"', '"') or header
        if text not in self._warned and len(self._warned) < _WARNINGS_KEPT:
            self._warned.add(text)
            log.warning("the API server warns: %s (%s)", text, request)

    # -- configuration and credentials ------------------------------------------------------------------------------------------

    def _authenticated(self, link: _Link) -> Mapping[str, str]:
        """The headers that every request of this link carries now. The official client renews tokens when asked for them."""
        auth = self._auth
        now = self._clock.monotonic()
        if auth is not None and auth[1] is link and now - auth[0] < _AUTH_SECONDS:
            return auth[2]
        with self._load_lock:
            auth = self._auth
            if auth is not None and auth[1] is link and now - auth[0] < _AUTH_SECONDS:
                return auth[2]
            headers = dict(link.headers)
            try:
                settings = link.client.configuration.auth_settings()
            except Exception as exc:  # a token file or plugin can fail in any way; it may work the next time
                raise ConnectionFailed(f"cannot renew the credentials of {link.source.description}: {exc}", sent=False) from exc
            for setting in settings.values():
                if setting.get("in") == "header" and setting.get("value"):
                    headers[setting["key"]] = _sendable(str(setting["value"]).strip(), link.source)
            self._auth = (now, link, headers)
            return headers

    def _reload(self, link: _Link, *, by_401: bool) -> bool:
        """Load the configuration anew if that can help. Returns whether there is a newer link than the given one."""
        with self._load_lock:
            if self._link is not link:
                return True
            stamp, now = link.source.stamp(), self._clock.monotonic()
            changed = stamp != link.stamp
            if not changed and not (by_401 and link.source.renewable):
                return False
            if self._refused is not None and stamp == self._refused[0] and now - self._refused[1] < _RELOAD_SECONDS:
                return False
            if now - link.loaded_at < _RELOAD_SECONDS and not changed:
                return False
            try:
                self._link = self._load()
            except OperatorKitError as exc:
                self._refused = stamp, now
                log.warning("the configuration changed and cannot be used, the old one stays: %s", exc)
                return False
        link.pool.clear()  # idle connections; those in use are closed when they are done
        log.info("loaded the configuration anew: %s", self._link.source.description)
        return True

    def _load(self) -> _Link:
        source = self._find()
        stamp = source.stamp()
        configuration = kubernetes.client.Configuration()
        try:
            if source.service_account is not None:
                directory = source.service_account
                in_cluster: Any = InClusterConfigLoader  # the package has no types
                in_cluster(token_filename=str(directory / "token"), cert_filename=str(directory / "ca.crt")).load_and_set(
                    configuration
                )
            else:
                load: Any = kubernetes.config.load_kube_config_from_dict
                load(source.document, context=source.context, client_configuration=configuration, persist_config=False)
        except Exception as exc:
            # ConfigException, KeyError, base64 and file errors: whatever the document holds
            raise ConfigError(f"{source.description} cannot be used: {' '.join(str(exc).split())}") from exc
        if source.plugin and not (configuration.api_key or configuration.cert_file or configuration.username):
            # The official client logs why, and goes on as nobody.
            raise ConfigError(f"{source.description}: the program {source.plugin}, which it names, gave no credentials")
        configuration.connection_pool_maxsize = self._pool_size
        if urlsplit(configuration.host).hostname in {"127.0.0.1", "::1", "localhost"}:
            configuration.proxy = None  # as Go's clients: a proxy of the environment is not for this machine
        if configuration.host.startswith("https:") and not configuration.verify_ssl:
            log.warning("the certificate of %s is not verified: %s says so", configuration.host, source.description)
        client = kubernetes.client.ApiClient(configuration)
        pool = client.rest_client.pool_manager
        adopt(pool)
        headers = {"User-Agent": self._user_agent, **source.impersonate}
        host = configuration.host.rstrip("/")
        parts = urlsplit(host)
        connections = None if pool.proxy is not None else pool.connection_from_url(host)
        return _Link(source, stamp, self._clock.monotonic(), client, pool, connections, host, parts.path, parts.netloc, headers)

    def close(self) -> None:
        """Close the idle connections. Calls that run are not ended: cancel them."""
        self._link.pool.clear()


@lru_cache(maxsize=128)  # most writes have the same
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    """A query as it is sent. Slashes and colons may stand in one: text with a "%" costs urllib3 a loop over each character."""
    return urlencode(query, safe="/:")


def _sendable(value: str, source: Source) -> str:
    """A credential as a header. The library below would quote one that is none in its error, and so in a log."""
    if not (value.isascii() and value.isprintable()):
        raise ConnectionFailed(
            f"the credentials of {source.description} cannot be sent: they hold characters that no token has (a line break?)",
            sent=False,
        )
    return value
