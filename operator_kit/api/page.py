"""What is listed or watched, and what a list answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from operator_kit import codec
from operator_kit.codec import RawObject
from operator_kit.errors import ServerError
from operator_kit.objects import Object, Resource, metadata_of

__all__ = ["Page", "Selection"]

_PARTIAL = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Selection:
    """A kind, and which objects of it: what one informer holds.

    Attributes:
        resource: the kind.
        namespace: one namespace; None for all.
        label_selector: as kubectl's `--selector`; empty for all.
        field_selector: as kubectl's `--field-selector`; empty for all.
        metadata_only: have the server leave spec and status out.
    """

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    def query(self) -> list[tuple[str, str]]:
        """The selectors as parameters."""
        pairs = (("labelSelector", self.label_selector), ("fieldSelector", self.field_selector))
        return [(name, value) for name, value in pairs if value]

    def accept(self, *, listing: bool) -> str:
        """The `Accept` header."""
        return _PARTIAL.format(list="List" if listing else "") if self.metadata_only else "application/json"

    def complete(self, obj: Object) -> Object:
        """Give an object its kind: lists of built-in kinds leave it out, and metadata has another."""
        if self.metadata_only or not obj.get("kind"):
            obj["apiVersion"] = self.resource.api_version
            obj["kind"] = self.resource.kind
        return obj

    def __str__(self) -> str:
        """`configmaps in default (app=x)`: for messages and thread names."""
        text = self.resource.group_resource
        if self.namespace:
            text += f" in {self.namespace}"
        selectors = ", ".join(value for _, value in self.query())
        return f"{text} ({selectors})" if selectors else text


@dataclass(slots=True)
class Page:
    """A part of a collection, or all of it.

    Attributes:
        items: the objects.
        resource_version: the version of the collection as it is told here: watch from it.
        continue_: the token for the next page; empty when there is none.
        remaining: how many objects follow, where the server says so.
    """

    items: list[Object] = field(default_factory=list)
    resource_version: str = ""
    continue_: str = ""
    remaining: int | None = None

    def read(self, raw: bytes, selection: Selection, visit: Callable[[RawObject], None], *, strip: bool = False) -> None:
        """Take a list's answer: each object goes to `visit`, the rest is kept here. Raises ServerError if it is no list.

        With `strip`, objects may come without managedFields and last-applied annotation.
        """
        try:
            envelope = codec.visit_raw(raw, visit, strip=strip)
            kind = str(envelope.get("kind") or "")
            if not kind.endswith("List"):
                raise ValueError(f"it is a {kind or 'document without a kind'}")
        except ValueError as exc:
            raise ServerError(f"the answer to a list of {selection} is no list: {exc}", status=502) from None
        meta = metadata_of(envelope)
        self.resource_version = str(meta.get("resourceVersion") or "")
        self.continue_ = str(meta.get("continue") or "")
        remaining = meta.get("remainingItemCount")
        self.remaining = remaining if isinstance(remaining, int) else None
