"""The embedded API server without HTTP: storage, the three kinds of work on it, and its controllers, put together.

Used on one thread at a time. The HTTP face and `Sandbox.load` call it on the event loop; tests may call it directly, and
`settle`.
"""

from __future__ import annotations

from operator_kit.clock import Clock
from operator_kit.sandbox.crds import CustomResources
from operator_kit.sandbox.deletion import Deleter
from operator_kit.sandbox.discovery import Discovery
from operator_kit.sandbox.gc import GarbageCollector
from operator_kit.sandbox.namespaces import Namespaces
from operator_kit.sandbox.reads import Reader
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["Engine"]


class Engine:
    """One API server's inside. Fresh ones are cheap: nothing is compiled or loaded until it is asked for."""

    def __init__(self, *, clock: Clock | None = None, history: int = 10_000) -> None:
        self.world = World(clock=clock, history=history)
        self.reader = Reader(self.world)
        self.writer = Writer(self.world)
        self.deleter = Deleter(self.world)
        self.discovery = Discovery(self.world.registry)
        self.collector = GarbageCollector(self.world, self.writer, self.deleter)
        self.namespaces = Namespaces(self.world, self.writer, self.deleter)
        self.custom = CustomResources(self.world, self.writer, self.deleter)
        self.namespaces.make_defaults()
        # What was done to set the server up cannot be watched, as on one that was started on an etcd with data.
        self.world.settle()
        self.world.storage.forget_history()

    def forget(self) -> None:
        """End every watch and forget all history, as a server does that is restarted: older versions are too old from now on."""
        self.end_watches()
        self.world.storage.forget_history()

    def end_watches(self) -> None:
        """End every watch stream, as a server does that goes away."""
        for store in self.world.storage.stores():
            store.end_readers()

    def __repr__(self) -> str:
        return f"<Engine {self.world!r}>"
