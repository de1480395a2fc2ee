"""What is wrong, said once in a while: when it begins, when it changes, now and then, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from operator_kit.clock import Clock
from operator_kit.settings import format_duration

__all__ = ["Complaint", "Complaints"]

FIRST_REMINDER = 30.0
LAST_REMINDER = 600.0

_log = logging.getLogger("operator_kit.manager")


class Complaint(NamedTuple):
    """Something that is wrong just now, in words for people."""

    subject: str  # what is in trouble
    text: str
    told: bool = False  # somebody else logs it when it begins, changes and ends; only the reminders are left to do
    over: str = ""  # what is logged when it is over


@dataclass(slots=True)
class _Trouble:
    text: str
    since: float
    next: float
    interval: float
    over: str


class Complaints:
    """Troubles by name. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def hear(self, present: Iterable[Complaint]) -> None:
        """All that is wrong now: what is new or has changed is logged, what goes on reminded of, what is gone is over.

        Reminders come after 30 s, a minute, … ten minutes. The same text from several subjects is one trouble.
        """
        named: set[str] = set()
        said: set[str] = set()
        for complaint in present:
            named.add(complaint.subject)
            if complaint.text not in said:
                said.add(complaint.text)
                self._say(complaint)
        for subject in [subject for subject in self._troubles if subject not in named]:
            trouble = self._troubles.pop(subject)
            if trouble.over:
                _log.info("%s, after %s", trouble.over, format_duration(self._clock.monotonic() - trouble.since))

    def _say(self, complaint: Complaint) -> None:
        now, text = self._clock.monotonic(), complaint.text
        trouble = self._troubles.get(complaint.subject)
        if trouble is None:
            self._troubles[complaint.subject] = _Trouble(text, now, now + FIRST_REMINDER, FIRST_REMINDER, complaint.over)
            if not complaint.told:
                _log.warning("%s", text)
            return
        changed = trouble.text != text and not complaint.told
        trouble.text = text
        if changed or now >= trouble.next:
            trouble.interval = min(LAST_REMINDER, trouble.interval * 2)
            trouble.next = now + trouble.interval
            _log.warning("%s (for %s now)", text, format_duration(now - trouble.since))

    def longest(self) -> float:
        """Seconds that the oldest trouble has lasted; 0 where there is none."""
        return max((self._clock.monotonic() - trouble.since for trouble in self._troubles.values()), default=0.0)
