"""Workers on real threads: each key by one at a time, nothing before the caches are synced, nothing lost to a defect."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.controller import Context, Limits, Registry
from operator_kit.errors import KindNotFound, NotCached, NotFound, UsageError
from operator_kit.objects import Object
from tests.controller.fakes import CONFIG_MAP, FOO, NAMESPACE, Bench, foo, registry_of
from tests.processes import eventually


@pytest.fixture
def made() -> Iterator[list[Bench]]:
    benches: list[Bench] = []
    yield benches
    for bench in benches:
        bench.close()


def test_a_key_is_never_run_twice_at_once_and_changes_while_it_runs_cost_one_more_run(made: list[Bench]) -> None:
    running: Counter[str] = Counter()
    most, began, go_on = [0], threading.Event(), threading.Event()

    def slow(obj: Object, ctx: Context) -> None:
        running[ctx.key] += 1
        most[0] = max(most[0], running[ctx.key])
        began.set()
        assert go_on.wait(60)
        running[ctx.key] -= 1

    one = Bench(registry_of(slow), limits=Limits(workers=4))
    made.append(one)
    one.have(foo())
    one.controller.start()
    assert began.wait(60)
    for generation in range(2, 30):
        one.have(foo(metadata={"generation": generation, "resourceVersion": str(generation)}))
    go_on.set()
    eventually(one.controller.idle, "everything done")
    assert most == [1]
    assert one.controller.runs == 2


def test_threads_are_named_after_the_controller_and_running_keys_can_be_seen(made: list[Bench]) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(obj: Object, ctx: Context) -> None:
        began.set()
        assert go_on.wait(60)

    one = Bench(registry_of(slow, name="web"), limits=Limits(workers=2))
    made.append(one)
    one.have(foo())
    one.controller.start()
    assert began.wait(60)
    (running,) = one.controller.running()
    assert (running.controller, running.key) == ("web", "default/a")
    assert running.thread in {"web-1", "web-2"}
    go_on.set()


def test_no_worker_starts_before_every_cache_is_synced(made: list[Bench]) -> None:
    one = Bench(registry_of(lambda obj, ctx: None, owns=["v1/ConfigMap"]))
    made.append(one)

    class NotYet:
        synced = False
        problem = "configmaps is forbidden"

    one.informers.of(CONFIG_MAP).current = NotYet()
    assert not one.controller.synced()
    with pytest.raises(RuntimeError, match="before its caches are synced"):
        one.controller.start()


def test_a_controller_is_started_once(made: list[Bench]) -> None:
    one = Bench(registry_of(lambda obj, ctx: None))
    made.append(one)
    one.controller.start()
    with pytest.raises(RuntimeError, match="started already"):
        one.controller.start()


def test_a_defect_of_the_framework_costs_one_key_a_backoff_and_no_worker(
    made: list[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    one = Bench(registry_of(lambda obj, ctx: ran.append(ctx.key)), limits=Limits(workers=1))
    made.append(one)
    right = one.controller._concluder.conclude

    def defect(key: str, *rest: Any) -> None:
        if key == "default/a" and len(ran) == 1:
            raise AssertionError("a defect")
        right(key, *rest)

    monkeypatch.setattr(one.controller._concluder, "conclude", defect)
    one.have(foo())
    one.controller.start()
    eventually(lambda: ran.count("default/a") == 2, "the second try")
    one.have(foo("b"))
    eventually(lambda: "default/b" in ran, "the other key")


def test_stopping_ends_the_workers_and_tells_the_running(made: list[Bench]) -> None:
    told: list[bool] = []
    began = threading.Event()

    def slow(obj: Object, ctx: Context) -> None:
        began.set()
        told.append(ctx.stopping.wait(60))

    one = Bench(registry_of(slow), limits=Limits(workers=1))
    made.append(one)
    one.have(foo())
    one.have(foo("b"))
    one.controller.start()
    assert began.wait(60)
    one.controller.stop()
    assert one.controller.join(one.controller._clock.monotonic() + 10) == []
    assert told == [True]


# ------------------------------------------------------------------ what may be declared and read


def test_a_kind_that_is_not_served_holds_nothing_and_may_be_tried_again(made: list[Bench]) -> None:
    with pytest.raises(KindNotFound):
        Bench(registry_of(lambda obj, ctx: None, owns=["v1/Nonsense"]))


def test_a_namespaced_kind_cannot_own_a_cluster_scoped_one() -> None:
    with pytest.raises(UsageError, match="reaches what is cluster-scoped; use owns_by_label"):
        Bench(registry_of(lambda obj, ctx: None, owns=["v1/Namespace"]))


def test_reading_what_nobody_declared_says_how_to(made: list[Bench]) -> None:
    errors: list[str] = []

    def reader(obj: Object, ctx: Context) -> None:
        for call in (
            lambda: ctx.get("v1/ConfigMap", "x"),
            lambda: ctx.list("v1/ConfigMap"),
            lambda: ctx.children("v1/ConfigMap"),
        ):
            with pytest.raises(NotCached) as caught:
                call()
            errors.append(str(caught.value))
        with pytest.raises(UsageError, match=r"no index 'x' over Foo; write one with @foo\.index"):
            ctx.by_index("Foo", "x", "y")

    one = Bench(registry_of(reader))
    made.append(one)
    one.have(foo())
    one.reconcile()
    assert one.controller.idle()
    assert all("declare it with reads=['v1/ConfigMap'], or read it live with ctx.live.get" in error for error in errors)


def test_what_does_not_exist_is_an_error_or_none_as_the_author_asks(made: list[Bench]) -> None:
    said: list[Any] = []

    def reader(obj: Object, ctx: Context) -> None:
        said.append((ctx.get_or_none("v1/ConfigMap", "x"), ctx.live.get_or_none("v1/ConfigMap", "x", namespace="other")))
        for call in (lambda: ctx.get("v1/ConfigMap", "x"), lambda: ctx.live.get("v1/ConfigMap", "x", namespace="other")):
            with pytest.raises(NotFound) as caught:
                call()
            said.append(str(caught.value))
        said.append(ctx.get("v1/ConfigMap", "there")["metadata"]["name"])

    one = Bench(registry_of(reader, reads=["v1/ConfigMap"]))
    made.append(one)
    one.have(foo())
    there = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "there", "namespace": "default", "uid": "u"}}
    one.have(there, CONFIG_MAP)
    one.reconcile()
    assert said == [
        (None, None),
        "ConfigMap default/x does not exist (404 NotFound)",
        "ConfigMap other/x does not exist (404 NotFound)",
        "there",
    ]


def test_an_index_of_a_registry_serves_every_reconciler_that_caches_the_kind(made: list[Bench]) -> None:
    registry, found = Registry(), {}

    @registry.index("v1/ConfigMap", "by-colour")
    def by_colour(obj: Object) -> list[str]:
        return [obj["data"]["colour"]]

    registry.index("v1/Nonsense", "never")(lambda obj: [])  # of a kind that nobody has: nobody's trouble

    def look(obj: Object, ctx: Context) -> None:
        try:
            found[ctx.log.extra["controller"]] = [
                each["metadata"]["name"] for each in ctx.by_index("v1/ConfigMap", "by-colour", "red")
            ]
        except NotCached as exc:
            found[ctx.log.extra["controller"]] = str(exc)

    registry.reconciler("Foo", name="one", reads=["ConfigMap"])(look)
    registry.reconciler("Foo", name="two", owns=["v1/ConfigMap"])(look)
    registry.reconciler("Foo", name="blind")(look)
    for reconciler in registry:
        one = Bench(reconciler)
        made.append(one)
        one.have(foo())
        if reconciler.name != "blind":
            for name, colour in (("a", "red"), ("b", "blue")):
                meta = {"name": name, "namespace": "default", "uid": name}
                one.have({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"colour": colour}}, CONFIG_MAP)
        one.reconcile()
    assert (found["one"], found["two"]) == (["a"], ["a"])
    assert "declare it with reads=['v1/ConfigMap']" in found["blind"]


def test_a_namespace_that_is_not_watched_is_not_read_as_empty(made: list[Bench]) -> None:
    seen: list[str] = []

    def reader(obj: Object, ctx: Context) -> None:
        with pytest.raises(NotCached, match="ConfigMaps of namespace other are not cached, only those of default"):
            ctx.get("v1/ConfigMap", "x", namespace="other")
        seen.append(ctx.key)

    one = Bench(registry_of(reader, reads=["v1/ConfigMap"], namespaces=["default"]))
    made.append(one)
    one.have(foo())
    one.reconcile()
    assert seen == ["default/a"]


def test_keys_of_namespaces_that_are_not_watched_are_not_run(made: list[Bench]) -> None:
    def mapper(obj: Object) -> list[str]:
        return ["other/a", "default/a"]

    one = Bench(registry_of(lambda _obj, _ctx: None, name="foo", watches={"v1/Namespace": mapper}, namespaces=["default"]))
    made.append(one)
    one.informers.of(NAMESPACE).show({"kind": "Namespace", "metadata": {"name": "n", "uid": "n", "resourceVersion": "1"}})
    assert len(one.controller.queue) == 1
    one.reconcile("default/a")


def test_everything_is_given_back_at_the_end() -> None:
    one = Bench(registry_of(lambda obj, ctx: None, owns=["v1/ConfigMap"], watches={"v1/Namespace": lambda obj: None}))
    one.close()
    assert {informer.resource for informer in one.informers.all} == {FOO, CONFIG_MAP, NAMESPACE}
    assert all(informer.released for informer in one.informers.all)


# ------------------------------------------------------------------ deleting


def test_deleting_what_is_gone_or_another_by_now_is_no_error(made: list[Bench]) -> None:
    answers: list[bool] = []

    def delete(obj: Object, ctx: Context) -> None:
        answers.append(ctx.delete("v1/ConfigMap", "gone"))
        answers.append(ctx.delete("v1/ConfigMap", "there"))
        with pytest.raises(UsageError, match="which v1/ConfigMap"):
            ctx.delete("v1/ConfigMap")

    one = Bench(registry_of(delete, owns=["v1/ConfigMap"]))
    made.append(one)
    there = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "there", "namespace": "default", "uid": "u"}}
    one.have(there, CONFIG_MAP)
    one.have(foo())
    one.reconcile()
    assert answers == [False, True]
