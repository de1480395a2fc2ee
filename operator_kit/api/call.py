"""One call of the API, with everything all calls share: its path, its limit in time, its retries, its guard, its decoding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from operator_kit import codec
from operator_kit.api import retry
from operator_kit.api.cancel import Cancel
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

    def guarded(self, guard: Guard) -> Self:
        """The same client, asking `guard` before each try how long it may take: for deadlines and for fencing.

        A client that has a guard already asks both: the shorter time counts.
        """
        before = self._guard
        view = copy.copy(self)
        view._guard = guard if before is None else lambda method: min(before(method), guard(method))  # noqa: SLF001  # this very class
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

        def left() -> float:
            seconds = deadline - self._clock.monotonic()
            if self._guard is not None:
                seconds = min(seconds, self._guard(method))
            if seconds <= 0:
                raise DeadlineExceeded(f"no time is left for {method} {path}")
            return seconds

        def once() -> bytes:
            return self._transport.request(Request(method, path, left(), query, data, content_type, accept, cancel, left))

        if not retries:
            return once()
        return retry.run(once, read=method == "GET", deadline=deadline, clock=self._clock, cancel=cancel)

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
