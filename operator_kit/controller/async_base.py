"""What the contexts of coroutines have in common, be it of an object's run or of a task's: reads and deletions, awaited.

Each call is carried out on the thread of the worker that runs the coroutine, so the event loop never blocks, and the calls of one
run happen one after the other, even under `asyncio.gather`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from operator_kit.controller.aio import awaited
from operator_kit.controller.live import AsyncLiveReader

if TYPE_CHECKING:
    from operator_kit.controller.aio import AsyncRun
    from operator_kit.controller.context import Context
    from operator_kit.controller.listers import Objects
    from operator_kit.controller.task_context import TaskContext
    from operator_kit.objects import Object
    from operator_kit.selectors import LabelSelector

__all__ = ["AsyncBase"]

C = TypeVar("C", bound="Context | TaskContext")


class AsyncBase(Generic[C]):
    """The attributes and methods are those of the context it stands for; see there for what they promise and raise."""

    def __init__(self, context: C, run: AsyncRun) -> None:
        self._context = context
        self._bridge = run
        self._call = run.call
        self.log = context.log
        self.attempt = context.attempt
        self.deadline = context.deadline
        self.stopping = context.stopping
        self.fence = context.fence
        self.live = AsyncLiveReader(context.live, run)

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._context.now()

    @awaited
    async def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object from the cache. Raises `NotFound`."""
        return await self._call(lambda: self._context.get(kind, name, namespace))

    @awaited
    async def get_or_none(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object from the cache, or None."""
        return await self._call(lambda: self._context.get_or_none(kind, name, namespace))

    @awaited
    async def list(self, kind: str, *, namespace: str | None = None, selector: str | LabelSelector = "") -> Objects:
        """Objects from the cache whose labels match."""
        return await self._call(lambda: self._context.list(kind, namespace=namespace, selector=selector))

    @awaited
    async def by_index(self, kind: str, index: str, value: str) -> Objects:
        """Objects from the cache that an index holds under a value."""
        return await self._call(lambda: self._context.by_index(kind, index, value))

    @awaited
    async def delete(
        self,
        target: str | Mapping[str, Any],
        name: str = "",
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> bool:
        """Delete an object; one that is gone already is no error."""
        return await self._call(lambda: self._context.delete(target, name, namespace, propagation=propagation))

    def __repr__(self) -> str:
        return f"<Async{repr(self._context)[1:]}"
