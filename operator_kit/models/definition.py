"""What a kind is besides its fields: group, version, names, columns, subresources. Checked when the class is defined."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operator_kit.errors import RegistrationError, UsageError
from operator_kit.objects import GVK

__all__ = ["Column", "Definition", "Scale", "definition_of"]

_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_TYPES = ("boolean", "date", "integer", "number", "string")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`.

    Args:
        name: its head.
        path: where the value is: `".spec.replicas"`, `'.status.conditions[?(@.type=="Ready")].reason'`.
        type: boolean, date, integer, number or string; read from the model where the path is a plain one.
        description: shown by `kubectl explain`-like tools.
        wide: shown with `-o wide` only.

    Raises:
        ValueError: no name, a path that does not begin with a dot, an unknown type.
    """

    name: str
    path: str
    type: str = ""
    description: str = ""
    wide: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.path.startswith("."):
            raise ValueError(f'Column({self.name!r}, {self.path!r}): give a name and a path such as ".spec.replicas"')
        if self.type and self.type not in _TYPES:
            raise ValueError(f"Column({self.name!r}): the type is one of {', '.join(_TYPES)}, not {self.type!r}")

    @classmethod
    def condition(cls, condition: str, *, reason: bool = False) -> Column:
        """The status of a condition (True, False, Unknown), or its reason."""
        path = f'.status.conditions[?(@.type=="{condition}")].{"reason" if reason else "status"}'
        return cls("Reason" if reason else condition, path, "string")

    @classmethod
    def age(cls) -> Column:
        """How old the object is. A kind without columns shows it by itself, one with columns must ask."""
        return cls("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale subresource: what `kubectl scale` and autoscalers read and write.

    Args:
        spec: the integer that says how many there should be.
        status: the integer that says how many there are.
        selector: the text in the status that selects the pods, for the HorizontalPodAutoscaler; empty for none.
    """

    spec: str = ".spec.replicas"
    status: str = ".status.replicas"
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a `CustomResource` class says of its kind. See there for the meaning."""

    model: str
    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    namespaced: bool
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    scale: Scale | None
    storage: bool | None
    served: bool
    deprecated: bool | str

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.group, self.version, self.kind)

    @property
    def api_version(self) -> str:
        """`"example.com/v1"`."""
        return f"{self.group}/{self.version}"

    @property
    def name(self) -> str:
        """The name of the CustomResourceDefinition: `"websites.example.com"`."""
        return f"{self.plural}.{self.group}"


def make_definition(
    model: str,
    *,
    group: str,
    version: str,
    kind: str,
    plural: str,
    singular: str,
    short_names: Iterable[str],
    categories: Iterable[str],
    namespaced: bool,
    columns: Iterable[Column],
    selectable: Iterable[str],
    scale: Scale | None,
    storage: bool | None,
    served: bool,
    deprecated: bool | str,
) -> Definition:
    """Check what a class says of its kind. Raises `ValueError` that names the option and the remedy."""
    if not _text(group, _GROUP):
        raise ValueError(f'group={group!r}: give a domain you own, such as group="example.com"')
    if not _text(version, _LABEL):
        raise ValueError(f'version={version!r}: give a version such as version="v1" or "v1alpha1"')
    kind = kind or model
    if not _text(kind, _KIND):
        raise ValueError(f'kind={kind!r}: a kind is one CamelCase word; give kind="…" where the class has another name')
    singular = singular or kind.lower()
    plural = plural or _plural(singular)
    lists = {
        "short_names": _words(short_names, "short_names"),
        "categories": _words(categories, "categories"),
    }
    for option, words in {"plural": (plural,), "singular": (singular,), **lists}.items():
        for word in words:
            if not _text(word, _LABEL):
                raise ValueError(f"{option}: {word!r} is not a name; use lower-case letters, digits and dashes")
    columns = tuple(columns)
    for column in columns:
        if not isinstance(column, Column):
            raise ValueError(f'columns: {column!r} is no Column; write Column("Replicas", ".spec.replicas")')
    selectable = _words(selectable, "selectable")
    if len(selectable) > 8:
        raise ValueError(f"selectable: {len(selectable)} fields; a server takes 8 at most")
    for path in selectable:
        if not path.startswith("."):
            raise ValueError(f'selectable: {path!r} is not a path; write ".spec.color"')
    if scale is not None and not isinstance(scale, Scale):
        raise ValueError(f"scale: {scale!r} is no Scale; write scale=Scale()")
    if isinstance(deprecated, str) and not 0 < len(deprecated) <= 256:
        raise ValueError("deprecated: a warning has 1 to 256 characters")
    return Definition(
        model=model,
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=singular,
        **lists,
        namespaced=bool(namespaced),
        columns=columns,
        selectable=selectable,
        scale=scale,
        storage=storage,
        served=bool(served),
        deprecated=deprecated,
    )


def definition_of(model: type[Any]) -> Definition:
    """What a model class says of its kind. Raises `UsageError` for a class that is no kind."""
    found = getattr(model, "__definition__", None)
    if not isinstance(found, Definition):
        name = getattr(model, "__name__", model)
        raise UsageError(f'{name} is no kind: derive it from CustomResource with group="example.com", version="v1"')
    return found


def refuse(where: str, model: str, problem: str) -> RegistrationError:
    """The error for a class statement."""
    return RegistrationError(f"{where}: class {model}: {problem}")


def _text(value: Any, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _words(values: Iterable[str], option: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ValueError(f"{option}: expected a list, such as [{values!r}]")
    return tuple(values)


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}s"
