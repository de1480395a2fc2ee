"""`--exit-when-idle`: the moment when nothing is left to do, or when waiting for it is hopeless.

Idle: everything is started, nothing is ready, running, backing off or waiting for a cache, and no event is unwritten, for a
moment. A pending requeue-after does not count. A standby is not idle: what it would do is not done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from operator_kit.errors import ApiError, Cancelled, ConnectionFailed, DeadlineExceeded
from operator_kit.manager.complaints import Complaints
from operator_kit.manager.exits import ExitCode
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from operator_kit.clock import Clock
    from operator_kit.manager.binding import Binder
    from operator_kit.manager.manager import Manager

__all__ = ["IdleWatch"]

SETTLE = 0.3  # seconds nothing may happen before the operator counts as idle

_log = logging.getLogger("operator_kit.manager")


class IdleWatch:
    """Looks whether a manager has nothing left to do. Used by one thread."""

    def __init__(self, manager: Manager, binder: Binder, complaints: Complaints, clock: Clock) -> None:
        self._manager = manager
        self._binder = binder
        self._complaints = complaints
        self._clock = clock
        self._began = clock.monotonic()
        self._quiet_since: float | None = None
        self._seen_runs = -1

    def look(self) -> ExitCode | None:
        """The code to end with, or None while there is something to wait for."""
        manager, now = self._manager, self._clock.monotonic()
        leads = manager.leadership is None or manager.leadership.work is not None
        runs = sum(runnable.runs for runnable in manager.runnables)
        if not (leads and manager.idle()) or runs != self._seen_runs:
            self._seen_runs = runs
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since >= SETTLE:
            objects = sum(len(controller.caches.own) for controller in manager.controllers)
            _log.info("idle: %d object%s reconciled, nothing is left to do", objects, " is" if objects == 1 else "s are")
            return ExitCode.OK
        lasting = self._complaints.longest()
        if not (leads and manager.started()):
            lasting = max(lasting, now - self._began)
        hopeless = lasting >= manager.settings.cache_sync_timeout and self._binder.looked
        return self._give_up() if hopeless else None

    def _give_up(self) -> ExitCode:
        """Say what kept the operator from becoming idle, and tell an absent server from a kind that is not there."""
        code, problems = ExitCode.NOT_SYNCED, self._manager.problems()
        leadership = self._manager.leadership
        if leadership is not None and leadership.work is None and leadership.elector.leader:
            problems.append(f"{leadership.elector.leader} leads")
        try:
            self._binder.refresh()
        except ConnectionFailed as exc:
            code, problems = ExitCode.UNREACHABLE, [str(exc)]
        except (ApiError, DeadlineExceeded) as exc:
            problems.append(str(exc))
        except Cancelled:
            return ExitCode.OK  # it was asked to stop meanwhile
        text = problems[0] if problems else "the caches are not synced"
        _log.error("giving up after %s: %s", format_duration(self._manager.settings.cache_sync_timeout), text)
        return code
