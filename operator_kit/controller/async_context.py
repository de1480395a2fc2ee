"""The context of `async def` reconcilers: as `Context`, with every call that reads or writes objects awaited.

Each call is carried out on the thread of the worker that runs the reconcile, so the event loop never blocks, and the calls of one
reconcile happen one after the other, even under `asyncio.gather`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from operator_kit.controller.aio import awaited
from operator_kit.controller.live import AsyncLiveReader

if TYPE_CHECKING:
    from operator_kit.controller.aio import AsyncRun
    from operator_kit.controller.context import Context
    from operator_kit.controller.listers import Objects
    from operator_kit.objects import Object
    from operator_kit.selectors import LabelSelector

__all__ = ["AsyncContext"]


class AsyncContext:
    """One run of one object. The attributes and methods are those of `Context`; see there for what they promise and raise."""

    def __init__(self, context: Context, run: AsyncRun) -> None:
        self._context = context
        self._bridge = run
        self._call = run.call
        self.key = context.key
        self.log = context.log
        self.attempt = context.attempt
        self.deadline = context.deadline
        self.stopping = context.stopping
        self.reason = context.reason
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
    async def children(self, kind: str) -> Objects:
        """The objects of a kind, from the cache, that this object owns."""
        return await self._call(lambda: self._context.children(kind))

    @awaited
    async def by_index(self, kind: str, index: str, value: str) -> Objects:
        """Objects from the cache that an index holds under a value."""
        return await self._call(lambda: self._context.by_index(kind, index, value))

    @awaited
    async def apply(self, desired: Mapping[str, Any], *, owned: bool = True, force: bool = True) -> Object:
        """Make a child as desired, by server-side apply, and return it as it is now."""
        return await self._call(lambda: self._context.apply(desired, owned=owned, force=force))

    @awaited
    async def apply_set(self, desired: Iterable[Mapping[str, Any]], *, name: str = "children", force: bool = True) -> Objects:
        """Make the children of this object those that are desired: apply each, then delete those not desired any more."""
        return await self._call(lambda: self._context.apply_set(desired, name=name, force=force))

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

    @awaited
    async def flush_status(self) -> None:
        """Write the status now."""
        await self._call(self._context.flush_status)

    def event(self, reason: str, message: str = "", *, warning: bool = False) -> None:
        """Record an Event on this object. Never blocks."""
        self._context.event(reason, message, warning=warning)

    def set_condition(self, condition: str, status: bool | str | None, *, reason: str = "", message: str = "") -> None:
        """Set a condition; written at the end of the run."""
        self._context.set_condition(condition, status, reason=reason, message=message)

    def patch_status(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the status; written at the end of the run."""
        self._context.patch_status(fields)

    def __repr__(self) -> str:
        return f"<Async{repr(self._context)[1:]}"
