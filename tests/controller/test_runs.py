"""What a run does with each outcome: to the queue, to the status, to the finalizer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.controller import Context, Registry, Result
from operator_kit.controller.status import condition_of
from operator_kit.errors import Conflict, Forbidden, Invalid, PermanentError, ServerError, TemporaryError, UsageError
from operator_kit.objects import Object
from operator_kit.testing import Cluster, StartOperator
from tests.controller.fakes import BAR, CONFIG_MAP, FOO, Bench, foo, registry_of
from tests.controller.teams import crd, team

FINALIZER = "example.com/foo"
DELETING = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER]}

Make = Callable[..., Bench]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock) -> Iterator[Make]:
    made: list[Bench] = []

    def make(function: Callable[..., Any], kind: str = "Foo", cleanup: Callable[..., Any] | None = None, **options: Any) -> Bench:
        reconciler = registry_of(function, kind, **options)
        if cleanup is not None:
            reconciler.cleanup(cleanup)
        made.append(Bench(reconciler, clock=clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


def held(bench: Bench, kind: Any = FOO, key: str = "default/a") -> Object:
    return bench.client.objects[kind, key]


def delays(bench: Bench) -> list[tuple[str, bool]]:
    return [(entry.key, entry.backoff) for entry in bench.controller.queue.snapshot().delayed]


# ------------------------------------------------------------------ outcomes and the queue


def test_success_leaves_nothing_queued_and_writes_nothing(bench: Make) -> None:
    one = bench(lambda obj, ctx: None)
    one.have(foo())
    one.reconcile()
    assert one.controller.idle()
    assert one.client.calls == []


def test_requeue_after_runs_again_and_does_not_count_as_work(bench: Make, clock: FakeClock) -> None:
    one = bench(lambda obj, ctx: Result(requeue_after="10s"))
    one.have(foo())
    one.reconcile()
    assert one.controller.idle()
    assert delays(one) == [("default/a", False)]
    clock.advance(10)
    assert not one.controller.idle()
    one.reconcile()


def test_every_object_runs_again_in_a_while_give_or_take_a_tenth(bench: Make, clock: FakeClock) -> None:
    one = bench(lambda obj, ctx: None, requeue_every="10m")
    for number in range(20):
        one.have(foo(f"foo-{number}"))
        one.reconcile(f"default/foo-{number}")
    waits = [entry.seconds for entry in one.controller.queue.snapshot(20).delayed]
    assert len(waits) == 20
    assert one.controller.idle()
    assert all(540 <= wait <= 660 for wait in waits)
    assert max(waits) - min(waits) > 10
    clock.advance(660)
    assert one.controller.queue.snapshot().ready_count == 20


def test_what_a_function_returns_goes_before_the_periodic_run_and_so_does_a_failure(bench: Make, clock: FakeClock) -> None:
    outcomes: list[Any] = [Result(requeue_after=5), ValueError("boom"), PermanentError("never"), Result(), None]

    def next_outcome(obj: Object, ctx: Context) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    one = bench(next_outcome, requeue_every="10m", backoff=("1s", "1s"))
    one.have(foo())
    waits: list[float | None] = []
    while outcomes:
        one.reconcile()
        waiting = one.controller.queue.snapshot().delayed
        waits.append(waiting[0].seconds if waiting else None)
        one.controller.queue.add("default/a")
    assert waits[0] == 5
    assert waits[1] is not None
    assert waits[1] <= 1.5
    assert waits[2] is None
    assert [wait is not None and 540 <= wait <= 660 for wait in waits[3:]] == [True, True]


def test_an_object_being_deleted_has_no_periodic_run(bench: Make) -> None:
    one = bench(lambda obj, ctx: None, requeue_every="10m")
    one.have(foo(metadata={**DELETING, "finalizers": ["example.com/other"]}))
    one.reconcile()
    assert delays(one) == []


def test_a_failure_backs_off_and_a_success_resets_the_count(bench: Make, clock: FakeClock) -> None:
    attempts: list[int] = []

    def fails_twice(obj: Object, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) in {1, 2, 4}:
            raise ValueError("boom")

    one = bench(fails_twice)
    one.have(foo())
    for _ in range(2):
        one.reconcile()
        assert delays(one) == [("default/a", True)]
        clock.advance(1)
    one.reconcile()
    assert one.controller.idle()
    one.controller.queue.add("default/a")
    one.reconcile()
    clock.advance(1)
    one.reconcile()
    assert attempts == [1, 2, 3, 1, 2]


def test_a_temporary_error_with_a_delay_is_not_idle_until_it_is_mended(bench: Make, clock: FakeClock) -> None:
    def wait(obj: Object, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise TemporaryError("later", delay=30)

    one = bench(wait)
    one.have(foo())
    one.reconcile()
    assert not one.controller.idle()
    clock.advance(30)
    one.reconcile()
    assert one.controller.idle()


def test_a_permanent_error_waits_for_a_change_of_the_object(bench: Make) -> None:
    def refuse(obj: Object, ctx: Context) -> None:
        raise PermanentError("the size is wrong", reason="BadSize")

    one = bench(refuse)
    one.have(foo())
    one.reconcile()
    assert one.controller.queue.idle
    assert delays(one) == []
    condition = condition_of(held(one), "Reconciled")
    assert condition is not None
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "BadSize", "the size is wrong")
    one.have(foo(metadata={"generation": 2, "resourceVersion": "900"}))
    assert one.controller.queue.snapshot().ready_count == 1


def test_the_first_conflict_is_quiet_and_runs_again_when_the_cache_has_caught_up(
    bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict(obj: Object, ctx: Context) -> None:
        if obj["metadata"]["resourceVersion"] == "1":
            raise Conflict("modified", status=409, reason="Conflict")

    one = bench(conflict)
    one.have(foo())
    with caplog.at_level(logging.INFO):
        one.reconcile()
    assert caplog.records == []
    assert one.client.calls == []
    assert not one.controller.idle()
    # A change of status alone: no predicate lets it through, the wait does.
    one.have(foo(status={"x": 1}, metadata={"resourceVersion": "2"}))
    assert one.controller.queue.snapshot().ready_count == 1
    one.reconcile()
    assert one.controller.idle()


def test_a_cache_that_catches_up_while_a_conflict_is_being_concluded_is_not_waited_for(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(obj: Object, ctx: Context) -> None:
        raise Conflict("modified", status=409, reason="Conflict")

    one = bench(conflict)
    one.have(foo())
    failed = one.controller._troubles.failed

    def in_between(*args: Any, **options: Any) -> tuple[int, int]:
        one.have(foo(metadata={"resourceVersion": "77"}))
        return failed(*args, **options)

    monkeypatch.setattr(one.controller._troubles, "failed", in_between)
    one.reconcile()
    assert len(one.controller.queue) == 1


def test_conflicts_in_a_row_back_off(bench: Make, clock: FakeClock) -> None:
    def conflict(obj: Object, ctx: Context) -> None:
        raise Conflict("modified", status=409, reason="Conflict")

    one = bench(conflict)
    one.have(foo())
    one.reconcile()
    assert delays(one) == [("default/a", False)]
    clock.advance(1)  # the cache shows nothing newer: the conflict was about another object
    one.reconcile()
    assert delays(one) == [("default/a", True)]


def test_a_failing_object_that_was_replaced_begins_anew(bench: Make) -> None:
    attempts: list[tuple[str, int]] = []

    def fail(obj: Object, ctx: Context) -> None:
        attempts.append((obj["metadata"]["uid"], ctx.attempt))
        raise ValueError("boom")

    one = bench(fail)
    one.have(foo())
    one.reconcile()
    informer = one.informers.of(FOO)
    informer.show(None, key="default/a")
    one.have(foo(metadata={"uid": "another", "resourceVersion": "900"}))
    one.reconcile()
    assert attempts == [("uid-a", 1), ("another", 1)]


def test_an_object_that_is_gone_is_forgotten(bench: Make) -> None:
    ran: list[str] = []
    one = bench(lambda obj, ctx: ran.append(ctx.key))
    one.have(foo())
    one.informers.of(FOO).show(None, key="default/a")
    one.reconcile()
    assert ran == []
    assert one.controller.idle()


@pytest.mark.parametrize("error", [SystemExit(3), RecursionError("deep"), MemoryError(), KeyboardInterrupt()])
def test_whatever_is_raised_costs_one_key_a_backoff_and_nothing_else(bench: Make, error: BaseException) -> None:
    def explode(obj: Object, ctx: Context) -> None:
        raise error

    one = bench(explode)
    one.have(foo())
    one.reconcile()
    assert delays(one) == [("default/a", True)]


def test_a_defect_is_shown_with_its_traceback_once(bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    def broken(obj: Object, ctx: Context) -> None:
        raise ValueError("boom")

    one = bench(broken)
    one.have(foo())
    one.have(foo("b"))
    with caplog.at_level(logging.INFO):
        one.reconcile("default/a")
        one.reconcile("default/b")
        clock.advance(1)
        one.reconcile("")  # either: their delays are jittered
    shown = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(shown) == 3
    assert [record.exc_info is not None for record in shown] == [True, False, False]
    assert "failed 2 times" in shown[2].getMessage()


def test_a_server_in_trouble_is_one_line_in_a_while_not_one_for_each_object(
    bench: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def unlucky(obj: Object, ctx: Context) -> None:
        raise ServerError("etcd has no leader", status=500)

    one = bench(unlucky)
    with caplog.at_level(logging.INFO):
        for number in range(50):
            one.have(foo(f"foo-{number}"))
            one.reconcile("")
        clock.advance(30)
        one.reconcile("")
    assert len(caplog.records) == 2
    assert "49 more runs failed like this" in caplog.records[1].getMessage()


# ------------------------------------------------------------------ what the function is given


def test_an_author_may_change_what_was_handed_in(bench: Make) -> None:
    def vandal(obj: Object, ctx: Context) -> None:
        obj["spec"]["size"] = 99
        obj["metadata"].clear()
        ctx.patch_status({"ok": True})

    one = bench(vandal)
    one.have(foo())
    one.reconcile()
    assert one.informers.of(FOO).store.get("default/a")["spec"] == {"size": 1}
    assert held(one)["spec"] == {"size": 1}
    assert held(one)["status"]["ok"] is True


def test_a_context_is_of_no_use_after_its_run(bench: Make) -> None:
    kept: list[Context] = []
    one = bench(lambda obj, ctx: kept.append(ctx), reads=["v1/ConfigMap"])
    one.have(foo())
    one.reconcile()
    for call in (
        lambda: kept[0].get("v1/ConfigMap", "x"),
        lambda: kept[0].event("X"),
        lambda: kept[0].patch_status({}),
        lambda: kept[0].apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
        kept[0].flush_status,
    ):
        with pytest.raises(RuntimeError, match="is over"):
            call()
    assert one.client.writes() == []


def test_calls_are_refused_after_the_deadline_and_the_run_counts_as_timed_out(bench: Make, clock: FakeClock) -> None:
    def slow(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"begun": True})
        clock.advance(11)
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})

    one = bench(slow, owns=["v1/ConfigMap"], timeout=10)
    one.have(foo())
    one.reconcile()
    assert delays(one) == [("default/a", True)]
    assert (CONFIG_MAP, "default/x") not in one.client.objects
    assert held(one)["status"]["begun"] is True  # the status is written after every outcome
    assert one.controller._counts._timeouts.value("foo") == 1


# ------------------------------------------------------------------ status


def test_status_is_written_once_with_everything_gathered(bench: Make) -> None:
    def gather(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"a": 1, "deep": {"x": 1}})
        ctx.patch_status({"b": 2, "deep": {"y": 2}})
        ctx.set_condition("Ready", False, reason="Starting")
        ctx.set_condition("Ready", True, message="all is well")

    one = bench(gather)
    one.have(foo())
    one.reconcile()
    assert one.client.writes() == [("merge/status", "Foo", "default/a")]
    status = held(one)["status"]
    assert (status["a"], status["b"], status["deep"], status["observedGeneration"]) == (1, 2, {"x": 1, "y": 2}, 1)
    assert status["conditions"][0]["reason"] == "Ready"
    assert status["conditions"][0]["observedGeneration"] == 1


def test_a_converged_object_costs_no_write(bench: Make, clock: FakeClock) -> None:
    def steady(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"a": 1})
        ctx.set_condition("Ready", True)
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": {"k": "v"}})

    one = bench(steady, owns=["v1/ConfigMap"])
    one.have(foo())
    one.reconcile()
    writes = len(one.client.writes())
    assert writes == 2
    for _ in range(3):
        clock.advance(60)
        one.controller.queue.add("default/a")
        one.reconcile()
    assert len(one.client.writes()) == writes


def test_status_is_written_when_the_function_fails(bench: Make) -> None:
    def fail(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"id": "made-42"})
        raise ValueError("boom")

    one = bench(fail)
    one.have(foo())
    one.reconcile()
    assert held(one)["status"]["id"] == "made-42"
    assert one.client.writes() == [("merge/status", "Foo", "default/a")]


def test_a_failure_is_said_in_a_condition_and_taken_back_by_success(bench: Make, clock: FakeClock) -> None:
    def fail_once(obj: Object, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise ValueError("boom")

    one = bench(fail_once)
    one.have(foo())
    one.reconcile()
    condition = condition_of(held(one), "Reconciled")
    assert condition is not None
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "ValueError", "ValueError: boom")
    clock.advance(1)
    one.reconcile()
    condition = condition_of(held(one), "Reconciled")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("True", "Reconciled")


def test_troubles_of_the_api_server_are_not_told_to_the_objects_owner(bench: Make) -> None:
    def unlucky(obj: Object, ctx: Context) -> None:
        raise ServerError("etcd has no leader", status=500)

    one = bench(unlucky)
    one.have(foo())
    one.reconcile()
    assert one.client.calls == []
    assert one.recorder.idle()


def test_a_schema_that_refuses_the_report_costs_the_author_nothing(bench: Make) -> None:
    def fail(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"id": "kept"})
        raise ValueError("boom")

    one = bench(fail)

    def strict(verb: str, kind: Any, key: str) -> None:
        if verb == "merge/status" and "conditions" in one.client.bodies[-1]["status"]:
            raise Invalid("no conditions here", status=422, reason="Invalid")

    one.client.fail = strict
    one.have(foo())
    one.reconcile()
    assert held(one)["status"] == {"id": "kept", "observedGeneration": 1}


def test_flush_status_writes_at_once(bench: Make) -> None:
    def careful(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"id": "made-42"})
        ctx.flush_status()
        assert one.client.objects[FOO, "default/a"]["status"]["id"] == "made-42"
        ctx.patch_status({"ready": True})

    one = bench(careful)
    one.have(foo())
    one.reconcile()
    assert one.client.writes() == [("merge/status", "Foo", "default/a")] * 2
    assert held(one)["status"] == {"id": "made-42", "ready": True, "observedGeneration": 1}


def test_a_status_conflict_is_worked_out_anew_and_keeps_what_others_wrote(bench: Make) -> None:
    def ready(obj: Object, ctx: Context) -> None:
        ctx.set_condition("Ready", True)

    one = bench(ready)
    one.have(foo())
    theirs = {"type": "Scheduled", "status": "True", "reason": "Other", "message": ""}
    one.client.put(FOO, foo(status={"conditions": [theirs]}, metadata={"resourceVersion": "50"}))  # the cache does not know yet
    one.reconcile()
    assert [item["type"] for item in held(one)["status"]["conditions"]] == ["Scheduled", "Ready"]


def test_a_status_is_never_written_onto_another_object_of_that_name(bench: Make) -> None:
    one = bench(lambda obj, ctx: ctx.patch_status({"a": 1}))
    one.have(foo())
    one.client.put(FOO, foo(metadata={"uid": "another", "resourceVersion": "50"}))
    one.reconcile()
    assert "status" not in held(one)


def test_a_kind_without_status_refuses_status_helpers(bench: Make) -> None:
    errors: list[str] = []

    def try_it(obj: Object, ctx: Context) -> None:
        for call in (lambda: ctx.patch_status({"a": 1}), lambda: ctx.set_condition("Ready", True)):
            with pytest.raises(UsageError) as caught:
                call()
            errors.append(str(caught.value))

    one = bench(try_it, "Bar")
    one.have({**foo(), "kind": "Bar"}, BAR)
    one.reconcile()
    assert all("Bar has no status subresource" in error for error in errors)
    assert len(errors) == 2


# ------------------------------------------------------------------ finalizer and deletion


def test_writing_a_cleanup_puts_the_finalizer_on_before_the_function_runs(bench: Make) -> None:
    seen: list[list[str]] = []
    one = bench(lambda obj, ctx: seen.append(obj["metadata"]["finalizers"]), cleanup=lambda obj, ctx: None)
    one.have(foo(metadata={"finalizers": ["other.example.com/x"]}))
    one.reconcile()
    assert seen == [["other.example.com/x", FINALIZER]]
    assert held(one)["metadata"]["finalizers"] == ["other.example.com/x", FINALIZER]
    assert one.client.writes() == [("merge", "Foo", "default/a")]


def test_without_a_cleanup_there_is_no_finalizer(bench: Make) -> None:
    one = bench(lambda obj, ctx: None)
    one.have(foo())
    one.reconcile()
    assert one.client.calls == []


def test_the_function_does_not_run_when_the_finalizer_could_not_be_put_on(bench: Make) -> None:
    ran: list[str] = []
    one = bench(lambda obj, ctx: ran.append(ctx.key), cleanup=lambda obj, ctx: None)
    one.have(foo())
    one.client.put(FOO, foo(metadata={"resourceVersion": "50"}))
    one.reconcile()
    assert ran == []
    assert not one.controller.idle()  # a conflict: it runs once the cache shows version 50


def test_a_finalizer_that_is_refused_is_told_on_the_object(bench: Make) -> None:
    def refuse(verb: str, kind: object, key: str) -> None:
        if verb == "merge":
            raise Forbidden("cannot patch foos", status=403, reason="Forbidden")

    one = bench(lambda obj, ctx: pytest.fail("it ran"), cleanup=lambda obj, ctx: None)
    one.have(foo())
    one.client.fail = refuse
    one.reconcile()
    condition = condition_of(held(one), "Reconciled")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "Forbidden")
    assert [occurrence.identity.reason for occurrence in one.recorder._waiting] == ["Forbidden"]
    assert delays(one) == [("default/a", True)]


def test_an_object_that_is_gone_before_it_got_its_finalizer_is_no_failure(bench: Make) -> None:
    one = bench(lambda obj, ctx: pytest.fail("it ran"), cleanup=lambda obj, ctx: None)
    one.have(foo())
    del one.client.objects[FOO, "default/a"]
    one.reconcile()
    assert one.controller.errors() == {}
    assert one.controller.idle()


def test_a_deleted_object_is_cleaned_up_and_let_go_and_never_reconciled(bench: Make) -> None:
    ran: list[str] = []
    one = bench(lambda obj, ctx: ran.append("reconcile"), cleanup=lambda obj, ctx: ran.append("cleanup"))
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert ran == ["cleanup"]
    assert (FOO, "default/a") not in one.client.objects


def test_an_object_deleted_before_it_was_first_seen_gets_no_finalizer_and_no_run(bench: Make) -> None:
    ran: list[str] = []
    one = bench(lambda obj, ctx: ran.append("reconcile"), cleanup=lambda obj, ctx: ran.append("cleanup"))
    one.have(foo(metadata={**DELETING, "finalizers": ["other.example.com/x"]}))
    one.reconcile()
    assert ran == []
    assert one.client.calls == []


def test_code_without_a_cleanup_takes_its_own_finalizer_off(bench: Make) -> None:
    one = bench(lambda obj, ctx: None)
    one.have(foo(metadata={**DELETING, "finalizers": ["other.example.com/x", FINALIZER]}))
    one.reconcile()
    assert held(one)["metadata"]["finalizers"] == ["other.example.com/x"]


@pytest.mark.parametrize("error", [PermanentError("no"), TemporaryError("later"), ValueError("x"), SystemExit(1)])
def test_a_cleanup_that_raises_keeps_the_finalizer_whatever_it_raises(bench: Make, error: BaseException) -> None:
    def fail(obj: Object, ctx: Context) -> None:
        raise error

    one = bench(lambda obj, ctx: None, cleanup=fail)
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert held(one)["metadata"]["finalizers"] == [FINALIZER]


def test_a_cleanup_that_wants_to_come_back_keeps_the_finalizer(bench: Make, clock: FakeClock) -> None:
    calls: list[int] = []

    def slowly(obj: Object, ctx: Context) -> Result | None:
        calls.append(1)
        return Result(requeue_after=5) if len(calls) == 1 else None

    one = bench(lambda obj, ctx: None, cleanup=slowly)
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert held(one)["metadata"]["finalizers"] == [FINALIZER]
    clock.advance(5)
    one.reconcile()
    assert (FOO, "default/a") not in one.client.objects


def test_status_is_written_before_the_finalizer_is_taken_off(bench: Make) -> None:
    one = bench(lambda obj, ctx: None, cleanup=lambda obj, ctx: ctx.patch_status({"phase": "Cleaned"}))
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert [verb for verb, _, _ in one.client.writes()] == ["merge/status", "json"]


def test_the_finalizer_comes_off_though_the_object_moved_on_meanwhile_and_cleanup_runs_once(bench: Make) -> None:
    calls: list[int] = []

    def cleanup(obj: Object, ctx: Context) -> None:
        calls.append(1)
        moved = foo(metadata={**DELETING, "finalizers": ["first.example.com/x", FINALIZER], "resourceVersion": "77"})
        one.client.put(FOO, moved)

    one = bench(lambda obj, ctx: None, cleanup=cleanup)
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert calls == [1]
    assert held(one)["metadata"]["finalizers"] == ["first.example.com/x"]


def test_a_refused_removal_is_a_failure_the_author_sees(bench: Make) -> None:
    one = bench(lambda obj, ctx: None, cleanup=lambda obj, ctx: None)

    def refuse(verb: str, kind: Any, key: str) -> None:
        if verb == "json":
            raise Invalid("spec.size: must be at least 3", status=422, reason="Invalid")

    one.client.fail = refuse
    one.have(foo(metadata=DELETING))
    one.reconcile()
    assert delays(one) == [("default/a", True)]
    assert held(one)["metadata"]["finalizers"] == [FINALIZER]


def test_two_reconcilers_of_one_kind_do_not_overwrite_what_the_other_says_of_its_failure(
    cluster: Cluster, operator: StartOperator
) -> None:
    cluster.load(crd())
    registry = Registry()

    @registry.reconciler("Team")
    def first(obj: Object, ctx: Context) -> None:
        if obj["spec"].get("first") == "wrong":
            raise PermanentError("no such team", reason="NoTeam")

    @registry.reconciler("example.com/v1/Team", name="dns-records")
    def second(obj: Object, ctx: Context) -> None:
        if obj["spec"].get("second") == "wrong":
            raise PermanentError("no such domain", reason="NoDomain")

    def conditions() -> dict[str, tuple[str, str]]:
        status = (cluster.get("Team", "red") or {}).get("status", {})
        return {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", [])}

    cluster.create(team(first="wrong"))
    running = operator(registry).settle()
    assert conditions() == {"Reconciled": ("False", "NoTeam")}
    cluster.patch("Team", "red", {"spec": {"second": "wrong"}})
    running.settle()
    assert conditions() == {"Reconciled": ("False", "NoTeam"), "DnsRecordsReconciled": ("False", "NoDomain")}
    cluster.patch("Team", "red", {"spec": {"first": "right"}})
    running.settle()
    assert conditions() == {"Reconciled": ("True", "Reconciled"), "DnsRecordsReconciled": ("False", "NoDomain")}
