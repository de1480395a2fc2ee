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

    def say(self, subject: str, text: str, *, level: int = logging.WARNING) -> None:
        """There is a trouble. Logged if it is new or has changed, and reminded of after 30 s, a minute, … ten minutes."""
        now = self._clock.monotonic()
        trouble = self._troubles.get(subject)
        if trouble is None:
            self._troubles[subject] = _Trouble(text, now, now + FIRST_REMINDER, FIRST_REMINDER)
            _log.log(level, "%s", text)
        elif trouble.text != text and now - trouble.since < 1.0:
            trouble.text = text
        elif trouble.text != text or now >= trouble.next:
            trouble.interval = min(LAST_REMINDER, trouble.interval * 2)
            trouble.next = now + trouble.interval
            trouble.text = text
            _log.log(level, "%s (for %s now)", text, format_duration(now - trouble.since))

    def over(self, subject: str, text: str) -> None:
        """The trouble, if there was one, is over."""
        trouble = self._troubles.pop(subject, None)
        if trouble is not None:
            _log.info("%s, after %s", text, format_duration(self._clock.monotonic() - trouble.since))

    def since(self, subject: str) -> float | None:
        """Seconds the trouble has lasted, or None."""
        trouble = self._troubles.get(subject)
        return None if trouble is None else self._clock.monotonic() - trouble.since

    def subjects(self) -> list[str]:
        """What is in trouble."""
        return list(self._troubles)
