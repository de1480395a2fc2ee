"""Answers for people: `Table` documents with the columns that kubectl prints, and `PartialObjectMetadata`.

Columns come from the CRD's printer columns, from `operator_kit.sandbox.columns` for built-in kinds, or are Name and Created At.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from operator_kit.clock import Clock
from operator_kit.objects import GVK
from operator_kit.sandbox.apply.typed import go_value
from operator_kit.sandbox.columns import BUILTIN, Column, age, parse_time
from operator_kit.sandbox.jsonpath import find
from operator_kit.sandbox.status import StatusError

__all__ = ["columns_of", "partial_metadata", "table"]

_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to"
    " request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and"
    " configuration definition. Cannot be updated. More info:"
    " https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_CREATED = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set"
    " in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and"
    " is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_DEFAULT_COLUMNS = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": _CREATED},)


class _CustomKind(Protocol):
    @property
    def printer_columns(self) -> Sequence[Mapping[str, Any]]: ...


class _Kind(Protocol):
    """What a table needs to know of a served resource."""

    @property
    def gvk(self) -> GVK: ...
    @property
    def crd(self) -> _CustomKind | None: ...


def partial_metadata(obj: Mapping[str, Any], version: str = "v1") -> dict[str, Any]:
    """The object's metadata as `PartialObjectMetadata`; shares the metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj.get("metadata") or {},
    }


def table(
    served: _Kind,
    objects: Iterable[Mapping[str, Any]],
    *,
    include_object: str = "Metadata",
    list_meta: Mapping[str, Any] | None = None,
    version: str = "v1",
    headers: bool = True,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The `Table` of some objects.

    Args:
        served: the resource.
        objects: the objects, in the served version; shared with the result where `include_object` is `Object` or `Metadata`.
        include_object: what each row carries: `Metadata` (also when empty), `Object` or `None`.
        list_meta: the table's metadata, as of a list.
        version: `v1` or `v1beta1`, of `meta.k8s.io`.
        headers: whether the column definitions are sent; a watch sends them once.
        now: the time that ages are counted to; None: the real one.

    Raises:
        StatusError: 400 for another `include_object`.
    """
    if include_object not in {"", "Metadata", "Object", "None"}:
        text = f"includeObject: Invalid value: \"{include_object}\": must be 'Metadata', 'Object', 'None', or empty"
        raise StatusError(400, "BadRequest", f"Unable to convert to Table as requested: {text}")
    moment = now if now is not None else Clock().now()
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": _cells(served, obj, moment)}
        conditions = _row_conditions(served.gvk, obj)
        if conditions:
            row["conditions"] = conditions
        if include_object == "Object":
            row["object"] = obj
        else:
            row["object"] = None if include_object == "None" else partial_metadata(obj, version)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_meta or {}),
        "columnDefinitions": [column.definition() for column in columns_of(served)] if headers else None,
        "rows": rows,
    }


def columns_of(served: _Kind) -> list[Column]:
    """The columns of a resource's tables, the wide ones included."""
    if served.crd is not None:
        made = [Column("Name", "string", "name", _NAME)]
        for column in served.crd.printer_columns or _DEFAULT_COLUMNS:
            path = str(column.get("jsonPath") or "")
            made.append(
                Column(
                    str(column.get("name") or ""),
                    str(column.get("type") or "string"),
                    str(column.get("format") or ""),
                    str(column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"),
                    int(column.get("priority") or 0),
                )
            )
        return made
    printer = BUILTIN.get((served.gvk.group, served.gvk.kind))
    name = Column("Name", "string", "name", _NAME)
    if printer is None:
        return [name, Column("Created At", "date", "", _CREATED)]
    return [replace(column, description=_NAME) if column.format == "name" else column for column in printer.columns]


def _cells(served: _Kind, obj: Mapping[str, Any], now: datetime) -> list[Any]:
    meta = obj.get("metadata") or {}
    if served.crd is not None:
        columns = served.crd.printer_columns or _DEFAULT_COLUMNS
        return [meta.get("name", ""), *(_custom_cell(column, obj, now) for column in columns)]
    printer = BUILTIN.get((served.gvk.group, served.gvk.kind))
    if printer is None:
        return [meta.get("name", ""), meta.get("creationTimestamp") or "0001-01-01T00:00:00Z"]
    return printer.cells(obj, now)


def _custom_cell(column: Mapping[str, Any], obj: Mapping[str, Any], now: datetime) -> Any:
    """One cell of a CRD's printer column; None where the path finds nothing, or something of another type."""
    try:
        found = find(obj, str(column.get("jsonPath") or ""))
    except (ValueError, RecursionError):
        return None
    if not found:
        return None
    value, kind = found[0], column.get("type")
    if kind == "string":
        if isinstance(value, str):
            return value
        return "<no value>" if value is None else go_value(value)
    if kind == "date" and isinstance(value, str):
        moment = parse_time(value)
        return age(moment, now) if moment is not None else "<invalid>"
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind in {"integer", "number"} and isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if kind == "integer" else value
    return None


def _row_conditions(gvk: GVK, obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Finished Pods are marked, so that clients can leave them out."""
    if (gvk.group, gvk.kind) != ("", "Pod"):
        return []
    phase = (obj.get("status") or {}).get("phase")
    texts = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in texts:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": texts[phase]}]
