"""The shared set of informers: one per kind, namespace and selection, for all who need it.

Informers are counted by their users and may come and go while the set runs. `status` says of each how it is and, if it cannot
sync, why and what would mend it.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TypeAlias

from operator_kit.api import Client, Selection
from operator_kit.cache.informer import Informer, InformerStatus
from operator_kit.cache.records import Transform
from operator_kit.cache.states import ReflectorSettings
from operator_kit.clock import Clock, Signal
from operator_kit.objects import Resource

__all__ = ["Informers"]

log = logging.getLogger(__name__)

_Shared: TypeAlias = tuple[Selection, Transform | None, bool]


class Informers:
    """Thread-safe."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        resync: float = 1800.0,
        watch: bool = True,
        page_size: int = 500,
        settings: ReflectorSettings | None = None,
    ) -> None:
        """A set without informers; `acquire` makes them.

        Args:
            client: the API server.
            clock: the clock.
            resync: seconds between lists of everything, give or take a tenth.
            watch: watch between lists.
            page_size: objects per page of a list.
            settings: the rest of it; the three above go before.
        """
        self._client = client
        self._clock = clock or Clock()
        self._settings = dataclasses.replace(settings or ReflectorSettings(), resync=resync, watch=watch, page_size=page_size)
        self._changed = threading.Condition()
        self._informers: dict[_Shared, tuple[Informer, int]] = {}
        self._started = False
        self._stopped = False

    def acquire(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Transform | None = None,
        strip: bool = True,
    ) -> Informer:
        """An informer, shared with whoever asked for the same. Give it back with `release`.

        In a set that runs it starts at once.

        Args:
            resource: the kind.
            namespace: one namespace; None for all.
            label_selector: which objects, as kubectl's `--selector`.
            field_selector: which objects, as kubectl's `--field-selector`.
            metadata_only: hold no spec and no status.
            transform: cuts an object down before it is kept.
            strip: keep neither managedFields nor kubectl's last-applied annotation.

        Raises:
            ValueError: the label selector cannot be parsed.
            RuntimeError: the set was stopped.
        """
        shared = (Selection(resource, namespace or None, label_selector, field_selector, metadata_only), transform, strip)
        with self._changed:
            if self._stopped:
                raise RuntimeError("the informers were stopped")
            informer, users = self._informers.get(shared, (None, 0))
            if informer is None:
                informer = Informer(
                    self._client, shared[0], settings=self._settings, clock=self._clock, transform=transform, strip=strip
                )
                informer.on_synced = self._notify
            self._informers[shared] = (informer, users + 1)
            started = self._started
        if started:
            informer.start()
        return informer

    def release(self, informer: Informer) -> None:
        """Give an informer back. The last of its users stops it; its thread has ended when this returns, or will at once.

        Raises ValueError when it is not of this set, or was given back by all already.
        """
        with self._changed:
            shared = next((shared for shared, (other, _) in self._informers.items() if other is informer), None)
            if shared is None:
                raise ValueError(f"{informer!r} is not in use")
            users = self._informers[shared][1]
            if users > 1:
                self._informers[shared] = (informer, users - 1)
                return
            del self._informers[shared]
            self._changed.notify_all()  # perhaps it was the one that others waited for
        informer.stop()
        informer.join(5.0)

    def start(self) -> None:
        """Start all, and those to come. Any number of times."""
        with self._changed:
            if self._stopped:
                raise RuntimeError("the informers were stopped")
            self._started = True
            informers = self._all()
        for informer in informers:
            informer.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Stop all, for good. Returns whether every thread has ended within the seconds given (None: however long it takes)."""
        with self._changed:
            self._stopped = True
            informers = self._all()
            self._changed.notify_all()
        for informer in informers:
            informer.stop()
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        ended = True
        for informer in informers:
            left = None if deadline is None else max(deadline - self._clock.monotonic(), 0.0)
            if not informer.join(left):
                ended = False
                log.warning(
                    "informer %s does not end: %s", informer.selection, "; ".join(informer.running()) or "it has just now"
                )
        return ended

    def synced(self) -> bool:
        """Whether every informer has listed, and every handler has heard of what was there."""
        with self._changed:
            return all(informer.synced for informer in self._all())

    def wait_synced(self, timeout: float | None = None, stop: Signal | None = None) -> bool:
        """Wait until all are synced, at most the seconds given, or until `stop` is set. Returns whether they are."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        forget = stop.on_set(self._notify) if stop is not None else None
        try:
            with self._changed:
                while not (synced := all(informer.synced for informer in self._all())):
                    left = None if deadline is None else deadline - self._clock.monotonic()
                    if self._stopped or (stop is not None and stop.is_set()) or (left is not None and left <= 0):
                        break
                    self._clock.wait(self._changed, left)
                return synced
        finally:
            if forget is not None:
                forget()

    def status(self) -> list[InformerStatus]:
        """How each informer is."""
        with self._changed:
            informers = self._all()
        return [informer.status() for informer in informers]

    def dead(self) -> list[str]:
        """The informers of which a thread has ended without being told to, and has no successor."""
        with self._changed:
            informers = self._all()
        return [str(informer.selection) for informer in informers if informer.dead()]

    def _all(self) -> list[Informer]:
        return [informer for informer, _ in self._informers.values()]

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<Informers {len(self._informers)}{' stopped' if self._stopped else ' started' if self._started else ''}>"
