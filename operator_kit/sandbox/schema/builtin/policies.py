"""What is wrong with the kinds that rule others: RBAC, disruption budgets, autoscalers, leases, webhook configurations."""

from __future__ import annotations

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.schema.builtin.tools import (
    Object,
    each,
    int_or_percent,
    non_negative,
    one_of,
    selector_causes,
    sub,
    text,
    texts,
)
from operator_kit.sandbox.schema.golang import Struct
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.schema.webhooks import check_client_config
from operator_kit.sandbox.status import Cause

__all__ = [
    "autoscaler",
    "binding",
    "budget",
    "cluster_binding",
    "cluster_role",
    "lease",
    "priority_class",
    "role",
    "webhook_configuration",
]

_RBAC = "rbac.authorization.k8s.io"
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


# --------------------------------------------------------------------------- RBAC


def role(obj: Object, _: Object | None) -> list[Cause]:
    """A Role."""
    return _rules(each(obj, "rules"), namespaced=True)


def cluster_role(obj: Object, _: Object | None) -> list[Cause]:
    """A ClusterRole."""
    causes = _rules(each(obj, "rules"), namespaced=False)
    aggregation = obj.get("aggregationRule")
    if isinstance(aggregation, dict):
        where = "aggregationRule.clusterRoleSelectors"
        selectors = each(aggregation, "clusterRoleSelectors")
        if not selectors:
            causes.append(fields.required(where, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
        for at, selector in enumerate(selectors):
            causes += selector_causes(selector, f"{where}[{at}]")
    return causes


def _rules(rules: list[Object], *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    for at, rule in enumerate(rules):
        path = f"rules[{at}]"
        if not texts(rule, "verbs"):
            causes.append(fields.required(f"{path}.verbs", "verbs must contain at least one value"))
        urls, groups, resources = (texts(rule, name) for name in ("nonResourceURLs", "apiGroups", "resources"))
        if urls:
            where = f"{path}.nonResourceURLs"
            if namespaced:
                causes.append(fields.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs"))
            if groups or resources or texts(rule, "resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                causes.append(fields.invalid(where, urls, detail))
            continue
        if not groups:
            causes.append(fields.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not resources:
            causes.append(fields.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def binding(obj: Object, old: Object | None) -> list[Cause]:
    """A RoleBinding; the role it binds can never change."""
    return _binding(obj, old, ("Role", "ClusterRole"), namespaced=True)


def cluster_binding(obj: Object, old: Object | None) -> list[Cause]:
    """A ClusterRoleBinding; the role it binds can never change."""
    return _binding(obj, old, ("ClusterRole",), namespaced=False)


def _binding(obj: Object, old: Object | None, kinds: tuple[str, ...], *, namespaced: bool) -> list[Cause]:
    reference = sub(obj, "roleRef")
    causes: list[Cause] = []
    if text(reference, "apiGroup") != _RBAC:
        causes.append(fields.not_supported("roleRef.apiGroup", text(reference, "apiGroup"), [_RBAC]))
    if text(reference, "kind") not in kinds:
        causes.append(fields.not_supported("roleRef.kind", text(reference, "kind"), kinds))
    if not text(reference, "name"):
        causes.append(fields.required("roleRef.name"))
    for at, subject in enumerate(each(obj, "subjects")):
        causes += _subject(subject, f"subjects[{at}]", namespaced=namespaced)
    if old is not None and not same(reference, sub(old, "roleRef")):
        shown = Struct(
            (name, text(reference, key)) for name, key in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))
        )
        causes.append(fields.invalid("roleRef", shown, "cannot change roleRef"))
    return causes


def _subject(subject: Object, path: str, *, namespaced: bool) -> list[Cause]:
    kind, name, group = (text(subject, field) for field in ("kind", "name", "apiGroup"))
    causes = [] if name else [fields.required(f"{path}.name")]
    if kind == "ServiceAccount":
        problems = names.dns1123_subdomain(name) if name else []
        causes += [fields.invalid(f"{path}.name", name, problem) for problem in problems]
        if group:
            causes.append(fields.not_supported(f"{path}.apiGroup", group, [""]))
        if not namespaced and not text(subject, "namespace"):
            causes.append(fields.required(f"{path}.namespace"))
    elif kind in {"User", "Group"}:
        if not name:
            causes.append(fields.invalid(f"{path}.name", name, f"{kind.lower()} name cannot be empty"))
        if group != _RBAC:
            causes.append(fields.not_supported(f"{path}.apiGroup", group, [_RBAC]))
    else:
        causes.append(fields.not_supported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"]))
    return causes


# --------------------------------------------------------------------------- policy, autoscaling, coordination, scheduling


def budget(obj: Object, _: Object | None) -> list[Cause]:
    """A PodDisruptionBudget."""
    spec = sub(obj, "spec")
    causes: list[Cause] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        causes.append(fields.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        if value is None:
            continue
        causes += int_or_percent(value, f"spec.{name}")
        if isinstance(value, str) and value[:-1].isdecimal() and int(value[:-1]) > 100:
            causes.append(fields.invalid(f"spec.{name}", value, "must not be greater than 100%"))
    causes += selector_causes(sub(spec, "selector"), "spec.selector")
    return causes + one_of(spec, "unhealthyPodEvictionPolicy", "spec", ("AlwaysAllow", "IfHealthyBudget"))


def autoscaler(obj: Object, _: Object | None) -> list[Cause]:
    """A HorizontalPodAutoscaler, of either version."""
    spec = sub(obj, "spec")
    causes: list[Cause] = []
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if isinstance(least, int) and least < 1:
        causes.append(fields.invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if isinstance(most, int) and most < 1:
        causes.append(fields.invalid("spec.maxReplicas", most, "must be greater than 0"))
    if isinstance(least, int) and isinstance(most, int) and most < least:
        causes.append(fields.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = sub(spec, "scaleTargetRef")
    causes += [fields.required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not text(target, name)]
    return causes


def lease(obj: Object, _: Object | None) -> list[Cause]:
    """A Lease."""
    spec = sub(obj, "spec")
    duration = spec.get("leaseDurationSeconds")
    causes = []
    if isinstance(duration, int) and duration <= 0:
        causes.append(fields.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    causes += non_negative(spec, "spec", "leaseTransitions")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        detail = "may only be specified when `strategy` is defined"
        causes.append(fields.forbidden("spec.preferredHolder", detail))
    return causes


def priority_class(obj: Object, old: Object | None) -> list[Cause]:
    """A PriorityClass; its value can never change."""
    value = obj.get("value", 0)
    causes = []
    if old is None and isinstance(value, int) and value > 1000000000:
        detail = "maximum allowed value of a user defined priority is 1000000000"
        causes.append(fields.forbidden("value", detail))
    if old is not None and value != old.get("value", 0):
        causes.append(fields.forbidden("value", "may not be changed in an update."))
    return causes + one_of(obj, "preemptionPolicy", "", ("Never", "PreemptLowerPriority"))


# --------------------------------------------------------------------------- webhooks


def webhook_configuration(obj: Object, _: Object | None) -> list[Cause]:
    """A ValidatingWebhookConfiguration or MutatingWebhookConfiguration."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for at, hook in enumerate(each(obj, "webhooks")):
        path = f"webhooks[{at}]"
        causes += _webhook(hook, path)
        name = text(hook, "name")
        if name and name in seen:
            causes.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
    return causes


def _qualified_name(name: str, path: str) -> list[Cause]:
    if not name:
        return [fields.required(path)]
    problems = names.dns1123_subdomain(name)
    if problems:
        return [fields.invalid(path, name, ",".join(problems))]
    if name.count(".") < 2:
        return [fields.invalid(path, name, "should be a domain with at least three segments separated by dots")]
    return []


def _webhook(hook: Object, path: str) -> list[Cause]:
    causes = _qualified_name(text(hook, "name"), f"{path}.name")
    for at, rule in enumerate(each(hook, "rules")):
        causes += _webhook_rule(rule, f"{path}.rules[{at}]")
    causes += one_of(hook, "failurePolicy", path, ("Fail", "Ignore"))
    causes += one_of(hook, "matchPolicy", path, ("Equivalent", "Exact"))
    effects = ("None", "NoneOnDryRun")
    if not text(hook, "sideEffects"):
        causes.append(fields.required(f"{path}.sideEffects", f"must specify one of {', '.join(effects)}"))
    causes += one_of(hook, "sideEffects", path, effects)
    timeout = hook.get("timeoutSeconds")
    if isinstance(timeout, int) and not 1 <= timeout <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        causes.append(fields.invalid(f"{path}.timeoutSeconds", timeout, detail))
    for name in ("namespaceSelector", "objectSelector"):
        causes += selector_causes(sub(hook, name), f"{path}.{name}")
    causes += check_client_config(sub(hook, "clientConfig"), f"{path}.clientConfig")
    causes += one_of(hook, "reinvocationPolicy", path, ("IfNeeded", "Never"))
    versions = texts(hook, "admissionReviewVersions")
    where = f"{path}.admissionReviewVersions"
    if not versions:
        causes.append(fields.required(where, "must specify one of v1, v1beta1"))
    elif not {"v1", "v1beta1"} & set(versions):
        causes.append(fields.invalid(where, versions, "must include at least one of v1, v1beta1"))
    return causes


def _webhook_rule(rule: Object, path: str) -> list[Cause]:
    operations = texts(rule, "operations")
    causes = [] if operations else [fields.required(f"{path}.operations")]
    if len(operations) > 1 and "*" in operations:
        detail = "if '*' is present, must not specify other operations"
        causes.append(fields.invalid(f"{path}.operations", operations, detail))
    for at, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            causes.append(fields.not_supported(f"{path}.operations[{at}]", operation, _OPERATIONS))
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions"), ("resources", "resources")):
        values = texts(rule, name)
        if not values:
            causes.append(fields.required(f"{path}.{name}"))
        elif len(values) > 1 and "*" in values and name != "resources":
            detail = f"if '*' is present, must not specify other {what}"
            causes.append(fields.invalid(f"{path}.{name}", values, detail))
    return causes + one_of(rule, "scope", path, ("*", "Cluster", "Namespaced"))
