"""One leader acts: several operators of one election in this process, against an embedded API server."""

from __future__ import annotations

from typing import Any

from operator_kit.controller import Context
from operator_kit.manager import ExitCode
from operator_kit.objects import Object
from tests.manager.conftest import Cluster, registry_of
from tests.processes import eventually

ELECTION: dict[str, Any] = {
    "leader_elect": True,
    "leader_election_id": "test",
    "leader_election_lease_duration": 3.0,
    "leader_election_renew_deadline": 2.0,
    "leader_election_retry_period": 0.2,
}


def test_a_standby_is_synced_and_does_nothing_until_the_leader_stops(foos: Cluster) -> None:
    def reconcile(obj: Object, ctx: Context) -> None:
        ctx.set_condition("Ready", True, reason=f"Term{ctx.fence.transitions}")

    def reason() -> str:
        found = foos.get("Foo", "a") or {}
        return str(found.get("status", {}).get("conditions", [{}])[0].get("reason"))

    foos.create("a", spec={})
    first = foos.start(registry_of(reconcile), **ELECTION)
    eventually(lambda: reason() == "Term0", "the work of the first")
    second = foos.start(registry_of(reconcile), **ELECTION)
    eventually(second.manager.started, "a standby")
    assert second.manager.synced()
    assert second.manager.idle()
    assert second.manager.controllers == ()
    assert second.manager.problems() == []
    assert first.stop() is ExitCode.OK
    eventually(lambda: reason() == "Term1", "the work of the second", timeout=2)
    assert second.stop() is ExitCode.OK
    lease = foos.get("coordination.k8s.io/v1/Lease", "test")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""
