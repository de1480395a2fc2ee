"""Stands in for the schema room until it is there; goes then."""

from __future__ import annotations

from typing import Any

from operator_kit.objects import GVK
from operator_kit.sandbox.status import Cause


def default_crd(crd: dict[str, Any]) -> None:
    names = crd["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    crd["spec"].setdefault("conversion", {"strategy": "None"})


def default_builtin(gvk: GVK, obj: dict[str, Any]) -> None:
    if gvk.kind == "Secret":
        obj.setdefault("type", "Opaque")


def validate_crd(crd: dict[str, Any], old: Any = None) -> list[Cause]:
    return []


def validate_builtin(gvk: GVK, obj: dict[str, Any], old: Any) -> list[Cause]:
    return []
