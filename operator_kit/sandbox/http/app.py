"""From a request to its handler: non-resource paths, resource paths, and the server's answers for what is neither.

Every answer that is not a success is a `Status` (or the plain page a Go server sends for unknown paths); a defect in the
sandbox is a 500 Status and a logged traceback, never a dead connection. Handlers do not wait between reading the body and
answering, so each request sees and leaves a consistent state.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.faults import Faults
from operator_kit.sandbox.guard import Guard
from operator_kit.sandbox.http import bodies, documents, responses
from operator_kit.sandbox.http.call import Call
from operator_kit.sandbox.http.faulty import Faulty
from operator_kit.sandbox.http.paths import Target, api_verb, parse
from operator_kit.sandbox.http.special import Special
from operator_kit.sandbox.http.verbs_read import Reads
from operator_kit.sandbox.http.verbs_write import Writes
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import Query, RequestInfo
from operator_kit.sandbox.status import (
    StatusError,
    bad_request,
    internal_error,
    method_not_supported,
    no_route,
    not_found,
    wrong_method,
)

__all__ = ["App"]

_log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class App:
    """The request handler of one engine. With `rbac`, requests are authorised by the roles it holds; see `Guard` for the other.

    Attributes:
        observers: functions that are told of every request for a resource, on the server's thread, before it is answered.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        bookmark_interval: float = 60.0,
        watch_timeout: float = 1800.0,
        rbac: bool = False,
        owner_permissions: bool = False,
    ) -> None:
        self.engine = engine
        self.guard = Guard(engine.world, enforce=rbac, owner_permissions=owner_permissions)
        self.faults = Faults()
        self.faulty = Faulty(engine, self.faults, self._answer)
        self.observers: list[Callable[[RequestInfo], None]] = []
        self._documents = documents.Documents(engine)
        self._reads = Reads(engine, self.faulty, bookmark_interval=bookmark_interval, watch_timeout=watch_timeout)
        self._writes = Writes(engine, self.guard)
        self._special = Special(engine, self.guard)
        self._handlers: dict[str, Handler] = {
            "get": self._reads.get,
            "list": self._reads.list,
            "watch": self._reads.watch,
            "create": self._writes.create,
            "update": self._writes.update,
            "patch": self._writes.patch,
            "delete": self._writes.delete,
            "deletecollection": self._writes.delete_collection,
        }

    def shut_down(self) -> None:
        """The server is about to stop: it is not ready any more, and lets go of every request that a fault keeps hanging."""
        self._documents.ready = False
        self.faulty.release()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self.faulty.handle(request)
        except StatusError as error:
            return responses.refusal(error)
        except ConnectionError:
            return web.Response()  # its reader has left, or was cut off: writing finds that out, and says nothing of it
        except web.HTTPException:
            raise
        except RecursionError:
            return responses.refusal(bad_request("json: exceeded max depth"))
        except Exception as exc:  # noqa: BLE001  # a defect here is one failed request, told with its traceback, not a dead server
            _log.exception("%s %s failed", request.method, request.path)
            return responses.refusal(internal_error(f"{type(exc).__name__}: {exc}"))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = request.raw_path
        path, _, query_text = raw.partition("?")
        target = parse(path)
        user = self.guard.identify(request.headers.get("Authorization", ""))
        if target is None:
            self.guard.check(user, RequestInfo(request.method.lower(), path=path))
            return await self._documents.answer(request, path, Query(query_text))
        query = Query(query_text)
        info = self._info(request, path, target, query)
        for observer in self.observers:
            observer(info)
        self.guard.check(user, info)
        served = self.engine.world.registry.get(target.group, target.version, target.plural)
        if served is None:
            if self.engine.world.registry.is_builtin(target.group) and self.engine.world.registry.has_version(
                target.group, target.version
            ):
                raise no_route()
            return responses.not_found_page()
        handler = self._custom(info, served) if served.custom else self._builtin(info, served)
        if handler is None:
            return responses.not_found_page()
        body = await bodies.read_body(request) if request.method != "GET" else b""
        return await handler(Call(request, info, target, served, query, body, user))

    @staticmethod
    def _info(request: web.BaseRequest, path: str, target: Target, query: Query) -> RequestInfo:
        return RequestInfo(
            api_verb(request.method, target, watch=query.flag("watch")),
            target.group,
            target.version,
            target.plural,
            target.subresource,
            target.namespace,
            target.name,
            path,
            user_agent=request.headers.get("User-Agent", ""),
        )

    def _custom(self, info: RequestInfo, served: Served) -> Handler | None:
        """The handler for a custom resource, None for the page of an unknown path. Raises 404 and 405."""
        if bool(info.namespace) != served.namespaced and not (
            served.namespaced and info.verb in {"list", "watch"} and not info.name
        ):
            return None
        if info.subresource:
            if info.subresource not in served.subresources:
                raise not_found(served.group, served.plural, info.name)
            if info.verb not in served.subresources[info.subresource].verbs:
                raise method_not_supported(served.group, served.plural, info.verb)
            return self._writes.scale if info.subresource == "scale" else self._handlers[info.verb]
        handler = self._handlers.get(info.verb)
        if handler is None or (info.verb == "create" and info.name) or (info.verb == "patch" and not info.name):
            raise method_not_supported(served.group, served.plural, info.verb)
        return handler

    def _builtin(self, info: RequestInfo, served: Served) -> Handler:
        """The handler for a built-in resource. Raises the 404 and 405 of paths and methods that are not there."""
        if info.namespace and not served.namespaced:
            raise no_route()
        if served.namespaced and not info.namespace:
            if info.name or info.subresource:
                raise no_route()
            if info.verb not in {"list", "watch"} and not (info.verb == "create" and served.store is None):
                raise wrong_method()
        if info.subresource:
            sub = served.subresources.get(info.subresource)
            if sub is None:
                raise no_route()
            if info.verb not in sub.verbs:
                raise wrong_method()
            if info.subresource == "scale":
                return self._writes.scale
            return self._special.subresource(served, info) or self._handlers[info.verb]
        if (
            info.verb not in served.verbs
            or (info.name and info.verb == "create")
            or (not info.name and info.verb in {"update", "patch"})
        ):
            raise wrong_method()
        return self._special.review(served) or self._handlers[info.verb]
