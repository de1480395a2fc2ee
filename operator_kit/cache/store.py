"""The objects of one selection, as the API server last told them: bytes, a few fields beside them, and indexes.

Promises:

- every read gives the caller objects of its own: what it does to them harms nobody;
- indexes and objects agree at every moment; a list replaces all of them at once;
- an event that is stale, repeated or late changes nothing (`apply` has the rules);
- one thread writes (the reflector's); any number read, and none waits for a decode or for a callback of another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from operator_kit.cache.indexes import Indexes, IndexFunction
from operator_kit.cache.records import Change, Entry, Identity, Record, Version, parse_version
from operator_kit.cache.waits import Waits, Write, seen
from operator_kit.objects import Object, split_key
from operator_kit.selectors import LabelSelector

__all__ = ["Store", "WentBackwards"]

log = logging.getLogger(__name__)

# The store's own `list` hides the type's name in its methods.
Objects: TypeAlias = list[Object]
Entries: TypeAlias = list[Entry]
Names: TypeAlias = list[str]

# Deleted objects that are remembered until the next list; the oldest are forgotten beyond this. An event is late by seconds.
_TOMBSTONES = 16_384


class WentBackwards(Exception):
    """The server tells of something older than it told before: it was restored, or another one answers."""


class Store:
    """Read it from anywhere; only the reflector writes."""

    def __init__(self, name: str = "", *, by_namespace: bool = True) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._bytes = 0
        self._version: Version = ""
        self._base: Version = ""  # the version of the last list: a stream after it holds nothing older
        self._tombstones: dict[str, Version] = {}  # uid -> the version at which it was deleted
        self._indexes = Indexes(name, by_namespace=by_namespace)
        self._waits = Waits()

    # -- reads ------------------------------------------------------------------------------------------------------------------

    @property
    def resource_version(self) -> str:
        """The newest version that was applied, bookmarks included; empty before the first list."""
        return str(self._version)

    @property
    def size(self) -> int:
        """The bytes of JSON held."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def get(self, key: str) -> Object | None:
        """The object, the caller's own; None if there is none."""
        record = self._records.get(key)
        return None if record is None else Entry(record).decode()

    def entry(self, key: str) -> Entry | None:
        """The object's fields, undecoded; None if there is none."""
        record = self._records.get(key)
        return None if record is None else Entry(record)

    def keys(self) -> Names:
        """Every key."""
        with self._lock:
            return list(self._records)

    def entries(self, namespace: str | None = None, selector: LabelSelector | None = None) -> Entries:
        """Like `list`, undecoded."""
        found = [Entry(record) for record in self._snapshot(namespace)]
        return found if selector is None else [entry for entry in found if selector.matches(entry.labels)]

    def list(self, namespace: str | None = None, selector: LabelSelector | None = None) -> Objects:
        """The objects of a namespace (all of them for None) whose labels match, the caller's own."""
        return [entry.decode() for entry in self.entries(namespace, selector)]

    def count(self, namespace: str | None = None) -> int:
        """How many objects there are, in a namespace or in all."""
        if namespace is None:
            return len(self._records)
        with self._lock:
            if self._indexes.namespaces is not None:
                return self._indexes.namespaces.count(namespace)
        return len(self._snapshot(namespace))

    def by_owner(self, uid: str) -> Objects:
        """The objects with an owner reference to this uid, the controlling one or not."""
        return [entry.decode() for entry in self.entries_by_owner(uid)]

    def entries_by_owner(self, uid: str) -> Entries:
        """Like `by_owner`, undecoded."""
        with self._lock:
            return [Entry(self._records[key]) for key in self._indexes.owners.keys(uid)]

    def by_index(self, name: str, value: str) -> Objects:
        """The objects for which the index function gave this value. Raises KeyError for an index that is not there."""
        with self._lock:
            found = [Entry(self._records[key]) for key in self._indexes.found(name).keys(value)]
        return [entry.decode() for entry in found]

    def keys_by_index(self, name: str, value: str) -> Names:
        """Like `by_index`, only the keys."""
        with self._lock:
            return self._indexes.found(name).keys(value)

    def index_values(self, name: str) -> Names:
        """Every value of an index that finds something."""
        with self._lock:
            return self._indexes.found(name).values()

    def _snapshot(self, namespace: str | None) -> Sequence[Record]:
        with self._lock:
            if namespace is None:
                return list(self._records.values())
            if self._indexes.namespaces is not None:
                return [self._records[key] for key in self._indexes.namespaces.keys(namespace)]
            return [record for key, record in self._records.items() if split_key(key)[0] == namespace]

    # -- indexes ----------------------------------------------------------------------------------------------------------------

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add an author's index; what is held already is indexed before this returns.

        A function that fails for an object is logged once, and the object is not found by it. Raises ValueError when the name is
        taken by another function.
        """
        with self._lock:
            if not self._indexes.declare(name, function):
                return
            # From here on the writer keeps it up; what was there before is added below, unless the writer was faster.
            snapshot = list(self._records.values())
        for record in snapshot:
            values = self._indexes.ask(name, function, record)
            with self._lock:
                if self._records.get(record[0]) is record:
                    self._indexes.fill(name, record[0], values)

    def remove_index(self, name: str) -> None:
        """Remove an author's index. Nothing happens if it is not there."""
        with self._lock:
            self._indexes.remove(name)

    # -- own writes -------------------------------------------------------------------------------------------------------------

    def has_seen(self, write: Write) -> bool:
        """Whether a write shows here. See `operator_kit.cache.waits`."""
        return seen(write, self._records.get(write.key), self._version)

    def when_seen(self, write: Write, callback: Callable[[], None]) -> Callable[[], None] | None:
        """Have `callback` called once a write shows here; by the reflector's thread, it must not block.

        Returns:
            None if it shows already (the callback is not called); otherwise a function that takes the wish back.
        """
        with self._lock:
            if seen(write, self._records.get(write.key), self._version):
                return None
            wait = self._waits.add(write, callback)

        def forget() -> None:
            with self._lock:
                self._waits.drop(wait)

        return forget

    def release_waits(self) -> None:
        """Call every callback: this store will see nothing more."""
        with self._lock:
            due = self._waits.all()
        self._call(due)

    def _call(self, callbacks: Sequence[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("a callback that waited for a write in %s failed", self._name)

    # -- the reflector's side ---------------------------------------------------------------------------------------------------

    def held(self, identity: Identity) -> Record | None:
        """The record that a list need not make anew, because this very version is held."""
        key, uid, version = identity
        record = self._records.get(key)
        return record if record is not None and record[1] == uid and record[2] == version else None

    def replace(
        self, fresh: dict[str, Record], version: str, *, initial: bool = False, rebuild: bool = False
    ) -> Iterator[Change]:
        """Swap in what a list told. Takes effect at once; the changes are made as they are asked for: first what vanished.

        Args:
            fresh: the records by key; the store's own from now on.
            version: the version of the list.
            initial: whether this is the first list.
            rebuild: make the indexes from nothing: the thread that wrote last died, perhaps in the middle of a change.
        """
        before = self._records
        vanished = [record for key, record in before.items() if key not in fresh]
        indexed = {} if rebuild else before
        while True:
            generation = self._indexes.generation
            changed = [
                (indexed.get(key), record, self._indexes.values(record))
                for key, record in fresh.items()
                if indexed.get(key) is not record
            ]
            with self._lock:
                if generation != self._indexes.generation:  # an index was added or removed while its authors were asked
                    continue
                if rebuild:
                    self._indexes.clear()
                for record in vanished:
                    self._indexes.change(record, None)
                for old, record, values in changed:
                    self._indexes.change(old, record, values)
                self._records = fresh
                self._bytes = sum(len(record[9]) for record in fresh.values())
                newest, before_it = parse_version(version), self._version
                self._version = self._base = newest
                self._tombstones = {}
                if _older(newest, before_it):  # of a server that was restored: the versions that are waited for may never come
                    due = self._waits.all()
                else:
                    due = self._waits.due(self._waits.keys(), fresh, newest)
            break
        self._call(due)
        return _differences(before, vanished, fresh, initial=initial)

    def advance(self, version: str) -> None:
        """Take a bookmark: everything up to this version has been told. Raises WentBackwards for one older than what was told."""
        newest = parse_version(version)
        if _older(newest, self._version):
            raise WentBackwards(f"a bookmark is of version {newest}, older than {self._version}")
        with self._lock:
            self._version = newest
            due = self._waits.due((), self._records, newest)
        self._call(due)

    def apply(self, event: str, record: Record | Identity) -> tuple[Change, ...]:
        """Take an event of a watch. Returns the changes it made: none if it was dropped.

        - an object not newer than what is held, or than its own deletion: dropped;
        - a deletion older than what is held: dropped; of something that is not held: only remembered;
        - another uid under the same key: the old one is deleted, then the new one added;
        - an unknown object not newer than the last list: the server's versions went backwards, so nothing here can be trusted;
        - versions that do not compare: the event counts.

        Args:
            event: `ADDED`, `MODIFIED` or `DELETED`.
            record: the object's record; of a deleted one its identity will do.

        Raises:
            WentBackwards: the server was restored to an earlier state, it seems.
        """
        key, uid, version = record[0], record[1], record[2]
        old = self._records.get(key)
        if event == "DELETED":
            same = old is not None and old[1] == uid
            if old is None or _older(version, old[2]):
                if not same:  # the object that is held is not the one that was deleted before it
                    self._bury(uid, version)
                if not _older(version, self._version):
                    self.advance(str(version))  # an event that changed nothing still tells how far the server is
                return ()
            self._write(old, None, key, version)
            self._bury(uid, version)
            if not same:
                self._bury(old[1], version)
            return (Change("deleted", key, Entry(old), None),)
        new: Record = record  # type: ignore[assignment]
        if uid in self._tombstones and _not_newer(version, self._tombstones[uid]):
            return ()
        if old is None:
            if _not_newer(version, self._base):
                raise WentBackwards(f"an event of version {version} tells of an object that a list of {self._base} did not have")
            self._write(None, new, key, version)
            return (Change("added", key, None, Entry(new)),)
        if old[1] == uid:
            held = old[2]
            if type(version) is int and type(held) is int and version <= held:  # `_not_newer`, without the call
                return ()
            self._write(old, new, key, version)
            return (Change("modified", key, Entry(old), Entry(new)),)
        if _older(version, old[2]):
            return ()
        self._write(old, new, key, version)
        self._bury(old[1], version)
        return Change("deleted", key, Entry(old), None), Change("added", key, None, Entry(new))

    def _write(self, old: Record | None, new: Record | None, key: str, version: Version) -> None:
        indexes = self._indexes
        while True:
            generation = indexes.generation
            values = indexes.values(new) if indexes.custom else None
            with self._lock:
                if generation != indexes.generation:  # an index was added or removed while its authors were asked
                    continue
                if values is not None or old is None or new is None or old[5] != new[5]:
                    indexes.change(old, new, values or {})
                if new is None:
                    del self._records[key]
                else:
                    self._records[key] = new
                self._bytes += (len(new[9]) if new else 0) - (len(old[9]) if old else 0)
                newest = self._version
                if not (type(version) is int and type(newest) is int and version < newest):  # `_older`, without the call
                    self._version = version
                due = self._waits.due((key,), self._records, self._version) if self._waits.by_key else ()
            break
        if due:
            self._call(due)

    def _bury(self, uid: str, version: Version) -> None:
        # A late deletion must not make a later one look earlier; and the latest burial is the last to be forgotten.
        earlier = self._tombstones.pop(uid, None)
        self._tombstones[uid] = earlier if earlier is not None and _older(version, earlier) else version
        if len(self._tombstones) > _TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    def __repr__(self) -> str:
        return f"<Store {self._name} {len(self)} objects version={self.resource_version}>"


def _older(version: Version, than: Version) -> bool:
    """Strictly older, as far as versions compare."""
    return isinstance(version, int) and isinstance(than, int) and version < than


def _not_newer(version: Version, than: Version | None) -> bool:
    return isinstance(version, int) and isinstance(than, int) and version <= than


def _differences(
    before: dict[str, Record], vanished: list[Record], fresh: dict[str, Record], *, initial: bool
) -> Iterator[Change]:
    for record in vanished:
        yield Change("deleted", record[0], Entry(record), None)
    # `fresh` is the store's own by now. It does not change meanwhile: the thread that tells the changes is the one that writes.
    for key, record in fresh.items():
        old = before.get(key)
        entry = Entry(record)
        if old is None:
            yield Change("added", key, None, entry, initial)
        elif old[1] != record[1]:
            yield Change("deleted", key, Entry(old), None)
            yield Change("added", key, None, entry, initial)
        elif old is record or (old[2] == record[2] and old[9] == record[9]):
            yield Change("resync", key, Entry(old), entry)
        else:
            yield Change("modified", key, Entry(old), entry, listed=True)
