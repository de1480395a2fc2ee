"""Asynchronous reconcilers: the same promises, and a loop that is never blocked."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_kit.clock import Clock, FakeClock
from operator_kit.controller import AsyncContext, Result
from operator_kit.objects import Object
from tests.controller.fakes import CONFIG_MAP, FOO, Bench, foo, registry_of

CHILD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": {"k": "v"}}
Make = Callable[..., Bench]


@pytest.fixture
def bench() -> Iterator[Make]:
    made: list[Bench] = []

    def make(
        function: Callable[..., Any], cleanup: Callable[..., Any] | None = None, clock: Clock | None = None, **options: Any
    ) -> Bench:
        reconciler = registry_of(function, **options)
        if cleanup is not None:
            reconciler.cleanup(cleanup)
        made.append(Bench(reconciler, clock=clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


def delays(bench: Bench) -> list[tuple[str, bool]]:
    return [(entry.key, entry.backoff) for entry in bench.controller.queue.snapshot().delayed]


def test_an_async_function_reads_applies_and_reports_as_a_sync_one(bench: Make) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> Result:
        assert await ctx.get_or_none("v1/ConfigMap", "child") is None
        live = await ctx.apply(CHILD)
        assert live["metadata"]["ownerReferences"][0]["name"] == "a"
        assert [item["data"] for item in await ctx.children("v1/ConfigMap")] == [{"k": "v"}]
        assert len(await ctx.list("v1/ConfigMap")) == 1
        assert await ctx.live.get_or_none("v1/ConfigMap", "nothing") is None
        ctx.patch_status({"ok": True})
        ctx.set_condition("Ready", True)
        await ctx.flush_status()
        await ctx.delete("v1/ConfigMap", "child")
        return Result(requeue_after=60)

    one = bench(function, owns=["v1/ConfigMap"])
    one.have(foo())
    one.reconcile()
    assert one.client.objects[FOO, "default/a"]["status"]["ok"] is True
    assert (CONFIG_MAP, "default/child") not in one.client.objects
    assert one.controller._counts._total.value("foo", "requeue_after") == 1


def test_calls_are_carried_out_on_the_workers_thread_while_the_loop_goes_on(bench: Make) -> None:
    beats: list[str] = []

    async def function(obj: Object, ctx: AsyncContext) -> None:
        assert threading.current_thread().name == "reconcile-loop"
        reading = asyncio.create_task(ctx.live.get_or_none("v1/ConfigMap", "slow"))
        for _ in range(3):
            await asyncio.sleep(0)
            beats.append("the loop goes on")
        released.set()
        await reading

    released = threading.Event()
    one = bench(function)

    def slow(verb: str, kind: Any, key: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        assert released.wait(60)

    one.client.fail = slow
    one.have(foo())
    one.reconcile()
    assert len(beats) == 3
    assert one.controller.idle()


def test_what_a_coroutine_raises_is_a_failure_like_any(bench: Make) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> None:
        await ctx.apply({"kind": "ConfigMap"})

    one = bench(function)
    one.have(foo())
    one.reconcile()
    assert delays(one) == [("default/a", True)]
    assert one.client.objects[FOO, "default/a"]["status"]["conditions"][0]["reason"] == "UsageError"


def test_a_coroutine_is_cancelled_at_its_deadline(bench: Make) -> None:
    cancelled: list[bool] = []
    clock = FakeClock()
    began = threading.Event()

    async def function(obj: Object, ctx: AsyncContext) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    one = bench(function, timeout=10, clock=clock)
    one.have(foo())
    worker = threading.Thread(target=one.reconcile, name="worker")
    worker.start()
    assert began.wait(60)
    clock.advance(10)
    worker.join(60)
    assert cancelled == [True]
    assert delays(one) == [("default/a", True)]
    assert one.controller._counts._timeouts.value("foo") == 1


def test_an_async_cleanup_takes_the_finalizer_off(bench: Make) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> None:
        pass

    async def cleanup(obj: Object, ctx: AsyncContext) -> None:
        await ctx.delete("v1/ConfigMap", "elsewhere", namespace="other")

    one = bench(function, cleanup=cleanup)
    one.have(foo(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/foo"]}))
    one.reconcile()
    assert (FOO, "default/a") not in one.client.objects


def test_partials_and_objects_with_an_async_call_are_async(bench: Make) -> None:
    async def function(more: int, obj: Object, ctx: AsyncContext) -> None:
        ctx.patch_status({"more": more})

    class Reconciler:
        async def __call__(self, obj: Object, ctx: AsyncContext) -> None:
            ctx.patch_status({"called": True})

    for given in (functools.partial(function, 7), Reconciler()):
        one = bench(given)
        one.have(foo())
        one.reconcile()
        assert one.controller._counts._total.value("foo", "success") == 1


def test_a_task_left_behind_cannot_use_the_context_and_does_not_outlive_the_loop(bench: Make) -> None:
    left: list[BaseException] = []

    async def later(ctx: AsyncContext) -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await ctx.apply(CHILD)
        except BaseException as exc:
            left.append(exc)
            raise

    async def function(obj: Object, ctx: AsyncContext) -> None:
        tasks.append(asyncio.create_task(later(ctx)))

    tasks: list[asyncio.Task[None]] = []
    one = bench(function)
    one.have(foo())
    one.reconcile()
    one.close()
    assert len(left) == 1
    assert isinstance(left[0], RuntimeError | asyncio.CancelledError)
    assert (CONFIG_MAP, "default/child") not in one.client.objects
    tasks[0].cancelled() or tasks[0].exception()  # seen, so that asyncio does not complain


def test_a_coroutine_that_ends_the_process_ends_only_its_run(bench: Make) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> None:
        if obj["metadata"]["name"] == "bad":
            raise SystemExit(3)
        await ctx.apply(CHILD)

    one = bench(function, owns=["v1/ConfigMap"])
    one.have(foo("bad"))
    one.reconcile("default/bad")
    assert one.controller.errors() == {"default/bad": "SystemExit: 3"}
    one.have(foo("good"))
    while "default/child" not in {key for _, key in one.client.objects}:
        one.reconcile("")  # the bad one comes again and again meanwhile
    assert set(one.controller.errors()) == {"default/bad"}


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda ctx: ctx.apply(CHILD), "apply"),
        (lambda ctx: ctx.get_or_none("v1/ConfigMap", "child"), "get_or_none"),
        (lambda ctx: ctx.live.list("v1/ConfigMap"), "list"),
        (lambda ctx: ctx.flush_status(), "flush_status"),
    ],
)
def test_a_call_that_is_not_awaited_fails_the_run_and_says_which(bench: Make, call: Callable[[Any], Any], name: str) -> None:
    async def function(obj: Object, ctx: AsyncContext) -> None:
        call(ctx)

    one = bench(function, owns=["v1/ConfigMap"])
    one.have(foo())
    one.reconcile()
    assert f"{name} was called and not awaited" in one.controller.errors()["default/a"]


def test_a_task_that_was_started_and_not_waited_for_is_the_authors_affair(bench: Make) -> None:
    started: list[asyncio.Task[Any]] = []

    async def function(obj: Object, ctx: AsyncContext) -> None:
        started.append(asyncio.create_task(ctx.get_or_none("v1/ConfigMap", "child")))

    one = bench(function, owns=["v1/ConfigMap"])
    one.have(foo())
    one.reconcile()
    assert one.controller.errors() == {}
