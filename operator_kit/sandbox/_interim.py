"""Stands in for the schema room until it is there; goes then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.status import Cause


class NullSchema:
    has_cel = False

    def __init__(self, openapi: Any) -> None:
        self._openapi = openapi

    def prune(self, obj: dict[str, Any]) -> list[str]:
        return []

    def default(self, obj: dict[str, Any]) -> None:
        _default(self._openapi, obj)

    def validate(self, obj: dict[str, Any], old: Any = None, prior: Sequence[Cause] = ()) -> list[Cause]:
        return []


def _default(schema: Any, value: Any) -> None:
    if isinstance(value, dict):
        for name, child in (schema.get("properties") or {}).items():
            if name not in value and "default" in child:
                value[name] = codec.clone(child["default"])
            if name in value:
                _default(child, value[name])


def compile_schema(openapi: Any) -> Any:
    return NullSchema(openapi)


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
