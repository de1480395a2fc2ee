"""The built-in kinds, as a table: group by group, in the order in which the server's discovery lists the groups.

The names, verbs, subresources and rules are those of kube-apiserver 1.36. Kinds that an operator meets are all here; those
that only a cluster's own machinery uses (flow control, dynamic resource allocation, node features) are not served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from operator_kit.sandbox.registry import GET_PATCH_UPDATE, READ_WRITE, Rules, Served, Subresource
from operator_kit.sandbox.storage import Storage

__all__ = ["builtin_resources"]

_ALL = ("all",)
_EXTENSIONS = ("api-extensions",)
_CREATE = ("create",)
_PLAIN = Rules()
_COUNTED = Rules(generation=True)
_RBAC = Rules(name="path", create_on_update=True)
_HOOKS = Rules(generation=True, unconditional_update=False)
_RETURNED = Rules(returns_deleted=True)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_NEW_EVENT_FIELDS = tuple(
    field.replace("involvedObject.", "regarding.").replace("reportingComponent", "reportingController")
    for field in _EVENT_FIELDS
    if field != "source"
)
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)


class _Row(NamedTuple):
    """One resource. `subs`: the names of its subresources, `status` and `scale` being the usual ones."""

    plural: str
    kind: str
    subs: str = ""
    short: str = ""
    rules: Rules = _PLAIN
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ_WRITE
    singular: str = ""


_SCALE = Subresource("scale", "Scale", "autoscaling", "v1")
_SPECIAL = {
    ("namespaces", "finalize"): Subresource("finalize", "Namespace", verbs=("update",)),
    ("pods", "binding"): Subresource("binding", "Binding", verbs=_CREATE),
    ("pods", "eviction"): Subresource("eviction", "Eviction", "policy", "v1", _CREATE),
    ("pods", "ephemeralcontainers"): Subresource("ephemeralcontainers", "Pod"),
    ("pods", "log"): Subresource("log", "Pod", verbs=("get",)),
    ("pods", "resize"): Subresource("resize", "Pod"),
    ("serviceaccounts", "token"): Subresource("token", "TokenRequest", "authentication.k8s.io", "v1", _CREATE),
    ("certificatesigningrequests", "approval"): Subresource("approval", "CertificateSigningRequest"),
}

_CLUSTER_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")

_TABLE: dict[tuple[str, str], tuple[_Row, ...]] = {
    ("", "v1"): (
        _Row("configmaps", "ConfigMap", short="cm"),
        _Row("endpoints", "Endpoints", short="ep", rules=Rules(create_on_update=True), singular="endpoints"),
        _Row("events", "Event", short="ev", rules=Rules(create_on_update=True, fields=_EVENT_FIELDS)),
        _Row("limitranges", "LimitRange", short="limits", rules=Rules(create_on_update=True)),
        _Row(
            "namespaces",
            "Namespace",
            "finalize status",
            "ns",
            Rules(name="label", fields=("status.phase",)),
            namespaced=False,
            verbs=_CLUSTER_VERBS,
        ),
        _Row("nodes", "Node", "status", "no", Rules(fields=("spec.unschedulable",)), namespaced=False),
        _Row("persistentvolumeclaims", "PersistentVolumeClaim", "status", "pvc", _RETURNED),
        _Row("persistentvolumes", "PersistentVolume", "status", "pv", _RETURNED, namespaced=False),
        _Row(
            "pods",
            "Pod",
            "binding ephemeralcontainers eviction log resize status",
            "po",
            Rules(generation=True, returns_deleted=True, graceful=True, fields=_POD_FIELDS),
            categories=_ALL,
        ),
        _Row("podtemplates", "PodTemplate", rules=Rules(generation=True, returns_deleted=True)),
        _Row(
            "replicationcontrollers",
            "ReplicationController",
            "scale status",
            "rc",
            Rules(generation=True, orphan_by_default=True, fields=("status.replicas",)),
            categories=_ALL,
        ),
        _Row("resourcequotas", "ResourceQuota", "status", "quota", _RETURNED),
        _Row("secrets", "Secret", rules=Rules(fields=("type",), secret_like=True)),
        _Row("serviceaccounts", "ServiceAccount", "token", "sa", _RETURNED),
        _Row(
            "services",
            "Service",
            "status",
            "svc",
            Rules(name="label1035", create_on_update=True, returns_deleted=True, fields=("spec.clusterIP", "spec.type")),
            categories=_ALL,
        ),
    ),
    ("apps", "v1"): (
        _Row("controllerrevisions", "ControllerRevision"),
        _Row("daemonsets", "DaemonSet", "status", "ds", _COUNTED, categories=_ALL),
        _Row("deployments", "Deployment", "scale status", "deploy", _COUNTED, categories=_ALL),
        _Row(
            "replicasets",
            "ReplicaSet",
            "scale status",
            "rs",
            Rules(generation=True, fields=("status.replicas",)),
            categories=_ALL,
        ),
        _Row("statefulsets", "StatefulSet", "scale status", "sts", _COUNTED, categories=_ALL),
    ),
    ("events.k8s.io", "v1"): (_Row("events", "Event", short="ev", rules=Rules(create_on_update=True, fields=_NEW_EVENT_FIELDS)),),
    ("authentication.k8s.io", "v1"): (
        _Row("selfsubjectreviews", "SelfSubjectReview", namespaced=False, verbs=_CREATE),
        _Row("tokenreviews", "TokenReview", namespaced=False, verbs=_CREATE),
    ),
    ("authorization.k8s.io", "v1"): (
        _Row("localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=_CREATE),
        _Row("selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False, verbs=_CREATE),
        _Row("selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False, verbs=_CREATE),
        _Row("subjectaccessreviews", "SubjectAccessReview", namespaced=False, verbs=_CREATE),
    ),
    ("autoscaling", "v2"): (_Row("horizontalpodautoscalers", "HorizontalPodAutoscaler", "status", "hpa", categories=_ALL),),
    ("autoscaling", "v1"): (_Row("horizontalpodautoscalers", "HorizontalPodAutoscaler", "status", "hpa", categories=_ALL),),
    ("batch", "v1"): (
        _Row("cronjobs", "CronJob", "status", "cj", _COUNTED, categories=_ALL),
        _Row(
            "jobs",
            "Job",
            "status",
            rules=Rules(generation=True, orphan_by_default=True, fields=("status.successful",)),
            categories=_ALL,
        ),
    ),
    ("certificates.k8s.io", "v1"): (
        _Row(
            "certificatesigningrequests",
            "CertificateSigningRequest",
            "approval status",
            "csr",
            Rules(fields=("spec.signerName",)),
            namespaced=False,
        ),
    ),
    ("networking.k8s.io", "v1"): (
        _Row("ingressclasses", "IngressClass", rules=_COUNTED, namespaced=False),
        _Row("ingresses", "Ingress", "status", "ing", _COUNTED),
        _Row("networkpolicies", "NetworkPolicy", short="netpol", rules=_COUNTED),
    ),
    ("policy", "v1"): (
        _Row(
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            "status",
            "pdb",
            Rules(generation=True, unconditional_update=False),
        ),
    ),
    ("rbac.authorization.k8s.io", "v1"): (
        _Row("clusterrolebindings", "ClusterRoleBinding", rules=_RBAC, namespaced=False),
        _Row("clusterroles", "ClusterRole", rules=_RBAC, namespaced=False),
        _Row("rolebindings", "RoleBinding", rules=_RBAC),
        _Row("roles", "Role", rules=_RBAC),
    ),
    ("storage.k8s.io", "v1"): (
        _Row("storageclasses", "StorageClass", short="sc", rules=_RETURNED, namespaced=False),
        _Row("volumeattachments", "VolumeAttachment", "status", rules=_RETURNED, namespaced=False),
    ),
    ("admissionregistration.k8s.io", "v1"): (
        _Row("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "", "", _HOOKS, False, _EXTENSIONS),
        _Row("validatingadmissionpolicies", "ValidatingAdmissionPolicy", "status", "", _HOOKS, False, _EXTENSIONS),
        _Row("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", "", "", _HOOKS, False, _EXTENSIONS),
        _Row("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "", "", _HOOKS, False, _EXTENSIONS),
    ),
    ("apiextensions.k8s.io", "v1"): (
        _Row("customresourcedefinitions", "CustomResourceDefinition", "status", "crd crds", _HOOKS, False, _EXTENSIONS),
    ),
    ("scheduling.k8s.io", "v1"): (_Row("priorityclasses", "PriorityClass", short="pc", rules=_COUNTED, namespaced=False),),
    ("coordination.k8s.io", "v1"): (_Row("leases", "Lease", rules=Rules(unconditional_update=False, create_on_update=True)),),
    ("node.k8s.io", "v1"): (_Row("runtimeclasses", "RuntimeClass", rules=Rules(create_on_update=True), namespaced=False),),
    ("discovery.k8s.io", "v1"): (_Row("endpointslices", "EndpointSlice", rules=_COUNTED),),
}

# Served in two groups or versions, stored in one: where, and in which apiVersion.
_SHARED = {
    ("events.k8s.io", "events"): ("events", "v1"),
    ("", "events"): ("events", "v1"),
    ("autoscaling", "horizontalpodautoscalers"): ("horizontalpodautoscalers.autoscaling", "autoscaling/v2"),
}


def _subresource(row: _Row, name: str) -> Subresource:
    special = _SPECIAL.get((row.plural, name))
    if special is not None:
        return special
    return _SCALE if name == "scale" else Subresource(name, row.kind, verbs=GET_PATCH_UPDATE)


def builtin_resources(storage: Storage) -> Iterator[Served]:
    """Every built-in resource in every version, with its store."""
    for (group, version), rows in _TABLE.items():
        for row in rows:
            name = f"{row.plural}.{group}" if group else row.plural
            store, stored = _SHARED.get((group, row.plural), (name, f"{group}/{version}" if group else version))
            yield Served(
                group,
                version,
                row.kind,
                row.plural,
                row.singular or row.kind.lower(),
                row.namespaced,
                short_names=tuple(row.short.split()),
                categories=row.categories,
                verbs=row.verbs,
                subresources={sub: _subresource(row, sub) for sub in row.subs.split()},
                rules=row.rules,
                storage_version=stored,
                store=storage.store(store) if row.verbs != _CREATE else None,
            )
