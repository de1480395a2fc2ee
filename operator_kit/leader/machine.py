"""The election itself: `step(rules, state, event, moment)` gives the next state and what is to be done.

No thread, call, clock or lock: the shell round it is `elector.Elector`.

The contract is client-go's `tools/leaderelection`: a lease is observed by the local clock only, from the moment its content was
seen to change; it is taken when what its holder claims has passed; a leader renews by one blind write and reads only when that
fails. Where this is stricter, deliberately:

- The right to write ends `renew_deadline` after the last successful renewal was *sent*, not some tries later, and at once when
  another holder is seen. Once over, it does not come back in the same term.
- A claim that was observed is waited for even if the lease is deleted, emptied or shortened by hand meanwhile; only a release
  proper (nobody, for one second) frees it at once.
- A lease is ours if it names us and carries an acquire time that we wrote: a second process of the same identity waits like any
  other.
- A lease without a usable duration counts as held for ours.
- The lease is given back only on request, and then only if it is still ours.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from operator_kit.errors import AlreadyExists, ApiError, Cancelled, Conflict, Forbidden, NotFound
from operator_kit.leader.record import Record, micro_time, new_lease, updated_lease
from operator_kit.leader.rules import JITTER, Rules
from operator_kit.leader.states import (
    Abandon,
    Action,
    Answered,
    Call,
    Ended,
    Event,
    Failed,
    GiveUp,
    Moment,
    NewLeader,
    Note,
    Pending,
    Phase,
    Retire,
    Started,
    State,
    Stop,
    Tick,
    Verb,
    WorkStopped,
)
from operator_kit.objects import Object
from operator_kit.settings import format_duration

__all__ = ["end_of_work", "explain", "step", "valid_for", "wake_at"]

_CLAIMS_KEPT = 8


def step(rules: Rules, state: State, event: Event, moment: Moment) -> tuple[State, Sequence[Action]]:
    """The state after the event, and what is to be done, in this order."""
    turn = _Turn(rules, state, moment)
    if state.phase is not Phase.STOPPED:
        turn.expire()
        if turn.state.phase is not Phase.STOPPED:
            turn.take(event)
            turn.go_on()
    return turn.state, turn.actions


def valid_for(state: State, at: float) -> float:
    """Seconds for which the leader may still write; 0 for anyone else."""
    return max(0.0, state.valid_until - at) if state.phase is Phase.LEADING else 0.0


def end_of_work(rules: Rules, state: State, at: float) -> float:
    """When the work of a leader must have ended that leads no longer from `at` on, or since before that without noticing it."""
    return min(at, state.valid_until) + rules.lease_duration - rules.renew_deadline


def wake_at(rules: Rules, state: State) -> float:
    """When the next `Tick` is due, if nothing else happens before."""
    moments = [math.inf]
    if state.phase is Phase.STOPPED:
        return math.inf
    if state.phase is Phase.LEADING:
        moments.append(state.valid_until)
    elif state.phase is Phase.RELEASING:
        moments.append(state.give_up_at)
    if state.call is not None:
        if not state.call.abandoned:
            moments.append(_overdue_at(rules, state.call))
    elif _active(state):
        moments.append(state.next_try)
    return min(moments)


def explain(rules: Rules, what: str, error: Exception) -> str:
    """One line that says what failed and, where a person can mend it, how."""
    lease = f"lease {rules.namespace}/{rules.name}"
    if isinstance(error, Forbidden):
        return (
            f"may not {what} the {lease}: {error}; "
            f"a Role in namespace {rules.namespace} must allow get, create and update of leases in coordination.k8s.io"
        )
    if isinstance(error, NotFound) and what == "create":
        return f"cannot create the {lease}: {error}; the namespace must exist"
    return f"cannot {what} the {lease}: {str(error) or type(error).__name__}"


def _overdue_at(rules: Rules, call: Pending) -> float:
    # It should end by itself at its deadline; this is for one that does not.
    return call.deadline + rules.retry_period / 2


def _active(state: State) -> bool:
    """Whether it makes calls in this phase."""
    if state.phase is Phase.STANDBY:
        return not state.retired
    return state.phase in {Phase.LEADING, Phase.RELEASING}


class _Turn:
    """One step under way: the state so far, and what is to be done."""

    def __init__(self, rules: Rules, state: State, moment: Moment) -> None:
        self.rules = rules
        self.state = state
        self.at = moment.at
        self.moment = moment
        self.actions: list[Action] = []

    def set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def enter(self, phase: Phase, **changes: Any) -> None:
        self.set(phase=phase, since=self.at, **changes)
        if phase is Phase.STOPPED and self.state.call is not None:
            self.abandon(self.state.call)
            self.set(call=None)  # nobody waits for its end any more

    def note(self, level: int, text: str) -> None:
        self.actions.append(Note(level, text))

    # -- what happened -------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Before anything else: what came too late counts no more, not even a success."""
        state = self.state
        if state.phase is Phase.LEADING and self.at >= state.valid_until:
            because = f" ({state.problem})" if state.problem else ""
            self.lose(f"the lease could not be renewed within {format_duration(self.rules.renew_deadline)}{because}")
        elif state.phase is Phase.RELEASING and self.at >= state.give_up_at:
            because = f": {state.problem}" if state.problem else ""
            self.note(logging.WARNING, f"the lease could not be given back in time{because}; it will lapse")
            self.released()

    def take(self, event: Event) -> None:
        match event:
            case Tick():
                return
            case Answered():
                self.answered(event)
            case Failed():
                self.failed(event)
            case Retire():
                self.set(retired=True)
            case WorkStopped():
                if self.state.phase is Phase.LOST and event.term == self.state.term and self.rules.on_lost_lease == "rejoin":
                    self.enter(Phase.STANDBY, next_try=self.at + self.pause())
                    self.note(logging.INFO, "all work has ended: a candidate again")
            case GiveUp():
                if self.state.phase is Phase.LEADING:
                    self.lose(event.reason)
            case Stop():
                self.stop(event)

    def answered(self, event: Answered) -> None:
        call = self.state.call
        if call is None or call.id != event.id:
            return
        self.set(call=None)
        if call.verb == "get":
            self.observe(event.lease)
            self.read(call)
            self.mended()
        else:
            self.set(problem="")
            self.wrote(call, event.lease)

    def mended(self) -> None:
        """The lease could be read. If that leads to a write, only its success shows that all is well."""
        if self.state.call is None:
            self.set(problem="")

    def failed(self, event: Failed) -> None:
        call = self.state.call
        if call is None or call.id != event.id:
            return
        self.set(call=None)
        if call.verb == "get" and isinstance(event.error, NotFound):
            self.observe(None)
            self.read(call)
            self.mended()
            return
        self.complain(call, event.error)
        if call.verb != "get":
            self.set(lease=None)  # its version may not be the newest any more
        state = self.state
        if state.phase is Phase.LEADING and call.fast and isinstance(event.error, ApiError):
            self.send("get", began=call.began)  # the slow path; without an answer at all, wait first
        elif state.phase is Phase.RELEASING:
            again = isinstance(event.error, Conflict | AlreadyExists | NotFound)
            self.set(next_try=self.at + self.rules.retry_period * (0.1 if again else 0.5))
        else:
            self.end_try(call)

    def stop(self, event: Stop) -> None:
        state = self.state
        self.set(stopping=True, retired=True, valid_until=-math.inf)
        if state.phase is Phase.LEADING:
            self.actions.append(Ended(state.term, "the elector was told to stop", lost=False))
        if not (event.release and state.claims):
            self.enter(Phase.STOPPED)
            return
        self.release(event.deadline)
        if state.call is not None and not state.call.release:
            self.abandon(state.call)

    # -- what the lease says -------------------------------------------------------------------------------------------

    def observe(self, lease: Object | None) -> None:
        """Note what was seen, and when others' claims will have passed: by our clock, counted from now.

        A claim seen before outlives a change that is no release, but for no longer than our own lease duration: a lease edited to
        a thousand years can be mended by another edit.
        """
        state = self.state
        earlier = min(state.free_at, self.at + self.rules.lease_duration)
        if lease is None:
            self.set(lease=None, free_at=earlier)
            return
        record = Record.of(lease)
        if record == state.record:
            self.set(lease=lease)
            return
        if record.released:
            free_at = self.at
        elif not record.holder:
            free_at = earlier
        else:
            free_at = max(earlier, self.at + (record.duration or self.rules.lease_duration))
        self.set(lease=lease, record=record, free_at=free_at)
        self.report(record.holder)

    def report(self, holder: str) -> None:
        if holder != self.state.leader:
            self.set(leader=holder)
            if holder:
                self.actions.append(NewLeader(holder))

    def ours(self) -> bool:
        """Whether the lease, as last seen, is one that this process took."""
        record = self.state.record
        return (
            self.state.lease is not None
            and record is not None
            and record.holder == self.rules.identity
            and record.acquire_time in self.state.claims
        )

    def read(self, call: Pending) -> None:
        """The lease was just read; `state.lease` is None if there is none."""
        state = self.state
        if state.phase is Phase.LEADING:
            holder = state.record.holder if state.record is not None and state.lease is not None else ""
            if self.ours():
                self.set(slow_paths=state.slow_paths + 1)
                self.renew(began=call.began)
            elif state.lease is None and state.record is not None and state.record.holder == self.rules.identity:
                self.note(logging.WARNING, "the lease was deleted: it is made again")
                self.write(state.record.renewed(self.rules.seconds, self.now()), began=call.began)
            elif not holder:
                self.note(logging.WARNING, "the lease was emptied: it is taken again")
                self.claim(began=call.began)
            elif holder == self.rules.identity:
                self.lose("another process uses the same identity, or the lease was edited")
            else:
                self.lose(f"{holder} holds the lease")
        elif state.phase is Phase.STANDBY and not state.retired:
            if self.ours():
                self.renew(began=call.began)
            elif self.at >= state.free_at:
                self.claim(began=call.began)
            else:
                self.end_try(call)
        elif state.phase is Phase.RELEASING:
            if self.ours() and state.record is not None:
                self.write(state.record.given_back(self.now()), began=call.began, release=True)
            else:
                self.released()

    def wrote(self, call: Pending, lease: Object) -> None:
        """The lease was just written, by us: nobody else holds it."""
        record = Record.of(lease)
        self.set(lease=lease, record=record, free_at=self.at)
        if call.release:
            self.released()
            return
        self.set(claims=(record.acquire_time,))
        self.report(record.holder)
        state, valid_until = self.state, call.sent + self.rules.renew_deadline
        if state.phase is Phase.LEADING:
            self.set(valid_until=valid_until, next_try=max(self.at, call.began + self.rules.retry_period))
        elif state.phase is Phase.RELEASING:
            self.set(next_try=self.at)
        elif state.phase is Phase.STANDBY:
            if state.retired:  # told so while the call was out: nothing has begun, so nothing need end
                self.release(self.at + self.rules.renew_deadline)
            elif self.at >= valid_until:  # the process stood still meanwhile
                self.set(next_try=self.at)
            else:
                term = state.term + 1
                self.enter(Phase.LEADING, term=term, valid_until=valid_until, next_try=call.began + self.rules.retry_period)
                self.actions.append(Started(term, record.transitions))

    # -- what to do next -----------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        self.expire()
        state = self.state
        if state.call is not None:
            if self.at >= _overdue_at(self.rules, state.call):
                self.abandon(state.call)
        elif _active(state) and self.at >= state.next_try:
            if state.phase is Phase.LEADING and self.ours():
                self.renew(began=self.at, fast=True)
            else:
                self.send("get", began=self.at)

    def pause(self) -> float:
        """How long a standby waits between two looks."""
        return self.rules.retry_period * (1 + JITTER * self.moment.draw)

    def end_try(self, call: Pending) -> None:
        if self.state.phase is Phase.LEADING:
            self.set(next_try=max(call.began + self.rules.retry_period, self.at + self.rules.retry_period / 10))
        else:
            self.set(next_try=self.at + self.pause())

    def claim(self, *, began: float) -> None:
        """Write that the lease is ours from now on."""
        now = self.now()
        before = self.state.record
        record = Record(self.rules.identity, self.rules.seconds, now, now, before.transitions + 1 if before else 0)
        self.set(claims=(*self.state.claims, now)[-_CLAIMS_KEPT:])
        self.write(record, began=began)

    def renew(self, *, began: float, fast: bool = False) -> None:
        """Write that the lease is still ours."""
        assert self.state.record is not None
        self.write(self.state.record.renewed(self.rules.seconds, self.now()), began=began, fast=fast)

    def write(self, record: Record, *, began: float, fast: bool = False, release: bool = False) -> None:
        rules, lease = self.rules, self.state.lease
        if lease is None:
            body = new_lease(rules.namespace, rules.name, record, rules.labels)
            self.send("create", body, began=began)
        else:
            self.send("replace", updated_lease(lease, record, rules.labels), began=began, fast=fast, release=release)

    def send(self, verb: Verb, body: Object | None = None, *, began: float, fast: bool = False, release: bool = False) -> None:
        state = self.state
        timeout = self.rules.call_timeout
        if state.phase is Phase.LEADING:
            timeout = min(timeout, state.valid_until - self.at)
        elif state.phase is Phase.RELEASING:
            timeout = min(timeout, state.give_up_at - self.at)
        call = Pending(state.calls + 1, verb, self.at, self.at + timeout, began, fast=fast, release=release)
        self.set(call=call, calls=call.id)
        self.actions.append(Call(call.id, verb, timeout, body))

    def abandon(self, call: Pending) -> None:
        if not call.abandoned:
            self.set(call=replace(call, abandoned=True))
            self.actions.append(Abandon(call.id))

    def lose(self, reason: str) -> None:
        end_by = end_of_work(self.rules, self.state, self.at)
        self.enter(Phase.LOST, valid_until=-math.inf, end_by=end_by)
        self.actions.append(Ended(self.state.term, reason, lost=True))

    def release(self, deadline: float) -> None:
        give_up_at = min(deadline, self.at + self.rules.renew_deadline)
        self.enter(Phase.RELEASING, give_up_at=give_up_at, next_try=self.at)

    def released(self) -> None:
        phase = Phase.STOPPED if self.state.stopping else Phase.STANDBY
        self.enter(phase, claims=(), give_up_at=math.inf, next_try=math.inf)

    def complain(self, call: Pending, error: Exception) -> None:
        what = {"get": "read", "create": "create", "replace": "write"}[call.verb]
        problem = explain(self.rules, "give back" if call.release else what, error)
        if isinstance(error, Conflict | AlreadyExists | Cancelled):
            # Another wrote it first, which is what the version is for; or the call was ended by us.
            self.note(logging.DEBUG, problem)
        elif problem != self.state.problem or self.state.phase is Phase.LEADING:
            self.note(logging.WARNING, problem)
        self.set(problem=problem)

    def now(self) -> str:
        return micro_time(self.moment.wall)
