"""An object as it came, opened only as far as a cache needs: its metadata is read, the rest stays text.

Most of what comes over a watch is kept as JSON and never read. Decoding all of it into dicts and encoding them again is most of
what a cache costs; so what is to be left out is cut from the text, and the rest is kept as it came. Both halves of the codec do
this in their own way and come to the same; where a document is not as API servers write them, `record` says so (None), and the
caller decodes the object and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

__all__ = [
    "LAST_APPLIED",
    "BadLine",
    "Head",
    "Identity",
    "RawObject",
    "Record",
    "Version",
    "flat_labels",
    "flat_owners",
    "parse_version",
    "shared",
]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which kubectl keeps a copy of the object."""

Version: TypeAlias = int | str
Identity: TypeAlias = tuple[str, str, Version]
"""Key, uid and version."""
Record: TypeAlias = tuple[str, str, Version, int | None, str, str, str, bool, int | None, bytes]
"""Key, uid, version, generation, labels, owners, finalizers, whether it is being deleted, how much of the body precedes the
status (None: all of it; 0: it has a generation, and nobody looked), body.

Labels, owners and finalizers are one text each, with NUL between the parts. The body is the JSON without managedFields and the
last-applied annotation, beginning with apiVersion and kind.
"""

_SHARED_LIMIT = 4096
_METADATA_ONLY = "PartialObjectMetadata"


class Head:
    """How the body of every object of one selection begins, and how it is sent.

    Attributes:
        data: `{"apiVersion":…,"kind":…,` as it is kept.
        text: the same as text.
        sent: the kind as it is sent.
        sent_json: the same as JSON.
        beginnings: how objects are usually sent.
    """

    __slots__ = ("beginnings", "data", "sent", "sent_json", "text")

    def __init__(self, api_version: str, kind: str, *, metadata_only: bool = False) -> None:
        self.text = f'{{"apiVersion":"{api_version}","kind":"{kind}",'
        self.data = self.text.encode()
        self.sent = _METADATA_ONLY if metadata_only else kind
        self.sent_json = f'"{self.sent}"'.encode()
        sent_version = "meta.k8s.io/v1" if metadata_only else api_version
        # Custom resources have their members sorted; built-in kinds begin with the kind.
        self.beginnings = (
            f'{{"apiVersion":"{sent_version}","kind":"{self.sent}",',
            f'{{"kind":"{self.sent}","apiVersion":"{sent_version}",',
        )


class BadLine(ValueError):
    """A line of a watch that is no event."""

    def __init__(self, line: bytes) -> None:
        super().__init__(f"no event: {line[:80]!r}")
        self.line = line


class RawObject(Protocol):
    """One object. `record` uses it up: decode it after that only if it gave None."""

    type: str
    """Of an event: its type. Empty otherwise."""

    @property
    def kind(self) -> str | None:
        """Its kind; None where it says none (lists of built-in kinds)."""

    def identity(self) -> Identity | None:
        """Who it is; None if its metadata is not as usual."""

    def record(self, head: Head) -> Record | None:
        """What a cache keeps of it; None if it is not as usual, or of another kind."""

    def decode(self) -> dict[str, Any]:
        """All of it; without managedFields and last-applied annotation, if it was opened so."""


def parse_version(text: Any) -> Version:
    """A resourceVersion as a number, which can be compared; as the text it is where it is none."""
    version = str(text or "")
    # Only the canonical form: "007" as a number would not come back as it was.
    return int(version) if version.isdecimal() and version.isascii() and (version[0] != "0" or version == "0") else version


_texts: dict[str, str] = {}


def shared(text: str) -> str:
    """One text for all that are equal, for as many as are worth it. Losing a race costs a few bytes."""
    found = _texts.get(text)
    if found is None:
        if len(_texts) < _SHARED_LIMIT:
            _texts[text] = text
        return text
    return found


def flat_labels(labels: dict[str, Any]) -> str:
    """Labels as they stand in a record."""
    return shared("\0".join([f"{name}\0{value}" for name, value in labels.items()]))


def flat_owners(references: Iterable[Any]) -> str:
    """Owner references as they stand in a record: uid, name, kind, apiVersion, and "1" for controller and blockOwnerDeletion."""
    return "\0".join(
        [
            f"{ref.get('uid') or ''}\0{ref.get('name') or ''}\0{ref.get('kind') or ''}\0{ref.get('apiVersion') or ''}\0"
            f"{'1' if ref.get('controller') is True else ''}\0{'1' if ref.get('blockOwnerDeletion') is True else ''}"
            for ref in references
            if isinstance(ref, dict)
        ]
    )
