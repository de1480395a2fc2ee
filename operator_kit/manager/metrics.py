"""Metrics of the shared caches, read from the informers' own figures at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from operator_kit.observe.metrics import Distribution, Family

if TYPE_CHECKING:
    from operator_kit.cache import Informers, InformerStatus

__all__ = ["informer_families"]

_LABELS = ("group", "version", "resource", "namespace")

_GAUGES: tuple[tuple[str, str, Callable[[list[float]], float], Callable[[InformerStatus], float]], ...] = (
    ("informer_objects", "Objects in the cache", sum, lambda status: status.objects),
    ("informer_bytes", "Bytes of the objects' JSON in the cache", sum, lambda status: status.bytes),
    ("informer_synced", "Whether the cache is synced (1) or not (0)", min, lambda status: int(status.synced)),
    ("informer_handler_errors", "Exceptions of handlers", sum, lambda status: status.handler_errors),
    (
        "informer_seconds_since_sign_of_life",
        "Seconds since the API server last said anything to the informer",
        max,
        lambda status: status.seconds_since_sign_of_life,
    ),
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
        yield Family(name, "gauge", text, _LABELS, list(_samples({labels: together(each) for labels, each in values.items()})))
    restarts: dict[tuple[str, ...], float] = {}
    for status in statuses:
        for reason, count in status.restarts.items():
            labels = (*_labels(status), reason)
            restarts[labels] = restarts.get(labels, 0.0) + count
    yield Family(
        "informer_restarts_total",
        "counter",
        "How often a watch ended or a list failed, by reason",
        (*_LABELS, "reason"),
        list(_samples(restarts)),
    )


def _samples(values: dict[tuple[str, ...], float]) -> Iterable[tuple[tuple[str, ...], float | Distribution]]:
    yield from values.items()
