"""The reflector: keeps a store like the API server, whatever happens in between. One thread; a state machine.

    List ──listed──> Watch ──closed in good order──> Watch (from the last version; no list)
     ^                 ├──version expired (410), versions went backwards, silent twice, time for a resync──> List
     │                 ├──throttled, refused, broken, silent, 5xx──> Pause ──> Watch (from the last version)
     │                 ├──the same for five minutes, from a server that answers──> Pause ──> List
     │                 └──forbidden, not found, no use at all──> Pause ──> List
     └──────Pause <──any failure──┘

What each failure leads to is in `Reflector._after`; how long a Pause is, in `Backoff`. Promises: no failure ends it, none makes
it loop without pausing, and none passes unseen: it is counted by reason, told in `problem` with its remedy, and logged when it
changes.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Iterable, Iterator

from operator_kit.api import Cancel, Client, Selection
from operator_kit.api.watch import INITIAL_EVENTS_END
from operator_kit.cache.backoff import Backoff
from operator_kit.cache.hangs import Work
from operator_kit.cache.problems import Problem, explain, reason_of
from operator_kit.cache.records import Record, parse_version
from operator_kit.cache.states import List, Pause, ReflectorSettings, Sink, State, Watch
from operator_kit.cache.store import WentBackwards
from operator_kit.clock import Clock
from operator_kit.codec import RawObject
from operator_kit.errors import Cancelled, ConnectionFailed, CorruptStream, Gone, OperatorKitError, ServerError, TooManyRequests
from operator_kit.objects import metadata_of, resource_version_of
from operator_kit.threads import has_ended

__all__ = ["Reflector"]

log = logging.getLogger(__name__)

_RESYNC_UNWATCHABLE = 1800.0  # between lists of a kind that cannot be watched, when no resync is wanted otherwise
_FALLBACK = "fallback"  # why a list comes in pages although streaming is on
_CHANGES = {"ADDED", "MODIFIED", "DELETED"}
# Failures of a streaming list that say nothing about streaming.
_NOT_FOR_WANT_OF_STREAMING = {"throttled", "forbidden", "not-found", "unauthorized", "unreachable"}


class Reflector:
    """Feeds one sink. `start` it once; `stop` it from any thread."""

    def __init__(self, client: Client, selection: Selection, sink: Sink, *, settings: ReflectorSettings, clock: Clock) -> None:
        self.selection = selection
        self.restarts: dict[str, int] = {}
        self.problem = Problem(selection, clock)
        self.odd = 0  # objects and events that could not be used
        self._client = client
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._cancel = Cancel(clock)
        base, longest, reset = settings.backoff_base, settings.backoff_max, settings.backoff_reset
        self._backoff = Backoff(clock, base=base, longest=longest, reset=reset)
        self._backwards_backoff = Backoff(clock, base=base, longest=longest, reset=reset)
        self._state: State = List()
        self._alive_at = clock.monotonic()
        self._fed_at = self._alive_at  # when a list or a watch last told anything
        self._work = Work(clock, f"informer {selection} hangs over an object")  # at objects that came
        self._resync_at = math.inf
        self._bookmarks: bool | None = None  # whether this server sends them; None: not known yet
        self._corrupt = 0  # corrupt streams since the last good event
        self._silences = 0  # silent watches since the server last said anything
        self._backwards: str | None = None  # the version of a list that was older than what was seen
        self._impatient = False  # whether the present watch counts on bookmarks
        self._doubt = False  # whether a silence may have been one for want of bookmarks; the next list will tell
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    # -- its life ---------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        with self._lock:
            if self._thread is None and not self._cancel.cancelled:
                self._spawn()

    def stop(self) -> None:
        """Tell the thread to end, whatever it waits for. Returns at once."""
        self._cancel.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for its end; returns whether it has ended."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            return not thread.is_alive()
        return True

    def seconds_since_sign_of_life(self) -> float:
        """How long ago the server last said anything, be it a bookmark."""
        return self._clock.monotonic() - self._alive_at

    def hangs(self, patience: float) -> tuple[str, float]:
        """In words where its thread hangs, if it has been at what came for longer than `patience`, and for how many seconds."""
        return self._work.hangs(patience, self._thread)

    @property
    def thread(self) -> threading.Thread | None:
        """Its thread, once it was started."""
        return self._thread

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._cancel.cancelled

    def dead(self) -> bool:
        """Whether its thread has ended without being told to."""
        thread = self._thread
        return thread is not None and not self._cancel.cancelled and has_ended(thread)

    def _spawn(self) -> None:
        self._thread = threading.Thread(target=self._live, name=f"informer/{self.selection.resource.plural}", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        try:
            while not self._cancel.cancelled:
                self._state = self._step()
        except BaseException as exc:  # noqa: BLE001  # whatever kills the thread itself: another takes over
            try:
                self._count("died")
                self.problem.note("died", f"the thread of informer {self.selection} died of {type(exc).__name__} and is replaced")
                log.exception("the thread of informer %s died and is replaced", self.selection)
            finally:  # want of memory, say, strikes here again
                with self._lock:
                    if not self._cancel.cancelled:
                        self._state = Pause(self._backoff.next(), List("died", rebuild=True))
                        self._spawn()

    # -- the states -------------------------------------------------------------------------------------------------------------

    def _step(self) -> State:
        """From state to state. Nothing but the end of the thread gets out of here."""
        state = self._state
        self._work.end()
        try:
            match state:
                case Pause():
                    self._cancel.wait(state.seconds)
                    return state.then
                case List():
                    return self._watch(gather=True) if self._streams(state) else self._list(state)
                case Watch():
                    return self._watch()
        except Cancelled:
            return state
        except OperatorKitError as exc:
            return self._after(exc)
        except Exception as exc:
            log.exception("informer %s: a step failed, which is a defect; it goes on with a list", self.selection)
            self._count("defect")
            self.problem.note("defect", f"a defect: {type(exc).__name__}: {exc}")
            return Pause(self._backoff.next(), List("defect", rebuild=True))

    def _list(self, state: List) -> State:
        store = self._sink.store
        fresh: dict[str, Record] = {}
        # After a defect, or when versions went backwards, an equal version does not mean an equal object.
        trust = not state.rebuild and self._backwards is None and len(store) > 0

        def progress() -> None:
            self._work.end()
            self._sign_of_life()

        def visit(raw: RawObject) -> None:
            self._work.begin()
            try:
                record = store.held(self._sink.identify(raw)) if trust else None
                record = record or self._sink.encode(raw)
                fresh[record[0]] = record
            except ValueError as exc:
                self._odd(str(exc))

        page = self._client.visit(
            self.selection,
            visit,
            fresh.clear,
            strip=self._sink.strip,
            page_size=self._settings.page_size,
            timeout=self._settings.list_timeout,
            retries=False,
            cancel=self._cancel,
            progress=progress,
        )
        return self._listed(fresh, page.resource_version, rebuild=state.rebuild) or self._rest()

    def _listed(self, fresh: dict[str, Record], version: str, *, rebuild: bool = False) -> State | None:
        """Take what a list told, unless it is older than what was seen: then ask once more, and believe it if it stays so."""
        store = self._sink.store
        ours, theirs = parse_version(store.resource_version), parse_version(version)
        if isinstance(ours, int) and isinstance(theirs, int) and theirs < ours:
            if self._backwards is None:
                self._backwards = version
                return self._went_backwards(f"a list is of version {version}, older than {store.resource_version}")
            log.warning("informer %s: the server's versions went back from %s to %s", self.selection, ours, theirs)
        self._backwards = None
        self._work.begin()
        changed = self._sink.replace(fresh, version, rebuild=rebuild)
        self._work.end()
        if self._doubt:
            # The stream was silent, and nothing had happened either: so it may well be one without bookmarks.
            self._doubt = False
            self._bookmarks = None if changed else False
        self._sign_of_life()
        self._fed_at = self._alive_at
        if not self.problem.unwatched:  # a list makes good what a watch missed, and no watch well that is refused time and again
            self.problem.over()
        self._resync_at = math.inf
        if self._settings.resync > 0:
            self._resync_at = self._clock.monotonic() + self._settings.resync * _jitter(0.9, 1.1)
        return None

    def _rest(self) -> State:
        """What follows a list."""
        if self._watches:
            return Watch()
        self._count("resync")
        left = self._resync_at - self._clock.monotonic()
        return Pause(max(left, 0.0) if left < math.inf else _RESYNC_UNWATCHABLE, List("resync"))

    def _watch(self, *, gather: bool = False) -> State:
        opened = self._clock.monotonic()
        left = self._resync_at - opened
        if left <= 0 and not gather:
            self._count("resync")
            return List("resync")
        seconds = max(1, math.ceil(min(_jitter(*self._settings.watch_timeout), left if left > 0 else math.inf)))
        patience = seconds + self._settings.margin
        silence = patience if self._bookmarks is False else min(self._settings.silence, patience)
        self._impatient = silence < patience
        gathered: dict[str, Record] | None = {} if gather else None
        deadline = opened + self._settings.streaming_timeout
        taken = 0
        stream = self._client.watch(
            self.selection.resource,
            self.selection.namespace,
            resource_version="" if gather else self._sink.store.resource_version,
            label_selector=self.selection.label_selector,
            field_selector=self.selection.field_selector,
            metadata_only=self.selection.metadata_only,
            strip=self._sink.strip,
            timeout_seconds=seconds,
            read_timeout=min(silence, self._settings.streaming_timeout) if gather else silence,
            send_initial_events=gather,
            cancel=self._cancel,
        )
        with stream:
            if stream.open():
                self._opened()
            for events in stream.batches():
                batch = iter(events)
                self._alive_at = now = self._work.begin()
                self._silences = 0
                if gathered is not None:
                    version = self._gather(batch, gathered)
                    if version is None:
                        self._work.end()
                        if now > deadline:
                            raise ConnectionFailed(f"no end of the initial events within {self._settings.streaming_timeout:g} s")
                        continue
                    back = self._listed(gathered, version)
                    if back is not None:
                        return back
                    gathered = None
                    self._state = Watch()  # what fails from here on is a watch; the rest of this batch is one already
                try:
                    taken += self._take(batch)
                except WentBackwards as exc:
                    return self._went_backwards(str(exc))
                self._work.end()
                self._fed_at = now
                if self.problem.text:
                    self.problem.over()
                if now >= self._resync_at:
                    break
        if self._cancel.cancelled:
            return self._state
        if gathered is not None:
            raise ConnectionFailed("the stream was closed before the end of the initial events")
        return self._closed(opened, taken)

    def _closed(self, opened: float, events: int) -> State:
        """After a watch that ended in good order."""
        if self._clock.monotonic() >= self._resync_at:
            self._count("resync")
            return List("resync")
        left = self._settings.short_watch - (self._clock.monotonic() - opened)
        if left > 0 and not events:
            self._count("short")
            self.problem.tell("short", f"the server closes the watch of {self.selection} at once", watching=True)
            return Pause(self._backoff.next(), List("short"))
        self._count("closed")
        self.problem.over()
        return Pause(left, Watch()) if left > 0 else Watch()

    def _after(self, exc: OperatorKitError) -> State:
        """After a failure. The whole policy."""
        state = self._state
        watching = isinstance(state, Watch)
        reason = reason_of(exc)
        self._count(reason)
        # A watch that fails for long while lists may well work: then lists it is. Not for a server that is not there at all.
        hungry = self._clock.monotonic() - self._fed_at > self._settings.starving and reason != "unreachable"
        again: List | Watch = Watch() if watching and not hungry else List(reason)
        if isinstance(state, List) and self._streams(state) and reason not in _NOT_FOR_WANT_OF_STREAMING:
            # This server cannot stream a list, or not now. The next list tries it again.
            log.info("informer %s: no streaming list (%s); listing in pages", self.selection, exc)
            return List(_FALLBACK)
        if isinstance(exc, Gone):
            # What the stream would have told is in the list; no trouble unless it happens over and over.
            well = self._backoff.well
            if not well:
                self.problem.tell(reason, explain(exc, self.selection, self._client.origin), watching=watching)
            pause = self._backoff.next()
            return List(reason) if well and watching else Pause(pause, List(reason))
        self.problem.tell(reason, explain(exc, self.selection, self._client.origin), watching=watching)
        pause = self._backoff.next()
        if isinstance(exc, TooManyRequests):
            return Pause(max(pause, exc.retry_after or 0.0), again)
        if isinstance(exc, CorruptStream):
            # Once is an accident on the way; twice at the same place is an event that can never be read.
            self._corrupt += 1
            return Pause(pause, again if self._corrupt < 2 else List(reason))
        if isinstance(exc, ConnectionFailed):
            if exc.silent and watching:
                # Once is a dead peer. Twice may be a server that was restored to older versions than ours: it accepts the watch
                # and waits for its versions to get there, and no event or bookmark before that will ever come.
                self._silences += 1
                if self._silences > 1:
                    return Pause(pause, List(reason))
            if exc.silent and watching and self._impatient and self._bookmarks is None:
                self._doubt = True  # a dead peer, or one that sends no bookmarks? A list will tell.
                return Pause(pause, List(reason))
            return Pause(pause, again)
        if isinstance(exc, ServerError) and not _needs_list(exc):
            return Pause(max(pause, exc.retry_after or 0.0), again)
        return Pause(pause, List(reason))

    def _went_backwards(self, what: str) -> State:
        """Was the server restored from a backup? A list will tell."""
        log.warning("informer %s: %s; listing anew", self.selection, what)
        self._count("backwards")
        # Not the pause of the failures before: a server that was restored was most likely away for a while, and is back.
        return Pause(self._backwards_backoff.next(), List("backwards"))

    # -- events -----------------------------------------------------------------------------------------------------------------

    def _take(self, batch: Iterable[RawObject]) -> int:
        """Some events into the store. Returns how many were no bookmarks. Raises WentBackwards."""
        taken = 0
        apply = self._sink.apply
        for event in batch:
            if event.type in _CHANGES:
                taken += 1
                try:
                    apply(event)
                except ValueError as exc:
                    self._odd(str(exc))
                else:
                    self._corrupt = 0
            elif event.type == "BOOKMARK":
                self._bookmarks = True
                version = resource_version_of(event.decode())
                if version:
                    self._sink.store.advance(version)
            else:
                taken += 1
                self._odd(f"an event of type {event.type}")
        return taken

    def _gather(self, batch: Iterator[RawObject], gathered: dict[str, Record]) -> str | None:
        """Some events of a list that comes as a stream. Returns the version of the list, if its end was among them."""
        for event in batch:
            if event.type == "BOOKMARK":
                self._bookmarks = True
                bookmark = event.decode()
                annotations = metadata_of(bookmark).get("annotations")
                if isinstance(annotations, dict) and annotations.get(INITIAL_EVENTS_END) == "true":
                    return resource_version_of(bookmark)
                continue
            try:
                if event.type == "DELETED":
                    gathered.pop(self._sink.identify(event)[0], None)
                else:
                    record = self._sink.encode(event)
                    gathered[record[0]] = record
            except ValueError as exc:
                self._odd(str(exc))
        return None

    # -- telling ----------------------------------------------------------------------------------------------------------------

    @property
    def _watches(self) -> bool:
        verbs = self.selection.resource.verbs
        return self._settings.watch and (not verbs or "watch" in verbs)

    def _streams(self, state: List) -> bool:
        """Whether this list is to come as a stream."""
        return self._settings.streaming and self._watches and not state.rebuild and state.why != _FALLBACK

    def _sign_of_life(self) -> None:
        self._alive_at = self._clock.monotonic()

    def _count(self, reason: str) -> None:
        self.restarts[reason] = self.restarts.get(reason, 0) + 1

    def _odd(self, what: str) -> None:
        """Something that cannot be used. It is left out; everything else goes on."""
        self.odd += 1
        if self.odd == 1:
            log.warning("informer %s left out what cannot be used: %s (more of it is counted, not logged)", self.selection, what)

    def _opened(self) -> None:
        self._sign_of_life()
        # One that is closed at once opens well too: what it says, or that it lasts, will show that it is one.
        if self.problem.reason != "short":
            self.problem.over()

    def __repr__(self) -> str:
        return f"<Reflector {self.selection} {self._state}{' ' + self.problem.text if self.problem.text else ''}>"


def _jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311  # it spreads load, it hides nothing


def _needs_list(exc: ServerError) -> bool:
    """Whether no watch from our version can go on.

    The server does not know that version yet, or no more: it was restored, or another one answers. Or it cannot read from its
    storage what would come next.
    """
    return (
        exc.reason == "StorageReadError"
        or any(cause.get("reason") == "ResourceVersionTooLarge" for cause in exc.causes)
        or "too large resource version" in exc.message.lower()
    )
