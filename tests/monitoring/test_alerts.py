"""Alerts: each fires on what an operator really exports under a fault, and none when all is well."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operator_kit import Context, Registry
from operator_kit.clock import FakeClock
from operator_kit.objects import Object
from operator_kit.testing import Cluster, OperatorFaults, StartOperator
from operator_kit.testing.running import RunningOperator
from tests.monitoring.prometheus import PROMTOOL, RULES, Recording, exported, firing, needs_promtool, rules, unknown_names
from tests.processes import ROOT, eventually

WEBSITE = ROOT / "examples" / "website"
OPERATOR = ROOT / "examples" / "website.py"
MINUTES = 36


def site(name: str) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": {"html": name}}


@pytest.fixture
def sites(cluster: Cluster) -> Cluster:
    cluster.load(WEBSITE / "crd.yaml", WEBSITE / "namespace.yaml", *(site(f"site-{number}") for number in range(8)))
    return cluster


def registry(function: Callable[[Any, Context], None], **options: Any) -> Registry:
    made = Registry()
    made.reconciler("Website", name="website", **options)(function)
    return made


def record(running: RunningOperator, clock: FakeClock, *, done: Callable[[], Any], minutes: int = MINUTES) -> Recording:
    """Minute by minute: the clock goes on, what is due is done, and what is exported is kept.

    Nothing may be in the middle of a request at first: a minute that passes then is more than that has.
    """
    recording = Recording()
    for _ in range(minutes):
        clock.advance(60)
        eventually(done, "what is due in this minute")
        recording.scrape(running.manager.metrics)
    return recording


def started(running: RunningOperator, clock: FakeClock) -> RunningOperator:
    """When its workers have started, in no more fake time than that takes."""

    def look() -> bool:
        clock.advance(0.02)
        return running.manager.started()

    eventually(look, "the start")
    return running


def at_rest(running: RunningOperator) -> bool:
    """Whether nothing is due or running, and every event is written."""
    controllers = running.manager.controllers
    return all(work.recorder.idle() for work in running.manager.works) and all(
        not controller.running() and not controller.queue.snapshot().ready_count for controller in controllers
    )


def more_runs(running: RunningOperator, count: int) -> Callable[[], bool]:
    """Whether so many runs have ended since this said yes the last time, and nothing is left to do."""
    seen = [running.manager.controllers[0].runs]

    def look() -> bool:
        runs = running.manager.controllers[0].runs
        if runs < seen[0] + count or not at_rest(running):
            return False
        seen[0] = runs
        return True

    return look


# ------------------------------------------------------------------ without Prometheus


def test_every_alert_says_what_is_wrong_what_it_means_and_where_help_is() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert "$labels.namespace" in rule["annotations"]["summary"]
        assert f"severity: {rule['labels']['severity']}" in page.partition(f"## {rule['alert']}\n")[2].partition("\n## ")[0]


def test_alerts_ask_only_for_what_an_operator_exports() -> None:
    known = exported()
    for rule in rules():
        assert unknown_names(rule["expr"], known) == [], rule["alert"]


# ------------------------------------------------------------------ with Prometheus' own engine


@needs_promtool
def test_prometheus_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(RULES)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_nothing_fires_while_all_is_well_and_when_the_operator_is_gone_one_alert_says_so(
    sites: Cluster, operator: StartOperator, fake_clock: FakeClock, tmp_path: Path
) -> None:
    running = operator(OPERATOR, clock=fake_clock).settle()
    turns = iter(range(MINUTES))

    def a_change_is_reconciled() -> bool:
        sites.patch("Website", "site-1", {"spec": {"html": f"page {next(turns)}"}})
        running.settle()
        return True

    recording = record(running, fake_clock, done=a_change_is_reconciled, minutes=20)
    assert firing(tmp_path, recording, minutes=range(20)) == {minute: set() for minute in range(20)}
    recording.nothing(15)
    assert firing(tmp_path, recording) == {34: {"OperatorKitDown"}}


@needs_promtool
def test_reconciles_that_fail(sites: Cluster, operator: StartOperator, fake_clock: FakeClock, tmp_path: Path) -> None:
    def fails(obj: Any, ctx: Context) -> None:
        raise RuntimeError("no")

    running = started(operator(registry(fails), clock=fake_clock, backoff_max="30s"), fake_clock)
    eventually(lambda: at_rest(running), "the first runs")
    recording = record(running, fake_clock, done=more_runs(running, 8))
    assert firing(tmp_path, recording) == {MINUTES - 1: {"OperatorKitReconcileErrors"}}


@needs_promtool
def test_one_object_that_always_fails_wakes_nobody(
    sites: Cluster, operator: StartOperator, fake_clock: FakeClock, tmp_path: Path
) -> None:
    def fails(obj: Any, ctx: Context) -> None:
        if obj["metadata"]["name"] == "site-3":
            raise RuntimeError("no")

    running = started(operator(registry(fails), clock=fake_clock, backoff_max="5m"), fake_clock)
    eventually(lambda: at_rest(running), "the first runs")
    recording = record(running, fake_clock, done=lambda: at_rest(running))
    assert firing(tmp_path, recording, minutes=range(20, MINUTES)) == {minute: set() for minute in range(20, MINUTES)}


@needs_promtool
def test_a_worker_that_hangs_while_objects_wait(
    sites: Cluster, operator: StartOperator, fake_clock: FakeClock, tmp_path: Path
) -> None:
    sites.load(*(site(f"more-{number}") for number in range(25)))
    release = threading.Event()

    def hangs(obj: Any, ctx: Context) -> None:
        release.wait(600)

    running = started(operator(registry(hangs, workers=1, timeout=0), clock=fake_clock), fake_clock)
    try:
        eventually(lambda: running.manager.controllers[0].running(), "a run")
        recording = record(running, fake_clock, done=lambda: True)
    finally:
        release.set()
    assert firing(tmp_path, recording) == {MINUTES - 1: {"OperatorKitWorkerStuck", "OperatorKitQueueNotDraining"}}


@needs_promtool
def test_a_cache_that_went_blind(
    sites: Cluster, operator: StartOperator, faults: OperatorFaults, fake_clock: FakeClock, tmp_path: Path
) -> None:
    running = operator(OPERATOR, clock=fake_clock).settle()
    for verb in ("list", "watch"):
        faults.add("status", verb=verb, resource="services", code=403, reason="Forbidden")
    recording = record(running, fake_clock, done=lambda: running.manager.problems())
    assert firing(tmp_path, recording) == {MINUTES - 1: {"OperatorKitInformerBlind"}}


@needs_promtool
def test_a_cache_that_was_never_filled(
    sites: Cluster, operator: StartOperator, faults: OperatorFaults, fake_clock: FakeClock, tmp_path: Path
) -> None:
    faults.add("status", verb="list", resource="services", code=403, reason="Forbidden")
    running = operator(OPERATOR, clock=fake_clock)
    recording = record(running, fake_clock, done=lambda: running.manager.problems())
    assert firing(tmp_path, recording) == {MINUTES - 1: {"OperatorKitInformerBlind", "OperatorKitNotSynced"}}


@needs_promtool
def test_an_api_server_that_puts_requests_off(
    sites: Cluster, operator: StartOperator, faults: OperatorFaults, fake_clock: FakeClock, tmp_path: Path
) -> None:
    def applies(obj: Any, ctx: Context) -> None:
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": obj["metadata"]["name"]}})

    number = faults.add("status", verb="patch", resource="configmaps", code=429, reason="TooManyRequests", retry_after=0)
    running = started(operator(registry(applies, owns=["v1/ConfigMap"]), clock=fake_clock, backoff_max="1s"), fake_clock)
    recording = Recording()
    for _ in range(MINUTES):
        goal = faults.struck(number) + 12  # a minute: twice what is too much

        def more() -> bool:
            fake_clock.advance(0.5)
            return faults.struck(number) >= goal  # noqa: B023  # called at once

        eventually(more, "more refusals")
        recording.scrape(running.manager.metrics)
    found = firing(tmp_path, recording)[MINUTES - 1]
    assert "OperatorKitThrottled" in found
    assert found <= {"OperatorKitThrottled", "OperatorKitReconcileErrors"}  # a run whose tries were all refused has failed


@needs_promtool
def test_two_that_lead_at_once_and_none_that_leads(sites: Cluster, operator: StartOperator, tmp_path: Path) -> None:
    def candidate(name: str, namespace: str, *, leads: bool) -> Recording:
        running = operator(
            registry(lambda obj, ctx: None), leader_elect=True, leader_election_id="website", leader_election_namespace=namespace
        )
        election = running.manager.leadership
        informers = running.manager.informers
        eventually(lambda: informers.status() and all(status.synced for status in informers.status()), f"{name} to see")
        eventually(lambda: election.elector.is_leader() is leads, f"{name} to have looked")
        recording = Recording(name)
        recording.scrape(running.manager.metrics, times=20)
        return recording

    first, standby = candidate("website-0", "default", leads=True), candidate("website-1", "default", leads=False)
    assert firing(tmp_path, first, standby) == {19: set()}
    second = candidate("website-2", "dns", leads=True)  # it competes for another lease
    assert firing(tmp_path, first, standby, second) == {19: {"OperatorKitSeveralLeaders"}}
    assert firing(tmp_path, standby) == {19: {"OperatorKitNoLeader"}}
