"""Runs a few threads one at a time, in every order that their lock boundaries allow.

A queue that is put under a `Schedule` hands over at each boundary: before it takes its lock, before it looks at the waiting keys without
the lock, and where a worker waits. There the schedule decides who goes on. Letting the time come that a waiting thread waits for is a
choice too. `every_order` follows every choice, depth first, and stops following an order where it meets a state it has seen before (the
queue, what the world knows, and where each thread stands): what can come of that has been seen too.
"""

from __future__ import annotations

import sys
import threading
from _thread import allocate_lock
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

from operator_kit.clock import Clock
from operator_kit.queue import WorkQueue


class Abort(BaseException):
    """Ends the threads of a run that failed."""


class SeenBefore(Exception):
    """This order has led to a state from which everything was followed already."""


class Actor:
    """One thread of a scenario."""

    def __init__(self, name: str, body: Callable[[], None], schedule: Schedule) -> None:
        self.name, self.body, self.schedule = name, body, schedule
        self.go = allocate_lock()
        self.go.acquire()
        self.blocked = False
        self.deadline: float | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)
        self.thread.start()

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.schedule.aborted:
                self.schedule.current = self
                self.body()
        except Abort:
            pass
        except BaseException as exc:  # noqa: BLE001  # whatever it is, it is raised again where the schedule runs
            self.error = exc
        self.ended = True
        self.schedule.control.release()

    def release(self) -> None:
        """Called by `Condition.notify`, to which an actor that waits looks like the lock it would wait for."""
        self.blocked = False
        self.deadline = None


class Gate:
    """The queue's lock. Never contended: between two boundaries only one thread runs."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.owner: int | None = None
        self.depth = 0

    def acquire(self) -> bool:
        if not self._is_owned():
            self.schedule.pause()
            assert self.owner is None
            self.owner = threading.get_ident()
        self.depth += 1
        return True

    def release(self) -> None:
        assert self._is_owned()
        self.depth -= 1
        if not self.depth:
            self.owner = None

    def _is_owned(self) -> bool:
        return self.owner == threading.get_ident()

    def __contains__(self, answer: object) -> bool:
        return self.acquire() is answer

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Watched(dict[Any, Any]):
    """The waiting keys: a look at them without the lock is a boundary."""

    gate: Gate

    def __contains__(self, key: object) -> bool:
        if not self.gate._is_owned():
            self.gate.schedule.pause()
        return super().__contains__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        if not self.gate._is_owned():
            self.gate.schedule.pause()
        return super().get(key, default)


class Schedule(Clock):
    """One run: the choices to make, and the clock that the queue reads."""

    def __init__(self, choices: list[int], seen: set[object]) -> None:
        self.choices = choices
        self.seen = seen
        self.scenario: Scenario | None = None
        self.queues: list[WorkQueue[str]] = []
        self.waits_on: dict[threading.Condition, str] = {}
        self.options: list[int] = []
        self.trace: list[str] = []
        self.now = 0.0
        self.gate = Gate(self)
        self.control = allocate_lock()
        self.control.acquire()
        self.current: Actor | None = None
        self.actors: list[Actor] = []
        self.aborted = False
        self.meeting: list[Actor] = []
        self.patient = False  # True: time passes only when nobody can go on

    def __repr__(self) -> str:
        return "<Schedule>"

    monotonic = None  # type: ignore[assignment]  # set below; the class attribute of Clock is a static method

    def queue(self, **options: Any) -> WorkQueue[str]:
        """A queue under this schedule."""
        queue: WorkQueue[str] = WorkQueue(clock=self, **options)
        waiting = Watched()
        waiting.gate = self.gate
        queue._lock, queue._enter, queue._waiting = self.gate, self.gate, waiting  # type: ignore[assignment]
        queue._finished = threading.Condition(self.gate)  # type: ignore[arg-type]
        self.queues.append(queue)
        return queue

    def actor(self, name: str, body: Callable[[], None]) -> None:
        self.actors.append(Actor(name, body, self))

    def wait_until(self, condition: threading.Condition, deadline: float | None) -> None:
        if deadline is not None and deadline <= self.now:
            return
        me = self.current
        assert me is not None
        me.blocked, me.deadline = True, deadline
        self.waits_on[condition] = me.name
        condition._waiters.append(me)  # type: ignore[attr-defined]
        depth, self.gate.depth, self.gate.owner = self.gate.depth, 0, None
        try:
            self.pause()
        finally:
            if me in condition._waiters:  # type: ignore[attr-defined]
                condition._waiters.remove(me)  # type: ignore[attr-defined]
            self.gate.depth, self.gate.owner = depth, threading.get_ident()

    def pause(self) -> None:
        """A boundary: somebody else may go first."""
        me = self.current
        if me is None or threading.current_thread() is not me.thread:
            return  # the test itself, before or after the run
        if self.aborted:
            raise Abort
        self.control.release()
        me.go.acquire()
        self.current = me
        if self.aborted:
            raise Abort

    def meet(self, count: int) -> None:
        """Wait, outside the queue, until so many actors are here."""
        me = self.current
        assert me is not None
        self.meeting.append(me)
        if len(self.meeting) == count:
            for actor in self.meeting:
                actor.release()
            return
        me.blocked = True
        self.pause()

    def run(self) -> None:
        """Let the actors run until none can."""
        while True:
            able: list[Actor | float] = [actor for actor in self.actors if not actor.ended and not actor.blocked]
            deadlines = [actor.deadline for actor in self.actors if actor.deadline is not None and not actor.ended]
            if deadlines and not (self.patient and able):
                able.append(min(deadlines))
            if not able:
                break
            step = len(self.options)
            if step >= len(self.choices):
                state = self.state()
                if state in self.seen:
                    raise SeenBefore
                self.seen.add(state)
            choice = self.choices[step] if step < len(self.choices) else 0
            self.options.append(len(able))
            chosen = able[choice]
            if isinstance(chosen, Actor):
                self.trace.append(chosen.name)
                chosen.go.release()
                self.control.acquire()
                if chosen.error is not None:
                    raise chosen.error
            else:
                self.trace.append(f"time {chosen:g}")
                self.now = chosen
                for actor in self.actors:
                    if actor.deadline is not None and actor.deadline <= chosen:
                        actor.release()
        self.current = None

    def state(self) -> object:
        """All that the future depends on."""
        assert self.scenario is not None
        frames = sys._current_frames()
        where = [
            (actor.ended, actor.blocked, actor.deadline, standing(frames.get(actor.thread.ident or 0))) for actor in self.actors
        ]
        known = [repr(value) for value in self.scenario.gi_frame.f_locals.values() if not callable(value)]
        return repr((self.now, self.scenario.gi_frame.f_lasti, where, known, [self.inside(queue) for queue in self.queues]))

    def inside(self, queue: WorkQueue[str]) -> object:
        """The queue's state, with its conditions named by who waits on them."""

        def who(condition: threading.Condition | None) -> str:
            return "" if condition is None else self.waits_on[condition]

        return (
            list(queue._waiting.items()),
            list(queue._processing.items()),
            [(key, again.priority, again.plain) for key, again in queue._again.items()],
            [(key, entry.deadline, entry.priority, entry.backoff) for key, entry in queue._held.items()],
            [(lane.priority, lane.flows, list(lane.ring), lane.ghosts) for lane in queue._order],
            [who(condition) for condition in queue._parked],
            [who(condition) for condition in queue._coming],
            who(queue._timekeeper),
            (queue._alarm, queue._turns, queue._closed, queue._draining, queue._dropped),
        )

    def end(self) -> None:
        self.aborted = True
        for actor in self.actors:
            if not actor.ended:
                actor.go.release()
                self.control.acquire()
            actor.thread.join()


def _now(schedule: Schedule) -> float:
    return schedule.now


Schedule.monotonic = _now  # type: ignore[assignment, method-assign]


Scenario = Generator[None, None, None]


def standing(frame: FrameType | None) -> list[object]:
    """Where a thread stands, and with which plain values at hand."""
    stand: list[object] = []
    while frame is not None and frame.f_code.co_filename != threading.__file__:
        plain = {name: value for name, value in frame.f_locals.items() if isinstance(value, str | int | float | type(None))}
        stand.append((frame.f_code.co_name, frame.f_lasti, plain))
        frame = frame.f_back
    return stand


def every_order(scenario: Callable[[Schedule], Scenario], *, limit: int = 5000) -> int:
    """Follow a scenario in every order; gives how many states there were.

    The scenario sets up a queue and actors, yields, and is resumed when no actor can go on. It then asserts, and may yield again.
    """
    seen: set[object] = set()
    choices: list[int] = []
    for _ in range(limit):
        schedule = Schedule(choices, seen)
        try:
            schedule.scenario = scenario(schedule)
            for _ in schedule.scenario:
                schedule.run()
        except SeenBefore:
            pass
        except BaseException as exc:
            exc.add_note(f"order: {' | '.join(schedule.trace)}")
            raise
        finally:
            schedule.end()
        taken = choices + [0] * (len(schedule.options) - len(choices))
        while taken and taken[-1] + 1 >= schedule.options[len(taken) - 1]:
            taken.pop()
        if not taken:
            return len(seen)
        taken[-1] += 1
        choices = taken
    raise AssertionError(f"more than {limit} orders")
