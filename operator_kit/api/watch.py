"""A watch: the changes of a collection, one event at a time, each decoded once into dicts.

Promises: the stream ends by returning when the server closes it in good order, and by raising for everything else, so that
silence, damage and refusal cannot be mistaken for "nothing happened". It never reconnects by itself: from where to go on is the
caller's to know. `stop` ends it from any thread at any moment, while it still connects too.

It reads the official client's connection directly and not through `kubernetes.watch.Watch`: see docs/decisions/watch.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from operator_kit import codec
from operator_kit.api.cancel import Cancel
from operator_kit.api.transport import Stream
from operator_kit.errors import Cancelled, CorruptStream, api_error
from operator_kit.objects import Object

__all__ = ["INITIAL_EVENTS_END", "WatchEvent", "WatchStream"]

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchEvent(NamedTuple):
    """One line of a watch.

    `type` is `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK` (an `ERROR` is raised instead). `object` is the object as it is now, or
    as it last was; of a bookmark it has little but the resourceVersion.
    """

    type: str
    object: Object
    raw: bytes | None = None


class WatchStream:
    """Iterate it once, in one thread. It connects when the first event is asked for, or by `open`.

    Iterating raises what a request raises (`ApiError`, `ConnectionFailed`), besides:

    - an error of our tree for an `ERROR` event, e.g. `Gone` when the version is too old;
    - `CorruptStream` for a line that is no event, a blank one too, and for an end in the middle of a line;
    - `ConnectionFailed` when the connection breaks or is silent for longer than the read timeout.
    """

    def __init__(self, open_stream: Callable[[Cancel], Stream], what: str, cancel: Cancel) -> None:
        self._open_stream = open_stream
        self._what = what
        self._cancel = cancel
        self._stream: Stream | None = None
        self._events: Iterator[WatchEvent] = self._read()

    def open(self) -> None:
        """Connect now, so that it is known whether the server agrees. Raises what a request raises, nothing if stopped."""
        if self._stream is None:
            with suppress(Cancelled):  # iterating it will show its end
                self._stream = self._open_stream(self._cancel)

    def __iter__(self) -> Iterator[WatchEvent]:
        return self._events

    def stop(self) -> None:
        """End the stream: whoever iterates it sees its end at once. From any thread, any number of times."""
        self._cancel.cancel()

    def close(self) -> None:
        """Give the connection up. For the thread that iterates; `with` does it."""
        events: Any = self._events
        events.close()
        if self._stream is not None:
            self._stream.close()  # it was opened and never iterated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self) -> Iterator[WatchEvent]:
        self.open()
        stream = self._stream
        if stream is None:
            return
        try:
            rest = b""
            while piece := stream.read():
                lines = (rest + piece).split(b"\n") if rest else piece.split(b"\n")
                rest = lines.pop()
                for line in lines:
                    yield self._event(line)
            if rest:
                raise CorruptStream(f"{self._what} ended in the middle of an event: {_excerpt(rest)}")
        except Cancelled:
            return
        finally:
            stream.close()

    def _event(self, line: bytes) -> WatchEvent:
        try:
            document = codec.loads(line)
            kind, obj = document["type"], document["object"]
        except (ValueError, TypeError, KeyError):
            raise CorruptStream(f"{self._what} sent a line that is no event: {_excerpt(line)}") from None
        if not isinstance(kind, str) or not isinstance(obj, dict):
            raise CorruptStream(f"{self._what} sent a line that is no event: {_excerpt(line)}")
        if kind == "ERROR":
            code = obj.get("code")
            raise api_error(code if isinstance(code, int) else 500, obj, request=self._what)
        return WatchEvent(kind, obj, line)

    def __repr__(self) -> str:
        return f"<WatchStream {self._what}{' stopped' if self._cancel.cancelled else ''}>"


def _excerpt(line: bytes) -> str:
    """What came instead of an event, for a message: never a part of an object, which may be a Secret."""
    if not line.strip():
        return "a blank line"
    head, found, _ = line[:80].partition(b'"object"')
    if not found and line.lstrip()[:1] not in {b"{", b"<"}:
        return f"{len(line)} bytes"
    return repr(head.decode("utf-8", "replace")) + ("…" if len(line) > len(head) else "")
