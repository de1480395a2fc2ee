"""Endless updates: a child that is put right again and again, because somebody else changes it back each time.

Two controllers that fight over a field, or a program that rewrites what it is given, would have a child applied as fast as the
watches tell of it. Nobody notices but the API server. So repeated applies of the same content are counted, a loop is told once,
and from then on the child is applied at a slower and slower pace, down to once in a minute. It is never given up. Two objects of
one controller that want different content of the same child fight like two controllers: each one's applies are counted apart.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from operator_kit.clock import Clock
from operator_kit.controller.children import Path
from operator_kit.controller.echoes import LONGEST_DELAY as SELF_WOKEN_DELAY
from operator_kit.controller.echoes import SELF_WOKEN
from operator_kit.controller.finalizers import finalizer_name
from operator_kit.objects import Object, Resource, metadata_of

if TYPE_CHECKING:
    from operator_kit.cache import Entry
    from operator_kit.controller.events import EventRecorder
    from operator_kit.controller.scope import Write
    from operator_kit.observe.metrics import Counter
    from operator_kit.observe.metrics import Registry as Metrics

__all__ = ["FIRST_DELAY", "LONGEST_DELAY", "REPAIRS", "WINDOW", "UpdateLoops", "Wish", "holders", "update_loops"]

REPAIRS = 5
"""How often a child must be applied with the same content, within the window, to count as a loop."""
WINDOW = 900.0
"""Seconds in which that must happen; and after which a loop that has ended is forgotten."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds between applies in a loop: the first, doubled with each to the longest."""

_REMEMBERED = 4096
_log = logging.getLogger("operator_kit.controller")


class Wish(NamedTuple):
    """What one object wants of a child.

    Attributes:
        kind: the child's kind.
        key: the child's key.
        owner: the key of the object that wants it.
        digest: the hash of the content.
    """

    kind: Resource
    key: str
    owner: str
    digest: str


@dataclass(slots=True)
class _Repairs:
    digest: str = ""
    times: tuple[float, ...] = ()  # of the last applies
    delay: float = 0.0
    told: bool = False


class UpdateLoops:
    """Counts repairs for one controller. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._repairs: OrderedDict[tuple[Resource, str, str], _Repairs] = OrderedDict()  # under the lock; by child and owner

    def wait(self, wish: Wish) -> float:
        """Seconds that this content must wait before it is applied to the child again; 0 outside of a loop."""
        with self._lock:
            repairs = self._repairs.get(wish[:3])
            if repairs is None or repairs.digest != wish.digest or not repairs.delay:
                return 0.0
            return max(0.0, repairs.times[-1] + repairs.delay - self._clock.monotonic())

    def suspects(self, wish: Wish) -> bool:
        """Whether one more such apply would make it a loop that nobody was told of."""
        now = self._clock.monotonic()
        with self._lock:
            repairs = self._repairs.get(wish[:3])
            if repairs is None or repairs.digest != wish.digest or repairs.told or len(repairs.times) < REPAIRS - 1:
                return False
            return now - repairs.times[1 - REPAIRS] <= WINDOW

    def count(self, wish: Wish) -> bool:
        """A child that was there was changed by applying this content. Returns whether that is a loop, and news."""
        now = self._clock.monotonic()
        with self._lock:
            repairs = self._repairs.get(wish[:3])
            if repairs is None or repairs.digest != wish.digest or now - repairs.times[-1] > WINDOW:
                repairs = self._repairs[wish[:3]] = _Repairs(wish.digest)
            self._repairs.move_to_end(wish[:3])
            while len(self._repairs) > _REMEMBERED:
                self._repairs.popitem(last=False)
            repairs.times = (*repairs.times, now)[-REPAIRS:]
            looping = len(repairs.times) == REPAIRS and now - repairs.times[0] <= WINDOW
            repairs.delay = min(LONGEST_DELAY, max(FIRST_DELAY, repairs.delay * 2)) if looping else 0.0
            news = looping and not repairs.told
            repairs.told = repairs.told or looping
            return news

    def others(self, wish: Wish) -> list[str]:
        """The keys of the other objects that had the child changed to what they want, and not long ago."""
        since = self._clock.monotonic() - WINDOW
        with self._lock:
            return [
                owner
                for (kind, key, owner), repairs in self._repairs.items()
                if (kind, key) == wish[:2] and owner != wish.owner and repairs.times[-1] >= since
            ]

    def __len__(self) -> int:
        return len(self._repairs)


def update_loops(metrics: Metrics) -> Counter:
    """The sink that counts the loops that were told."""
    return metrics.counter(
        "operator_kit_update_loops_total",
        "Children that were found to be changed back again and again, and objects that run again and again for their own writes",
        ("controller", "resource"),
    )


def tell_own_loop(
    controller: str, kind: Resource, entry: Entry, writes: Iterable[Write], *, recorder: EventRecorder, metrics: Metrics
) -> None:
    """Say that an object is reconciled again and again for what its own runs write: in the log, in a metric, and on the object.

    Args:
        controller: the controller's name.
        kind: of the object.
        entry: the object.
        writes: of the last run.
        recorder: writes the Event.
        metrics: where the sink is.
    """
    written = list(dict.fromkeys(f"{write.resource.kind} {write.key}" for write in writes))
    more = f" and {len(written) - 3} more" if len(written) > 3 else ""
    text = (
        f"reconciled {SELF_WOKEN} times in a row for nothing but what it wrote itself: {', '.join(written[:3])}{more}, each time "
        f"anew. Perhaps there is a time or a random value in it, or it is compared with what the server made of it. The runs get "
        f"rarer, down to one in {SELF_WOKEN_DELAY:g} s"
    )
    update_loops(metrics).inc(controller, kind.group_resource)
    _log.warning("%s: %s was %s", controller, entry.key, text)
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, **entry.decode()}
    manager = finalizer_name(kind, controller)
    recorder.record(obj, controller=manager, reason="UpdateLoop", note=f"It was {text}", warning=True)


def holders(obj: Mapping[str, Any], path: Path, *, besides: str) -> list[str]:
    """The field managers, other than `besides`, that hold a field of an object that was read with its `managedFields`."""
    found: dict[str, None] = {}
    for entry in metadata_of(obj).get("managedFields") or []:
        manager = str(entry.get("manager") or "")
        if manager and manager != besides and _holds(entry.get("fieldsV1") or {}, path, obj):
            found[manager] = None
    return list(found)


def _holds(fields: Object, path: Iterable[str | int], live: Any) -> bool:
    """Whether a set of fields reaches down to a path, or to something above it that is held as a whole."""
    for part in path:
        if not fields or set(fields) == {"."}:
            return bool(fields)
        if isinstance(part, str):
            live = live.get(part) if isinstance(live, dict) else None
            below = fields.get(f"f:{part}")
        else:
            live = live[part] if isinstance(live, list) and part < len(live) else None
            below = next((value for name, value in fields.items() if _is_item(name, live)), None)
        if below is None:
            return False
        if not below:
            return True
        fields = below
    return True


def _is_item(name: str, item: Any) -> bool:
    """Whether the name of a list's item in a set of fields (`k:{"name":"web"}`, `v:"text"`) means this one."""
    kind, _, text = name.partition(":")
    try:
        value = json.loads(text)
    except ValueError:
        return False
    if kind == "k":
        return isinstance(item, dict) and all(item.get(field) == wanted for field, wanted in value.items())
    return bool(kind == "v" and item == value)
