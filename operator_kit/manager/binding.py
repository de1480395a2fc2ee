"""Finding the kinds that are declared, on a thread of its own: discovery may block, and must not hold up anything else.

A kind that is not installed (yet), and an API server that does not answer, are waited for. What waiting does not mend, such as a
kind that can mean several, is `fatal`. A namespace that is to be watched and does not exist is only told of: its
caches are empty, and fill once it is there.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from operator_kit.api import Cancel, Client
from operator_kit.clock import Clock
from operator_kit.controller import Caches, Reconciler, Task
from operator_kit.controller.finalizers import finalizer_name
from operator_kit.errors import ApiError, Cancelled, ConnectionFailed, DeadlineExceeded, KindNotFound, UsageError
from operator_kit.manager.namespaces import LOOK_AGAIN, Namespaces
from operator_kit.threads import has_ended

__all__ = ["Binder", "Binding"]

BIND_AGAIN = 3.0  # seconds between two looks for a kind that is not served
BACKOFF_FIRST, BACKOFF_MOST = 0.8, 30.0


@dataclass(slots=True, eq=False)
class Binding:
    """A reconciler or task and the caches it reads. They live as long as the process, so that a standby's are warm."""

    made: Reconciler | Task
    caches: Caches
    done: bool = False  # set once, when the kinds are found and the caches fill; from the start where there are none to find
    missing: bool = False  # a kind was not served the last time; this and the rest is the binder's own
    next_try: float = 0.0
    backoff: float = BACKOFF_FIRST

    @property
    def name(self) -> str:
        """The reconciler's, or the task's."""
        return self.made.name

    def synced(self) -> bool:
        """Whether every cache is synced, and who listens has heard of what it holds."""
        return self.done and self.caches.synced()


class Binder:
    """Owns the thread `binder`, which ends when all have found their kinds, and every namespace is there.

    Args:
        bindings: what to bind.
        client: the API server.
        stop: ends it, whatever it is at.
        clock: the clock.
        changed: called, on the binder's thread, when something is bound or fatal.
    """

    def __init__(
        self, bindings: Sequence[Binding], client: Client, stop: Cancel, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._bindings = bindings
        self._client = client
        self._clock = clock
        self._changed = changed
        self._stop = stop
        self._looked = False  # set once
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}  # under the lock; by name
        self._namespaces = Namespaces(client, (name for each in bindings for name in each.caches.namespaces), stop)
        self._fatal: Exception | None = None  # under the lock
        self._thread = threading.Thread(target=self._run, name="binder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, if it was started. Returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def refresh(self) -> None:
        """Ask the API server again what it serves. Raises as the client does, and Cancelled after a stop."""
        self._client.discovery.refresh(cancel=self._stop)

    def dead(self) -> list[str]:
        """Its thread, if that has ended although something is left to bind."""
        if self._stop.cancelled or self.fatal is not None or not has_ended(self._thread):
            return []
        return [f"binder, before {binding.name} was bound" for binding in self._bindings if not binding.done]

    @property
    def looked(self) -> bool:
        """Whether it has looked for every kind at least once: before that nothing can be said of them."""
        return self._looked

    @property
    def fatal(self) -> Exception | None:
        """What waiting does not mend."""
        with self._lock:
            return self._fatal

    def troubles(self) -> dict[str, str]:
        """By the name of a reconciler or task: what keeps it from finding its kinds."""
        with self._lock:
            return dict(self._troubles)

    def absent(self) -> tuple[str, ...]:
        """The namespaces that are to be watched and do not exist."""
        return self._namespaces.absent

    def _run(self) -> None:
        try:
            self._bind_in_turn()
        except Exception as exc:  # noqa: BLE001  # the manager raises it again: nobody else would ever hear of it
            self._fail(exc)

    def _bind_in_turn(self) -> None:
        look_at = self._clock.monotonic()
        while not self._stop.cancelled and self.fatal is None:
            now = self._clock.monotonic()
            left = [binding for binding in self._bindings if not binding.done]
            for binding in left:
                if binding.next_try <= now and not self._stop.cancelled:
                    self._bind(binding)
            self._looked = True
            if look_at <= self._clock.monotonic() and self.fatal is None:
                self._namespaces.look()
                look_at = self._clock.monotonic() + LOOK_AGAIN
            waiting = [binding.next_try for binding in left if not binding.done] + [look_at] * bool(self._namespaces.unseen)
            if not waiting:
                return
            self._stop.wait(max(0.05, min(waiting) - self._clock.monotonic()))

    def _bind(self, binding: Binding) -> None:
        name = binding.name
        try:
            if binding.missing:
                self.refresh()
            binding.caches.bind(self._stop)
            if isinstance(binding.made, Reconciler):
                finalizer_name(binding.caches.own.resource, name)  # one that is too long is told now, not when somebody leads
        except Cancelled:
            return
        except KindNotFound as exc:
            self._trouble(name, f"{name} waits: {exc}")
            binding.missing = True
            binding.next_try = self._clock.monotonic() + BIND_AGAIN
        except (ConnectionFailed, DeadlineExceeded, ApiError) as exc:  # a process that stood still has no time left for its call
            self._trouble(name, f"{name} waits: {exc}" if isinstance(exc, ApiError) else f"{exc}; trying on")
            binding.next_try = self._clock.monotonic() + binding.backoff * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
            binding.backoff = min(BACKOFF_MOST, binding.backoff * 2)
        except UsageError as exc:
            self._fail(type(exc)(f"{binding.made.where}: {exc}"))
        else:
            with self._lock:
                self._troubles.pop(name, None)
            binding.done = True
            self._changed()

    def _trouble(self, name: str, text: str) -> None:
        with self._lock:
            self._troubles[name] = text

    def _fail(self, exc: Exception) -> None:
        with self._lock:
            self._fatal = exc
        self._changed()
