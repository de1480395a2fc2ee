"""The built-in kinds: the defaults the server writes into them, and what it finds wrong with them.

Objects have been through `shapes.conform` before, so their fields have the types they should; metadata is checked elsewhere. The
checks are those that people and operators run into; kinds without any are only held to their shape.
"""

from __future__ import annotations

from typing import Any

from operator_kit.objects import GVK
from operator_kit.sandbox.schema.builtin import core, networking, pods, policies, workloads
from operator_kit.sandbox.schema.builtin.allocation import assign_service, label_job
from operator_kit.sandbox.schema.builtin.defaults import DEFAULTS
from operator_kit.sandbox.schema.builtin.tools import Check
from operator_kit.sandbox.status import Cause

__all__ = ["assign_service", "default_builtin", "label_job", "validate_builtin"]

Object = dict[str, Any]

_CHECKS: dict[tuple[str, str], Check] = {
    ("", "Pod"): pods.pod,
    ("", "Service"): core.service,
    ("", "ConfigMap"): core.config_map,
    ("", "Secret"): core.secret,
    ("", "PersistentVolumeClaim"): core.claim,
    ("", "Namespace"): core.namespace,
    ("", "ResourceQuota"): core.quota,
    ("", "Event"): core.core_event,
    ("events.k8s.io", "Event"): core.event,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("networking.k8s.io", "Ingress"): networking.ingress,
    ("networking.k8s.io", "NetworkPolicy"): networking.network_policy,
    ("policy", "PodDisruptionBudget"): policies.budget,
    ("autoscaling", "HorizontalPodAutoscaler"): policies.autoscaler,
    ("coordination.k8s.io", "Lease"): policies.lease,
    ("scheduling.k8s.io", "PriorityClass"): policies.priority_class,
    ("rbac.authorization.k8s.io", "Role"): policies.role,
    ("rbac.authorization.k8s.io", "ClusterRole"): policies.cluster_role,
    ("rbac.authorization.k8s.io", "RoleBinding"): policies.binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): policies.cluster_binding,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): policies.webhook_configuration,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): policies.webhook_configuration,
}


def default_builtin(gvk: GVK, obj: Object) -> None:
    """Write the defaults of a built-in kind into an object, in place. Kinds without defaults are left alone."""
    default = DEFAULTS.get((gvk.api_version, gvk.kind))
    if default is not None:
        default(obj)


def validate_builtin(gvk: GVK, obj: Object, old: Object | None) -> list[Cause]:
    """What is wrong with a defaulted object of a built-in kind, but its metadata. `old`: as it was, for an update."""
    check = _CHECKS.get((gvk.group, gvk.kind))
    return check(obj, old) if check is not None else []
