"""A lasting trouble is said once in a while."""

from __future__ import annotations

import logging

import pytest

from operator_kit.clock import FakeClock
from operator_kit.manager.complaints import Complaints


def test_a_trouble_is_said_when_it_begins_changes_lasts_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    complaints = Complaints(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            complaints.say("server", "no answer")
        clock.advance(10)
        complaints.say("server", "no answer at all")
        for _ in range(100):
            clock.advance(1)
            complaints.say("server", "no answer at all")
        complaints.over("server", "it answers")
        complaints.over("server", "it answers")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["no answer", "no answer at all (for 10s now)", "no answer at all (for 1m10s now)", "it answers, after 1m50s"]


def test_what_another_part_says_itself_is_only_reminded_of(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    complaints = Complaints(clock)
    with caplog.at_level(logging.INFO):
        complaints.say("cache", "forbidden", told=True)
        complaints.say("cache", "gone", told=True)
        assert caplog.records == []
        clock.advance(31)
        assert complaints.since("cache") == 31
        complaints.say("cache", "gone", told=True)
        complaints.over("cache")
    assert [record.getMessage() for record in caplog.records] == ["gone (for 31s now)"]
    assert complaints.subjects() == []
