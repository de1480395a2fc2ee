"""A lasting trouble is said once in a while."""

from __future__ import annotations

import logging

import pytest

from operator_kit.clock import FakeClock
from operator_kit.manager.complaints import Complaint, Complaints


def test_a_trouble_is_said_when_it_begins_changes_lasts_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    complaints = Complaints(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            complaints.hear([Complaint("server", "no answer", over="it answers")])
        clock.advance(10)
        complaints.hear([Complaint("server", "no answer at all", over="it answers")])
        for _ in range(100):
            clock.advance(1)
            complaints.hear([Complaint("server", "no answer at all", over="it answers")])
        complaints.hear([])
        complaints.hear([])
    said = [record.getMessage() for record in caplog.records]
    assert said == ["no answer", "no answer at all (for 10s now)", "no answer at all (for 1m10s now)", "it answers, after 1m50s"]


def test_what_another_part_says_itself_is_only_reminded_of(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    complaints = Complaints(clock)
    with caplog.at_level(logging.INFO):
        complaints.hear([Complaint("cache", "forbidden", told=True)])
        complaints.hear([Complaint("cache", "gone", told=True)])
        assert caplog.records == []
        clock.advance(31)
        assert complaints.longest() == 31
        complaints.hear([Complaint("cache", "gone", told=True)])
        complaints.hear([])
    assert [record.getMessage() for record in caplog.records] == ["gone (for 31s now)"]
    assert complaints.longest() == 0


def test_one_trouble_of_several_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    Complaints(FakeClock()).hear([Complaint("one", "no answer"), Complaint("two", "no answer")])
    assert [record.getMessage() for record in caplog.records] == ["no answer"]
