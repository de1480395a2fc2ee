"""What people asked for and have not got yet: so that an operator at work says one line for each wish, and no more.

A wish is an object that was created, or a new generation of it. What was there when the operator started is no wish of anybody's;
of that there is one line for all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from operator_kit.controller.sources import is_new_intent

if TYPE_CHECKING:
    from operator_kit.cache import Change

__all__ = ["Progress"]


class Progress:
    """The open wishes of one controller's objects. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, str] = {}  # by key: what was done to the object
        self._found: set[str] = set()  # there at the start, without an outcome yet
        self._counted = [0, 0]  # of those: how many ended well, how many did not
        self._starting = True

    def notice(self, change: Change) -> None:
        """An object of the controller's own kind changed."""
        old, new = change.old, change.new
        with self._lock:
            if new is None or new.deleting:
                self._open.pop(change.key, None)
            if new is None:
                self._found.discard(change.key)
            elif change.initial:
                if self._starting:
                    self._found.add(change.key)
            elif new.deleting:
                return
            elif change.type == "added":
                self._open[change.key] = "created"
            elif change.type == "modified" and old is not None and is_new_intent(old, new):
                self._open[change.key] = "changed"

    def ended(self, key: str, *, well: bool) -> tuple[str, str]:
        """A run of the key came to an outcome.

        Returns:
            What was asked for and is done now (`"created"`, `"changed"`), or empty; and, once, when nothing of what was there at
            the start is left to do, how that went, in words.
        """
        with self._lock:
            asked = self._open.pop(key, "") if well else ""
            if not self._starting:
                return asked, ""
            if key in self._found:
                self._found.discard(key)
                self._counted[0 if well else 1] += 1
            if self._found:
                return asked, ""
            self._starting = False
            good, bad = self._counted
        if not good + bad:
            return asked, ""
        parts = [f"{count} {word}" for count, word in ((good, "reconciled"), (bad, "failing")) if count]
        return asked, f"{good + bad} object{'s' if good + bad > 1 else ''} found at the start: {', '.join(parts)}"
