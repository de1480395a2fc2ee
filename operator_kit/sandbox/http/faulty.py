"""Carrying out the faults: what `operator_kit.sandbox.faults` decided, done to real connections.

`/sandbox/` is the path under which other processes do it over HTTP:

    POST /sandbox/faults           put a fault in force: its fields as a JSON object; answers with its `number`
    GET /sandbox/faults            those in force, and how often each struck
    DELETE /sandbox/faults[/3]     lift one, or all
    POST /sandbox/forget-history   end every watch and forget all history, as a restart does
    POST /sandbox/clock            {"skew": -90}: let the clock be off by so many seconds
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.faults import Fault, Faults, Request, StreamFaults
from operator_kit.sandbox.http import responses
from operator_kit.sandbox.http.paths import api_verb, parse
from operator_kit.sandbox.request import Query
from operator_kit.sandbox.status import StatusError, bad_request, wrong_method

__all__ = ["PATH", "Faulty", "FaultyStream", "cut_off"]

PATH = "/sandbox/"

_PATIENCE = 0.1  # seconds a reordered event waits for another to overtake it

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def cut_off(request: web.BaseRequest) -> ConnectionError:
    """Cut the connection, without another byte. To be raised: nothing can be answered any more."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the connection was cut by a fault")


def target_of(request: web.BaseRequest) -> Request:
    """What a fault can be aimed at."""
    path, _, query_text = request.raw_path.partition("?")
    agent = request.headers.get("User-Agent", "")
    target = parse(path)
    if target is None:
        parts = path.strip("/").split("/")
        return Request("discovery", parts[1] if parts[0] == "apis" and len(parts) > 1 else "", user_agent=agent)
    query = Query(query_text)
    resource = f"{target.plural}.{target.group}" if target.group else target.plural
    if target.subresource:
        resource += f"/{target.subresource}"
    verb = api_verb(request.method, target, watch=query.flag("watch"))
    return Request(verb, resource, target.namespace, target.name, agent, bool(query.text("continue")))


class Faulty:
    """Stands between the connections and the real handler."""

    def __init__(self, engine: Engine, faults: Faults, answer: Answer) -> None:
        self._engine = engine
        self.faults = faults
        self._answer = answer
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let go of every request that hangs: the server stops."""
        self._released.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, as the faults in force allow."""
        if request.path.startswith(PATH):
            return await self._control(request)
        if not self.faults:
            return await self._answer(request)
        target = target_of(request)
        # What keeps a request waiting comes first, what answers in the handler's place next, what spoils its answer last.
        after: list[Fault] = []
        for fault in self.faults.on_request(target):
            if fault.action == "delay":
                await self._pause(fault.seconds)
            elif fault.action == "hang":
                await self._pause(None)
                raise cut_off(request)
            elif fault.action == "close":
                raise cut_off(request)
            elif fault.action == "status":
                return responses.refusal(_status(fault))
            else:
                after.append(fault)
        response = await self._answer(request)
        if target.verb == "discovery" and isinstance(response, web.Response):
            self._stale(response)
        for fault in after:
            if isinstance(response, web.Response):
                return await self._spoil(request, response, fault)
        return response

    def _stale(self, response: web.Response) -> None:
        """In the aggregated document, a group whose discovery fails is listed without its resources, as `Stale`."""
        if "APIGroupDiscoveryList" not in response.headers.get("Content-Type", "") or not isinstance(response.body, bytes):
            return
        document = codec.loads(response.body)
        for group in document["items"]:
            asked = Request("discovery", group.get("metadata", {}).get("name", ""))
            if asked.resource and any(fault.action in {"status", "close", "hang"} for fault in self.faults.on_request(asked)):
                for version in group["versions"]:
                    version["resources"], version["freshness"] = [], "Stale"
        response.body = codec.dumps(document)
        response.headers.pop("Etag", None)

    async def _pause(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return

    @staticmethod
    async def _spoil(request: web.BaseRequest, response: web.Response, fault: Fault) -> web.StreamResponse:
        if fault.action == "lost":
            raise cut_off(request)
        body = response.body if isinstance(response.body, bytes) else b""
        if fault.action == "garble":
            response.body = b"<" + body[1:]
            return response
        partial = web.StreamResponse(status=response.status, headers={"Content-Type": response.headers["Content-Type"]})
        partial.content_length = len(body)
        await partial.prepare(request)
        await partial.write(body[: len(body) // 2])
        raise cut_off(request)

    def stream(self, request: web.BaseRequest) -> FaultyStream | None:
        """What is done to a watch stream, or None."""
        return FaultyStream(self.faults.on_stream(target_of(request)), request, self._released) if self.faults else None

    # ------------------------------------------------------------------ control

    async def _control(self, request: web.BaseRequest) -> web.Response:
        what, _, number = request.path.removeprefix(PATH).partition("/")
        if what not in {"faults", "forget-history", "clock"} or (number and (what != "faults" or not number.isdigit())):
            return responses.not_found_page()
        if what != "faults":
            if request.method != "POST":
                raise wrong_method()
            if what == "forget-history":
                self._engine.forget()
            else:
                self._engine.world.skew = _skew(await _document(request))
            return responses.document({"version": self._engine.world.storage.version, "skew": self._engine.world.skew})
        if request.method == "POST" and not number:
            try:
                made = self.faults.add(Fault.from_dict(await _document(request)))
            except ValueError as exc:
                raise bad_request(f"this is no fault: {exc}") from None
            return responses.document({"number": made}, 201)
        if request.method == "DELETE":
            if not number:
                self.faults.clear()
            elif not self.faults.remove(int(number)):
                raise StatusError(404, "NotFound", f"no fault has the number {number}")
        elif request.method != "GET" or number:
            raise wrong_method()
        return responses.document({"faults": self.faults.in_force()})


async def _document(request: web.BaseRequest) -> dict[str, Any]:
    try:
        document = codec.loads(await request.read())
    except ValueError as exc:
        raise bad_request(f"the body is no JSON: {exc}") from None
    if not isinstance(document, dict):
        raise bad_request("the body is no JSON object")
    return document


def _skew(document: dict[str, Any]) -> float:
    skew = document.get("skew")
    if not isinstance(skew, int | float) or isinstance(skew, bool) or not abs(skew) < 1e9:
        raise bad_request('the clock takes {"skew": seconds}, back or forth')
    return float(skew)


def _status(fault: Fault) -> StatusError:
    details = {"retryAfterSeconds": fault.retry_after} if fault.retry_after is not None else {}
    return StatusError(fault.code, fault.status_reason(), "a fault put in force on this sandbox", details)


class FaultyStream:
    """One watch stream's faults, carried out while it is written."""

    def __init__(self, faults: StreamFaults, request: web.BaseRequest, released: asyncio.Event) -> None:
        self._faults = faults
        self._request = request
        self._released = released
        self._give_up: float | None = None
        self.bookmarks = faults.bookmarks
        """Whether bookmarks are sent."""

    async def write(self, response: web.StreamResponse, lines: list[bytes], wake: Callable[[], None]) -> bool:
        """Write event lines as the faults allow; `wake` gets it called again. Returns whether the stream goes on."""
        if not await self._strike(response, lines[0] if lines else b"{}\n"):
            return False
        for line in lines:
            for sent in self._faults.lines(line):
                await response.write(sent)
                if not await self._strike(response, line):
                    return False
        loop = asyncio.get_running_loop()
        if self._faults.holding and self._give_up is None:  # it waits for an event to overtake it, but not for ever
            self._give_up = loop.time() + _PATIENCE
            loop.call_at(self._give_up, wake)
        elif self._give_up is not None and loop.time() >= self._give_up:
            self._give_up = None
            await response.write(self._faults.rest())
        return True

    async def _strike(self, response: web.StreamResponse, line: bytes) -> bool:
        fault = self._faults.struck()
        if fault is None:
            return True
        if fault.action == "break":
            await response.write(line[: len(line) // 2])
            await asyncio.sleep(0)
            raise cut_off(self._request)
        if fault.action == "silent":
            await self._released.wait()  # or the client gives up first, which cancels this
            raise cut_off(self._request)
        if fault.action == "corrupt":
            await response.write(b'{"type":"MODIFIED","object":{"kind"\n')
        elif fault.action == "blank":
            await response.write(b"\n")
        elif fault.action in {"gone", "error"}:
            error = StatusError(410, "Expired", "too old resource version: 1 (2)") if fault.action == "gone" else _status(fault)
            await response.write(b'{"type":"ERROR","object":' + codec.dumps(error.body()) + b"}\n")
            return False
        return fault.action != "end"
