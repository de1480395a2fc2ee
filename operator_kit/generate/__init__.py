"""What can be written for the author: CRDs from types, RBAC and chart values from the registry. Loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.generate.crd import crds, schema_of
    from operator_kit.generate.discover import models_in
    from operator_kit.generate.errors import SchemaError
    from operator_kit.generate.text import to_yaml

__all__ = ["SchemaError", "crds", "models_in", "schema_of", "to_yaml"]

_HOME = {"SchemaError": "errors", "crds": "crd", "models_in": "discover", "schema_of": "crd", "to_yaml": "text"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
