"""The judge finds what it looks for."""

from __future__ import annotations

from tests.failover.judge import Mark, judge


def mark(run: str, step: str, *, key: str = "a", term: int = 0, holder: str = "", attempt: int = 1) -> Mark:
    return Mark(key, holder or f"holder-{term}", term, run, attempt, step)


def test_runs_one_after_the_other_are_right() -> None:
    marks = [mark("1", "begin"), mark("2", "begin", key="b"), mark("1", "end"), mark("2", "end", key="b"), mark("3", "begin")]
    assert judge([*marks, mark("4", "begin", term=1), mark("4", "end", term=1)]) == []


def test_a_write_of_an_earlier_term_is_found_on_any_key() -> None:
    [wrong] = judge([mark("1", "begin", term=2), mark("2", "begin", key="b", term=1)])
    assert wrong.startswith("a write of term 1 after one of term 2")


def test_two_holders_of_a_term_are_found() -> None:
    [wrong] = judge([mark("1", "begin"), mark("2", "begin", key="b", holder="another")])
    assert wrong == "two holders of term 0: holder-0 and another"


def test_two_runs_at_once_are_found() -> None:
    [began, ended] = judge([mark("1", "begin"), mark("2", "begin"), mark("1", "end")])
    assert began.startswith("two runs of one key")
    assert ended.startswith("a run ended that had not begun")


def test_a_further_attempt_follows_one_that_failed() -> None:
    assert judge([mark("1", "begin"), mark("2", "begin", attempt=2), mark("2", "end")]) == []
