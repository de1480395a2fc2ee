"""Metric sinks in plain Python: what the code counts, readable at any moment by whoever exports it.

Nothing here knows Prometheus. The code counts into sinks; a scrape calls `Registry.collect()`, which gives families of samples
with the names, labels and buckets of client-go and controller-runtime, so that dashboards made for those work here.

    Counter, Gauge, Histogram   labelled sinks with a lock of their own, for what happens once per reconcile or request
    Tally                       a histogram filled in batches, for an owner that measures all the time
    Registry                    the sinks of a process, and the functions that are asked at scrape

Labels never carry object names: the number of samples must not grow with the number of objects.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple, TypeVar

__all__ = [
    "QUEUE_BUCKETS",
    "RECONCILE_BUCKETS",
    "REQUEST_BUCKETS",
    "SIZE_BUCKETS",
    "Counter",
    "Distribution",
    "Family",
    "Gauge",
    "Histogram",
    "Registry",
    "Tally",
]

QUEUE_BUCKETS: tuple[float, ...] = tuple(10.0**exponent for exponent in range(-8, 4))
"""Seconds, 10 ns to 1000 s in decades: controller-runtime's buckets for the work queue."""

RECONCILE_BUCKETS: tuple[float, ...] = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0),
    *(2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)
"""Seconds: controller-runtime's buckets for `controller_runtime_reconcile_time_seconds`."""

REQUEST_BUCKETS: tuple[float, ...] = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds: client-go's buckets for `rest_client_request_duration_seconds`."""

SIZE_BUCKETS: tuple[float, ...] = (64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)
"""Bytes: client-go's buckets for the sizes of requests and answers."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram at one moment. `counts[i]` observations were at most `bounds[i]` (cumulative); `count` is the number of all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    count: int


class Family(NamedTuple):
    """One metric at one moment: its samples by label values, in the order of `label_names`.

    A counter's name ends in `_total`. The value of a sample is a number, or a `Distribution` for a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    label_names: tuple[str, ...]
    samples: list[tuple[tuple[str, ...], float | Distribution]]


class Tally:
    """A histogram for an owner who measures often, and under a lock of the owner's own.

    The owner appends to a plain list, and gives that to `merge` once `BATCH` values are there, and before `read`: only a batch
    costs a lock more, and the work of sorting it into buckets. A negative value (a clock read before the lock was taken) counts
    as zero.
    """

    BATCH = 1024
    __slots__ = ("_buckets", "_count", "_lock", "_sum", "bounds")

    def __init__(self, bounds: Sequence[float] = QUEUE_BUCKETS) -> None:
        self.bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._buckets = [0] * (len(self.bounds) + 1)  # not cumulative; the last is for what is beyond every bound
        self._sum = 0.0
        self._count = 0

    def merge(self, raw: list[float]) -> None:
        """Count these values. The list is the tally's from now on."""
        raw.sort()
        late = bisect_left(raw, 0.0)
        raw[:late] = [0.0] * late
        with self._lock:
            below = 0
            for index, bound in enumerate(self.bounds):
                upto = bisect_right(raw, bound)
                self._buckets[index] += upto - below
                below = upto
            self._buckets[-1] += len(raw) - below
            self._sum += sum(raw)
            self._count += len(raw)

    def add(self, value: float) -> None:
        """Count one value."""
        value = max(0.0, value)
        with self._lock:
            self._buckets[bisect_left(self.bounds, value)] += 1
            self._sum += value
            self._count += 1

    def read(self) -> Distribution:
        """The histogram now, with everything merged so far."""
        with self._lock:
            return Distribution(self.bounds, tuple(accumulate(self._buckets[:-1])), self._sum, self._count)


class _Sink:
    """A name, its help, its label names, and a lock for the values."""

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help_text
        self.label_names = tuple(label_names)
        self._lock = threading.Lock()

    def _checked(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(labels) != len(self.label_names):
            raise ValueError(f"metric {self.name} takes the labels {self.label_names}, not {labels}")
        return labels

    def collect(self) -> Family:
        """The samples now."""
        raise NotImplementedError


class Counter(_Sink):
    """A number that only grows. Label values are given in the order of the label names."""

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, label_names)
        self._values: dict[tuple[str, ...], float] = {} if label_names else {(): 0}

    def inc(self, *labels: str, by: float = 1) -> None:
        """Count `by` more (0 makes the sample exist). Raises `ValueError` for a wrong number of labels or a negative amount."""
        if by < 0:
            raise ValueError(f"counter {self.name} cannot shrink by {by}")
        with self._lock:
            values = self._values
            if labels in values:
                values[labels] += by
            else:
                values[self._checked(labels)] = by

    def value(self, *labels: str) -> float:
        """What was counted so far; 0 for label values never seen."""
        return self._values.get(self._checked(labels), 0)

    def collect(self) -> Family:
        """The samples now."""
        with self._lock:
            return Family(self.name, "counter", self.help, self.label_names, list(self._values.items()))


class Gauge(_Sink):
    """A number that goes up and down."""

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, label_names)
        self._values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, *labels: str) -> None:
        """The value is this now."""
        with self._lock:
            self._values[self._checked(labels)] = value

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add `by`, which may be negative, to a value that starts at 0."""
        with self._lock:
            values = self._values
            if labels in values:
                values[labels] += by
            else:
                values[self._checked(labels)] = by

    def remove(self, *labels: str) -> None:
        """Forget the sample; it is gone from the next scrape. No error if it is not there."""
        with self._lock:
            self._values.pop(self._checked(labels), None)

    def value(self, *labels: str) -> float:
        """The value now; 0 where none was set."""
        return self._values.get(self._checked(labels), 0)

    def collect(self) -> Family:
        """The samples now."""
        with self._lock:
            return Family(self.name, "gauge", self.help, self.label_names, list(self._values.items()))


class Histogram(_Sink):
    """A distribution of values, by label values."""

    def __init__(
        self, name: str, help_text: str, label_names: Sequence[str] = (), *, buckets: Sequence[float] = RECONCILE_BUCKETS
    ) -> None:
        super().__init__(name, help_text, label_names)
        if list(buckets) != sorted(set(buckets)) or not buckets:
            raise ValueError(f"histogram {name}: the buckets must rise")
        self._buckets = tuple(buckets)
        self._tallies: dict[tuple[str, ...], Tally] = {}

    def expect(self, *labels: str) -> None:
        """Make the sample exist, empty."""
        with self._lock:
            self._tallies.setdefault(self._checked(labels), Tally(self._buckets))

    def observe(self, value: float, *labels: str) -> None:
        """Count one value. Raises `ValueError` for a wrong number of labels."""
        tally = self._tallies.get(labels)
        if tally is None:
            with self._lock:
                tally = self._tallies.setdefault(self._checked(labels), Tally(self._buckets))
        tally.add(value)

    def value(self, *labels: str) -> Distribution:
        """The distribution now; empty for label values never seen."""
        return self._tallies.get(self._checked(labels), Tally(self._buckets)).read()

    def collect(self) -> Family:
        """The samples now."""
        with self._lock:
            tallies = list(self._tallies.items())
        samples: list[tuple[tuple[str, ...], float | Distribution]] = [(labels, tally.read()) for labels, tally in tallies]
        return Family(self.name, "histogram", self.help, self.label_names, samples)


_S = TypeVar("_S", Counter, Gauge, Histogram)


class Registry:
    """The sinks of one process.

    `counter`, `gauge` and `histogram` give the sink of that name, made at the first call; a second call with other labels or
    another kind is a `ValueError`. `register` adds a function that is asked at every scrape, for what is only worth computing
    then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sinks: dict[str, Counter | Gauge | Histogram] = {}
        self._sources: list[Callable[[], Iterable[Family]]] = []

    def counter(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> Counter:
        """The counter of this name."""
        return self._sink(Counter(name, help_text, label_names))

    def gauge(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> Gauge:
        """The gauge of this name."""
        return self._sink(Gauge(name, help_text, label_names))

    def histogram(
        self, name: str, help_text: str, label_names: Sequence[str] = (), *, buckets: Sequence[float] = RECONCILE_BUCKETS
    ) -> Histogram:
        """The histogram of this name; the buckets of the first call hold."""
        return self._sink(Histogram(name, help_text, label_names, buckets=buckets))

    def _sink(self, new: _S) -> _S:
        with self._lock:
            known = self._sinks.setdefault(new.name, new)
        if type(known) is not type(new) or known.label_names != new.label_names:
            raise ValueError(f"metric {new.name} is already a {type(known).__name__} with the labels {known.label_names}")
        return known

    def register(self, source: Callable[[], Iterable[Family]]) -> None:
        """Ask `source` at every scrape. It is called on the scraper's thread and must be quick."""
        with self._lock:
            self._sources.append(source)

    def unregister(self, source: Callable[[], Iterable[Family]]) -> None:
        """Ask `source` no more. No error if it was not registered."""
        with self._lock:
            self._sources = [other for other in self._sources if other != source]

    def collect(self) -> list[Family]:
        """Everything now: one family per name, sorted by name, with the samples of every sink and source of that name."""
        with self._lock:
            sinks, sources = list(self._sinks.values()), list(self._sources)
        families: dict[str, Family] = {}
        for family in [*(sink.collect() for sink in sinks), *(family for source in sources for family in source())]:
            if family.name in families:
                families[family.name].samples.extend(family.samples)
            else:
                families[family.name] = family._replace(samples=list(family.samples))
        return [families[name] for name in sorted(families)]

    def __repr__(self) -> str:
        return f"<Registry {len(self._sinks)} sinks, {len(self._sources)} sources>"
