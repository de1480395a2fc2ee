"""Waiting until the cache has seen a write: so that nobody acts twice on what it does not show yet.

A write is seen when the cache holds that version of the object or a later one; when the object is not there, or is another one,
and the cache as a whole is as new as the write (it was deleted since, or does not belong to the selection). A deletion is seen
when the object of that uid is not there. Where versions cannot be compared a write counts as seen: better a stale read than a key
that waits for ever.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from operator_kit.cache.records import Record, parse_version

__all__ = ["Waits", "Write", "seen"]


class Write(NamedTuple):
    """Something that was written to the API server.

    Attributes:
        key: the object's key.
        uid: the object's uid.
        version: its resourceVersion in the server's answer; empty for a deletion.
    """

    key: str
    uid: str
    version: str = ""


def seen(write: Write, record: Record | None, newest: int | str) -> bool:
    """Whether a cache that holds `record` under the write's key, and is as new as `newest`, has seen the write."""
    held = record is not None and record[1] == write.uid
    if not write.version:
        return not held
    version = parse_version(write.version)
    if not isinstance(version, int):
        return True
    if record is not None and held:
        return not isinstance(record[2], int) or record[2] >= version
    return newest != "" and (not isinstance(newest, int) or newest >= version)


class _Wait:
    __slots__ = ("callback", "over", "write")

    def __init__(self, write: Write, callback: Callable[[], None]) -> None:
        self.write = write
        self.callback = callback
        self.over = False


class Waits:
    """Who waits for what. Not thread-safe: the store's lock guards it."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[_Wait]] = {}  # empty when nobody waits
        self._by_version: list[tuple[int, str]] = []  # a heap: when the cache is this new, look at this key

    def add(self, write: Write, callback: Callable[[], None]) -> _Wait:
        """Have `callback` handed out once the write is seen."""
        wait = _Wait(write, callback)
        self.by_key.setdefault(write.key, []).append(wait)
        version = parse_version(write.version)
        if isinstance(version, int):
            heapq.heappush(self._by_version, (version, write.key))
        return wait

    def drop(self, wait: _Wait) -> None:
        """Wait for it no more."""
        wait.over = True
        rest = [other for other in self.by_key.get(wait.write.key, ()) if not other.over]
        if rest:
            self.by_key[wait.write.key] = rest
        else:
            self.by_key.pop(wait.write.key, None)
            if not self.by_key:
                self._by_version.clear()

    def due(self, keys: Iterable[str], records: Mapping[str, Record], newest: int | str) -> list[Callable[[], None]]:
        """The callbacks whose turn has come, after these keys changed and the cache became as new as `newest`."""
        if not self.by_key:
            return []
        look = [key for key in keys if key in self.by_key]
        while self._by_version and (not isinstance(newest, int) or self._by_version[0][0] <= newest):
            look.append(heapq.heappop(self._by_version)[1])
        due = []
        for key in look:
            for wait in list(self.by_key.get(key, ())):
                if seen(wait.write, records.get(key), newest):
                    self.drop(wait)
                    due.append(wait.callback)
        return due

    def all(self) -> list[Callable[[], None]]:
        """Every callback; nobody waits any more."""
        callbacks = [wait.callback for waits in self.by_key.values() for wait in waits]
        self.by_key.clear()
        self._by_version.clear()
        return callbacks

    def keys(self) -> list[str]:
        """The keys somebody waits for."""
        return list(self.by_key)

    def __len__(self) -> int:
        return sum(len(waits) for waits in self.by_key.values())
