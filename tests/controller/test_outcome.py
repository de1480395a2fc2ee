"""Each row of the table of outcomes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from operator_kit.controller.outcome import Action, Result, decide, describe_error
from operator_kit.errors import AlreadyExists, ApplyConflict, Conflict, DeadlineExceeded, PermanentError, TemporaryError


def test_nothing_returned_is_done() -> None:
    assert (decide().action, decide().result) == (Action.FORGET, "success")
    assert decide(Result()).action is Action.FORGET


@pytest.mark.parametrize(("given", "seconds"), [(30, 30.0), ("1m30s", 90.0), (timedelta(seconds=2), 2.0)])
def test_requeue_after_takes_seconds_text_and_timedelta(given: object, seconds: float) -> None:
    decision = decide(Result(requeue_after=given))  # type: ignore[arg-type]
    assert (decision.action, decision.delay, decision.result) == (Action.AFTER, seconds, "requeue_after")
    assert not decision.failed


@pytest.mark.parametrize("nonsense", [0, -1, "soon", True, float("inf")])
def test_a_requeue_after_that_is_no_delay_is_refused_where_it_is_made(nonsense: object) -> None:
    with pytest.raises(ValueError, match=r"requeue_after|duration"):
        Result(requeue_after=nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize("nonsense", [5, "done", {}, False])
def test_returning_nonsense_is_a_failure_that_says_what_to_return(nonsense: object) -> None:
    decision = decide(nonsense)
    assert decision.action is Action.BACKOFF
    assert decision.failed
    assert "return None or Result" in str(decision.error)


def test_a_temporary_error_waits_as_long_as_it_says() -> None:
    decision = decide(error=TemporaryError("not yet", delay="10s"))
    assert (decision.action, decision.delay, decision.failed) == (Action.RETRY_AFTER, 10.0, True)


def test_a_temporary_error_without_delay_backs_off() -> None:
    assert decide(error=TemporaryError("not yet")).action is Action.BACKOFF


def test_a_temporary_error_without_any_delay_is_no_hot_loop() -> None:
    assert decide(error=TemporaryError("at once", delay=0)).action is Action.BACKOFF
    assert decide(error=TemporaryError("at once", delay="0s")).action is Action.BACKOFF


def test_a_temporary_error_with_a_bad_delay_backs_off_and_says_so() -> None:
    decision = decide(error=TemporaryError("x", delay="soon"))
    assert decision.action is Action.BACKOFF
    assert "TemporaryError(delay=…)" in str(decision.error)


def test_a_permanent_error_is_not_tried_again() -> None:
    decision = decide(error=PermanentError("no"))
    assert (decision.action, decision.failed) == (Action.GIVE_UP, True)


def test_a_stale_version_is_quiet_and_no_error() -> None:
    decision = decide(error=Conflict("modified", status=409))
    assert (decision.action, decision.failed, decision.result) == (Action.CONFLICT, False, "requeue")


@pytest.mark.parametrize("error", [AlreadyExists("x", status=409), ApplyConflict("x", status=409), KeyError("x"), SystemExit(1)])
def test_everything_else_backs_off(error: BaseException) -> None:
    assert decide(error=error).action is Action.BACKOFF


def test_a_deadline_is_counted_as_a_timeout() -> None:
    assert decide(error=DeadlineExceeded("late")).timed_out


def test_errors_are_described_in_one_line_even_when_they_cannot_be_printed() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert describe_error(KeyError("x")) == "KeyError: 'x'"
    assert describe_error(ValueError("two\nlines")) == "ValueError: two lines"
    assert describe_error(TemporaryError("not yet")) == "not yet"
    assert describe_error(PermanentError()) == "PermanentError"
    assert describe_error(Broken()) == "Broken"
