"""What authors register: a `Registry` of `Reconciler`s, and the `reconciler` decorator over the default registry.

Every option is checked where the decorator stands: the error names the file and the line, the option, and the nearest valid name.
A registry is an object; a test makes its own (`registry = Registry()`, `@registry.reconciler("Foo")`). The module-level
`reconciler` writes to the default registry, which `operator-kit run` collects while it loads its targets.
"""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never, TypeAlias, TypedDict, TypeVar, Unpack, overload

from operator_kit.controller.outcome import Duration, Result
from operator_kit.controller.predicates import Predicate
from operator_kit.controller.typed import ObjectModel, kind_of_model
from operator_kit.errors import RegistrationError
from operator_kit.objects import Object
from operator_kit.permissions import Permission, PolicyRule, declared
from operator_kit.selectors import LabelSelector
from operator_kit.settings import parse_duration, suggest

__all__ = ["IndexFunction", "Mapper", "Reconciler", "Registry", "collect", "default_registry", "reconciler"]

_T = TypeVar("_T")
_Function: TypeAlias = Callable[[_T, Any], Result | Awaitable[Result | None] | None]
ReconcileFunction: TypeAlias = _Function[Any]
CleanupFunction: TypeAlias = Callable[[Any, Any], Awaitable[None] | None]
Mapper: TypeAlias = Callable[[Object], Iterable[str] | str | None]
"""From an object of a watched kind to the keys (`"namespace/name"`) that must be reconciled because of it."""
IndexFunction: TypeAlias = Callable[[Object], Iterable[str]]
"""From an object to the values it is found under."""

_F = TypeVar("_F", bound=Callable[..., Any])

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z0-9][-a-z0-9.]*)?|([a-z0-9][-a-z0-9.]*/)?v[a-z0-9]+/[A-Za-z][A-Za-z0-9]*")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")
_OPTIONS = (
    "owns",
    "watches",
    "reads",
    "name",
    "workers",
    "timeout",
    "backoff",
    "selector",
    "namespaces",
    "predicates",
    "permissions",
)


class Reconciler:
    """One registered reconcile function with its options, all of them checked.

    Made by the decorator; it stays callable as the function it decorates, so that a unit test can call it directly.

    Attributes:
        kind: the kind as written; resolved by discovery when the operator starts.
        model: the class its objects are parsed with, or None for dicts.
        name: names the controller in logs, metrics, the finalizer and the field manager.
        owns: kinds of children, whose changes lead back by their controller owner reference.
        watches: other kinds, with the function that maps an object of theirs to keys of ours.
        reads: kinds that are cached for reading only.
        workers: reconciles at once, or None for the operator's setting.
        timeout: seconds one reconcile may take, or None for the operator's setting.
        backoff: first and longest delay in seconds, or None for the operator's settings.
        selector: a label selector; only objects that match are seen.
        namespaces: the only namespaces that are seen, or empty for the operator's setting.
        predicates: which changes of the object itself lead to a run, or None for the default.
        permissions: what its code does beyond what can be read off the other options.
        where: `"file.py:12"`, where the decorator stands.
    """

    def __init__(self, function: ReconcileFunction, kind: str, where: str, options: Mapping[str, Any]) -> None:
        self.function = function
        self.kind = kind
        self.model: type[ObjectModel] | None = options.get("model")
        self.where = where
        self.cleanup_function: CleanupFunction | None = None
        self.indexes: dict[str, dict[str, IndexFunction]] = {}
        default_name = kind.rpartition("/")[2].partition(".")[0].lower()
        self.name: str = self._check("name", options["name"] or default_name, _check_name)
        self.owns: tuple[str, ...] = self._check("owns", options["owns"], _check_kinds)
        self.watches: dict[str, Mapper] = self._check("watches", options["watches"], _check_watches)
        self.reads: tuple[str, ...] = self._check("reads", options["reads"], _check_kinds)
        self.workers: int | None = self._check("workers", options["workers"], _check_workers)
        self.timeout: float | None = self._check("timeout", options["timeout"], _check_duration)
        self.backoff: tuple[float, float] | None = self._check("backoff", options["backoff"], _check_backoff)
        self.selector: str = self._check("selector", options["selector"], _check_selector)
        self.namespaces: tuple[str, ...] = self._check("namespaces", options["namespaces"], _check_words)
        self.predicates: Predicate | None = self._check("predicates", options["predicates"], _check_predicates)
        self.permissions: tuple[Permission | PolicyRule, ...] = self._check("permissions", options["permissions"], declared)
        self._check_signature(function)

    def __call__(self, obj: Any, ctx: Any) -> Any:
        """Call the function that was decorated."""
        return self.function(obj, ctx)

    def cleanup(self, function: _F) -> _F:
        """Decorator: what must be undone outside the object's children before the object may go.

        Writing one is what turns the finalizer on. It takes `(obj, ctx)`, may be `async`, must be safe to run again, and while it
        raises, whatever it raises, the object stays.
        """
        self._check_signature(function)
        if self.cleanup_function is not None:
            raise RegistrationError(f"{_where(2)}: {self.name} has a cleanup already, {_name_of(self.cleanup_function)}")
        self.cleanup_function = function
        return function

    def index(self, kind: str, name: str) -> Callable[[_F], _F]:
        """Decorator: an index over a cached kind, for `ctx.by_index(kind, name, value)`.

        The function maps an object to its values.
        """
        where = _where(2)
        declared = (self.kind, *self.owns, *self.watches, *self.reads)
        if kind not in declared:
            raise RegistrationError(f"{where}: index over {kind}: declare the kind with reads=[…]{suggest(kind, declared)}")
        if name in self.indexes.get(kind, {}):
            raise RegistrationError(f"{where}: {self.name} has an index {name!r} over {kind} already")

        def register(function: _F) -> _F:
            self.indexes.setdefault(kind, {})[name] = function
            return function

        return register

    def kinds(self) -> tuple[str, ...]:
        """Every kind this reconciler needs a cache of, its own first, as written, each once."""
        return tuple(dict.fromkeys((self.kind, *self.owns, *self.watches, *self.reads)))

    def _check(self, option: str, value: Any, check: Callable[[Any], Any]) -> Any:
        try:
            return check(value)
        except (TypeError, ValueError) as exc:
            raise RegistrationError(f"{self.where}: @reconciler({self.kind!r}, {option}=…): {exc}") from None

    def _check_signature(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise RegistrationError(f"{self.where}: {function!r} is not a function")
        try:
            inspect.signature(function).bind({}, None)
        except TypeError:
            raise RegistrationError(
                f"{self.where}: {_name_of(function)} must take two arguments, (obj, ctx), not {inspect.signature(function)}"
            ) from None
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise RegistrationError(f"{self.where}: {_name_of(function)} is a generator; write a plain or an async function")

    def __repr__(self) -> str:
        return f"<Reconciler {self.name} for {self.kind} at {self.where}>"


class Options(TypedDict, total=False):
    """The options of `@reconciler`, for type checkers; see `Registry.reconciler` for what they mean."""

    owns: Iterable[str]
    watches: Mapping[str, Mapper] | None
    reads: Iterable[str]
    name: str
    workers: int | None
    timeout: Duration | None
    backoff: tuple[Duration, Duration] | None
    selector: str
    namespaces: Iterable[str]
    predicates: Predicate | Iterable[Predicate] | None
    permissions: Iterable[str | Permission | PolicyRule]


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
            raise RegistrationError(f"{_where(2)}: Registry(permissions=…): {exc}") from None
        self._reconcilers: dict[str, Reconciler] = {}

    @overload
    def reconciler(self, kind: str, **options: Unpack[Options]) -> Callable[[_Function[Object]], Reconciler]: ...

    @overload
    def reconciler(self, kind: type[_T], **options: Unpack[Options]) -> Callable[[_Function[_T]], Reconciler]: ...

    def reconciler(
        self,
        kind: str | type[Any],
        *,
        owns: Iterable[str] = (),
        watches: Mapping[str, Mapper] | None = None,
        reads: Iterable[str] = (),
        name: str = "",
        workers: int | None = None,
        timeout: Duration | None = None,
        backoff: tuple[Duration, Duration] | None = None,
        selector: str = "",
        namespaces: Iterable[str] = (),
        predicates: Predicate | Iterable[Predicate] | None = None,
        permissions: Iterable[str | Permission | PolicyRule] = (),
        **unknown: Never,
    ) -> Callable[[ReconcileFunction], Reconciler]:
        """Decorator: the function makes the world match one object of this kind. It takes `(obj, ctx)` and may be `async`.

        Args:
            kind: `"Website"`, `"Website.example.com"`, `"example.com/v1/Website"`, `"v1/ConfigMap"`, or a `CustomResource` class
                (see `operator_kit.models`), whose instances the function is then given in place of dicts.
            owns: kinds of children; a change of a child runs the object that controls it.
            watches: other kinds, each with a function from an object of it to the keys that must run.
            reads: kinds that are cached so that `ctx` can read them, and lead to no run.
            name: of the controller; the kind in lower case by default. Two reconcilers of one kind need names.
            workers: how many objects are reconciled at once.
            timeout: limit of one reconcile; 0 for none.
            backoff: first and longest delay between tries of a failing object.
            selector: a label selector such as `"app=web,tier!=test"`.
            namespaces: the only namespaces to look at.
            predicates: which changes of the object itself lead to a run (see `operator_kit.controller.predicates`); several
                must all agree.
            permissions: what the code does besides, for `operator-kit rbac` and `check`: live reads and writes of kinds that are
                not named above, such as `"get v1/Secret"` or `"create v1/ConfigMap in dns"`; see `operator_kit.permissions`.
            **unknown: nothing; a type checker refuses other names, and so does the decorator.

        Raises:
            RegistrationError: an unknown option, a value that cannot be used, a name that is taken. It names file and line.
        """
        where = _where(2)
        options = {
            "owns": owns,
            "watches": watches,
            "reads": reads,
            "name": name,
            "workers": workers,
            "timeout": timeout,
            "backoff": backoff,
            "selector": selector,
            "namespaces": namespaces,
            "predicates": predicates,
            "permissions": permissions,
        }
        return self._decorator(kind, where, options, unknown)

    def _decorator(
        self, kind: str | type[Any], where: str, options: Mapping[str, Any], unknown: Mapping[str, Any]
    ) -> Callable[[ReconcileFunction], Reconciler]:
        for option in unknown:
            raise RegistrationError(f"{where}: @reconciler has no option {option}{suggest(option, _OPTIONS)}")
        if not isinstance(kind, str | type):
            raise RegistrationError(f'{where}: @reconciler needs a kind, such as @reconciler("Website")')
        model = None if isinstance(kind, str) else kind
        try:
            name = _check_kind(kind) if isinstance(kind, str) else kind_of_model(kind)
        except ValueError as exc:
            raise RegistrationError(f"{where}: @reconciler: {exc}") from None

        def register(function: ReconcileFunction) -> Reconciler:
            made = Reconciler(function, name, where, {**options, "model": model})
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
def reconciler(kind: str, **options: Unpack[Options]) -> Callable[[_Function[Object]], Reconciler]: ...


@overload
def reconciler(kind: type[_T], **options: Unpack[Options]) -> Callable[[_Function[_T]], Reconciler]: ...


def reconciler(
    kind: str | type[Any],
    *,
    owns: Iterable[str] = (),
    watches: Mapping[str, Mapper] | None = None,
    reads: Iterable[str] = (),
    name: str = "",
    workers: int | None = None,
    timeout: Duration | None = None,
    backoff: tuple[Duration, Duration] | None = None,
    selector: str = "",
    namespaces: Iterable[str] = (),
    predicates: Predicate | Iterable[Predicate] | None = None,
    permissions: Iterable[str | Permission | PolicyRule] = (),
    **unknown: Never,
) -> Callable[[ReconcileFunction], Reconciler]:
    """Decorator: register a reconcile function with the default registry. See `Registry.reconciler`."""
    where = _where(2)
    options = {
        "owns": owns,
        "watches": watches,
        "reads": reads,
        "name": name,
        "workers": workers,
        "timeout": timeout,
        "backoff": backoff,
        "selector": selector,
        "namespaces": namespaces,
        "predicates": predicates,
        "permissions": permissions,
    }
    return _default._decorator(kind, where, options, unknown)  # noqa: SLF001  # one room; the method is not for authors


def _where(depth: int) -> str:
    """`"website.py:12"`: where the author's code stands, relative to the working directory when it is below it."""
    frame = sys._getframe(depth)  # noqa: SLF001  # the documented way to name a caller
    path = Path(frame.f_code.co_filename)
    cwd = Path.cwd()
    shown = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    return f"{shown}:{frame.f_lineno}"


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", None) or repr(function))


def _check_kind(value: Any) -> str:
    if not isinstance(value, str) or not _KIND.fullmatch(value):
        raise ValueError(f"{value!r} is not a kind; write Website, Website.example.com, example.com/v1/Website or v1/Secret")
    return value


def _check_kinds(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"expected a list of kinds, such as [{value!r}]")
    return tuple(dict.fromkeys(_check_kind(kind) for kind in value))


def _check_name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use lower-case letters, digits and dashes, 50 at most")
    return value


def _check_watches(value: Any) -> dict[str, Mapper]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("expected a mapping of kinds to functions, such as {'v1/Secret': keys_for_secret}")
    for kind, mapper in value.items():
        _check_kind(kind)
        if not callable(mapper):
            raise ValueError(f"{kind}: {mapper!r} is not a function from an object to keys")
    return dict(value)


def _check_workers(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of 1 or more")
    return value


def _check_duration(value: Any) -> float | None:
    return None if value is None else parse_duration(value)


def _check_backoff(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError('expected two durations, the first delay and the longest, such as ("1s", "5m")')
    delays = [parse_duration(item) for item in value]
    if len(delays) != 2 or not 0 < delays[0] <= delays[1]:
        raise ValueError('expected two durations, the first delay and the longest, such as ("1s", "5m")')
    return delays[0], delays[1]


def _check_selector(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; write a label selector such as 'app=web,tier!=test'")
    return str(LabelSelector.parse(value)) if value.strip() else ""


def _check_words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"expected a list, such as [{value!r}]")
    words = tuple(dict.fromkeys(value))
    for word in words:
        if not isinstance(word, str) or not word:
            raise ValueError(f"{word!r} is not a namespace")
    return words


def _check_predicates(value: Any) -> Predicate | None:
    if value is None or isinstance(value, Predicate):
        return value
    parts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    combined: Predicate | None = None
    for part in parts:
        if not isinstance(part, Predicate):
            raise ValueError(f"{part!r} is not a predicate; wrap a function of (old, new) with predicates.when(…)")
        combined = part if combined is None else combined & part
    return combined
