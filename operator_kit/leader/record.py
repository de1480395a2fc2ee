"""What a Lease says, and how it is written: the fields, formats and rules of client-go's leader election.

A `Record` is the part of a Lease that elections read. It is read leniently, because people edit leases by hand, and written
exactly as client-go writes it, so that `kubectl get lease` and candidates in other languages can read it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from operator_kit.objects import Object, Resource, metadata_of

__all__ = ["LEASE", "Record", "micro_time", "new_lease", "updated_lease"]

LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases", singular="lease")

RELEASED_SECONDS = 1
"""The lease duration that a release leaves behind: the smallest the API server takes."""


def micro_time(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits of a second, always: `metav1.MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Who holds a lease, for how long, since when. The times are text: they are compared and shown, never reckoned with.

    Attributes:
        holder: the holder's identity; empty when nobody holds it.
        duration: seconds that the holder claims from each renewal on; 0 where the lease says nothing usable.
        acquire_time: when the holder took it, by the holder's wall clock.
        renew_time: when the holder renewed it last, by the holder's wall clock.
        transitions: how often the holder changed.
    """

    holder: str = ""
    duration: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    transitions: int = 0

    @classmethod
    def of(cls, lease: Mapping[str, Any]) -> Record:
        """Read a Lease. Whatever is missing or of the wrong type reads as empty or 0."""
        spec = lease.get("spec")
        if not isinstance(spec, Mapping):
            return cls()
        return cls(
            holder=_text(spec.get("holderIdentity")),
            duration=_number(spec.get("leaseDurationSeconds")),
            acquire_time=_text(spec.get("acquireTime")),
            renew_time=_text(spec.get("renewTime")),
            transitions=_number(spec.get("leaseTransitions")),
        )

    @property
    def released(self) -> bool:
        """Whether its last holder gave it back: nobody holds it, and it lasts as long as a release says."""
        return not self.holder and self.duration == RELEASED_SECONDS

    def renewed(self, duration: int, now: str) -> Record:
        """The same holder's next claim."""
        return dataclasses.replace(self, duration=duration, renew_time=now)

    def given_back(self, now: str) -> Record:
        """What a release writes: nobody, for the shortest time, with the count of transitions kept."""
        return Record("", RELEASED_SECONDS, now, now, self.transitions)

    def spec(self) -> Object:
        """The Lease's spec. A time that is empty is left out: the API server takes no empty one."""
        times = {"acquireTime": self.acquire_time, "renewTime": self.renew_time}
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration,
            "leaseTransitions": self.transitions,
            **{name: value for name, value in times.items() if value},
        }


def new_lease(namespace: str, name: str, record: Record, labels: Mapping[str, str]) -> Object:
    """The body of a create."""
    metadata: Object = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": record.spec()}


def updated_lease(lease: Mapping[str, Any], record: Record, labels: Mapping[str, str]) -> Object:
    """The body of a replace: the lease as it was read, with a new spec. Labels that are not ours stay."""
    metadata = dict(metadata_of(lease))
    if labels:
        found = metadata.get("labels")
        metadata["labels"] = {**(found if isinstance(found, Mapping) else {}), **labels}
    return {**lease, "metadata": metadata, "spec": record.spec()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
