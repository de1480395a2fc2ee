"""One leader acts: the Lease, the elector, and fencing by time.

The election is a pure function (`machine.step`); `Elector` runs it on a thread; `Fence` is what a leader's writes pass.
"""

from __future__ import annotations

from operator_kit.leader.elector import Elector
from operator_kit.leader.fence import Fence
from operator_kit.leader.lease import LeaseApi, LeaseCalls
from operator_kit.leader.record import LEASE, Record
from operator_kit.leader.rules import OnLostLease, Rules, new_identity
from operator_kit.leader.states import Phase, State

__all__ = [
    "LEASE",
    "Elector",
    "Fence",
    "LeaseApi",
    "LeaseCalls",
    "OnLostLease",
    "Phase",
    "Record",
    "Rules",
    "State",
    "new_identity",
]
