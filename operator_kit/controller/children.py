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
from typing import Any, TypeAlias

from operator_kit.codec import clone, dumps_sorted
from operator_kit.errors import UsageError
from operator_kit.objects import Object, Resource, describe, namespace_of

__all__ = ["Path", "applied_hash", "difference", "first_difference", "prepare", "projection", "show_path", "with_hash"]

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
_SHARED_LISTS = frozenset({"ownerReferences", "finalizers"})
_ROOT, _METADATA, _DEEPER = range(3)

Path: TypeAlias = tuple[str | int, ...]
"""Where a field is: keys, and positions in lists."""


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
    return hashlib.sha256(dumps_sorted(prepared)).hexdigest()[:20]


def with_hash(prepared: Object, annotation: str, digest: str) -> Object:
    """The prepared object with the annotation that lets the next apply be skipped."""
    meta = prepared["metadata"]
    return {**prepared, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), annotation: digest}}}


def difference(desired: Any, live: Any) -> str:
    """The path of the first desired field that does not hold in the live object, or the empty text; see `first_difference`."""
    return show_path(first_difference(desired, live))


def first_difference(desired: Any, live: Any) -> Path | None:
    """Where the first desired field is that does not hold in the live object, or None when all hold.

    A live object may have more: defaults, what others set. A field that is desired empty may be absent. Lists must have the same
    length and hold item by item (their items may have more fields), except those of the metadata that others add to.
    """
    return _difference(desired, live, _ROOT, quantity=False)


def show_path(path: Path | None) -> str:
    """`spec.template.spec.containers[0].image`; the empty text for None."""
    if path is None:
        return ""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".") or "."


def _difference(desired: Any, live: Any, depth: int, *, quantity: bool) -> Path | None:
    """The path is put together on the way back: where nothing differs, none is made."""
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return None if not desired and live is None else ()
        for key, value in desired.items():
            other = live.get(key)
            if type(value) is str and value == other:
                continue  # most fields: not worth a call
            if depth == _METADATA and key in _SHARED_LISTS:
                if not _contains(other, value):
                    return (key,)
                continue
            below = _METADATA if depth == _ROOT and key == "metadata" else _DEEPER
            measured = quantity or (isinstance(value, dict) and key in _QUANTITY_MAPS) or key in _QUANTITY_FIELDS
            found = _difference(value, other, below, quantity=measured)
            if found is not None:
                return (str(key), *found)
        return None
    if isinstance(desired, list | tuple):
        if not isinstance(live, list):
            return None if not desired and live is None else ()
        if len(desired) != len(live):
            return ()
        for position, (item, other) in enumerate(zip(desired, live, strict=True)):
            found = _difference(item, other, _DEEPER, quantity=quantity)
            if found is not None:
                return (position, *found)
        return None
    if live is None:
        return () if desired else None  # absent: what the server leaves out when it is empty, zero or false
    if isinstance(desired, bool) is not isinstance(live, bool) or desired != live:
        return None if quantity and _same_quantity(desired, live) else ()
    return None


def _contains(live: Any, desired: Any) -> bool:
    """Whether all that is desired is in a list that others add to as well."""
    if not desired:
        return True
    return isinstance(live, list) and all(any(first_difference(item, other) is None for other in live) for item in desired)


def projection(desired: Any, live: Any, depth: int = 0) -> Any:
    """What stands in the live object where something is desired: two live objects with equal ones hold equally much of it."""
    if isinstance(desired, dict) and isinstance(live, dict):
        out = {}
        for key, value in desired.items():
            if depth == _METADATA and key in _SHARED_LISTS:
                out[key] = _contains(live.get(key), value)
            else:
                below = _METADATA if depth == _ROOT and key == "metadata" else _DEEPER
                out[key] = projection(value, live.get(key), below)
        return out
    if isinstance(desired, list | tuple) and isinstance(live, list) and len(desired) == len(live):
        return [projection(item, other, _DEEPER) for item, other in zip(desired, live, strict=True)]
    return live


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
