"""Children: what an author's desired object becomes before it is applied, and whether applying it would change anything.

An apply is skipped when two things hold of the copy in the cache: the hash of the desired object is the one the last apply
left as an annotation on that child (so nothing was taken out of the desired object since), and every desired field still has
its value there (so nobody changed it since). Nothing here talks to a server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from operator_kit.codec import clone, dumps
from operator_kit.errors import UsageError
from operator_kit.objects import Object, Resource, describe, namespace_of

__all__ = ["applied_hash", "difference", "prepare", "with_hash"]

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
# Fields whose values the server rewrites to the canonical form of a quantity ("1000m" comes back as "1").
_QUANTITY_MAPS = frozenset({"limits", "requests", "capacity", "allocatable", "hard", "overhead"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "divisor", "averageValue"})
# Lists in metadata that others add to beside us: ours must be in them, and more may be.
_SHARED_LISTS = frozenset({"metadata.ownerReferences", "metadata.finalizers"})


def prepare(desired: Mapping[str, Any], kind: Resource, owner: Mapping[str, Any]) -> Object:
    """The object to send, before anybody claims it: a private copy with its namespace, without what a server alone may set.

    Raises:
        UsageError: no name, or a namespace that cannot be; the message says what to do.
    """
    child: Object = clone(dict(desired))
    meta = child.setdefault("metadata", {})
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        raise UsageError(f"apply: {describe(child)} needs a metadata.name: an apply creates or changes one named object")
    for field in ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"):
        meta.pop(field, None)  # what an object that was read brings along, and an apply must not claim
    if kind.namespaced:
        meta["namespace"] = meta.get("namespace") or namespace_of(owner)
        if not meta["namespace"]:
            raise UsageError(
                f"apply: {describe(child)} needs a metadata.namespace: its owner, {describe(owner)}, has none to lend"
            )
    elif meta.pop("namespace", None):
        raise UsageError(f"apply: {describe(child)} is cluster-scoped: take metadata.namespace away")
    if (kind.group, kind.kind) == ("", "Secret"):
        _encode_string_data(child)
    return child


def _encode_string_data(secret: Object) -> None:
    """Do for a Secret's `stringData` what the server does: it is never read back, so it could not be compared."""
    texts = secret.pop("stringData", None)
    if isinstance(texts, Mapping):
        data = secret.setdefault("data", {})
        for name, text in texts.items():
            data[name] = base64.b64encode(str(text).encode()).decode()


def applied_hash(prepared: Mapping[str, Any]) -> str:
    """A short digest of the desired object, independent of the order of its fields."""
    return hashlib.sha256(dumps(_ordered(prepared))).hexdigest()[:20]


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def with_hash(prepared: Object, annotation: str, digest: str) -> Object:
    """The prepared object with the annotation that lets the next apply be skipped. Changes what it is given."""
    annotations = prepared["metadata"].get("annotations") or {}
    prepared["metadata"]["annotations"] = {**annotations, annotation: digest}
    return prepared


def difference(desired: Any, live: Any) -> str:
    """The path of the first desired field that does not hold in the live object, or the empty text when all hold.

    A live object may have more: defaults, what others set. A field that is desired empty may be absent. Lists must have the same
    length and hold item by item (their items may have more fields), except those of the metadata that others add to.
    """
    return _difference(desired, live, "", quantity=False)


def _difference(desired: Any, live: Any, path: str, *, quantity: bool) -> str:
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return "" if not desired and live is None else path or "."
        for key, value in desired.items():
            below = f"{path}.{key}" if path else str(key)
            measured = quantity or (isinstance(value, dict) and key in _QUANTITY_MAPS) or key in _QUANTITY_FIELDS
            found = _difference(value, live.get(key), below, quantity=measured)
            if found:
                return found
        return ""
    if isinstance(desired, list | tuple):
        if not isinstance(live, list):
            return "" if not desired and live is None else path
        if path in _SHARED_LISTS:
            missing = [item for item in desired if not any(not difference(item, other) for other in live)]
            return path if missing else ""
        if len(desired) != len(live):
            return path
        for position, (item, other) in enumerate(zip(desired, live, strict=True)):
            found = _difference(item, other, f"{path}[{position}]", quantity=quantity)
            if found:
                return found
        return ""
    if live is None:
        return "" if not desired else path  # absent: what the server leaves out when it is empty, zero or false
    if isinstance(desired, bool) is not isinstance(live, bool) or desired != live:
        return "" if quantity and _same_quantity(desired, live) else path
    return ""


def _same_quantity(one: Any, other: Any) -> bool:
    first, second = _quantity(one), _quantity(other)
    return first is not None and first == second


def _quantity(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    number = text.rstrip("numkMGTPEi")
    unit = text[len(number) :]
    try:
        return Decimal(number) * _SUFFIXES[unit]
    except (InvalidOperation, KeyError):
        return None
