"""Events are recorded without flooding, and never in the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.controller.events import BURST, OUTAGE_PAUSE, TRIES, EventRecorder
from operator_kit.errors import (
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    RateLimited,
    ServerError,
    TooManyRequests,
)
from operator_kit.objects import Object
from tests.controller.fakes import EVENT, FakeClient, foo
from tests.processes import eventually


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> Any:
    return FakeClient()


@pytest.fixture
def recorder(client: Any, clock: FakeClock) -> Iterator[EventRecorder]:
    made = EventRecorder(client, clock=clock, instance="me")
    yield made
    made.stop(5)


def say(recorder: EventRecorder, note: str = "it broke", name: str = "a", reason: str = "Broken") -> None:
    recorder.record(foo(name), controller="example.com/foo", reason=reason, note=note, warning=True)


def flush(recorder: EventRecorder) -> None:
    """What the thread does with what is waiting, on this thread."""
    while recorder._waiting:
        recorder._take(recorder._waiting.popleft())
    recorder._patch_due()


def events(client: Any) -> list[Object]:
    return [obj for (kind, _), obj in client.objects.items() if kind == EVENT]


def test_an_event_says_what_kubectl_describe_shows(recorder: EventRecorder, client: Any) -> None:
    say(recorder)
    flush(recorder)
    (event,) = events(client)
    assert (event["reason"], event["note"], event["type"]) == ("Broken", "it broke", "Warning")
    assert event["regarding"] == {
        "apiVersion": "example.com/v1",
        "kind": "Foo",
        "name": "a",
        "namespace": "default",
        "uid": "uid-a",
        "resourceVersion": "1",
    }
    assert (event["reportingController"], event["reportingInstance"]) == ("example.com/foo", "me")
    assert event["metadata"]["namespace"] == "default"
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"


def test_events_of_cluster_scoped_objects_live_in_the_default_namespace(recorder: EventRecorder, client: Any) -> None:
    node = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "u"}}
    recorder.record(node, controller="c", reason="R", note="n")
    flush(recorder)
    assert events(client)[0]["metadata"]["namespace"] == "default"
    assert "namespace" not in events(client)[0]["regarding"]


def test_the_same_again_is_a_series_written_at_the_second_time_and_then_now_and_then(
    recorder: EventRecorder, client: Any, clock: FakeClock
) -> None:
    for _ in range(10):
        say(recorder)
        flush(recorder)
        clock.advance(1)
    assert len(events(client)) == 1
    assert [call[0] for call in client.calls] == ["create", "merge"]
    assert events(client)[0]["series"]["count"] == 2
    clock.advance(30)
    flush(recorder)
    assert events(client)[0]["series"] == {"count": 10, "lastObservedTime": "2026-01-01T00:00:09.000000Z"}
    assert len(client.calls) == 3


def test_a_quiet_series_is_over(recorder: EventRecorder, client: Any, clock: FakeClock) -> None:
    say(recorder)
    flush(recorder)
    clock.advance(361)
    say(recorder)
    flush(recorder)
    assert len(events(client)) == 2


def test_one_object_cannot_flood_and_another_is_not_harmed(recorder: EventRecorder, client: Any, clock: FakeClock) -> None:
    for number in range(100):
        say(recorder, reason=f"Different{number}")
    flush(recorder)
    assert len(events(client)) == BURST
    say(recorder, name="b")
    flush(recorder)
    assert len(events(client)) == BURST + 1
    clock.advance(300)
    say(recorder, note="one more")
    flush(recorder)
    assert len(events(client)) == BURST + 2


def test_events_that_differ_in_the_note_alone_become_one_series_after_the_tenth(
    recorder: EventRecorder, client: Any, clock: FakeClock
) -> None:
    for number in range(100):
        say(recorder, note=f"refused at {number}")
        clock.advance(1)
        flush(recorder)
    assert len(events(client)) == 11
    (combined,) = [event for event in events(client) if event["note"].startswith("(combined")]
    assert combined["note"] == "(combined from similar events): refused at 10"
    assert combined["series"]["count"] >= 60  # what is later than the last patch is still to be written
    say(recorder, reason="Other")
    flush(recorder)
    assert len(events(client)) == 12  # what is news still has its place
    clock.advance(600)
    say(recorder, note="refused at last")
    flush(recorder)
    assert "refused at last" in {event["note"] for event in events(client)}


def test_an_event_is_tried_again_while_the_server_does_not_answer(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock, gone = FakeClock(), [True]
    recorder = EventRecorder(client, clock=clock)

    def fail(verb: str, kind: Any, key: str) -> None:
        if gone[0]:
            raise ConnectionFailed("connection refused")

    client.fail = fail
    recorder.start()
    try:
        say(recorder)
        for _ in range(5):
            clock.wait_for_waiters()
            assert not recorder.idle()
            clock.advance(10)
        gone[0] = False
        eventually(lambda: clock.advance(10) or recorder.idle(), "the event", every=0.01)
        assert [event["note"] for event in events(client)] == ["it broke"]
        assert caplog.records == []
        gone[0] = True
        say(recorder, reason="Lost")
        eventually(lambda: clock.advance(10) or recorder.idle(), "the last try", every=0.01)
        assert "connection refused" in caplog.text
    finally:
        assert recorder.stop(5)
    assert len(events(client)) == 1


@pytest.mark.parametrize(
    "error", [RateLimited("no turn in time"), DeadlineExceeded("no time is left"), TooManyRequests("busy", status=429)]
)
def test_what_was_not_sent_for_want_of_time_or_of_a_turn_is_tried_again(
    client: Any, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    clock, refusing = FakeClock(), [True]
    recorder = EventRecorder(client, clock=clock)

    def fail(verb: str, kind: Any, key: str) -> None:
        if refusing[0]:
            raise error

    client.fail = fail
    recorder.start()
    try:
        say(recorder)
        clock.wait_for_waiters()
        assert not recorder.idle()
        refusing[0] = False
        eventually(lambda: clock.advance(10) or recorder.idle(), "the event", every=0.01)
        assert len(events(client)) == 1
        say(recorder)
        say(recorder)  # a series
        refusing[0] = True
        say(recorder, reason="Other")
        eventually(lambda: clock.advance(31) or recorder.idle(), "the rest", every=0.01)
    finally:
        assert recorder.stop(5)
    assert "defect" not in caplog.text


def test_an_event_that_the_server_cannot_take_holds_up_no_other(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The clock stands still: whoever had to wait for a pause would wait for ever."""
    clock, asked, mended = FakeClock(), [0], [False]
    recorder = EventRecorder(client, clock=clock)

    def fail(verb: str, kind: Any, key: str) -> None:
        asked[0] += 1
        if "poison." in key and not mended[0]:
            raise ServerError("an admission webhook is broken", status=500)

    client.fail = fail
    recorder.start()
    try:
        say(recorder, name="poison")
        for number in range(20):
            say(recorder, name=f"good-{number}")
        eventually(lambda: len(events(client)) == 20, "those of the other objects")
        assert not recorder.idle()
        for _ in range(3):
            say(recorder, name="poison")  # the same again is no second event, however often it is tried
        eventually(lambda: [each.count for each in recorder._again.values()] == [4], "the count")
        mended[0] = True
        eventually(lambda: clock.advance(1) or recorder.idle(), "the event itself", every=0.01)
        (late,) = [event for event in events(client) if event["regarding"]["name"] == "poison"]
        assert late["series"]["count"] == 4
        mended[0], asked[0] = False, 0
        say(recorder, name="poison", reason="Other")
        eventually(lambda: clock.advance(1) or recorder.idle(), "the last try", every=0.01)
        assert asked[0] == TRIES
        assert "an admission webhook is broken" in caplog.text
    finally:
        assert recorder.stop(5)


def test_a_server_that_takes_no_event_at_all_is_asked_at_a_slow_pace(client: Any) -> None:
    clock, asked = FakeClock(), [0]
    recorder = EventRecorder(client, clock=clock)

    def fail(verb: str, kind: Any, key: str) -> None:
        asked[0] += 1
        raise ConnectionFailed("connection refused")

    client.fail = fail
    recorder.start()
    try:
        for number in range(200):
            say(recorder, name=f"x-{number}")
        for already in range(2, 20):  # the second failure in a row is the first sign of it
            eventually(lambda expected=already: asked[0] == expected, "the next try", every=0.01)
            clock.wait_for_waiters()
            clock.advance(OUTAGE_PAUSE)
    finally:
        assert recorder.stop(5)
    assert recorder.idle()


def test_an_event_that_is_given_up_at_the_end_is_no_defect(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(verb: str, kind: Any, key: str) -> None:
        raise Cancelled("cancelled while it waited for its turn")

    recorder = EventRecorder(client, clock=FakeClock())
    recorder.start()
    say(recorder)
    eventually(recorder.idle, "the event")
    client.fail = fail
    say(recorder)
    say(recorder)  # a series that waits to be patched
    say(recorder, reason="Other")
    assert recorder.stop(5)
    assert "defect" not in caplog.text


def test_a_series_whose_event_expired_begins_anew(recorder: EventRecorder, client: Any) -> None:
    say(recorder)
    flush(recorder)
    client.objects.clear()
    for _ in range(2):
        say(recorder)
        flush(recorder)
    assert len(events(client)) == 1


def test_a_refusal_is_a_warning_once_and_never_raised(
    recorder: EventRecorder, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(verb: str, kind: Any, key: str) -> None:
        raise Forbidden("events is forbidden", status=403)

    client.fail = refuse
    with caplog.at_level(logging.INFO):
        for number in range(3):
            say(recorder, note=str(number))
            flush(recorder)
    assert len(caplog.records) == 1
    assert "events is forbidden" in caplog.text


def test_a_full_queue_drops_instead_of_blocking(recorder: EventRecorder) -> None:
    for number in range(1500):
        say(recorder, note=str(number))
    assert len(recorder._waiting) == 1000
    assert recorder._dropped == 500


def test_the_thread_writes_what_waits_and_ends(client: Any) -> None:
    recorder = EventRecorder(client)
    recorder.start()
    say(recorder)
    say(recorder, reason="Other")
    assert recorder.stop(10)
    assert {event["reason"] for event in events(client)} == {"Broken", "Other"}
    assert recorder.idle()


def test_a_server_that_is_gone_holds_up_no_stop(client: Any) -> None:
    def gone(verb: str, kind: Any, key: str) -> None:
        raise NotFound("no events here", status=404)

    client.fail = gone
    recorder = EventRecorder(client)
    recorder.start()
    for number in range(500):
        say(recorder, note=str(number), name=str(number))
    assert recorder.stop(10)
