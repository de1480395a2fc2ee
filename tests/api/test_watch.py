"""A watch stream: its events, and every way it can end."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from operator_kit import codec
from operator_kit.codec import fast, standard
from operator_kit.errors import ConnectionFailed, CorruptStream, Forbidden, Gone, ServerError
from operator_kit.objects import Resource

from .conftest import Serve
from .scripted import Asked, Peer

CM = Resource("", "v1", "ConfigMap", "configmaps")


@pytest.fixture(autouse=True, params=["fast", "standard"])
def half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is run with both halves of the codec."""
    monkeypatch.setattr(codec, "read_events", {"fast": fast, "standard": standard}[request.param].read_events)


def obj(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, **more}


def line(kind: str, document: Any) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"


def streaming(*pieces: bytes, end: bool = True) -> Any:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.begin_stream()
        for piece in pieces:
            peer.chunk(piece)
        if end:
            peer.end_stream()
        else:
            peer.drop()

    return handler


def test_a_watch_asks_for_what_it_was_told(serve: Serve) -> None:
    server, client = serve(streaming())
    stream = client.watch(
        CM,
        "n",
        resource_version="7",
        label_selector="a=b",
        field_selector="metadata.name=x",
        timeout_seconds=9,
        metadata_only=True,
    )
    assert list(stream) == []
    assert server.asked[0].path == "/api/v1/namespaces/n/configmaps"
    assert server.asked[0].query == {
        "watch": "true",
        "timeoutSeconds": "9",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "labelSelector": "a=b",
        "fieldSelector": "metadata.name=x",
    }
    assert "as=PartialObjectMetadata;" in server.asked[0].headers["accept"]
    assert list(client.watch(CM, send_initial_events=True, bookmarks=False)) == []
    asked = server.asked[1].query
    assert (asked["sendInitialEvents"], asked["resourceVersionMatch"]) == ("true", "NotOlderThan")
    assert "allowWatchBookmarks" not in asked
    assert 300 <= int(asked["timeoutSeconds"]) <= 600


def test_events_come_whole_however_they_are_cut(serve: Serve) -> None:
    whole = (
        line("ADDED", obj("a", text="ü" * 50))
        + line("MODIFIED", obj("b"))
        + line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    )
    for size in (1, 7, 1000):
        _, client = serve(streaming(*(whole[start : start + size] for start in range(0, len(whole), size))))
        events = list(client.watch(CM))
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "BOOKMARK"]
        assert events[0].decode()["text"] == "ü" * 50


def test_lines_of_any_size_come_together_and_apart(serve: Serve) -> None:
    huge = line("ADDED", obj("huge", text="ü" * 1_000_000))
    small = b"".join(line("MODIFIED", obj(f"s{number}")) for number in range(300))
    _, client = serve(streaming(huge + small, huge[:300_000], huge[300_000:] + small[:1000], small[1000:]))
    batches = [list(batch) for batch in client.watch(CM).batches()]
    assert sum(len(batch) for batch in batches) == 602
    assert len(batches) < 100  # many at once
    names = [event.decode()["metadata"]["name"] for batch in batches for event in batch if event.type == "MODIFIED"]
    assert names == [f"s{number}" for number in range(300)] * 2


def test_what_is_before_an_error_or_a_damaged_line_in_one_piece_is_not_lost(serve: Serve) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    for bad, error in ((line("ERROR", gone), Gone), (b"{\n", CorruptStream), (b"\n", CorruptStream)):
        _, client = serve(streaming(line("ADDED", obj("a")) + line("ADDED", obj("b")) + bad + line("ADDED", obj("c"))))
        stream = iter(client.watch(CM))
        assert [next(stream).decode()["metadata"]["name"] for _ in range(2)] == ["a", "b"]
        with pytest.raises(error):
            next(stream)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (b"\n", "a blank line"),
        (b"  \n", "a blank line"),
        (b"{not json}\n", "no event: '{not json}'"),
        (b'{"type":"ADDED"}\n', "no event"),
        (b'{"type":"ADDED","object":[]}\n', "no event"),
        (b'{"type":1,"object":{}}\n', "no event"),
        (b"[]\n", "no event"),
        (b'{"type":"ADDED","obj', "ended in the middle of an event"),
        (b'{"type":"ADDED","object":{"a":"\xff"}}\n', "no event"),
    ],
)
def test_a_line_that_is_no_event_ends_the_stream_with_what_it_was(serve: Serve, piece: bytes, message: str) -> None:
    _, client = serve(streaming(line("ADDED", obj("a")), piece))
    stream = iter(client.watch(CM))
    assert next(stream).type == "ADDED"
    with pytest.raises(CorruptStream, match=message):
        next(stream)
    assert list(stream) == []


def test_an_error_event_is_an_error_of_our_tree(serve: Serve) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}
    _, client = serve(streaming(line("ERROR", gone)))
    with pytest.raises(Gone, match="too old resource version"):
        list(client.watch(CM))
    _, client = serve(streaming(line("ERROR", {"what": "ever"})))
    with pytest.raises(ServerError):
        list(client.watch(CM))


def test_a_refused_watch_is_an_error_when_it_is_opened(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.status(403, "Forbidden", "no"))
    stream = client.watch(CM)
    assert server.asked == []
    with pytest.raises(Forbidden):
        stream.open()
    with pytest.raises(Forbidden):
        list(client.watch(CM))


def test_a_broken_stream_is_not_an_ended_one(serve: Serve) -> None:
    _, client = serve(streaming(line("ADDED", obj("a")), end=False))
    with pytest.raises(ConnectionFailed, match="broke"):
        list(client.watch(CM))


def test_a_silent_stream_is_noticed_by_our_own_clock(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.begin_stream()
        peer.event("ADDED", obj("a"))
        peer.hang()

    _, client = serve(handler)
    stream = iter(client.watch(CM, read_timeout=0.2))
    assert next(stream).type == "ADDED"
    with pytest.raises(ConnectionFailed) as caught:
        next(stream)
    assert caught.value.silent


def test_stop_from_another_thread_ends_a_stream_that_waits(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.begin_stream()
        peer.event("ADDED", obj("a"))
        peer.hang()

    _, client = serve(handler)
    stream = client.watch(CM)
    seen: list[str] = []
    begun = threading.Event()

    def read() -> None:
        with stream:
            for event in stream:
                seen.append(event.type)
                begun.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(30)
    stream.stop()
    stream.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert seen == ["ADDED"]


def test_a_stream_that_was_stopped_before_it_began_is_empty(serve: Serve) -> None:
    server, client = serve(streaming(line("ADDED", obj("a"))))
    stream = client.watch(CM)
    stream.stop()
    stream.open()
    assert list(stream) == []
    assert server.asked == []


def test_a_stream_that_is_left_gives_its_connection_up(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.begin_stream()
        peer.event("ADDED", obj("a"))
        peer.hang()

    server, client = serve(handler)
    with client.watch(CM) as stream:
        for _ in stream:
            break
    assert not stream._cancel._sockets
    with client.watch(CM) as stream:
        stream.open()
    assert not stream._cancel._sockets
    assert len(server.asked) == 2
