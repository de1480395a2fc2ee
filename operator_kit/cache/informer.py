"""An informer: one selection of objects, kept like the server's by a reflector, and everybody who wants to hear of its changes.

Handlers are called one at a time, in the order of the changes, by the informer's thread (what was there before a handler came, by
the thread that brought it). They must not block: they put keys into a queue. One that may block is registered apart, and has a
thread of its own. One that fails is logged once and goes on hearing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain

from operator_kit.api import Client, Selection
from operator_kit.cache.indexes import IndexFunction
from operator_kit.cache.records import Change, Transform, encode, identify
from operator_kit.cache.reflector import Reflector
from operator_kit.cache.registrations import Apart, Handler, Registration
from operator_kit.cache.states import ReflectorSettings
from operator_kit.cache.store import Store
from operator_kit.cache.waits import Write
from operator_kit.clock import Clock
from operator_kit.codec import Head, Identity, RawObject, Record
from operator_kit.objects import Object, Resource, namespace_of
from operator_kit.selectors import LabelSelector
from operator_kit.threads import whereabouts

__all__ = ["HANGS", "Handler", "Informer", "InformerStatus", "Registration"]

log = logging.getLogger(__name__)

HANGS = "hangs"
"""The reason of a problem that is no failure of the API server's: code of an author's does not return."""


@dataclass(frozen=True, slots=True)
class InformerStatus:
    """How an informer is.

    Attributes:
        resource: its kind.
        namespace: its namespace; None for all.
        synced: whether it has listed, and its handlers have heard of all that was there.
        objects: how many it holds.
        bytes: of their JSON.
        seconds_since_sign_of_life: since the server last said anything to it, be it a bookmark.
        restarts: how often its watch ended or its list failed, by reason.
        problem: why it does not work just now, with the remedy; empty when it does.
        problem_reason: why, in one word of those that `restarts` counts by; empty when it does.
        problem_seconds: how long it has not; 0 when it does.
        odd: objects and events that could not be used.
        handler_errors: exceptions of handlers.
    """

    resource: Resource
    namespace: str | None
    synced: bool
    objects: int
    bytes: int
    seconds_since_sign_of_life: float
    restarts: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    problem_reason: str = ""
    problem_seconds: float = 0.0
    odd: int = 0
    handler_errors: int = 0


class Informer:
    """Get one from `Informers.acquire`, which shares and starts it."""

    def __init__(
        self,
        client: Client,
        selection: Selection,
        *,
        settings: ReflectorSettings,
        clock: Clock,
        transform: Transform | None = None,
        strip: bool = True,
    ) -> None:
        self.selection = selection
        self.store = Store(str(selection), by_namespace=selection.resource.namespaced and not selection.namespace)
        self._transform = transform
        self._transform_failed = False
        self._strip = strip
        self._clock = clock
        self._patience = settings.patience
        self.strip = strip and transform is None  # a transform sees all there is
        self._head = Head(selection.resource.api_version, selection.resource.kind, metadata_only=selection.metadata_only)
        self._labels = LabelSelector.parse(selection.label_selector) if selection.label_selector else None
        # Held while handlers are called: it keeps their changes in order. Handlers may register and remove handlers.
        self._telling = threading.RLock()
        self._tells = False
        self._registrations: tuple[Registration, ...] = ()
        self._waiting: list[Registration] = []
        self._errors = 0  # of handlers that are gone
        self._untold: Iterable[Change] = ()  # what handlers have not heard of, because the thread that told them died
        self._listed = False
        self.on_synced: Callable[[], None] = lambda: None
        self.reflector = Reflector(client, selection, self, settings=settings, clock=clock)

    @property
    def resource(self) -> Resource:
        """Its kind."""
        return self.selection.resource

    @property
    def synced(self) -> bool:
        """Whether it has listed, and every handler has heard of what was there."""
        return self._listed and all(registration.synced for registration in self._registrations)

    def add_handler(self, handler: Handler, *, apart: str = "") -> Registration:
        """Hear of every change from now on. What is there already is told first, as `added` with `initial` set.

        Returns when that is done; if there has been no list yet, at once, and `Registration.synced` tells later.

        Args:
            handler: called with each change. It must not block.
            apart: names a handler that may block: it is called on a thread of its own, and hears of no resyncs. Returns at once.
        """
        what = str(self.selection)
        registration = Registration(what, handler, self._remove)
        if apart:
            registration = Apart(what, handler, self._remove, who=apart, caught_up=lambda: self.on_synced(), clock=self._clock)  # noqa: PLW0108  # it is set later
        with self._telling:
            if self._tells:  # a handler asks for it, in the middle of changes: it comes after them, and misses none
                self._waiting.append(registration)
            else:
                self._admit(registration)
                self._admit_waiting()
        if self.reflector.stopped and isinstance(registration, Apart):
            registration.end()
        return registration

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Index the objects by what the function gives for each. Raises ValueError when another function has the name."""
        self.store.add_index(name, function)

    def remove_index(self, name: str) -> None:
        """Remove an index."""
        self.store.remove_index(name)

    def covers(self, obj: Object) -> bool:
        """Whether the object would be held here. False where only the server can tell (a field selector)."""
        if self.selection.field_selector:
            return False
        if self.selection.namespace and namespace_of(obj) != self.selection.namespace:
            return False
        return self._labels is None or self._labels.matches(obj.get("metadata", {}).get("labels") or {})

    def when_seen(self, write: Write, callback: Callable[[], None]) -> Callable[[], None] | None:
        """See `Store.when_seen`. Ask `covers` first."""
        return self.store.when_seen(write, callback)

    def wait_told(self) -> None:
        """Return once the handlers have heard of everything that the store holds now. Not from a handler."""
        with self._telling:
            return

    def status(self) -> InformerStatus:
        """How it is."""
        registrations = self._registrations
        problem = self.reflector.problem
        text, reason, seconds = (problem.text, problem.reason, problem.seconds()) if problem.text else self._hangs()
        return InformerStatus(
            resource=self.resource,
            namespace=self.selection.namespace,
            synced=self.synced,
            objects=len(self.store),
            bytes=self.store.size,
            seconds_since_sign_of_life=self.reflector.seconds_since_sign_of_life(),
            restarts=dict(self.reflector.restarts),
            problem=text,
            problem_reason=reason,
            problem_seconds=seconds,
            odd=self.reflector.odd,
            handler_errors=self._errors + sum(registration.errors for registration in registrations),
        )

    def start(self) -> None:
        """Start its thread."""
        self.reflector.start()

    def stop(self) -> None:
        """Tell its threads to end, and let go whoever waits for a write. The store stays as it is."""
        self.reflector.stop()
        for registration in self._apart():
            registration.end()
        self.store.release_waits()

    def join(self, timeout: float | None = None) -> bool:
        """Wait, after `stop`, for the end of its threads; returns whether they have ended."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - self._clock.monotonic())

        return all([self.reflector.join(left()), *(registration.join(left()) for registration in self._apart())])

    def dead(self) -> bool:
        """Whether one of its threads has ended without being told to, and has no successor."""
        return self.reflector.dead() or any(registration.dead() for registration in self._apart())

    def running(self) -> list[str]:
        """Its threads that have not ended, in words, each with the line where it is."""
        threads = [self.reflector.thread, *(registration.thread for registration in self._apart())]
        return [
            f"thread {thread.name} is at {whereabouts(thread)}" for thread in threads if thread is not None and thread.is_alive()
        ]

    def idle(self) -> bool:
        """Whether the handlers that are apart have heard of everything that they were told."""
        return all(registration.idle() for registration in self._apart())

    def _apart(self) -> list[Apart]:
        return [each for each in (*self._registrations, *self._waiting) if isinstance(each, Apart)]

    def _hangs(self) -> tuple[str, str, float]:
        """The handler that hangs, or the informer's own thread in code of an author's: problem, reason and seconds."""
        text, seconds = max((each.hangs(self._patience) for each in self._apart()), key=lambda hang: hang[1], default=("", 0.0))
        if not text:
            text, seconds = self.reflector.hangs(self._patience)
        return text, HANGS if text else "", seconds

    # -- the reflector's side ---------------------------------------------------------------------------------------------------

    def identify(self, raw: RawObject) -> Identity:
        """Who an object is. Raises ValueError for what is no object, or of another kind."""
        kind = raw.kind
        if kind and kind != self._head.sent and not self.selection.metadata_only:  # not every server can leave the rest out
            raise ValueError(f"an object of kind {kind} in a stream of {self._head.sent}")
        return raw.identity() or identify(raw.decode())

    def encode(self, raw: RawObject) -> Record:
        """Make a record. A transform that fails is logged once, and the object is kept as it left it: more, not nothing."""
        if self.strip and (record := raw.record(self._head)) is not None:
            return record
        identity = self.identify(raw)
        obj = self.selection.complete(raw.decode())
        if self._transform is not None:
            try:
                cut = self._transform(obj) or obj
                identify(cut)
                obj = cut
            except (Exception, SystemExit):
                if not self._transform_failed:
                    self._transform_failed = True
                    log.exception("the transform of informer %s failed; such objects are kept as it left them", self.selection)
                identify(obj)  # raises if it left no object
        return encode(obj, strip=self._strip, identity=identity)

    def replace(self, fresh: dict[str, Record], version: str, *, rebuild: bool) -> int:
        """A list. A handler that comes meanwhile hears of it once: as what was there, or as these changes."""
        with self._telling:
            first = not self._listed
            changes = self.store.replace(fresh, version, initial=first, rebuild=rebuild)
            untold, self._untold = self._untold, ()
            changed = self._tell(chain(untold, changes))
            self._listed = True
            for registration in self._registrations:
                registration.told_all()
            self._admit_waiting()
        if first:
            count = len(self.store)
            log.info("informer %s has synced: %d object%s", self.selection, count, "" if count == 1 else "s")
            self.on_synced()
        return changed

    def apply(self, event: RawObject) -> None:
        """An event."""
        with self._telling:
            kind = event.type
            record: Record | Identity | None
            if kind == "DELETED":
                record = self.identify(event)
            else:
                record = event.record(self._head) if self.strip else None
                if record is None:
                    record = self.encode(event)
            changes = self.store.apply(kind, record)
            if changes:
                self._tell(changes)
                if self._waiting:
                    self._admit_waiting()

    def _tell(self, changes: Iterable[Change], registrations: tuple[Registration, ...] | None = None) -> int:
        """Tell these handlers, or all. Returns how many changes were none that a list alone made."""
        told = 0
        change: Change | None = None
        rest = iter(changes)
        self._tells = True
        try:
            for change in rest:
                told += change.type != "resync"
                # All there are now: the handlers of the last change may have brought others, or removed some.
                for registration in self._registrations if registrations is None else registrations:
                    try:
                        registration.handler(change)
                    except (Exception, SystemExit) as exc:  # noqa: BLE001  # a handler's exceptions end here
                        registration.failed(change, exc)
        except BaseException:
            if registrations is None:  # the store has these changes, so the next list will not find them: it tells them first
                self._untold = rest if change is None else chain((change,), rest)
            raise
        finally:
            self._tells = False
        return told

    def _admit_waiting(self) -> None:
        while self._waiting:
            self._admit(self._waiting.pop(0))

    def _admit(self, registration: Registration) -> None:
        """From here on it hears of changes; of what is there it hears now."""
        if self._listed:
            held = self.store.entries()
            self._tell((Change("added", entry.key, None, entry, initial=True) for entry in held), (registration,))
            registration.told_all()
        self._registrations = (*self._registrations, registration)

    def _remove(self, registration: Registration) -> None:
        with self._telling:
            if isinstance(registration, Apart):
                registration.end()
            if registration in self._waiting:
                self._waiting.remove(registration)
            if registration in self._registrations:
                self._registrations = tuple(other for other in self._registrations if other is not registration)
                self._errors += registration.errors

    def __repr__(self) -> str:
        return f"<Informer {self.selection} {'synced' if self.synced else 'not synced'} {len(self.store)} objects>"
