"""Owned fields after a schema change: what was granular and is atomic now is owned as one value."""

from __future__ import annotations

from operator_kit.sandbox.apply.fieldset import FieldSet
from operator_kit.sandbox.structure import Structure

__all__ = ["reconcile"]


def reconcile(fields: FieldSet, structure: Structure) -> FieldSet:
    """The set, where everything below an atomic list or map is replaced by the list or map itself."""
    if fields.fits is structure:
        return fields
    atomic = FieldSet()
    _visit(fields, structure, (), atomic, whole=False)
    if atomic.empty():
        fields.fits = structure
        return fields
    return fields.without_trees(atomic).union(atomic)


def _visit(fields: FieldSet, structure: Structure, path: tuple[str, ...], atomic: FieldSet, *, whole: bool) -> None:
    shape, items = structure.map, structure.list
    if shape is not None:
        if shape.element is not None and not shape.fields and (shape.element.deduced or shape.element.scalar == "untyped"):
            return  # free-form maps have no declared form
        if shape.atomic and not whole:
            if not fields.empty():
                atomic.insert(path)
            return
    elif items is not None and not structure.scalar:
        if not items.associative and not whole:
            atomic.insert(path)
            return
    else:
        return
    for element in fields.children.keys() | fields.members:
        below: Structure | None
        if shape is not None:
            below = shape.child(element[2:]) if element.startswith("f:") else shape.element
        else:
            below = items.element if items is not None else None
        if below is not None:
            child = fields.below(element)
            leaf = element in fields.members and element not in fields.children
            _visit(child, below, (*path, element), atomic, whole=leaf)
