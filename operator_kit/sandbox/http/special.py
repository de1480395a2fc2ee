"""Subresources and kinds that store nothing: reviews of access and tokens, service account tokens, evictions, bindings, logs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from operator_kit.sandbox import reviews
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.guard import Guard
from operator_kit.sandbox.http import bodies
from operator_kit.sandbox.http.call import Call
from operator_kit.sandbox.http.responses import document, text
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import RequestInfo, WriteOptions
from operator_kit.sandbox.status import Cause, invalid

__all__ = ["Special"]

Object = dict[str, Any]
Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Special:
    """Handlers for what is not read from or written to storage in the common way."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        self._engine = engine
        self._guard = guard
        self._subresources: dict[tuple[str, str], Handler] = {
            ("serviceaccounts", "token"): self._token,
            ("pods", "eviction"): self._evict,
            ("pods", "binding"): self._bind,
            ("pods", "log"): self._log,
        }

    def subresource(self, served: Served, info: RequestInfo) -> Handler | None:
        """The handler of a subresource of its own kind, or None."""
        return self._subresources.get((served.plural, info.subresource))

    def review(self, served: Served) -> Handler | None:
        """The handler of a kind that is only ever created and answered, or None."""
        return self._review if served.store is None else None

    async def _review(self, call: Call) -> web.StreamResponse:
        obj = bodies.decode_object(call.body, call.content_type, call.served)
        return document(reviews.answer(self._guard, call.served, call.user, obj), 201)

    async def _token(self, call: Call) -> web.StreamResponse:
        self._engine.reader.get(call.served, call.info.namespace, call.info.name)
        obj = bodies.decode_object(call.body, call.content_type, call.served) if call.body else {}
        return document(reviews.token_request(self._engine.world, call.info, obj), 201)

    async def _evict(self, call: Call) -> web.StreamResponse:
        options = WriteOptions.of(call.query, call.info.user_agent, "CreateOptions")
        obj = bodies.decode_object(call.body, call.content_type, call.served)
        if isinstance(obj.get("deleteOptions"), dict):
            options.read_delete_body(obj["deleteOptions"])
        self._engine.deleter.delete(call.served, call.info.namespace, call.info.name, options)
        return document(_CREATED, 201)

    async def _bind(self, call: Call) -> web.StreamResponse:
        obj = bodies.decode_object(call.body, call.content_type, call.served)
        target = obj.get("target")
        node = target.get("name") if isinstance(target, dict) else None
        if not isinstance(node, str) or not node:
            raise invalid("", "Binding", call.info.name, [Cause("FieldValueRequired", "Required value", "target.name")])
        options = WriteOptions.of(call.query, call.info.user_agent, "CreateOptions")
        now = self._engine.world.now()

        def bind(pod: Object) -> Object:
            pod.setdefault("spec", {})["nodeName"] = node
            return pod

        def scheduled(pod: Object) -> Object:
            condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
            pod.setdefault("status", {}).setdefault("conditions", []).append(condition)
            return pod

        writer, info = self._engine.writer, call.info
        writer.modify(call.served, info.namespace, info.name, bind, options, subresource="binding")
        writer.modify(call.served, info.namespace, info.name, scheduled, options, subresource="status")
        return document(_CREATED, 201)

    async def _log(self, call: Call) -> web.StreamResponse:
        self._engine.reader.get(call.served, call.info.namespace, call.info.name)
        return text("")
