"""Replicas as processes: every way in which a leader goes, and what the next one finds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_kit.manager import ExitCode
from tests.failover.fleet import LEASE_DURATION, RENEW_DEADLINE, Fleet, kill, now
from tests.failover.judge import judge
from tests.failover.kills import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # processes that start and die, on whatever machine this is


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, objects=8, pause=0.1) as made:
        yield made


def well(fleet: Fleet, terms: int) -> None:
    """Everything converged, and one led at a time."""
    fleet.leader()
    fleet.converge()
    marks = fleet.marks()
    assert judge(marks) == []
    assert {mark.transition for mark in marks} == set(range(terms))


def test_a_leader_that_is_told_to_stop_hands_over(fleet: Fleet) -> None:
    fleet.start()
    first = fleet.leader()
    fleet.standing_by(fleet.start())
    first.send(signal.SIGTERM)
    assert first.end() == ExitCode.OK
    fleet.takeover(first)
    well(fleet, 2)


def test_a_leader_that_stands_still_writes_nothing_when_it_goes_on(fleet: Fleet) -> None:
    fleet.start()
    first = fleet.leader()
    fleet.standing_by(fleet.start())
    moment = now()
    first.send(signal.SIGSTOP)
    assert fleet.takeover(first, moment) > LEASE_DURATION - RENEW_DEADLINE
    second = fleet.leader()
    first.send(signal.SIGCONT)
    assert first.end() == ExitCode.LEASE_LOST, first.running.output()
    assert "stopped leading" in first.running.output()
    assert "Traceback" not in first.running.output()
    assert fleet.leader() is second
    well(fleet, 2)


@pytest.mark.parametrize("way", ["cut", "hang"])
def test_a_leader_without_a_network_ends_before_the_next_one_begins(fleet: Fleet, way: str) -> None:
    fleet.start(proxied=True)
    first = fleet.leader()
    assert first.proxy is not None
    fleet.standing_by(fleet.start())
    getattr(first.proxy, way)()
    assert first.end() == ExitCode.LEASE_LOST, first.running.output()
    fleet.takeover(first)
    well(fleet, 2)


def test_a_leader_that_lost_its_network_rejoins(fleet: Fleet) -> None:
    first = fleet.start("--on-lost-lease", "rejoin", proxied=True)
    fleet.leader()
    second = fleet.start()
    fleet.standing_by(second)
    assert first.proxy is not None
    first.proxy.hang()
    fleet.takeover(first)
    first.proxy.go_on()
    fleet.standing_by(first)
    assert fleet.leader() is second
    fleet.takeover(second, kill(second))
    assert fleet.leader() is first
    well(fleet, 3)


def test_three_replicas_and_a_leader_that_is_killed(tmp_path: Path) -> None:
    """`make failover` kills it ten times."""
    figures = run(tmp_path, 2)
    assert figures.wrong == ()
    assert figures.terms == 3
