"""RBAC rules as values: what a program needs to be allowed, in the form that can be pasted into a Role.

A refusal (403) is mended by a rule; whoever reports the refusal names that rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operator_kit.objects import Resource

__all__ = ["PolicyRule"]


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a Role or ClusterRole. Its text is YAML that can be pasted under `rules:`."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, resource: Resource, verbs: Iterable[str], *, subresource: str = "") -> PolicyRule:
        """The rule that allows these verbs on a resource, or on a subresource of it."""
        name = f"{resource.plural}/{subresource}" if subresource else resource.plural
        return cls((resource.group,), (name,), tuple(verbs))

    def to_dict(self) -> dict[str, Any]:
        """The rule as it stands in a Role."""
        rule: dict[str, Any] = {
            "apiGroups": list(self.api_groups),
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        if self.resource_names:
            rule["resourceNames"] = list(self.resource_names)
        return rule

    def __str__(self) -> str:
        """`{apiGroups: ["apps"], resources: ["deployments"], verbs: ["list", "watch"]}`"""

        def flow(items: Iterable[str]) -> str:
            return "[" + ", ".join(f'"{item}"' for item in items) + "]"

        return "{" + ", ".join(f"{name}: {flow(items)}" for name, items in self.to_dict().items()) + "}"
