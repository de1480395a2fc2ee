"""The sinks as Prometheus reads them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from operator_kit.clock import FakeClock
from operator_kit.observe.exporter import Exporter
from operator_kit.observe.metrics import Registry
from operator_kit.queue import WorkQueue


def families(registry: Registry) -> dict[str, dict[tuple[str, ...], float]]:
    text, content_type = Exporter(registry, process=False).render()
    assert content_type.startswith("text/plain")
    return {sample.name: {} for metric in text_string_to_metric_families(text.decode()) for sample in metric.samples} | {
        f"{sample.name}{sorted(sample.labels.items())}": {(): sample.value}
        for metric in text_string_to_metric_families(text.decode())
        for sample in metric.samples
    }


def test_counters_gauges_and_histograms_keep_their_names_and_values() -> None:
    registry = Registry()
    registry.counter("controller_runtime_reconcile_total", "Help", ("controller", "result")).inc("web", "success", by=3)
    registry.gauge("controller_runtime_active_workers", "Help", ("controller",)).set(2, "web")
    registry.histogram("controller_runtime_reconcile_time_seconds", "Help", ("controller",), buckets=(0.1, 1)).observe(0.5, "web")
    found = families(registry)
    assert found["controller_runtime_reconcile_total[('controller', 'web'), ('result', 'success')]"] == {(): 3}
    assert found["controller_runtime_active_workers[('controller', 'web')]"] == {(): 2}
    assert found["controller_runtime_reconcile_time_seconds_bucket[('controller', 'web'), ('le', '0.1')]"] == {(): 0}
    assert found["controller_runtime_reconcile_time_seconds_bucket[('controller', 'web'), ('le', '+Inf')]"] == {(): 1}
    assert found["controller_runtime_reconcile_time_seconds_sum[('controller', 'web')]"] == {(): 0.5}


def test_a_queue_exports_the_names_of_client_go() -> None:
    registry = Registry()
    queue: WorkQueue[str] = WorkQueue(name="web", clock=FakeClock(), metrics=registry)
    queue.add("a")
    names = families(registry)
    for name in ("workqueue_depth", "workqueue_adds_total", "workqueue_retries_total", "workqueue_unfinished_work_seconds"):
        assert name in names
    for name in ("workqueue_queue_duration_seconds_bucket", "workqueue_longest_running_processor_seconds"):
        assert name in names


def test_the_process_tells_of_itself_and_open_metrics_is_spoken() -> None:
    exporter = Exporter(Registry())
    text, _ = exporter.render()
    assert b"process_resident_memory_bytes" in text
    text, content_type = exporter.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


@pytest.fixture
def mine() -> Iterator[Callable[[Collector], None]]:
    """Registers collectors with prometheus_client's default registry, as an author's module does; they go with the test."""
    made: list[Collector] = []

    def register(collector: Collector) -> None:
        REGISTRY.register(collector)
        made.append(collector)

    yield register
    for collector in made:
        REGISTRY.unregister(collector)


def names(registry: Registry) -> list[str]:
    text, _ = Exporter(registry).render()
    return [family.name for family in text_string_to_metric_families(text.decode())]


def test_metrics_of_the_authors_own_are_served_beside_those_of_the_framework(mine: Callable[[Collector], None]) -> None:
    pages = Counter("pages_published", "Pages", registry=None)
    mine(pages)
    pages.inc(3)
    registry = Registry()
    registry.gauge("workqueue_depth", "Help", ("name",)).set(2, "web")
    mine(Gauge("workqueue_depth", "The same name: taken already", registry=None))
    found = names(registry)
    assert "pages_published" in found
    assert b"pages_published_total 3.0" in Exporter(registry).render()[0]
    assert sorted(found) == sorted(set(found)), "a name twice"


def test_a_collector_of_the_authors_that_raises_is_told_once_and_costs_nothing_of_ours(
    mine: Callable[[Collector], None], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Collector):
        working = True

        def collect(self) -> Iterator[Metric]:
            if self.working:
                return iter(())
            raise KeyError("gone")

    broken = Broken()
    mine(broken)  # which asks it for its names
    broken.working = False
    exporter = Exporter(Registry())
    with caplog.at_level(logging.ERROR):
        pages = [exporter.render()[0] for _ in range(2)]
    assert all(b"process_cpu_seconds_total" in page for page in pages)
    assert ["KeyError('gone')" in record.getMessage() for record in caplog.records] == [True]
