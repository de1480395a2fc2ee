"""How one object lies in the cache: its JSON as bytes, and beside it the few fields that are read without decoding.

A record is a plain tuple of text, numbers and bytes. That is deliberate: Python's garbage collector stops tracking such tuples,
so a cache of a hundred thousand objects adds one dict to what it walks; an instance of a class would be walked for ever. Labels,
owners and finalizers are one text each, with NUL between the parts (which none of them can contain): a fifth of what tuples of
texts take, and the same text for all objects that have the same.

The bytes hold everything but the resourceVersion (it stands beside them, and is put back when they are decoded); the status comes
last in them, so that what precedes it can be hashed by itself: the digest tells a change of status from any other change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from operator_kit import codec
from operator_kit.objects import Object, describe

__all__ = [
    "Change",
    "ChangeType",
    "Entry",
    "Identity",
    "Record",
    "Transform",
    "Version",
    "encode",
    "identify",
    "owner_uids",
    "parse_version",
]

Transform: TypeAlias = Callable[[Object], Object | None]
"""An author's own cut, before an object is kept: gets it and returns it, or another, or None for "as it is now"."""
Version: TypeAlias = int | str
Identity: TypeAlias = tuple[str, str, Version]
"""Key, uid and version."""

# key, uid, version, generation, labels, owners, finalizers, deleting, digest (None: of the whole body), body
Record: TypeAlias = tuple[str, str, Version, int | None, str, str, str, bool, int | None, bytes]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OWNER_PARTS = 6
_SHARED_LIMIT = 4096


def parse_version(text: Any) -> Version:
    """A resourceVersion as a number, which can be compared; as the text it is where it is none."""
    version = str(text or "")
    # Only the canonical form: "007" as a number would not come back as it was.
    return int(version) if version.isdecimal() and version.isascii() and (version[0] != "0" or version == "0") else version


def identify(obj: Object) -> Identity:
    """Key, uid and version of an object. Raises ValueError when it has no name or no uid."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        raise ValueError(f"{describe(obj)} has no metadata")
    name, uid = meta.get("name"), meta.get("uid")
    if not name or not isinstance(name, str):
        raise ValueError(f"{describe(obj)} has no metadata.name")
    if not uid or not isinstance(uid, str):
        raise ValueError(f"{describe(obj)} has no metadata.uid")
    namespace = meta.get("namespace")
    return (f"{namespace}/{name}" if namespace else name), uid, parse_version(meta.get("resourceVersion"))


def encode(obj: Object, *, strip: bool = True, identity: Identity | None = None) -> Record:
    """Make the record of an object. The object is used up: it is changed on the way.

    Args:
        obj: the object as the server sent it.
        strip: leave managedFields and kubectl's last-applied annotation out.
        identity: what `identify` says of it, where that is known.

    Raises:
        ValueError: the object has no name or no uid.
    """
    key, uid, version = identity or identify(obj)
    meta = obj["metadata"]
    meta.pop("resourceVersion", None)
    if strip:
        meta.pop("managedFields", None)
        annotations = meta.get("annotations")
        if isinstance(annotations, dict) and annotations.pop(_LAST_APPLIED, None) is not None and not annotations:
            del meta["annotations"]
    generation, labels = meta.get("generation"), meta.get("labels")
    owners, finalizers = meta.get("ownerReferences"), meta.get("finalizers")
    digest = None
    if "status" in obj:
        status = obj.pop("status")
        body = codec.dumps(obj)
        digest = hash(body)
        body = b'%b,"status":%b}' % (body[:-1], codec.dumps(status))
    else:
        body = codec.dumps(obj)
    return (
        key,
        uid,
        version,
        generation if isinstance(generation, int) else None,
        _shared("\0".join([f"{name}\0{value}" for name, value in labels.items()])) if labels and isinstance(labels, dict) else "",
        _join_owners(owners) if owners and isinstance(owners, list) else "",
        _shared("\0".join(map(str, finalizers))) if finalizers and isinstance(finalizers, list) else "",
        bool(meta.get("deletionTimestamp")),
        digest,
        body,
    )


_texts: dict[str, str] = {}


def _shared(text: str) -> str:
    """One text for all that are equal, for as many as are worth it. Losing a race costs a few bytes."""
    found = _texts.get(text)
    if found is None:
        if len(_texts) < _SHARED_LIMIT:
            _texts[text] = text
        return text
    return found


def _join_owners(references: list[Any]) -> str:
    parts: list[str] = []
    for ref in references:
        if isinstance(ref, dict):
            parts += (str(ref.get(name) or "") for name in ("uid", "name", "kind", "apiVersion"))
            parts += ("1" if ref.get("controller") is True else "", "1" if ref.get("blockOwnerDeletion") is True else "")
    return "\0".join(parts)


def owner_uids(record: Record | None) -> list[str]:
    """The uids of an object's owners."""
    return record[5].split("\0")[::_OWNER_PARTS] if record is not None and record[5] else []


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
        if not self._record[4]:
            return {}
        flat = self._record[4].split("\0")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @property
    def owners(self) -> tuple[Mapping[str, Any], ...]:
        """`metadata.ownerReferences`."""
        if not self._record[5]:
            return ()
        flat = self._record[5].split("\0")
        return tuple(_owner_mapping(flat[at : at + _OWNER_PARTS]) for at in range(0, len(flat), _OWNER_PARTS))

    @property
    def controller(self) -> Mapping[str, Any] | None:
        """The owner reference that is marked `controller`, or None."""
        return next((owner for owner in self.owners if owner.get("controller")), None)

    @property
    def finalizers(self) -> tuple[str, ...]:
        """`metadata.finalizers`."""
        return tuple(self._record[6].split("\0")) if self._record[6] else ()

    @property
    def deleting(self) -> bool:
        """Whether it has a deletion timestamp."""
        return self._record[7]

    @property
    def digest(self) -> int:
        """A hash of everything but status, resourceVersion and what is stripped; comparable within this process only."""
        return hash(self._record[9]) if self._record[8] is None else self._record[8]

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


def _owner_mapping(parts: list[str]) -> dict[str, Any]:
    uid, name, kind, api_version, controller, block = parts
    reference: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
    if controller:
        reference["controller"] = True
    if block:
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
