"""Hooks and tasks in a running operator: what runs when, and how the process ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from operator_kit import Context, Registry, TaskContext
from operator_kit.errors import StartupFailed
from operator_kit.manager import ExitCode
from operator_kit.objects import Object
from operator_kit.testing import Cluster, StartOperator
from tests.processes import eventually

CONFIG_MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def test_hooks_run_before_the_first_and_after_the_last_reconcile(cluster: Cluster, operator: StartOperator) -> None:
    registry, order = Registry(), []
    began, go_on = threading.Event(), threading.Event()

    @registry.on_startup
    def first(ctx: TaskContext) -> None:
        ctx.apply({**CONFIG_MAP, "metadata": {"name": "made-at-startup", "namespace": cluster.namespace}})
        order.append("startup")

    @registry.reconciler("v1/ConfigMap")
    def slow(obj: Object, ctx: Context) -> None:
        if ctx.key.endswith("made-at-startup"):
            began.set()
            assert ctx.stopping.wait(60)
            assert go_on.wait(60)
            order.append("reconciled")

    @registry.on_shutdown
    def last(ctx: TaskContext) -> None:
        assert ctx.live.get("v1/ConfigMap", "made-at-startup", cluster.namespace)
        order.append("shutdown")

    running = operator(registry)
    assert began.wait(60)
    running.manager.stop()
    go_on.set()
    running.stop()
    assert order == ["startup", "reconciled", "shutdown"]


def test_a_startup_that_fails_starts_nothing_and_what_it_left_is_undone(cluster: Cluster, operator: StartOperator) -> None:
    registry, ran = Registry(), []
    cluster.create(CONFIG_MAP)
    registry.reconciler("v1/ConfigMap")(lambda obj, ctx: ran.append("reconciled"))
    registry.every("1s", name="tick")(lambda ctx: ran.append("tick"))
    registry.on_shutdown(lambda ctx: ran.append("shutdown"))

    @registry.on_startup
    def connect(ctx: TaskContext) -> None:
        raise ConnectionRefusedError("no database")

    running = operator(registry)
    with pytest.raises(StartupFailed, match="on_startup connect failed: ConnectionRefusedError: no database"):
        running.settle()
    running.stop()
    assert ran == ["shutdown"]


def test_a_startup_that_fails_while_the_operator_is_told_to_stop_is_told_and_no_failure(
    cluster: Cluster, operator: StartOperator, caplog: pytest.LogCaptureFixture
) -> None:
    registry, began, stopped = Registry(), threading.Event(), threading.Event()
    registry.every("1h", name="tick")(lambda ctx: None)

    @registry.on_startup
    def connect(ctx: TaskContext) -> None:
        began.set()
        assert stopped.wait(60)
        raise ConnectionRefusedError("the database was left half made")

    caplog.set_level("INFO")
    running = operator(registry)
    assert began.wait(60)
    running.manager.stop()
    eventually(lambda: running.manager._binder._thread.ident, "the end of the wait for the startup")
    stopped.set()
    running.stop()
    assert "stopped before it was done" in caplog.text
    assert "the database was left half made" in caplog.text


def test_an_operator_may_be_tasks_alone_and_idle_means_that_each_has_run(cluster: Cluster, operator: StartOperator) -> None:
    registry = Registry()
    seen: list[Any] = []

    @registry.every("1h")
    def count(ctx: TaskContext) -> None:
        cluster_wide = ctx.live.list("v1/ConfigMap", namespace="*", selector="app=x")
        here = ctx.live.list("v1/ConfigMap", namespace=cluster.namespace, selector="app=x")
        seen.append((len(cluster_wide), len(here), ctx.delete("v1/ConfigMap", "a", cluster.namespace)))
        seen.append(ctx.delete("v1/ConfigMap", "a", cluster.namespace))

    cluster.create({**CONFIG_MAP, "metadata": {"name": "a", "labels": {"app": "x"}}})
    cluster.create({**CONFIG_MAP, "metadata": {"name": "b", "namespace": "kube-system", "labels": {"app": "x"}}})
    running = operator(registry, exit_when_idle=True)
    assert running.manager.wait_stopped(60)
    running.stop()
    assert running._code is ExitCode.OK
    assert seen == [(2, 1, True), False]
