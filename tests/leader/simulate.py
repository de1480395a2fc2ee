"""A world of candidates, one API server and everything that can go wrong between them, on one thread and a clock of its own.

    python -m tests.leader.simulate [SEEDS] [FIRST]

runs that many schedules (1000 unless given), seeded from FIRST on, and prints what it saw; it fails when a promise was broken:

- at no moment may two candidates write;
- once the faults are over there is a leader again, and a leader that dies is replaced within the lease duration and two acquire
  periods, on the clocks of those who are left.

In each schedule three candidates live for two minutes with partitions, lost, late and repeated answers, refusals, hung calls, paused and
suspended processes, crashes, restarts, orderly stops, conflicts by third parties, and clocks that run at different speeds; then
all is healed and the leader is killed.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from operator_kit.errors import Cancelled, ConnectionFailed, OperatorKitError, api_error
from operator_kit.leader import machine
from operator_kit.leader.rules import JITTER, Rules
from operator_kit.leader.states import (
    Abandon,
    Answered,
    Call,
    Ended,
    Failed,
    Moment,
    Note,
    Retire,
    Started,
    State,
    Stop,
    Tick,
    WorkStopped,
)

__all__ = ["Outcome", "World", "run_seed", "run_seeds"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FAULTS_FOR = 120.0
SETTINGS = ((15.0, 10.0, 2.0), (15.0, 10.0, 2.0), (15.0, 14.0, 2.0), (60.0, 40.0, 15.0), (3.0, 2.0, 0.5))
"""Lease duration, renew deadline, retry period."""


class Server:
    """One lease, with optimistic locking."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0

    def _answer(self) -> dict[str, Any]:
        assert self.lease is not None
        return {**self.lease, "metadata": dict(self.lease["metadata"]), "spec": dict(self.lease["spec"])}

    def _store(self, lease: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self._answer()

    def handle(self, verb: str, lease: dict[str, Any] | None) -> dict[str, Any]:
        if verb == "create":
            assert lease is not None
            if self.lease is not None:
                raise api_error(409, {"reason": "AlreadyExists"})
            return self._store(lease)
        if self.lease is None:
            raise api_error(404, {"reason": "NotFound"})
        if verb == "get":
            return self._answer()
        assert lease is not None
        if lease["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise api_error(409, {"reason": "Conflict"})
        return self._store(lease)

    def touch(self) -> None:
        """Somebody annotates the lease."""
        if self.lease is not None:
            self._store(self.lease)


@dataclass
class Candidate:
    """One process. Its clock shows `offset + rate * time`; it may be dead, standing still, or cut off."""

    rules: Rules
    rate: float
    offset: float
    state: State
    alive: bool = True
    still_until: float = 0.0
    suspended_at: float | None = None
    cut_off_until: float = 0.0
    held_back: list[Any] = field(default_factory=list)  # events that wait for it to go on
    counts_suspend: bool = True  # false: a clock that stands still in a suspended machine, as no elector may use
    suspended_for: float = 0.0
    timer: int = 0
    ongoing: dict[int, Callable[[OperatorKitError], None]] = field(default_factory=dict)

    def at(self, now: float) -> float:
        return self.offset + self.rate * (now if self.counts_suspend else now - self.suspended_for)

    def writes_until(self, now: float) -> float:
        """Until when, on the world's clock, it may write."""
        return now + machine.valid_for(self.state, self.at(now)) / self.rate


@dataclass
class Outcome:
    """What one schedule showed."""

    seed: int
    broken: list[str] = field(default_factory=list)
    takeover: float = 0.0
    bound: float = 0.0
    led: float = 0.0  # the part of the faulty time that somebody could write in
    seen: Counter[str] = field(default_factory=Counter)


class World:
    """One schedule. `rates` and `counts_suspend` can be set to what the protocol cannot bear, to show that this would notice."""

    def __init__(
        self,
        seed: int,
        *,
        rates: tuple[float, float] | None = None,
        counts_suspend: bool = True,
        trace: bool = False,
        **rules: Any,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        lease, renew, retry = self.rng.choice(SETTINGS)
        settings = {"lease_duration": lease, "renew_deadline": renew, "retry_period": retry}
        self.settings = {"on_lost_lease": self.rng.choice(["exit", "rejoin"]), **settings, **rules}
        # The protocol bears clocks whose speeds differ by less than the lease duration differs from the renew deadline.
        spread = (self.settings["lease_duration"] / self.settings["renew_deadline"] * 0.995) ** 0.5
        self.rates = rates or (1 / spread, spread)
        self.counts_suspend = counts_suspend
        self.now = 0.0
        self.server = Server()
        self.outcome = Outcome(seed)
        self.faulty = True
        self.intensity = self.rng.choice([0.05, 0.2, 0.5])
        self.trace = trace
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._names = itertools.count(1)
        self.candidates = [self.spawn() for _ in range(3)]

    # -- the engine -----------------------------------------------------------------------------------------------------

    def after(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + max(0.0, delay), next(self._order), do))

    def run_until(self, end: float) -> Iterator[None]:
        """Everything until that moment, with a stop after each thing that happened."""
        while self._heap and self._heap[0][0] <= end:
            self.now, _, do = heapq.heappop(self._heap)
            do()
            yield
        self.now = end

    def say(self, who: Candidate | None, text: str) -> None:
        if self.trace:
            print(f"{self.now:8.3f} {who.rules.identity if who else '-':>4} {text}")

    # -- candidates -----------------------------------------------------------------------------------------------------

    def spawn(self) -> Candidate:
        rng = self.rng
        rules = Rules("ns", "lock", f"c{next(self._names)}", **self.settings)
        candidate = Candidate(rules, rng.uniform(*self.rates), rng.uniform(0, 1e6), State(), counts_suspend=self.counts_suspend)
        self.after(rng.uniform(0, 3), lambda: self.feed(candidate, Tick()))
        return candidate

    def respawn(self, old: Candidate, delay: float) -> None:
        """The process is gone; another takes its place, later."""
        old.alive = False

        def come() -> None:
            self.candidates[self.candidates.index(old)] = self.spawn()

        self.after(delay, come)

    def feed(self, who: Candidate, event: Any) -> None:
        if not who.alive:
            return
        if self.now < who.still_until:
            who.held_back.append(event)
            return
        moment = Moment(who.at(self.now), EPOCH + timedelta(seconds=self.now), self.rng.random())
        who.state, actions = machine.step(who.rules, who.state, event, moment)
        if actions and self.trace:
            self.say(who, f"{event} -> {who.state.phase.name} {list(actions)}")
        for action in actions:
            self.carry_out(who, action)
        self.check(who)
        self.set_timer(who)

    def set_timer(self, who: Candidate) -> None:
        who.timer += 1
        mine, wake = who.timer, machine.wake_at(who.rules, who.state)
        if wake == float("inf"):
            return

        def ring() -> None:
            if who.timer == mine and who.alive:
                if self.now < who.still_until and who.suspended_at is not None:
                    # Sleeping threads are woken by a clock that stands still in a suspended machine: they wake late.
                    self.after(who.still_until - who.suspended_at, ring)
                else:
                    self.feed(who, Tick())

        self.after((wake - who.at(self.now)) / who.rate + self.rng.uniform(0, 0.01), ring)

    def carry_out(self, who: Candidate, action: Any) -> None:
        self.outcome.seen[type(action).__name__] += 1
        match action:
            case Call():
                self.call(who, action)
            case Abandon():
                end = who.ongoing.get(action.id)
                if end is not None and self.rng.random() < 0.7:  # the rest cannot be ended, such as the resolution of a name
                    end(Cancelled("abandoned"))
            case Ended(lost=True):
                if who.rules.on_lost_lease == "rejoin":
                    term = action.term
                    self.after(self.rng.uniform(0, 4), lambda: self.feed(who, WorkStopped(term)))
                else:
                    self.respawn(who, self.rng.uniform(0.5, 5))
            case Started() | Note() | _:
                pass

    def check(self, who: Candidate) -> None:
        """The promise: whoever can write now is alone."""
        if not who.alive or who.writes_until(self.now) <= self.now:
            return
        for other in self.candidates:
            if other is not who and other.alive and other.writes_until(self.now) > self.now:
                self.outcome.broken.append(
                    f"seed {self.seed}: at {self.now:.3f} both {who.rules.identity} and {other.rules.identity} can write"
                )

    # -- the network ----------------------------------------------------------------------------------------------------

    def call(self, who: Candidate, call: Call) -> None:
        rng = self.rng
        there, back = rng.uniform(0.001, 0.03), rng.uniform(0.001, 0.03)
        limit = call.timeout / who.rate
        fault = self.pick_fault(who)
        if fault:
            self.outcome.seen[fault] += 1

        def end(event: Answered | Failed, delay: float = 0.0) -> None:
            def deliver() -> None:
                if who.ongoing.pop(call.id, None) is not None:
                    self.feed(who, event)

            self.after(delay, deliver)

        who.ongoing[call.id] = lambda error: end(Failed(call.id, error))

        def serve(then: Callable[[Answered | Failed], None]) -> None:
            lease = copy.copy(call.lease)
            try:
                event: Answered | Failed = Answered(call.id, self.server.handle(call.verb, lease))
            except OperatorKitError as exc:
                event = Failed(call.id, exc)
            then(event)

        silence = Failed(call.id, ConnectionFailed("timed out"))
        match fault:
            case "":
                self.after(there, lambda: serve(lambda event: end(event, back)))
            case "refused":
                end(Failed(call.id, ConnectionFailed("refused", sent=False)), there)
            case "lost request" | "cut off":
                end(silence, limit)
            case "lost answer":
                self.after(there, lambda: serve(lambda _: None))
                end(silence, limit)
            case "late request":  # acted on at some time, perhaps long after its sender gave it up
                arrives = rng.uniform(0.1, 40.0)
                self.after(arrives, lambda: serve(lambda event: end(event, back) if arrives + back < limit else None))
                end(silence, limit)
            case "late answer":
                self.after(there, lambda: serve(lambda event: end(event, rng.uniform(0.1, limit))))
                end(silence, limit + 0.05)
            case "hung":  # no limit holds, and then there is an answer after all
                self.after(there, lambda: serve(lambda event: end(event, rng.uniform(0.5, 30.0))))
            case "error before":
                end(Failed(call.id, api_error(rng.choice([429, 500, 503]))), there + back)
            case "error after":  # it was acted on, and the answer is an error
                self.after(there, lambda: serve(lambda _: end(Failed(call.id, api_error(504)), back)))
            case "conflict":
                self.server.touch()
                self.after(there, lambda: serve(lambda event: end(event, back)))

    def pick_fault(self, who: Candidate) -> str:
        if not self.faulty:
            return ""
        if self.now < who.cut_off_until:
            return self.rng.choice(["cut off", "cut off", "refused"])
        if self.rng.random() >= self.intensity:
            return ""
        kinds = ["refused", "lost request", "lost answer", "late request", "late answer", "hung", "error before", "error after"]
        return self.rng.choice([*kinds, "conflict"])

    # -- what befalls them ----------------------------------------------------------------------------------------------

    def disaster(self) -> None:
        if not self.faulty:
            return
        rng = self.rng
        self.after(rng.expovariate(1 / 5.0), self.disaster)
        who = rng.choice(self.candidates)
        if not who.alive or self.now < who.still_until:
            return
        kind = rng.choice(["pause", "pause", "suspend", "cut off", "cut off", "all cut off", "crash", "stop", "touch"])
        self.outcome.seen[kind] += 1
        self.say(who, kind)
        length = rng.choice([rng.uniform(0, 3), rng.uniform(3, 12), rng.uniform(12, 40)])
        if kind in {"pause", "suspend"}:
            who.still_until = self.now + length
            who.suspended_at = self.now if kind == "suspend" else None
            self.after(length, lambda: self.go_on(who))
        elif kind == "cut off":
            who.cut_off_until = self.now + length
        elif kind == "all cut off":
            for each in self.candidates:
                each.cut_off_until = self.now + length
        elif kind == "crash":
            self.respawn(who, rng.uniform(0.5, 20))
        elif kind == "touch":
            self.server.touch()
        else:
            self.stop(who)

    def stop(self, who: Candidate) -> None:
        """An orderly shutdown: no more leading, the work ends, the lease is given back, the process ends."""
        self.feed(who, Retire())

        def work_has_ended() -> None:
            self.feed(who, Stop(release=True, deadline=who.at(self.now) + 5))
            self.after(6, gone)

        def gone() -> None:
            if who.alive:
                self.respawn(who, 1.0)

        self.after(self.rng.uniform(0, 5), work_has_ended)

    def go_on(self, who: Candidate) -> None:
        if self.now >= who.still_until:
            if who.suspended_at is not None:
                who.suspended_for += self.now - who.suspended_at
                who.suspended_at = None
            held, who.held_back = who.held_back, []
            self.check(who)
            self.rng.shuffle(held)  # which thread runs first, nobody knows
            for event in held:
                self.feed(who, event)

    # -- the schedule ---------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        outcome = self.outcome
        self.after(self.rng.uniform(0, 10), self.disaster)
        last = 0.0
        for _ in self.run_until(FAULTS_FOR):
            if any(each.alive and each.writes_until(self.now) > self.now for each in self.candidates):
                outcome.led += self.now - last
            last = self.now
        outcome.led /= FAULTS_FOR
        self.heal()
        bound = self.bound(1 / self.rates[0])
        leader = self.leader_within(bound + 30)  # 30: a process may be restarting or stopping just now
        if leader is None:
            outcome.broken.append(f"seed {self.seed}: no leader {bound + 30:.1f} s after everything was healed")
            return outcome
        self.quiet(10)
        if not self.several():  # the others are restarting just now
            for _ in self.run_until(self.now + 60):
                if self.several():
                    break
        leader = self.leader_within(bound)
        if leader is None:
            outcome.broken.append(f"seed {self.seed}: a leader in a healthy world ceased to be one")
            return outcome
        killed = self.now
        leader.alive = False
        self.say(leader, "killed")
        # Whoever has the quickest clock must have taken it by then, unless another was quicker still.
        bound = outcome.bound = self.bound(1 / max(each.rate for each in self.candidates if each.alive))
        if self.leader_within(bound) is None:
            outcome.broken.append(f"seed {self.seed}: the dead leader was not replaced within {bound:.1f} s")
        outcome.takeover = self.now - killed
        return outcome

    def several(self) -> bool:
        """Whether more than one is there, so that one can take over from another."""
        return sum(each.alive for each in self.candidates) > 1

    def bound(self, stretch: float) -> float:
        """The lease duration and two acquire periods; a second more, for calls take time and timers ring late."""
        rules = self.candidates[0].rules
        return (rules.lease_duration + 2 * rules.retry_period * (1 + JITTER)) * stretch + 1.0

    def heal(self) -> None:
        self.faulty = False
        self.say(None, "healed")
        for who in self.candidates:
            who.cut_off_until = 0.0
            if self.now < who.still_until:
                who.still_until = self.now
                self.go_on(who)
                self.set_timer(who)  # it was set for a longer stillness
            for end in list(who.ongoing.values()):
                end(ConnectionFailed("healed"))

    def quiet(self, seconds: float) -> None:
        for _ in self.run_until(self.now + seconds):
            pass

    def leader_within(self, seconds: float) -> Candidate | None:
        end = self.now + seconds

        def leader() -> Candidate | None:
            return next((each for each in self.candidates if each.alive and each.writes_until(self.now) > self.now), None)

        if leader() is None:
            for _ in self.run_until(end):
                if leader() is not None:
                    break
        return leader()


def run_seed(seed: int, **options: Any) -> Outcome:
    """One schedule."""
    return World(seed, **options).run()


def run_seeds(seeds: range, **options: Any) -> list[Outcome]:
    """Many schedules."""
    return [run_seed(seed, **options) for seed in seeds]


def main() -> int:
    """Run and report."""
    count, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 1000), (2, 0)))
    started = time.process_time()
    outcomes = run_seeds(range(first, first + count))
    seen = sum((outcome.seen for outcome in outcomes), Counter())
    shares = sorted(outcome.takeover / outcome.bound for outcome in outcomes if outcome.bound)
    print(f"{count} schedules in {time.process_time() - started:.1f} s CPU, {count * FAULTS_FOR / 3600:.1f} h of faults")
    print(", ".join(f"{name} {number}" for name, number in sorted(seen.items(), key=lambda item: -item[1])))
    print(f"somebody led {100 * sum(outcome.led for outcome in outcomes) / count:.0f} % of the faulty time")
    if shares:
        print(f"takeover, as a part of what is allowed: median {shares[len(shares) // 2]:.2f}, longest {shares[-1]:.2f}")
    broken = [text for outcome in outcomes for text in outcome.broken]
    print("\n".join(broken[:20]) or "no promise broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
