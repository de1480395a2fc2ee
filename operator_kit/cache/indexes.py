"""Indexes: from a value to the keys of the objects that have it.

Most values belong to one object or a few (an owner's uid), some to tens of thousands (a namespace). So a bucket is the key itself
while it is alone, a tuple of keys for a few, and a dict of keys beyond: small in the first cases, quick to change in the last.
Empty buckets are removed.

Indexes are changed under their store's lock, together with the objects. An author's function never runs under it: its values are
asked for before, and asked for again if the set of indexes changed meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from operator_kit.cache.records import Entry, Record, owner_uids
from operator_kit.objects import Object, split_key

__all__ = ["Index", "IndexFunction", "Indexes"]

log = logging.getLogger(__name__)

IndexFunction = Callable[[Object], Iterable[str]]
"""From an object (a private copy) to the values it is found by; none is fine."""


_FEW = 8


class Index:
    """Value -> keys, in the order in which they came."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, str | tuple[str, ...] | dict[str, None]] = {}

    def add(self, value: str, key: str) -> None:
        """Let the key be found by the value."""
        bucket = self._buckets.get(value)
        if bucket is None:
            self._buckets[value] = key
        elif isinstance(bucket, dict):
            bucket[key] = None
        else:
            keys = bucket if isinstance(bucket, tuple) else (bucket,)
            if key not in keys:
                keys = (*keys, key)
                self._buckets[value] = keys if len(keys) <= _FEW else dict.fromkeys(keys)

    def discard(self, value: str, key: str) -> None:
        """Let the key be found by the value no more."""
        bucket = self._buckets.get(value)
        if isinstance(bucket, dict):
            bucket.pop(key, None)
            if len(bucket) <= _FEW // 2:  # not at once: one that comes and goes would be turned over each time
                self._shrink(value, tuple(bucket))
        elif isinstance(bucket, tuple):
            self._shrink(value, tuple(other for other in bucket if other != key))
        elif bucket == key:
            del self._buckets[value]

    def _shrink(self, value: str, keys: tuple[str, ...]) -> None:
        if keys:
            self._buckets[value] = keys if len(keys) > 1 else keys[0]
        else:
            self._buckets.pop(value, None)

    def keys(self, value: str) -> list[str]:
        """The keys found by the value: the caller's own list."""
        bucket = self._buckets.get(value)
        if bucket is None:
            return []
        return [bucket] if isinstance(bucket, str) else list(bucket)

    def count(self, value: str) -> int:
        """How many keys are found by the value."""
        bucket = self._buckets.get(value)
        return 0 if bucket is None else 1 if isinstance(bucket, str) else len(bucket)

    def values(self) -> list[str]:
        """Every value that finds something."""
        return list(self._buckets)

    def __len__(self) -> int:
        return len(self._buckets)


class _Custom(NamedTuple):
    """An author's index, with the values it holds for each key: what must be removed is known without asking the author again."""

    function: IndexFunction
    found: Index
    values: dict[str, tuple[str, ...]]


Values: TypeAlias = Mapping[str, tuple[str, ...]]
_NO_VALUES: Values = {}


class Indexes:
    """All indexes of one store. Not thread-safe, except `ask` and `values`, which must be called without the store's lock."""

    def __init__(self, name: str, *, by_namespace: bool) -> None:
        self.namespaces = Index() if by_namespace else None
        self.owners = Index()
        self.generation = 0  # counts changes of the set of author's indexes
        self._name = name
        self.custom: dict[str, _Custom] = {}  # an author's, by name; `declare` and `remove` change it
        self._failed: set[str] = set()

    def found(self, name: str) -> Index:
        """An author's index. Raises KeyError if it is not there."""
        try:
            return self.custom[name].found
        except KeyError:
            raise KeyError(f"{self._name or 'the store'} has no index {name!r}; it has {sorted(self.custom)}") from None

    def declare(self, name: str, function: IndexFunction) -> bool:
        """Add an author's index, empty. Returns False if it is there; raises ValueError if another function has the name."""
        if name in self.custom:
            if self.custom[name].function is function:
                return False
            raise ValueError(f"{self._name or 'the store'} has an index {name!r} already, made by another function")
        self.custom[name] = _Custom(function, Index(), {})
        self.generation += 1
        return True

    def fill(self, name: str, key: str, values: tuple[str, ...]) -> None:
        """Add what was there before the index, where it is not known yet."""
        custom = self.custom.get(name)
        if custom is not None and key not in custom.values:
            _enter(custom, key, values)

    def remove(self, name: str) -> None:
        """Remove an author's index."""
        if self.custom.pop(name, None) is not None:
            self.generation += 1

    def ask(self, name: str, function: IndexFunction, record: Record) -> tuple[str, ...]:
        """What an author's function gives for an object; nothing when it fails, which is logged once for each index."""
        try:
            return tuple(dict.fromkeys(str(value) for value in function(Entry(record).decode())))
        except (Exception, SystemExit):
            if name not in self._failed:
                self._failed.add(name)
                log.exception("index %r of %s failed for %s: it is not found by this index", name, self._name, record[0])
            return ()

    def values(self, record: Record | None) -> Values:
        """What every author's function gives for an object."""
        if record is None or not self.custom:
            return _NO_VALUES
        return {name: self.ask(name, custom.function, record) for name, custom in list(self.custom.items())}

    def change(self, old: Record | None, new: Record | None, values: Values = _NO_VALUES) -> None:
        """One object changed, came (`old` is None) or went (`new` is None)."""
        record = new or old
        if record is None:
            return
        key = record[0]
        if self.namespaces is not None and (old is None or new is None):
            (self.namespaces.add if new else self.namespaces.discard)(split_key(key)[0], key)
        if (old[5] if old else "") != (new[5] if new else ""):
            after = owner_uids(new)
            for uid in owner_uids(old):
                if uid not in after:
                    self.owners.discard(uid, key)
            for uid in after:
                self.owners.add(uid, key)
        for name, custom in self.custom.items():
            _enter(custom, key, values.get(name, ()))

    def clear(self) -> None:
        """Empty all of them."""
        self.namespaces = None if self.namespaces is None else Index()
        self.owners = Index()
        self.custom = {name: _Custom(custom.function, Index(), {}) for name, custom in self.custom.items()}


def _enter(custom: _Custom, key: str, values: tuple[str, ...]) -> None:
    for value in custom.values.pop(key, ()):
        custom.found.discard(value, key)
    for value in values:
        custom.found.add(value, key)
    if values:
        custom.values[key] = values
