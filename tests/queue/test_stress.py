"""Real threads, as they come. No key twice at once, none lost, the last version of each seen by a run that began after it."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest

from operator_kit.queue import HIGH, LOW, NORMAL, ExponentialBackoff, ShutDown, WorkQueue


class Stress:
    def __init__(self, seed: int, *, workers: int, producers: int, adds: int) -> None:
        self.queue: WorkQueue[str] = WorkQueue(rate_limiter=ExponentialBackoff(base=0.0001, cap=0.002))
        self.keys = [f"ns-{number % 7}/{number}" for number in range(60)]
        self.version = dict.fromkeys(self.keys, 0)
        self.seen = dict.fromkeys(self.keys, 0)
        self.running: Counter[str] = Counter()
        self.failures: list[str] = []
        self.lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self.work, args=(random.Random(seed + number),), name=f"worker-{number}")
            for number in range(workers)
        ]
        self.producers = [
            threading.Thread(target=self.produce, args=(random.Random(seed - number - 1), adds), name=f"producer-{number}")
            for number in range(producers)
        ]

    def produce(self, rng: random.Random, adds: int) -> None:
        for _ in range(adds):
            key = rng.choice(self.keys)
            kind = rng.randrange(10)
            if kind < 6:
                with self.lock:
                    self.version[key] += 1
                self.queue.add(key, priority=rng.choice([LOW, NORMAL, HIGH]))
            elif kind < 8:
                self.queue.add(key, priority=LOW, respect_backoff=True)
            elif kind == 8:
                self.queue.add_after(key, rng.random() * 0.002)
            else:
                assert len(self.queue) >= 0
                self.queue.snapshot(limit=3)

    def work(self, rng: random.Random) -> None:
        while True:
            try:
                key = self.queue.get(rng.choice([None, 0.001, 0.01]))
            except TimeoutError:
                continue
            except ShutDown:
                return
            with self.lock:
                self.running[key] += 1
                if self.running[key] > 1:
                    self.failures.append(f"{key} in two workers at once")
                before = self.version[key]
            if rng.random() < 0.1:
                self.queue.add_rate_limited(key)
            else:
                self.seen[key] = before
                self.queue.forget(key)
            with self.lock:
                self.running[key] -= 1
            self.queue.done(key)

    def run(self) -> None:
        for thread in (*self.threads, *self.producers):
            thread.start()
        for thread in self.producers:
            thread.join()


@pytest.mark.parametrize("workers", [2, 8, 24])
def test_real_threads(workers: int) -> None:
    stress = Stress(workers, workers=workers, producers=3, adds=2000)
    stress.run()
    while not stress.queue.idle:  # retries come back by themselves, with nobody adding anything
        stress.threads[0].join(0.002)
    assert stress.seen == stress.version
    stress.queue.shut_down()
    for thread in stress.threads:
        thread.join(60)
    assert not [thread for thread in stress.threads if thread.is_alive()]
    assert not stress.failures


def test_real_threads_and_a_drain() -> None:
    stress = Stress(99, workers=8, producers=4, adds=1000)
    stress.run()
    assert stress.queue.shut_down_with_drain(120)
    for thread in stress.threads:
        thread.join(60)
    assert not [thread for thread in stress.threads if thread.is_alive()]
    assert not stress.failures
    assert not any(stress.running.values())


def test_a_burst_meets_every_idle_worker() -> None:
    """The chain goes on while keys wait: sixteen keys that take their time are in sixteen workers at once."""
    queue: WorkQueue[str] = WorkQueue()
    all_here = threading.Barrier(17)

    def work() -> None:
        try:
            while True:
                key = queue.get()
                all_here.wait(60)
                queue.done(key)
        except ShutDown:
            return

    workers = [threading.Thread(target=work, name=f"worker-{number}") for number in range(16)]
    for thread in workers:
        thread.start()
    for number in range(16):
        queue.add(f"key-{number}")
    all_here.wait(60)
    queue.shut_down()
    for thread in workers:
        thread.join()
