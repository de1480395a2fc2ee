"""get, list and watch over HTTP."""

from __future__ import annotations

import asyncio
import random

from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.http.call import Call
from operator_kit.sandbox.http.faulty import Faulty
from operator_kit.sandbox.http.responses import answer
from operator_kit.sandbox.reads import WatchStart
from operator_kit.sandbox.request import ListOptions
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.views import View, watch_line
from operator_kit.sandbox.watch import Filter, Watcher

__all__ = ["Reads"]

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
# A bookmark comes this long before a stream's end, so that its reader can go on from there.
_LAST_BOOKMARK = 2.0


class Reads:
    """The reading verbs.

    Args:
        engine: what is read.
        faulty: what is done to watch streams on demand.
        bookmark_interval: seconds between the bookmarks of a watch.
        watch_timeout: seconds a watch runs at least that asks for no time of its own; at most twice that.
    """

    def __init__(self, engine: Engine, faulty: Faulty, *, bookmark_interval: float, watch_timeout: float) -> None:
        self._engine = engine
        self._faulty = faulty
        self._bookmark_interval = bookmark_interval
        self._watch_timeout = watch_timeout

    async def get(self, call: Call) -> web.StreamResponse:
        """One object."""
        accept = call.accept()
        entry = self._engine.reader.get(call.served, call.info.namespace, call.info.name)
        return answer(call.view(accept).single(entry), accept=accept, pretty=call.query.flag("pretty"))

    async def list(self, call: Call) -> web.StreamResponse:
        """A page of objects."""
        accept = call.accept()
        options = ListOptions.of(call.query)
        listed = self._engine.reader.list(call.served, call.info.namespace, options)
        meta = listed.meta
        if call.served.custom and accept.into == "":
            meta = {"continue": "", **meta}
        body = call.view(accept).collection(listed.entries, meta)
        return answer(body, accept=accept, pretty=call.query.flag("pretty"))

    async def watch(self, call: Call) -> web.StreamResponse:
        """A stream of changes, until its time is up, its reader leaves or the server stops."""
        accept = call.accept()
        options = ListOptions.of(call.query)
        options.watch = True
        view = call.view(accept)
        chosen = self._engine.reader.filter(call.served, call.info.namespace, options, call.info.name)
        try:
            start = self._engine.reader.watch_start(call.served, options, chosen)
        except StatusError as error:
            if error.code != 410:
                raise
            return await self._refused(call, error)
        return await self._stream(call, view, chosen, start, options)

    @staticmethod
    async def _refused(call: Call, error: StatusError) -> web.StreamResponse:
        """A version that is too old is told inside the stream: 200, then an ERROR event."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(call.request)
        await response.write(watch_line("ERROR", codec.dumps(error.body())))
        await response.write_eof()
        return response

    async def _stream(
        self, call: Call, view: View, chosen: Filter, start: WatchStart, options: ListOptions
    ) -> web.StreamResponse:
        faulty = self._faulty.stream(call.request)
        watcher = Watcher(call.served.objects(), view, chosen, after=start.after)
        watcher.start(history=start.history, initial=start.initial)
        if options.send_initial and options.bookmarks and (faulty is None or faulty.bookmarks):
            watcher.add_line(view.bookmark(start.after, initial_end=True))
        loop = asyncio.get_running_loop()
        seconds = options.timeout or self._watch_timeout * (1 + random.random())  # noqa: S311  # spreads the load
        deadline = loop.time() + seconds
        response = web.StreamResponse(headers=_HEADERS)
        timer: asyncio.TimerHandle | None = None
        bookmarks = options.bookmarks and (faulty is None or faulty.bookmarks)
        try:
            await response.prepare(call.request)
            bookmark = self._next_bookmark(loop.time(), deadline) if bookmarks else deadline
            while True:
                lines = watcher.take()
                if faulty is not None:
                    if not await faulty.write(response, lines, watcher.wake):
                        break
                elif lines:
                    await response.write(b"".join(lines))
                if lines:
                    continue
                now = loop.time()
                if watcher.ended or now >= deadline:
                    break
                if now >= bookmark:
                    bookmark = self._next_bookmark(now, deadline)
                    watcher.add_line(view.bookmark(self._engine.world.storage.version))
                    continue
                timer = loop.call_at(min(deadline, bookmark), watcher.wake)
                await watcher.wait()
                timer.cancel()
            await response.write_eof()
        finally:
            if timer is not None:
                timer.cancel()
            watcher.close()
        return response

    def _next_bookmark(self, now: float, deadline: float) -> float:
        regular = now + self._bookmark_interval
        last = deadline - _LAST_BOOKMARK
        return regular if regular < last or last <= now else last

    def __repr__(self) -> str:
        return f"<Reads of {self._engine!r}>"
