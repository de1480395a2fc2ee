"""The fixtures at work: what an author can rely on in a test of a reconcile."""

from __future__ import annotations

import re
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from operator_kit import PermanentError, Registry, Result, TemporaryError
from operator_kit.clock import Clock
from operator_kit.errors import AmbiguousKind, ConfigError, KindNotFound, UsageError
from operator_kit.testing import (
    Cluster,
    FakeClock,
    NotSettled,
    OperatorFaults,
    RunningOperator,
    StartOperator,
    assert_condition,
    assert_event,
    assert_object,
)
from operator_kit.testing.running import collect_targets

ROOT = Path(__file__).resolve().parent.parent.parent
WEBSITE = ROOT / "examples" / "website"
OPERATOR = ROOT / "examples" / "website.py"


@pytest.fixture
def sites(cluster: Cluster) -> Cluster:
    cluster.load(WEBSITE / "crd.yaml", WEBSITE / "namespace.yaml")
    return cluster


def site(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": {"html": name, **spec}}


def unsettled(running: RunningOperator, pattern: str) -> None:
    """Settle does not end well, and says so, at the latest when the operator has had the time to come that far."""
    clock = Clock()
    deadline = clock.monotonic() + 60
    while True:
        with pytest.raises(NotSettled) as said:
            running.settle(timeout=0.3)
        if re.search(pattern, str(said.value)):
            return
        assert clock.monotonic() < deadline, f"no {pattern!r} in {said.value}"


# ------------------------------------------------------------------ settling


def test_what_was_made_before_settle_is_reconciled_when_it_returns(sites: Cluster, operator: StartOperator) -> None:
    running = operator(OPERATOR)
    for number in range(5):
        sites.load(site("blog", replicas=number))
        running.settle()
        assert_object(sites.get("Deployment", "blog"), {"spec": {"replicas": number}})
    sites.delete("Website", "blog")
    running.settle()
    assert sites.list("Deployment") == []


def test_settle_waits_for_children_that_others_changed(sites: Cluster, operator: StartOperator) -> None:
    sites.load(site("blog"))
    running = operator(OPERATOR).settle()
    sites.delete("Service", "blog")
    sites.patch("ConfigMap", "blog-html", {"data": {"index.html": "defaced"}})
    running.settle()
    assert sites.get("Service", "blog")
    assert_object(sites.get("ConfigMap", "blog-html"), {"data": {"index.html": "blog"}})


def test_a_key_that_fails_is_named_with_its_error(sites: Cluster, operator: StartOperator) -> None:
    sites.load(WEBSITE / "broken.yaml")
    running = operator(OPERATOR)
    unsettled(running, r"website: default/broken .* the ConfigMap front-page with a key index.html")
    site = sites.get("Website", "broken")
    assert_condition(site, "Available", False, reason="PageMissing")
    sites.wait_event(site, reason="TemporaryError", type_="Warning", message="front-page")
    sites.load(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: front-page, labels: {example.com/site: broken}}\ndata: {index.html: hi}"
    )
    running.settle()


def test_a_key_that_runs_on_is_named(sites: Cluster, operator: StartOperator) -> None:
    registry, go_on = Registry(), threading.Event()

    @registry.reconciler("Website")
    def slow(site: dict[str, Any], ctx: Any) -> None:
        go_on.wait(120)

    sites.load(site("blog"))
    running = operator(registry)
    try:
        unsettled(running, r"website: default/blog has been running for \d+\.\d+ s")
    finally:
        go_on.set()
    running.settle()


def test_a_kind_that_is_missing_is_named_and_found_when_it_appears(cluster: Cluster, operator: StartOperator) -> None:
    running = operator(OPERATOR)
    unsettled(running, r"no kind Website.*CustomResourceDefinition installed\?\n  website has not started")
    cluster.load(WEBSITE / "crd.yaml")
    running.settle()


def test_a_cache_that_cannot_sync_is_named_with_its_problem(
    sites: Cluster, operator: StartOperator, faults: OperatorFaults
) -> None:
    faults.add("status", verb="list", resource="services", code=403)
    running = operator(OPERATOR)
    unsettled(running, r"(?s)not allowed to list and watch services.*the cache of v1/Service is not synced")
    faults.clear()
    running.settle()


def test_a_cache_that_is_behind_is_named_with_what_it_lacks(
    sites: Cluster, operator: StartOperator, faults: OperatorFaults
) -> None:
    faults.add("drop", verb="watch", resource="websites.example.com")
    running = operator(OPERATOR).settle()
    sites.load(site("late"))
    unsettled(running, r"the cache of websites\.example\.com is behind .*default/late is missing")


def test_an_error_that_ends_the_operator_is_raised_by_settle(cluster: Cluster, operator: StartOperator) -> None:
    registry = Registry()

    @registry.reconciler("Event")
    def events(obj: dict[str, Any], ctx: Any) -> None: ...

    running = operator(registry)
    with pytest.raises(AmbiguousKind, match="Event"):
        running.settle()
    running.stop()


def test_a_requeue_that_is_pending_is_no_work(sites: Cluster, operator: StartOperator) -> None:
    registry, runs = Registry(), []

    @registry.reconciler("Website")
    def again(site: dict[str, Any], ctx: Any) -> Result:
        runs.append(ctx.key)
        return Result(requeue_after="1h")

    sites.load(site("blog"))
    operator(registry).settle()
    assert runs == ["default/blog"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_time_that_a_function_is_told_is_the_tests_and_begins_near_the_servers(
    cluster: Cluster, operator: StartOperator, fake_clock: FakeClock, asynchronous: bool
) -> None:
    registry, told = Registry(), []

    def look(obj: dict[str, Any], ctx: Any) -> Result:
        told.append((ctx.now() - datetime.fromisoformat(obj["metadata"]["creationTimestamp"])).total_seconds())
        return Result(requeue_after="1h")

    async def look_later(obj: dict[str, Any], ctx: Any) -> Result:
        return look(obj, ctx)

    registry.reconciler("v1/ConfigMap")(look_later if asynchronous else look)
    cluster.load({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    running = operator(registry, clock=fake_clock).settle()
    fake_clock.advance(3601)
    running.settle()
    first, second = told
    assert abs(first) < 3000
    assert 3600 <= second - first < 7200


def test_an_hour_passes_when_the_test_says_so(sites: Cluster, operator: StartOperator, fake_clock: FakeClock) -> None:
    registry, runs = Registry(), []

    @registry.reconciler("Website")
    def again(site: dict[str, Any], ctx: Any) -> Result:
        runs.append(ctx.key)
        return Result(requeue_after="1h")

    sites.load(site("blog"))
    running = operator(registry, clock=fake_clock).settle()
    for count in (2, 3):
        fake_clock.advance(3601)
        running.settle()
        assert len(runs) == count


def test_on_a_clock_that_stands_still_no_watch_ends_in_real_time(
    sites: Cluster, operator: StartOperator, fake_clock: FakeClock
) -> None:
    """The pause before the next one would not pass, and however long the test went on, the operator would see nothing any more."""
    running = operator(OPERATOR, clock=fake_clock).settle()
    for informer in running.informers():
        settings = informer.reflector._settings
        assert min(settings.silence, *settings.watch_timeout) >= 60


def test_without_a_watch_settle_waits_for_the_next_list(sites: Cluster, operator: StartOperator) -> None:
    running = operator(OPERATOR, watch=False, resync="300ms").settle()
    sites.load(site("blog"))
    running.settle()
    assert sites.get("Deployment", "blog")


# ------------------------------------------------------------------ what can be run


def test_a_registry_a_function_a_module_a_file_and_a_name_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'from operator_kit import reconciler\n@reconciler("Website", name="mine")\ndef f(obj, ctx): ...\n'
    (tmp_path / "kit_target_module.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import kit_target_module as module

    try:
        for target in (
            module,
            module.f,
            "kit_target_module",
            "kit_target_module.py",
            tmp_path / "kit_target_module.py",
            str(tmp_path),
        ):
            assert [made.name for made in collect_targets([target])] == ["mine"]
        other = Registry()
        other.add(module.f)
        assert [made.name for made in collect_targets([other])] == ["mine"]
        with pytest.raises(UsageError, match="a reconciler named mine exists"):
            collect_targets([tmp_path / "kit_target_module.py", module])
        for nothing in ([], [Registry()], [sys]):
            with pytest.raises(UsageError, match="no reconciler to run"):
                collect_targets(nothing)
        with pytest.raises(UsageError, match="5 is nothing to run"):
            collect_targets([5])  # type: ignore[list-item]  # what a beginner may try
    finally:
        for name in [
            name for name, found in sys.modules.items() if str(getattr(found, "__file__", "")).startswith(str(tmp_path))
        ]:
            del sys.modules[name]


def test_a_setting_that_does_not_exist_is_refused_with_the_nearest(cluster: Cluster, operator: StartOperator) -> None:
    with pytest.raises(ConfigError, match="no setting is named worker; did you mean workers"):
        operator(OPERATOR, worker=1)


def test_two_operators_run_beside_each_other(sites: Cluster, operator: StartOperator) -> None:
    registry = Registry()

    @registry.reconciler("Website", name="second", reads=["Deployment"])
    def second(site: dict[str, Any], ctx: Any) -> None:
        ctx.patch_status({"url": "http://second/"})

    sites.load(site("blog"))
    first, other = operator(OPERATOR), operator(registry, workers=1)
    first.settle()
    other.settle()
    first.settle()
    assert_object(sites.get("Website", "blog"), {"status": {"url": "http://second/", "replicas": 0}})
    first.stop()
    assert first.requests > 0


def test_asynchronous_reconcilers_leave_no_loop_behind(sites: Cluster, operator: StartOperator) -> None:
    registry = Registry()

    @registry.reconciler("Website")
    async def later(site: dict[str, Any], ctx: Any) -> None:
        ctx.patch_status({"url": "http://async/"})

    sites.load(site("blog"))
    operator(registry).settle()
    assert_object(sites.get("Website", "blog"), {"status": {"url": "http://async/"}})


# ------------------------------------------------------------------ the cluster


def test_files_text_and_dicts_are_loaded_crds_first(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}')
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, annotations: {at: 2024-01-01}}}\n---\n"
    loaded = cluster.load(site("blog"), WEBSITE / "crd.yaml", tmp_path, text)
    assert [obj["metadata"]["name"] for obj in loaded] == ["websites.example.com", "blog", "b", "c"]
    assert_object(cluster.get("ConfigMap", "c"), {"metadata": {"namespace": "default", "annotations": {"at": "2024-01-01"}}})


def test_loading_again_replaces_and_a_status_is_written_too(sites: Cluster) -> None:
    sites.load(site("blog", replicas=2))
    sites.load({**site("blog", replicas=3), "status": {"url": "http://x/"}})
    assert_object(sites.get("Website", "blog"), {"spec": {"replicas": 3}, "status": {"url": "http://x/"}})


def test_paths_are_found_beside_the_test_too(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cluster.load("../../examples/website/namespace.yaml")[0]["kind"] == "Namespace"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.yaml", "cannot read .*nowhere.yaml: No such file"),
        ("a: [\n", "the YAML text is not YAML: line 2: expected"),
        ("a: 1\n", "without apiVersion and kind"),
        ({"kind": "ConfigMap"}, "a dict: a document without apiVersion"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: 5\n", "metadata that is no mapping"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(cluster: Cluster, source: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster.load(source)
    with pytest.raises(KindNotFound, match="CustomResourceDefinition installed"):
        cluster.load(site("blog"))


def test_waiting_tells_what_was_not_so(sites: Cluster) -> None:
    sites.load(site("blog"))
    sites.wait("Website", "blog")
    sites.wait("Website", "blog", {"spec": {"html": "blog"}})
    sites.wait("Website", "blog", lambda found: found["spec"]["html"] == "blog")
    with pytest.raises(AssertionError, match=r'Website blog: after 0.1 s .*\n  spec.html: expected "x", found "blog"'):
        sites.wait("Website", "blog", {"spec": {"html": "x"}}, timeout=0.1)
    with pytest.raises(AssertionError, match="has no condition Ready; it has none"):
        sites.wait("Website", "blog", lambda found: assert_condition(found, "Ready", True), timeout=0.1)
    with pytest.raises(AssertionError, match="is not content with Website default/blog"):
        sites.wait("Website", "blog", lambda found: False, timeout=0.1)
    with pytest.raises(AssertionError, match="Website default/blog lacks something: KeyError: 'status'"):
        sites.wait("Website", "blog", lambda found: found["status"]["url"], timeout=0.1)
    with pytest.raises(AssertionError, match="it does not exist"):
        sites.wait("Website", "other", timeout=0.1)
    with pytest.raises(AssertionError, match="nobody deleted it"):
        sites.wait_gone("Website", "blog", timeout=0.1)
    sites.patch("Website", "blog", {"metadata": {"finalizers": ["example.com/mine"]}})
    sites.delete("Website", "blog")
    with pytest.raises(AssertionError, match=r"held by the finalizers \['example.com/mine'\]"):
        sites.wait_gone("Website", "blog", timeout=0.1)
    sites.patch("Website", "blog", {"metadata": {"finalizers": None}})
    sites.wait_gone("Website", "blog")


@pytest.mark.sandbox(workloads=0)
def test_stand_ins_make_deployments_ready(sites: Cluster, operator: StartOperator) -> None:
    sites.load(site("blog", replicas=2))
    running = operator(OPERATOR)
    sites.wait("Website", "blog", lambda found: assert_condition(found, "Available", True, reason="PodsReady"))
    running.settle()


# ------------------------------------------------------------------ faults


def test_faults_strike_the_operator_and_not_the_test(sites: Cluster, operator: StartOperator, faults: OperatorFaults) -> None:
    number = faults.add("status", code=503)
    sites.load(site("blog"))
    assert faults.struck(number) == 0
    running = operator(OPERATOR)
    unsettled(running, "503")
    assert faults.struck(number) > 0
    assert faults.in_force()[0]["code"] == 503
    assert faults.remove(number)
    running.settle()
    with faults.during("close", verb="patch") as number:
        sites.load(site("shop"))
        unsettled(running, r"shop .*ConnectionFailed")
    running.settle()
    assert sites.get("Deployment", "shop")


def test_what_is_no_fault_is_refused(faults: OperatorFaults) -> None:
    with pytest.raises(ValueError, match="'explode' is none of"):
        faults.add("explode")
    with pytest.raises(TypeError, match="verbs"):
        faults.add("close", verbs=["get"])


def test_a_permanent_failure_is_settled_and_told(sites: Cluster, operator: StartOperator) -> None:
    registry = Registry()

    @registry.reconciler("Website")
    def never(site: dict[str, Any], ctx: Any) -> None:
        if site["spec"]["html"] == "bad":
            raise PermanentError("no such page")
        if site["spec"]["html"] == "slow":
            raise TemporaryError("soon", delay=0.05)

    sites.load(site("blog", html="bad"))
    running = operator(registry).settle()
    assert_event(sites.events_of("Website", "blog"), reason="PermanentError", message="no such page")
    sites.load(site("blog", html="slow"))
    unsettled(running, r"default/blog .*soon")


# ------------------------------------------------------------------ waiting for what is told


def test_an_event_that_comes_later_is_waited_for_and_a_missing_one_is_told_with_those_there_are(
    sites: Cluster, operator: StartOperator
) -> None:
    registry, go_on = Registry(), threading.Event()

    @registry.reconciler("Website")
    def tells(site: dict[str, Any], ctx: Any) -> None:
        go_on.wait(120)
        ctx.event("Told", "at last")

    [blog] = sites.load(site("blog"))
    running = operator(registry)
    with pytest.raises(AssertionError, match=r"Website default/blog: after 0.1 s no Event Normal Told; there are\n  none"):
        sites.wait_event(blog, reason="Told", type_="Normal", timeout=0.1)
    go_on.set()
    sites.wait_event("Website", "blog", reason="Told", message="at last")
    with pytest.raises(AssertionError, match=r"no Event Other; there are\n  Normal Told about Website blog: at last"):
        sites.wait_event(blog, reason="Other", timeout=0.1)
    running.settle()


def test_a_failure_is_waited_for_and_another_one_is_told_instead(sites: Cluster, operator: StartOperator) -> None:
    sites.load(WEBSITE / "broken.yaml")
    running = operator(OPERATOR)
    running.wait_failing(r"website: default/broken: .*front-page")
    with pytest.raises(AssertionError, match=r"(?s)no key has failed with 'flood'\n  website: default/broken: .*front-page"):
        running.wait_failing("flood", timeout=0.1)
    sites.delete("Website", "broken")
    running.settle()
    with pytest.raises(AssertionError, match="none has failed"):
        running.wait_failing("broken", timeout=0)
