"""`metadata.managedFields`: reading and writing the entries, and the bookkeeping of every write that is not an apply.

An owner is a manager's name, its operation (`Apply` or `Update`), the subresource it wrote through and, for updates, the API
version it wrote. Of updates the server keeps ten owners; older ones are merged into `ancient-changes`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.apply.changes import Comparison, compare
from operator_kit.sandbox.apply.fieldset import FieldSet
from operator_kit.sandbox.apply.reconcile import reconcile
from operator_kit.sandbox.apply.typed import equal
from operator_kit.sandbox.shapes.conform import zero
from operator_kit.sandbox.structure import Structure

__all__ = ["Entry", "Managed", "Owner", "reset_fields", "update_managed_fields"]

MAX_UPDATE_MANAGERS = 10

_STRIPPED = FieldSet.of(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)
_NOTHING = FieldSet()


class Owner(NamedTuple):
    """Who owns fields."""

    manager: str
    operation: str
    api_version: str  # empty for appliers: they are the same owner in every version
    subresource: str

    @property
    def text(self) -> str:
        """The identifier that the server sorts by."""
        parts = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        parts["subresource"] = self.subresource
        return json.dumps({key: value for key, value in parts.items() if value}, separators=(",", ":"))

    def describe(self) -> str:
        """How conflict messages name the owner."""
        text = json.dumps(self.manager, ensure_ascii=False)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(slots=True)
class Entry:
    """What an owner owns, in the API version it wrote, and when it last changed something."""

    fields: FieldSet
    api_version: str
    time: str | None = None
    written: dict[str, Any] | None = None  # the row it was read from, as long as it says the same

    def set_fields(self, fields: FieldSet) -> None:
        """Own something else from now on."""
        if fields is not self.fields:
            self.fields = fields
            self.written = None


@dataclass(slots=True)
class Managed:
    """All entries of an object."""

    entries: dict[Owner, Entry] = field(default_factory=dict)

    @classmethod
    def decode(cls, written: Any, *, own: bool = False) -> Managed:
        """From `metadata.managedFields`. `own`: as this server wrote it. Raises `ValueError` on what is none."""
        made = cls()
        if written is None:
            return made
        if not isinstance(written, list):
            raise ValueError("managedFields is a list")
        for index, entry in enumerate(written):
            if not isinstance(entry, dict):
                raise ValueError("managedFields is a list of objects")
            operation, api_version = entry.get("operation"), entry.get("apiVersion")
            if operation not in {"Apply", "Update"}:
                raise ValueError("operation must be `Apply` or `Update`")
            if not api_version or not isinstance(api_version, str):
                raise ValueError("apiVersion must not be empty")
            fields_type = entry.get("fieldsType")
            if fields_type != "FieldsV1":
                problem = f'invalid fieldsType "{fields_type}"' if fields_type else "missing fieldsType"
                raise ValueError(f"{problem} in managed fields entry {index}")
            texts = (entry.get("manager") or "", entry.get("subresource") or "")
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("manager and subresource are text")
            owner = Owner(texts[0], operation, "" if operation == "Apply" else api_version, texts[1])
            fields = FieldSet.from_fields(entry.get("fieldsV1") or {})
            made.entries[owner] = Entry(fields, api_version, entry.get("time"), entry if own else None)
        return made

    def copy(self) -> Managed:
        """The same entries; their sets are shared, for sets are not changed."""
        rows = ((owner, Entry(item.fields, item.api_version, item.time, item.written)) for owner, item in self.entries.items())
        return Managed(dict(rows))

    def encode(self) -> list[dict[str, Any]]:
        """The entries in the server's order: appliers first, then by time, manager, version and subresource."""
        rows = []
        for owner, entry in self.entries.items():
            if entry.written is not None:
                rows.append(entry.written)
                continue
            row: dict[str, Any] = {"manager": owner.manager, "operation": owner.operation, "apiVersion": entry.api_version}
            if entry.time is not None:
                row["time"] = entry.time
            row |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_fields()}
            if owner.subresource:
                row["subresource"] = owner.subresource
            rows.append(row)
        if len(rows) > 1:
            rows.sort(key=_row_order)
        return rows

    def write(self, obj: dict[str, Any]) -> None:
        """Put the entries into an object's metadata, or take the field out when there are none."""
        meta = obj.setdefault("metadata", {})
        if self.entries:
            meta["managedFields"] = self.encode()
        else:
            meta.pop("managedFields", None)

    def strip(self, owner: Owner) -> None:
        """Take away from an owner what nobody owns (name, uid, versions …)."""
        entry = self.entries.get(owner)
        if entry is not None:
            entry.set_fields(entry.fields.difference(_STRIPPED))
            self.drop_empty()

    def drop_empty(self) -> None:
        """Forget owners of nothing."""
        for owner in [owner for owner, entry in self.entries.items() if entry.fields.empty()]:
            del self.entries[owner]

    def drop_versions(self, known: Collection[str] | None) -> None:
        """Forget entries of API versions that are no longer served. None: all are."""
        if known is not None:
            for owner in [owner for owner, entry in self.entries.items() if entry.api_version not in known]:
                del self.entries[owner]

    def conflicts(self, comparison: Comparison, writer: Owner) -> dict[Owner, FieldSet]:
        """The fields of others that a write changes or sets anew."""
        touched = comparison.modified.union(comparison.added)
        found = {}
        for owner, entry in self.entries.items():
            if owner != writer:
                common = entry.fields.intersection(touched)
                if not common.empty():
                    found[owner] = common
        return found

    def give_up(self, comparison: Comparison, writer: Owner) -> None:
        """Take from the others what a write changed or removed."""
        taken = self.conflicts(comparison, writer)
        for owner, entry in self.entries.items():
            if owner in taken:
                entry.set_fields(entry.fields.difference(taken[owner]))
            if owner != writer and not entry.fields.intersection(comparison.removed).empty():
                entry.set_fields(entry.fields.difference(comparison.removed))
        self.drop_empty()

    def cap(self) -> None:
        """Merge the oldest updates into one bucket per API version while there are more than ten."""
        updaters = [owner for owner in self.entries if owner.operation == "Update"]
        if len(updaters) <= MAX_UPDATE_MANAGERS:
            return
        updaters.sort(key=lambda owner: (self.entries[owner].time or "", owner.text))
        left = len(updaters)
        first: dict[str, Owner] = {}
        for owner in updaters:
            if left <= MAX_UPDATE_MANAGERS:
                break
            entry = self.entries[owner]
            bucket = Owner("ancient-changes", "Update", entry.api_version, "")
            if entry.api_version not in first:
                first[entry.api_version] = owner
                continue
            if bucket not in self.entries:
                self.entries[bucket] = self.entries.pop(first[entry.api_version])
            older = self.entries[bucket]
            merged = Entry(entry.fields.union(older.fields), entry.api_version, entry.time)
            del self.entries[owner]
            self.entries[bucket] = merged
            left -= 1


def _row_order(row: dict[str, Any]) -> tuple[str, ...]:
    time = str(row.get("time") or "")
    return (row["operation"], time, row["manager"], row["apiVersion"], row.get("subresource", ""))


def timestamp(now: datetime) -> str:
    """A moment as the API writes it: whole seconds, UTC."""
    return f"{now.astimezone(UTC).isoformat(timespec='seconds')[:19]}Z"


def metadata_of(obj: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """An object's metadata, or an empty mapping."""
    meta = obj.get("metadata") if obj is not None else None
    return meta if isinstance(meta, Mapping) else {}


def without_entries(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its managed fields; shares everything else."""
    meta = obj.get("metadata")
    if not isinstance(meta, Mapping) or "managedFields" not in meta:
        return dict(obj)
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


@lru_cache(maxsize=256)
def _zero(gvk: GVK) -> dict[str, Any]:
    return zero(gvk)


def empty_object(api_version: str, kind: str, structure: Structure) -> dict[str, Any]:
    """What the server compares a new object with: nothing, or, for a built-in kind, its zero value."""
    made = _zero(GVK.of(api_version, kind)) if structure.name else {}
    return {**made, "apiVersion": api_version, "kind": kind}


def reset_fields(structure: Structure, subresource: str, *, has_status: bool) -> FieldSet:
    """The fields that a request cannot write, and so does not own: the status, or everything but the status."""
    return _reset(subresource, builtin=bool(structure.name), has_status=has_status)


@lru_cache(maxsize=64)
def _reset(subresource: str, *, builtin: bool, has_status: bool) -> FieldSet:
    if subresource == "status":
        if builtin:
            return FieldSet.of(("f:spec",), ("f:metadata", "f:labels"), ("f:metadata", "f:annotations"))
        return FieldSet.of(("f:apiVersion",), ("f:kind",), ("f:metadata",), ("f:spec",))
    return FieldSet.of(("f:status",)) if has_status and not subresource else _NOTHING


def update_managed_fields(
    old: Mapping[str, Any] | None,
    new: dict[str, Any],
    *,
    manager: str,
    api_version: str,
    structure: Structure,
    now: datetime,
    subresource: str = "",
    has_status: bool = False,
    known_versions: Collection[str] | None = None,
) -> None:
    """Write `new["metadata"]["managedFields"]` for a create, a replace or a patch other than apply.

    The entries that a request itself carries are taken where they can be read (through no subresource); an empty list, or a
    list of one empty entry, resets them; anything else is replaced by what the live object has. An object that is not tracked
    stays so.

    Args:
        old: the live object, None for a create; not changed. Its `managedFields` must be what the server keeps.
        new: what will be stored, before the fields that only the server sets.
        manager: the field manager's name; empty becomes `unknown`.
        api_version: the version the request wrote.
        structure: the kind's structure.
        now: the time for the entry that changes.
        subresource: `""`, `"status"`, `"scale"` …
        has_status: whether the kind has a status subresource, so that the main resource cannot write the status.
        known_versions: the served API versions of the group; entries of others are dropped. None: all are kept.
    """
    before = metadata_of(old).get("managedFields")
    owner = Owner(manager or "unknown", "Update", api_version, subresource)
    reset = reset_fields(structure, subresource, has_status=has_status)
    try:
        live = old if old is not None else empty_object(api_version, str(new.get("kind") or ""), structure)
        managed = _entries_for_update(old, new, subresource)
        if managed.entries or not metadata_of(old).get("uid"):
            managed.drop_versions(known_versions)
            record_update(
                managed, live, new, owner, api_version=api_version, structure=structure, reset=reset, time=timestamp(now)
            )
            managed.cap()
        managed.write(new)
        keep_times_of_no_change(old, new)
    except (ValueError, RecursionError):
        # The server keeps what it had when it cannot read the objects by their structure; the write is judged elsewhere.
        meta = new.setdefault("metadata", {})
        meta.pop("managedFields", None)
        if before is not None:
            meta["managedFields"] = before


def _entries_for_update(old: Mapping[str, Any] | None, new: dict[str, Any], subresource: str) -> Managed:
    sent = metadata_of(new).get("managedFields")
    kept = metadata_of(old).get("managedFields")
    if sent is kept or (sent is not None and sent == kept):
        return _decoded(old)
    if not subresource:
        if sent in ([], [{}]):
            return Managed()
        try:
            managed = Managed.decode(sent)
        except ValueError:
            managed = Managed()
        if managed.entries:
            return managed
    return _decoded(old)


@lru_cache(maxsize=4096)
def _decode_text(text: bytes) -> Managed:
    return Managed.decode(codec.loads(text), own=True)


def decode_kept(obj: Mapping[str, Any] | None) -> Managed:
    """The entries of a stored object. Raises `ValueError` where they cannot be read."""
    kept = metadata_of(obj).get("managedFields")
    return _decode_text(codec.dumps(kept)).copy() if kept else Managed()


def _decoded(obj: Mapping[str, Any] | None) -> Managed:
    """The entries of a stored object; those that cannot be read count as none."""
    try:
        return decode_kept(obj)
    except ValueError:
        return Managed()


def record_update(
    managed: Managed,
    live: Mapping[str, Any],
    new: Mapping[str, Any],
    owner: Owner,
    *,
    api_version: str,
    structure: Structure,
    reset: FieldSet,
    time: str,
) -> None:
    """Record that `owner` turned `live` into `new`. Raises `ValueError` for objects that do not fit the structure."""
    for entry in managed.entries.values():
        entry.set_fields(reconcile(entry.fields, structure))
    changed = compare(without_entries(live), without_entries(new), structure).without(reset)
    operation = Owner("current-operation", "", "", "")
    managed.give_up(changed, operation)
    mine = changed.modified.union(changed.added).without_trees(reset)
    managed.entries[operation] = Entry(mine, api_version)
    managed.strip(operation)
    done = managed.entries.pop(operation, None)
    if done is None:
        return
    previous = managed.entries.get(owner)
    if previous is not None:
        done.set_fields(done.fields.union(previous.fields))
    # The server forgets the time of an owner that writes through scale.
    done.time = (previous.time if previous is not None else None) if owner.subresource == "scale" else time
    managed.entries[owner] = done


def keep_times_of_no_change(old: Mapping[str, Any] | None, new: dict[str, Any]) -> None:
    """Where a write changed nothing but the times of entries, the old times stay: such a write makes no new version."""
    before, after = metadata_of(old).get("managedFields"), metadata_of(new).get("managedFields")
    if old is None or not isinstance(before, list) or not isinstance(after, list) or before == after:
        return
    mine, theirs = without_entries(old), without_entries(new)
    if mine == theirs and equal(mine, theirs) and _timeless(before) == _timeless(after):
        new["metadata"]["managedFields"] = before


def _timeless(entries: list[Any]) -> list[str]:
    rows = ({key: value for key, value in entry.items() if key != "time"} for entry in entries if isinstance(entry, dict))
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
