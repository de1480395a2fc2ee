"""Metrics of the shared caches, read from the informers' own figures at the moment of the scrape; and which versions run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING

import operator_kit
from operator_kit.observe.metrics import Distribution, Family

if TYPE_CHECKING:
    from operator_kit.cache import Informers, InformerStatus

__all__ = ["build_families", "informer_families"]

_LABELS = ("group", "version", "resource", "namespace")

_GAUGES: tuple[tuple[str, str, Callable[[list[float]], float], Callable[[InformerStatus], float]], ...] = (
    ("informer_objects", "Objects in the cache", sum, lambda status: status.objects),
    ("informer_bytes", "Bytes of the objects' JSON in the cache", sum, lambda status: status.bytes),
    ("informer_synced", "Whether the cache is synced (1) or not (0)", min, lambda status: int(status.synced)),
    (
        "informer_seconds_since_sign_of_life",
        "Seconds since the API server last said anything to the informer",
        max,
        lambda status: status.seconds_since_sign_of_life,
    ),
    (
        "informer_problem_seconds",
        "Seconds for which the cache could not be filled or kept up; 0 when it can",
        max,
        lambda status: status.problem_seconds,
    ),
)


_COUNTERS: tuple[tuple[str, str, Callable[[InformerStatus], int]], ...] = (
    ("informer_handler_errors_total", "Exceptions of handlers", lambda status: status.handler_errors),
    ("informer_unusable_total", "Objects and events that could not be used, and were left out", lambda status: status.odd),
)


def build_families() -> Iterable[Family]:
    """Which versions run here."""
    labels = ("version", "kubernetes_client", "python")
    versions = (operator_kit.__version__, version("kubernetes"), platform.python_version())
    yield Family(
        "operator_kit_build_info", "gauge", "Versions of operator-kit and what it stands on; always 1", labels, [(versions, 1)]
    )


def _labels(status: InformerStatus) -> tuple[str, ...]:
    return (status.resource.group, status.resource.version, status.resource.plural, status.namespace or "")


def informer_families(informers: Informers) -> Iterable[Family]:
    """The families of every informer of the set. Informers of one kind that differ in their selection make one sample."""
    statuses = informers.status()
    for name, text, together, read in _GAUGES:
        values: dict[tuple[str, ...], list[float]] = {}
        for status in statuses:
            values.setdefault(_labels(status), []).append(float(read(status)))
        yield Family(name, "gauge", text, _LABELS, _samples({labels: together(each) for labels, each in values.items()}))
    for name, text, count in _COUNTERS:
        yield Family(name, "counter", text, _LABELS, _summed((_labels(status), count(status)) for status in statuses))
    yield Family(
        "informer_problem",
        "gauge",
        "1 for the reason why the cache cannot be filled or kept up just now; absent when it can",
        (*_LABELS, "reason"),
        _samples({(*_labels(status), status.problem_reason): 1.0 for status in statuses if status.problem}),
    )
    restarts = (((*_labels(status), reason), count) for status in statuses for reason, count in status.restarts.items())
    yield Family(
        "informer_restarts_total",
        "counter",
        "How often a watch ended or a list failed, by reason",
        (*_LABELS, "reason"),
        _summed(restarts),
    )


def _samples(values: dict[tuple[str, ...], float]) -> list[tuple[tuple[str, ...], float | Distribution]]:
    return list(values.items())


def _summed(values: Iterable[tuple[tuple[str, ...], float]]) -> list[tuple[tuple[str, ...], float | Distribution]]:
    together: dict[tuple[str, ...], float] = {}
    for labels, value in values:
        together[labels] = together.get(labels, 0.0) + value
    return _samples(together)
