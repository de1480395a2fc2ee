"""The metric sinks: exact counts, from many threads, readable as families."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.observe.metrics import QUEUE_BUCKETS, RECONCILE_BUCKETS, Distribution, Family, Registry, Tally


def test_a_counter_counts_by_label_values() -> None:
    counter = Registry().counter("reconcile_total", "Runs.", ("controller", "result"))
    counter.inc("website", "success")
    counter.inc("website", "success", by=2)
    counter.inc("website", "error", by=0)
    assert counter.value("website", "success") == 3
    assert counter.value("website", "requeue") == 0
    assert counter.collect() == Family(
        "reconcile_total",
        "counter",
        "Runs.",
        ("controller", "result"),
        [(("website", "success"), 3), (("website", "error"), 0)],
    )


def test_a_counter_without_labels_exists_from_the_start() -> None:
    assert Registry().counter("x_total", "X.").collect().samples == [((), 0)]


def test_a_counter_does_not_shrink_and_knows_its_labels() -> None:
    counter = Registry().counter("x_total", "X.", ("a",))
    with pytest.raises(ValueError, match="cannot shrink"):
        counter.inc("1", by=-1)
    with pytest.raises(ValueError, match="takes the labels"):
        counter.inc()
    with pytest.raises(ValueError, match="takes the labels"):
        counter.value("1", "2")
    assert counter.collect().samples == []


def test_a_gauge_goes_up_and_down_and_away() -> None:
    gauge = Registry().gauge("workers", "Busy.", ("controller",))
    gauge.set(5, "a")
    gauge.inc("a")
    gauge.inc("a", by=-2)
    gauge.inc("b", by=-1)
    assert (gauge.value("a"), gauge.value("b")) == (4, -1)
    gauge.remove("a")
    gauge.remove("a")
    assert gauge.collect().samples == [(("b",), -1)]


def test_a_histogram_is_cumulative_and_its_bounds_inclusive() -> None:
    histogram = Registry().histogram("seconds", "S.", ("a",), buckets=(1, 2, 5))
    for value in (0.5, 1, 1.5, 5, 7):
        histogram.observe(value, "x")
    assert histogram.value("x") == Distribution((1, 2, 5), (2, 3, 4), 15.0, 5)
    assert histogram.value("y") == Distribution((1, 2, 5), (0, 0, 0), 0.0, 0)
    assert histogram.collect().samples == [(("x",), histogram.value("x"))]


def test_a_histogram_checks_its_labels_and_buckets() -> None:
    with pytest.raises(ValueError, match="must rise"):
        Registry().histogram("seconds", "S.", buckets=(1, 1))
    with pytest.raises(ValueError, match="must rise"):
        Registry().histogram("seconds", "S.", buckets=())
    with pytest.raises(ValueError, match="takes the labels"):
        Registry().histogram("seconds", "S.").observe(1, "x")


@given(st.lists(st.floats(-1, 2000), max_size=50), st.lists(st.floats(-1, 2000), max_size=50))
def test_a_tally_counts_as_one_by_one(first: list[float], second: list[float]) -> None:
    tally = Tally()
    values = [max(0.0, value) for value in first + second]
    tally.merge(list(first))
    tally.merge(list(second))
    seen = tally.read()
    assert seen.counts == tuple(sum(value <= bound for value in values) for bound in QUEUE_BUCKETS)
    assert seen.count == len(values)
    assert seen.sum == pytest.approx(sum(values))


def test_buckets_are_those_of_controller_runtime() -> None:
    assert QUEUE_BUCKETS == (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000)
    assert len(RECONCILE_BUCKETS) == 40
    assert list(RECONCILE_BUCKETS) == sorted(RECONCILE_BUCKETS)


def test_counts_are_exact_from_many_threads() -> None:
    registry = Registry()

    def count() -> None:
        for _ in range(2000):
            registry.counter("x_total", "X.", ("a",)).inc("1")
            registry.gauge("y", "Y.").inc()
            registry.histogram("z", "Z.").observe(1)

    threads = [threading.Thread(target=count, name=f"counting-{number}") for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.counter("x_total", "X.", ("a",)).value("1") == 12_000
    assert registry.gauge("y", "Y.").value() == 12_000
    assert registry.histogram("z", "Z.").value().count == 12_000


def test_a_registry_gives_the_sink_of_a_name_once() -> None:
    registry = Registry()
    assert registry.counter("x_total", "X.") is registry.counter("x_total", "X.")
    with pytest.raises(ValueError, match="already a Counter"):
        registry.gauge("x_total", "X.")
    with pytest.raises(ValueError, match="with the labels"):
        registry.counter("x_total", "X.", ("a",))


def test_a_registry_collects_sinks_and_sources_sorted_and_merged() -> None:
    registry = Registry()
    registry.counter("b_total", "B.", ("q",)).inc("sink")

    def source() -> list[Family]:
        return [Family("b_total", "counter", "B.", ("q",), [(("source",), 2)]), Family("a", "gauge", "A.", (), [((), 1)])]

    registry.register(source)
    assert [family.name for family in registry.collect()] == ["a", "b_total"]
    assert registry.collect()[1].samples == [(("sink",), 1), (("source",), 2)]
    assert repr(registry) == "<Registry 1 sinks, 1 sources>"
    registry.unregister(source)
    registry.unregister(source)
    assert [family.name for family in registry.collect()] == ["b_total"]
