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

from operator_kit.codec import layout
from operator_kit.codec.layout import LaidOut
from operator_kit.codec.raw import LAST_APPLIED, BadLine, Head, Identity, Record, flat_labels, flat_owners, parse_version, shared
from operator_kit.codec.scanner import TOO_DEEP, before_last, decoder, loads, scan

__all__ = ["RawObject", "dumps", "dumps_sorted", "loads", "read_events", "visit_raw"]


# Made once: json.dumps makes a new one for each call that differs from its defaults.
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_sorting_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True)
_SPACE = re.compile(r"[ \t\n\r]*")
_MANAGED = '"managedFields":'
_MANAGED_CUT = _MANAGED + "null"
_ANNOTATIONS = '"annotations":{'
_APPLIED = f'"{LAST_APPLIED}":'
_BEGINNINGS = tuple((kind, f'{{"type":"{kind}","object":') for kind in ("MODIFIED", "ADDED", "DELETED", "BOOKMARK", "ERROR"))
_SPELT = re.compile(r"\\u00[4-7]")  # a letter spelt out: a name that is there may not be found
_END_OF_MANAGED = re.compile(r'\}\](?:[},{]*"[a-z]|\}*\Z)')  # with the next name, of whatever it is a member, or the end of all


def dumps(value: Any) -> bytes:
    """Encode to compact UTF-8 JSON. Raises `ValueError` or `TypeError` on what JSON has no form for."""
    return _encoder.encode(value).encode()


def dumps_sorted(value: Any) -> bytes:
    """As `dumps`, with the members of every object sorted by name: the same for all that are equal."""
    return _sorting_encoder.encode(value).encode()


class RawObject:
    """An event, or an item of a list (then without a type), with its text. See `operator_kit.codec.raw`."""

    __slots__ = ("_after", "_before", "_obj", "_start", "type")

    def __init__(  # one is made for each event
        self, kind: str, obj: dict[str, Any], before: str = "", start: int = 0, after: str = ""
    ) -> None:
        """An object.

        Args:
            kind: the type of the event.
            obj: the object, decoded from the text.
            before: its text up to its managedFields; all of it if it has none; empty where the text is of no use.
            start: where it begins in that.
            after: its text after its managedFields; empty if it has none.
        """
        self.type = kind
        self._obj = obj
        self._before = before
        self._start = start
        self._after = after

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
        obj, before, start, after = self._obj, self._before, self._start, self._after
        if identity is None or not before:
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
            if before.startswith(beginning, start):
                start += len(beginning)
                break
        else:
            if "kind" in obj or "apiVersion" in obj:
                return None
            start += 1
        # One comma goes with the managedFields.
        if not after:
            if "managedFields" in meta:
                return None
            body = head.text + before[start:]
        elif after[0] == ",":
            body = f"{head.text}{before[start:]}{after[1:]}"
        elif before[-1] == ",":
            body = f"{head.text}{before[start:-1]}{after}"
        else:
            return None
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
                before_status = before_last(body, '"status":')
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
        if self._after:
            self._obj["metadata"].pop("managedFields", None)
        return self._obj


def _without_applied(text: str, *, alone: bool) -> str:
    """The text without the last-applied annotation, which is in the metadata; without all annotations if it is alone there.

    Empty if the name is in the text more than once, or spelt otherwise.
    """
    at = text.find(_APPLIED)
    if at < 0 or text.find(_APPLIED, at + 1) >= 0 or _spelt(text, 0, len(text)):
        return ""
    try:
        _, after = scan(text, at + len(_APPLIED))
    except StopIteration:  # not compact
        return ""
    if alone:
        at, after = at - len(_ANNOTATIONS), after + 1
        if not text.startswith(_ANNOTATIONS, at) or text[after - 1] != "}":
            return ""
    if text[after] == ",":
        return text[:at] + text[after + 1 :]
    return text[: at - 1] + text[after:] if text[at - 1] == "," else ""


def _end_of_managed(text: str, start: int) -> int:
    """Where the value that begins here ends. Raises what the scanner raises.

    What is thrown away need not be decoded, if only its end is certain. An array ends with its first bracket unless another one
    began before it, or the bracket is in a text: which it is not where a quote and a letter follow, for that quote would end the
    text. (Damage in what is thrown away may pass unnoticed.)
    """
    end = text.find("]", start) + 1
    if text.startswith('[{"', start) and text.find("[", start + 1, end) < 0 and _END_OF_MANAGED.match(text, end - 2):
        return end
    return scan(text, start)[1]


def _cut(text: str) -> str:
    """Put a mark in the place of managedFields, wherever they seem to be."""
    at = text.find(_MANAGED)
    pieces: list[str] = []
    done = 0
    while at >= 0:
        start = at + len(_MANAGED)
        try:
            end = _end_of_managed(text, start)
        except (StopIteration, ValueError, RecursionError):  # not compact, or damaged
            return text
        pieces += (text[done:start], "null")
        done = end
        at = text.find(_MANAGED, done)
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


def _spelt(text: str, start: int, end: int) -> bool:
    """Whether a letter may be spelt out in this part of a text."""
    # What is asked first is a tenth of the cost, and mostly enough.
    return text.find("\\", start, end) >= 0 and text.find("\\u00", start, end) >= 0 and bool(_SPELT.search(text, start, end))


def _is_mark(obj: dict[str, Any], text: str, after: int, end: int, start: int) -> bool:
    """Whether the first mark in an object's text, which is over at `after`, is the only one, and `metadata.managedFields`."""
    meta = obj.get("metadata")
    return (
        type(meta) is dict
        and meta.get("managedFields", 0) is None
        and text.find(_MANAGED, after, end) < 0
        and not _spelt(text, start, end)  # a name that is spelt otherwise might be the one that was decoded
    )


def read_events(data: bytes, *, strip: bool) -> Iterator[RawObject | LaidOut]:
    """Open some lines of a watch, one as it is asked for: a heap of decoded ones would set off the garbage collector.

    As in `operator_kit.codec.fast`.
    """
    open_event = layout.open_event
    for line in data.split(b"\n")[:-1]:
        try:
            text = line.decode()
            event = (open_event(text) if strip else None) or _read_event(text, strip)
        except ValueError:
            raise BadLine(line) from None
        yield event


def _read_event(whole: str, strip: bool) -> RawObject:  # it is called for each
    # What `_cut` and `visit_raw` do, for the one mark there is almost always: without looking for it again.
    text, at = whole, whole.find(_MANAGED) if strip else -1
    try:
        if at >= 0:
            text = f"{whole[:at]}{_MANAGED_CUT}{whole[_end_of_managed(whole, at + len(_MANAGED)) :]}"
        for kind, beginning in _BEGINNINGS:
            if text.startswith(beginning):
                start = len(beginning)
                obj, end = scan(text, start)
                if type(obj) is not dict or len(text) != end + 1 or text[end] != "}":
                    break
                if at < 0:
                    return RawObject(kind, obj, text[:end], start)
                after = at + len(_MANAGED_CUT)
                if _is_mark(obj, text, after, end, start):
                    return RawObject(kind, obj, text[:at], start, text[after:end])
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
        at = -1 if text is whole else text.find(_MANAGED_CUT, start, end)
        if at < 0:
            raw = RawObject("", item, text[start:end])
        else:
            after = at + len(_MANAGED_CUT)
            if not _is_mark(item, text, after, end, start):
                raise _CutWrong
            raw = RawObject("", item, text[start:at], 0, text[after:end])
        visit(raw)
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
            key, at = decoder.raw_decode(text, at)
            at = expect(skip(at), ":")
            if key == "items" and text[at : at + 1] == "[":
                envelope[key] = None
                at = skip(at + 1)
                first = True
                while text[at : at + 1] != "]":
                    at = at if first else expect(at, ",")
                    first = False
                    item, end = decoder.raw_decode(text, at)
                    visit(item, at, end)
                    at = skip(end)
                at = skip(at + 1)
            else:
                envelope[key], at = decoder.raw_decode(text, at)
                at = skip(at)
        if skip(at + 1) != len(text):
            raise ValueError(f"there is more after the document, at character {at + 1}")
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    envelope.pop("items", None)
    return envelope
