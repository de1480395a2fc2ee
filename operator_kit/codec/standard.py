"""The codec on the standard library's `json`: slower, and the same to whoever uses it.

Encoding costs it more than decoding. So an object that is only kept is not encoded again: what is left out is cut from the text
it came in. The cut is made first, with a mark in its place, and then the text is decoded: so nothing is decoded twice, and the
decoded metadata must show the mark, and the text no other mark, or the cut was made in the wrong place and is undone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from operator_kit.codec.raw import LAST_APPLIED, BadLine, Head, Identity, Record, flat_labels, flat_owners, parse_version, shared

__all__ = ["RawObject", "dumps", "dumps_sorted", "loads", "read_events", "visit_raw"]


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads and json.dumps make a new one for each call that differs from their defaults.
_decoder = json.JSONDecoder(parse_constant=_reject_constant)
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_sorting_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # what raw_decode calls
_SPACE = re.compile(r"[ \t\n\r]*")
_MANAGED = '"managedFields":'
_MANAGED_CUT = _MANAGED + "null"
_ANNOTATIONS = '"annotations":{'
_APPLIED = f'"{LAST_APPLIED}":'
_BEGINNINGS = tuple((kind, f'{{"type":"{kind}","object":') for kind in ("MODIFIED", "ADDED", "DELETED", "BOOKMARK", "ERROR"))
_SPELT = re.compile(r"\\u00[4-7]")  # a letter spelt out: a name that is there may not be found
_DEEP = "the document is nested too deeply"


def loads(data: bytes | str) -> Any:
    """Decode one JSON document. Raises `ValueError` when it is none."""
    try:
        return _decoder.decode(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise ValueError(_DEEP) from None


def dumps(value: Any) -> bytes:
    """Encode to compact UTF-8 JSON. Raises `ValueError` or `TypeError` on what JSON has no form for."""
    return _encoder.encode(value).encode()


def dumps_sorted(value: Any) -> bytes:
    """As `dumps`, with the members of every object sorted by name: the same for all that are equal."""
    return _sorting_encoder.encode(value).encode()


class RawObject:
    """An event, or an item of a list (then without a type), with its text. See `operator_kit.codec.raw`."""

    __slots__ = ("_at", "_end", "_obj", "_start", "_text", "type")

    def __init__(  # noqa: PLR0917  # one is made for each event
        self, kind: str, obj: dict[str, Any], text: str = "", start: int = 0, end: int = 0, at: int = -1
    ) -> None:
        """An object.

        Args:
            kind: the type of the event.
            obj: the object, decoded from the text.
            text: a text it is a part of; empty where that is of no use.
            start: where it begins.
            end: where it ends.
            at: where the mark is that stands for its managedFields; -1 if there is none.
        """
        self.type = kind
        self._obj = obj
        self._text = text
        self._start = start
        self._end = end
        self._at = at

    @property
    def kind(self) -> str | None:
        """Its kind."""
        kind = self._obj.get("kind")
        return kind if kind is None or isinstance(kind, str) else str(kind)

    def identity(self) -> Identity | None:
        """Who it is; None if its metadata is not as usual."""
        meta = self._obj.get("metadata")
        if type(meta) is not dict:
            return None
        name, uid, namespace, text = meta.get("name"), meta.get("uid"), meta.get("namespace"), meta.get("resourceVersion")
        if (
            type(name) is not str
            or type(uid) is not str
            or not (name and uid)
            or (namespace is not None and type(namespace) is not str)
            or (text is not None and type(text) is not str)
        ):
            return None
        version = int(text) if text and text.isdecimal() and text[0] != "0" and text.isascii() else parse_version(text)
        return (f"{namespace}/{name}" if namespace else name), uid, version

    def record(self, head: Head) -> Record | None:
        """What a cache keeps of it; None if it is not as usual, or of another kind."""
        identity = self.identity()
        obj, text, start = self._obj, self._text, self._start
        if identity is None or not text:
            return None
        meta = obj["metadata"]
        get = meta.get
        generation, labels, owners, finalizers = get("generation"), get("labels"), get("ownerReferences"), get("finalizers")
        if (
            (generation is not None and type(generation) is not int)
            or (labels and type(labels) is not dict)
            or (owners and type(owners) is not list)
            or (finalizers and type(finalizers) is not list)
        ):
            return None
        for beginning in head.beginnings:
            if text.startswith(beginning, start):
                start += len(beginning)
                break
        else:
            if "kind" in obj or "apiVersion" in obj:
                return None
            start += 1
        if self._at >= 0:
            body = _without(text, start, self._at, self._at + len(_MANAGED_CUT), self._end)
            if not body:
                return None
            body = head.text + body
        elif "managedFields" in meta:
            return None
        else:
            body = head.text + text[start : self._end]
        annotations = get("annotations")
        if annotations and LAST_APPLIED in annotations:
            body = _without_applied(body, alone=len(annotations) == 1)
            if not body:
                return None
        key, uid, version = identity
        before_status: int | None = 0
        if generation is None:
            # For the digest, which passes over the version as it is usually written.
            if version != "" and f'"resourceVersion":"{version}"' not in body:
                return None
            before_status = None
            if "status" in obj:
                before_status = _before_last(body, '"status":')
                if before_status is None:
                    return None
        return (
            key,
            uid,
            version,
            generation,
            flat_labels(labels) if labels else "",
            flat_owners(owners) if owners else "",
            shared("\0".join(map(str, finalizers))) if finalizers else "",
            bool(get("deletionTimestamp")),
            before_status,
            body.encode(),
        )

    def decode(self) -> dict[str, Any]:
        """All of it."""
        if self._at >= 0:
            self._obj["metadata"].pop("managedFields", None)
        return self._obj


def _without(text: str, start: int, at: int, after: int, end: int) -> str:  # five places in one text
    """The text from start to end, without what is from `at` to `after` and one comma beside it; empty if there is none."""
    if text[after] == ",":
        return text[start:at] + text[after + 1 : end]
    return text[start : at - 1] + text[after:end] if text[at - 1] == "," else ""


def _without_applied(text: str, *, alone: bool) -> str:
    """The text without the last-applied annotation, which is in the metadata; without all annotations if it is alone there.

    Empty if the name is in the text more than once, or spelt otherwise.
    """
    at = text.find(_APPLIED)
    if at < 0 or text.find(_APPLIED, at + 1) >= 0 or ("\\u00" in text and _SPELT.search(text)):
        return ""
    try:
        _, after = _scan(text, at + len(_APPLIED))
    except StopIteration:  # not compact
        return ""
    if alone:
        at, after = at - len(_ANNOTATIONS), after + 1
        if not text.startswith(_ANNOTATIONS, at) or text[after - 1] != "}":
            return ""
    return _without(text, 0, at, after, len(text))


def _before_last(text: str, name: str) -> int | None:
    """How many bytes precede the last member of an object and its comma, if it has this name; None if it is not the last."""
    at = text.find(name)
    while at >= 0:
        try:
            _, end = _scan(text, at + len(name))
        except StopIteration:  # not compact
            return None
        if end == len(text) - 1:  # nothing but the closing brace follows: it is a member of the outermost object
            return len(text[: at - 1].encode()) if text[at - 1] == "," else None
        at = text.find(name, at + 1)
    return None


def _cut(text: str) -> str:
    """Put a mark in the place of managedFields, wherever they seem to be."""
    at = text.find(_MANAGED)
    pieces: list[str] = []
    done = 0
    while at >= 0:
        start = at + len(_MANAGED)
        try:
            _, end = _scan(text, start)
        except (StopIteration, ValueError, RecursionError):  # not compact, or damaged
            return text
        pieces += (text[done:start], "null")
        done = end
        at = text.find(_MANAGED, done)
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


def _is_mark(obj: dict[str, Any], text: str, at: int, end: int, start: int = 0) -> bool:
    """Whether the first mark in an object's text is the only one and stands for `metadata.managedFields`."""
    meta = obj.get("metadata")
    if type(meta) is not dict or meta.get("managedFields", 0) is not None or text.find(_MANAGED, at + 1, end) >= 0:
        return False
    # A name that is spelt otherwise might be the one that was decoded.
    return text.find("\\u00", start, end) < 0 or not _SPELT.search(text, start, end)


def read_events(data: bytes, *, strip: bool) -> Iterator[RawObject]:
    """Open some lines of a watch, one as it is asked for: a heap of decoded ones would set off the garbage collector.

    As in `operator_kit.codec.fast`.
    """
    for line in data.split(b"\n")[:-1]:
        try:
            event = _read_event(line.decode(), strip)
        except ValueError:
            raise BadLine(line) from None
        yield event


def _read_event(whole: str, strip: bool) -> RawObject:  # it is called for each
    # What `_cut` and `_mark` do, for the one mark there is almost always: without looking for it again.
    text, at = whole, whole.find(_MANAGED) if strip else -1
    try:
        if at >= 0:
            start = at + len(_MANAGED)
            _, end = _scan(whole, start)
            text = f"{whole[:start]}null{whole[end:]}"
        for kind, beginning in _BEGINNINGS:
            if text.startswith(beginning):
                start = len(beginning)
                obj, end = _scan(text, start)
                if type(obj) is dict and len(text) == end + 1 and text[end] == "}" and (at < 0 or _is_mark(obj, text, at, end)):
                    return RawObject(kind, obj, text, start, end, at)
                break
    except (StopIteration, ValueError, RecursionError):
        pass  # decoding it as it came tells whether something is wrong with it
    document = loads(whole)
    if not isinstance(document, dict):
        raise ValueError("it is no object")
    name, obj = document.get("type"), document.get("object")
    if not isinstance(name, str) or not isinstance(obj, dict):
        raise ValueError("it has no type or no object")
    return RawObject(name, obj)


def visit_raw(data: bytes, visit: Callable[[RawObject], None], *, strip: bool) -> dict[str, Any]:
    """Open a list answer item by item, each handed to `visit` and then forgotten. As in `operator_kit.codec.fast`."""
    whole = data.decode()
    text = _cut(whole) if strip else whole
    good = 0

    def each(item: Any, start: int, end: int) -> None:
        nonlocal good
        if not isinstance(item, dict):
            raise ValueError(f"an item is a {type(item).__name__}, not an object")
        at = -1
        if text is not whole:
            at = text.find(_MANAGED_CUT, start, end)
            if at >= 0 and not _is_mark(item, text, at, end, start):
                raise _CutWrong
        visit(RawObject("", item, text, start, end, at))
        good += 1

    try:
        return _walk(text, each)
    except _CutWrong:
        # The rest of this page is read as it came; what was visited is not visited again.
        text, skip, seen = whole, good, 0

        def rest(item: Any, start: int, end: int) -> None:
            nonlocal seen
            seen += 1
            if seen > skip:
                each(item, start, end)

        return _walk(whole, rest)


class _CutWrong(Exception):
    """A mark is not where it should be."""


def _walk(text: str, visit: Callable[[Any, int, int], None]) -> dict[str, Any]:
    # The scanner that json itself uses, driven by hand through the outermost object and the one array in it.
    def skip(at: int) -> int:
        found = _SPACE.match(text, at)
        return found.end() if found else at

    def expect(at: int, mark: str) -> int:
        if text[at : at + 1] != mark:
            raise ValueError(f"expected {mark} at character {at}, found {text[at : at + 1]!r}")
        return skip(at + 1)

    envelope: dict[str, Any] = {}
    try:
        at = expect(skip(0), "{")
        while text[at : at + 1] != "}":
            if envelope or text[at : at + 1] == ",":
                at = expect(at, ",")
            key, at = _decoder.raw_decode(text, at)
            at = expect(skip(at), ":")
            if key == "items" and text[at : at + 1] == "[":
                envelope[key] = None
                at = skip(at + 1)
                first = True
                while text[at : at + 1] != "]":
                    at = at if first else expect(at, ",")
                    first = False
                    item, end = _decoder.raw_decode(text, at)
                    visit(item, at, end)
                    at = skip(end)
                at = skip(at + 1)
            else:
                envelope[key], at = _decoder.raw_decode(text, at)
                at = skip(at)
        if skip(at + 1) != len(text):
            raise ValueError(f"there is more after the document, at character {at + 1}")
    except RecursionError:
        raise ValueError(_DEEP) from None
    envelope.pop("items", None)
    return envelope
