"""Who hears of an informer's changes: on the informer's own thread, or apart, on one of its own.

What only puts keys into a queue is called by the informer's thread. What may take its time, as a function of an author's may, is
registered apart: its changes queue up, and while it is slow or hangs nobody waits but itself. That it hangs is seen from outside.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from operator_kit.cache.hangs import Work
from operator_kit.cache.records import Change
from operator_kit.clock import Clock
from operator_kit.threads import has_ended

__all__ = ["Apart", "Handler", "Registration"]

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Change], None]


class Registration:
    """A handler that listens.

    Attributes:
        handler: what the informer calls for each change.
        synced: whether it has heard of everything that was there when it came.
        errors: its exceptions.
    """

    def __init__(self, what: str, handler: Handler, remove: Callable[[Registration], None]) -> None:
        self.handler = handler
        self.synced = False
        self.errors = 0
        self._what = what  # it listens to, for messages
        self._remove = remove

    def remove(self) -> None:
        """Hear no more. Any number of times; a call that runs just now ends as it will."""
        self._remove(self)

    def told_all(self) -> None:
        """It has been told of everything that was there."""
        self.synced = True

    def failed(self, change: Change, exc: BaseException) -> None:
        """Note an exception of the handler."""
        self.errors += 1
        if self.errors == 1:
            log.error("a handler of informer %s failed for %s %s", self._what, change.type, change.key, exc_info=exc)

    def __repr__(self) -> str:
        return f"<Registration {self.handler!r}{'' if self.synced else ' not'} synced>"


class Apart(Registration):
    """A handler with a thread and a queue of its own. It hears in the same order, and of no resyncs.

    Args:
        what: it listens to.
        handler: called on the thread.
        remove: takes it from the informer.
        who: names it and its thread.
        caught_up: called when it becomes synced.
        clock: the clock.
    """

    def __init__(
        self,
        what: str,
        handler: Handler,
        remove: Callable[[Registration], None],
        *,
        who: str,
        caught_up: Callable[[], None],
        clock: Clock,
    ) -> None:
        super().__init__(what, self._put, remove)
        self._who = who
        self._call = handler
        self._caught_up = caught_up
        self._ready = threading.Condition()
        self._changes: deque[Change | None] = deque()  # under the condition, as the rest; None: all that was there comes before
        self._work = Work(clock)
        self._busy = False
        self._over = False
        self.thread = threading.Thread(target=self._run, name=f"handler/{who}", daemon=True)
        self.thread.start()

    def _put(self, change: Change | None) -> None:
        if change is None or change.type != "resync":
            with self._ready:
                if not self._over:
                    self._changes.append(change)
                    self._ready.notify_all()

    def told_all(self) -> None:
        """As soon as it has heard of what is queued up by now, it is synced."""
        if not self.synced:
            self._put(None)

    def failed(self, change: Change, exc: BaseException) -> None:
        """Note an exception of the handler: the first with its traceback, the others in one line."""
        self.errors += 1
        text, error = "%s failed for %s %s of %s: %s; nothing comes of it", f"{type(exc).__name__}: {exc}"
        log.error(text, self._who, change.type, change.key, self._what, error, exc_info=exc if self.errors == 1 else None)

    def end(self) -> None:
        """Drop what is queued up, and have the thread end when the call that runs has. Returns at once."""
        with self._ready:
            self._over = True
            self._changes.clear()
            self._ready.notify_all()

    def join(self, timeout: float | None) -> bool:
        """Wait for the thread's end; returns whether it has ended."""
        if self.thread is not threading.current_thread():
            self.thread.join(timeout)
        return not self.thread.is_alive()

    def dead(self) -> bool:
        """Whether its thread has ended without being told to."""
        return not self._over and has_ended(self.thread)

    def hangs(self, patience: float) -> tuple[str, float]:
        """In words where it hangs, if a call has run for longer than `patience`, and for how many seconds it has."""
        return self._work.hangs(patience, self.thread)

    def idle(self) -> bool:
        """Whether it has heard of everything so far."""
        with self._ready:
            return not self._busy and not self._changes

    def _run(self) -> None:
        while True:
            with self._ready:
                self._busy = False
                self._work.end()
                while not self._changes and not self._over:
                    self._ready.wait()
                if self._over:
                    return
                change = self._changes.popleft()
                self._busy = True
            if change is None:
                self.synced = True
                self._caught_up()
                continue
            self._work.what = f"{self._who} hangs over {change.key} of {self._what}"
            self._work.begin()
            try:
                self._call(change)
            except BaseException as exc:  # noqa: BLE001  # whatever an author's code raises, a SystemExit too, ends here
                self.failed(change, exc)
