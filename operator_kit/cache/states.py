"""What the reflector is told and can be: its settings, its states, and the sink it feeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from operator_kit.cache.store import Store
from operator_kit.codec import Identity, RawObject, Record

__all__ = ["List", "Pause", "ReflectorSettings", "Sink", "State", "Watch"]


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """Times are seconds.

    Attributes:
        watch: watch between lists; without it the store is kept up by lists alone, every `resync`.
        resync: how often everything is listed again, give or take a tenth; 0 for never (only with `watch`).
        page_size: objects per page of a list; 0 for one piece.
        streaming: list by a watch that begins with all objects, where the server can; pages otherwise.
        streaming_timeout: how long such a list may take to complete before pages are taken instead.
        list_timeout: limit of one page.
        watch_timeout: after how long the server is asked to close a watch, at random between the two.
        silence: the longest silence of a watch. Servers send a bookmark a minute; one that sends none is learnt, and then it is
            the watch's own timeout and the margin.
        margin: how late a server may be with closing a watch.
        short_watch: a watch that ends sooner than this without an event was none.
        backoff_base: the first pause after a failure; doubles.
        backoff_max: the longest.
        backoff_reset: how long all must go well until the next pause is the first again.
        starving: how long a watch may fail at a server that answers before lists are made in its place; so often, too.
        patience: how long a handler, or what the informer does with the objects that came, may take before it counts as hanging.
    """

    watch: bool = True
    resync: float = 1800.0
    page_size: int = 500
    streaming: bool = False
    streaming_timeout: float = 60.0
    list_timeout: float = 60.0
    watch_timeout: tuple[float, float] = (300.0, 600.0)
    silence: float = 75.0
    margin: float = 15.0
    short_watch: float = 1.0
    backoff_base: float = 0.8
    backoff_max: float = 30.0
    backoff_reset: float = 120.0
    starving: float = 300.0
    patience: float = 30.0

    def __post_init__(self) -> None:
        if not self.watch and self.resync <= 0:
            raise ValueError("without a watch there must be a resync: nothing would ever be seen again")


@dataclass(frozen=True, slots=True)
class List:
    """Next: list everything. `rebuild`: trust nothing that is held."""

    why: str = "first"
    rebuild: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Next: watch, from the version the store is at."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Next: wait, then go on with `then`."""

    seconds: float
    then: List | Watch


State: TypeAlias = List | Watch | Pause


class Sink(Protocol):
    """What is fed: an informer."""

    store: Store

    strip: bool
    """Whether objects may come without managedFields and last-applied annotation."""

    def identify(self, raw: RawObject) -> Identity:
        """Who an object is. Raises ValueError for what is no object."""

    def encode(self, raw: RawObject) -> Record:
        """Make a record. Raises ValueError for what is no object."""

    def replace(self, fresh: dict[str, Record], version: str, *, rebuild: bool) -> int:
        """A list: put it in the store and tell the handlers. Returns how many objects it changed."""

    def apply(self, event: RawObject) -> None:
        """An event: put it in the store and tell the handlers.

        Raises:
            ValueError: it is no object.
            WentBackwards: the server's versions went backwards.
        """
