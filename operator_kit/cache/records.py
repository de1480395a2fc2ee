"""How one object lies in the cache: its JSON as bytes, and beside it the few fields that are read without decoding.

A record is a plain tuple of text, numbers and bytes. That is deliberate: Python's garbage collector stops tracking such tuples,
so a cache of a hundred thousand objects adds one dict to what it walks; an instance of a class would be walked for ever.

The bytes hold everything but the resourceVersion (it stands beside them, and is put back when they are decoded); the status comes
last in them, so that what precedes it can be hashed by itself: the digest tells a change of status from any other change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from operator_kit import codec
from operator_kit.objects import Object, key_of

__all__ = ["Change", "ChangeType", "Entry", "Record", "Transform", "Version", "encode", "parse_version"]

Transform: TypeAlias = Callable[[Object], Object | None]
"""An author's own cut, before an object is kept: gets it and returns it, or another, or None for "as it is now"."""
Version: TypeAlias = int | str

# key, uid, version, generation, labels (key, value, key, value, …), owners, finalizers, deleting, digest, body
Owner: TypeAlias = tuple[str, str, str, str, bool, bool]
Record: TypeAlias = tuple[str, str, Version, int | None, tuple[str, ...], tuple[Owner, ...], tuple[str, ...], bool, int, bytes]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def parse_version(text: Any) -> Version:
    """A resourceVersion as a number, which can be compared; as the text it is where it is none."""
    version = str(text or "")
    # Only the canonical form: "007" as a number would not come back as it was.
    return int(version) if version.isdecimal() and version.isascii() and (version[0] != "0" or version == "0") else version


def encode(obj: Object, *, strip: bool = True) -> Record:
    """Make the record of an object. The object is used up: it is changed on the way.

    Args:
        obj: the object as the server sent it.
        strip: leave managedFields and kubectl's last-applied annotation out.

    Raises:
        ValueError: the object has no name or no uid.
    """
    key = key_of(obj)
    meta = obj["metadata"]
    uid = meta.get("uid")
    if not isinstance(uid, str) or not uid:
        raise ValueError(f"{obj.get('kind') or 'object'} {key} has no metadata.uid")
    version = parse_version(meta.pop("resourceVersion", ""))
    if strip:
        meta.pop("managedFields", None)
        annotations = meta.get("annotations")
        if isinstance(annotations, dict) and annotations.pop(_LAST_APPLIED, None) is not None and not annotations:
            del meta["annotations"]
    generation = meta.get("generation")
    missing: Any = encode  # any object that no status can be
    status = obj.pop("status", missing)
    body = codec.dumps(obj)
    digest = hash(body)
    if status is not missing:
        body = b'%b,"status":%b}' % (body[:-1], codec.dumps(status))
    return (
        key,
        uid,
        version,
        generation if isinstance(generation, int) else None,
        _flat_labels(meta.get("labels")),
        _owners(meta.get("ownerReferences")),
        tuple(sys.intern(str(name)) for name in meta.get("finalizers") or ()),
        bool(meta.get("deletionTimestamp")),
        digest,
        body,
    )


def _flat_labels(labels: Any) -> tuple[str, ...]:
    if not isinstance(labels, dict) or not labels:
        return ()
    # Keys are the same all over a cluster, and most values are: one text each will do.
    return tuple(sys.intern(str(text)) for pair in labels.items() for text in pair)


def _owners(references: Any) -> tuple[Owner, ...]:
    if not isinstance(references, list):
        return ()
    return tuple(
        (
            sys.intern(str(ref.get("apiVersion") or "")),
            sys.intern(str(ref.get("kind") or "")),
            str(ref.get("name") or ""),
            str(ref.get("uid") or ""),
            ref.get("controller") is True,
            ref.get("blockOwnerDeletion") is True,
        )
        for ref in references
        if isinstance(ref, dict)
    )


class Entry:
    """An object in the cache, read without decoding it; `decode` gives the whole, anew for every caller."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"`."""
        return self._record[0]

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        return self._record[1]

    @property
    def resource_version(self) -> str:
        """`metadata.resourceVersion`."""
        return str(self._record[2])

    @property
    def generation(self) -> int | None:
        """`metadata.generation`; None for kinds that have none."""
        return self._record[3]

    @property
    def labels(self) -> dict[str, str]:
        """`metadata.labels`, a private copy."""
        flat = self._record[4]
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @property
    def owners(self) -> tuple[Mapping[str, Any], ...]:
        """`metadata.ownerReferences`."""
        return tuple(_owner_mapping(owner) for owner in self._record[5])

    @property
    def controller(self) -> Mapping[str, Any] | None:
        """The owner reference that is marked `controller`, or None."""
        return next((_owner_mapping(owner) for owner in self._record[5] if owner[4]), None)

    @property
    def finalizers(self) -> tuple[str, ...]:
        """`metadata.finalizers`."""
        return self._record[6]

    @property
    def deleting(self) -> bool:
        """Whether it has a deletion timestamp."""
        return self._record[7]

    @property
    def digest(self) -> int:
        """A hash of everything but status, resourceVersion and what is stripped; comparable within this process only."""
        return self._record[8]

    @property
    def size(self) -> int:
        """The bytes of its JSON as it lies here."""
        return len(self._record[9])

    def decode(self) -> Object:
        """The object as a dict of the caller's own."""
        obj: Object = codec.loads(self._record[9])
        obj["metadata"]["resourceVersion"] = str(self._record[2])
        return obj

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self._record == other._record

    def __hash__(self) -> int:
        return hash((self._record[1], self._record[2]))

    def __repr__(self) -> str:
        return f"<Entry {self.key} version={self.resource_version}>"


def _owner_mapping(owner: Owner) -> dict[str, Any]:
    reference: dict[str, Any] = {"apiVersion": owner[0], "kind": owner[1], "name": owner[2], "uid": owner[3]}
    if owner[4]:
        reference["controller"] = True
    if owner[5]:
        reference["blockOwnerDeletion"] = True
    return reference


ChangeType: TypeAlias = Literal["added", "modified", "deleted", "resync"]


class Change(NamedTuple):
    """What happened to one object, as far as the cache can tell.

    Attributes:
        type: `"added"`, `"modified"`, `"deleted"`, or `"resync"`: a list saw it again, unchanged.
        key: the object's key.
        old: as it was; None when added. Of a deleted object: as it was last seen, which may be older than its end.
        new: as it is; None when deleted.
        initial: whether it belongs to what was there before the handler listened.
    """

    type: ChangeType
    key: str
    old: Entry | None
    new: Entry | None
    initial: bool = False
