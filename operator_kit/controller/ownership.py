"""Whose child an object is: the marks a controller leaves on its children, and who may adopt what.

A child belongs to its owner by the controller owner reference; where none can reach (another namespace, or a cluster-scoped child
of a namespaced owner), by a label with the owner's uid and, beside it, an annotation with the owner's key, from which a change of
the child leads back. Labels get copied (a Service's go to its Endpoints), so an object that something else controls, or that this
controller never applied, is nobody's child by label.

What exists already is adopted while nobody controls it. What another controls is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operator_kit.errors import AlreadyOwned, TemporaryError, UsageError
from operator_kit.objects import (
    GVK,
    Object,
    Resource,
    controller_of,
    describe,
    is_owned_by,
    key_of,
    kind_of,
    metadata_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)

if TYPE_CHECKING:
    from operator_kit.cache import Entry

__all__ = ["LABEL_VALUE", "Marks", "annotation_of", "belongs", "check_adoption", "claim", "is_child", "owner_value"]

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""The values that a label may have, but for the empty one."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The names of what one controller writes on its children.

    Attributes:
        manager: its field manager, `"example.com/website"`; every mark begins with it.
    """

    manager: str

    @property
    def applied(self) -> str:
        """Annotation: the hash of what was applied last."""
        return f"{self.manager}.applied"

    @property
    def owner(self) -> str:
        """Label: the owner's uid. Annotation of the same name: the owner's key. Where no owner reference can reach."""
        return f"{self.manager}.owner"

    @property
    def set(self) -> str:
        """Label: the name of the set the child belongs to."""
        return f"{self.manager}.set"


def owner_value(uid: str) -> str:
    """An owner's uid as a label value. A server's uids are such values; any other text is hashed."""
    return uid if LABEL_VALUE.fullmatch(uid) else hashlib.sha256(uid.encode()).hexdigest()[:40]


def annotation_of(obj: Mapping[str, Any], name: str) -> str:
    """The value of an annotation, or the empty text."""
    annotations = metadata_of(obj).get("annotations")
    return str(annotations.get(name) or "") if isinstance(annotations, Mapping) else ""


def claim(child: Object, kind: Resource, owner: Mapping[str, Any], owner_kind: Resource, marks: Marks, *, labelled: bool) -> bool:
    """Mark a child as the owner's. Changes the child.

    Args:
        child: what is to be applied, with its namespace.
        kind: its kind.
        owner: the object that is reconciled.
        owner_kind: its kind.
        marks: the controller's.
        labelled: whether the child's kind was declared with `owns_by_label`.

    Returns:
        Whether it belongs by label.

    Raises:
        UsageError: it cannot be owned; the message says what to do.
    """
    same_kind = (kind.group, kind.kind) == (owner_kind.group, owner_kind.kind)
    if same_kind and name_of(child) == name_of(owner) and namespace_of(child) == namespace_of(owner):
        raise UsageError(f"apply: {describe(owner)} cannot be its own child; use ctx.patch_status or change it by hand")
    rival = controller_of(child)
    if rival is not None and rival.get("uid") != uid_of(owner):
        raise UsageError(
            f"apply: {describe(child)} names {rival.get('kind')} {rival.get('name')} as its controller already; an object has one"
        )
    if not owner_kind.namespaced or (kind.namespaced and namespace_of(child) == namespace_of(owner)):
        if rival is None:
            others = [ref for ref in metadata_of(child).get("ownerReferences") or [] if ref.get("uid") != uid_of(owner)]
            child["metadata"]["ownerReferences"] = [*others, owner_reference(owner)]
        return False
    if not labelled:
        where = "another namespace" if kind.namespaced else "no namespace"
        raise UsageError(
            f"apply: {describe(child)} is in {where}, where no owner reference of {describe(owner)} reaches; "
            f"declare its kind with owns_by_label=[…], or pass owned=False and delete it in a cleanup"
        )
    meta = child["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), marks.owner: owner_value(uid_of(owner))}
    meta["annotations"] = {**(meta.get("annotations") or {}), marks.owner: key_of(owner)}
    return True


def check_adoption(held: Object, owner: Mapping[str, Any], owner_kind: Resource, marks: Marks) -> None:
    """Whether an object that exists may become (or stay) the owner's child.

    Raises:
        AlreadyOwned: another object controls it.
        TemporaryError: it belongs to a former owner of the same name, and the garbage collector is about to remove it.
    """
    controller = controller_of(held)
    if controller is not None and controller.get("uid") != uid_of(owner):
        gvk = GVK.of(str(controller.get("apiVersion") or ""), str(controller.get("kind") or ""))
        if (gvk.group, gvk.kind) == (owner_kind.group, owner_kind.kind) and controller.get("name") == name_of(owner):
            raise TemporaryError(
                f"{describe(held)} belongs to a former {gvk.kind} {name_of(owner)} and is about to be collected; "
                f"it is made anew when it is gone"
            )
        raise AlreadyOwned(
            f"{describe(held)} is controlled by {gvk.kind} {controller.get('name')} ({gvk.api_version}) and is left alone; "
            f"choose another name, or change what others control with owned=False"
        )
    value = (metadata_of(held).get("labels") or {}).get(marks.owner)
    holder = annotation_of(held, marks.owner)
    # The same key with another uid is a former owner that went without its cleanup: nobody else will look after its child.
    if value and value != owner_value(uid_of(owner)) and holder != key_of(owner):
        raise AlreadyOwned(
            f"{describe(held)} belongs to {kind_of(owner)} {holder or value} and is left alone; "
            f"choose another name, or change what others own with owned=False"
        )


def is_child(obj: Mapping[str, Any], uid: str, marks: Marks | None) -> bool:
    """Whether the owner with this uid owns an object: by an owner reference or, where there are marks, by label."""
    if is_owned_by(obj, uid):
        return True
    labels = metadata_of(obj).get("labels") or {}
    return marks is not None and controller_of(obj) is None and labels.get(marks.owner) == owner_value(uid)


def belongs(entry: Entry, uid: str, marks: Marks) -> bool:
    """Whether an object in a cache is a child of the owner with this uid: by its controller reference; without one, by label."""
    controller = entry.controller
    if controller is not None:
        return controller.get("uid") == uid
    return entry.labels.get(marks.owner) == owner_value(uid)
