"""Merging, comparing and pruning values by their structure, as structured merge does it.

Values are treated as immutable: results share parts with the arguments, and the arguments are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from operator_kit.sandbox.apply.fieldset import FieldSet, field_element
from operator_kit.sandbox.apply.typed import ABSENT, Path, common_form, equal, form_of, item_element
from operator_kit.sandbox.structure import ListShape, MapShape, Structure

__all__ = ["Comparison", "compare", "merge", "remove"]


# ------------------------------------------------------------------------------------------------------------------------ merge


def merge(left: Any, right: Any, structure: Structure) -> Any:
    """Merge what is applied (`right`) into what is there (`left`); `ABSENT` where nothing is left.

    Raises:
        TypingError: where an item of the applied value stands twice in a set or a keyed list.
    """
    form = common_form(structure, left, right)
    if form == "map" and structure.map is not None:
        return _merge_maps(left, right, structure.map)
    if form == "list" and structure.list is not None:
        return _merge_lists(left, right, structure.list)
    return left if right is ABSENT else right


def _merge_maps(left: Any, right: Any, shape: MapShape) -> Any:
    old = left if isinstance(left, dict) else {}
    new = right if isinstance(right, dict) else {}
    if shape.atomic or (not old and not new):
        return left if right is ABSENT else right
    merged = {}
    for name in [*old, *(name for name in new if name not in old)]:
        below = shape.child(name)
        a, b = old.get(name, ABSENT), new.get(name, ABSENT)
        out = merge(a, b, below) if below is not None else (a if b is ABSENT else b)
        if out is not ABSENT:
            merged[name] = out
    return merged or ABSENT


def _merge_lists(left: Any, right: Any, shape: ListShape) -> Any:
    old = left if isinstance(left, list) else []
    new = right if isinstance(right, list) else []
    if not shape.associative or (not old and not new):
        return left if right is ABSENT else right
    old_elements = [item_element(shape, item) for item in old]
    new_elements = [item_element(shape, item) for item in new]
    old_items: dict[str, Any] = {}
    for element, item in zip(old_elements, old, strict=True):
        old_items[element] = None if element in old_items else item  # what stands twice is replaced, not merged
    new_items = dict(zip(new_elements, new, strict=True))
    shared = [element for element in new_elements if element in old_items]
    merged: list[Any] = []
    done: set[str] = set()

    def take(a: Any, b: Any) -> None:
        out = merge(a, b, shape.element)
        if out is not ABSENT:
            merged.append(out)

    # The applied order holds for the items both have; items only on the left stay where they are between them.
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new):
            element = old_elements[i]
            if element == new_elements[j]:
                done.add(element)
                take(old_items[element], new_items[element])
                i, j = i + 1, j + 1
                shared = shared[1:]
                continue
            if element in new_items and shared and shared[0] != element:
                i += 1
                continue
        if i < len(old):
            element = old_elements[i]
            if element not in new_items:
                take(old[i], ABSENT)
                i += 1
                continue
            if element in done:
                i += 1
        if j < len(new):
            element = new_elements[j]
            done.add(element)
            take(old_items.get(element, ABSENT), new_items[element])
            j += 1
            if shared and shared[0] == element:
                shared = shared[1:]
    return merged or ABSENT


# ------------------------------------------------------------------------------------------------------------------- comparison


@dataclass(slots=True)
class Comparison:
    """What changed between two values."""

    removed: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    added: FieldSet = field(default_factory=FieldSet)

    def without(self, reset: FieldSet) -> Comparison:
        """The comparison without the fields that a request resets."""
        if reset.empty():
            return self
        return Comparison(self.removed.without_trees(reset), self.modified.without_trees(reset), self.added.without_trees(reset))


def compare(left: Any, right: Any, structure: Structure) -> Comparison:
    """Compare two values that fit the structure."""
    found = Comparison()
    _compare(left, right, structure, (), found)
    return found


def _compare(left: Any, right: Any, structure: Structure, path: Path, found: Comparison) -> None:
    if left is not ABSENT and right is not ABSENT and form_of(structure, left) != form_of(structure, right):
        # A value that changed its form: whatever the old one held goes, as far as the new form does not say it already.
        _compare_as(left, right, structure, path, found, form=form_of(structure, left))
    leaf = _compare_as(left, right, structure, path, found, form=common_form(structure, left, right))
    if not leaf:
        if left is ABSENT:
            found.added.insert(path)
        elif right is ABSENT:
            found.removed.insert(path)


def _compare_as(left: Any, right: Any, structure: Structure, path: Path, found: Comparison, *, form: str) -> bool:
    """Compare two values in one form. Returns whether they were compared as a whole."""
    if form == "map" and structure.map is not None:
        old = left if isinstance(left, dict) else {}
        new = right if isinstance(right, dict) else {}
        if not structure.map.atomic and (old or new):
            for name in old.keys() | new.keys():
                below = structure.map.child(name)
                if below is not None:
                    _compare(old.get(name, ABSENT), new.get(name, ABSENT), below, (*path, field_element(name)), found)
            return False
    elif form == "list" and structure.list is not None and structure.list.associative:
        old_items = left if isinstance(left, list) else []
        new_items = right if isinstance(right, list) else []
        if old_items or new_items:
            _compare_items(old_items, new_items, structure.list, path, found)
            return False
    if left is ABSENT:
        found.added.insert(path)
    elif right is ABSENT:
        found.removed.insert(path)
    elif not equal(left, right):
        found.modified.insert(path)
    return True


def _compare_items(left: list[Any], right: list[Any], shape: ListShape, path: Path, found: Comparison) -> None:
    old: dict[str, list[Any]] = {}
    new: dict[str, list[Any]] = {}
    for items, index in ((left, old), (right, new)):
        for item in items:
            index.setdefault(item_element(shape, item), []).append(item)
    for element in old.keys() | new.keys():
        below = (*path, element)
        a, b = old.get(element, []), new.get(element, [])
        if len(a) <= 1 and len(b) <= 1:
            _compare(a[0] if a else ABSENT, b[0] if b else ABSENT, shape.element, below, found)
        elif len(a) > 1 and len(b) > 1:
            if not equal(a, b):
                found.modified.insert(below)
        elif len(a) > 1:  # items that stood twice are owned as one value
            if b:
                _compare(ABSENT, b[0], shape.element, below, found)
            found.removed.insert(below)
        else:
            if a:
                _compare(a[0], ABSENT, shape.element, below, found)
            found.added.insert(below)


# ---------------------------------------------------------------------------------------------------------------------- removal


def remove(value: Any, items: FieldSet, structure: Structure) -> Any:
    """The value without the members of a set; null where nothing of a map or list is left."""
    form = form_of(structure, value)
    if form == "scalar":
        return value
    if form == "map":
        shape = structure.map
        if not isinstance(value, dict) or not value or shape is None or shape.atomic:
            return None
        kept = {}
        for name, item in value.items():
            element = field_element(name)
            if element in items.members:
                continue
            below, child = items.below(element), shape.child(name)
            kept[name] = remove(item, below, child) if child is not None and not below.empty() else item
        return kept or None
    if not isinstance(value, list) or not value or structure.list is None or not structure.list.associative:
        return None
    rest = []
    for item in value:
        element = item_element(structure.list, item)
        if element in items.members:
            continue
        below = items.below(element)
        rest.append(remove(item, below, structure.list.element) if not below.empty() else item)
    return rest or None
