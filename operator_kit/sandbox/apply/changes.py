"""Merging, comparing and pruning values by their structure, as structured merge does it.

Values are treated as immutable: results share parts with the arguments, and the arguments are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from operator_kit.sandbox.apply.fieldset import FieldSet, field_element
from operator_kit.sandbox.apply.typed import ABSENT, common_form, equal, form_of, item_element
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
    _compare_as(left, right, structure, found, form=common_form(structure, left, right))
    return found


def everything(value: Any, structure: Structure) -> FieldSet | None:
    """All that a new value brings: the fields below it, or None when it is owned as a whole."""
    form = form_of(structure, value)
    if form == "map":
        shape = structure.map
        if not isinstance(value, dict) or not value or shape is None or shape.atomic:
            return None
        made = FieldSet()
        for name, item in value.items():
            below = shape.child(name)
            if below is not None:
                _bring(made, "f:" + name, item, below)
        return made
    items = structure.list
    if form != "list" or items is None or not items.associative or not isinstance(value, list) or not value:
        return None
    made = FieldSet()
    elements = [item_element(items, item) for item in value]
    for element, item in zip(elements, value, strict=True):
        if elements.count(element) > 1:  # what stands twice is owned as one value
            made.members.add(element)
        else:
            _bring(made, element, item, items.element)
    return made


def _bring(found: FieldSet, element: str, item: Any, structure: Structure) -> None:
    found.members.add(element)
    below = everything(item, structure)
    if below is not None and not below.empty():
        found.children[element] = below


def _compare(left: Any, right: Any, structure: Structure, element: str, found: Comparison) -> None:
    """Compare what is under an element, into the sets of the node that holds it."""
    if left is ABSENT:
        _bring(found.added, element, right, structure)
        return
    if right is ABSENT:
        _bring(found.removed, element, left, structure)
        return
    below = Comparison()
    form = common_form(structure, left, right)
    whole = _compare_as(left, right, structure, below, form=form)
    before = form_of(structure, left)
    if before != form:  # a value that changed its form: what the old one held goes
        whole |= _compare_as(left, right, structure, below, form=before)
    if whole and not equal(left, right):
        found.modified.members.add(element)
    for mine, theirs in ((below.removed, found.removed), (below.modified, found.modified), (below.added, found.added)):
        if not mine.empty():
            theirs.children[element] = mine


def _compare_as(left: Any, right: Any, structure: Structure, found: Comparison, *, form: str) -> bool:
    """Compare two values in one form. Returns whether they are compared as a whole instead, which is left to the caller."""
    if form == "map" and structure.map is not None:
        shape = structure.map
        old = left if isinstance(left, dict) else {}
        new = right if isinstance(right, dict) else {}
        if shape.atomic or not (old or new):
            return True
        for name, item in new.items():
            below = shape.child(name)
            if below is None:
                continue
            before = old.get(name, ABSENT)
            if before is item or (before == item and not below.is_loose()):
                continue  # typed values that are equal have equal types: no 1 that is taken for true
            _compare(before, item, below, "f:" + name, found)
        for name, item in old.items():
            below = shape.child(name)
            if name not in new and below is not None:
                _bring(found.removed, "f:" + name, item, below)
        return False
    if form == "list" and structure.list is not None and structure.list.associative:
        old_items = left if isinstance(left, list) else []
        new_items = right if isinstance(right, list) else []
        if old_items or new_items:
            _compare_items(old_items, new_items, structure.list, found)
            return False
    return True


def _compare_items(left: list[Any], right: list[Any], shape: ListShape, found: Comparison) -> None:
    old: dict[str, list[Any]] = {}
    new: dict[str, list[Any]] = {}
    for items, index in ((left, old), (right, new)):
        for item in items:
            index.setdefault(item_element(shape, item), []).append(item)
    for element in old.keys() | new.keys():
        a, b = old.get(element, []), new.get(element, [])
        if len(a) <= 1 and len(b) <= 1:
            _compare(a[0] if a else ABSENT, b[0] if b else ABSENT, shape.element, element, found)
        elif len(a) > 1 and len(b) > 1:
            if not equal(a, b):
                found.modified.members.add(element)
        elif len(a) > 1:  # items that stood twice are owned as one value
            if b:
                _bring(found.added, element, b[0], shape.element)
            found.removed.members.add(element)
        else:
            if a:
                _bring(found.removed, element, a[0], shape.element)
            found.added.members.add(element)


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
