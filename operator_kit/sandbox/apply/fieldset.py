"""Sets of fields: which paths of an object somebody owns, and their `FieldsV1` form.

A path is a sequence of elements, each kept in its serialized form: `f:<name>` a field, `k:{"port":80}` the item of a keyed
list, `v:"x"` the item of a set, `i:0` an index. A set is a tree: `members` are the elements that belong to it, `children` the
sets below an element; an element may be both. Sets are treated as values: the operations make new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from operator_kit.sandbox.structure import Structure

__all__ = ["FieldSet", "element_text", "field_element", "key_element", "path_text", "value_element"]

_ELEMENT_KINDS = "fkvi"
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE = re.compile("[<>&\u2028\u2029]")


def _dump(value: Any) -> str:
    """JSON as the server writes it into an element: compact, and one form for 80 and 80.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return _UNSAFE.sub(lambda match: _HTML[match[0]], text)


def field_element(name: str) -> str:
    """The element of a field of a map."""
    return "f:" + name


def key_element(keys: dict[str, Any]) -> str:
    """The element of an item of a keyed list."""
    return "k:{" + ",".join(f"{_dump(name)}:{_dump(keys[name])}" for name in sorted(keys)) + "}"


def value_element(value: Any) -> str:
    """The element of an item of a set."""
    return "v:" + _dump(value)


def _normal(text: str) -> str | None:
    """An element as others wrote it, in our form; None for a kind of element that is not known. Raises `ValueError`."""
    if len(text) < 2:
        raise ValueError("key must be 2 characters long:")
    if text[1] != ":":
        raise ValueError(f"missing colon: {text}")
    kind, rest = text[0], text[2:]
    if kind == "k":
        keys = json.loads(rest)
        if not isinstance(keys, dict):
            raise ValueError(f"not an object: {rest}")
        return key_element(keys)
    if kind == "v":
        return value_element(json.loads(rest))
    if kind == "i":
        return f"i:{int(rest)}"
    return text if kind == "f" else None


def element_text(element: str) -> str:
    """How messages write an element: `.spec`, `[port=80,protocol="TCP"]`, `[="x"]`, `[0]`."""
    kind, rest = element[0], element[2:]
    if kind == "f":
        return "." + rest
    if kind == "i":
        return f"[{rest}]"
    value = json.loads(rest)
    if kind == "v":
        return f"[={_plain(value)}]"
    return "[" + ",".join(f"{name}={_plain(value[name])}" for name in sorted(value)) + "]"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, list | dict) else _dump(value)


def path_text(path: tuple[str, ...]) -> str:
    """How messages write a path."""
    return "".join(map(element_text, path))


def _sorted(elements: Iterable[str]) -> list[str]:
    found = sorted(elements)
    if all(element[0] == "f" for element in found):
        return found
    return sorted(found, key=_order)


def _order(element: str) -> tuple[Any, ...]:
    """Fields first, then keys, values and indexes; numbers by size."""
    kind, rest = element[0], element[2:]
    rank = _ELEMENT_KINDS.index(kind)
    if kind == "f":
        return (rank, rest)
    value = json.loads(rest)
    if kind == "k":
        return (rank, [(name, _value_order(value[name])) for name in sorted(value)])
    return (rank, _value_order(value))


def _value_order(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    return (1, value) if isinstance(value, str) else (3, _dump(value))


class FieldSet:
    """A set of paths. Equal when the same paths are members."""

    __slots__ = ("children", "fits", "members")

    def __init__(self, members: set[str] | None = None, children: dict[str, FieldSet] | None = None) -> None:
        self.members = members if members is not None else set()
        self.children = children if children is not None else {}
        self.fits: Structure | None = None  # a structure this set is known to agree with

    @classmethod
    def of(cls, *paths: tuple[str, ...]) -> FieldSet:
        """The set of some paths."""
        made = cls()
        for path in paths:
            made.insert(path)
        return made

    @classmethod
    def from_fields(cls, fields: Any) -> FieldSet:
        """From `fieldsV1`. Raises `ValueError` on what is none."""
        return cls._read(fields)[0]

    @classmethod
    def _read(cls, fields: Any) -> tuple[FieldSet, bool]:
        if not isinstance(fields, dict):
            raise ValueError("fieldsV1 is made of objects")
        made, member = cls(), not fields
        for written, below in fields.items():
            if written == ".":
                member = True
                continue
            element = _normal(written)
            if element is None:
                continue
            child, is_member = cls._read(below)
            if is_member:
                made.members.add(element)
            if not child.empty():
                made.children[element] = child
        return made, member or made.empty()

    def to_fields(self) -> dict[str, Any]:
        """The `fieldsV1` of this set."""
        fields: dict[str, Any] = {}
        for element in _sorted(self.members | self.children.keys()):
            child = self.children.get(element)
            if child is None or child.empty():
                if element in self.members:
                    fields[element] = {}
                continue
            below = child.to_fields()
            fields[element] = {".": {}, **below} if element in self.members else below
        return fields

    def insert(self, path: tuple[str, ...]) -> None:
        """Add a path; its parents are not added. The empty path, the whole object, belongs to nobody."""
        if not path:
            return
        node = self
        for element in path[:-1]:
            node = node.children.setdefault(element, FieldSet())
        node.members.add(path[-1])

    def has(self, path: tuple[str, ...]) -> bool:
        """Whether a path is a member."""
        node = self
        for element in path[:-1]:
            found = node.children.get(element)
            if found is None:
                return False
            node = found
        return bool(path) and path[-1] in node.members

    def empty(self) -> bool:
        """Whether the set has no member."""
        return not self.members and all(child.empty() for child in self.children.values())

    def below(self, element: str) -> FieldSet:
        """The set of what is below an element."""
        return self.children.get(element) or _NONE

    def union(self, other: FieldSet) -> FieldSet:
        """Members of either."""
        children = dict(self.children)
        for element, child in other.children.items():
            children[element] = children[element].union(child) if element in children else child
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """Members of both."""
        children = {}
        for element in self.children.keys() & other.children.keys():
            child = self.children[element].intersection(other.children[element])
            if not child.empty():
                children[element] = child
        return FieldSet(self.members & other.members, children)

    def difference(self, other: FieldSet) -> FieldSet:
        """Members of this set that are not members of the other. A member's children stay."""
        children = {}
        for element, child in self.children.items():
            if element in other.children:
                child = child.difference(other.children[element])  # noqa: PLW2901 - narrowed on purpose
                if child.empty():
                    continue
            children[element] = child
        return FieldSet(self.members - other.members, children)

    def without_trees(self, other: FieldSet) -> FieldSet:
        """The difference, where a member of the other takes all that is below it along."""
        children = {}
        for element, child in self.children.items():
            if element in other.members:
                continue
            if element in other.children:
                child = child.without_trees(other.children[element])  # noqa: PLW2901 - narrowed on purpose
                if child.empty():
                    continue
            children[element] = child
        return FieldSet(self.members - other.members, children)

    def with_named_fields(self, structure: Structure | None) -> FieldSet:
        """The set with every declared field that has members below it as a member itself."""
        members = set(self.members)
        children = {}
        shape = structure.map if structure is not None else None
        for element, child in self.children.items():
            below: Structure | None = None
            if element.startswith("f:") and shape is not None:
                name = element[2:]
                if name in shape.fields:
                    members.add(element)
                below = shape.child(name)
            elif element.startswith("k:") and structure is not None and structure.list is not None:
                below = structure.list.element
            children[element] = child.with_named_fields(below)
        return FieldSet(members, children)

    def paths(self, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """All members, in the server's order: those of a node first, then what is below."""
        for element in _sorted(self.members):
            yield (*prefix, element)
        for element in _sorted(self.children):
            yield from self.children[element].paths((*prefix, element))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and self.to_fields() == other.to_fields()

    __hash__ = None  # type: ignore[assignment]  # sets are built up in place: they have no stable hash

    def __repr__(self) -> str:
        return f"<FieldSet {', '.join(map(path_text, self.paths()))}>"


_NONE = FieldSet()
