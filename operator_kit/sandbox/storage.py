"""The sandbox's memory: objects as of one global version counter, as in etcd, and a ring of recent changes per resource.

Promises:
- Every change gets the next version; versions are unique across all resources and never go back.
- A stored object is never changed again: readers share it, and its encoded forms are cached beside it.
- A resource's changes are told in order to whoever observes it, at once, on the thread that made them (the event loop's).
- The state at an earlier version can be read as long as the ring reaches back to it and it is not compacted.

Nothing here knows of HTTP, of kinds or of rules.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Protocol

from operator_kit import codec

__all__ = ["Compacted", "Entry", "Event", "Reader", "ResourceStore", "Storage"]

Observer = Callable[["Event"], None]


class Reader(Protocol):
    """Someone who reads a resource as long as it is there: a watch."""

    def end(self) -> None:
        """There will be nothing more to read."""


class Compacted(Exception):
    """The version asked for lies before what is still known."""


class Entry:
    """One object as it was stored: immutable, with its encoded forms made on demand and kept.

    `form` is a mark of the writer's: in whose eyes the object needs no conversion to be shown.
    """

    __slots__ = ("encoded", "form", "key", "labels", "name", "namespace", "obj", "uid", "version")

    def __init__(self, key: str, obj: dict[str, Any], version: int, form: object = None) -> None:
        meta = obj["metadata"]
        self.key = key
        self.obj = obj
        self.version = version
        self.form = form
        self.name: str = meta["name"]
        self.namespace: str = meta.get("namespace", "")
        self.uid: str = meta.get("uid", "")
        self.labels: dict[str, str] = meta.get("labels") or {}
        self.encoded: dict[Hashable, bytes] = {}

    def copy(self) -> dict[str, Any]:
        """A private copy of the object as stored."""
        obj: dict[str, Any] = codec.clone(self.obj)
        return obj

    def size(self) -> int:
        """Bytes of an encoded form, or 0 where none was made yet."""
        return len(next(iter(self.encoded.values()), b""))

    def at(self, version: int) -> Entry:
        """The same object with another version: what a DELETED event shows."""
        meta = {**self.obj["metadata"], "resourceVersion": str(version)}
        return Entry(self.key, {**self.obj, "metadata": meta}, version, self.form)

    def __repr__(self) -> str:
        return f"<Entry {self.key} v{self.version}>"


class Event:
    """One change: `old` None for a creation, `new` None for a deletion. Encoded forms are kept, so each is made once."""

    __slots__ = ("_tombstone", "encoded", "new", "old", "store", "version")

    def __init__(self, store: ResourceStore, old: Entry | None, new: Entry | None, version: int) -> None:
        self.store = store
        self.old = old
        self.new = new
        self.version = version
        self.encoded: dict[Hashable, bytes] = {}
        self._tombstone: Entry | None = None

    @property
    def key(self) -> str:
        """The key of the object that changed."""
        entry = self.new or self.old
        assert entry is not None
        return entry.key

    def tombstone(self) -> Entry:
        """The object as it was before, at the version of this change: what vanished from a watcher's sight."""
        if self._tombstone is None:
            assert self.old is not None
            self._tombstone = self.old.at(self.version)
        return self._tombstone


class ResourceStore:
    """All objects of one resource, in the order of their keys (`namespace/name`, or `name`)."""

    def __init__(self, storage: Storage, name: str, history: int) -> None:
        self.name = name
        self._storage = storage
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._ring: deque[Event] = deque(maxlen=history)
        self.floor = storage.version
        self.observers: list[Observer] = []
        self.readers: set[Reader] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The object of this key, or None."""
        return self._entries.get(key)

    def _range(self, namespace: str, after: str) -> tuple[int, int]:
        low = bisect_left(self._keys, f"{namespace}/") if namespace else 0
        high = bisect_left(self._keys, f"{namespace}0", lo=low) if namespace else len(self._keys)
        return (bisect_right(self._keys, after, lo=low, hi=high) if after else low), high

    def scan(self, namespace: str = "", after: str = "") -> Iterator[Entry]:
        """The objects of a namespace (empty: of all), in order, behind the key `after`."""
        low, high = self._range(namespace, after)
        for key in self._keys[low:high]:
            yield self._entries[key]

    def slice(self, namespace: str, after: str, limit: int) -> tuple[list[Entry], int]:
        """Like `scan`, at most `limit` of them (0: all), and how many were left over."""
        low, high = self._range(namespace, after)
        end = min(high, low + limit) if limit else high
        return [self._entries[key] for key in self._keys[low:end]], high - end

    def at(self, version: int, namespace: str = "", after: str = "") -> list[Entry]:
        """The objects as of an earlier version. Raises `Compacted` when that is not known any more."""
        if version < max(self._storage.compacted, self.floor):
            raise Compacted
        then: dict[str, Entry | None] = {}
        for event in reversed(self._ring):
            if event.version <= version:
                break
            then[event.key] = event.old
        prefix = f"{namespace}/" if namespace else ""
        found = [entry for entry in self.scan(namespace, after) if entry.key not in then]
        revived = [entry for key, entry in then.items() if entry is not None and key.startswith(prefix) and key > after]
        return sorted(found + revived, key=lambda entry: entry.key) if revived else found

    def since(self, version: int) -> list[Event]:
        """The changes after a version, oldest first. Raises `Compacted` when the ring does not reach back so far."""
        if version < self.floor:
            raise Compacted
        found = []
        for event in reversed(self._ring):
            if event.version <= version:
                break
            found.append(event)
        found.reverse()
        return found

    def put(self, key: str, obj: dict[str, Any], form: object = None) -> Entry:
        """Store an object under its key, at the next version, which is written into its metadata.

        The object is the store's from now on: the caller keeps no way to change it.
        """
        version = self._storage.next_version()
        obj["metadata"]["resourceVersion"] = str(version)
        entry = Entry(key, obj, version, form)
        old = self._entries.get(key)
        if old is None:
            insort(self._keys, key)
        self._entries[key] = entry
        self._record(Event(self, old, entry, version))
        return entry

    def restore(self, key: str, obj: dict[str, Any]) -> Entry:
        """Put an object back at the version it was stored with. For a storage that has no readers yet."""
        entry = Entry(key, obj, int(obj["metadata"]["resourceVersion"]))
        insort(self._keys, key)
        self._entries[key] = entry
        self._record(Event(self, None, entry, entry.version))
        return entry

    def remove(self, key: str) -> Entry:
        """Take an object out. Raises `KeyError` when it is not there."""
        old = self._entries.pop(key)
        del self._keys[bisect_left(self._keys, key)]
        self._record(Event(self, old, None, self._storage.next_version()))
        return old

    def _record(self, event: Event) -> None:
        if len(self._ring) == self._ring.maxlen:
            self.floor = self._ring[0].version if self._ring else event.version
        self._ring.append(event)
        for observer in tuple(self.observers):
            observer(event)
        for observer in self._storage.observers:
            observer(event)

    def end_readers(self) -> None:
        """End every watch of this resource."""
        for reader in tuple(self.readers):
            reader.end()

    def forget_history(self) -> None:
        """Drop the ring, as a server does that was restarted: only changes from now on can be watched."""
        self._ring.clear()
        self.floor = self._storage.version

    def __repr__(self) -> str:
        return f"<ResourceStore {self.name} {len(self)} objects>"


class Storage:
    """All resources under one version counter.

    `history` is how many changes each resource's ring holds. `observers` see the changes of every resource.
    """

    def __init__(self, *, history: int = 10_000, start: int = 1) -> None:
        self.version = start
        self.compacted = 0
        self.observers: list[Observer] = []
        self._history = history
        self._stores: dict[str, ResourceStore] = {}

    def next_version(self) -> int:
        """Count one change."""
        self.version += 1
        return self.version

    def store(self, name: str) -> ResourceStore:
        """The store of a resource (`"pods"`, `"deployments.apps"`), made on first use."""
        store = self._stores.get(name)
        if store is None:
            store = self._stores[name] = ResourceStore(self, name, self._history)
        return store

    def drop(self, name: str) -> None:
        """Forget a resource whose objects are all gone."""
        store = self._stores.pop(name, None)
        if store is not None:
            assert not len(store), f"{name} still holds objects"
            store.end_readers()

    def stores(self) -> list[ResourceStore]:
        """Every resource that was used so far."""
        return list(self._stores.values())

    def compact(self, version: int) -> None:
        """Let lists of the state before this version be refused, as after a compaction of etcd."""
        self.compacted = max(self.compacted, min(version, self.version))

    def forget_history(self) -> None:
        """Drop every ring and compact, as a restarted server would have."""
        self.compact(self.version)
        for store in self._stores.values():
            store.forget_history()

    def __repr__(self) -> str:
        return f"<Storage v{self.version} {sum(map(len, self._stores.values()))} objects>"
