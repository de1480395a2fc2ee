"""The elector: the thread, the clock and the calls round `machine.step`.

What the manager does with it:

    elector = Elector(LeaseApi(client, rules), rules, on_started=…, on_stopped=…)
    elector.start()                        a candidate from now on
    elector.fence()                        asked before every write of leader-only work
    elector.retire()                       when a shutdown begins: a standby no longer becomes leader; a leader goes on renewing
    elector.work_stopped()                 after a loss, once all work has ended: may rejoin
    elector.stop(release=…, timeout=…)     last of all; `release=True` only when all work has ended

The elector never waits for an answer of the API server: its own thread only counts the time, so the end of a leadership is told
when it is due even while a call hangs. Callbacks run on that thread, one by one, under no lock; they must return at once.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from operator_kit.clock import Clock
from operator_kit.leader import machine
from operator_kit.leader.caller import Caller
from operator_kit.leader.fence import Fence
from operator_kit.leader.lease import LeaseCalls
from operator_kit.leader.record import LEASE
from operator_kit.leader.rules import Rules
from operator_kit.leader.states import (
    Abandon,
    Action,
    Call,
    Ended,
    Event,
    GiveUp,
    Moment,
    NewLeader,
    Note,
    Phase,
    Retire,
    Started,
    State,
    Stop,
    Tick,
    WorkStopped,
)
from operator_kit.objects import Object, metadata_of
from operator_kit.observe.logging import bound
from operator_kit.observe.metrics import Family
from operator_kit.settings import format_duration

__all__ = ["Elector"]

_log = logging.getLogger("operator_kit.leader")

HEALTH_TOLERANCE = 20.0
"""Seconds beyond the lease duration that `health` overlooks: what client-go's users choose."""


class Elector:
    """One candidate of one election. Owns the threads `leader-election` and `leader-election-calls`.

    Args:
        calls: the lease on the API server.
        rules: the settings.
        on_started: called with the fence of the term when this process begins to lead. If it raises, the leadership is given up.
        on_stopped: called with the reason when it leads no longer; once for each call of `on_started`.
        on_new_leader: called with the identity of each new holder that is observed, this process included.
        record_event: called with the Lease, a reason and a note, for an Event on the lease; must not block.
        clock: the clock.
        draw: gives a number in [0, 1), for jitter.
    """

    def __init__(
        self,
        calls: LeaseCalls,
        rules: Rules,
        *,
        on_started: Callable[[Fence], None] | None = None,
        on_stopped: Callable[[str], None] | None = None,
        on_new_leader: Callable[[str], None] | None = None,
        record_event: Callable[[Object, str, str], None] | None = None,
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.rules = rules
        self._clock = clock or Clock()
        self._draw = draw
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._on_new_leader = on_new_leader
        self._record_event = record_event
        self._condition = threading.Condition()
        self._inbox: deque[Event] = deque()  # under the condition
        self._state = State(since=self._clock.boottime())  # replaced under the condition, by the elector's thread; read anywhere
        self._fence = Fence(lambda: 0.0, holder=rules.identity, clock=self._clock)
        self._crash = ""
        self._caller = Caller(calls, self._clock, self._post)
        self._thread: threading.Thread | None = None

    # -- lifecycle ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Become a candidate. Raises RuntimeError when called twice."""
        if self._thread is not None:
            raise RuntimeError("an elector is started once")
        self._thread = threading.Thread(target=self._run, name="leader-election", daemon=True)
        self._caller.start()
        self._thread.start()

    def retire(self) -> None:
        """Do not become leader any more; a leader goes on renewing until `stop`. For the beginning of a shutdown."""
        self._post(Retire())

    def work_stopped(self) -> None:
        """Tell that all work of the term that was lost has ended. With `rejoin`, this process is a candidate again."""
        self._post(WorkStopped(self._state.term))

    def stop(self, *, release: bool, timeout: float) -> bool:
        """End the election here, and its threads. With `release`, give the lease back if it is ours.

        Args:
            release: only true when *all* work guarded by the lease has ended: another may begin at once.
            timeout: seconds for giving the lease back and for the threads to end. A lease that could not be given back lapses.

        Returns:
            Whether the threads have ended. On the elector's own thread (in a callback) it does not wait, and returns False.
        """
        thread = self._thread
        if thread is None:
            with self._condition:
                self._state = replace(self._state, phase=Phase.STOPPED, since=self._clock.boottime())
            return True
        deadline = self._clock.monotonic() + timeout
        # The last tenth is for the threads to end, also when giving the lease back used up its time.
        self._post(Stop(release, self._clock.boottime() + 0.9 * timeout))
        if thread is threading.current_thread():
            return False
        thread.join(timeout)
        return self._caller.join(max(0.0, deadline - self._clock.monotonic())) and not thread.is_alive()

    # -- what others ask ------------------------------------------------------------------------------------------------

    def valid_for(self) -> float:
        """Seconds for which this process may still write as the leader; 0 for anyone else. Never blocks."""
        return machine.valid_for(self._state, self._clock.boottime())

    def grace(self) -> float:
        """Seconds that the work of a lost term still has to end; 0 when there are none, or nothing was lost."""
        return max(0.0, self._state.end_by - self._clock.boottime())

    def is_leader(self) -> bool:
        """Whether this process leads *and* its lease cannot have lapsed."""
        return self.valid_for() > 0

    def fence(self) -> Fence:
        """The fence of the present term; one that refuses everything when this process does not lead."""
        return self._fence

    @property
    def state(self) -> State:
        """All that the elector knows, at one moment."""
        return self._state

    @property
    def leader(self) -> str:
        """The identity of the last holder observed; empty when none was."""
        return self._state.leader

    @property
    def transitions(self) -> int:
        """How often the lease changed hands, as last observed."""
        record = self._state.record
        return record.transitions if record is not None else 0

    @property
    def problem(self) -> str:
        """Why the last try to read or write the lease failed, with the remedy where there is one; empty when it did not."""
        return self._state.problem

    @property
    def crash(self) -> str:
        """The defect that ended the election; empty when none did."""
        return self._crash

    def health(self, tolerance: float = HEALTH_TOLERANCE) -> str:
        """What is wrong with the election in this process, so that it should be restarted; empty when nothing is.

        A standby is healthy, and so is a leader that cannot renew and ends in time. Wrong is what should have ended `tolerance`
        seconds after the lease duration and has not.
        """
        state, now = self._state, self._clock.boottime()
        limit = self.rules.lease_duration + tolerance
        lease = f"{self.rules.namespace}/{self.rules.name}"
        if self._crash:
            return f"the election of lease {lease} has died: {self._crash}"
        if state.phase is Phase.LEADING and now - (state.valid_until - self.rules.renew_deadline) > limit:
            return f"failed election to renew leadership on lease {lease}"
        if state.phase is Phase.LOST and now - state.since > limit:
            return f"the lease {lease} was lost {format_duration(now - state.since)} ago and work has not ended"
        if state.call is not None and now - state.call.sent > limit:
            return f"a call for the lease {lease} hangs since {format_duration(now - state.call.sent)}"
        return ""

    def collect(self) -> list[Family]:
        """The metrics, for `Registry.register`: names and labels as client-go has them."""
        name = (self.rules.name,)
        status, slow = 1.0 if self.is_leader() else 0.0, float(self._state.slow_paths)
        status_help, slow_help = "Whether this process leads: 1 or 0.", "Renewals that had to read the lease first."
        return [
            Family("leader_election_master_status", "gauge", status_help, ("name",), [(name, status)]),
            Family("leader_election_slowpath_total", "counter", slow_help, ("name",), [(name, slow)]),
        ]

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        with self._condition:
            self._inbox.append(event)
            self._condition.notify_all()

    def _nudge(self) -> None:
        """A fence refused a write: let the thread look at the clock, which may not have noticed a suspended machine."""
        with self._condition:
            if not self._inbox:
                self._inbox.append(Tick())
                self._condition.notify_all()

    def _run(self) -> None:
        self._say(logging.INFO, f"a candidate, {self.rules.identity}")
        try:
            while self._turn():
                pass
        except Exception as exc:  # noqa: BLE001  # logged; whoever works must be told, whatever the defect
            _log.exception("the election ends: a defect of operator-kit")
            self._die(exc)
        finally:
            self._caller.stop()

    def _turn(self) -> bool:
        """Wait for an event or for the time, and take one step. Returns whether there is a next one."""
        with self._condition:
            while not self._inbox and not self._wait_is_over():
                pass
            event = self._inbox.popleft() if self._inbox else Tick()
            moment = Moment(self._clock.boottime(), self._clock.now(), self._draw())
            self._state, actions = machine.step(self.rules, self._state, event, moment)
        for action in actions:
            self._carry_out(action)
        return self._state.phase is not Phase.STOPPED

    def _wait_is_over(self) -> bool:
        """Wait once. The two clocks are read in this order so that a wait can only be too short, never too long."""
        monotonic = self._clock.monotonic()
        left = machine.wake_at(self.rules, self._state) - self._clock.boottime()
        if left <= 0:
            return True
        self._clock.wait_until(self._condition, None if left == math.inf else monotonic + left)
        return False

    def _carry_out(self, action: Action) -> None:
        match action:
            case Call():
                self._caller.submit(action)
            case Abandon():
                self._caller.abandon(action.id)
            case Started():
                self._began(action)
            case Ended():
                self._ended(action)
            case NewLeader():
                if action.identity != self.rules.identity:
                    self._say(logging.INFO, f"{action.identity} leads")
                if self._on_new_leader is not None:
                    self._tell("on_new_leader", self._on_new_leader, action.identity)
            case Note():
                self._say(action.level, action.text)

    def _began(self, started: Started) -> None:
        term = started.term
        self._fence = Fence(
            lambda: self.valid_for() if self._state.term == term else 0.0,
            holder=self.rules.identity,
            transitions=started.transitions,
            clock=self._clock,
            on_refusal=self._nudge,
        )
        self._say(logging.INFO, f"became leader, transition {started.transitions}")
        self._event("became leader")
        if self._on_started is not None and not self._tell("on_started", self._on_started, self._fence):
            self._post(GiveUp("the work of a leader could not be started"))

    def _ended(self, ended: Ended) -> None:
        self._fence.lost.set()
        self._say(logging.ERROR if ended.lost else logging.INFO, f"stopped leading: {ended.reason}")
        self._event("stopped leading")
        if self._on_stopped is not None:
            self._tell("on_stopped", self._on_stopped, ended.reason)

    def _die(self, exc: Exception) -> None:
        """Whatever the defect, nothing more is written, and whoever works is told."""
        with self._condition:
            leading, now = self._state.phase is Phase.LEADING, self._clock.boottime()
            end_by = machine.end_of_work(self.rules, self._state, now) if leading else -math.inf
            self._state = replace(self._state, phase=Phase.STOPPED, since=now, end_by=end_by, call=None)
            self._crash = f"{type(exc).__name__}: {exc}"
        if leading:
            self._ended(Ended(self._state.term, f"the election died: {self._crash}", lost=True))

    def _tell(self, name: str, callback: Callable[..., None], *args: object) -> bool:
        try:
            callback(*args)
        except Exception:  # noqa: BLE001  # logged; a callback's defect must not end the election
            _log.exception("%s raised", name)
            return False
        return True

    def _event(self, what: str) -> None:
        """An Event on the lease, with client-go's reason and words."""
        if self._record_event is None:
            return
        metadata = {"namespace": self.rules.namespace, "name": self.rules.name, **metadata_of(self._state.lease or {})}
        lease: Object = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        self._tell("record_event", self._record_event, lease, "LeaderElection", f"{self.rules.identity} {what}")

    def _say(self, level: int, text: str) -> None:
        """A line about the election; for machines with who leads, as last observed, and how often the lease had changed hands."""
        lease = f"lease {self.rules.namespace}/{self.rules.name}"
        with bound(holder=self.leader, transition=self.transitions):
            _log.log(level, "%s", text if lease in text else f"{lease}: {text}")

    def __repr__(self) -> str:
        state = self._state
        call = f" call={state.call.verb}" if state.call is not None else ""
        return (
            f"<Elector {self.rules.namespace}/{self.rules.name} {self.rules.identity!r} {state.phase.value} term={state.term} "
            f"valid_for={self.valid_for():.3f} leader={state.leader!r}{call}>"
        )
