"""The context of code that belongs to no object: `@every` tasks, `@on_startup` and `@on_shutdown` functions.

It reads and writes at the API server; what a task declares with `reads` it can read from caches too. As with an object's context,
calls keep within the deadline, and are refused once the run is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from operator_kit.clock import Clock, Signal
from operator_kit.controller.aio import AsyncRun, LoopThread, awaited, is_async
from operator_kit.controller.async_base import AsyncBase
from operator_kit.controller.listers import Caches, Lister, Objects
from operator_kit.controller.live import LiveReader, Server, found
from operator_kit.controller.stopping import Stopping, time_left
from operator_kit.errors import NotCached, UsageError
from operator_kit.leader import Fence
from operator_kit.objects import Object, Resource, api_version_of, describe, join_key, kind_of, name_of, namespace_of
from operator_kit.selectors import LabelSelector

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.observe.logging import BoundLogger

__all__ = ["AsyncTaskContext", "Call", "TaskContext", "TaskScope"]


@dataclass(frozen=True, slots=True)
class TaskScope:
    """What all runs of one task share. Hooks have no caches."""

    name: str
    client: Client
    clock: Clock
    stopping: Signal
    request_timeout: float
    fence: Fence = field(default_factory=Fence.unfenced)
    caches: Caches | None = None


class TaskContext:
    """One run of code that belongs to no object: what it can read and write.

    Attributes:
        log: a logger bound to this run.
        attempt: 1 for the first try, and one more for each failure since the last success.
        deadline: when this run must be over, on `operator_kit.clock`'s monotonic clock; None for no limit.
        stopping: set when the operator stops or leads no longer, or the deadline has passed; `ctx.stopping.wait(seconds)` is a
            sleep that ends then.
        fence: the right to write of this term of leadership, as for `Context`. Hooks have none that closes.
        live: reads from the API server; of a namespaced kind they need the namespace.
    """

    def __init__(self, scope: TaskScope, log: BoundLogger, *, attempt: int = 1, deadline: float | None = None) -> None:
        self._scope = scope
        self._over = False
        self.log = log
        self.attempt = attempt
        self.deadline = deadline
        self.stopping = Stopping(scope.stopping, scope.clock, deadline)
        self.fence = scope.fence
        self._server = Server(scope.client, self._resolve, self._namespace, self._timeout)
        self.live = LiveReader(self._server)

    def now(self) -> datetime:
        """The time, in UTC: as for `Context`."""
        return self._scope.clock.now()

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object from the cache; of a namespaced kind it needs the namespace.

        Raises:
            NotFound: there is none; see `get_or_none`.
            NotCached: the task does not declare the kind (`reads`), or its namespace is not watched.
        """
        lister = self._lister(kind)
        key = join_key(self._namespace(lister.resource, namespace), name)
        return found(lister.get(key), lister.resource, key)

    def get_or_none(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """As `get`, but None where there is none."""
        lister = self._lister(kind)
        return lister.get(join_key(self._namespace(lister.resource, namespace), name))

    def list(self, kind: str, *, namespace: str | None = None, selector: str | LabelSelector = "") -> Objects:
        """Objects from the cache whose labels match, of one namespace, or `"*"` for all.

        Raises `NotCached` as `get` does, and `ValueError` for a selector that cannot be parsed.
        """
        lister = self._lister(kind)
        where = None if namespace == "*" else self._namespace(lister.resource, namespace) or None
        return lister.list(where, LabelSelector.parse(selector) if isinstance(selector, str) else selector)

    def by_index(self, kind: str, index: str, value: str) -> Objects:
        """Objects from the cache that an index of the registry (`@index`) holds under a value."""
        self._lister(kind)
        assert self._scope.caches is not None
        return self._scope.caches.by_index(kind, index, value)

    def _lister(self, kind: str) -> Lister:
        self._timeout()
        if self._scope.caches is None:
            raise NotCached(f"nothing is cached for {self._scope.name}: read live with ctx.live.get(…)")
        return self._scope.caches.lister(kind)

    def apply(self, desired: Mapping[str, Any], *, force: bool = True) -> Object:
        """Make an object as desired, by server-side apply, and return it as it is now. Sent each time.

        Args:
            desired: apiVersion, kind, metadata.name, for a namespaced kind metadata.namespace, and the fields that are wanted.
            force: take desired fields over from whoever holds them; without it that is an `ApplyConflict`.
        """
        if not api_version_of(desired) or not kind_of(desired) or not name_of(desired):
            raise UsageError(f"apply: {describe(desired)} needs apiVersion, kind and metadata.name")
        kind = self._resolve(f"{api_version_of(desired)}/{kind_of(desired)}")
        where = self._namespace(kind, namespace_of(desired))
        body = {key: value for key, value in desired.items() if key != "status"}
        return self._scope.client.patch(
            kind,
            name_of(desired),
            where or None,
            body,
            type="apply",
            field_manager=self._scope.name,
            force=force,
            timeout=self._timeout(),
        )

    def delete(
        self,
        target: str | Mapping[str, Any],
        name: str = "",
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> bool:
        """Delete an object: `ctx.delete(obj)`, or `ctx.delete("v1/ConfigMap", "name", "namespace")`.

        Given an object with a uid, exactly that one is deleted and not another of its name. Returns whether there was
        something to delete.
        """
        return self._server.delete(*self._server.target(target, name, namespace), propagation) is not None

    def _resolve(self, name: str) -> Resource:
        self._timeout()  # it may ask the server
        return self._scope.client.discovery.resolve(name)

    def _namespace(self, kind: Resource, given: str | None) -> str:
        if not kind.namespaced:
            return ""
        if not given:
            raise UsageError(f'which namespace of {kind.kind}s? {self._scope.name} belongs to none; give one, or "*" to list all')
        return given

    def _timeout(self) -> float:
        """Seconds the next call may take."""
        if self._over:
            raise RuntimeError(f"the run of {self._scope.name} is over: its ctx must not be used any more")
        return time_left(self._scope.clock, self.deadline, self._scope.request_timeout, f"the run of {self._scope.name}")

    def __repr__(self) -> str:
        return f"<Context of {self._scope.name}, attempt {self.attempt}>"


class AsyncTaskContext(AsyncBase[TaskContext]):
    """The context of an `async def` task or hook: as `TaskContext`, with every call that reads or writes objects awaited."""

    @awaited
    async def apply(self, desired: Mapping[str, Any], *, force: bool = True) -> Object:
        """Make an object as desired, by server-side apply, and return it as it is now."""
        return await self._call(lambda: self._context.apply(desired, force=force))


class Call:
    """One call of an author's function that takes a context alone: on this thread, or on the loop with this thread serving it."""

    def __init__(self, function: Callable[..., Any], context: TaskContext, loop: LoopThread, clock: Clock) -> None:
        self._function = function
        self._context = context
        self._run = AsyncRun(loop.loop(), clock) if is_async(function) else None

    def __call__(self) -> Any:
        """What the function returns; raises what it raises."""
        context = self._context
        try:
            if self._run is None:
                return self._function(context)
            return self._run.execute(self._function(AsyncTaskContext(context, self._run)), context.deadline)
        finally:
            context._over = True  # noqa: SLF001  # the context is this module's to open and close

    def cancel(self) -> int:
        """Cancel it, if it is a coroutine. Returns how many were cancelled: 1 or 0."""
        if self._run is None:
            return 0
        self._run.cancel()
        return 1
