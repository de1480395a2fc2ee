"""Where authors register: a `Registry`, and the decorators over the default registry.

A registry is an object; a test makes its own (`registry = Registry()`, `@registry.reconciler("Foo")`). The module-level
decorators write to the default registry, which `operator-kit run` collects while it loads its targets. What a decorator
refuses it refuses where it stands (`options.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Never, TypeVar, Unpack, overload

from operator_kit.controller.options import RECONCILER, TASK, Options, check_interval, check_kind, checked, name_of, where
from operator_kit.controller.outcome import Duration
from operator_kit.controller.registered import (
    Function,
    Hook,
    HookFunction,
    IndexFunction,
    Reconciler,
    SharedIndex,
    Task,
    TaskFunction,
)
from operator_kit.controller.typed import kind_of_model
from operator_kit.errors import RegistrationError
from operator_kit.objects import Object
from operator_kit.permissions import Permission, PolicyRule, declared

__all__ = ["Registry", "collect", "default_registry", "every", "index", "on_shutdown", "on_startup", "reconciler"]

_T = TypeVar("_T")
_CACHED_BY = ("owns", "owns_by_label", "watches", "reads")


class Registry:
    """A set of reconcilers and tasks, each with a name of its own, and of hooks. Iterating it gives the reconcilers.

    Args:
        permissions: what the code of the whole operator does besides, as in `reconciler`. Raises `RegistrationError` for what is
            no permission.
    """

    def __init__(self, *, permissions: Iterable[str | Permission | PolicyRule] = ()) -> None:
        self._lock = threading.Lock()
        try:
            self.permissions = declared(permissions)
        except (TypeError, ValueError) as exc:
            raise RegistrationError(f"{where(2)}: Registry(permissions=…): {exc}") from None
        self._named: dict[str, Reconciler | Task] = {}
        self._hooks: list[Hook] = []
        self._indexes: list[SharedIndex] = []

    @overload
    def reconciler(self, kind: str, **options: Unpack[Options]) -> Callable[[Function[Object]], Reconciler]: ...

    @overload
    def reconciler(self, kind: type[_T], **options: Unpack[Options]) -> Callable[[Function[_T]], Reconciler]: ...

    def reconciler(self, kind: str | type[Any], **options: Any) -> Callable[[Function[Any]], Reconciler]:
        """Decorator: the function makes the world match one object of this kind. It takes `(obj, ctx)` and may be `async`.

        Args:
            kind: `"Website"`, `"Website.example.com"`, `"example.com/v1/Website"`, `"v1/ConfigMap"`, or a `CustomResource` class
                (see `operator_kit.models`), whose instances the function is then given in place of dicts.
            **options: those below and no others; they are checked here, and known to type checkers.
            owns: kinds of children; a change of a child runs the object that controls it.
            owns_by_label: kinds of children in other namespaces, and cluster-scoped ones, where no owner reference reaches; they
                belong by label. It turns the finalizer on: when the object is deleted, these children are deleted with it.
            watches: other kinds, each with a function from an object of it to the keys that must run.
            reads: kinds that are cached so that `ctx` can read them, and lead to no run.
            cache: how little of a kind that is watched or read is cached, such as `{"v1/Pod": Cached(metadata_only=True)}`; of an
                owned kind no more can be left out than all but its metadata.
            name: of the controller; the kind in lower case by default. Two reconcilers of one kind need names.
            workers: how many objects are reconciled at once; `--workers` unless given.
            timeout: limit of one reconcile, 0 for none; `--reconcile-timeout` unless given.
            backoff: first and longest delay between tries of a failing object; `--backoff-base` and `--backoff-max` unless given.
            selector: a label selector such as `"app=web,tier!=test"`.
            namespaces: the only namespaces to look at.
            predicates: which changes of the object itself lead to a run (see `operator_kit.predicates`); several must all agree.
            permissions: what the code does besides, for `operator-kit rbac` and `check`: live reads and writes of kinds that are
                not named above, such as `"get v1/Secret"` or `"create v1/ConfigMap in dns"`; see `operator_kit.permissions`.
            requeue_every: run every object again this long after a run that returned nothing, give or take a tenth, even if
                nothing changes. A `Result(requeue_after=…)` goes before it, and so do the delays of failures.
            leader: run only in the process that leads, where there are several. Without, every process reconciles every object.

        Raises:
            RegistrationError: an unknown option, a value that cannot be used, a name that is taken. It names file and line.
        """
        return self._reconciler(where(2), kind, options)

    def _reconciler(self, place: str, kind: str | type[Any], options: Mapping[str, Any]) -> Callable[[Function[Any]], Reconciler]:
        if not isinstance(kind, str | type):
            raise RegistrationError(f'{place}: @reconciler needs a kind, such as @reconciler("Website")')
        model = None if isinstance(kind, str) else kind
        try:
            name = check_kind(kind) if isinstance(kind, str) else kind_of_model(kind)
        except ValueError as exc:
            raise RegistrationError(f"{place}: @reconciler: {exc}") from None
        short = name.rpartition("/")[2].partition(".")[0].lower()
        values = checked(f"@reconciler({name!r}", place, {**options, "name": options.get("name") or short}, RECONCILER)
        strange = next((kind for kind in values["cache"] if not any(kind in values[each] for each in _CACHED_BY)), None)
        if strange is not None:
            raise RegistrationError(f"{place}: @reconciler({name!r}, cache=…): {strange} is in none of {', '.join(_CACHED_BY)}")

        def register(function: Function[Any]) -> Reconciler:
            made = Reconciler(function, name, place, values, model=model, shared_indexes=self._indexes)
            self.add(made)
            return made

        return register

    def index(self, kind: str, name: str) -> Callable[[IndexFunction], SharedIndex]:
        """Decorator: an index over a kind, for `ctx.by_index(kind, name, value)` of all reconcilers and tasks registered here.

        The function maps an object to the values it is found under. It makes no cache: who reads it declares the kind, with
        `owns`, `watches` or `reads`.

        Raises:
            RegistrationError: what is no kind; a name that is taken.
        """
        return self._index(where(2), kind, name)

    def _index(self, place: str, kind: str, name: str) -> Callable[[IndexFunction], SharedIndex]:
        try:
            check_kind(kind)
        except ValueError as exc:
            raise RegistrationError(f"{place}: @index: {exc}") from None
        if not name:
            raise RegistrationError(f'{place}: @index({kind!r}) needs a name, such as @index({kind!r}, "by-node")')
        other = next((index for index in self._indexes if (index.kind, index.name) == (kind, name)), None)
        if other is not None:
            raise RegistrationError(f"{place}: an index {name!r} over {kind} exists at {other.where}")

        def register(function: IndexFunction) -> SharedIndex:
            made = SharedIndex(function, kind, name, place)
            self._indexes.append(made)
            return made

        return register

    def every(
        self,
        interval: Duration,
        *,
        reads: Iterable[str] = (),
        name: str = "",
        leader: bool = True,
        timeout: Duration | None = None,
        permissions: Iterable[str | Permission | PolicyRule] = (),
        **unknown: Never,
    ) -> Callable[[TaskFunction], Task]:
        """Decorator: a task, which belongs to no object. The function takes a `TaskContext` and may be `async`.

        It runs when the operator has started and what it reads is cached, and again an interval after each run has ended, give
        or take a tenth; never twice at once. A run that fails is tried again after a backoff that is no longer than the
        interval, and is counted and logged as a reconcile's failure is.

        Args:
            interval: seconds, `"5m"`, a timedelta.
            reads: kinds that are cached so that `ctx` can read them.
            name: names it in logs and metrics; that of the function by default.
            leader: run only in the process that leads, where there are several.
            timeout: limit of one run, 0 for none; `--reconcile-timeout` unless given.
            permissions: what its code does besides, for `operator-kit rbac` and `check`, as for `reconciler`.
            **unknown: nothing; a type checker refuses other names, and so does the decorator.

        Raises:
            RegistrationError: as for `reconciler`.
        """
        options = {"reads": reads, "name": name, "leader": leader, "timeout": timeout, "permissions": permissions, **unknown}
        return self._every(where(2), interval, options)

    def _every(self, place: str, interval: Duration, options: Mapping[str, Any]) -> Callable[[TaskFunction], Task]:
        decorator = f"@every({interval!r}"
        try:
            seconds = check_interval(interval)
        except (TypeError, ValueError) as exc:
            raise RegistrationError(f'{place}: {decorator}): {exc}; such as @every("5m")') from None
        checked(decorator, place, {**options, "name": options["name"] or "task"}, TASK)

        def register(function: TaskFunction) -> Task:
            name = options["name"] or name_of(function).strip("_").replace("_", "-").lower()
            values = checked(decorator, place, {**options, "name": name}, TASK)
            made = Task(function, seconds, place, values, shared_indexes=self._indexes)
            self.add(made)
            return made

        return register

    def on_startup(self, function: HookFunction) -> Hook:
        """Decorator: what runs before anything is watched or reconciled. It takes a `TaskContext` and may be `async`.

        Hooks run one after the other, in the order in which they are written, in every process, leader or not. One that raises
        ends the operator with an exit code of its own. There is no time limit; `ctx.stopping` is set when it is told to stop.
        """
        return self._hook("on_startup", where(2), function)

    def on_shutdown(self, function: HookFunction) -> Hook:
        """Decorator: what runs after every worker has ended. It takes a `TaskContext` and may be `async`.

        Hooks run one after the other, the last one written first, also after a startup that failed. All of them share what is
        left of `--shutdown-timeout`; one that raises is logged and keeps no other from running. They do not run when a reconcile
        outlives that timeout: the process then ends at once.
        """
        return self._hook("on_shutdown", where(2), function)

    def _hook(self, moment: str, place: str, function: HookFunction) -> Hook:
        made = Hook(function, moment, place)
        self.add(made)
        return made

    def add(self, made: Reconciler | Task | Hook) -> None:
        """Put in what a decorator has made, unless it is in already. Raises `RegistrationError` when its name is taken."""
        with self._lock:
            if isinstance(made, Hook):
                if made not in self._hooks:
                    self._hooks.append(made)
                return
            siblings = isinstance(made, Reconciler) and any(
                isinstance(each, Reconciler) and each.kind_name == made.kind_name for each in self._named.values()
            )
            if isinstance(made, Reconciler) and made.name not in self._named and siblings:
                made.report_apart()
            other = self._named.setdefault(made.name, made)
        if other is not made:
            what = "a reconciler" if isinstance(other, Reconciler) else "a task"
            again = f"@reconciler({made.kind!r}, name=…)" if isinstance(made, Reconciler) else "@every(…, name=…)"
            raise RegistrationError(f"{made.where}: {what} named {made.name} exists at {other.where}; two need names: {again}")

    def include(self, other: Registry) -> None:
        """Put everything in that another registry holds. Raises `RegistrationError` when a name is taken."""
        self.permissions = tuple(dict.fromkeys((*self.permissions, *other.permissions)))
        for made in (*other, *other.tasks, *other.hooks()):
            self.add(made)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What `every` has put in."""
        with self._lock:
            return tuple(made for made in self._named.values() if isinstance(made, Task))

    def hooks(self, moment: str = "") -> tuple[Hook, ...]:
        """The hooks of `"on_startup"` or `"on_shutdown"`, or all, as they were written."""
        with self._lock:
            return tuple(hook for hook in self._hooks if not moment or hook.moment == moment)

    def __iter__(self) -> Iterator[Reconciler]:
        with self._lock:
            return iter([made for made in self._named.values() if isinstance(made, Reconciler)])

    def __len__(self) -> int:
        """How many reconcilers and tasks there are: what runs."""
        return len(self._named)

    def __repr__(self) -> str:
        return f"<Registry {', '.join(self._named) or 'empty'}>"


_default = Registry()
_default_lock = threading.Lock()


def default_registry() -> Registry:
    """The registry the module-level decorators write to."""
    return _default


@contextmanager
def collect(registry: Registry) -> Iterator[Registry]:
    """While it lasts, the module-level decorators write to this registry: how the command line loads its targets."""
    global _default  # noqa: PLW0603  # the one global of the room; swapped under its lock, and only while targets are loaded
    with _default_lock:
        before, _default = _default, registry
        try:
            yield registry
        finally:
            _default = before


@overload
def reconciler(kind: str, **options: Unpack[Options]) -> Callable[[Function[Object]], Reconciler]: ...


@overload
def reconciler(kind: type[_T], **options: Unpack[Options]) -> Callable[[Function[_T]], Reconciler]: ...


def reconciler(kind: str | type[Any], **options: Any) -> Callable[[Function[Any]], Reconciler]:
    """Decorator: register a reconcile function with the default registry. See `Registry.reconciler`."""
    return _default._reconciler(where(2), kind, options)  # noqa: SLF001  # one room; the method is not for authors


def every(
    interval: Duration,
    *,
    reads: Iterable[str] = (),
    name: str = "",
    leader: bool = True,
    timeout: Duration | None = None,
    permissions: Iterable[str | Permission | PolicyRule] = (),
    **unknown: Never,
) -> Callable[[TaskFunction], Task]:
    """Decorator: register a task with the default registry. See `Registry.every`."""
    options = {"reads": reads, "name": name, "leader": leader, "timeout": timeout, "permissions": permissions, **unknown}
    return _default._every(where(2), interval, options)  # noqa: SLF001


def index(kind: str, name: str) -> Callable[[IndexFunction], SharedIndex]:
    """Decorator: register an index with the default registry. See `Registry.index`."""
    return _default._index(where(2), kind, name)  # noqa: SLF001


def on_startup(function: HookFunction) -> Hook:
    """Decorator: register what runs first with the default registry. See `Registry.on_startup`."""
    return _default._hook("on_startup", where(2), function)  # noqa: SLF001


def on_shutdown(function: HookFunction) -> Hook:
    """Decorator: register what runs last with the default registry. See `Registry.on_shutdown`."""
    return _default._hook("on_shutdown", where(2), function)  # noqa: SLF001
