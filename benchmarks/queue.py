"""What the WorkQueue costs, beside the standard library's `queue.Queue`. Run: `python -m benchmarks.queue` (about two minutes).

Every figure is a median of several runs (nine unless `--runs` says otherwise), the two sides in turn, so that whatever else the
machine does meets both. Ratios are of medians from one invocation. What one thread does alone is measured in CPU time, what
threads do together in wall time; the latter means little on a busy machine, where `queue.Queue` gains from seldom having two CPUs
to hand the interpreter lock between. Nothing is asserted.

A key's way is add, get, forget, done, with metrics on; keys are strings "namespace/name" over seven namespaces, all distinct.
`queue.Queue` does put and get, and knows nothing of duplicates, priorities, turns, delays or metrics.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import queue
import select
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from operator_kit.clock import Clock
from operator_kit.observe.metrics import Registry
from operator_kit.queue import ShutDown, WorkQueue

KEYS = 40_000
CLIENT_GO = 1_900_000  # keys/s through 4 and through 16 workers, on a machine like the one this was written on


def make_keys(count: int, start: int = 0) -> list[str]:
    return [f"namespace-{number % 7}/object-{number}" for number in range(start, start + count)]


def work_queue(kind: type[WorkQueue[str]] = WorkQueue) -> WorkQueue[str]:
    return kind(name="bench", metrics=Registry())


def timed(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    gc.collect()
    begin = clock()
    run()
    return clock() - begin


# ---------------------------------------------------------------------------- throughput


def stdlib_in_and_out(keys: list[str]) -> float:
    q: queue.Queue[str] = queue.Queue()

    def run() -> None:
        for key in keys:
            q.put(key)
        for _ in keys:
            q.get()

    return len(keys) / timed(run)


def ours_in_and_out(keys: list[str]) -> float:
    q = work_queue()

    def run() -> None:
        for key in keys:
            q.add(key)
        for _ in keys:
            key = q.get()
            q.forget(key)
            q.done(key)

    return len(keys) / timed(run)


def stdlib_one_by_one(keys: list[str]) -> float:
    q: queue.Queue[str] = queue.Queue()

    def run() -> None:
        for key in keys:
            q.put(key)
            q.get()

    return len(keys) / timed(run)


def ours_one_by_one(keys: list[str]) -> float:
    q = work_queue()

    def run() -> None:
        for new in keys:
            q.add(new)
            key = q.get()
            q.forget(key)
            q.done(key)

    return len(keys) / timed(run)


def stdlib_threads(count: int) -> Callable[[list[str]], float]:
    def measure(keys: list[str]) -> float:
        q: queue.Queue[str | None] = queue.Queue()

        def work() -> None:
            while q.get() is not None:
                pass

        threads = [threading.Thread(target=work, name=f"consumer-{number}") for number in range(count)]
        for thread in threads:
            thread.start()

        def run() -> None:
            for key in keys:
                q.put(key)
            for _ in threads:
                q.put(None)
            for thread in threads:
                thread.join()

        return len(keys) / timed(run, time.perf_counter)

    return measure


def ours_threads(count: int) -> Callable[[list[str]], float]:
    def measure(keys: list[str]) -> float:
        q = work_queue()

        def work() -> None:
            try:
                while True:
                    key = q.get()
                    q.forget(key)
                    q.done(key)
            except ShutDown:
                return

        threads = [threading.Thread(target=work, name=f"worker-{number}") for number in range(count)]
        for thread in threads:
            thread.start()

        def run() -> None:
            for key in keys:
                q.add(key)
            q.shut_down_with_drain()
            for thread in threads:
                thread.join()

        return len(keys) / timed(run, time.perf_counter)

    return measure


def stdlib_put(keys: list[str]) -> float:
    q: queue.Queue[str] = queue.Queue()

    def run() -> None:
        for key in keys:
            q.put(key)

    return len(keys) / timed(run)


def ours_duplicate(keys: list[str]) -> float:
    q = work_queue()
    for key in keys:
        q.add(key)

    def run() -> None:
        for key in keys:
            q.add(key)

    return len(keys) / timed(run)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):>10,.0f}  ({min(values):,.0f} … {max(values):,.0f})"


def throughput(runs: int) -> None:
    keys = make_keys(KEYS)
    table: list[tuple[str, float, Any, Any]] = [
        ("one thread, all in and all out", 0.45, stdlib_in_and_out, ours_in_and_out),
        ("one thread, one by one", 0.45, stdlib_one_by_one, ours_one_by_one),
        ("through 4 threads", 1.2, stdlib_threads(4), ours_threads(4)),
        ("through 16 threads", 2.0, stdlib_threads(16), ours_threads(16)),
        ("add of a waiting key, against put", 1.5, stdlib_put, ours_duplicate),
    ]
    print(f"Keys per second, {KEYS:,} distinct keys; median (least … most) of {runs} runs in turn")
    print(f"{'':36}{'queue.Queue':>42}{'WorkQueue':>42}{'ratio':>8}{'aim':>7}")
    for name, aim, stdlib, ours in table:
        theirs, mine = [], []
        for _ in range(runs):
            theirs.append(stdlib(keys))
            mine.append(ours(keys))
        ratio = statistics.median(mine) / statistics.median(theirs)
        print(f"{name:36}{spread(theirs):>42}{spread(mine):>42}{ratio:>8.2f}{f'≥{aim:g}':>7}")
    print(f"For orientation: client-go's workqueue carries {CLIENT_GO:,} keys/s through 4 and through 16 workers.\n")


# ---------------------------------------------------------------------------- size


def at_size(size: int, runs: int) -> tuple[float, float]:
    """Microseconds per key: to fill the queue to this size, and for one key in and one out while so many wait."""
    keys = make_keys(size)
    more = make_keys(10_000, start=size)
    filling, standing = [], []
    for _ in range(runs if size < 100_000 else max(3, runs // 3)):
        q = work_queue()

        def fill(q: WorkQueue[str] = q) -> None:
            for key in keys:
                q.add(key)

        def stand(q: WorkQueue[str] = q) -> None:
            for new in more:
                q.add(new)
                key = q.get()
                q.forget(key)
                q.done(key)

        filling.append(timed(fill) / size * 1e6)
        standing.append(timed(stand) / len(more) * 1e6)
        q.shut_down()
    return statistics.median(filling), statistics.median(standing)


def memory(size: int) -> float:
    """Bytes per waiting key beyond the key itself."""
    keys = make_keys(size)
    q = work_queue()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for key in keys:
            q.add(key)
        return (tracemalloc.get_traced_memory()[0] - before) / size
    finally:
        tracemalloc.stop()


def sizes(runs: int) -> None:
    print("Cost per key by the number of keys that wait (medians; µs)")
    print(f"{'keys waiting':>14}{'add, filling':>16}{'add get forget done':>22}")
    first: tuple[float, float] | None = None
    for size in (1_000, 10_000, 100_000, 1_000_000):
        filling, standing = at_size(size, runs)
        first = first or (filling, standing)
        print(
            f"{size:>14,}{filling:>16.2f}{standing:>22.2f}   {filling / first[0]:.2f} and {standing / first[1]:.2f} of the first"
        )
    print("Memory per waiting key beyond the key itself (aim: at most 250 bytes)")
    for size, note in ((1_000_000, ""), (700_000, "just after a dictionary has grown: the worst")):
        print(f"{size:>14,}{memory(size):>12.0f} bytes   {note}")
    print()


# ---------------------------------------------------------------------------- latency


class OneWakeUpPerKey(WorkQueue[str]):
    """The same queue without the chain: every add wakes an idle worker, whether or not one is on its way."""

    __slots__ = ()

    def _wake_one(self) -> None:
        super()._wake_one()
        self._coming.clear()


def latency(kind: type[WorkQueue[str]], burst: int, pause: float, bursts: int) -> list[float]:
    """Seconds from add to get, with 16 workers that spend a millisecond of I/O on each key."""
    q = work_queue(kind)
    added: dict[str, float] = {}
    taken: list[float] = []

    def work() -> None:
        try:
            while True:
                key = q.get()
                taken.append(time.perf_counter() - added[key])
                select.select([], [], [], 0.001)
                q.forget(key)
                q.done(key)
        except ShutDown:
            return

    threads = [threading.Thread(target=work, name=f"worker-{number}") for number in range(16)]
    for thread in threads:
        thread.start()
    keys = iter(make_keys(burst * bursts))
    for _ in range(bursts):
        for _ in range(burst):
            key = next(keys)
            added[key] = time.perf_counter()
            q.add(key)
        select.select([], [], [], pause)
    q.shut_down_with_drain()
    for thread in threads:
        thread.join()
    return taken


def latencies(runs: int) -> None:
    print("Milliseconds from add to get, 16 workers, 1 ms of I/O per key: the chain against one wake-up per key")
    print(f"{'':28}{'chain p50':>11}{'p99':>8}{'per key p50':>14}{'p99':>8}{'p99, chain / per key':>24}")
    for name, burst, pause, bursts in (
        ("one key every 0.5 ms", 1, 0.0005, 600),
        ("16 keys every 10 ms", 16, 0.010, 40),
        ("64 keys every 20 ms", 64, 0.020, 20),
    ):
        seen: dict[type[WorkQueue[str]], list[list[float]]] = {WorkQueue: [], OneWakeUpPerKey: []}
        for _ in range(runs):
            for kind, results in seen.items():
                results.append(latency(kind, burst, pause, bursts))
        cells = [
            statistics.median(statistics.quantiles(run, n=100)[percent - 1] for run in results) * 1e3
            for results in seen.values()
            for percent in (50, 99)
        ]
        print(f"{name:28}{cells[0]:>11.2f}{cells[1]:>8.2f}{cells[2]:>14.2f}{cells[3]:>8.2f}{cells[1] / cells[3]:>24.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description="What the WorkQueue costs.")
    parser.add_argument("--runs", type=int, default=9, help="runs per figure, of which the median is shown (default: 9)")
    runs = parser.parse_args().runs
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()} ({platform.python_compiler()}), {os.cpu_count()} CPUs, load {load:.2f}\n")
    if load > 0.5 * (os.cpu_count() or 1):
        print("The machine is busy: expect ratios to wander.\n", file=sys.stderr)
    begin = Clock().monotonic()
    throughput(runs)
    sizes(runs)
    latencies(runs)
    print(f"\n{Clock().monotonic() - begin:.0f} seconds.")


if __name__ == "__main__":
    main()
