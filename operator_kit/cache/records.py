"""How one object lies in the cache: its JSON as bytes, and beside it the few fields that are read without decoding.

A record is a plain tuple of text, numbers and bytes. That is deliberate: Python's garbage collector stops tracking such tuples,
so a cache of a hundred thousand objects adds one dict to what it walks; an instance of a class would be walked for ever. Labels,
owners and finalizers are one text each, with NUL between the parts (which none of them can contain): a fifth of what tuples of
texts take, and the same text for all objects that have the same.

Most objects are never decoded on their way here: their bytes are the server's own, without what is stripped (see
`operator_kit.codec.raw`). Only what is unusual, and what an author's transform wants to see, goes through dicts.

The digest tells a change of status from any other change. It is made when it is asked for: of kinds that have a generation nobody
asks. Of the others the status comes last in the bytes, so that what precedes it can be hashed by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from operator_kit import codec
from operator_kit.codec import LAST_APPLIED, Identity, Record, Version, flat_labels, flat_owners, parse_version, shared
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
_OWNER_PARTS = 6


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
    """Make the record of a decoded object. The object is used up: it is changed on the way.

    Args:
        obj: the object as the server sent it.
        strip: leave managedFields and kubectl's last-applied annotation out.
        identity: what `identify` says of it, where that is known.

    Raises:
        ValueError: the object has no name or no uid.
    """
    key, uid, version = identity or identify(obj)
    meta = obj["metadata"]
    if "resourceVersion" in meta:
        meta["resourceVersion"] = str(version)
    if strip:
        meta.pop("managedFields", None)
        annotations = meta.get("annotations")
        if isinstance(annotations, dict) and LAST_APPLIED in annotations:
            del annotations[LAST_APPLIED]
            if not annotations:
                del meta["annotations"]
    generation, labels = meta.get("generation"), meta.get("labels")
    owners, finalizers = meta.get("ownerReferences"), meta.get("finalizers")
    generation = generation if isinstance(generation, int) else None
    if "kind" in obj and "apiVersion" in obj:  # lists of built-in kinds leave them out, and they were added at the end
        obj = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]} | obj
    before_status: int | None = 0
    if generation is not None:
        body = codec.dumps(obj)
    elif "status" in obj:
        status = obj.pop("status")
        body = codec.dumps(obj)
        before_status = len(body) - 1
        body = b'%b,"status":%b}' % (body[:-1], codec.dumps(status))
    else:
        before_status = None
        body = codec.dumps(obj)
    return (
        key,
        uid,
        version,
        generation,
        flat_labels(labels) if labels and isinstance(labels, dict) else "",
        flat_owners(owners) if owners and isinstance(owners, list) else "",
        shared("\0".join(map(str, finalizers))) if finalizers and isinstance(finalizers, list) else "",
        bool(meta.get("deletionTimestamp")),
        before_status,
        body,
    )


def owner_uids(record: Record | None) -> list[str]:
    """The uids of an object's owners."""
    return record[5].split("\0")[::_OWNER_PARTS] if record is not None and record[5] else []


class Entry(tuple[Any, ...]):
    """An object in the cache, read without decoding it; `decode` gives the whole, anew for every caller.

    It is the record itself, with names for its parts: two are made for every change, and this way that costs next to nothing.
    """

    __slots__ = ()

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"`."""
        return str(self[0])

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        return str(self[1])

    @property
    def resource_version(self) -> str:
        """`metadata.resourceVersion`."""
        return str(self[2])

    @property
    def generation(self) -> int | None:
        """`metadata.generation`; None for kinds that have none."""
        generation: int | None = self[3]
        return generation

    @property
    def labels(self) -> dict[str, str]:
        """`metadata.labels`, a private copy."""
        if not self[4]:
            return {}
        flat = self[4].split("\0")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @property
    def owners(self) -> tuple[Mapping[str, Any], ...]:
        """`metadata.ownerReferences`."""
        if not self[5]:
            return ()
        flat = self[5].split("\0")
        return tuple(_owner_mapping(flat[at : at + _OWNER_PARTS]) for at in range(0, len(flat), _OWNER_PARTS))

    @property
    def controller(self) -> Mapping[str, Any] | None:
        """The owner reference that is marked `controller`, or None."""
        return next((owner for owner in self.owners if owner.get("controller")), None)

    @property
    def finalizers(self) -> tuple[str, ...]:
        """`metadata.finalizers`."""
        return tuple(self[6].split("\0")) if self[6] else ()

    @property
    def annotations(self) -> dict[str, Any]:
        """`metadata.annotations` but what is stripped, a private copy. It costs a decode where there may be any."""
        if b'"annotations":' not in self[9] and b"\\u00" not in self[9]:  # nor are they spelt otherwise
            return {}
        return self.decode()["metadata"].get("annotations") or {}

    @property
    def deleting(self) -> bool:
        """Whether it has a deletion timestamp."""
        return bool(self[7])

    @property
    def digest(self) -> int:
        """A hash of everything but status, resourceVersion and what is stripped; comparable within this process only.

        It costs a hash of the bytes; of an object with a generation, a decode and an encode.
        """
        version, before_status, body = self[2], self[8], self[9]
        if before_status == 0:
            obj = codec.loads(body)
            obj.pop("status", None)
            obj["metadata"].pop("resourceVersion", None)
            return hash(codec.dumps(obj))
        if before_status is not None:
            body = body[:before_status] + b"}"
        return hash(_without(body, b'"resourceVersion":"%b"' % str(version).encode()))

    @property
    def size(self) -> int:
        """The bytes of its JSON as it lies here."""
        return len(self[9])

    def decode(self) -> Object:
        """The object as a dict of the caller's own."""
        obj: Object = codec.loads(self[9])
        return obj

    def __repr__(self) -> str:
        return f"<Entry {self.key} version={self.resource_version}>"


def _without(body: bytes, version: bytes) -> bytes:
    """The JSON of an object without this text, its resourceVersion, where that stands in its metadata."""
    at, width = body.find(version), len(version)
    if body.find(version, at + width) >= 0:  # its data or its annotations hold the same text
        blanked = b'%b"resourceVersion":""%b'
        while at >= 0 and codec.loads(blanked % (body[:at], body[at + width :]))["metadata"]["resourceVersion"]:
            at = body.find(version, at + width)
    return body[:at] + body[at + width :] if at >= 0 else body


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
        listed: of a modified one, whether a list found it so and no event told of it: it is that list's resync of the object.
    """

    type: ChangeType
    key: str
    old: Entry | None
    new: Entry | None
    initial: bool = False
    listed: bool = False
