"""What a reconcile writes: exactly what its author's code asked for, and nothing at all once everything is as it should be.

Requests are counted on the API server, those that change nothing included. Events are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from operator_kit import Context, PermanentError, Registry, Result, TemporaryError
from operator_kit.clock import Clock, FakeClock
from operator_kit.controller.status import condition_of
from operator_kit.objects import Object
from operator_kit.testing import Cluster, OperatorWrites, RunningOperator, StartOperator, assert_condition, assert_object
from tests.controller.teams import config_map, crd, namespace, team, teams
from tests.processes import ROOT

EXAMPLES = ROOT / "examples"
TEAM = "teams.example.com"
CLOCK = Clock()


# ------------------------------------------------------------------ the reconcilers


def sets(obj: Object, ctx: Context) -> None:
    ctx.apply_set(config_map(name) for name in obj["spec"]["members"])


def elsewhere(obj: Object, ctx: Context) -> None:
    ctx.apply(config_map("far", "elsewhere"))


def defaulted(obj: Object, ctx: Context) -> None:
    """Children of which the server fills in much, and writes some quantities its own way."""
    labels = {"app": "x"}
    resources = {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.5, "memory": "0.5Gi"}}
    container = {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}], "resources": resources}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": []}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, "paused": False}
    ctx.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec})
    ports = [{"port": 80}]
    ctx.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selector": labels, "ports": ports}})
    ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"key": "text"}})


def hopeless(obj: Object, ctx: Context) -> None:
    raise PermanentError("no such team", reason="NoSuchTeam")


DEFAULTED = ["apps/v1/Deployment", "v1/Service", "v1/Secret"]


@dataclass(frozen=True)
class Case:
    """A reconciler, its objects, and the writes with which they converge, one by one."""

    target: str | Callable[[], Registry]
    load: Sequence[Any]
    writes: Sequence[str]


def example(name: str, crd_from: str, *load: Any) -> tuple[str, Sequence[Any]]:
    return str(EXAMPLES / name), (EXAMPLES / crd_from / "crd.yaml", *load)


SITE = {
    "apiVersion": "example.com/v1",
    "kind": "Website",
    "metadata": {"name": "blog"},
    "spec": {"html": "hello", "domain": "blog.example.com"},
}
HELLO = ["patch configmaps default/world", "patch greetings.example.com/status default/world"]
WEBSITE = [
    "patch websites.example.com default/blog",  # the finalizer: there is a cleanup
    "patch configmaps default/blog-html",
    "patch deployments.apps default/blog",
    "patch services default/blog",
    "patch configmaps dns/default.blog",
    "patch websites.example.com/status default/blog",
]
CASES = {
    "hello": Case(*example("hello.py", "hello", EXAMPLES / "hello" / "world.yaml"), HELLO),
    "hello, typed": Case(*example("hello_typed.py", "hello", EXAMPLES / "hello" / "world.yaml"), HELLO),
    "website": Case(*example("website.py", "website", EXAMPLES / "website" / "namespace.yaml", SITE), WEBSITE),
    "website, typed": Case(*example("website_typed.py", "website", EXAMPLES / "website" / "namespace.yaml", SITE), WEBSITE),
    "apply_set": Case(
        lambda: teams(sets, owns=["v1/ConfigMap"]),
        [crd(), team(members=["a", "b", "c"])],
        [f"patch configmaps default/{name}" for name in "abc"],
    ),
    "by label": Case(
        lambda: teams(elsewhere, owns_by_label=["v1/ConfigMap"]),
        [crd(), namespace("elsewhere"), team()],
        [f"patch {TEAM} default/red", "patch configmaps elsewhere/far"],
    ),
    "defaults and quantities": Case(
        lambda: teams(defaulted, owns=DEFAULTED),
        [crd(), team()],
        ["patch deployments.apps default/x", "patch services default/x", "patch secrets default/x"],
    ),
    "a failure": Case(lambda: teams(hopeless), [crd(), team()], [f"patch {TEAM}/status default/red"]),
}


def runs_of(running: RunningOperator) -> int:
    return sum(controller.runs for controller in running.manager.controllers)


def wait_runs(running: RunningOperator, count: int) -> None:
    deadline = CLOCK.monotonic() + 20
    while runs_of(running) < count:
        assert CLOCK.monotonic() < deadline, f"only {runs_of(running)} of {count} runs"
        CLOCK.sleep(0.01)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_converging_costs_these_writes_and_staying_converged_none(
    cluster: Cluster, operator: StartOperator, writes: OperatorWrites, case: Case
) -> None:
    def start(**settings: Any) -> RunningOperator:
        return operator(case.target if isinstance(case.target, str) else case.target(), **settings)

    cluster.load(*case.load)
    first = start().settle()
    assert writes.take() == list(case.writes)
    assert runs_of(first) == 1
    first.stop()

    again = start(resync="200ms")  # a restart, and then resyncs
    wait_runs(again, 3)
    again.settle().stop()
    assert writes.take() == []


# ------------------------------------------------------------------ the status


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd())
    return cluster


STATUS = [f"patch {TEAM}/status default/red"]


@pytest.mark.parametrize(
    "outcome",
    [None, Result(requeue_after="1h"), TemporaryError("later", delay="1h"), PermanentError("never"), ValueError("a defect")],
    ids=["done", "requeue_after", "TemporaryError", "PermanentError", "an exception"],
)
def test_a_run_writes_the_status_once_whatever_comes_of_it(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, outcome: Any
) -> None:
    def function(obj: Object, ctx: Context) -> Any:
        ctx.patch_status({"step": 1})
        ctx.set_condition("Ready", False, reason="Starting")
        ctx.patch_status({"step": 2, "url": "http://red/"})
        ctx.set_condition("Ready", True, reason="Started")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    world.create(team())
    running = operator(teams(function), backoff_max="20ms")
    if isinstance(outcome, Exception):
        running.wait_failing(str(outcome))
        if isinstance(outcome, ValueError):
            wait_runs(running, 5)  # failing again in the same way is nothing new
    else:
        running.settle()
    found = world.get("Team", "red")
    assert_object(found, {"status": {"step": 2, "url": "http://red/", "observedGeneration": 1}})
    assert_condition(found, "Ready", True, reason="Started")
    if isinstance(outcome, Exception):
        assert_condition(found, "Reconciled", False, reason=type(outcome).__name__)
    assert writes.take() == STATUS


def test_what_must_not_be_lost_is_written_at_once_and_the_rest_at_the_end(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    between: list[Object | None] = []

    def function(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"id": "made-42"})
        ctx.flush_status()
        ctx.flush_status()  # there is nothing left to write
        between.append(world.get("Team", "red"))
        ctx.patch_status({"ready": True})

    world.create(team())
    operator(teams(function)).settle()
    assert_object(between[0], {"status": {"id": "made-42", "ready": None}})
    assert_object(world.get("Team", "red"), {"status": {"id": "made-42", "ready": True}})
    assert writes.take() == STATUS * 2


def test_a_condition_tells_when_its_status_changed_and_not_when_it_was_said(
    world: Cluster, operator: StartOperator, writes: OperatorWrites, fake_clock: FakeClock
) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.set_condition("Ready", obj["spec"]["ready"], reason="Said", message=obj["spec"]["message"])

    def since() -> str:
        condition = condition_of(world.get("Team", "red") or {}, "Ready")
        assert condition is not None
        return str(condition["lastTransitionTime"])

    def say(ready: bool, message: str) -> None:
        fake_clock.advance(60)
        world.patch("Team", "red", {"spec": {"ready": ready, "message": message}})
        running.settle()

    world.create(team(ready=False, message="one"))
    running = operator(teams(function), clock=fake_clock).settle()
    first = since()
    say(False, "two")
    assert since() == first
    say(True, "two")
    later = since()
    assert later > first
    say(True, "three")
    assert since() == later
    assert writes.take() == STATUS * 4


def test_the_generation_that_was_seen_is_told_with_the_status_and_by_itself_once(
    world: Cluster, operator: StartOperator, writes: OperatorWrites
) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"members": len(obj["spec"]["members"])})

    world.create(team(members=["a"]))
    running = operator(teams(function)).settle()
    assert writes.take() == STATUS
    world.patch("Team", "red", {"spec": {"members": ["b"]}})
    running.settle()
    assert_object(world.get("Team", "red"), {"metadata": {"generation": 2}, "status": {"members": 1, "observedGeneration": 2}})
    assert writes.take() == STATUS
    world.patch("Team", "red", {"metadata": {"labels": {"new": "label"}}})
    running.settle()
    assert writes.take() == []


def test_a_function_that_sets_no_status_has_none_written(world: Cluster, operator: StartOperator, writes: OperatorWrites) -> None:
    def function(obj: Object, ctx: Context) -> None: ...

    before = world.create(team())
    operator(teams(function)).settle()
    assert writes.take() == []
    assert world.get("Team", "red") == before
