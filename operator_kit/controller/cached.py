"""How little of a kind is cached: what an author says of it with `@reconciler(…, cache={KIND: Cached(…)})`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operator_kit.selectors import LabelSelector

if TYPE_CHECKING:
    from operator_kit.cache.records import Transform

__all__ = ["Cached"]


@dataclass(frozen=True, slots=True)
class Cached:
    """How a kind is cached that is watched or read: as little of it as the code needs.

    Attributes:
        selector: a label selector; only objects that match are there, and lead to a run.
        fields: a field selector such as `"spec.nodeName=one"`, with the fields that the API server can select the kind by.
        metadata_only: hold metadata alone. What `ctx` reads is then found in the cache and fetched live; a mapper or an index is
            given metadata alone.
        transform: cuts an object down before it is kept: it gets the object and returns it, or another, or None for "as I left
            it". It must be quick.

    Raises:
        ValueError: a value that cannot be used.
    """

    selector: str = ""
    fields: str = ""
    metadata_only: bool = False
    transform: Transform | None = None

    def __post_init__(self) -> None:
        for name in ("selector", "fields"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: {getattr(self, name)!r} is not text")
        LabelSelector.parse(self.selector)
        if not isinstance(self.metadata_only, bool):
            raise ValueError(f"metadata_only: {self.metadata_only!r} is not True or False")
        if self.transform is not None and not callable(self.transform):
            raise ValueError(f"transform: {self.transform!r} is not a function")

    @property
    def narrow(self) -> bool:
        """Whether only some objects are there."""
        return bool(self.selector or self.fields)


def checked_cache(value: Any) -> dict[str, Cached]:
    """The option. Raises `ValueError`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(each, Cached) for each in value.values()):
        raise ValueError("expected a mapping of kinds to Cached(…), such as {'v1/Pod': Cached(metadata_only=True)}")
    return dict(value)
