"""The exporter: what the sinks hold, in the exposition formats of Prometheus. The only importer of prometheus_client.

Names, labels and buckets are those of client-go and controller-runtime, so that dashboards made for those work here. Everything
is read at the moment of the scrape; nothing is kept in between, and nothing is registered globally. What the author's code
registers globally, with prometheus_client's own default, is served beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from operator_kit.observe.metrics import Distribution, Family, Registry

__all__ = ["Exporter"]

_log = logging.getLogger(__name__)

# Names of what is served here already; the same name twice would make the whole page unreadable.
_OURS = (
    *("controller_runtime_", "workqueue_", "rest_client_", "leader_election_", "certwatcher_"),
    *("informer_", "operator_kit_", "process_", "python_"),
)


class _Sinks:
    """The sinks as prometheus_client collects them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """One metric per family."""
        return map(_metric, self._registry.collect())


class _Authors:
    """What the author's code registered with the default registry of prometheus_client."""

    def __init__(self) -> None:
        self._told = False

    def collect(self) -> Iterable[Metric]:
        """Those metrics, less those whose names are taken. A collector that raises costs those after it, and nobody else's."""
        try:
            yield from (metric for metric in REGISTRY.collect() if not metric.name.startswith(_OURS))
        except Exception as exc:  # noqa: BLE001  # whatever it is, it is not ours
            if not self._told:
                self._told = True
                _log.exception("metrics of your own are left out: a collector of prometheus_client's registry raised %r", exc)


def _metric(family: Family) -> Metric:
    labels = list(family.label_names)
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=labels)
        for values, sample in family.samples:
            assert isinstance(sample, Distribution)
            histogram.add_metric(list(values), buckets=list(_buckets(sample)), sum_value=sample.sum)
        return histogram
    metric = (CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily)(family.name, family.help, labels=labels)
    for values, sample in family.samples:
        assert not isinstance(sample, Distribution)
        metric.add_metric(list(values), sample)
    return metric


def _buckets(sample: Distribution) -> Iterator[tuple[str, float]]:
    for bound, count in zip(sample.bounds, sample.counts, strict=True):
        yield str(float(bound)), count
    yield "+Inf", sample.count


class Exporter:
    """Renders the sinks of a registry, and the process's own figures.

    Args:
        registry: the sinks.
        process: whether what belongs to the process goes along: CPU, memory, descriptors, garbage collection, and the metrics
            that the author's code registered with `prometheus_client.REGISTRY`.
    """

    def __init__(self, registry: Registry, *, process: bool = True) -> None:
        self._collectors = CollectorRegistry()
        self._collectors.register(_Sinks(registry))
        if process:
            ProcessCollector(registry=self._collectors)
            PlatformCollector(registry=self._collectors)
            GCCollector(registry=self._collectors)
            self._collectors.register(_Authors())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition that an `Accept` header asks for, and its content type. Plain text unless OpenMetrics is asked for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._collectors), content_type
