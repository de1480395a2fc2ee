"""Which requests a fault strikes, and how often: decided before any HTTP is spoken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.sandbox.faults import Fault, Faults, Request

GET = Request("get", "configmaps", "default", "a", "operator-kit/1")
LIST = Request("list", "configmaps", "default")
WATCH = Request("watch", "configmaps", "default")
STATUS = Request("patch", "websites.example.com/status", "default", "a")
DISCOVERY = Request("discovery", "example.com")


@pytest.mark.parametrize(
    ("aim", "request_", "hit"),
    [
        ({}, GET, True),
        ({}, DISCOVERY, False),
        ({"verb": "discovery", "resource": "example.com"}, DISCOVERY, True),
        ({"verb": "discovery", "resource": "apps"}, DISCOVERY, False),
        ({"verb": "get"}, GET, True),
        ({"verb": "get"}, LIST, False),
        ({"resource": "configmaps"}, GET, True),
        ({"resource": "secrets"}, GET, False),
        ({"resource": "websites.example.com"}, STATUS, False),
        ({"resource": "websites.example.com/status"}, STATUS, True),
        ({"resource": "websites.example.com/*"}, STATUS, True),
        ({"resource": "configmaps/*"}, GET, True),
        ({"resource": "config/*"}, GET, False),
        ({"namespace": "default"}, GET, True),
        ({"namespace": "other"}, GET, False),
        ({"name": "a"}, GET, True),
        ({"name": "a"}, LIST, False),
        ({"user_agent": "operator-kit"}, GET, True),
        ({"user_agent": "kubectl"}, GET, False),
        ({"continues": True}, LIST, False),
        ({"continues": True}, Request("list", "configmaps", continues=True), True),
    ],
)
def test_a_fault_hits_what_it_is_aimed_at(aim: dict[str, Any], request_: Request, hit: bool) -> None:
    assert Fault("close", **aim).hits(request_) is hit


def test_stream_faults_strike_watches_only() -> None:
    faults = Faults()
    faults.add(action="gone")
    assert faults.on_request(GET) == []
    assert faults.on_request(WATCH) == []
    assert faults.on_stream(WATCH).struck() == Fault("gone")


def test_after_lets_the_first_through_and_count_ends_it() -> None:
    faults = Faults()
    number = faults.add(action="status", after=2, count=3)
    struck = [bool(faults.on_request(GET)) for _ in range(8)]
    assert struck == [False, False, True, True, True, False, False, False]
    assert faults.struck(number) == 3


@given(st.integers(), st.floats(0, 1))
def test_the_same_seed_makes_the_same_choices(seed: int, share: float) -> None:
    def run() -> list[bool]:
        faults = Faults()
        faults.add(action="close", share=share, seed=seed)
        return [bool(faults.on_request(GET)) for _ in range(30)]

    assert run() == run()


def test_delays_come_before_what_ends_the_request() -> None:
    faults = Faults()
    faults.add(action="close")
    faults.add(action="delay", seconds=1)
    assert [fault.action for fault in faults.on_request(GET)] == ["delay", "close"]


def test_a_lifted_fault_strikes_no_more() -> None:
    faults = Faults()
    number = faults.add(action="close")
    other = faults.add(action="hang", verb="list")
    assert faults.remove(number)
    assert not faults.remove(number)
    assert faults.on_request(GET) == []
    assert [entry["number"] for entry in faults.in_force()] == [other]
    faults.clear()
    assert not faults


def lines_of(faults: Faults, lines: list[bytes]) -> list[bytes]:
    stream = faults.on_stream(WATCH)
    out = [sent for line in lines for sent in stream.lines(line)]
    return out + ([rest] if (rest := stream.rest()) else [])


LINES = [b"%d" % number for number in range(20)]


def test_dropped_events_are_missing_and_the_rest_keeps_its_order() -> None:
    faults = Faults()
    faults.add(action="drop", count=5, after=3)
    assert lines_of(faults, LINES) == LINES[:3] + LINES[8:]


def test_duplicated_events_come_twice() -> None:
    faults = Faults()
    faults.add(action="duplicate", count=1)
    assert lines_of(faults, LINES[:3]) == [b"0", b"0", b"1", b"2"]


def test_a_reordered_event_comes_behind_the_next() -> None:
    faults = Faults()
    faults.add(action="reorder", count=1)
    assert lines_of(faults, LINES[:3]) == [b"1", b"0", b"2"]


@given(st.integers(), st.floats(0, 1))
def test_reordering_loses_nothing(seed: int, share: float) -> None:
    faults = Faults()
    faults.add(action="reorder", share=share, seed=seed)
    assert sorted(lines_of(faults, LINES)) == sorted(LINES)


def test_a_stream_fault_waits_for_its_number_of_lines() -> None:
    faults = Faults()
    faults.add(action="silent", events=2)
    faults.add(action="no-bookmarks")
    stream = faults.on_stream(WATCH)
    seen = []
    for line in LINES[:3]:
        seen.append(stream.struck())
        list(stream.lines(line))
    assert seen == [None, None, Fault("silent", events=2)]
    assert stream.struck() is None
    assert not stream.bookmarks


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "a fault needs one"),
        ({"action": "explode"}, "none of"),
        ({"action": "close", "shares": 1}, "no such field"),
        ({"action": "close", "share": 2}, "not between 0 and 1"),
        ({"action": "close", "share": "1"}, "is not int or float"),
        ({"action": "close", "count": True}, "is not int"),
        ({"action": "status", "code": 200}, "no HTTP error"),
        ({"action": "delay", "seconds": -1}, "negative"),
        ({"action": "close", "count": -1}, "negative"),
    ],
)
def test_a_fault_that_cannot_be_used_is_refused_by_field(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault.from_dict(document)


def test_the_json_form_reads_back() -> None:
    fault = Fault("status", verb="list", code=429, retry_after=1, share=0.5)
    assert fault.to_dict() == {"action": "status", "verb": "list", "code": 429, "retry_after": 1, "share": 0.5}
    assert Fault.from_dict(fault.to_dict()) == fault
    assert fault.status_reason() == "TooManyRequests"
