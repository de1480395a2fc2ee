"""Own writes are seen before the next run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.controller import Context
from operator_kit.objects import Object
from tests.controller.fakes import CONFIG_MAP, FOO, Bench, foo, registry_of

CHILD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": {"k": "v"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock) -> Iterator[Bench]:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(CHILD)

    one = Bench(registry_of(function, owns=["v1/ConfigMap"]), clock=clock, echo=False)
    one.have(foo())
    yield one
    one.close()


def runs(bench: Bench) -> int:
    return bench.controller.runs


def counted(bench: Bench) -> tuple[Any, Any]:
    """How often a run was put off, and how often one read live."""
    families = {family.name: dict(family.samples) for family in bench.controller._metrics.collect()}
    names = ("operator_kit_stale_sync_skips_total", "operator_kit_stale_sync_timeouts_total")
    return families[names[0]]["foo",], families[names[1]]["foo",]


def test_a_key_waits_until_the_cache_holds_what_its_last_run_wrote(bench: Bench) -> None:
    bench.reconcile()
    assert not bench.controller.idle()  # the echo of the write may still lead to a run
    bench.controller.queue.add("default/a")
    bench.reconcile()  # taken, put back, not run
    assert runs(bench) == 1
    assert counted(bench) == (1, 0)
    bench.informers.of(CONFIG_MAP).show(bench.client.objects[CONFIG_MAP, "default/child"])
    bench.reconcile()
    assert runs(bench) == 2
    assert len(bench.client.writes()) == 1
    assert bench.controller.idle()


def test_no_worker_is_held_up_while_a_key_waits(bench: Bench) -> None:
    bench.reconcile()
    bench.controller.queue.add("default/a")
    bench.reconcile()
    bench.have(foo("b"))
    bench.reconcile("default/b")
    assert runs(bench) == 2


def test_at_the_limit_the_run_reads_live_instead(bench: Bench, clock: FakeClock) -> None:
    bench.reconcile()
    bench.controller.queue.add("default/a")
    bench.reconcile()
    clock.advance(5)
    bench.client.calls.clear()
    bench.reconcile()
    assert runs(bench) == 2
    assert bench.client.calls == [("get", "Foo", "default/a"), ("get", "ConfigMap", "default/child")]
    assert counted(bench) == (1, 1)


def test_a_live_run_lists_children_and_indexes_live_too(clock: FakeClock) -> None:
    told: list[list[str]] = []

    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(CHILD)
        found = (
            ctx.list("v1/ConfigMap"),
            ctx.list("v1/ConfigMap", selector="app=x"),
            ctx.list("v1/ConfigMap", namespace="*", selector="app in (x, y)"),
            ctx.children("v1/ConfigMap"),
            ctx.by_index("v1/ConfigMap", "colour", "red"),
        )
        told.extend([sorted(item["metadata"]["name"] for item in items) for items in found])

    def config_map(name: str, namespace: str = "default", **labels: str) -> Object:
        meta = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1", "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}

    made = registry_of(function, owns=["v1/ConfigMap"])

    @made.index("v1/ConfigMap", "colour")
    def colour(obj: Object) -> list[str]:
        return [obj["metadata"]["labels"]["colour"]]  # fails for what has none: that is not found by it

    one = Bench(made, clock=clock, echo=False)
    one.have(foo())
    one.reconcile()
    assert told == [[], [], [], [], []]
    told.clear()
    # What the cache does not show: another's red one, an owned one, one of another namespace.
    one.client.put(CONFIG_MAP, config_map("red", colour="red", app="x"))
    one.client.put(CONFIG_MAP, config_map("far", "elsewhere", app="y"))
    clock.advance(5)
    one.controller.queue.add("default/a")
    one.reconcile()
    assert told == [["child", "red"], ["red"], ["far", "red"], ["child"], ["red"]]
    assert one.controller.errors() == {}
    one.close()


def test_a_live_run_of_an_object_that_is_gone_does_nothing(bench: Bench, clock: FakeClock) -> None:
    bench.reconcile()
    del bench.client.objects[FOO, "default/a"]
    clock.advance(5)
    bench.controller.queue.add("default/a")
    bench.client.calls.clear()
    bench.reconcile()
    assert bench.client.calls == [("get", "Foo", "default/a")]


def test_writes_of_kinds_that_are_not_cached_are_not_waited_for(clock: FakeClock) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.apply(CHILD)

    one = Bench(registry_of(function), clock=clock, echo=False)
    one.have(foo())
    one.reconcile()
    assert one.controller.idle()
    one.close()


def test_a_deletion_is_waited_for_by_uid(clock: FakeClock) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.delete("v1/ConfigMap", "child")

    one = Bench(registry_of(function, owns=["v1/ConfigMap"]), clock=clock, echo=False)
    one.have({**CHILD, "metadata": {"name": "child", "namespace": "default", "uid": "u", "resourceVersion": "1"}}, CONFIG_MAP)
    one.have(foo())
    one.reconcile()
    one.controller.queue.add("default/a")
    one.reconcile()
    assert runs(one) == 1
    one.informers.of(CONFIG_MAP).show(None, key="default/child")
    one.reconcile()
    assert runs(one) == 2
    one.close()


def test_once_the_limit_is_reached_every_run_reads_live_until_the_cache_has_caught_up(bench: Bench, clock: FakeClock) -> None:
    bench.reconcile()
    clock.advance(5)
    for _ in range(3):  # also after a live run that failed, or wrote nothing
        bench.controller.queue.add("default/a")
        bench.client.calls.clear()
        bench.reconcile()
        assert bench.client.calls == [("get", "Foo", "default/a"), ("get", "ConfigMap", "default/child")]
    bench.informers.of(CONFIG_MAP).show(bench.client.objects[CONFIG_MAP, "default/child"])
    bench.client.calls.clear()
    bench.reconcile()
    assert bench.client.calls == []
    assert bench.controller.idle()  # nothing is left behind


def test_of_each_object_only_the_last_write_is_waited_for(clock: FakeClock) -> None:
    def function(obj: Object, ctx: Context) -> None:
        ctx.patch_status({"runs": obj.get("status", {}).get("runs", 0) + 1})

    one = Bench(registry_of(function), clock=clock, echo=False)
    one.have(foo())
    for _ in range(4):
        one.reconcile()
        clock.advance(5)
        one.controller.queue.add("default/a")
    (pending,) = one.controller._gate._pending.values()  # type: ignore[union-attr]
    assert len(pending.unseen) == 1
    one.informers.of(FOO).show(one.client.objects[FOO, "default/a"])
    assert len(one.controller._gate) == 0  # type: ignore[arg-type]
    one.close()


def test_a_deletion_that_finalizers_hold_up_is_seen_when_the_cache_shows_it(clock: FakeClock) -> None:
    held: Object = {**CHILD, "metadata": {"name": "child", "namespace": "default", "uid": "u", "resourceVersion": "1"}}
    held["metadata"]["finalizers"] = ["example.com/slow"]
    dying = {**held, "metadata": {**held["metadata"], "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"}}

    def function(obj: Object, ctx: Context) -> None:
        ctx.delete("v1/ConfigMap", "child")

    one = Bench(registry_of(function, owns=["v1/ConfigMap"]), clock=clock, echo=False)
    one.client.delete = lambda *_, **__: dying
    one.have(held, CONFIG_MAP)
    one.have(foo())
    one.reconcile()
    one.controller.queue.add("default/a")
    one.reconcile()
    assert runs(one) == 1
    one.informers.of(CONFIG_MAP).show(dying)
    one.reconcile()
    assert runs(one) == 2
    assert one.controller.idle()
    one.close()
