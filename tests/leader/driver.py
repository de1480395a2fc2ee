"""Drives the election's step function by hand: one candidate, its clock, and whatever the test lets the server answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from operator_kit.errors import OperatorKitError, api_error
from operator_kit.leader import machine
from operator_kit.leader.record import Record, new_lease
from operator_kit.leader.rules import Rules
from operator_kit.leader.states import (
    Action,
    Answered,
    Call,
    Ended,
    Event,
    Failed,
    Moment,
    NewLeader,
    Phase,
    Started,
    State,
    Tick,
)
from tests.leader.simulate import Server

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NOT_FOUND = {"reason": "NotFound", "message": "leases.coordination.k8s.io not found"}


def lease_of(record: Record, version: str = "1") -> dict[str, Any]:
    """A Lease as a server would give it."""
    lease = new_lease("ns", "lock", record, {})
    lease["metadata"]["resourceVersion"] = version
    return lease


def not_found() -> OperatorKitError:
    return api_error(404, NOT_FOUND)


def conflict() -> OperatorKitError:
    return api_error(409, {"reason": "Conflict", "message": "modified"})


class Driver:
    """A candidate named `me` unless told otherwise."""

    def __init__(self, identity: str = "me", *, server: Server | None = None, at: float = 1000.0, **rules: Any) -> None:
        self.rules = Rules("ns", "lock", identity, **rules)
        self.at = at
        self.wall = 0.0  # seconds since EPOCH; can be set to anything: a wall clock jumps
        self.state = State(since=at)
        self.draw = 0.0
        self.server = server or Server()
        self.actions: list[Action] = []
        self.verbs: list[str] = []

    def feed(self, event: Event) -> list[Action]:
        moment = Moment(self.at, EPOCH + timedelta(seconds=self.wall), self.draw)
        self.state, actions = machine.step(self.rules, self.state, event, moment)
        self.actions += actions
        self.verbs += [action.verb for action in actions if isinstance(action, Call)]
        return list(actions)

    def pass_time(self, seconds: float) -> list[Action]:
        """Let time pass, unnoticed, then tick."""
        self.at += seconds
        self.wall += seconds
        return self.feed(Tick())

    @property
    def call(self) -> Call:
        """The call that is out."""
        pending = self.state.call
        assert pending is not None, "no call is out"
        return next(action for action in reversed(self.actions) if isinstance(action, Call) and action.id == pending.id)

    def answer(self, lease: dict[str, Any]) -> list[Action]:
        return self.feed(Answered(self.call.id, lease))

    def accept(self) -> list[Action]:
        """The write that is out succeeds."""
        assert self.call.lease is not None
        return self.answer(self.call.lease)

    def fail(self, error: Exception) -> list[Action]:
        return self.feed(Failed(self.call.id, error))

    def serve(self) -> None:
        """Let the server handle every call that is out, at once."""
        while self.state.call is not None:
            call = self.call
            try:
                self.answer(self.server.handle(call.verb, call.lease))
            except OperatorKitError as exc:
                self.fail(exc)

    def run(self, seconds: float) -> None:
        """Live for that long with a healthy server."""
        end = self.at + seconds
        self.feed(Tick())
        self.serve()
        while (wake := machine.wake_at(self.rules, self.state)) <= end:
            self.pass_time(max(0.0, wake - self.at))
            self.serve()
        self.pass_time(end - self.at)
        self.serve()

    def lead(self) -> Driver:
        """Become leader on the driver's server."""
        self.run(0)
        assert self.state.phase is Phase.LEADING
        return self

    @property
    def valid_for(self) -> float:
        return machine.valid_for(self.state, self.at)

    @property
    def record(self) -> Record:
        """What the server holds."""
        assert self.server.lease is not None
        return Record.of(self.server.lease)

    def edit(self, **spec: Any) -> None:
        """Somebody edits the lease by hand."""
        assert self.server.lease is not None
        self.server.lease = {**self.server.lease, "spec": {**self.server.lease["spec"], **spec}}
        self.server.touch()

    def told(self, kind: type[Action]) -> list[Any]:
        """The actions of a kind so far."""
        return [action for action in self.actions if isinstance(action, kind)]

    @property
    def started(self) -> int:
        return len(self.told(Started))

    @property
    def ended(self) -> list[str]:
        return [action.reason for action in self.told(Ended)]

    @property
    def leaders(self) -> list[str]:
        return [action.identity for action in self.told(NewLeader)]
