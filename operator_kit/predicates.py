"""Predicates: which changes of an object lead to a run of its reconciler.

A predicate looks at the old and the new form of an object that was *modified*. Objects that appear, vanish, begin to be deleted,
or are seen again by a resync always pass: an operator that must converge from lists alone cannot filter those, and a finalizer
must not wait. So what a predicate hides is late, not lost. Predicates save runs, not memory. Combine them with `&`, `|`, `~`.

    @reconciler("Website", predicates=generation_changed | label_changed)

What each hides is said in its docstring. The default for an object's own changes is `DEFAULT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from operator_kit.objects import Object

if TYPE_CHECKING:
    from operator_kit.cache import Entry

__all__ = [
    "DEFAULT",
    "Predicate",
    "annotation_changed",
    "anything",
    "deletion_started",
    "field_changed",
    "finalizer_changed",
    "generation_changed",
    "label_changed",
    "when",
]


class Predicate:
    """A function of two cache entries, `(old, new) -> bool`, that can be combined with `&`, `|` and `~`."""

    __slots__ = ("_name", "_test")

    def __init__(self, test: Callable[[Entry, Entry], bool], name: str) -> None:
        self._test = test
        self._name = name

    def __call__(self, old: Entry, new: Entry) -> bool:
        """Whether the change from `old` to `new` leads to a run."""
        return self._test(old, new)

    def __and__(self, other: Predicate) -> Predicate:
        return Predicate(lambda old, new: self(old, new) and other(old, new), f"({self._name} & {other._name})")

    def __or__(self, other: Predicate) -> Predicate:
        return Predicate(lambda old, new: self(old, new) or other(old, new), f"({self._name} | {other._name})")

    def __invert__(self) -> Predicate:
        return Predicate(lambda old, new: not self(old, new), f"~{self._name}")

    def __repr__(self) -> str:
        return self._name


def _generation_changed(old: Entry, new: Entry) -> bool:
    if new.generation and old.generation:
        return new.generation != old.generation
    return new.digest != old.digest


def _annotation_changed(old: Entry, new: Entry) -> bool:
    # The digest covers annotations; but of an object with a generation it costs more than the look itself.
    if new.generation is None and new.digest == old.digest:
        return False
    return new.annotations != old.annotations


def _lookup(obj: Object, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


generation_changed = Predicate(_generation_changed, "generation_changed")
"""The spec changed.

Hides changes of status, labels, annotations and finalizers. For kinds without a generation: anything but status.
"""

label_changed = Predicate(lambda old, new: old.labels != new.labels, "label_changed")
"""A label changed. Hides everything else."""

annotation_changed = Predicate(_annotation_changed, "annotation_changed")
"""An annotation changed (`kubectl.kubernetes.io/last-applied-configuration` is not seen). Hides everything else."""

finalizer_changed = Predicate(lambda old, new: tuple(old.finalizers) != tuple(new.finalizers), "finalizer_changed")
"""A finalizer came or went. Hides everything else."""

deletion_started = Predicate(lambda old, new: new.deleting and not old.deleting, "deletion_started")
"""The object began to be deleted, which passes in any case: for a reconciler, the same as nothing. Hides everything else."""

anything = Predicate(lambda _old, _new: True, "anything")
"""Every change, status included. Beware: a reconciler that writes status on every run then wakes itself for ever."""

DEFAULT = generation_changed | deletion_started | finalizer_changed | label_changed | annotation_changed
"""Spec, deletion, finalizers, labels, annotations: what people change. Hides status, which operators change."""


def field_changed(path: str) -> Predicate:
    """The value at a dotted path, such as `"spec.replicas"` or `"status.phase"`, changed. Hides everything else."""
    parts = tuple(path.split("."))
    if not all(parts):
        raise ValueError(f"{path!r} is not a path; write spec.replicas")
    return Predicate(lambda old, new: _lookup(old.decode(), parts) != _lookup(new.decode(), parts), f"field_changed({path!r})")


def when(function: Callable[[Object, Object], bool]) -> Predicate:
    """A function of the old and the new object, both as dicts. One that raises lets the change through, and is logged."""
    return Predicate(
        lambda old, new: bool(function(old.decode(), new.decode())), f"when({getattr(function, '__name__', 'function')})"
    )
