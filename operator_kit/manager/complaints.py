"""What is wrong, said once in a while: when it begins, when it changes, now and then, and when it is over."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from operator_kit.clock import Clock
from operator_kit.settings import format_duration

__all__ = ["Complaints"]

FIRST_REMINDER = 30.0
LAST_REMINDER = 600.0

_log = logging.getLogger("operator_kit.manager")


@dataclass(slots=True)
class _Trouble:
    text: str
    since: float
    next: float
    interval: float


class Complaints:
    """Troubles by name. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def say(self, subject: str, text: str, *, told: bool = False) -> None:
        """There is a trouble. Logged if it is new or has changed, and reminded of after 30 s, a minute, … ten minutes.

        `told`: somebody else logs it when it begins, changes and ends; only the reminders are left to do.
        """
        now = self._clock.monotonic()
        trouble = self._troubles.get(subject)
        if trouble is None:
            self._troubles[subject] = _Trouble(text, now, now + FIRST_REMINDER, FIRST_REMINDER)
            if not told:
                _log.warning("%s", text)
            return
        changed = trouble.text != text and not told
        trouble.text = text
        if changed or now >= trouble.next:
            trouble.interval = min(LAST_REMINDER, trouble.interval * 2)
            trouble.next = now + trouble.interval
            _log.warning("%s (for %s now)", text, format_duration(now - trouble.since))

    def over(self, subject: str, text: str = "") -> None:
        """The trouble, if there was one, is over; said with this text, if any."""
        trouble = self._troubles.pop(subject, None)
        if trouble is not None and text:
            _log.info("%s, after %s", text, format_duration(self._clock.monotonic() - trouble.since))

    def since(self, subject: str) -> float:
        """Seconds the trouble has lasted; 0 where there is none."""
        trouble = self._troubles.get(subject)
        return 0.0 if trouble is None else self._clock.monotonic() - trouble.since

    def subjects(self) -> list[str]:
        """What is in trouble."""
        return list(self._troubles)
