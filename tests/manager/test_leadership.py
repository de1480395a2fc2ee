"""One leader acts: several operators of one election in this process, against an embedded API server."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest

from operator_kit.controller import AsyncContext, Context, Registry, Result, TaskContext
from operator_kit.errors import NotLeader
from operator_kit.leader import machine
from operator_kit.manager import ExitCode, leadership
from operator_kit.manager.leadership import election_rules
from operator_kit.manager.manager import CLOSE_TIMEOUT
from operator_kit.objects import Object
from operator_kit.sandbox.request import RequestInfo
from operator_kit.sandbox.storage import Event
from operator_kit.settings import Settings
from tests.manager.conftest import Cluster, Operator, registry_of
from tests.processes import eventually

LEASE = "coordination.k8s.io/v1/Lease"
ELECTION: dict[str, Any] = {
    "leader_elect": True,
    "leader_election_id": "test",
    "leader_election_lease_duration": 2.0,
    "leader_election_renew_deadline": 1.2,
    "leader_election_retry_period": 0.2,
}
READS = {"get", "list", "watch"}


def requests_of(cluster: Cluster, operator: str) -> list[RequestInfo]:
    """The requests of an operator from now on, but for those of the election."""
    made: list[RequestInfo] = []
    cluster.sandbox.app.observers.append(
        lambda info: made.append(info) if info.user_agent == operator and info.plural != "leases" else None
    )
    return made


def writes(requests: list[RequestInfo]) -> list[str]:
    return [f"{info.verb} {info.plural}" for info in requests if info.verb not in READS]


def spec_of_lease(cluster: Cluster) -> Object:
    lease = cluster.get(LEASE, "test")
    return lease["spec"] if lease is not None else {}


def leads(operator: Operator) -> bool:
    leadership = operator.manager.leadership
    return leadership is not None and leadership.elector.is_leader()


def marking(cluster: Cluster) -> tuple[Callable[[Object, Context], None], Callable[[], str]]:
    """A reconcile that leaves the transition of its term in the status, and what looks there."""

    def reconcile(obj: Object, ctx: Context) -> None:
        ctx.set_condition("Ready", True, reason=f"Term{ctx.fence.transitions}")

    def reason() -> str:
        found = cluster.get("Foo", "a") or {}
        return str(found.get("status", {}).get("conditions", [{}])[0].get("reason"))

    return reconcile, reason


# ------------------------------------------------------------------ standing by


def test_a_standby_is_synced_and_does_nothing_until_the_leader_stops(foos: Cluster) -> None:
    reconcile, reason = marking(foos)
    foos.create("a", spec={})
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: reason() == "Term0", "the work of the first")
    asked = requests_of(foos, "second")
    second = foos.start(registry_of(reconcile), agent="second", **ELECTION)
    eventually(second.manager.started, "a standby")
    assert second.manager.synced()
    assert second.manager.idle()
    assert second.manager.controllers == ()
    assert second.manager.problems() == []
    lists = [info for info in asked if info.verb == "list"]
    assert writes(asked) == []
    assert first.stop() is ExitCode.OK
    eventually(lambda: reason() == "Term1", "the work of the second")
    assert [info for info in asked if info.verb == "list"] == lists, "its caches were warm"
    assert second.stop() is ExitCode.OK
    assert spec_of_lease(foos)["holderIdentity"] == ""


def test_what_needs_no_leader_runs_everywhere_and_is_not_fenced(foos: Cluster) -> None:
    ran = Queue[tuple[str, str, int]]()

    def registry(name: str) -> Registry:
        made = Registry()
        made.reconciler("Foo", name="led")(lambda obj, ctx: ran.put(("led", name, ctx.fence.transitions)))
        made.reconciler("Foo", name="everywhere", leader=False)(lambda obj, ctx: ran.put(("free", name, ctx.fence.transitions)))
        made.every("1h", name="chore")(lambda ctx: ran.put(("task", name, ctx.fence.transitions)))
        made.every("1h", name="pulse", leader=False)(lambda ctx: ran.put(("free task", name, ctx.fence.transitions)))
        return made

    foos.create("a", spec={})
    first = foos.start(registry("first"), **ELECTION)
    assert {ran.get(timeout=60) for _ in range(4)} == {
        ("led", "first", 0),
        ("free", "first", 0),
        ("task", "first", 0),
        ("free task", "first", 0),
    }
    second = foos.start(registry("second"), **ELECTION)
    assert {ran.get(timeout=60) for _ in range(2)} == {("free", "second", 0), ("free task", "second", 0)}
    eventually(second.manager.started, "a standby")
    assert first.stop() is ExitCode.OK
    assert {ran.get(timeout=60) for _ in range(2)} == {("led", "second", 1), ("task", "second", 1)}


def test_a_standby_stops_at_once_and_leaves_the_lease_alone(foos: Cluster) -> None:
    reconcile, _ = marking(foos)
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: leads(first), "a leader")
    second = foos.start(registry_of(reconcile), **ELECTION)
    eventually(second.manager.started, "a standby")
    assert second.stop() is ExitCode.OK
    assert leads(first)
    assert spec_of_lease(foos)["leaseTransitions"] == 0


def test_the_lease_is_in_the_named_namespace_or_the_pods_or_the_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    def namespace(environ: dict[str, str], **settings: Any) -> str:
        return election_rules(Settings(leader_election_id="x", **settings), "contexts", environ).namespace

    assert namespace({}) == "contexts"
    assert namespace({"POD_NAMESPACE": "pods"}) == "pods"
    assert namespace({"POD_NAMESPACE": "pods"}, leader_election_namespace="named") == "named"
    monkeypatch.setenv("POD_NAME", "operator-0")
    identities = {election_rules(Settings(leader_election_id="x"), "default", {}).identity for _ in range(2)}
    assert len(identities) == 2
    assert all(identity.startswith("operator-0_") for identity in identities)


# ------------------------------------------------------------------ losing the lease


@pytest.mark.parametrize("fault", ["hang", "close"])
def test_a_leader_that_is_cut_off_ends_and_writes_nothing_more(
    foos: Cluster, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The two ways in which the election of the official client lets two lead, end to end."""
    began, refused = threading.Event(), Queue[str]()

    def reconcile(obj: Object, ctx: Context) -> None:
        began.set()
        assert ctx.stopping.wait(60)
        ctx.set_condition("Ready", True)
        ctx.event("Told", "too late")
        for write in (
            lambda: ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}),
            lambda: ctx.delete("v1/ConfigMap", "other"),
            ctx.flush_status,
            ctx.fence.check,
        ):
            try:
                write()
            except NotLeader as exc:
                refused.put(str(exc))

    foos.create("a", spec={})
    asked = requests_of(foos, "first")
    first = foos.start(registry_of(reconcile, cleanup=lambda obj, ctx: None), agent="first", **ELECTION)
    assert began.wait(60)
    before = eventually(lambda: len(made := writes(asked)) > 1 and made, "its first writes")
    assert sorted(before) == ["create events", "patch foos"], "who leads, and the finalizer"
    reconcile_too, reason = marking(foos)
    second = foos.start(registry_of(reconcile_too), agent="second", **ELECTION)
    eventually(second.manager.started, "a standby")
    foos.sandbox.faults.add(action=fault, user_agent="first", resource="leases.coordination.k8s.io")
    assert first.end() is ExitCode.LEASE_LOST
    assert refused.qsize() == 4
    assert "does not hold the lease" in refused.get()
    eventually(lambda: reason() == "Term1", "the next leader")
    assert writes(asked)[len(before) :] == ["create events"], "only that it leads no longer"
    assert "stopped leading: the lease could not be renewed within 1.2s" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_reconcile_that_outlives_the_gap_is_named_and_the_lease_is_not_given_back(
    foos: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    began, let_go = threading.Event(), threading.Event()

    def deaf(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    foos.create("a", spec={})
    first = foos.start(registry_of(deaf), agent="first", shutdown_timeout=60, **ELECTION)
    try:
        assert began.wait(60)
        number = foos.sandbox.faults.add(action="close", user_agent="first", verb="update")
        assert first.end() is ExitCode.LEASE_LOST
        foos.sandbox.faults.remove(number)
        assert "foo: the reconcile of default/a is still running after" in caplog.text
        assert "past the end of its lease" in caplog.text
        assert spec_of_lease(foos)["holderIdentity"] != ""
    finally:
        let_go.set()


def test_a_coroutine_that_outlives_the_gap_is_cancelled_in_time(foos: Cluster) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def endless(obj: Object, ctx: AsyncContext) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    foos.create("a", spec={})
    first = foos.start(registry_of(endless), agent="first", shutdown_timeout=0.1, on_lost_lease="rejoin", **ELECTION)
    assert began.wait(60)
    number = foos.sandbox.faults.add(action="close", user_agent="first", verb="update")
    assert cancelled.wait(60)
    began.clear()
    foos.sandbox.faults.remove(number)
    assert began.wait(60), "it leads again"
    assert first.stop() is ExitCode.OK


def test_who_rejoins_stands_by_with_warm_caches_and_begins_anew_when_it_wins(foos: Cluster) -> None:
    ran = Queue[tuple[str, int]]()

    def reconcile(obj: Object, ctx: Context) -> Result:
        ran.put((ctx.key, ctx.fence.transitions))
        ctx.set_condition("Ready", True, reason=f"Term{ctx.fence.transitions}")
        return Result(requeue_after="1h")

    settings = {**ELECTION, "on_lost_lease": "rejoin"}
    foos.create("a", spec={})
    foos.create("b", spec={})
    asked = requests_of(foos, "first")
    first = foos.start(registry_of(reconcile), agent="first", **settings)
    assert {ran.get(timeout=60) for _ in range(2)} == {("default/a", 0), ("default/b", 0)}
    second = foos.start(registry_of(reconcile), agent="second", **settings)
    eventually(second.manager.started, "a standby")
    eventually(first.manager.idle, "rest")
    lists = [info for info in asked if info.verb in {"list", "watch"}]
    fault = foos.sandbox.faults.add(action="status", code=503, user_agent="first", verb="update")
    assert {ran.get(timeout=60) for _ in range(2)} == {("default/a", 1), ("default/b", 1)}
    assert leads(second)
    foos.sandbox.faults.remove(fault)
    eventually(first.manager.started, "a standby again")
    assert first.manager.controllers == ()
    names = [sample for family in first.manager.metrics.collect() for sample in family.samples if "workqueue" in family.name]
    assert names == [], "the queue of the last term is gone"
    assert second.stop() is ExitCode.OK
    assert {ran.get(timeout=60) for _ in range(2)} == {("default/a", 2), ("default/b", 2)}
    assert [info for info in asked if info.verb in {"list", "watch"}] == lists, "nothing was listed again"
    assert first.stop() is ExitCode.OK


def test_who_cannot_rejoin_in_time_ends(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    began, let_go = threading.Event(), threading.Event()

    def deaf(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    foos.create("a", spec={})
    first = foos.start(registry_of(deaf), agent="first", on_lost_lease="rejoin", **ELECTION)
    try:
        assert began.wait(60)
        foos.sandbox.faults.add(action="close", user_agent="first", verb="update")
        assert first.end() is ExitCode.LEASE_LOST
        assert "the reconcile of default/a is still running after" in caplog.text
    finally:
        let_go.set()


def test_what_is_closed_after_the_work_has_one_limit_in_time_together(foos: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may use up a part of it, say because the API server is silent; a pod is killed ten seconds after its work had to end."""
    first = foos.start(registry_of(lambda obj, ctx: None), **ELECTION)
    eventually(lambda: leads(first), "a leader")
    manager, used, allowed = first.manager, [0.0], []
    real = manager._clock

    class Hurried:
        """The manager's clock, moved on by what each step is said to have used up."""

        def monotonic(self) -> float:
            return real.monotonic() + used[0]

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    def slow(owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        def step(*arguments: float, **named: Any) -> Any:
            timeout = named.get("timeout", *arguments)
            allowed.append((timeout, CLOSE_TIMEOUT - used[0]))
            used[0] += 0.3 * timeout
            return whole(*arguments, **named)

        monkeypatch.setattr(owner, name, step)

    monkeypatch.setattr(manager, "_clock", Hurried())
    assert manager.leadership is not None
    for owner, name in (
        (manager._binder, "join"),
        (manager.informers, "stop"),
        (manager._loop, "stop"),
        (manager.leadership, "stop"),
        (manager._everywhere, "close"),
    ):
        slow(owner, name)
    assert first.stop() is ExitCode.OK
    assert len(allowed) == 5
    for timeout, left in allowed:
        assert 0 < timeout <= left + 1e-6


def test_a_process_that_stops_is_not_killed_for_its_election(foos: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost lease ends the process, and what is declared with `leader=False` may take as long as --shutdown-timeout says."""
    began, let_go = threading.Event(), threading.Event()

    def deaf(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    foos.create("a", spec={})
    registry = Registry()
    registry.reconciler("Foo", leader=False)(deaf)
    registry.reconciler("Foo", name="led")(lambda obj, ctx: None)
    first = foos.start(registry, shutdown_timeout=60, **ELECTION)
    try:
        assert began.wait(60)
        eventually(lambda: leads(first), "a leader")
        assert first.manager.leadership is not None
        monkeypatch.setattr(first.manager.leadership.elector, "health", lambda: "lost long ago, and work has not ended")
        assert not first.manager.probes.live.passes()
        foos.client.patch(foos.kind(LEASE), "test", "default", {"spec": {"holderIdentity": "somebody"}})
        eventually(lambda: first.manager.stopping, "it stops")
        assert first.manager.probes.live.passes()
    finally:
        let_go.set()
    assert first.end() is ExitCode.LEASE_LOST


def test_the_end_of_a_trouble_with_the_lease_is_logged_too(
    foos: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leadership, "WORTH_A_LINE", 0.0)
    fault = foos.sandbox.faults.add(action="status", code=503, user_agent="first", resource="leases.coordination.k8s.io")
    with caplog.at_level(logging.INFO, "operator_kit"):
        first = foos.start(registry_of(lambda obj, ctx: None), agent="first", **ELECTION)
        eventually(lambda: first.manager.leadership is not None and first.manager.leadership._failing_since, "a trouble")
        foos.sandbox.faults.remove(fault)
        eventually(lambda: "lease default/test can be had again, after" in caplog.text, "the end of it")
    assert first.stop() is ExitCode.OK


def test_a_lease_taken_by_hand_ends_the_work_at_once(foos: Cluster) -> None:
    told = Queue[float]()

    def reconcile(obj: Object, ctx: Context) -> None:
        told.put(ctx.fence.valid_for())
        assert ctx.stopping.wait(60)
        told.put(ctx.fence.valid_for())

    foos.create("a", spec={})
    first = foos.start(registry_of(reconcile), **ELECTION)
    assert told.get(timeout=60) > 0
    foos.client.patch(foos.kind(LEASE), "test", "default", {"spec": {"holderIdentity": "somebody"}})
    assert told.get(timeout=60) == 0
    assert first.end() is ExitCode.LEASE_LOST
    assert spec_of_lease(foos)["holderIdentity"] == "somebody"


def test_a_lease_deleted_by_hand_is_made_again_and_the_work_goes_on(foos: Cluster) -> None:
    reconcile, reason = marking(foos)
    foos.create("a", spec={})
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: reason() == "Term0", "its work")
    holder = spec_of_lease(foos)["holderIdentity"]
    foos.client.delete(foos.kind(LEASE), "test", "default")
    eventually(lambda: spec_of_lease(foos).get("holderIdentity") == holder, "the lease again")
    assert leads(first)
    assert first.stop() is ExitCode.OK


def test_a_defect_of_the_election_ends_the_process(
    foos: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("defect")

    reconcile, _ = marking(foos)
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: leads(first), "a leader")
    monkeypatch.setattr(machine, "step", broken)
    with pytest.raises(RuntimeError, match="the election has died: KeyError"):
        first.end()


# ------------------------------------------------------------------ stopping


def test_the_lease_is_given_back_when_everything_else_has_ended(foos: Cluster) -> None:
    began, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def reconcile(obj: Object, ctx: Context) -> None:
        began.set()
        assert ctx.stopping.wait(60)
        assert go_on.wait(60)
        ctx.event("Last", "words")
        ctx.set_condition("Ready", True)

    def observe(event: Event) -> None:
        assert event.new is not None
        obj = event.new.obj
        if obj["kind"] == "Lease" and not obj["spec"]["holderIdentity"]:
            order.append("given back")
        elif obj["kind"] == "Event":
            order.append(obj["reason"])
        elif obj["kind"] == "Foo":
            order.append("status")

    registry = registry_of(reconcile)

    @registry.on_shutdown
    def last(ctx: TaskContext) -> None:
        order.append("hook")

    foos.create("a", spec={})
    operator = foos.start(registry, **ELECTION)
    assert began.wait(60)
    eventually(lambda: foos.client.list_all(foos.kind("v1/Event"), "default").items, "the event of the election")
    operator.manager.stop()
    foos.sandbox.engine.world.storage.observers.append(observe)
    eventually(lambda: leads(operator), "it leads while its work ends")
    go_on.set()
    assert operator.end() is ExitCode.OK
    assert sorted(order[:3]) == ["Last", "hook", "status"]
    assert sorted(order[3:]) == ["LeaderElection", "given back"]
    assert spec_of_lease(foos)["holderIdentity"] == ""


def test_a_lease_whose_work_does_not_end_is_not_given_back(foos: Cluster) -> None:
    began, let_go = threading.Event(), threading.Event()

    def stuck(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    foos.create("a", spec={})
    operator = foos.start(registry_of(stuck), shutdown_timeout=0.1, **ELECTION)
    try:
        assert began.wait(60)
        assert operator.stop() is ExitCode.STUCK
        assert spec_of_lease(foos)["holderIdentity"] != ""
    finally:
        let_go.set()


def test_a_lease_that_is_lost_during_a_stop_cuts_its_time_short(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    began, let_go = threading.Event(), threading.Event()

    def stuck(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    foos.create("a", spec={})
    operator = foos.start(registry_of(stuck), agent="first", shutdown_timeout=60, **ELECTION)
    try:
        assert began.wait(60)
        foos.sandbox.faults.add(action="close", user_agent="first", verb="update")
        assert operator.stop() is ExitCode.LEASE_LOST
        assert "past the end of its lease" in caplog.text
    finally:
        let_go.set()


def test_what_waits_is_counted_at_the_stop_and_named_when_debugging(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    began = threading.Event()

    def reconcile(obj: Object, ctx: Context) -> Result:
        if obj["metadata"]["name"] == "slow":
            began.set()
            assert ctx.stopping.wait(60)
            return Result()
        if obj["metadata"]["name"] == "bad":
            raise ValueError("boom")
        return Result(requeue_after="1h")

    for name in ("later", "bad", "slow"):
        foos.create(name, spec={})
    with caplog.at_level(logging.DEBUG, "operator_kit.manager"):
        operator = foos.start(registry_of(reconcile), backoff_base=3600.0, backoff_max=3600.0)
        assert began.wait(60)
        eventually(lambda: operator.manager.controllers[0].queue.snapshot().delayed_count == 2, "two that wait")
        assert operator.stop() is ExitCode.OK
    assert "stopping: 1 that run may take 30s; 2 that wait for a retry or a requeue are dropped" in caplog.text
    assert re.search(r"dropped: foo default/bad, due in \S+, failed once", caplog.text)
    assert "dropped: foo default/later, due in 1h, asked to be looked at again" in caplog.text


# ------------------------------------------------------------------ what is said


def test_a_lease_that_may_not_be_had_is_said_and_waited_for(foos: Cluster) -> None:
    reconcile, reason = marking(foos)
    foos.create("a", spec={})
    fault = foos.sandbox.faults.add(action="status", code=403, user_agent="first", resource="leases.coordination.k8s.io")
    first = foos.start(registry_of(reconcile), agent="first", **ELECTION)
    eventually(first.manager.problems, "the problem")
    eventually(first.manager.synced, "warm caches")
    [problem] = first.manager.problems()
    assert "may not read the lease default/test" in problem
    assert "a Role in namespace default must allow get, create and update of leases in coordination.k8s.io" in problem
    eventually(lambda: first.manager.probes.ready.look()["leader-election"].problem == problem, "it is not ready")
    assert first.manager.probes.live.look()["leader-election"].problem == ""
    foos.sandbox.faults.remove(fault)
    eventually(lambda: reason() == "Term0", "its work")
    assert first.manager.problems() == []
    eventually(lambda: first.manager.probes.ready.look()["leader-election"].problem == "", "it is ready")
    assert first.stop() is ExitCode.OK


def test_a_namespace_that_is_not_there_is_said_and_waited_for(foos: Cluster) -> None:
    first = foos.start(registry_of(marking(foos)[0]), leader_election_namespace="nowhere", **ELECTION)
    eventually(first.manager.problems, "the problem")
    assert "cannot create the lease nowhere/test" in first.manager.problems()[0]
    assert "the namespace must exist" in first.manager.problems()[0]
    assert first.stop() is ExitCode.OK


def test_lines_of_what_the_leader_runs_carry_holder_and_transition(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    foos.create("a", spec={})
    registry = Registry()
    registry.reconciler("Foo")(lambda obj, ctx: ctx.log.info("mine"))
    registry.reconciler("Foo", name="free", leader=False)(lambda obj, ctx: ctx.log.info("anybody's"))
    with caplog.at_level(logging.INFO):
        foos.converge(registry, **ELECTION)
    fields = {
        record.getMessage(): record.operator_kit_fields for record in caplog.records if hasattr(record, "operator_kit_fields")
    }
    assert fields["mine"]["transition"] == 0
    assert f"a candidate, {fields['mine']['holder']}" in caplog.text
    assert "became leader, transition 0" in caplog.text
    assert "holder" not in fields["anybody's"]


def test_a_standby_is_not_idle_for_exit_when_idle(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    reconcile, reason = marking(foos)
    foos.create("a", spec={})
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: reason() == "Term0", "its work")
    second = foos.start(registry_of(reconcile), exit_when_idle=True, cache_sync_timeout=0.5, **ELECTION)
    assert second.end() is ExitCode.NOT_SYNCED
    assert "giving up after 500ms" in caplog.text
    assert f"{spec_of_lease(foos)['holderIdentity']} leads" in caplog.text
    third = foos.start(registry_of(reconcile), exit_when_idle=True, **ELECTION)
    assert first.stop() is ExitCode.OK
    assert third.end() is ExitCode.OK
    assert reason() == "Term1"
