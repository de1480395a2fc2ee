"""Events: what people see in `kubectl describe`, recorded without flooding.

Recording never blocks and never fails a reconcile: events go through a bounded queue to one thread, which writes
`events.k8s.io/v1` objects. The same event again (same object, type, reason, note) becomes a series: one object whose count
goes up, patched at the second time, then at most every `SERIES_PATCH_EVERY` seconds. A series that is quiet for
`SERIES_ENDS_AFTER` seconds is over. Events that differ in the note alone are one series too from the eleventh in ten minutes on:
a message with a time in it is no news each time. New events of one object are limited by a token bucket (client-go's numbers: 25
at once, then one in five minutes). What the server could not take, or the client-side rate limit had no turn for, is tried again
at times of its own, twelve times at most, and holds up no other. What is refused is logged and dropped: events are for people,
never for programs.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from operator_kit.clock import Clock
from operator_kit.errors import (
    AlreadyExists,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    NotFound,
    NotLeader,
    OperatorKitError,
    RateLimited,
    ServerError,
    TooManyRequests,
)
from operator_kit.objects import Object, Resource, api_version_of, kind_of, name_of, namespace_of, resource_version_of, uid_of
from operator_kit.threads import has_ended

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["EventRecorder"]

EVENT = Resource("events.k8s.io", "v1", "Event", "events")
QUEUE_LIMIT = 1000
CACHE_LIMIT = 4096
SERIES_PATCH_EVERY = 30.0
SERIES_ENDS_AFTER = 360.0
BURST = 25
REFILL = 1 / 300
SIMILAR_LIMIT = 10
SIMILAR_WINDOW = 600.0
COMBINED = "(combined from similar events)"
NOTE_LIMIT = 1024
TRIES = 12
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between two tries of one event
OUTAGE_PAUSE = 0.5  # seconds without any try, from the second failure in a row: then it is not the event, it is the server
CALL_TIMEOUT = 10.0

_PASSING = (ConnectionFailed, ServerError, TooManyRequests, RateLimited, DeadlineExceeded)  # what another try may not meet

_log = logging.getLogger("operator_kit.events")


@dataclass(frozen=True, slots=True)
class _Identity:
    """What makes two events the same."""

    uid: str
    key: str
    controller: str
    type: str
    reason: str
    note: str


@dataclass(slots=True)
class _Series:
    """One event object on the server and how often it happened since. Only the recorder's thread touches it."""

    namespace: str
    name: str
    count: int = 1
    last: float = 0.0
    last_wall: datetime | None = None
    written: float = 0.0
    pending: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float = BURST
    at: float = 0.0


@dataclass(slots=True)
class _Similar:
    """Events that differ in the note alone."""

    since: float
    notes: int = 0  # how many events were written for them


@dataclass(slots=True)
class _Occurrence:
    identity: _Identity
    regarding: Object
    moment: float
    wall: datetime = field(compare=False)
    note: str = ""  # instead of the identity's, for similar events
    name: str = ""  # of the event object, once a try to write it was made
    tries: int = 0
    due: float = 0.0  # when it is tried again
    count: int = 1  # with those that came while it was to be tried again
    last: float = 0.0
    last_wall: datetime | None = field(default=None, compare=False)


class EventRecorder:
    """Records events for all controllers of a process, on a thread of its own.

    Args:
        client: the API server.
        clock: for times and the thread's waits.
        instance: names this process in `reportingInstance`; the host name and process id by default.
        timeout: seconds one call may take; ten at most.
    """

    def __init__(self, client: Client, *, clock: Clock | None = None, instance: str = "", timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._timeout = min(timeout, CALL_TIMEOUT)
        self._clock = clock or Clock()
        self._instance = (instance or f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}")[:128]
        self._condition = threading.Condition()
        self._waiting: deque[_Occurrence] = deque()  # under the condition; not tried yet
        self._again: OrderedDict[_Identity, _Occurrence] = OrderedDict()  # under the condition; tried, in vain so far
        self._stopping = False  # under the condition
        self._deadline: float | None = None  # set once, by stop
        self._busy = False  # under the condition
        self._dropped = 0  # under the condition
        self._thread: threading.Thread | None = None
        self._series: OrderedDict[_Identity, _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._similar: OrderedDict[_Identity, _Similar] = OrderedDict()
        self._failures = 0  # in a row; only the recorder's thread touches it, and the next two
        self._pause_until = 0.0
        self._new_turn = True  # by turns: what is new, and what is tried again
        self._serial = 0
        self._refused: set[str] = set()

    def record(self, regarding: Object, *, controller: str, reason: str, note: str, warning: bool = False) -> None:
        """Record an event about an object. Returns at once; drops the event when a thousand are waiting already."""
        key = f"{kind_of(regarding)}/{namespace_of(regarding)}/{name_of(regarding)}"
        kind = "Warning" if warning else "Normal"
        text = note if len(note) <= NOTE_LIMIT else note[: NOTE_LIMIT - 1] + "…"
        reference: Object = {
            "apiVersion": api_version_of(regarding),
            "kind": kind_of(regarding),
            "name": name_of(regarding),
            "uid": uid_of(regarding),
            "resourceVersion": resource_version_of(regarding),
        }
        if namespace_of(regarding):
            reference["namespace"] = namespace_of(regarding)
        occurrence = _Occurrence(
            _Identity(uid_of(regarding), key, controller, kind, reason[:128], text),
            reference,
            self._clock.monotonic(),
            self._clock.now(),
        )
        with self._condition:
            if self._stopping or len(self._waiting) + len(self._again) >= QUEUE_LIMIT:
                self._dropped += 1
                return
            self._waiting.append(occurrence)
            self._condition.notify_all()

    def start(self) -> None:
        """Start the thread."""
        if self._thread is not None:
            raise RuntimeError("the event recorder is started already")
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def dead(self) -> bool:
        """Whether its thread has ended without being told to."""
        thread = self._thread
        return thread is not None and not self._stopping and has_ended(thread)

    def stop(self, timeout: float) -> bool:
        """Write what is waiting, and end, within `timeout` seconds. Returns whether the thread has ended."""
        with self._condition:
            self._stopping = True
            self._deadline = self._clock.monotonic() + timeout
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def idle(self) -> bool:
        """Whether everything recorded so far is written (or dropped)."""
        with self._condition:
            return not self._waiting and not self._again and not self._busy

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._stopping and self._until_next() != 0:
                    waits = [wait for wait in (self._until_next_patch(), self._until_next()) if wait is not None]
                    self._clock.wait(self._condition, min(waits, default=None))
                    if self._until_next_patch() == 0:
                        break
                if self._stopping and (self._until_next() is None or self._time_left() <= 0):
                    break
                occurrence = self._next()
                self._busy = occurrence is not None
                dropped, self._dropped = self._dropped, 0
            try:
                if dropped:
                    _log.warning("%d events were dropped: the API server takes them too slowly", dropped)
                if occurrence is not None:
                    self._take(occurrence)
                self._patch_due()
            except Exception:  # noqa: BLE001  # the thread outlives a defect; the events after it are written
                _log.exception("an event was lost to a defect of the recorder")
            finally:
                with self._condition:
                    self._busy = False
        if self._time_left() > 0:
            self._patch_due(all_of_them=True)

    def _time_left(self) -> float:
        """How long a call may take: less when the recorder is to stop soon."""
        if self._deadline is None:
            return self._timeout
        return min(self._timeout, self._deadline - self._clock.monotonic())

    def _until_next(self) -> float | None:
        """Seconds until an event is to be written; None when there is none. Under the condition."""
        due = self._pause_until if self._waiting else min((each.due for each in self._again.values()), default=None)
        return None if due is None else max(0.0, max(due, self._pause_until) - self._clock.monotonic())

    def _next(self) -> _Occurrence | None:
        """The event that is to be written now; at the end each has one try more. Under the condition."""
        now = self._clock.monotonic()
        if now < self._pause_until and not self._stopping:
            return None
        again = next((each for each in self._again.values() if self._stopping or each.due <= now), None)
        if self._waiting and (self._new_turn or again is None):
            self._new_turn = False
            return self._waiting.popleft()
        self._new_turn = True
        return None if again is None else self._again.pop(again.identity)

    def _until_next_patch(self) -> float | None:
        """Seconds until a series must be patched; None when none is pending.

        Only the recorder's thread writes what this reads.
        """
        due = [series.written + SERIES_PATCH_EVERY for series in self._series.values() if series.pending]
        return max(0.0, min(due) - self._clock.monotonic()) if due else None

    def _take(self, occurrence: _Occurrence) -> None:
        identity, moment = occurrence.identity, occurrence.moment
        if self._continues(identity, occurrence):
            return
        if not occurrence.tries:
            identity = self._combined(identity, moment)
            if identity is not occurrence.identity:
                if self._continues(identity, occurrence):
                    return
                occurrence.note = f"{COMBINED}: {occurrence.identity.note}"[:NOTE_LIMIT]
                occurrence.identity = identity
            if not self._may_create(identity.key, moment):
                _log.debug("event %s of %s is over the limit of its object: %s", identity.reason, identity.key, identity.note)
                return
        self._create(occurrence)

    def _continues(self, identity: _Identity, occurrence: _Occurrence) -> bool:
        """Count it, if it is one more of a series that goes on, or of an event that is to be tried again."""
        again = self._again.get(identity)
        if again is not None:
            again.count += 1
            again.last, again.last_wall = occurrence.moment, occurrence.wall
            return True
        series = self._series.get(identity)
        if series is None or occurrence.moment - series.last > SERIES_ENDS_AFTER:
            return False
        self._series.move_to_end(identity)
        series.count += 1
        series.last, series.last_wall, series.pending = occurrence.moment, occurrence.wall, True
        if series.count == 2:
            self._patch(identity, series)
        return True

    def _combined(self, identity: _Identity, moment: float) -> _Identity:
        """The identity under which it is written: its own, or that of all that are similar when these are too many."""
        family = replace(identity, note=COMBINED)
        similar = self._similar.get(family)
        if similar is None or moment - similar.since > SIMILAR_WINDOW:
            similar = self._similar[family] = _Similar(moment)
        self._similar.move_to_end(family)
        while len(self._similar) > CACHE_LIMIT:
            self._similar.popitem(last=False)
        if similar.notes >= SIMILAR_LIMIT:
            return family
        similar.notes += 1
        return identity

    def _may_create(self, key: str, moment: float) -> bool:
        bucket = self._buckets.setdefault(key, _Bucket(at=moment))
        self._buckets.move_to_end(key)
        while len(self._buckets) > CACHE_LIMIT:
            self._buckets.popitem(last=False)
        bucket.tokens = min(BURST, bucket.tokens + (moment - bucket.at) * REFILL)
        bucket.at = moment
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _create(self, occurrence: _Occurrence) -> None:
        identity, regarding = occurrence.identity, occurrence.regarding
        namespace = str(regarding.get("namespace") or "default")
        if not occurrence.name:  # the same at every try: one whose answer was lost must not become two
            self._serial += 1
            unique = f"{int(occurrence.wall.timestamp() * 1_000_000):x}{self._serial:x}"
            occurrence.name = f"{str(regarding['name'])[:200]}.{unique}"
        name = occurrence.name
        event: Object = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro(occurrence.wall),
            "reportingController": identity.controller,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": identity.reason,
            "regarding": regarding,
            "note": occurrence.note or identity.note,
            "type": identity.type,
        }
        try:
            self._client.create(EVENT, event, namespace=namespace, timeout=max(0.1, self._time_left()))
        except AlreadyExists:
            _log.debug("event %s/%s exists already", namespace, name)
        except OperatorKitError as exc:
            if not self._try_again(occurrence, exc):
                self._complain(identity, exc)
            return
        self._failures = 0
        moment, wall = occurrence.last or occurrence.moment, occurrence.last_wall or occurrence.wall
        series = _Series(namespace, name, occurrence.count, last=moment, last_wall=wall, written=moment)
        self._series[identity] = series
        while len(self._series) > CACHE_LIMIT:
            self._series.popitem(last=False)
        if series.count > 1:
            self._patch(identity, series)

    def _try_again(self, occurrence: _Occurrence, exc: Exception) -> bool:
        """Put an event back that the server was not able to take just now. Returns whether it is tried again."""
        occurrence.tries += 1
        if not isinstance(exc, _PASSING):
            self._failures = 0
            return False
        now = self._clock.monotonic()
        self._failures += 1
        if self._failures > 1:
            self._pause_until = now + OUTAGE_PAUSE
        if occurrence.tries >= TRIES:
            return False
        with self._condition:
            if self._stopping:
                return False
            occurrence.due = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (occurrence.tries - 1))
            self._again[occurrence.identity] = occurrence
        return True

    def _patch_due(self, *, all_of_them: bool = False) -> None:
        now = self._clock.monotonic()
        for identity, series in list(self._series.items()):
            if series.pending and (all_of_them or now - series.written >= SERIES_PATCH_EVERY):
                self._patch(identity, series)

    def _patch(self, identity: _Identity, series: _Series) -> None:
        assert series.last_wall is not None
        body = {"series": {"count": series.count, "lastObservedTime": _micro(series.last_wall)}}
        series.pending, series.written = False, self._clock.monotonic()
        try:
            self._client.patch(EVENT, series.name, series.namespace, body, type="merge", timeout=max(0.1, self._time_left()))
        except NotFound:
            self._series.pop(identity, None)  # expired on the server: the next one begins a new event
        except OperatorKitError as exc:
            series.pending = isinstance(exc, _PASSING)
            self._complain(identity, exc)

    def _complain(self, identity: _Identity, exc: Exception) -> None:
        """Once per kind of refusal as a warning: whoever may not write events hears it, and is not told at every reconcile."""
        kind = type(exc).__name__
        level = logging.DEBUG if kind in self._refused or isinstance(exc, NotLeader | Cancelled) else logging.WARNING
        self._refused.add(kind)
        _log.log(level, "event %s of %s could not be written: %s", identity.reason, identity.key, exc)

    def __repr__(self) -> str:
        return f"<EventRecorder waiting={len(self._waiting)} series={len(self._series)}>"


def _micro(moment: datetime) -> str:
    """RFC 3339 with microseconds in UTC, as `metav1.MicroTime` is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
