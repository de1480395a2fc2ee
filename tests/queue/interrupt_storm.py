"""Workers that are interrupted at random, from outside, in the middle of `get`. Run by test_interrupts.py in a process of its own."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading

from operator_kit.clock import Clock
from operator_kit.queue import ShutDown, WorkQueue


class Interrupted(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


def main() -> int:
    queue: WorkQueue[str] = WorkQueue()
    rng = random.Random(7)
    keys = [f"ns-{number % 3}/{number}" for number in range(20)]
    version = dict.fromkeys(keys, 0)
    seen = dict.fromkeys(keys, 0)
    inside = [False] * 4
    hits = [0] * 4
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def turn(number: int) -> bool:
        key = ""
        try:
            inside[number] = True
            key = queue.get()
            inside[number] = False
        except ShutDown:
            return False
        except (Interrupted, RuntimeError):  # RuntimeError: it hit the standard library between the two halves of a wait
            inside[number] = False
            hits[number] += 1
        while key:
            try:
                seen[key] = version[key]
                queue.done(key)
                key = ""
            except ValueError:  # done already, and interrupted on the way out
                key = ""
            except Interrupted:
                hits[number] += 1
        return True

    def worker(number: int) -> None:
        while True:
            try:
                if not turn(number):
                    return
            except Interrupted:
                hits[number] += 1

    workers = [threading.Thread(target=worker, args=(number,), name=f"worker-{number}", daemon=True) for number in range(4)]
    for thread in workers:
        thread.start()
    clock = Clock()
    for _ in range(1500):
        for key in rng.choices(keys, k=5):
            version[key] += 1
            queue.add(key)
        victim = rng.randrange(4)
        if inside[victim]:
            interrupt(ctypes.c_ulong(workers[victim].ident or 0), ctypes.py_object(Interrupted))
        clock.sleep(0.0005)
    for key in keys:
        version[key] += 1
        queue.add(key)
    drained = queue.shut_down_with_drain(120)
    print(f"interrupted {sum(hits)} times; drained {drained}; {queue.snapshot()}")
    return 0 if drained and seen == version and sum(hits) > 10 else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a worker may have been interrupted on its way out
