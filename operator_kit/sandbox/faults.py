"""Faults on demand: what production does to a client sooner or later, done by the sandbox when it is told to.

A `Fault` says which requests it hits (verb, resource, namespace, name, user agent), how often (`share`, `count`, `after`), and
what happens to them (`action`). `Faults` holds the faults in force and decides, request by request, which of them strike. The
decision is made here and is the same for the same seed; carrying it out is the HTTP layer's work.

Actions on a request:

    status      answer with `code` and `reason` instead of doing the work; `retry_after` seconds as header and detail
    lost        do the work, then close the connection without an answer: the client cannot know
    delay       wait `seconds` first
    hang        never answer; the connection stays open
    close       close the connection without doing the work and without an answer
    cut         send the first half of the body, then close
    garble      send a body that is no JSON

Actions on a watch stream, after `events` lines have been sent:

    end         end the stream cleanly
    break       send half of the next line, then close
    corrupt     send a line that is no JSON
    blank       send an empty line
    gone        send an ERROR event with a 410 Status, then end
    error       send an ERROR event with a Status of `code`, then end
    silent      send nothing more, not even bookmarks, and stay open (half-open)
    no-bookmarks  send no bookmarks
    drop        leave out events (each with probability `share`)
    duplicate   send events twice (each with probability `share`)
    reorder     swap events with the next one (each with probability `share`)
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EVENT_ACTIONS", "REQUEST_ACTIONS", "STREAM_ACTIONS", "Fault", "Faults", "Request", "StreamFaults"]

REQUEST_ACTIONS = frozenset({"status", "lost", "delay", "hang", "close", "cut", "garble"})
"""What can happen to one request."""
STREAM_ACTIONS = frozenset({"end", "break", "corrupt", "blank", "gone", "error", "silent", "no-bookmarks"})
"""What can happen to a watch stream as a whole."""
EVENT_ACTIONS = frozenset({"drop", "duplicate", "reorder"})
"""What can happen to single events of a watch stream; `share` is per event, and `count` counts events."""

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a fault can be aimed at. Empty texts are for what a request has not: a discovery request has no resource.

    `verb` is the RBAC verb (`get list watch create update patch delete deletecollection`), or `discovery`; `resource` is
    `"pods"`, `"deployments.apps"`, with a subresource behind a slash (`"websites.example.com/status"`); the group for discovery.
    """

    verb: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in force.

    Args:
        action: what happens; see the module.
        verb: an RBAC verb or `discovery`; empty for every verb but `discovery`.
        resource: as in `Request`; empty for every one. `"websites.example.com"` does not hit its subresources, `"…/*"` does.
        namespace: only requests to it; empty for every one.
        name: only requests for this object; empty for every one.
        user_agent: only clients whose user agent contains this text.
        continues: only lists that go on with a continue token.
        share: the probability that it strikes, 0 to 1.
        count: how many times it strikes at most; None for ever.
        after: how many matching requests are let through first.
        seed: of the random choices; the same seed makes the same choices.
        code: HTTP status for `status` and `error`.
        reason: its reason; the usual one of the code by default.
        retry_after: seconds for `status`; None for no such header.
        seconds: for `delay`.
        events: stream actions strike after this many lines.

    Raises:
        ValueError: a value that cannot be used; the message names the field.
    """

    action: str
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    continues: bool = False
    share: float = 1.0
    count: int | None = None
    after: int = 0
    seed: int = 0
    code: int = 500
    reason: str = ""
    retry_after: int | None = None
    seconds: float = 0.0
    events: int = 0

    def __post_init__(self) -> None:
        known = sorted(REQUEST_ACTIONS | STREAM_ACTIONS | EVENT_ACTIONS)
        if self.action not in known:
            raise ValueError(f"action: {self.action!r} is none of {', '.join(known)}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: {self.share!r} is not between 0 and 1")
        if not 400 <= self.code <= 599:
            raise ValueError(f"code: {self.code!r} is no HTTP error")
        for field in ("after", "seconds", "events"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field}: {getattr(self, field)!r} is negative")
        if self.count is not None and self.count < 0:
            raise ValueError(f"count: {self.count!r} is negative")

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Fault:
        """From its JSON form. Raises `ValueError` for unknown names and for values of a wrong type."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in document.items():
            if name not in fields:
                raise ValueError(f"{name}: a fault has no such field; known are {', '.join(fields)}")
            expected = _TYPES[name]
            if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
                raise ValueError(f"{name}: {value!r} is not {' or '.join(kind.__name__ for kind in expected)}")
        if "action" not in document:
            raise ValueError("action: a fault needs one")
        return cls(**document)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what differs from the defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name == "action" or getattr(self, field.name) != field.default
        }

    def status_reason(self) -> str:
        """The reason of the Status it answers with."""
        return self.reason or _REASONS.get(self.code, "InternalError" if self.code >= 500 else "BadRequest")

    def hits(self, request: Request) -> bool:
        """Whether it is aimed at this request (leaving chance and counts aside)."""
        if self.verb != request.verb and (self.verb or request.verb == "discovery"):
            return False
        if self.action in STREAM_ACTIONS | EVENT_ACTIONS and request.verb != "watch":
            return False
        if self.resource and self.resource != request.resource:
            base, star, _ = self.resource.partition("/*")
            if not star or request.resource.partition("/")[0] != base:
                return False
        if (self.namespace and self.namespace != request.namespace) or (self.name and self.name != request.name):
            return False
        return self.user_agent in request.user_agent and (request.continues or not self.continues)


_TYPES: dict[str, tuple[type, ...]] = {
    "action": (str,),
    "verb": (str,),
    "resource": (str,),
    "namespace": (str,),
    "name": (str,),
    "user_agent": (str,),
    "continues": (bool,),
    "share": (int, float),
    "count": (int, type(None)),
    "after": (int,),
    "seed": (int,),
    "code": (int,),
    "reason": (str,),
    "retry_after": (int, type(None)),
    "seconds": (int, float),
    "events": (int,),
}


class _Armed:
    """A fault in force with its dice and its counts."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.dice = random.Random(fault.seed)  # noqa: S311  # repeatable choices, no secrets
        self.seen = 0
        self.struck = 0

    def strikes(self) -> bool:
        self.seen += 1
        if self.seen <= self.fault.after or (self.fault.count is not None and self.struck >= self.fault.count):
            return False
        if self.dice.random() >= self.fault.share:
            return False
        self.struck += 1
        return True


class StreamFaults:
    """The faults that strike one watch stream: asked line by line by whoever writes the stream."""

    def __init__(self, owner: Faults, whole: list[Fault], single: list[_Armed]) -> None:
        self._owner = owner
        self._whole = whole
        self._single = single
        self._held: bytes | None = None
        self._lines = 0
        self.bookmarks = not any(fault.action == "no-bookmarks" for fault in whole)
        """Whether bookmarks are sent."""

    def struck(self) -> Fault | None:
        """The fault on the stream as a whole that is due before the next line is sent, if one is."""
        for fault in self._whole:
            if fault.action != "no-bookmarks" and self._lines >= fault.events:
                self._whole.remove(fault)
                return fault
        return None

    def lines(self, line: bytes) -> Iterator[bytes]:
        """What is sent in place of one event line: nothing, the line, the line twice, or an earlier line behind it."""
        out = [line]
        for armed in self._single:
            if not self._owner.roll(armed):
                continue
            if armed.fault.action == "drop":
                out = []
            elif armed.fault.action == "duplicate":
                out = out * 2
            elif self._held is None and out:
                self._held = out.pop()
        for item in out:
            self._lines += 1
            yield item
        if out and self._held is not None:
            held, self._held = self._held, None
            self._lines += 1
            yield held

    @property
    def holding(self) -> bool:
        """Whether a reordering holds an event back."""
        return self._held is not None

    def rest(self) -> bytes:
        """What a reordering still holds back; sent when the stream falls quiet or ends."""
        held, self._held = self._held or b"", None
        return held


class Faults:
    """The faults in force, and who is struck. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[int, _Armed] = {}
        self._ids = itertools.count(1)

    def add(self, fault: Fault | None = None, /, **fields: Any) -> int:
        """Put a fault in force: a `Fault`, or its fields. Returns its number, for `remove`."""
        armed = _Armed(fault or Fault(**fields))
        with self._lock:
            number = next(self._ids)
            self._armed = {**self._armed, number: armed}
            return number

    def remove(self, number: int) -> bool:
        """Lift one fault. Returns whether it was in force."""
        with self._lock:
            left = dict(self._armed)
            found = left.pop(number, None) is not None
            self._armed = left
            return found

    def clear(self) -> None:
        """Lift every fault. Hanging requests and silent streams stay as they are: their clients were told nothing else."""
        with self._lock:
            self._armed = {}

    def in_force(self) -> list[dict[str, Any]]:
        """Each fault in its JSON form, with its `number` and how often it `struck`."""
        with self._lock:
            return [{"number": number, "struck": armed.struck, **armed.fault.to_dict()} for number, armed in self._armed.items()]

    def struck(self, number: int) -> int:
        """How often a fault struck so far. Raises `KeyError` when it is not in force."""
        with self._lock:
            return self._armed[number].struck

    def __bool__(self) -> bool:
        """Whether any fault is in force; cheap, for the request path."""
        return bool(self._armed)

    def on_request(self, request: Request) -> list[Fault]:
        """The faults that strike this request, delays first."""
        return self._strike(request, REQUEST_ACTIONS)

    def on_stream(self, request: Request) -> StreamFaults:
        """The faults that strike this watch stream."""
        single = [armed for armed in self._armed.values() if armed.fault.action in EVENT_ACTIONS and armed.fault.hits(request)]
        return StreamFaults(self, self._strike(request, STREAM_ACTIONS), single)

    def roll(self, armed: _Armed) -> bool:
        """Whether a fault on single events strikes now."""
        with self._lock:
            return armed.strikes()

    def _strike(self, request: Request, actions: frozenset[str]) -> list[Fault]:
        with self._lock:
            struck = [
                a.fault for a in self._armed.values() if a.fault.action in actions and a.fault.hits(request) and a.strikes()
            ]
        return sorted(struck, key=lambda fault: fault.action != "delay")

    def __repr__(self) -> str:
        return f"<Faults {len(self._armed)} in force>"
