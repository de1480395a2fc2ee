"""Replicas as processes: every way in which a leader goes, and what the next one finds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_kit.manager import ExitCode
from tests.failover.fleet import ACQUIRE_PERIOD, LEASE_DURATION, RENEW_DEADLINE, TAKEOVER, Fleet, kill, now
from tests.failover.judge import judge
from tests.failover.kills import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # processes that start and die, on whatever machine this is

BUSY = 1.5
"""Seconds that a busy machine may add to what the election takes."""


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


def test_a_leader_that_is_told_to_stop_hands_over_within_an_acquire_period(fleet: Fleet) -> None:
    fleet.start()
    first = fleet.leader()
    fleet.standing_by(fleet.start())
    first.send(signal.SIGTERM)
    assert first.end() == ExitCode.OK
    assert fleet.takeover(first, now() - 0.5) <= ACQUIRE_PERIOD + 0.5 + BUSY
    well(fleet, 2)


def test_a_leader_that_stands_still_writes_nothing_when_it_goes_on(fleet: Fleet) -> None:
    fleet.start()
    first = fleet.leader()
    fleet.standing_by(fleet.start())
    moment = now()
    first.send(signal.SIGSTOP)
    assert LEASE_DURATION - RENEW_DEADLINE < fleet.takeover(first, moment) <= TAKEOVER + BUSY
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
    moment = now()
    getattr(first.proxy, way)()
    assert first.end() == ExitCode.LEASE_LOST, first.running.output()
    assert now() - moment <= LEASE_DURATION + BUSY
    assert fleet.takeover(first, moment) <= TAKEOVER + BUSY
    well(fleet, 2)


def test_a_leader_that_lost_its_network_rejoins(fleet: Fleet) -> None:
    first = fleet.start("--on-lost-lease", "rejoin", proxied=True)
    fleet.leader()
    second = fleet.start()
    fleet.standing_by(second)
    assert first.proxy is not None
    moment = now()
    first.proxy.hang()
    fleet.takeover(first, moment)
    first.proxy.go_on()
    fleet.standing_by(first)
    assert fleet.leader() is second
    moment = kill(second)
    assert fleet.takeover(second, moment) <= TAKEOVER + BUSY
    assert fleet.leader() is first
    well(fleet, 3)


def test_three_replicas_and_a_leader_that_is_killed(tmp_path: Path) -> None:
    """`make failover` kills it ten times."""
    figures = run(tmp_path, 2)
    assert figures.wrong == ()
    assert figures.terms == 3
    assert max(figures.takeovers) <= TAKEOVER + BUSY
