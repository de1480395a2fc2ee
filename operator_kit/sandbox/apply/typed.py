"""Values read by their structure: which form they have, whether they fit, and which fields they set.

All functions take plain JSON values and a `Structure`. `ABSENT` stands for "no such key", which is not the same as null.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from operator_kit.sandbox.apply.fieldset import FieldSet, element_text, field_element, key_element, value_element
from operator_kit.sandbox.structure import ListShape, Structure

__all__ = [
    "ABSENT",
    "Path",
    "TypingError",
    "common_form",
    "equal",
    "form_of",
    "go_value",
    "item_element",
    "to_field_set",
    "validate",
]


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()

Path = tuple[str, ...]


class TypingError(ValueError):
    """Values that do not fit their structure; the text lists every place, in the server's words."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        lines = [f"{path}: {text}" if path else text for path, text in problems]
        super().__init__(lines[0] if len(lines) == 1 else "\n".join(["errors:", *(f"  {line}" for line in lines)]))


def go_value(value: Any) -> str:
    """A value as the server prints it inside messages."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_value, value)) + "]"
    return str(value)


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return "int64" if isinstance(value, int) else "float64"


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 equals 1.0, and does not equal true."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(equal(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def form_of(structure: Structure, value: Any) -> str:
    """Which form of the structure applies to a value: `"map"`, `"scalar"`, `"list"`. Null and misfits take the first there is."""
    if isinstance(value, dict):
        if structure.map is not None:
            return "map"
    elif isinstance(value, list):
        if structure.list is not None:
            return "list"
    elif value is not None and value is not ABSENT and structure.scalar:
        return "scalar"
    if structure.map is not None:
        return "map"
    return "scalar" if structure.scalar else "list"


def common_form(structure: Structure, left: Any, right: Any) -> str:
    """The form two values share: the right one's, where the two differ, unless there is no right one."""
    return form_of(structure, left if right is ABSENT else right)


def item_element(shape: ListShape, item: Any) -> str:
    """The element that tells a list item from the others. Raises `ValueError`."""
    if shape.keys:
        if item is None:
            raise ValueError("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        fields = shape.element.map.fields if shape.element.map is not None else {}
        keys = {}
        for name in shape.keys:
            if name in item:
                keys[name] = item[name]
            elif name in fields and fields[name].default is not None:
                keys[name] = fields[name].default
        if not keys:
            names = " ".join(f'"{name}"' for name in shape.keys)
            raise ValueError(
                f"associative list with keys has an element that omits all key fields [{names}]"
                " (and doesn't have default values for any key fields)"
            )
        return key_element(keys)
    if isinstance(item, dict):
        raise ValueError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ValueError("not supported: associative list with lists as elements")
    if item is None:
        raise ValueError("associative list without keys has an element that's an explicit null")
    return value_element(item)


# ------------------------------------------------------------------------------------------------------------------- validation


def validate(value: Any, structure: Structure, *, duplicates: bool = False) -> None:
    """Check that a value fits its structure; `duplicates` allows the same item twice in sets and keyed lists.

    Raises:
        TypingError: with every misfit.
    """
    problems: list[tuple[str, str]] = []
    _validate(value, structure, "", problems, duplicates=duplicates)
    if problems:
        raise TypingError(problems)


def _scalar_problem(scalar: str, value: Any) -> str:
    if value is None or value is ABSENT:
        return ""
    if scalar == "numeric" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {_go_type(value)}"
    if scalar == "string" and not isinstance(value, str):
        return f"expected string, got &value.valueUnstructured{{Value:{go_value(value)}}}"
    if scalar == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got &{{{go_value(value)}}}"
    if scalar == "untyped" and isinstance(value, dict | list):
        return f"expected any scalar, got &{{{go_value(value)}}}"
    return ""


def _validate(value: Any, structure: Structure, path: str, problems: list[tuple[str, str]], *, duplicates: bool) -> None:
    form = form_of(structure, value)
    if form == "scalar":
        problem = _scalar_problem(structure.scalar, value)
        if problem:
            problems.append((path, problem))
    elif form == "map":
        assert structure.map is not None
        if value is None:
            return
        if not isinstance(value, dict):
            problems.append((path, f"expected map, got &{{{go_value(value)}}}"))
            return
        for name, item in value.items():
            below = structure.map.child(name)
            if below is None:
                problems.append((f"{path}.{name}", "field not declared in schema"))
                return
            _validate(item, below, f"{path}.{name}", problems, duplicates=duplicates)
    elif structure.list is not None and value is not None:
        if not isinstance(value, list):
            problems.append((path, f"expected list, got &{{{go_value(value)}}}"))
            return
        _validate_items(value, structure.list, path, problems, duplicates=duplicates)


def _validate_items(items: list[Any], shape: ListShape, path: str, problems: list[tuple[str, str]], *, duplicates: bool) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        element = f"i:{index}"
        if shape.associative:
            try:
                element = item_element(shape, item)
            except ValueError as exc:
                problems.append((path, f"element {index}: {exc}"))
                return
            if element in seen and not duplicates:
                problems.append((path, f"duplicate entries for key {element_text(element)}"))
            seen.add(element)
        _validate(item, shape.element, path + element_text(element), problems, duplicates=duplicates)


# ------------------------------------------------------------------------------------------------------------------- field sets


def to_field_set(value: Any, structure: Structure) -> FieldSet:
    """The fields that a value sets."""
    found = FieldSet()
    _collect(value, structure, (), found)
    return found


def _collect(value: Any, structure: Structure, path: Path, found: FieldSet) -> None:
    form = form_of(structure, value)
    if form == "scalar":
        found.insert(path)
    elif form == "map":
        shape = structure.map
        assert shape is not None
        if shape.atomic:
            found.insert(path)
        elif isinstance(value, dict):
            for name, item in value.items():
                below = (*path, field_element(name))
                child = shape.child(name)
                if child is not None:
                    _collect(item, child, below, found)
                if item is None or item == {} or name not in shape.fields:
                    found.insert(below)
    elif structure.list is not None:
        if not structure.list.associative:
            found.insert(path)
        elif isinstance(value, list):
            _collect_items(value, structure.list, path, found)


def _collect_items(items: list[Any], shape: ListShape, path: Path, found: FieldSet) -> None:
    elements = [item_element(shape, item) for item in items]
    times = Counter(elements)
    for element, item in zip(elements, items, strict=True):
        below = (*path, element)
        if times[element] == 1:
            _collect(item, shape.element, below, found)
        found.insert(below)
