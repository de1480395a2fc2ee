"""What the write path of a leader asks before each request."""

from __future__ import annotations

import math

import pytest

from operator_kit.errors import NotLeader
from operator_kit.leader import Fence


def test_a_write_may_take_no_longer_than_what_is_left() -> None:
    fence = Fence(lambda: 3.0)
    assert fence.guard("PATCH") == fence.check() == 3.0
    assert fence.cap(30) == 3.0
    assert fence.cap(1) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_write_is_sent_when_nothing_is_left(method: str) -> None:
    refusals: list[int] = []
    fence = Fence(lambda: -0.001, holder="me", transitions=4, on_refusal=lambda: refusals.append(1))
    with pytest.raises(NotLeader, match=r"me \(transition 4\)"):
        fence.guard(method)
    assert refusals == [1]
    assert fence.valid_for() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reads_are_free(method: str) -> None:
    assert Fence(lambda: 0.0).guard(method) == math.inf


def test_a_term_that_is_over_stays_over() -> None:
    fence = Fence(lambda: 10.0)
    fence.lost.set()
    assert fence.valid_for() == 0
    with pytest.raises(NotLeader):
        fence.check()


def test_without_election_everything_may_be_written() -> None:
    fence = Fence.unfenced()
    assert fence.guard("DELETE") == math.inf
    assert fence.cap(30) == 30


def test_it_shows_its_state() -> None:
    assert repr(Fence(lambda: 2.5, holder="me", transitions=1)) == "<Fence holder='me' transitions=1 valid_for=2.500>"
