"""An operator's whole life against a real HTTP API: the promises that need all rooms together."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from operator_kit.api import Cancel, Client
from operator_kit.controller import AsyncContext, AsyncTaskContext, Cached, Context, Registry, Result, TaskContext
from operator_kit.errors import AmbiguousKind, PermanentError, UsageError
from operator_kit.manager import ExitCode
from operator_kit.manager.namespaces import Namespaces
from operator_kit.objects import Object
from tests.manager.conftest import Cluster, registry_of
from tests.processes import eventually

DELETED = {"metadata": {"finalizers": None}}


def child_of(obj: Object) -> Object:
    name = obj["metadata"]["name"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"size": str(obj["spec"]["size"])}}


def steady(obj: Object, ctx: Context) -> None:
    ctx.apply(child_of(obj))
    ctx.set_condition("Ready", True)


def make(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.create(name, spec={"size": 1})


def size(cluster: Cluster, name: str) -> str | None:
    found = cluster.get("v1/ConfigMap", name)
    return found["data"]["size"] if found is not None else None


# ------------------------------------------------------------------ the life of an object


def test_children_follow_their_owner_and_come_back(foos: Cluster) -> None:
    foos.start(registry_of(steady, owns=["v1/ConfigMap"]))
    make(foos, "a")
    eventually(lambda: size(foos, "a") == "1", "the child")
    foo, config_map = foos.kind("Foo"), foos.kind("v1/ConfigMap")
    foos.client.patch(foo, "a", "default", {"spec": {"size": 2}})
    eventually(lambda: size(foos, "a") == "2", "the edit")
    foos.client.patch(config_map, "a", "default", {"data": {"size": "99"}})
    eventually(lambda: size(foos, "a") == "2", "the drift undone")
    foos.client.delete(config_map, "a", "default")
    eventually(lambda: size(foos, "a") == "2", "the child made again")
    foos.client.delete(foo, "a", "default")
    eventually(lambda: size(foos, "a") is None, "the child collected")


def test_a_converged_object_costs_no_write_on_restart(foos: Cluster) -> None:
    make(foos, "a", "b", "c")
    registry = registry_of(steady, owns=["v1/ConfigMap"], cleanup=lambda obj, ctx: None)
    assert foos.converge(registry).writes() == 9  # finalizer, child, status
    again = foos.converge(registry)
    assert again.writes() == 0
    assert sum(controller.runs for controller in again.manager.controllers) == 3


def test_a_converged_object_costs_no_write_on_resync(foos: Cluster) -> None:
    make(foos, "a")
    operator = foos.start(registry_of(steady, owns=["v1/ConfigMap"]), resync=0.2)
    eventually(lambda: operator.manager.started() and operator.manager.controllers[0].runs >= 5, "some resyncs")
    assert operator.writes() == 2


def test_a_child_of_an_undeclared_kind_costs_reads_but_no_writes(foos: Cluster) -> None:
    make(foos, "a")
    assert foos.converge(registry_of(steady)).writes() == 2
    assert foos.converge(registry_of(steady)).writes() == 0


def test_cleanup_runs_before_the_object_goes_and_nothing_is_made_again(foos: Cluster) -> None:
    log: list[str] = []

    def reconcile(obj: Object, ctx: Context) -> None:
        log.append("reconcile")
        ctx.apply({**child_of(obj), "metadata": {"name": "outside", "namespace": "kube-system"}}, owned=False)

    def cleanup(obj: Object, ctx: Context) -> None:
        log.append("cleanup")
        ctx.delete("v1/ConfigMap", "outside", namespace="kube-system")

    foos.start(registry_of(reconcile, cleanup=cleanup))
    make(foos, "a")
    eventually(lambda: foos.get("v1/ConfigMap", "outside", "kube-system"), "what is outside")
    eventually(lambda: "example.com/foo" in (foos.get("Foo", "a") or {})["metadata"].get("finalizers", []), "the finalizer")
    foos.client.delete(foos.kind("Foo"), "a", "default")
    eventually(lambda: foos.get("Foo", "a") is None, "its end")
    assert log[-1] == "cleanup"
    assert log.count("cleanup") == 1
    assert foos.get("v1/ConfigMap", "outside", "kube-system") is None


def test_without_a_watch_it_converges_by_lists(foos: Cluster) -> None:
    foos.start(registry_of(steady, owns=["v1/ConfigMap"]), watch=False, resync=0.2)
    make(foos, "a")
    eventually(lambda: size(foos, "a") == "1", "the child")
    foos.client.patch(foos.kind("Foo"), "a", "default", {"spec": {"size": 2}})
    foos.client.patch(foos.kind("v1/ConfigMap"), "a", "default", {"data": {"size": "99"}})
    eventually(lambda: size(foos, "a") == "2", "the drift undone")


def test_a_key_that_fails_for_ever_delays_no_other(foos: Cluster) -> None:
    def reconcile(obj: Object, ctx: Context) -> None:
        if obj["metadata"]["name"] == "bad":
            raise ValueError("boom")
        steady(obj, ctx)

    make(foos, "bad", *(f"good-{number}" for number in range(20)))
    foos.start(registry_of(reconcile, owns=["v1/ConfigMap"]), workers=1)
    eventually(lambda: all(size(foos, f"good-{number}") for number in range(20)), "all the others")
    bad = eventually(lambda: (foos.get("Foo", "bad") or {}).get("status"), "the report")
    assert bad["conditions"][0]["message"] == "ValueError: boom"


def test_a_failure_is_an_event_that_kubectl_describe_finds(foos: Cluster) -> None:
    def refuse(obj: Object, ctx: Context) -> None:
        raise PermanentError("size must be even", reason="BadSize")

    make(foos, "a")
    foos.converge(registry_of(refuse))
    events = foos.client.list_all(foos.kind("v1/Event"), "default", field_selector="involvedObject.name=a").items
    assert [(event["reason"], event["message"], event["type"]) for event in events] == [
        ("BadSize", "size must be even", "Warning")
    ]


def test_an_async_operator_converges_too(foos: Cluster) -> None:
    async def reconcile(obj: Object, ctx: AsyncContext) -> None:
        await asyncio.sleep(0)
        await ctx.apply(child_of(obj))
        ctx.set_condition("Ready", True)

    names = [f"a-{number}" for number in range(10)]
    make(foos, *names)
    registry = registry_of(reconcile, owns=["v1/ConfigMap"])
    assert foos.converge(registry).writes() == 20
    assert all(size(foos, name) == "1" for name in names)
    assert foos.converge(registry).writes() == 0


def test_secrets_are_cached_by_their_metadata_and_read_live(foos: Cluster) -> None:
    seen: list[Any] = []

    def reconcile(obj: Object, ctx: Context) -> None:
        ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "x"}})
        secret = ctx.get_or_none("v1/Secret", "s")
        seen.append(secret["data"] if secret is not None else None)

    make(foos, "a")
    operator = foos.converge(registry_of(reconcile, owns=["v1/Secret"]))
    assert seen[-1] == {"password": "eA=="}
    assert operator.writes() == 1
    cached = operator.manager.controllers[0].made.owns
    assert cached == ("v1/Secret",)
    assert foos.converge(registry_of(reconcile, owns=["v1/Secret"])).writes() == 0


def test_drift_of_a_secret_is_seen_though_only_its_metadata_is_cached(foos: Cluster) -> None:
    def reconcile(obj: Object, ctx: Context) -> None:
        ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "x"}})

    make(foos, "a")
    foos.start(registry_of(reconcile, owns=["v1/Secret"]))
    eventually(lambda: foos.get("v1/Secret", "s"), "the secret")
    foos.client.patch(foos.kind("v1/Secret"), "s", "default", {"data": {"password": "eQ=="}})
    eventually(lambda: (foos.get("v1/Secret", "s") or {})["data"] == {"password": "eA=="}, "the drift undone")


def test_an_index_and_selectors_find_objects_in_the_cache(foos: Cluster) -> None:
    found: list[Any] = []

    def reconcile(obj: Object, ctx: Context) -> None:
        found.append([item["metadata"]["name"] for item in ctx.by_index("v1/ConfigMap", "colour", "red")])
        found.append([item["metadata"]["name"] for item in ctx.list("v1/ConfigMap", selector="app=x")])
        found.append([item["metadata"]["name"] for item in ctx.list("v1/ConfigMap", namespace="*", selector="app=x")])

    registry = Registry()
    made = registry.reconciler("Foo", reads=["v1/ConfigMap"])(reconcile)
    made.index("v1/ConfigMap", "colour")(lambda obj: [obj["data"]["colour"]] if "data" in obj else [])
    foos.create("one", kind="v1/ConfigMap", data={"colour": "red"}, metadata={"labels": {"app": "x"}})
    foos.create("two", kind="v1/ConfigMap", data={"colour": "blue"})
    foos.create("three", kind="v1/ConfigMap", namespace="kube-system", data={"colour": "blue"}, metadata={"labels": {"app": "x"}})
    make(foos, "a")
    foos.converge(registry)
    assert found == [["one"], ["one"], ["one", "three"]]


def test_a_kind_is_cached_as_little_as_its_author_says(foos: Cluster) -> None:
    seen: dict[str, Any] = {}
    registry = Registry()
    cut: Any = lambda config: config.pop("data", None)  # noqa: E731  # the shortest transform there is
    mine = Cached(selector="app=x", fields="metadata.name!=two", transform=cut)

    def mapper(config: Object) -> list[str]:
        seen.setdefault("mapped", []).append((config["metadata"]["name"], "data" in config))
        return []

    @registry.reconciler("Foo", name="narrow", watches={"v1/ConfigMap": mapper}, cache={"v1/ConfigMap": mine})
    def narrow(obj: Object, ctx: Context) -> None:
        seen["narrow"] = ctx.list("v1/ConfigMap")
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"from": "narrow"}}
        for _ in range(2):  # what the cache holds is too little to tell whether it would change anything
            ctx.apply(config, owned=False)

    @registry.reconciler("Foo", name="thin", reads=["v1/ConfigMap"], cache={"v1/ConfigMap": Cached(metadata_only=True)})
    def thin(obj: Object, ctx: Context) -> None:
        held = ctx._scope.caches.lister("v1/ConfigMap").get("default/two")
        seen["thin"] = ("data" in (held or {}), ctx.get("v1/ConfigMap", "two")["data"])

    for name, app in (("one", "x"), ("two", "x"), ("three", "y")):
        foos.create(name, kind="v1/ConfigMap", data={"name": name}, metadata={"labels": {"app": app}})
    make(foos, "a")
    operator = foos.converge(registry)
    assert [(item["metadata"]["name"], "data" in item) for item in seen["narrow"]] == [("one", False)]
    assert set(seen["mapped"]) == {("one", False)}
    assert seen["thin"] == (False, {"name": "two"})
    assert (foos.get("v1/ConfigMap", "one") or {})["data"] == {"from": "narrow", "name": "one"}
    assert operator.writes() == 1


def test_lists_come_as_streams_when_they_are_wanted_so(foos: Cluster) -> None:
    make(foos, "a")
    lists = foos.sandbox.faults.add(action="delay", verb="list", user_agent="streams")
    operator = foos.start(registry_of(steady, owns=["v1/ConfigMap"]), agent="streams", streaming_lists=True)
    eventually(lambda: size(foos, "a") == "1", "the child")
    assert foos.sandbox.faults.struck(lists) == 0
    assert operator.stop() is ExitCode.OK


def test_what_a_reconciler_owns_is_cached_whole(foos: Cluster) -> None:
    for cached, message in (
        (Cached(selector="app=x"), "foo owns v1/ConfigMap: whether children are as desired is told by all of them"),
        (Cached(transform=lambda obj: obj), "only metadata_only is for them"),
    ):
        operator = foos.start(registry_of(steady, owns=["v1/ConfigMap"], cache={"v1/ConfigMap": cached}))
        with pytest.raises(UsageError, match=message):
            operator.end()
    operator = foos.start(registry_of(steady, reads=["Foo"], cache={"Foo": Cached(metadata_only=True)}))
    with pytest.raises(UsageError, match=r"Foo is what it reconciles; use selector="):
        operator.end()
    make(foos, "a")
    thin = foos.converge(registry_of(steady, owns=["v1/ConfigMap"], cache={"v1/ConfigMap": Cached(metadata_only=True)}))
    assert size(foos, "a") == "1"
    assert thin.writes() == 2  # the child, the status


def test_only_the_namespaces_that_were_named_are_seen(foos: Cluster) -> None:
    make(foos, "a")
    foos.create("b", namespace="kube-system", spec={"size": 1})
    operator = foos.converge(registry_of(steady, owns=["v1/ConfigMap"]), namespace=("kube-system",))
    assert operator.manager.controllers[0].runs >= 1
    assert size(foos, "a") is None
    assert foos.get("v1/ConfigMap", "b", "kube-system") is not None


def test_only_what_the_selector_matches_is_seen(foos: Cluster) -> None:
    make(foos, "a")
    foos.create("b", spec={"size": 1}, metadata={"labels": {"team": "x"}})
    foos.converge(registry_of(steady, owns=["v1/ConfigMap"], selector="team=x"))
    assert (size(foos, "a"), size(foos, "b")) == (None, "1")


# ------------------------------------------------------------------ starting


def test_a_kind_that_is_installed_later_is_waited_for_while_others_work(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_kit.manager.binding.BIND_AGAIN", 0.2)
    registry = registry_of(steady, owns=["v1/ConfigMap"])
    ran: list[str] = []
    registry.reconciler("v1/Namespace")(lambda obj, ctx: ran.append(ctx.key))
    with caplog.at_level(logging.INFO):
        operator = cluster.start(registry)
        eventually(lambda: "default" in ran, "the other controller")
        assert not operator.manager.started()
        eventually(lambda: "foo waits: the API server has no kind Foo" in caplog.text, "the reason")
        cluster.install()
        make(cluster, "a")
        eventually(lambda: size(cluster, "a") == "1", "the child")
    assert caplog.text.count("foo waits") == 1


def test_a_process_that_stood_still_while_it_looked_for_kinds_looks_again(
    foos: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It wakes up with no time left for the call that it was about to make."""
    make(foos, "a")
    call, slept = Client.call, list[str]()

    def stands_still(self: Client, method: str, path: str, **options: Any) -> Any:
        if not slept:
            slept.append(path)
            return call(self, method, path, **{**options, "timeout": 0})
        return call(self, method, path, **options)

    monkeypatch.setattr(Client, "call", stands_still)
    foos.converge(registry_of(steady, owns=["v1/ConfigMap"]))
    assert f"no time is left for GET {slept[0]}; trying on" in caplog.text
    assert size(foos, "a") == "1"


def test_nothing_is_given_up_before_it_was_looked_for(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    cluster.sandbox.faults.add(action="delay", verb="discovery", seconds=0.3)
    operator = cluster.start(registry_of(steady), exit_when_idle=True, cache_sync_timeout=0.05)
    assert operator.end() is ExitCode.NOT_SYNCED
    assert "giving up after 50ms: foo waits: the API server has no kind Foo" in caplog.text


def test_a_namespace_that_does_not_exist_is_told_of_until_it_does(
    foos: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_kit.manager.binding.LOOK_AGAIN", 0.1)
    problem = "the namespace nowhere does not exist: nothing in it is seen until it does"
    with caplog.at_level(logging.INFO):
        operator = foos.start(registry_of(steady, owns=["v1/ConfigMap"]), namespace=("nowhere", "default"))
        make(foos, "a")
        eventually(lambda: size(foos, "a") == "1", "the child in the namespace that is there")
        eventually(lambda: problem in caplog.text, "the warning")
        assert operator.manager.problems() == [problem]
        foos.client.create(foos.kind("v1/Namespace"), {"metadata": {"name": "nowhere"}})
        foos.create("b", namespace="nowhere", spec={"size": 2})
        eventually(lambda: foos.get("v1/ConfigMap", "b", "nowhere"), "the child in the namespace that came")
        eventually(lambda: "the namespace nowhere exists, after" in caplog.text, "the end of it")
    assert operator.manager.problems() == []


def test_who_may_not_look_at_namespaces_is_not_told_of_any_and_refused_nothing(cluster: Cluster) -> None:
    names = ("nowhere", "default")
    refused = cluster.sandbox.faults.add(action="status", code=403, verb="get", resource="namespaces", user_agent="struck")
    client = Client.from_kubeconfig_dict(cluster.sandbox.kubeconfig(), user_agent="struck")
    namespaces = Namespaces(client, names, Cancel())
    namespaces.look()  # it was told that it may: the server knows better
    assert (namespaces.unseen, namespaces.absent, cluster.sandbox.faults.struck(refused)) == ({}, (), 2)
    cluster.sandbox.faults.add(
        action="status", code=500, verb="create", resource="selfsubjectaccessreviews.authorization.k8s.io", count=2
    )
    namespaces = Namespaces(client, names, Cancel())
    namespaces.look()
    assert (list(namespaces.unseen), namespaces.absent) == (list(names), ())
    client.close()


def test_a_kind_that_can_mean_several_ends_the_operator_with_the_candidates(cluster: Cluster) -> None:
    operator = cluster.start(registry_of(steady, "Event"))
    with pytest.raises(AmbiguousKind, match=r"test_manager\.py|conftest\.py"):
        operator.end()


# ------------------------------------------------------------------ stopping


def test_a_running_reconcile_may_finish_and_nothing_else_begins(foos: Cluster) -> None:
    began, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def slow(obj: Object, ctx: Context) -> Result:
        began.set()
        assert ctx.stopping.wait(60)
        assert go_on.wait(60)
        ctx.apply(child_of(obj))
        done.append(ctx.key)
        return Result(requeue_after=0.001)

    make(foos, "a", "b", "c")
    operator = foos.start(registry_of(slow), workers=1)
    assert began.wait(60)
    operator.manager.stop()
    go_on.set()
    assert operator.end() is ExitCode.OK
    assert len(done) == 1
    assert size(foos, done[0].split("/")[1]) == "1"


def test_a_function_that_outlives_the_deadline_is_named(foos: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    began, let_go = threading.Event(), threading.Event()

    def stuck(obj: Object, ctx: Context) -> None:
        began.set()
        assert let_go.wait(60)

    make(foos, "a")
    operator = foos.start(registry_of(stuck), shutdown_timeout=0.1)
    try:
        assert began.wait(60)
        assert operator.stop() is ExitCode.STUCK
        assert "the reconcile of default/a is still running" in caplog.text
    finally:
        let_go.set()


def test_a_shutdown_hook_that_outlives_the_deadline_is_named_and_a_coroutine_is_cancelled(
    foos: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    registry, let_go, cancelled = registry_of(steady), threading.Event(), []

    @registry.on_shutdown
    def hang(ctx: TaskContext) -> None:
        assert let_go.wait(60)

    async def endless(ctx: AsyncTaskContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    operator = foos.start(registry, shutdown_timeout=0.1)
    try:
        assert operator.stop() is ExitCode.STUCK
        assert "on_shutdown hang is still running after" in caplog.text
    finally:
        let_go.set()
    other = Registry()
    other.on_shutdown(endless)
    other.every("1h", name="tick")(lambda ctx: None)
    assert foos.start(other, shutdown_timeout=0.1).stop() is ExitCode.OK
    assert cancelled == [True]


def test_a_coroutine_that_outlives_the_deadline_is_cancelled(foos: Cluster) -> None:
    began = threading.Event()
    cancelled: list[bool] = []

    async def endless(obj: Object, ctx: AsyncContext) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    make(foos, "a")
    operator = foos.start(registry_of(endless), shutdown_timeout=0.1)
    assert began.wait(60)
    assert operator.stop() is ExitCode.OK
    assert cancelled == [True]


def test_stopping_before_anything_is_found_is_quick_and_clean(cluster: Cluster) -> None:
    operator = cluster.start(registry_of(steady))
    assert operator.stop() is ExitCode.OK


def test_a_stop_while_discovery_hangs_does_not_wait_for_it(cluster: Cluster) -> None:
    hang = cluster.sandbox.faults.add(action="hang", verb="discovery")
    operator = cluster.start(registry_of(steady), shutdown_timeout=60)
    eventually(lambda: cluster.sandbox.faults.struck(hang), "the request that hangs")
    operator.manager.stop()
    operator.thread.join(25)  # the request itself would take 30 s until it is given up
    assert not operator.thread.is_alive()
    assert operator.codes == [ExitCode.OK]


def test_metrics_tell_of_controllers_queues_and_caches(foos: Cluster) -> None:
    make(foos, "a")
    operator = foos.converge(registry_of(steady, owns=["v1/ConfigMap"]))
    families = {family.name: dict(family.samples) for family in operator.manager.metrics.collect()}
    assert families["controller_runtime_reconcile_total"]["foo", "success"] >= 1
    assert families["controller_runtime_max_concurrent_reconciles"]["foo",] == 4
    assert any(name.startswith("workqueue_") for name in families)
    assert "informer_objects" in families
    (host,) = {host for _, _, host in families["rest_client_requests_total"]}
    assert families["rest_client_requests_total"]["200", "GET", host] >= 3  # discovery and lists at least
    assert families["rest_client_rate_limiter_duration_seconds"] == {}  # no limit unless asked for


# ------------------------------------------------------------------ the rate limit


def test_a_rate_limit_slows_reconciles_and_their_events_and_nothing_else(foos: Cluster) -> None:
    make(foos, *(f"a-{number}" for number in range(4)))
    operator = foos.converge(registry_of(steady, owns=["v1/ConfigMap"]), kube_api_qps=40, kube_api_burst=1)
    families = {family.name: dict(family.samples) for family in operator.manager.metrics.collect()}
    waits = list(families["rest_client_rate_limiter_duration_seconds"].values())
    assert sum(each.count for each in waits) == operator.writes() == 8
    assert sum(each.sum for each in waits) > 0


def test_who_waits_for_a_turn_at_the_end_of_a_shutdown_waits_no_more(foos: Cluster) -> None:
    began = threading.Event()

    def reconcile(obj: Object, ctx: Context) -> None:
        began.set()
        ctx.apply(child_of(obj))

    make(foos, "a", "b")
    operator = foos.start(
        registry_of(reconcile),
        kube_api_qps=0.01,
        kube_api_burst=1,
        request_timeout=1000,
        reconcile_timeout=1000,
        shutdown_timeout=0.1,
    )
    assert began.wait(60)
    eventually(lambda: "0 wait" not in repr(operator.manager._everywhere._shared.limiter), "one that waits")
    assert operator.stop() is ExitCode.OK
