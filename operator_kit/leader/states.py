"""The vocabulary of an election: the states a candidate can be in, what can happen to it, and what it wants done.

Plain values without behaviour, so that the whole election can be run without threads, calls or clocks; `machine.step` goes
from one to the next.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from operator_kit.leader.record import Record
from operator_kit.objects import Object

__all__ = [
    "Abandon",
    "Action",
    "Answered",
    "Call",
    "Ended",
    "Event",
    "Failed",
    "GiveUp",
    "Moment",
    "NewLeader",
    "Note",
    "Pending",
    "Phase",
    "Retire",
    "Started",
    "State",
    "Stop",
    "Tick",
    "Verb",
    "WorkStopped",
]

Verb: TypeAlias = Literal["get", "create", "replace"]


class Phase(enum.Enum):
    """Where a candidate stands.

    STANDBY -> LEADING -> LOST -> STANDBY (rejoin) | end of the process (exit)
    STANDBY | LEADING | LOST -> RELEASING -> STOPPED     the lease is given back, all work having ended
    any -> STOPPED                                       told to stop without giving it back
    """

    STANDBY = "standby"  # looks at the lease and waits for it to be free
    LEADING = "leading"  # holds it and renews it
    LOST = "lost"  # held it; may send nothing, and its work is still ending
    RELEASING = "releasing"  # gives it back
    STOPPED = "stopped"  # the end


class Moment(NamedTuple):
    """When a step is taken."""

    at: float  # seconds on a clock that goes on through suspend
    wall: datetime  # for the lease, which people read
    draw: float  # from [0, 1): the luck of this step, for jitter


@dataclass(frozen=True, slots=True)
class Pending:
    """The one call that is out. There is never a second one."""

    id: int
    verb: Verb
    sent: float  # not later than it was really sent
    deadline: float  # when it should have ended by itself
    began: float  # when the try that it belongs to began
    fast: bool = False  # a renewal without a look at the lease first
    release: bool = False
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """All that a candidate knows. Moments are seconds of `Moment.at`."""

    phase: Phase = Phase.STANDBY
    since: float = 0.0  # when it came into this phase
    term: int = 0  # how many times it has led, this time included
    valid_until: float = -math.inf  # LEADING: writes may be sent and be under way until then
    end_by: float = -math.inf  # LOST: all work must have ended by then, for another may lead
    lease: Object | None = None  # as last read or written; None when it is gone or its version is in doubt
    record: Record | None = None  # what the last lease seen said, kept when the lease is gone
    free_at: float = -math.inf  # when nobody else's claim, as observed here, holds any longer
    claims: tuple[str, ...] = ()  # the acquire times this process wrote, or may have written
    call: Pending | None = None
    calls: int = 0  # how many were made
    next_try: float = -math.inf
    give_up_at: float = math.inf  # RELEASING: then the lease is left to lapse
    retired: bool = False  # never to lead (again); a leader goes on until it is stopped
    stopping: bool = False
    leader: str = ""  # the last holder observed
    problem: str = ""  # why the last try failed
    slow_paths: int = 0  # renewals that had to read the lease first


# -- what can happen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call succeeded, with this lease as the answer."""

    id: int
    lease: Object


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed: refused, or without an answer."""

    id: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Retire:
    """Do not begin to lead. Told at the beginning of a shutdown."""


@dataclass(frozen=True, slots=True)
class WorkStopped:
    """All work of that term has ended."""

    term: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This process cannot do a leader's work: lead no longer. The lease is left to lapse."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End. With `release`, all work has ended, so the lease can be given back, until `deadline` at the latest."""

    release: bool
    deadline: float


Event: TypeAlias = Tick | Answered | Failed | Retire | WorkStopped | GiveUp | Stop


# -- what is to be done ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """Make this call; tell of its end by `Answered` or `Failed` with its id."""

    id: int
    verb: Verb
    timeout: float
    lease: Object | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Abandon:
    """End the call that is out, if it can be ended. Its end is still told of."""

    id: int


@dataclass(frozen=True, slots=True)
class Started:
    """This candidate leads: work may begin."""

    term: int
    transitions: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The term is over: nothing more may be written, work must end."""

    term: int
    reason: str
    lost: bool  # not by our own wish


@dataclass(frozen=True, slots=True)
class NewLeader:
    """Another holder was observed than before."""

    identity: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log, at a level of `logging`."""

    level: int
    text: str


Action: TypeAlias = Call | Abandon | Started | Ended | NewLeader | Note
