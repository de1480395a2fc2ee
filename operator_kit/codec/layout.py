"""Events of the layout in which API servers write them, taken apart by one pattern instead of being decoded.

An API server writes the members of metadata in one order for built-in kinds (that of its Go structs) and in another for custom
resources (sorted), in compact JSON. What is written so is found by a regular expression in half the time of decoding it, looking
at it and joining it again. The pattern takes nothing else: every member has its one place (so none can be there twice), and texts
have no escapes but those in annotations that cannot spell a name. What follows the metadata is decoded, so that it is known to be
JSON and to have no second metadata. Whatever the pattern does not take is left to `operator_kit.codec.standard`, which reads all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from operator_kit.codec.raw import LAST_APPLIED, Head, Identity, Record, flat_labels, flat_owners, shared
from operator_kit.codec.scanner import before_last, scan

__all__ = ["LaidOut", "open_event"]

_REMEMBERED = 4096

_text = r'"[^"\\\x00-\x1f]*+"'
_some = r'"([^"\\\x00-\x1f]++)"'
_escaped = r'"[^"\\\x00-\x1f]*+(?:\\["\\bfnrt][^"\\\x00-\x1f]*+)*+"'
# What is in a group is wanted. Labels, owners and managedFields end here with the first brace or bracket, for whatever is not one
# character is passed over three times as fast as what is none of some; `open_event` looks whether that was right.
_MEMBERS = {
    "name": _some,
    "generateName": _text,
    "namespace": _some,
    "selfLink": _text,
    "uid": _some,
    "resourceVersion": '"([1-9][0-9]{0,18})"',
    "generation": "([1-9][0-9]{0,17})",
    "creationTimestamp": _text,
    "deletionTimestamp": _some,
    "deletionGracePeriodSeconds": "0|[1-9][0-9]{0,9}",
    "labels": r"(\{[^}]*+\})",
    "annotations": rf"(\{{(?:{_escaped}:{_escaped}(?:,{_escaped}:{_escaped})*+)?+\}})",
    "ownerReferences": r"(\[\{[^]]*+(?<=\})\])",
    "finalizers": rf"(\[{_text}(?:,{_text})*+\])",
    # Not decoded, for they are thrown away. Where their end is certain: see `operator_kit.codec.standard._end_of_managed`.
    "managedFields": r'\[\{"[^]]*+(?<=\})\]',
}
_ALWAYS = {"name", "uid", "resourceVersion", "creationTimestamp"}
_WANTED = (
    *("name", "namespace", "uid", "resourceVersion", "generation", "labels", "ownerReferences", "finalizers"),
    *("deletionTimestamp", "annotations"),
)


class _Layout:
    """One order of the members.

    Attributes:
        match: matches the beginning of an event, up to the end of its metadata.
        wanted: the numbers of the groups: type, beginning of the object, and those of `_WANTED`.
        managed: the number of the group of the managedFields with their comma.
    """

    def __init__(self, beginning: str, order: tuple[str, ...]) -> None:
        pattern, groups = rf'\{{"type":"(ADDED|MODIFIED|DELETED)","object":(\{{{beginning},)"metadata":\{{', ["type", "beginning"]
        first = True  # whether all members before are ones that need not be there
        for name in order:
            member = f'"{name}":(?:{_MEMBERS[name]})'
            if name == "managedFields":
                pattern += f"(,{member})?+"
                groups.append(name)
                continue
            if name in _WANTED:
                groups.append(name)
            if name in _ALWAYS:
                pattern += member if first else f",{member}"
                first = False
            else:
                pattern += f"(?:{member},)?+" if first else f"(?:,{member})?+"
        self.match: Callable[[str], re.Match[str] | None] = re.compile(pattern + r'\}(?=,"[a-z]|\}\}\Z)').match
        self.wanted = tuple(groups.index(name) + 1 for name in ("type", "beginning", *_WANTED))
        self.managed = groups.index("managedFields") + 1


_BUILT_IN = _Layout(
    f'"kind":{_text},"apiVersion":{_text}',
    (
        *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
        *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers"),
        "managedFields",
    ),
)
_CUSTOM = _Layout(f'"apiVersion":{_text},"kind":{_text}', tuple(sorted(_MEMBERS)))
_BEFORE = len('{"type":"","object":')  # and the type
_OPENING = len(',"managedFields":[')
_flat: dict[str, str] = {}  # labels, owners and finalizers as they stand in a record, by their JSON


class LaidOut:
    """An event that was taken apart. See `operator_kit.codec.raw.RawObject`."""

    __slots__ = ("_beginning", "_fields", "_line", "_managed", "_rest", "type")

    def __init__(  # noqa: PLR0917  # one is made for each event
        self, kind: str, beginning: str, fields: tuple[Any, ...], line: str, managed: tuple[int, int], rest: dict[str, Any]
    ) -> None:
        """An event.

        Args:
            kind: its type.
            beginning: of the object, up to its metadata.
            fields: of the record: those that come from the metadata.
            line: all of it.
            managed: where the managedFields are in it, with their comma; -1 if there are none.
            rest: what follows the metadata, decoded.
        """
        self.type = kind
        self._beginning = beginning
        self._fields = fields
        self._line = line
        self._managed = managed
        self._rest = rest

    @property
    def kind(self) -> str | None:
        """Its kind."""
        kind: str = scan(self._beginning[:-1] + "}", 0)[0]["kind"]
        return kind

    def identity(self) -> Identity:
        """Who it is."""
        return self._fields[:3]

    def record(self, head: Head) -> Record | None:
        """What a cache keeps of it; None if it is of another kind."""
        beginning, line, fields = self._beginning, self._line, self._fields
        if beginning not in head.beginnings:
            return None
        at, (start, end) = _BEFORE + len(self.type) + len(beginning), self._managed
        body = f"{head.text}{line[at:-1]}" if start < 0 else f"{head.text}{line[at:start]}{line[end:-1]}"
        before_status: int | None = 0
        if fields[3] is None:
            before_status = None
            if "status" in self._rest:
                before_status = before_last(body, '"status":')
                if before_status is None:
                    return None
        return (*fields, before_status, body.encode())

    def decode(self) -> dict[str, Any]:
        """All of it, without the managedFields."""
        line, (start, end) = self._line, self._managed
        obj: dict[str, Any] = scan(line if start < 0 else line[:start] + line[end:], _BEFORE + len(self.type))[0]
        return obj


def open_event(line: str) -> LaidOut | None:
    """Take an event apart. None if it is not laid out as is usual, which may mean that it is damaged."""
    layout = _BUILT_IN
    match = layout.match(line)
    if match is None:
        layout = _CUSTOM
        match = layout.match(line)
        if match is None:
            return None
    kind, beginning, name, namespace, uid, version, generation, labels, owners, finalizers, deletion, annotations = match.group(
        *layout.wanted
    )
    start, end = managed = match.span(layout.managed)
    if (annotations and LAST_APPLIED in annotations) or (start >= 0 and line.find("[", start + _OPENING, end) >= 0):
        return None
    end = match.end()
    try:
        rest, after = scan("{" + line[end + 1 : -1], 0) if line[end] == "," else ({}, 1)
        if end + after != len(line) - 1 or line[-1] != "}" or "metadata" in rest or "kind" in rest or "apiVersion" in rest:
            return None
        fields = (
            f"{namespace}/{name}" if namespace else name,
            uid,
            int(version),
            generation and int(generation),
            (_flat.get(labels) or _flatten(labels, flat_labels)) if labels else "",
            (_flat.get(owners) or _flatten(owners, flat_owners)) if owners else "",
            (_flat.get(finalizers) or _flatten(finalizers, _flat_finalizers)) if finalizers else "",
            deletion is not None,
        )
    except (StopIteration, ValueError, RecursionError):
        return None
    return LaidOut(kind, beginning, fields, line, managed, rest)


def _flatten(text: str, flat: Callable[[Any], str]) -> str:
    """Labels, owners or finalizers as they stand in a record. Raises `ValueError` if the text is not the JSON of one value."""
    value, end = scan(text, 0)
    if end != len(text):
        raise ValueError(f"there is more after {text[:end]}")
    if len(_flat) >= _REMEMBERED:
        _flat.clear()
    found = _flat[text] = flat(value)
    return found


def _flat_finalizers(finalizers: list[str]) -> str:
    return shared("\0".join(finalizers))
