"""What follows from what is written: CRDs from types, roles and chart values from the registry, and whether a server has it all.

Loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.generate.crd import crds, schema_of
    from operator_kit.generate.discover import models_in
    from operator_kit.generate.errors import SchemaError
    from operator_kit.generate.kinds import Kinds, resources_of_crd, resources_of_models
    from operator_kit.generate.needs import Need, lease_needs, metrics_needs, needs_of
    from operator_kit.generate.preflight import Access, Report, check, ungranted
    from operator_kit.generate.project import Project, write_project
    from operator_kit.generate.rbac import all_rules, manifest, merged, rules_text, values_text
    from operator_kit.generate.text import to_yaml

__all__ = [
    "Access",
    "Kinds",
    "Need",
    "Project",
    "Report",
    "SchemaError",
    "all_rules",
    "check",
    "crds",
    "lease_needs",
    "manifest",
    "merged",
    "metrics_needs",
    "models_in",
    "needs_of",
    "resources_of_crd",
    "resources_of_models",
    "rules_text",
    "schema_of",
    "to_yaml",
    "ungranted",
    "values_text",
    "write_project",
]

_HOMES = {
    "crd": ("crds", "schema_of"),
    "discover": ("models_in",),
    "errors": ("SchemaError",),
    "kinds": ("Kinds", "resources_of_crd", "resources_of_models"),
    "needs": ("Need", "lease_needs", "metrics_needs", "needs_of"),
    "preflight": ("Access", "Report", "check", "ungranted"),
    "project": ("Project", "write_project"),
    "rbac": ("all_rules", "manifest", "merged", "rules_text", "values_text"),
    "text": ("to_yaml",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
