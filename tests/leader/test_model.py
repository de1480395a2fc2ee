"""Two candidates and a server in the hands of Hypothesis: any order of steps, answers, losses, delays and stops, any time in between."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from operator_kit.errors import ConnectionFailed, OperatorKitError, api_error
from operator_kit.leader.states import Answered, Failed, Phase, Retire, Stop, Tick, WorkStopped
from tests.leader.driver import Driver
from tests.leader.simulate import Server

WHO = st.sampled_from([0, 1])  # all times below are sums of powers of two: exact, so that the bounds can be


class Election(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.now = 1000.0
        self.candidates = [self.new(str(index)) for index in range(2)]
        self.serial = 2
        self.on_their_way: list[tuple[str, dict[str, Any] | None]] = []  # writes that may still arrive, whoever waits for them

    def new(self, name: str) -> Driver:
        return Driver(name, server=self.server, at=self.now, on_lost_lease="rejoin")

    def feed(self, who: int, event: Any) -> None:
        candidate = self.candidates[who]
        candidate.at = self.now
        candidate.wall = self.now
        before, was = candidate.valid_for, candidate.state
        candidate.feed(event)
        if candidate.valid_for > before:
            assert isinstance(event, Answered), "only a write that succeeded gives or extends the right to write"
            assert was.call is not None
            assert was.call.verb != "get"
            assert candidate.state.valid_until == was.call.sent + candidate.rules.renew_deadline

    @rule(seconds=st.sampled_from([0.125, 2.0, 2.25, 4.5, 5.0, 8.875, 9.875, 10.0, 15.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(who=WHO, draw=st.floats(0, 0.99))
    def tick(self, who: int, draw: float) -> None:
        self.candidates[who].draw = draw
        self.feed(who, Tick())

    def handle(self, who: int) -> tuple[int, Any]:
        call = self.candidates[who].call
        try:
            return call.id, self.server.handle(call.verb, call.lease)
        except OperatorKitError as exc:
            return call.id, exc

    def out(self, who: int) -> bool:
        return self.candidates[who].state.call is not None

    @rule(who=WHO, seconds=st.sampled_from([0.0, 2.0, 2.0, 4.5, 4.5]))
    def goes_well(self, who: int, seconds: float) -> None:
        """Some time later it takes a whole turn, and every call of it is answered at once. Who has ended begins anew."""
        self.now += seconds
        if self.candidates[who].state.retired and self.candidates[who].state.phase is not Phase.LEADING:
            self.restart(who)
        self.feed(who, Tick())
        while self.out(who):
            number, end = self.handle(who)
            self.feed(who, Failed(number, end) if isinstance(end, Exception) else Answered(number, end))

    @rule(seconds=st.sampled_from([2.0, 2.0, 4.5]))
    def goes_well_for_both(self, seconds: float) -> None:
        self.goes_well(0, seconds)
        self.goes_well(1, 0.0)

    def restart(self, who: int) -> None:
        self.candidates[who] = self.new(str(self.serial))
        self.serial += 1

    @rule(who=WHO, there=st.sampled_from([0.0, 0.125, 2.0]), back=st.sampled_from([0.0, 0.125, 4.0, 9.875, 12.0]))
    def answer(self, who: int, there: float, back: float) -> None:
        """The call is handled and answered, sooner or later; nobody else moves meanwhile."""
        if self.out(who):
            self.now += there
            number, end = self.handle(who)
            self.now += back
            self.feed(who, Failed(number, end) if isinstance(end, Exception) else Answered(number, end))

    @rule(who=WHO, kind=st.sampled_from(["request lost", "answer lost", "request delayed", 403, 409, 429, 500]))
    def goes_wrong(self, who: int, kind: str | int) -> None:
        if not self.out(who):
            return
        call = self.candidates[who].call
        if kind == "answer lost":
            self.handle(who)
        elif kind == "request delayed":
            self.on_their_way.append((call.verb, call.lease))
        self.feed(who, Failed(call.id, api_error(kind) if isinstance(kind, int) else ConnectionFailed(kind)))

    @precondition(lambda self: self.on_their_way)
    @rule()
    def a_delayed_request_arrives(self) -> None:
        verb, lease = self.on_their_way.pop()
        try:
            self.server.handle(verb, lease)
        except OperatorKitError:
            return

    @rule(who=WHO, what=st.sampled_from(["annotated", "work stopped", "work stopped", "retire", "stop", "release", "restart"]))
    def something_happens(self, who: int, what: str) -> None:
        if what == "annotated":
            self.server.touch()
        elif what == "work stopped":
            self.feed(who, WorkStopped(self.candidates[who].state.term))
        elif what == "retire":
            self.feed(who, Retire())
        elif what in {"stop", "release"}:
            self.feed(who, Stop(what == "release", self.now + 5))
        else:
            self.restart(who)

    @invariant()
    def never_two_that_write(self) -> None:
        for candidate in self.candidates:
            candidate.at = self.now
        assert sum(candidate.valid_for > 0 for candidate in self.candidates) <= 1, self.candidates

    @invariant()
    def states_are_sound(self) -> None:
        for candidate in self.candidates:
            state = candidate.state
            leading = state.phase is Phase.LEADING
            assert leading == (state.valid_until != -math.inf)
            assert candidate.valid_for <= candidate.rules.renew_deadline
            assert candidate.started == len(candidate.ended) + leading
            assert candidate.started <= state.term
            assert state.free_at <= self.now + 15
            assert len(state.claims) <= 8
            if state.call is not None:
                assert candidate.call.timeout > 0
                assert state.call.sent + candidate.call.timeout == state.call.deadline
            if state.stopping:
                assert state.phase in {Phase.RELEASING, Phase.STOPPED}


TestElection = Election.TestCase
TestElection.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
