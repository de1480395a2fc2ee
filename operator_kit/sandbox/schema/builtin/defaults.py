"""The defaults that the server writes into built-in kinds other than pods: one function per kind, all in place and idempotent."""

from __future__ import annotations

import base64
import binascii

from operator_kit.sandbox.schema.builtin.pod_defaults import default_pod, default_template
from operator_kit.sandbox.schema.builtin.tools import Default, Object, each, sub

__all__ = ["DEFAULTS"]

_RBAC = "rbac.authorization.k8s.io"


def _spec(obj: Object) -> Object:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        spec = obj["spec"] = {}
    return spec


def _deployment(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    spec.setdefault("replicas", 1)
    strategy = spec.get("strategy")
    if not isinstance(strategy, dict):
        strategy = spec["strategy"] = {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if not isinstance(rolling, dict):
            rolling = strategy["rollingUpdate"] = {}
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _replica_set(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    spec.setdefault("replicas", 1)


def _daemon_set(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    strategy = spec.get("updateStrategy")
    if not isinstance(strategy, dict):
        strategy = spec["updateStrategy"] = {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if not isinstance(rolling, dict):
            rolling = strategy["rollingUpdate"] = {}
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _stateful_set(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec.get("updateStrategy")
    if not isinstance(strategy, dict):
        strategy = spec["updateStrategy"] = {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and isinstance(strategy.get("rollingUpdate"), dict):
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if not isinstance(retention, dict):
        retention = spec["persistentVolumeClaimRetentionPolicy"] = {}
    for name in ("whenDeleted", "whenScaled"):
        if not retention.get(name):
            retention[name] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in each(spec, "volumeClaimTemplates"):
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        _claim(claim)


def _job_spec(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    if "podReplacementPolicy" not in spec:
        spec["podReplacementPolicy"] = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    for rule in each(sub(spec, "podFailurePolicy"), "rules"):
        for pattern in each(rule, "onPodConditions"):
            pattern.setdefault("status", "True")


def _job(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    _job_spec(spec)
    labels = sub(spec, "template", "metadata", "labels")
    meta = obj.get("metadata")
    if labels and isinstance(meta, dict) and not meta.get("labels"):
        meta["labels"] = dict(labels)


def _cron_job(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "jobTemplate", "spec", "template")
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def _service(obj: Object) -> None:
    spec = _spec(obj)
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP" and "timeoutSeconds" not in sub(spec, "sessionAffinityConfig", "clientIP"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    for port in each(spec, "ports"):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]
    kind = spec["type"]
    external = kind in {"NodePort", "LoadBalancer"} or (kind == "ClusterIP" and spec.get("externalIPs"))
    if external and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if kind in {"NodePort", "LoadBalancer", "ClusterIP"}:
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _secret(obj: Object) -> None:
    """The type, and what `stringData` says, which is never shown again."""
    if not obj.get("type"):
        obj["type"] = "Opaque"
    given = obj.pop("stringData", None)
    if isinstance(given, dict) and given:
        data = obj.get("data")
        merged = dict(data) if isinstance(data, dict) else {}
        for name, value in given.items():
            try:
                merged[name] = base64.b64encode(str(value).encode()).decode()
            except (UnicodeEncodeError, binascii.Error):  # a lone surrogate, which Go replaces
                merged[name] = base64.b64encode(str(value).encode("utf-8", "replace")).decode()
        obj["data"] = merged


def _claim(obj: Object) -> None:
    _spec(obj).setdefault("volumeMode", "Filesystem")
    status = obj.setdefault("status", {})
    if isinstance(status, dict) and not status.get("phase"):
        status["phase"] = "Pending"


def _volume(obj: Object) -> None:
    spec = _spec(obj)
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    host = spec.get("hostPath")
    if isinstance(host, dict):
        host.setdefault("type", "")
    status = obj.setdefault("status", {})
    if isinstance(status, dict) and not status.get("phase"):
        status["phase"] = "Pending"


def _namespace(obj: Object) -> None:
    meta = obj.get("metadata")
    if isinstance(meta, dict) and meta.get("name"):
        labels = meta.get("labels")
        meta["labels"] = {**(labels if isinstance(labels, dict) else {}), "kubernetes.io/metadata.name": meta["name"]}
    status = obj.get("status")
    if not isinstance(status, dict):
        status = obj["status"] = {}
    if not status.get("phase"):
        status["phase"] = "Active"


def _endpoints(obj: Object) -> None:
    for subset in each(obj, "subsets"):
        for port in each(subset, "ports"):
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def _limit_range(obj: Object) -> None:
    for item in each(sub(obj, "spec"), "limits"):
        if item.get("type") != "Container":
            continue
        default = {**sub(item, "max"), **sub(item, "default")}
        request = {**sub(item, "min"), **default, **sub(item, "defaultRequest")}
        for name, value in (("default", default), ("defaultRequest", request)):
            if value:
                item[name] = value


def _replication_controller(obj: Object) -> None:
    spec = _spec(obj)
    default_template(spec, "template")
    labels = sub(spec, "template", "metadata", "labels")
    meta = obj.get("metadata")
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    if labels and isinstance(meta, dict) and not meta.get("labels"):
        meta["labels"] = dict(labels)
    spec.setdefault("replicas", 1)


def _pod_template(obj: Object) -> None:
    default_template(obj, "template")


def _network_policy(obj: Object) -> None:
    spec = _spec(obj)
    for direction in ("ingress", "egress"):
        for rule in each(spec, direction):
            for port in each(rule, "ports"):
                if not port.get("protocol"):
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _autoscaler_v1(obj: Object) -> None:
    _spec(obj).setdefault("minReplicas", 1)


_SCALE_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Object = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _autoscaler_v2(obj: Object) -> None:
    spec = _spec(obj)
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if isinstance(behavior, dict):
        for name, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            given = behavior.get(name)
            policies = [dict(policy) for policy in rules["policies"]]
            behavior[name] = {**rules, "policies": policies, **(given if isinstance(given, dict) else {})}


def _role_ref(obj: Object) -> None:
    reference = obj.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = _RBAC
    for subject in each(obj, "subjects"):
        if subject.get("kind") in {"User", "Group"} and not subject.get("apiGroup"):
            subject["apiGroup"] = _RBAC


def _webhooks(obj: Object) -> None:
    for hook in each(obj, "webhooks"):
        for name, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
            hook.setdefault(name, value)
        for name in ("namespaceSelector", "objectSelector"):
            if hook.get(name) is None:
                hook[name] = {}
        if obj.get("kind") == "MutatingWebhookConfiguration":
            hook.setdefault("reinvocationPolicy", "Never")
        for rule in each(hook, "rules"):
            rule.setdefault("scope", "*")
        service = sub(hook, "clientConfig", "service")
        if service:
            service.setdefault("port", 443)


def _priority_class(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _storage_class(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _ingress_class(obj: Object) -> None:
    parameters = sub(obj, "spec", "parameters")
    if parameters:
        parameters.setdefault("scope", "Cluster")


def _endpoint_slice(obj: Object) -> None:
    for port in each(obj, "ports"):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _node(obj: Object) -> None:
    status = sub(obj, "status")
    if status and "allocatable" not in status and isinstance(status.get("capacity"), dict):
        status["allocatable"] = dict(status["capacity"])


DEFAULTS: dict[tuple[str, str], Default] = {
    ("v1", "Pod"): default_pod,
    ("v1", "PodTemplate"): _pod_template,
    ("v1", "ReplicationController"): _replication_controller,
    ("v1", "Service"): _service,
    ("v1", "Secret"): _secret,
    ("v1", "PersistentVolumeClaim"): _claim,
    ("v1", "PersistentVolume"): _volume,
    ("v1", "Namespace"): _namespace,
    ("v1", "Endpoints"): _endpoints,
    ("v1", "LimitRange"): _limit_range,
    ("v1", "Node"): _node,
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "ReplicaSet"): _replica_set,
    ("apps/v1", "DaemonSet"): _daemon_set,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("batch/v1", "Job"): _job,
    ("batch/v1", "CronJob"): _cron_job,
    ("networking.k8s.io/v1", "NetworkPolicy"): _network_policy,
    ("networking.k8s.io/v1", "IngressClass"): _ingress_class,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): _autoscaler_v1,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): _autoscaler_v2,
    (f"{_RBAC}/v1", "RoleBinding"): _role_ref,
    (f"{_RBAC}/v1", "ClusterRoleBinding"): _role_ref,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): _webhooks,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): _webhooks,
    ("scheduling.k8s.io/v1", "PriorityClass"): _priority_class,
    ("storage.k8s.io/v1", "StorageClass"): _storage_class,
    ("discovery.k8s.io/v1", "EndpointSlice"): _endpoint_slice,
}
"""By apiVersion and kind."""
