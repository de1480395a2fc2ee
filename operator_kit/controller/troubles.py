"""What is remembered of keys that did not end well. A key without trouble has no entry."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operator_kit.controller.outcome import Action, describe_error

if TYPE_CHECKING:
    from operator_kit.cache import Entry
    from operator_kit.controller.outcome import Decision

__all__ = ["Trouble", "Troubles"]


@dataclass(slots=True)
class Trouble:
    """One key's. Only its `Troubles` change it."""

    failures: int = 0
    conflicts: int = 0  # in a row
    uid: str = ""
    error: str = ""  # in one line, for who looks at it
    stale: str = ""  # the version a conflicting run saw: a newer one in the cache runs the key
    retrying: bool = False  # it failed and waits for a delay of the author's choice


class Troubles:
    """Those of one controller's keys. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Trouble] = {}  # under the lock

    def begin(self, key: str) -> int:
        """The key runs: what it waited for is over. Returns how often in a row it has failed, -1 for a key without trouble."""
        if key not in self._by_key:  # most keys have none: no lock for those
            return -1
        with self._lock:
            trouble = self._by_key.get(key)
            if trouble is None:
                return -1
            trouble.stale, trouble.retrying = "", False
            return trouble.failures

    def forget(self, key: str) -> int:
        """The key is well, or gone. Returns how often in a row it had failed."""
        if key not in self._by_key:
            return 0
        with self._lock:
            trouble = self._by_key.pop(key, None)
            return 0 if trouble is None else trouble.failures

    def notice(self, key: str, entry: Entry | None) -> tuple[bool, bool]:
        """The cache shows this of the key now.

        Returns:
            Whether what was in trouble is gone, or another has its name: that is forgotten. And whether the version is one that
            was waited for after a conflict.
        """
        if key not in self._by_key:
            return False, False
        with self._lock:
            trouble = self._by_key.get(key)
            if trouble is None:
                return False, False
            if entry is None or trouble.uid not in {"", entry.uid}:
                del self._by_key[key]
                return True, False
            caught_up = trouble.stale not in {"", entry.resource_version}
            if caught_up:
                trouble.stale = ""
            return False, caught_up

    def failed(self, key: str, entry: Entry, decision: Decision) -> tuple[int, int]:
        """A run ended like this. After a first conflict a newer version in the cache is waited for from now on.

        Args:
            key: its key.
            entry: what it saw.
            decision: its outcome, a failure or a conflict.

        Returns:
            How many failures, and how many conflicts, there were in a row.
        """
        with self._lock:
            trouble = self._by_key.setdefault(key, Trouble())
            trouble.uid = entry.uid
            trouble.error = describe_error(decision.error) if decision.error is not None else ""
            if decision.action is Action.CONFLICT:
                trouble.conflicts += 1
                if trouble.conflicts == 1:
                    trouble.stale = entry.resource_version
            else:
                trouble.conflicts = 0
                trouble.failures += 1
                trouble.retrying = decision.action is Action.RETRY_AFTER
            return trouble.failures, trouble.conflicts

    def __contains__(self, key: str) -> bool:
        """Whether the key's last run did not end well."""
        return key in self._by_key

    def waiting(self) -> bool:
        """Whether a key waits for a newer version, or for a delay of the author's choice after a failure."""
        with self._lock:
            return any(trouble.stale or trouble.retrying for trouble in self._by_key.values())

    def errors(self) -> dict[str, str]:
        """The keys whose last run did not end well, each with its error in one line."""
        with self._lock:
            return {key: trouble.error for key, trouble in self._by_key.items() if trouble.error}
