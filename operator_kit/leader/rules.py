"""What an election is told: the numbers of client-go, checked before anything starts."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from operator_kit.errors import ConfigError
from operator_kit.settings import format_duration, suggest

__all__ = ["JITTER", "OnLostLease", "Rules", "new_identity"]

JITTER = 1.2
"""A standby waits the retry period and up to this many times as much again: 2 to 4.4 s by default."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")

OnLostLease = Literal["exit", "rejoin"]
_ON_LOST = ("exit", "rejoin")


def new_identity() -> str:
    """The pod's or the host's name with a random part: no two processes ever share one, not even one and its restart."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of an election. Durations are seconds.

    Attributes:
        namespace: the lease's namespace.
        name: the lease's name: one election.
        identity: this candidate; see `new_identity`.
        lease_duration: how long others leave a silent leader alone. Whole seconds: the Lease holds no parts of them.
        renew_deadline: how long a leader may act after it sent the last renewal that succeeded.
        retry_period: how often a leader renews; a standby looks every one to 2.2 times as long.
        on_lost_lease: `"exit"`: who lost the lease never leads again; `"rejoin"`: it may, once all its work has ended.
        labels: set on the lease; others that it has are kept.

    Raises:
        ConfigError: the numbers contradict each other, or something is missing. The message names the setting and the remedy.
    """

    namespace: str
    name: str
    identity: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    on_lost_lease: OnLostLease = "exit"
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, remedy in (
            ("leader-election-namespace", self.namespace, "name the namespace of the lease"),
            ("leader-election-id", self.name, "name the lease; the same name for all replicas of one operator"),
            ("leader-election identity", self.identity, "give each process its own, or none for a random one"),
        ):
            if not value:
                raise ConfigError(f"setting {name} is empty: {remedy}")
        if not _SUBDOMAIN.fullmatch(self.name) or len(self.name) > 253:
            raise ConfigError(
                f"setting leader-election-id is {self.name!r}: a lease is named in lower case letters, digits, dashes and dots"
            )
        if not _LABEL.fullmatch(self.namespace) or len(self.namespace) > 63:
            raise ConfigError(
                f"setting leader-election-namespace is {self.namespace!r}: a namespace has lower case letters, digits and dashes"
            )
        for name, seconds in (
            ("leader-election-lease-duration", self.lease_duration),
            ("leader-election-renew-deadline", self.renew_deadline),
            ("leader-election-retry-period", self.retry_period),
        ):
            if not (isfinite(seconds) and seconds > 0):
                raise ConfigError(f"setting {name} is {seconds}: it must be a time greater than zero, such as 15s")
        lease, renew, retry = (format_duration(value) for value in (self.lease_duration, self.renew_deadline, self.retry_period))
        if self.lease_duration != int(self.lease_duration):
            raise ConfigError(
                f"setting leader-election-lease-duration is {lease}: use whole seconds, a Lease holds no parts of them"
            )
        if self.lease_duration <= self.renew_deadline:
            raise ConfigError(
                f"setting leader-election-lease-duration ({lease}) must be greater than leader-election-renew-deadline "
                f"({renew}): the difference is the time that work has to end before another may lead; "
                "raise the first or lower the second"
            )
        if self.renew_deadline <= JITTER * self.retry_period:
            raise ConfigError(
                f"setting leader-election-renew-deadline ({renew}) must be greater than {JITTER} times "
                f"leader-election-retry-period ({retry}), or one failed renewal ends the leadership; "
                "raise the first or lower the second"
            )
        if self.on_lost_lease not in _ON_LOST:
            raise ConfigError(f"setting on-lost-lease is {self.on_lost_lease!r}{suggest(str(self.on_lost_lease), _ON_LOST)}")

    @property
    def seconds(self) -> int:
        """The lease duration as the Lease holds it."""
        return int(self.lease_duration)

    @property
    def call_timeout(self) -> float:
        """The limit of one call: half the renew deadline, so that one hung call leaves time for another."""
        return self.renew_deadline / 2
