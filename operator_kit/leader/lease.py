"""The calls an election makes: read, create and replace one Lease. Over the real API here; over anything in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from operator_kit.errors import AlreadyExists, ConfigError, Conflict, Forbidden, NotFound
from operator_kit.leader.machine import explain
from operator_kit.leader.record import LEASE, Record, new_lease
from operator_kit.leader.rules import Rules
from operator_kit.objects import Object

if TYPE_CHECKING:
    from operator_kit.api import Cancel, Client

__all__ = ["LeaseApi", "LeaseCalls"]


class LeaseCalls(Protocol):
    """What the elector needs of an API server. Each call ends within `timeout` seconds, or soon after `cancel`.

    A call that ends later than it should costs the leadership at worst, never its safety. Errors are those of
    `operator_kit.errors`; anything else raised counts as a call that failed.
    """

    def get(self, timeout: float, cancel: Cancel) -> Object:
        """The lease. Raises NotFound where there is none."""

    def create(self, lease: Object, timeout: float, cancel: Cancel) -> Object:
        """Create it; the answer is what the server holds now."""

    def replace(self, lease: Object, timeout: float, cancel: Cancel) -> Object:
        """Replace it, only if it still has the resourceVersion it carries (else Conflict)."""


class LeaseApi:
    """One Lease on an API server.

    Calls are not repeated here: the elector repeats them, and knows when each was sent.
    """

    def __init__(self, client: Client, rules: Rules) -> None:
        self._client = client
        self._rules = rules

    def get(self, timeout: float, cancel: Cancel) -> Object:
        """Read the lease. Raises NotFound where there is none."""
        rules = self._rules
        return self._client.get(LEASE, rules.name, rules.namespace, timeout=timeout, retries=False, cancel=cancel)

    def create(self, lease: Object, timeout: float, cancel: Cancel) -> Object:
        """Create the lease. Raises AlreadyExists where somebody was quicker."""
        return self._client.create(LEASE, lease, namespace=self._rules.namespace, timeout=timeout, retries=False, cancel=cancel)

    def replace(self, lease: Object, timeout: float, cancel: Cancel) -> Object:
        """Replace the lease. Raises Conflict where somebody was quicker."""
        return self._client.replace(LEASE, lease, timeout=timeout, retries=False, cancel=cancel)

    def check(self, timeout: float) -> None:
        """Find out whether elections are possible here, before anything is started; changes nothing (dry runs).

        Raises:
            ConfigError: a permission or the namespace is missing; the message says what to grant or make.
            OperatorKitError: the server could not be asked.
        """
        rules = self._rules
        what = "read"
        try:
            try:
                lease = self._client.get(LEASE, rules.name, rules.namespace, timeout=timeout)
            except NotFound:
                what = "create"
                body = new_lease(rules.namespace, rules.name, Record(rules.identity, rules.seconds), rules.labels)
                self._client.create(LEASE, body, namespace=rules.namespace, dry_run=True, timeout=timeout)
            else:
                what = "write"
                self._client.replace(LEASE, lease, dry_run=True, timeout=timeout)
        except (Conflict, AlreadyExists):
            return  # another candidate was quicker, so it is possible
        except (Forbidden, NotFound) as exc:
            raise ConfigError(explain(rules, what, exc)) from exc
