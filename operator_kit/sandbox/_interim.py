"""Stands in for the schema room until it is there; goes then."""

from __future__ import annotations

from typing import Any

from operator_kit.objects import GVK
from operator_kit.sandbox.status import Cause


def default_builtin(gvk: GVK, obj: dict[str, Any]) -> None:
    if gvk.kind == "Secret":
        obj.setdefault("type", "Opaque")


def validate_builtin(gvk: GVK, obj: dict[str, Any], old: Any) -> list[Cause]:
    return []
