"""Watches: who sees which change, as what, and when a stream ends.

A `Watcher` observes one resource's store. It turns each change into the line its reader must see - with a selector, an object
that begins to match is ADDED and one that ceases to match is DELETED - and keeps the lines until the stream's writer takes
them. A reader that falls too far behind is cut off, as a real server does; it will list again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from operator_kit.sandbox.storage import Entry, Event, ResourceStore
from operator_kit.sandbox.views import View
from operator_kit.selectors import FieldSelector, LabelSelector

__all__ = ["Filter", "Watcher", "field_value"]

BACKLOG = 10_000
"""Lines a slow reader may be behind before its stream is ended."""


def field_value(obj: dict[str, Any], path: str) -> str:
    """The text of a field, as field selectors compare it: empty where absent, `true`/`false` for booleans."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Filter:
    """Which objects a reader sees: one namespace or all, and selectors. `getter` tells a stored object's field."""

    __slots__ = ("_prefix", "fields", "getter", "labels", "namespace")

    def __init__(
        self,
        namespace: str = "",
        labels: LabelSelector | None = None,
        fields: FieldSelector | None = None,
        getter: Callable[[Entry, str], str] | None = None,
    ) -> None:
        self.namespace = namespace
        self.labels = labels if labels is not None and not labels.empty else None
        self.fields = fields if fields is not None and not fields.empty else None
        self.getter = getter or (lambda entry, path: field_value(entry.obj, path))
        self._prefix = f"{namespace}/"

    @property
    def selective(self) -> bool:
        """Whether a selector narrows the view (a namespace does not count)."""
        return self.labels is not None or self.fields is not None

    def matches(self, entry: Entry) -> bool:
        """Whether the selectors select this object (its namespace is taken to fit)."""
        if self.labels is not None and not self.labels.matches(entry.labels):
            return False
        return self.fields is None or self.fields.matches(lambda path: self.getter(entry, path))

    def covers(self, key: str) -> bool:
        """Whether a key is in the namespace."""
        return not self.namespace or key.startswith(self._prefix)


class Watcher:
    """One watch on one resource. Made, fed and read on the event loop's thread."""

    def __init__(self, store: ResourceStore, view: View, chosen: Filter, *, after: int) -> None:
        self.view = view
        self.ended = False
        self.overrun = False
        self._store = store
        self._filter = chosen
        self._after = after
        self._lines: list[bytes] = []
        self._wake: asyncio.Future[None] | None = None

    def start(self, *, history: list[Event] | None = None, initial: list[Entry] | None = None) -> None:
        """Begin: first what is there or what happened since, then what happens from now on."""
        for entry in initial or ():
            self._lines.append(self.view.first_line(entry))
        for event in history or ():
            self._see(event)
        self._store.observers.append(self._see)
        self._store.readers.add(self)

    def _see(self, event: Event) -> None:
        if event.version <= self._after or not self._filter.covers(event.key):
            return
        old, new = event.old, event.new
        if self._filter.selective:
            if old is not None and not self._filter.matches(old):
                old = None
            if new is not None and not self._filter.matches(new):
                new = None
        if new is not None:
            line = self.view.line("ADDED" if old is None else "MODIFIED", event, new)
        elif old is not None:
            line = self.view.line("DELETED", event, event.tombstone())
        else:
            return
        if len(self._lines) >= BACKLOG:
            self.overrun = True
            self.end()
            return
        self._lines.append(line)
        self.wake()

    def add_line(self, line: bytes) -> None:
        """Put a line of another kind (a bookmark, an error) behind what waits."""
        self._lines.append(line)
        self.wake()

    def wake(self) -> None:
        """Let `next` return."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end(self) -> None:
        """No more lines: the reader gets what waits, then its stream ends."""
        self.ended = True
        self.close()
        self.wake()

    def close(self) -> None:
        """Stop observing. Safe to call twice."""
        if self._see in self._store.observers:
            self._store.observers.remove(self._see)
        self._store.readers.discard(self)

    def take(self) -> list[bytes]:
        """The lines that wait, taken."""
        lines, self._lines = self._lines, []
        return lines

    async def wait(self) -> None:
        """Until a line waits or the watch was ended or woken."""
        if self._lines or self.ended:
            return
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def __repr__(self) -> str:
        return f"<Watcher {self._store.name} {'ended' if self.ended else 'open'}, {len(self._lines)} lines wait>"
