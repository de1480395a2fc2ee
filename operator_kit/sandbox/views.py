"""How a stored object is shown to one kind of reader: in which version, whole, as metadata only, or as rows of a table.

A view encodes each stored object once and keeps the bytes beside it, so that gets, lists and any number of watchers share them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.conversion import shown
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.storage import Entry, Event

__all__ = ["MetadataView", "TableView", "View", "watch_line"]


def watch_line(kind: str, obj: bytes) -> bytes:
    """One line of a watch stream."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), obj)


class View:
    """Whole objects, in the served version. The key of its cached forms is the `Served` itself: a changed CRD makes new ones."""

    __slots__ = ("key", "served")

    def __init__(self, served: Served) -> None:
        self.served = served
        self.key: Any = served

    def obj(self, entry: Entry) -> dict[str, Any]:
        """The object as shown. Shared: not to be changed."""
        return shown(self.served, entry)

    def encode(self, entry: Entry) -> bytes:
        """The object as shown, in JSON."""
        found = entry.encoded.get(self.key)
        if found is None:
            found = entry.encoded[self.key] = self._encode(entry)
        return found

    def _encode(self, entry: Entry) -> bytes:
        return codec.dumps(self.obj(entry))

    def line(self, kind: str, event: Event, entry: Entry) -> bytes:
        """The watch line of an event, made once for all watchers of this view."""
        key = (kind, self.key)
        found = event.encoded.get(key)
        if found is None:
            found = event.encoded[key] = watch_line(kind, self.encode(entry))
        return found

    def first_line(self, entry: Entry) -> bytes:
        """The ADDED line of an object that was there before the watch."""
        return watch_line("ADDED", self.encode(entry))

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        """A BOOKMARK line; `initial_end` marks the end of the initial events of a streaming list."""
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        if not self.served.custom:
            meta["creationTimestamp"] = None
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        api_version, kind = self._type()
        return watch_line("BOOKMARK", codec.dumps({"kind": kind, "apiVersion": api_version, "metadata": meta}))

    def _type(self) -> tuple[str, str]:
        return self.served.api_version, self.served.kind

    def list_type(self) -> tuple[str, str]:
        """ApiVersion and kind of a list of these."""
        return self.served.api_version, self.served.list_kind

    def collection(self, entries: Iterable[Entry], meta: dict[str, Any]) -> bytes:
        """The list document."""
        api_version, kind = self.list_type()
        head = codec.dumps({"kind": kind, "apiVersion": api_version, "metadata": meta})
        return b'%s,"items":[%s]}' % (head[:-1], b",".join(map(self.encode, entries)))

    def single(self, entry: Entry) -> bytes:
        """The document of one object."""
        return self.encode(entry)


class MetadataView(View):
    """Only the metadata, as `PartialObjectMetadata`."""

    __slots__ = ()

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self.key = ("metadata", served)

    def obj(self, entry: Entry) -> dict[str, Any]:
        """The object's metadata as an object."""
        return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": entry.obj["metadata"]}

    def _type(self) -> tuple[str, str]:
        return "meta.k8s.io/v1", "PartialObjectMetadata"

    def list_type(self) -> tuple[str, str]:
        """ApiVersion and kind of a list of these."""
        return "meta.k8s.io/v1", "PartialObjectMetadataList"


class TableView(View):
    """Rows for people. `include` is the request's `includeObject`: `None`, `Metadata` or `Object`.

    In a watch only the first line carries the column definitions, as kubectl expects: a view of this kind belongs to one watch.
    """

    __slots__ = ("_defined", "include")

    def __init__(self, served: Served, include: str = "Metadata") -> None:
        super().__init__(served)
        self.include = include
        self.key = ("table", served, include)
        self._defined = False

    def table(self, entries: Iterable[Entry], meta: dict[str, Any]) -> dict[str, Any]:
        """The Table document."""
        from operator_kit.sandbox import tables  # only people ask for tables

        objects = [shown(self.served, entry) for entry in entries]
        return tables.table(self.served, objects, include_object=self.include, list_meta=meta)

    def collection(self, entries: Iterable[Entry], meta: dict[str, Any]) -> bytes:
        """The Table of many objects."""
        return codec.dumps(self.table(entries, meta))

    def single(self, entry: Entry) -> bytes:
        """The Table of one object."""
        return codec.dumps(self.table([entry], {"resourceVersion": str(entry.version)}))

    def _row(self, kind: str, entry: Entry) -> bytes:
        return watch_line(kind, codec.dumps(self._with_headers([entry], entry.version)))

    def _with_headers(self, entries: list[Entry], version: int) -> dict[str, Any]:
        document = self.table(entries, {"resourceVersion": str(version)})
        if self._defined:
            document["columnDefinitions"] = None
        self._defined = True
        return document

    def line(self, kind: str, event: Event, entry: Entry) -> bytes:  # noqa: ARG002  # tables are not shared between watchers
        """The watch line of an event: a Table of one row."""
        return self._row(kind, entry)

    def first_line(self, entry: Entry) -> bytes:
        """The ADDED line of an object that was there before the watch."""
        return self._row("ADDED", entry)

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        """A BOOKMARK line: a Table without rows, around the bookmark object."""
        inner = codec.loads(super().bookmark(version, initial_end=initial_end))["object"]
        document = self._with_headers([], version)
        document["rows"] = [{"cells": [], "object": inner}]
        return watch_line("BOOKMARK", codec.dumps(document))
