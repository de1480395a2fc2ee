"""Roles from what is needed: rules merged and sorted, so that the same code always gives the same text.

Per namespace these are the fewest rules that allow all of it and nothing else; for the whole cluster a ClusterRole, whose
resources no Role names again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from operator_kit.generate.needs import EVENT_RULE, Need
from operator_kit.generate.text import to_rules_yaml
from operator_kit.objects import Object
from operator_kit.permissions import VERBS, PolicyRule

__all__ = ["ServiceAccount", "all_rules", "manifest", "merged", "rules_text", "values_text"]

_GROUP = "rbac.authorization.k8s.io"
_API = f"{_GROUP}/v1"
ServiceAccount = tuple[str, str]
"""Its namespace and its name."""

_Target = tuple[str, str, tuple[str, ...]]  # API group, resource, resource names
_Verbs = dict[_Target, set[str]]


def merged(needs: Iterable[Need]) -> dict[str, list[PolicyRule]]:
    """The rules by namespace, "" for the whole cluster first. What that allows is not said again for one namespace."""
    verbs: dict[str, _Verbs] = {}
    for need in needs:
        rule, here = need.rule, verbs.setdefault(need.namespace, {})
        for group in rule.api_groups:
            for resource in rule.resources:
                here.setdefault((group, resource, tuple(sorted(rule.resource_names))), set()).update(rule.verbs)
    everywhere = verbs.get("", {})
    left = {
        namespace: {target: rest for target in here if (rest := _not_covered(target, here, everywhere))}
        for namespace, here in verbs.items()
    }
    return {namespace: _rules(left[namespace]) for namespace in sorted(left) if left[namespace]}


def _not_covered(target: _Target, here: _Verbs, everywhere: _Verbs) -> set[str]:
    """The verbs of a target that no wider one allows: the same resource without names, or in the whole cluster."""
    group, resource, names = target
    wider = here.get((group, resource, ()), set()) if names else set()
    if here is not everywhere:
        wider = wider | everywhere.get(target, set()) | everywhere.get((group, resource, ()), set())
    return set() if "*" in wider else here[target] - wider


def _rules(verbs: _Verbs) -> list[PolicyRule]:
    """Resources of one group with the same verbs become one rule."""
    together: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (group, resource, names), allowed in sorted(verbs.items()):
        together.setdefault((group, _ordered(allowed), names), []).append(resource)
    rules = [PolicyRule((group,), tuple(resources), allowed, names) for (group, allowed, names), resources in together.items()]
    return sorted(rules, key=lambda rule: (rule.api_groups, rule.resources, rule.resource_names, rule.verbs))


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    found = set(verbs)
    if "*" in found:
        return ("*",)
    return (*(verb for verb in VERBS if verb in found), *sorted(found - set(VERBS)))


def all_rules(needs: Iterable[Need]) -> list[PolicyRule]:
    """The rules of all needs in one list, wherever they are needed: what one role would have to hold."""
    return merged(Need(need.rule, "", need.reason) for need in needs).get("", [])


def manifest(roles: Mapping[str, Iterable[Need]], account: ServiceAccount) -> str:
    """Roles and their bindings to a service account, as YAML.

    Args:
        roles: by name, what they are to allow. A ClusterRole for what is needed in the whole cluster, a Role for each namespace.
        account: whose rights they become.
    """
    objects: list[Object] = []
    for name, needs in roles.items():
        for namespace, rules in merged(needs).items():
            objects += _bound(name, namespace, rules, account)
    return to_rules_yaml(*objects)


def _bound(name: str, namespace: str, rules: Iterable[PolicyRule], account: ServiceAccount) -> tuple[Object, Object]:
    kind = "Role" if namespace else "ClusterRole"
    metadata: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    role: Object = {"apiVersion": _API, "kind": kind, "metadata": metadata, "rules": _dicts(rules)}
    binding: Object = {
        "apiVersion": _API,
        "kind": f"{kind}Binding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}],
    }
    return role, binding


def rules_text(rules: Iterable[PolicyRule]) -> str:
    """The rules as the YAML list that stands under `rules:`."""
    return to_rules_yaml(_dicts(rules))


def values_text(needs: Iterable[Need], namespaces: Sequence[str] = ()) -> str:
    """What is needed as values of the chart, which adds the rules for events and the lease itself.

    Args:
        needs: what the registered code needs.
        namespaces: the only namespaces the operator watches; empty for all.
    """
    watched = tuple(dict.fromkeys(namespaces)) or ("",)
    left = [need for need in needs if not (need.rule == EVENT_RULE and need.namespace in watched)]
    where: dict[PolicyRule, set[str]] = {}
    for need in left:
        where.setdefault(need.rule, set()).add(need.namespace)
    common = [need for need in left if need.namespace in watched and where[need.rule].issuperset(watched)]
    others = merged(need for need in left if need not in common)
    if not namespaces:
        others = {namespace: rules for namespace, rules in merged(left).items() if namespace}
    rbac: dict[str, Any] = {"rules": _dicts(all_rules(common))}
    if "" in others:
        rbac["clusterRules"] = _dicts(others.pop(""))
    if others:
        rbac["namespaceRules"] = {namespace: _dicts(rules) for namespace, rules in others.items()}
    return to_rules_yaml({"rbac": rbac, **({"watchNamespaces": list(watched)} if namespaces else {})})


def _dicts(rules: Iterable[PolicyRule]) -> list[Object]:
    return [rule.to_dict() for rule in rules]
