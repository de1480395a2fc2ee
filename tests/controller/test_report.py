"""What a person reads in the log of an operator at work, and what a run is told of itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.controller import Context, Result
from operator_kit.errors import DeadlineExceeded, UsageError
from operator_kit.objects import Object
from tests.controller.fakes import Bench, foo, registry_of

Make = Callable[..., Bench]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> Iterator[Make]:
    made: list[Bench] = []

    def make(function: Callable[..., Any], **options: Any) -> Bench:
        cleanup = options.pop("cleanup", None)
        reconciler = registry_of(function, **options)
        if cleanup is not None:
            reconciler.cleanup(cleanup)
        made.append(Bench(reconciler, clock=clock))
        return made[-1]

    caplog.set_level(logging.INFO)
    yield make
    for each in made:
        each.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def changed(number: int, **more: Any) -> Object:
    return foo(metadata={"generation": number, "resourceVersion": str(100 + number)}, **more)


def again(bench: Bench) -> None:
    bench.controller.queue.add("default/a")
    bench.reconcile()


# ------------------------------------------------------------------ successes


def test_what_somebody_asked_for_is_one_line_and_other_runs_are_none(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    one = bench(lambda obj, ctx: Result(requeue_after=30) if obj["spec"]["size"] == 2 else None)
    one.have(foo())
    one.reconcile()
    assert said(caplog) == ["reconciled in 0s (created)"]
    again(one)
    one.have(foo(status={"x": 1}, metadata={"resourceVersion": "99", "labels": {"a": "b"}}))
    one.reconcile()
    assert said(caplog) == []
    one.have(changed(2, spec={"size": 2}))
    one.reconcile()
    assert said(caplog) == ["reconciled in 0s (changed); again in 30s"]


def test_what_was_there_at_the_start_is_one_line_for_all(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    def picky(obj: Object, ctx: Context) -> None:
        if obj["metadata"]["name"] == "b":
            raise UsageError("not this one")

    one = bench(picky)
    for name in "abcd":
        one.have(foo(name), initial=True)
    one.informers.of(one.controller.caches.own.resource).show(None, key="default/d")
    for _ in range(4):
        one.reconcile("")
    lines = said(caplog)
    assert lines[-1].startswith("foo: 3 objects found at the start: 2 reconciled, 1 failing, after ")
    assert [line for line in lines if line.startswith("reconciled")] == []
    one.have(foo("e"))
    one.reconcile("")
    assert said(caplog) == ["reconciled in 0s (created)"]


def test_a_success_after_failures_is_said_once(bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    def thrice(obj: Object, ctx: Context) -> None:
        if ctx.attempt < 4:
            raise UsageError("not yet")

    one = bench(thrice)
    one.have(foo(), initial=True)
    for _ in range(3):
        one.reconcile()
        clock.advance(1)
    said(caplog)
    one.reconcile()
    assert said(caplog) == ["reconciled in 0s, after 3 failures"]
    again(one)
    assert one.controller.errors() == {"default/a": "UsageError: not yet"}  # it counts from one again
    said(caplog)


def test_a_cleanup_is_said_when_it_is_done_and_not_for_what_others_hold(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    def cleanup(obj: Object, ctx: Context) -> Any:
        return None if obj.get("status", {}).get("empty") else Result(requeue_after=5)

    one = bench(lambda obj, ctx: None, cleanup=cleanup)
    deleting = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    one.have(foo(metadata={**deleting, "finalizers": ["example.com/foo"]}))
    one.reconcile()
    assert said(caplog) == []
    one.have(foo(status={"empty": True}, metadata={**deleting, "finalizers": ["example.com/foo"], "resourceVersion": "9"}))
    again(one)
    assert said(caplog) == ["cleaned up in 0s"]
    one.have(foo("b", metadata={**deleting, "finalizers": ["example.com/other"]}))
    for _ in range(2):  # the one that is gone, and this
        one.reconcile("")
    assert said(caplog) == []


# ------------------------------------------------------------------ failures


def test_a_defect_has_a_traceback_once_and_then_a_line_that_names_the_authors_line(
    bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(obj: Object, ctx: Context) -> None:
        ctx.key.join([1])  # type: ignore[list-item]  # the defect

    one = bench(broken)
    one.have(foo())
    for _ in range(2):
        one.reconcile()
        clock.advance(1)
    first, second = caplog.records
    assert first.exc_info is not None
    assert second.exc_info is None
    for record in (first, second):
        assert "failed: TypeError: sequence item 0: expected str instance, int found at " in record.getMessage()
        assert "test_report.py:" in record.getMessage()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda ctx: Result(requeue_after="soon"), "'soon' is not a duration"),
        (lambda ctx: ctx.set_condition("Ready", 3), "the status of condition Ready is True, False or None (unknown), not 3"),
        (lambda ctx: ctx.set_condition("", True), "a condition has a type in one CamelCase word, such as Available, not ''"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_authors_line(
    bench: Make, caplog: pytest.LogCaptureFixture, wrong: Callable[[Context], Any], message: str
) -> None:
    one = bench(lambda obj, ctx: wrong(ctx))
    one.have(foo())
    one.reconcile()
    said = caplog.records[-1].getMessage()
    assert message in said
    assert " at <" not in said
    assert "test_report.py:" in said


# ------------------------------------------------------------------ deadlines


def test_a_run_is_told_of_its_deadline_and_its_calls_are_refused_after_it(bench: Make, clock: FakeClock) -> None:
    told: list[Any] = []

    def slow(obj: Object, ctx: Context) -> None:
        told.append(ctx.stopping.is_set())
        clock.advance(11)
        told.append((ctx.stopping.is_set(), ctx.stopping.wait(60)))
        for call in (lambda: ctx.apply(foo("child")), lambda: ctx.delete("v1/ConfigMap", "x"), lambda: ctx.live.get("Foo", "a")):
            with pytest.raises(DeadlineExceeded):
                call()

    one = bench(slow, timeout=10)
    one.have(foo())
    one.reconcile()
    assert told == [False, (True, True)]
    assert one.client.calls == []


def test_a_run_that_ends_late_is_done_and_counted_and_said(
    bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = bench(lambda obj, ctx: clock.advance(11), timeout=10)
    one.have(foo(), initial=True)
    one.reconcile()
    assert one.controller.idle()
    assert one.controller._counts._timeouts.value("foo") == 1
    assert one.controller._counts._total.value("foo", "success") == 1
    assert "took 11s, longer than its timeout of 10s: look at ctx.stopping, or give it timeout=…" in said(caplog)


def test_a_run_past_its_timeout_can_be_seen_while_it_goes_on(bench: Make, clock: FakeClock) -> None:
    seen: list[dict[str, str]] = []

    def slow(obj: Object, ctx: Context) -> None:
        clock.advance(9)
        seen.append(one.controller.overdue())
        clock.advance(2)
        seen.append(one.controller.overdue())

    one = bench(slow, timeout=10)
    one.have(foo())
    one.reconcile()
    what = "foo: the reconcile of default/a"
    assert seen == [{}, {what: f"{what} goes on past its timeout of 10s, and holds one of 2 workers"}]
    assert one.controller.overdue() == {}


# ------------------------------------------------------------------ the reason


def test_the_reason_is_for_logs_and_cannot_be_decided_by(bench: Make, caplog: pytest.LogCaptureFixture) -> None:
    def curious(obj: Object, ctx: Context) -> None:
        ctx.log.info("because: %s", ctx.reason)
        for decide in (lambda: ctx.reason == "created", lambda: {ctx.reason: 1}, lambda: "crea" in ctx.reason):  # type: ignore[operator]
            with pytest.raises((UsageError, TypeError)):
                decide()
        if ctx.attempt == 1:
            raise UsageError("once")

    one = bench(curious)
    one.have(foo())
    one.reconcile()
    one.have(changed(2))
    one.reconcile()
    again(one)
    assert [line for line in said(caplog) if line.startswith("because")] == [
        "because: created",
        "because: changed",
        "because: requeued",
    ]
