"""Where authors register: a `Registry`, and the decorators over the default registry.

A registry is an object; a test makes its own (`registry = Registry()`, `@registry.reconciler("Foo")`). The module-level
`reconciler` writes to the default registry, which `operator-kit run` collects while it loads its targets. What a decorator
refuses it refuses where it stands (`options.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, Unpack, overload

from operator_kit.controller.options import RECONCILER, Options, check_kind, checked, where
from operator_kit.controller.registered import Function, Reconciler
from operator_kit.controller.typed import kind_of_model
from operator_kit.errors import RegistrationError
from operator_kit.objects import Object
from operator_kit.permissions import Permission, PolicyRule, declared

__all__ = ["Registry", "collect", "default_registry", "reconciler"]

_T = TypeVar("_T")


class Registry:
    """A set of reconcilers, each with a name of its own.

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
        self._reconcilers: dict[str, Reconciler] = {}

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
            watches: other kinds, each with a function from an object of it to the keys that must run.
            reads: kinds that are cached so that `ctx` can read them, and lead to no run.
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

        def register(function: Function[Any]) -> Reconciler:
            made = Reconciler(function, name, place, values, model)
            self.add(made)
            return made

        return register

    def add(self, made: Reconciler) -> None:
        """Put a reconciler in. Raises `RegistrationError` when its name is taken."""
        with self._lock:
            other = self._reconcilers.setdefault(made.name, made)
        if other is not made:
            raise RegistrationError(
                f"{made.where}: a reconciler named {made.name} exists at {other.where}; "
                f"two need names: @reconciler({made.kind!r}, name=…)"
            )

    def __iter__(self) -> Iterator[Reconciler]:
        with self._lock:
            return iter(list(self._reconcilers.values()))

    def __len__(self) -> int:
        return len(self._reconcilers)

    def __repr__(self) -> str:
        return f"<Registry {', '.join(self._reconcilers) or 'empty'}>"


_default = Registry()
_default_lock = threading.Lock()


def default_registry() -> Registry:
    """The registry the module-level `reconciler` writes to."""
    return _default


@contextmanager
def collect(registry: Registry) -> Iterator[Registry]:
    """While it lasts, the module-level `reconciler` writes to this registry: how the command line loads its targets."""
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
