"""What is not granted makes an operator unready, and names the rule, before the first write that needs it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from operator_kit.api import Cancel
from operator_kit.clock import FakeClock
from operator_kit.errors import ConnectionFailed
from operator_kit.manager.checks import Finding
from operator_kit.manager.grants import ASK_AGAIN, Grants
from tests.processes import eventually

MISSING = "not allowed to patch a/status; add to a ClusterRole: {…}"


class Case:
    """Grants on a fake clock, whose questions a test answers one by one."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stop = Cancel(self.clock)
        self.taken: Queue[None] = Queue()
        self.answers: Queue[Callable[[], str]] = Queue()
        self.grants = Grants(self._ask, self.stop, self.clock)

    def _ask(self, _cancel: Cancel) -> str:
        answer = self.answers.get(timeout=60)
        self.taken.put(None)
        return answer()

    def answer(self, answer: Callable[[], str]) -> None:
        """Answer the question that is asked now, or the next one when its time has come."""
        self.answers.put(answer)

        def taken() -> bool:
            self.clock.advance(1)
            return not self.taken.empty()

        eventually(taken, "it asks", every=0.001)
        self.taken.get()

    def found(self, finding: Finding) -> None:
        eventually(lambda: self.grants.check() == finding, f"{finding}")


@contextmanager
def running() -> Iterator[Case]:
    case = Case()
    case.grants.start()
    try:
        yield case
    finally:
        case.stop.cancel()
        case.answers.put(str)
        assert case.grants.join(60)


def test_it_is_not_ready_before_the_first_answer_and_ready_when_all_is_granted() -> None:
    with running() as case:
        assert "has not said yet" in case.grants.check().problem
        case.answer(str)
        case.found(Finding())
        assert case.grants.dead() == []


def test_what_was_never_granted_is_a_problem_until_it_is() -> None:
    with running() as case:
        case.answer(lambda: MISSING)
        case.found(Finding(MISSING))
        assert case.grants.problem == MISSING
        case.answer(str)
        case.found(Finding())
        assert case.grants.problem == ""


def test_what_is_taken_away_is_a_note_first_and_a_problem_when_it_lasts() -> None:
    with running() as case:
        case.answer(str)
        case.found(Finding())
        case.answer(lambda: MISSING)
        eventually(lambda: case.grants.problem, "it is noticed")
        finding = case.grants.check()
        assert (finding.problem, MISSING in finding.note) == ("", True)
        case.clock.advance(301)
        assert case.grants.check() == Finding(MISSING)


def test_what_cannot_be_asked_is_no_problem_and_changes_nothing_that_is_known(caplog: pytest.LogCaptureFixture) -> None:
    def no_answer() -> str:
        raise ConnectionFailed("no answer from x")

    def defect() -> str:
        raise ValueError("a defect")

    with running() as case, caplog.at_level(logging.CRITICAL, "operator_kit.manager"):
        case.answer(no_answer)
        case.found(Finding(note="cannot be asked: no answer from x"))
        case.answer(defect)
        case.found(Finding(note="cannot be asked: ValueError: a defect"))
        case.answer(lambda: MISSING)
        case.found(Finding(MISSING))
        case.answer(no_answer)
        case.answer(no_answer)
        assert case.grants.check() == Finding(MISSING)


def test_while_all_is_granted_it_asks_seldom() -> None:
    with running() as case:
        case.answer(str)
        case.found(Finding())
        case.answers.put(lambda: MISSING)
        case.clock.advance(ASK_AGAIN / 2)
        assert case.taken.empty()
