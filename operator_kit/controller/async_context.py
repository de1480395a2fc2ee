"""The context of `async def` reconcilers: as `Context`, with every call that reads or writes objects awaited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from operator_kit.controller.aio import awaited
from operator_kit.controller.async_base import AsyncBase

if TYPE_CHECKING:
    from operator_kit.controller.aio import AsyncRun
    from operator_kit.controller.context import Context
    from operator_kit.controller.listers import Objects
    from operator_kit.objects import Object

__all__ = ["AsyncContext"]


class AsyncContext(AsyncBase["Context"]):
    """One run of one object. The attributes and methods are those of `Context`; see there for what they promise and raise."""

    def __init__(self, context: Context, run: AsyncRun) -> None:
        super().__init__(context, run)
        self.key = context.key
        self.reason = context.reason

    @awaited
    async def children(self, kind: str) -> Objects:
        """The objects of a kind, from the cache, that this object owns."""
        return await self._call(lambda: self._context.children(kind))

    @awaited
    async def apply(self, desired: Mapping[str, Any], *, owned: bool = True, force: bool = True) -> Object:
        """Make a child as desired, by server-side apply, and return it as it is now."""
        return await self._call(lambda: self._context.apply(desired, owned=owned, force=force))

    @awaited
    async def apply_set(self, desired: Iterable[Mapping[str, Any]], *, name: str = "children", force: bool = True) -> Objects:
        """Make the children of this object those that are desired: apply each, then delete those not desired any more."""
        return await self._call(lambda: self._context.apply_set(desired, name=name, force=force))

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
