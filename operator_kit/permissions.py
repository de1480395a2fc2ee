"""RBAC rules as values: what a program needs to be allowed, in the form that can be pasted into a Role.

A refusal (403) is mended by a rule; whoever reports the refusal names that rule. What a program needs beyond what can be read
off its registration, its author declares: a `Permission` on a kind, or a `PolicyRule` as it stands in a Role.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operator_kit.objects import Resource

__all__ = ["VERBS", "Permission", "PolicyRule", "declared"]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
"""The verbs of resources, in the order in which roles are usually written."""
_SPECIAL_VERBS = ("approve", "attest", "bind", "escalate", "impersonate", "sign", "use", "*")

_DECLARATION = re.compile(
    r"(?P<verbs>\S+)\s+"
    r"(?P<kind>(?:(?:[a-z0-9][-a-z0-9.]*/)?v[a-z0-9]+/)?[A-Z][A-Za-z0-9]*(?:\.[a-z0-9][-a-z0-9.]*)?)"
    r"(?:/(?P<subresource>[a-z]+))?"
    r"(?:\s+in\s+(?P<namespace>[a-z0-9]([-a-z0-9]*[a-z0-9])?))?"
)
_FORM = '"get,list v1/Secret", "update apps/v1/Deployment/scale" or "create v1/ConfigMap in NAMESPACE"'


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


@dataclass(frozen=True, slots=True)
class Permission:
    """Verbs on a kind: what an author declares. It becomes a rule once discovery has said how the kind's plural is.

    Attributes:
        kind: as in `@reconciler`: `"Website"`, `"Website.example.com"`, `"apps/v1/Deployment"`.
        verbs: of `VERBS`, or one of the special ones, such as `"bind"`.
        subresource: `"scale"`, or empty for the object itself.
        namespace: the only namespace it is needed in; empty for all that the reconciler sees.
    """

    kind: str
    verbs: tuple[str, ...]
    subresource: str = ""
    namespace: str = ""

    @classmethod
    def parse(cls, text: str) -> Permission:
        """From `"get,list v1/Secret"`, `"update apps/v1/Deployment/scale"`, `"create v1/ConfigMap in dns"`.

        Raises `ValueError` for a verb that does not exist, and for what has not this form.
        """
        match = _DECLARATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a permission; write verbs and a kind: {_FORM}")
        verbs = _checked(match["verbs"].split(","))
        return cls(match["kind"], verbs, match["subresource"] or "", match["namespace"] or "")

    def __str__(self) -> str:
        kind = f"{self.kind}/{self.subresource}" if self.subresource else self.kind
        return f"{','.join(self.verbs)} {kind}" + (f" in {self.namespace}" if self.namespace else "")


def declared(values: Iterable[str | Permission | PolicyRule]) -> tuple[Permission | PolicyRule, ...]:
    """What an author wrote, each text parsed, each once. Raises `ValueError` for what is no permission."""
    if isinstance(values, str | Permission | PolicyRule):
        raise ValueError(f"expected a list of permissions, such as [{str(values)!r}]")
    return tuple(dict.fromkeys(_one(value) for value in values))


def _one(value: Any) -> Permission | PolicyRule:
    if isinstance(value, str):
        return Permission.parse(value)
    if isinstance(value, Permission):
        return Permission(value.kind, _checked(value.verbs), value.subresource, value.namespace)
    if not isinstance(value, PolicyRule):
        raise ValueError(f"{value!r} is not a permission; write {_FORM}, or a PolicyRule")
    for field in ("api_groups", "resources", "verbs", "resource_names"):
        items = getattr(value, field)
        if isinstance(items, str) or not all(isinstance(item, str) for item in items):
            raise ValueError(f"PolicyRule: {field} is a list of texts, not {items!r}")
        if not items and field != "resource_names":
            raise ValueError(f"PolicyRule: {field} is empty, which allows nothing")
    return PolicyRule(tuple(value.api_groups), tuple(value.resources), _checked(value.verbs), tuple(value.resource_names))


def _checked(verbs: Iterable[str]) -> tuple[str, ...]:
    """The verbs, in the usual order. Raises `ValueError` for one that does not exist."""
    known = (*VERBS, *_SPECIAL_VERBS)
    found = set(verbs)
    for verb in sorted(found - set(known)):
        near = difflib.get_close_matches(verb, known, n=1, cutoff=0.8)
        raise ValueError(
            f"{verb!r} is not a verb" + (f"; did you mean {near[0]}?" if near else f"; verbs are {', '.join(VERBS)}")
        )
    return tuple(verb for verb in known if verb in found)
