"""What the decorators accept: every option with its default and the check of its value, and how a wrong one is refused.

A refusal names the file and the line of the decorator, the option, and what would be right.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from operator_kit.controller.cached import Cached, checked_cache
from operator_kit.controller.outcome import Duration
from operator_kit.controller.typed import kind_of_model
from operator_kit.errors import RegistrationError
from operator_kit.objects import Object
from operator_kit.permissions import Permission, PolicyRule, declared
from operator_kit.predicates import Predicate
from operator_kit.selectors import LabelSelector
from operator_kit.settings import parse_duration, suggest

__all__ = [
    "RECONCILER",
    "TASK",
    "Mapper",
    "Options",
    "check_function",
    "check_interval",
    "check_key",
    "check_kind",
    "checked",
    "name_of",
    "where",
]

Mapper: TypeAlias = Callable[[Object], Iterable[str] | str | None]
"""From an object of a watched kind to the keys (`"namespace/name"`) that must be reconciled because of it."""

_Check: TypeAlias = Callable[[Any], Any]

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z0-9][-a-z0-9.]*)?|([a-z0-9][-a-z0-9.]*/)?v[a-z0-9]+/[A-Za-z][A-Za-z0-9]*")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Options(TypedDict, total=False):
    """The options of `@reconciler`, for type checkers; see `Registry.reconciler` for what they mean."""

    owns: Iterable[str]
    owns_by_label: Iterable[str]
    watches: Mapping[str, Mapper] | None
    reads: Iterable[str]
    cache: Mapping[str, Cached] | None
    name: str
    workers: int | None
    timeout: Duration | None
    backoff: tuple[Duration, Duration] | None
    selector: str
    namespaces: Iterable[str]
    predicates: Predicate | Iterable[Predicate] | None
    permissions: Iterable[str | Permission | PolicyRule]
    requeue_every: Duration | None
    leader: bool


def checked(decorator: str, place: str, given: Mapping[str, Any], known: Mapping[str, tuple[Any, _Check]]) -> dict[str, Any]:
    """Every known option with its value, converted; the default where it was not given.

    Args:
        decorator: as it is shown, `"@reconciler('Foo'"`, without the closing bracket.
        place: `"file.py:12"`.
        given: what the author wrote.
        known: the default and the check of each option.

    Raises:
        RegistrationError: an unknown name, or a value that cannot be used.
    """
    name = decorator.partition("(")[0]
    for option in given:
        if option not in known:
            raise RegistrationError(f"{place}: {name} has no option {option}{suggest(option, known)}")
    values = {}
    for option, (default, check) in known.items():
        try:
            values[option] = check(given.get(option, default))
        except (TypeError, ValueError) as exc:
            raise RegistrationError(f"{place}: {decorator}, {option}=…): {exc}") from None
    return values


def check_function(place: str, function: Any, arguments: tuple[str, ...]) -> None:
    """Raise `RegistrationError` unless it is a function, plain or async, that can be called with these arguments."""
    if not callable(function):
        raise RegistrationError(f"{place}: {function!r} is not a function")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # written in C: it does not say what it takes
    try:
        signature.bind(*arguments)
    except TypeError:
        count = {1: "one argument", 2: "two arguments"}[len(arguments)]
        wanted = ", ".join(arguments)
        raise RegistrationError(f"{place}: {name_of(function)} must take {count}, ({wanted}), not {signature}") from None
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"{place}: {name_of(function)} is a generator; write a plain or an async function")


def where(depth: int) -> str:
    """`"website.py:12"`: where the author's code stands, relative to the working directory when it is below it."""
    frame = sys._getframe(depth)  # noqa: SLF001  # the documented way to name a caller
    path = Path(frame.f_code.co_filename)
    cwd = Path.cwd()
    shown = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    return f"{shown}:{frame.f_lineno}"


def name_of(function: Any) -> str:
    """A function's name, for messages."""
    return str(getattr(function, "__name__", None) or repr(function))


def check_kind(value: Any) -> str:
    """A kind as it may be written. Raises `ValueError`."""
    if isinstance(value, type):
        raise ValueError(f"the class {value.__name__} stands only for the reconciled kind; write {kind_of_model(value)!r} here")
    if not isinstance(value, str) or not _KIND.fullmatch(value):
        raise ValueError(f"{value!r} is not a kind; write Website, Website.example.com, example.com/v1/Website or v1/Secret")
    return value


def check_key(value: Any) -> str:
    """A key as it may be written. Raises `ValueError`."""
    if not isinstance(value, str) or not value or value.count("/") > 1:
        raise ValueError(f"{value!r} is not a key; write 'namespace/name', or 'name' for a kind without namespaces")
    return value


def _kinds(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"expected a list of kinds, such as [{value!r}]")
    return tuple(dict.fromkeys(check_kind(kind) for kind in value))


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use lower-case letters, digits and dashes, 50 at most")
    return value


def _watches(value: Any) -> dict[str, Mapper]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("expected a mapping of kinds to functions, such as {'v1/Secret': keys_for_secret}")
    for kind, mapper in value.items():
        check_kind(kind)
        if not callable(mapper):
            raise ValueError(f"{kind}: {mapper!r} is not a function from an object to keys")
    return dict(value)


def _workers(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of 1 or more")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not True or False")
    return value


def _duration(value: Any) -> float | None:
    return None if value is None else parse_duration(value)


def check_interval(value: Any) -> float:
    """A duration of more than zero, in seconds. Raises `ValueError`."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} is no interval; it must be more than zero")
    return seconds


def _backoff(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError('expected two durations, the first delay and the longest, such as ("1s", "5m")')
    delays = [parse_duration(item) for item in value]
    if len(delays) != 2 or not 0 < delays[0] <= delays[1]:
        raise ValueError('expected two durations, the first delay and the longest, such as ("1s", "5m")')
    return delays[0], delays[1]


def _selector(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; write a label selector such as 'app=web,tier!=test'")
    return str(LabelSelector.parse(value)) if value.strip() else ""


def _namespaces(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(f"expected a list, such as [{value!r}]")
    words = tuple(dict.fromkeys(value))
    for word in words:
        if not isinstance(word, str) or not _NAMESPACE.fullmatch(word):
            raise ValueError(f"{word!r} is not a namespace; use lower-case letters, digits and dashes, 63 at most")
    return words


def _predicates(value: Any) -> Predicate | None:
    if value is None or isinstance(value, Predicate):
        return value
    parts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    combined: Predicate | None = None
    for part in parts:
        if not isinstance(part, Predicate):
            raise ValueError(f"{part!r} is not a predicate; wrap a function of (old, new) with predicates.when(…)")
        combined = part if combined is None else combined & part
    return combined


RECONCILER: dict[str, tuple[Any, _Check]] = {
    "owns": ((), _kinds),
    "owns_by_label": ((), _kinds),
    "watches": (None, _watches),
    "reads": ((), _kinds),
    "cache": (None, checked_cache),
    "name": ("", _name),
    "workers": (None, _workers),
    "timeout": (None, _duration),
    "backoff": (None, _backoff),
    "selector": ("", _selector),
    "namespaces": ((), _namespaces),
    "predicates": (None, _predicates),
    "permissions": ((), declared),
    "requeue_every": (None, lambda value: None if value is None else check_interval(value)),
    "leader": (True, _flag),
}
"""The options of `@reconciler`, each with its default and its check."""

TASK: dict[str, tuple[Any, _Check]] = {
    "reads": ((), _kinds),
    "name": ("", _name),
    "timeout": (None, _duration),
    "leader": (True, _flag),
    "permissions": ((), declared),
}
"""The options of `@every`."""
