"""What a registry holds: reconcile functions, tasks and hooks, each with its options, all of them checked."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from operator_kit.controller.options import Mapper, check_function, check_key, name_of, where
from operator_kit.controller.outcome import Result
from operator_kit.controller.typed import ObjectModel
from operator_kit.errors import RegistrationError
from operator_kit.objects import Object
from operator_kit.settings import suggest

if TYPE_CHECKING:
    from operator_kit.controller.async_context import AsyncContext
    from operator_kit.controller.cached import Cached
    from operator_kit.controller.context import Context
    from operator_kit.controller.task_context import AsyncTaskContext, TaskContext
    from operator_kit.permissions import Permission, PolicyRule
    from operator_kit.predicates import Predicate

__all__ = [
    "CleanupFunction",
    "Function",
    "Hook",
    "HookFunction",
    "IndexFunction",
    "Reconciler",
    "SharedIndex",
    "Task",
    "TaskFunction",
]

REPORT_CONDITION = "Reconciled"

_T = TypeVar("_T")
Function: TypeAlias = "Callable[[_T, Context], Result | None] | Callable[[_T, AsyncContext], Awaitable[Result | None]]"
"""What `@reconciler` decorates: it takes the object and the context, and is plain or asynchronous."""
CleanupFunction: TypeAlias = "Callable[[Any, Context], None] | Callable[[Any, AsyncContext], Awaitable[None]]"
TaskFunction: TypeAlias = "Callable[[TaskContext], Result | None] | Callable[[AsyncTaskContext], Awaitable[Result | None]]"
"""What `@every` decorates."""
HookFunction: TypeAlias = "Callable[[TaskContext], None] | Callable[[AsyncTaskContext], Awaitable[None]]"
"""What `@on_startup` and `@on_shutdown` decorate."""
IndexFunction: TypeAlias = Callable[[Object], Iterable[str]]
"""From an object to the values it is found under."""

_Cleanup = TypeVar("_Cleanup", bound=CleanupFunction)


class Reconciler:
    """One registered reconcile function with its options, all of them checked.

    Made by the decorator; it stays callable as the function it decorates, so that a unit test can call it directly.

    Attributes:
        kind: the kind as written; resolved by discovery when the operator starts.
        model: the class its objects are parsed with, or None for dicts.
        name: names the controller in logs, metrics, the finalizer and the field manager.
        owns: kinds of children, whose changes lead back by their controller owner reference.
        owns_by_label: kinds of children that no owner reference reaches, in other namespaces or cluster-scoped.
        watches: other kinds, with the function that maps an object of theirs to keys of ours.
        reads: kinds that are cached for reading only.
        cache: how little of some kinds is cached.
        workers: reconciles at once, or None for the operator's setting.
        timeout: seconds one reconcile may take, or None for the operator's setting.
        backoff: first and longest delay in seconds, or None for the operator's settings.
        selector: a label selector; only objects that match are seen.
        namespaces: the only namespaces that are seen, or empty for the operator's setting.
        predicates: which changes of the object itself lead to a run, or None for the default.
        permissions: what its code does beyond what can be read off the other options.
        requeue_every: seconds after which an object whose function returned nothing runs again, or None.
        leader: whether it runs only where the process leads.
        report_condition: the condition that says on an object how its last run ended, once one has failed.
        where: `"file.py:12"`, where the decorator stands.
    """

    def __init__(
        self,
        function: Function[Any],
        kind: str,
        place: str,
        options: Mapping[str, Any],
        *,
        model: type[ObjectModel] | None = None,
        shared_indexes: Sequence[SharedIndex] = (),
    ) -> None:
        check_function(place, function, ("obj", "ctx"))
        self.function = function
        self.kind = kind
        self.model = model
        self.where = place
        self.cleanup_function: CleanupFunction | None = None
        self.indexes: dict[str, dict[str, IndexFunction]] = {}
        self.shared_indexes: Sequence[SharedIndex] = shared_indexes
        self.name: str = options["name"]
        self.owns: tuple[str, ...] = options["owns"]
        self.owns_by_label: tuple[str, ...] = options["owns_by_label"]
        self.watches: dict[str, Mapper] = options["watches"]
        self.reads: tuple[str, ...] = options["reads"]
        self.cache: dict[str, Cached] = options["cache"]
        self.workers: int | None = options["workers"]
        self.timeout: float | None = options["timeout"]
        self.backoff: tuple[float, float] | None = options["backoff"]
        self.selector: str = options["selector"]
        self.namespaces: tuple[str, ...] = options["namespaces"]
        self.predicates: Predicate | None = options["predicates"]
        self.permissions: tuple[Permission | PolicyRule, ...] = options["permissions"]
        self.requeue_every: float | None = options["requeue_every"]
        self.leader: bool = options["leader"]
        self.report_condition = REPORT_CONDITION
        self._wakers: tuple[Callable[[str], None], ...] = ()  # replaced, never changed
        self._lock = threading.Lock()

    def wake(self, key: str) -> bool:
        """Have an object reconciled soon, because of something no watch tells: a message, a poll of what is outside the cluster.

        From any thread, at any time. A key that does not exist, or is not among the namespaces and labels of the reconciler, is
        none of its business; one that backs off keeps its deadline.

        Args:
            key: `"namespace/name"`, or `"name"` for a kind without namespaces.

        Returns:
            Whether the reconciler works in this process: not before the start, and not on a standby.

        Raises:
            ValueError: it is no key.
        """
        wakers, checked = self._wakers, check_key(key)
        for waker in wakers:
            waker(checked)
        return bool(wakers)

    def on_wake(self, waker: Callable[[str], None]) -> Callable[[], None]:
        """Have the keys handed to `waker` that are woken from now on: a controller's part. Returns what ends it."""
        with self._lock:
            self._wakers = (*self._wakers, waker)

        def forget() -> None:
            with self._lock:
                self._wakers = tuple(other for other in self._wakers if other != waker)

        return forget

    def report_apart(self) -> None:
        """Report under the reconciler's own name: another one of its kind would overwrite what it says."""
        self.report_condition = f"{self.name.title().replace('-', '')}{REPORT_CONDITION}"

    def __call__(self, obj: Any, ctx: Any) -> Any:
        """Call the function that was decorated."""
        return self.function(obj, ctx)

    def cleanup(self, function: _Cleanup) -> _Cleanup:
        """Decorator: what must be undone outside the object's children before the object may go.

        Writing one is what turns the finalizer on (and so does `owns_by_label`). It takes `(obj, ctx)`, may be `async`, must be
        safe to run again, and while it raises, whatever it raises, the object stays.
        """
        place = where(2)
        check_function(place, function, ("obj", "ctx"))
        if self.cleanup_function is not None:
            raise RegistrationError(f"{place}: {self.name} has a cleanup already, {name_of(self.cleanup_function)}")
        self.cleanup_function = function
        return function

    def index(self, kind: str, name: str) -> Callable[[IndexFunction], IndexFunction]:
        """Decorator: an index over a cached kind, for `ctx.by_index(kind, name, value)` of this reconciler.

        The function maps an object to its values. For several reconcilers there is `Registry.index`.
        """
        place = where(2)
        declared = self.kinds()
        if kind not in declared:
            raise RegistrationError(f"{place}: index over {kind}: declare the kind with reads=[…]{suggest(kind, declared)}")
        if name in self.indexes.get(kind, {}):
            raise RegistrationError(f"{place}: {self.name} has an index {name!r} over {kind} already")

        def register(function: IndexFunction) -> IndexFunction:
            check_function(place, function, ("obj",))
            self.indexes.setdefault(kind, {})[name] = function
            return function

        return register

    @property
    def finalizes(self) -> bool:
        """Whether its objects get the finalizer: there is a cleanup, or there may be children that no garbage collector finds."""
        return self.cleanup_function is not None or bool(self.owns_by_label)

    @property
    def kind_name(self) -> str:
        """`"Website"`, however the kind is written."""
        return self.kind.rpartition("/")[2].partition(".")[0]

    def kinds(self) -> tuple[str, ...]:
        """Every kind this reconciler needs a cache of, its own first, as written, each once."""
        return tuple(dict.fromkeys((self.kind, *self.owns, *self.owns_by_label, *self.watches, *self.reads)))

    def __repr__(self) -> str:
        return f"<Reconciler {self.name} for {self.kind} at {self.where}>"


class SharedIndex:
    """An index for every reconciler of a registry that caches the kind; see `Registry.index`. Callable as the function.

    Attributes:
        kind: as written.
        name: what `ctx.by_index` names it by.
        where: `"file.py:12"`, where the decorator stands.
    """

    def __init__(self, function: IndexFunction, kind: str, name: str, place: str) -> None:
        check_function(place, function, ("obj",))
        self.function = function
        self.kind = kind
        self.name = name
        self.where = place

    def __call__(self, obj: Object) -> Iterable[str]:
        """Call the function that was decorated."""
        return self.function(obj)

    def __repr__(self) -> str:
        return f"<SharedIndex {self.name} over {self.kind} at {self.where}>"


class Task:
    """One function that runs again and again and belongs to no object; see `Registry.every`. Callable as the function.

    Attributes:
        interval: seconds from the end of a run to the beginning of the next, give or take a tenth.
        reads: kinds that are cached for it.
        name: names it in logs and metrics, as a controller.
        timeout: seconds one run may take, or None for the operator's setting.
        leader: whether it runs only where the process leads.
        permissions: what its code does.
        where: `"file.py:12"`, where the decorator stands.
    """

    def __init__(
        self,
        function: TaskFunction,
        interval: float,
        place: str,
        options: Mapping[str, Any],
        *,
        shared_indexes: Sequence[SharedIndex] = (),
    ) -> None:
        check_function(place, function, ("ctx",))
        self.function = function
        self.interval = interval
        self.where = place
        self.shared_indexes: Sequence[SharedIndex] = shared_indexes
        self.reads: tuple[str, ...] = options["reads"]
        self.name: str = options["name"]
        self.timeout: float | None = options["timeout"]
        self.leader: bool = options["leader"]
        self.permissions: tuple[Permission | PolicyRule, ...] = options["permissions"]

    def __call__(self, ctx: Any) -> Any:
        """Call the function that was decorated."""
        return self.function(ctx)

    def kinds(self) -> tuple[str, ...]:
        """Every kind it needs a cache of, as written, each once."""
        return self.reads

    def __repr__(self) -> str:
        return f"<Task {self.name} at {self.where}>"


class Hook:
    """One function that runs when the operator starts, or when it has stopped. Callable as the function.

    Attributes:
        moment: `"on_startup"` or `"on_shutdown"`.
        name: of the function.
        where: `"file.py:12"`, where the decorator stands.
    """

    def __init__(self, function: HookFunction, moment: str, place: str) -> None:
        check_function(place, function, ("ctx",))
        self.function = function
        self.moment = moment
        self.name = name_of(function)
        self.where = place

    def __call__(self, ctx: Any) -> Any:
        """Call the function that was decorated."""
        return self.function(ctx)

    def __repr__(self) -> str:
        return f"<Hook {self.moment} {self.name} at {self.where}>"
