"""One call of the API, with everything all calls share: its path, its limit in time, its retries, its guard, its decoding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from operator_kit import codec
from operator_kit.api import retry
from operator_kit.api.cancel import Cancel
from operator_kit.api.limiter import RateLimiter
from operator_kit.api.metrics import RequestMetrics
from operator_kit.api.transport import Request, Transport
from operator_kit.clock import Clock
from operator_kit.errors import DeadlineExceeded, ServerError, UsageError
from operator_kit.objects import Object, Resource

__all__ = ["Caller", "Guard"]

Guard = Callable[[str], float]
"""Called with the HTTP method before each try, and again directly before it is sent, when credentials are renewed and all is
ready; returns the seconds the request may take (infinity for no limit), or raises."""


class Caller:
    """What the verbs are built on. All verbs take these:

    - `timeout`: seconds for the call with all its retries; the client's `request_timeout` unless given;
    - `retries`: whether to make the call again where that is safe (`operator_kit.api.retry`);
    - `cancel`: ends the call from another thread, which makes it raise `Cancelled`.
    """

    def __init__(self, transport: Transport, *, clock: Clock, request_timeout: float) -> None:
        self._transport = transport
        self._clock = clock
        self._timeout = request_timeout
        self._guard: Guard | None = None
        self._share: tuple[RateLimiter, str, Cancel | None] | None = None
        self._interrupt: Cancel | None = None

    def guarded(self, guard: Guard) -> Self:
        """The same client, asking `guard` before each try how long it may take: for deadlines and for fencing.

        A client that has a guard already asks both: the shorter time counts.
        """
        before = self._guard
        view = copy.copy(self)
        view._guard = guard if before is None else lambda method: min(before(method), guard(method))  # noqa: SLF001  # this very class
        return view

    def limited(self, limiter: RateLimiter, flow: str, cancel: Cancel | None = None) -> Self:
        """The same client, waiting before each try for the flow's turn. The waiting is part of the time a call may take.

        Watches and `discovery` do not wait. Calls may raise `RateLimited` besides, and `Cancelled` once `cancel` ends the waits.
        """
        view = copy.copy(self)
        view._share = (limiter, flow, cancel)  # noqa: SLF001  # this very class
        return view

    @property
    def metrics(self) -> RequestMetrics:
        """What was sent so far, by this client and its views together."""
        return self._transport.metrics

    def interruptible(self, cancel: Cancel) -> Self:
        """The same client, whose reads `cancel` ends unless they have another: for whose time is up. Writes are left alone."""
        view = copy.copy(self)
        view._interrupt = cancel  # noqa: SLF001  # this very class
        return view

    @property
    def host(self) -> str:
        """The server's URL."""
        return self._transport.host

    @property
    def namespace(self) -> str:
        """The default namespace of the context, or of the pod."""
        return self._transport.source.namespace

    @property
    def origin(self) -> str:
        """Where the configuration came from, for messages."""
        return self._transport.source.description

    def close(self) -> None:
        """Close idle connections. The client can still be used."""
        self._transport.close()

    def call_raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> bytes:
        """Any request, for what the verbs do not cover. Returns the answer's body."""
        deadline = self._clock.monotonic() + (self._timeout if timeout is None else timeout)
        data = None if body is None else codec.dumps(body)
        if cancel is None and method == "GET":
            cancel = self._interrupt

        def budget() -> float:
            seconds = deadline - self._clock.monotonic()
            return seconds if self._guard is None else min(seconds, self._guard(method))

        def left() -> float:
            seconds = budget()
            if seconds <= 0:
                raise DeadlineExceeded(f"no time is left for {method} {path}")
            return seconds

        def once() -> bytes:
            if self._share is not None:
                limiter, flow, no_more = self._share
                waited = limiter.wait(flow, f"{method} {path}", left(), cancel or no_more)
                self.metrics.waited(method, self._transport.address, waited)
            return self._transport.request(Request(method, path, left(), query, data, content_type, accept, cancel, left))

        def again(code: str) -> None:
            self.metrics.retried(method, self._transport.address, code)

        if not retries:
            return once()
        return retry.run(once, read=method == "GET", budget=budget, clock=self._clock, cancel=cancel, again=again)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """Like `call_raw`, with the answer decoded."""
        raw = self.call_raw(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            timeout=timeout,
            retries=retries,
            cancel=cancel,
        )
        try:
            document = codec.loads(raw)
        except ValueError as exc:
            raise ServerError(f"the answer is not JSON: {exc}", status=502, request=f"{method} {path}") from None
        if not isinstance(document, dict):
            raise ServerError(f"the answer is a {type(document).__name__}, not an object", status=502, request=f"{method} {path}")
        return document


def object_path(resource: Resource, namespace: str | None, name: str, subresource: str | None = None) -> str:
    """The path of one object. Raises UsageError for what would be the path of something else, e.g. of the whole collection."""
    if not name or "/" in name or name in {".", ".."}:
        raise UsageError(f"{name!r} is not the name of a {resource.kind}")
    if resource.namespaced and not namespace:
        raise UsageError(f"{resource.kind} {name}: the kind is namespaced, so a namespace is needed")
    return collection_path(resource, namespace, quote(name, safe=":"), subresource)


def collection_path(resource: Resource, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    """The path of a collection: of one namespace, or of all."""
    return resource.path(quote(namespace, safe="") if namespace else None, name, subresource)
