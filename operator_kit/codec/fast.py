"""The codec on msgspec: values are skipped over in C and copied as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from operator_kit.codec import standard
from operator_kit.codec.raw import LAST_APPLIED, BadLine, Head, Identity, Record, Version, flat_labels, parse_version, shared

__all__ = ["RawObject", "dumps", "dumps_sorted", "loads", "read_events", "visit_raw"]

_Maybe: TypeAlias = Raw | UnsetType
_MaybeText: TypeAlias = str | UnsetType | None
_LAST_APPLIED = LAST_APPLIED.encode()
_LABELS_KEPT = 4096


class _Owner(Struct, gc=False, forbid_unknown_fields=True):
    apiVersion: _MaybeText = UNSET  # noqa: N815  # the API's own names, here and below
    kind: _MaybeText = UNSET
    name: _MaybeText = UNSET
    uid: _MaybeText = UNSET
    controller: bool | UnsetType | None = UNSET
    blockOwnerDeletion: bool | UnsetType | None = UNSET  # noqa: N815


class _Meta(Struct, gc=False, forbid_unknown_fields=True):
    """All that Kubernetes has in metadata. Whatever has anything else is decoded in full, so that nothing gets lost."""

    name: str
    uid: str
    namespace: _MaybeText = UNSET
    resourceVersion: _MaybeText = UNSET  # noqa: N815
    generation: int | UnsetType | None = UNSET
    labels: _Maybe = UNSET
    annotations: _Maybe = UNSET
    ownerReferences: list[_Owner] | UnsetType | None = UNSET  # noqa: N815
    finalizers: list[str] | UnsetType | None = UNSET
    creationTimestamp: _Maybe = UNSET  # noqa: N815
    deletionTimestamp: _MaybeText = UNSET  # noqa: N815
    deletionGracePeriodSeconds: _Maybe = UNSET  # noqa: N815
    generateName: _Maybe = UNSET  # noqa: N815
    selfLink: _Maybe = UNSET  # noqa: N815
    managedFields: _Maybe = UNSET  # noqa: N815


_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_decode_meta = msgspec.json.Decoder(_Meta).decode
_decode_parts = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[Raw] | None).decode
_decode_labels = msgspec.json.Decoder(dict[str, str] | None).decode
_label_texts: dict[bytes, str] = {}  # by their JSON: most objects have the same labels as others, and each has those of before


def loads(data: bytes | str) -> Any:
    """Decode one JSON document. Raises `ValueError` when it is none."""
    try:
        return _any.decode(data)
    except msgspec.DecodeError:
        # It refuses numbers that the standard library takes for infinite; and what is refused is to be so with the same words.
        return standard.loads(data)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def dumps(value: Any) -> bytes:
    """Encode to compact UTF-8 JSON. Raises `ValueError` or `TypeError` on what JSON has no form for."""
    return _encode(value)


def dumps_sorted(value: Any) -> bytes:
    """As `dumps`, with the members of every object sorted by name: the same for all that are equal."""
    return _encode_sorted(value)


class RawObject(Struct, gc=False):
    """An event, or an item of a list (then without a type). See `operator_kit.codec.raw`."""

    type: str
    object: dict[str, Raw]
    # The metadata, once it was read. No document has a member of this name and value.
    meta: None = field(default=None, name=" opened ")

    @property
    def kind(self) -> str | None:
        """Its kind."""
        raw = self.object.get("kind")
        kind = None if raw is None else loads(bytes(raw))
        return kind if kind is None or isinstance(kind, str) else str(kind)

    def _read(self) -> Any:
        meta: Any = self.meta
        if meta is None:
            try:
                self.meta = meta = _decode_meta(self.object["metadata"])  # type: ignore[assignment]
            except (msgspec.DecodeError, KeyError):
                return None
        return meta

    def identity(self) -> Identity | None:
        """Who it is; None if its metadata is not as usual."""
        meta = self._read()
        if meta is None or not meta.name or not meta.uid:
            return None
        key = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        return key, meta.uid, parse_version(meta.resourceVersion)

    def record(self, head: Head) -> Record | None:
        """What a cache keeps of it; None if it is not as usual, or of another kind."""
        # One long function: this is done for every event, and each call in it would be a tenth of it.
        parts: dict[str, Any] = self.object
        meta: Any = self.meta
        if meta is None:
            try:
                meta = _decode_meta(parts["metadata"])
            except (msgspec.DecodeError, KeyError):
                return None
        name, uid, kind = meta.name, meta.uid, parts.get("kind")
        if not name or not uid or (kind is not None and bytes(kind) != head.sent_json):
            return None
        labels = meta.labels
        if labels is UNSET:
            labels = ""
        else:
            data = bytes(labels)
            labels = _label_texts.get(data)
            if labels is None:
                try:
                    labels = flat_labels(_decode_labels(data) or {})
                except msgspec.DecodeError:
                    return None
                if len(_label_texts) < _LABELS_KEPT:
                    _label_texts[data] = labels
        owners = meta.ownerReferences
        owners = _flat_owners(owners) if owners else ""
        finalizers = meta.finalizers
        finalizers = shared("\0".join(finalizers)) if finalizers else ""
        if meta.annotations is not UNSET and _LAST_APPLIED in bytes(meta.annotations):
            annotations = _any.decode(meta.annotations)
            if isinstance(annotations, dict):
                annotations.pop(LAST_APPLIED, None)
                meta.annotations = Raw(_encode(annotations)) if annotations else UNSET
        meta.managedFields = UNSET
        parts["metadata"] = meta
        if kind is not None:
            del parts["kind"]
        parts.pop("apiVersion", None)
        generation = None if meta.generation is UNSET else meta.generation
        before_status: int | None = 0
        if generation is not None:
            body = head.data + _encode(parts)[1:]
        else:
            status = parts.pop("status", None)
            body = head.data + _encode(parts)[1:]
            before_status = None
            if status is not None:
                before_status = len(body) - 1
                body = b'%b,"status":%b}' % (body[:-1], status)
        text = meta.resourceVersion or ""
        version: Version = int(text) if text.isdecimal() and text[0] != "0" and text.isascii() else parse_version(text)
        namespace = meta.namespace
        return (
            f"{namespace}/{name}" if namespace else name,
            uid,
            version,
            generation,
            labels,
            owners,
            finalizers,
            bool(meta.deletionTimestamp),
            before_status,
            body,
        )

    def decode(self) -> dict[str, Any]:
        """All of it."""
        obj: dict[str, Any] = loads(_encode(self.object))
        return obj


def _flat_owners(references: list[_Owner]) -> str:
    return "\0".join(
        [
            f"{ref.uid or ''}\0{ref.name or ''}\0{ref.kind or ''}\0{ref.apiVersion or ''}\0"
            f"{'1' if ref.controller is True else ''}\0{'1' if ref.blockOwnerDeletion is True else ''}"
            for ref in references
        ]
    )


_events = msgspec.json.Decoder(RawObject)


def read_events(data: bytes, *, strip: bool) -> Iterable[RawObject]:  # noqa: ARG001  # what is cut is cut later
    """Open some lines of a watch, the last one complete too.

    Args:
        data: the lines.
        strip: whether objects may come without what `RawObject.record` leaves out.

    Returns:
        The events. Where one line is none, iterating raises `BadLine` after those before it.
    """
    if data.isascii():  # what is skipped over is not looked at for its encoding
        try:
            events = _events.decode_lines(data)
        except (msgspec.DecodeError, RecursionError):
            pass  # one of them; which, is found below
        else:
            if len(events) == data.count(b"\n"):  # there is a blank line otherwise
                return events
    return _one_by_one(data)


def _one_by_one(data: bytes) -> Iterator[RawObject]:
    for line in data.split(b"\n")[:-1]:
        try:
            line.decode()
            event = _events.decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise BadLine(line) from None
        yield event


def visit_raw(data: bytes, visit: Callable[[RawObject], None], *, strip: bool) -> dict[str, Any]:  # noqa: ARG001  # as above
    """Open a list answer item by item, each handed to `visit` and then forgotten.

    The whole list is never in memory as objects, and the garbage collector, which counts what was made and not freed, is not
    set off over and over as it is by decoding a list of ten thousand objects at once.

    Args:
        data: a JSON object with an array (or null) named `items`.
        visit: called with each item, in order.
        strip: whether items may come without what `RawObject.record` leaves out.

    Returns:
        Everything but the items.

    Raises:
        ValueError: it is not such a document, or an item is no object. Items before the fault may have been visited.
    """
    try:
        if not data.isascii():
            data.decode()
        # The outermost object with its values left as they are: items are opened one at a time.
        parts = _decode_parts(data)
        for item in _decode_items(parts.pop("items", Raw(b"null"))) or ():
            visit(RawObject("", _decode_parts(item)))
        return {key: _any.decode(part) for key, part in parts.items()}
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None
    except msgspec.DecodeError as exc:  # no ValueError before its version 0.21
        raise ValueError(str(exc)) from None
