"""A watch: the changes of a collection, one event at a time, each opened once.

Promises: the stream ends by returning when the server closes it in good order, and by raising for everything else, so that
silence, damage and refusal cannot be mistaken for "nothing happened". It never reconnects by itself: from where to go on is the
caller's to know. `stop` ends it from any thread at any moment, while it still connects too.

It reads the official client's connection directly and not through `kubernetes.watch.Watch`: see docs/decisions/watch.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import Any, Self

from operator_kit import codec
from operator_kit.api.cancel import Cancel
from operator_kit.api.transport import Stream
from operator_kit.codec import RawObject
from operator_kit.errors import Cancelled, CorruptStream, api_error

__all__ = ["INITIAL_EVENTS_END", "WatchStream"]

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchStream:
    """Iterate it once, in one thread, or take its `batches`. It connects when the first event is asked for, or by `open`.

    An event is a `RawObject` whose `type` is `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK` (an `ERROR` is raised instead): the
    object as it is now, or as it last was, undecoded; of a bookmark it has little but the resourceVersion.

    Iterating raises what a request raises (`ApiError`, `ConnectionFailed`), besides:

    - an error of our tree for an `ERROR` event, e.g. `Gone` when the version is too old;
    - `CorruptStream` for a line that is no event, a blank one too, and for an end in the middle of a line;
    - `ConnectionFailed` when the connection breaks or is silent for longer than the read timeout.
    """

    def __init__(self, open_stream: Callable[[Cancel], Stream], what: str, cancel: Cancel, *, strip: bool = False) -> None:
        self._open_stream = open_stream
        self._what = what
        self._cancel = cancel
        self._strip = strip
        self._stream: Stream | None = None
        self._batches: Iterator[Iterable[RawObject]] = self._read()

    def open(self) -> bool:
        """Connect now, so that it is known whether the server agrees. Raises what a request raises; False if stopped instead."""
        if self._stream is None:
            with suppress(Cancelled):  # iterating it will show its end
                self._stream = self._open_stream(self._cancel)
        return self._stream is not None

    def __iter__(self) -> Iterator[RawObject]:
        return chain.from_iterable(self._batches)

    def batches(self) -> Iterator[Iterable[RawObject]]:
        """The same events, as many at once as there are to read. Each batch is to be iterated before the next is asked for."""
        return self._batches

    def stop(self) -> None:
        """End the stream: whoever iterates it sees its end at once. From any thread, any number of times."""
        self._cancel.cancel()

    def close(self) -> None:
        """Give the connection up. For the thread that iterates; `with` does it."""
        batches: Any = self._batches
        batches.close()
        if self._stream is not None:
            self._stream.close()  # it was opened and never iterated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self) -> Iterator[Iterable[RawObject]]:
        self.open()
        stream = self._stream
        if stream is None:
            return
        try:
            rest: list[bytes] = []  # the pieces of a line that is not complete
            while piece := stream.read():
                end = piece.rfind(b"\n") + 1
                if not end:
                    rest.append(piece)
                    continue
                data = b"".join((*rest, piece[:end])) if rest else piece[:end]
                rest = [piece[end:]] if end < len(piece) else []
                yield self._events(data)
            if rest:
                raise CorruptStream(f"{self._what} ended in the middle of an event: {_excerpt(b''.join(rest))}")
        except Cancelled:
            return
        finally:
            stream.close()

    def _events(self, data: bytes) -> Iterable[RawObject]:
        """The events of some lines. What is wrong with one is raised when its turn comes."""
        events = codec.read_events(data, strip=self._strip)
        if isinstance(events, list) and not any(event.type == "ERROR" for event in events):
            return events
        return self._one_by_one(events)

    def _one_by_one(self, events: Iterable[RawObject]) -> Iterator[RawObject]:
        try:
            for event in events:
                if event.type == "ERROR":
                    status = event.decode()
                    code = status.get("code")
                    raise api_error(code if isinstance(code, int) else 500, status, request=self._what)
                yield event
        except codec.BadLine as exc:
            raise CorruptStream(f"{self._what} sent a line that is no event: {_excerpt(exc.line)}") from None

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
