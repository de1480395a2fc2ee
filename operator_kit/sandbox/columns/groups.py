"""The rows of the other groups: network, policy, scaling, access, storage and the cluster's own records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from operator_kit.sandbox.columns.base import (
    Cells,
    Obj,
    Printer,
    age_of,
    at,
    columns,
    human_duration,
    items_at,
    joined,
    labels_text,
    name_of,
    number_at,
    selector_text,
    size_of,
    texts_at,
)

__all__ = ["PRINTERS"]


# -------------------------------------------------------------------------------------------------------------------- network


def _external_ip(obj: Obj) -> str:
    spec = obj.get("spec")
    kind, fixed = at(spec, "type"), texts_at(spec, "externalIPs")
    if kind == "LoadBalancer":
        given = items_at(obj, "status", "loadBalancer", "ingress")
        found = sorted({str(item.get("ip") or item.get("hostname")) for item in given if item.get("ip") or item.get("hostname")})
        return joined(found + fixed, "<pending>")
    if kind == "ExternalName":
        return str(at(spec, "externalName") or "")
    return joined(fixed)


def _service(obj: Obj, now: datetime) -> Cells:
    spec = obj.get("spec")
    ports = []
    for port in items_at(spec, "ports"):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return [
        name_of(obj),
        at(spec, "type") or "",
        at(spec, "clusterIP") or (texts_at(spec, "clusterIPs") or ["<none>"])[0],
        _external_ip(obj),
        joined(ports),
        age_of(obj, now),
        labels_text(at(spec, "selector") or None),
    ]


def _ingress(obj: Obj, now: datetime) -> Cells:
    hosts = [str(rule["host"]) for rule in items_at(obj, "spec", "rules") if rule.get("host")]
    shown = hosts if len(hosts) <= 3 else [*hosts[:3], f"+ {len(hosts) - 3} more..."]
    given = items_at(obj, "status", "loadBalancer", "ingress")
    return [
        name_of(obj),
        at(obj, "spec", "ingressClassName") or "<none>",
        joined(shown[:3], "*") + (" " + shown[3] if len(shown) > 3 else ""),
        ",".join(str(item.get("ip") or item.get("hostname") or "") for item in given),
        "80, 443" if items_at(obj, "spec", "tls") else "80",
        age_of(obj, now),
    ]


def _ingress_class(obj: Obj, now: datetime) -> Cells:
    ref = at(obj, "spec", "parameters")
    group = f".{ref['apiGroup']}" if at(ref, "apiGroup") else ""
    shown = f"{at(ref, 'kind')}{group}/{at(ref, 'name')}" if ref else "<none>"
    return [name_of(obj), at(obj, "spec", "controller") or "", shown, age_of(obj, now)]


def _network_policy(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), selector_text(at(obj, "spec", "podSelector")), age_of(obj, now)]


def _endpoints(obj: Obj, now: datetime) -> Cells:
    found = []
    for subset in items_at(obj, "subsets"):
        for address in items_at(subset, "addresses"):
            ports = items_at(subset, "ports")
            found += [f"{address.get('ip')}:{port.get('port')}" for port in ports] or [str(address.get("ip"))]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return [name_of(obj), joined(found[:3]) + more, age_of(obj, now)]


def _endpoint_slice(obj: Obj, now: datetime) -> Cells:
    ports = [str(port.get("port") or "*") for port in items_at(obj, "ports")]
    found = [address for item in items_at(obj, "endpoints") for address in texts_at(item, "addresses")]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return [
        name_of(obj),
        obj.get("addressType") or "",
        joined(ports, "<unset>"),
        joined(found[:3], "<unset>") + more,
        age_of(obj, now),
    ]


# --------------------------------------------------------------------------------------------------------- policy and scaling


def _budget(obj: Obj, now: datetime) -> Cells:
    def limit(key: str) -> str:
        value = at(obj, "spec", key)
        return "N/A" if value is None else str(value)

    allowed = number_at(obj, "status", "disruptionsAllowed")
    return [name_of(obj), limit("minAvailable"), limit("maxUnavailable"), allowed, age_of(obj, now)]


def _metric(spec: Obj, current: Obj | None) -> str:
    kind = str(spec.get("type") or "")
    part = kind[:1].lower() + kind[1:]
    source, now = at(spec, part), at(current, part, "current")
    target = at(source, "target")
    name = f"{at(source, 'name')}: " if kind in {"Resource", "ContainerResource"} else ""
    if at(target, "averageUtilization") is not None:
        value = at(now, "averageUtilization")
        return f"{name}{'<unknown>' if value is None else f'{value}%'}/{target['averageUtilization']}%"
    average = at(target, "averageValue")
    wanted = average if average is not None else at(target, "value")
    value = at(now, "averageValue") if average is not None else at(now, "value")
    tail = " (avg)" if average is not None and kind in {"External", "Object"} else ""
    return f"{name}{value or '<unknown>'}/{wanted}{tail}"


def _autoscaler(obj: Obj, now: datetime) -> Cells:
    spec = obj.get("spec")
    percent = at(spec, "targetCPUUtilizationPercentage")
    if percent is not None:
        used = at(obj, "status", "currentCPUUtilizationPercentage")
        targets = [f"cpu: {'<unknown>' if used is None else f'{used}%'}/{percent}%"]
    else:
        current = items_at(obj, "status", "currentMetrics")
        metrics = items_at(spec, "metrics")
        targets = [_metric(item, current[i] if i < len(current) else None) for i, item in enumerate(metrics)]
    more = f" + {len(targets) - 2} more..." if len(targets) > 2 else ""
    low = at(spec, "minReplicas")
    return [
        name_of(obj),
        f"{at(spec, 'scaleTargetRef', 'kind')}/{at(spec, 'scaleTargetRef', 'name')}",
        ", ".join(targets[:2]) + more if targets else "<none>",
        "<unset>" if low is None else str(low),
        number_at(spec, "maxReplicas"),
        number_at(obj, "status", "currentReplicas"),
        age_of(obj, now),
    ]


def _scale(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), number_at(obj, "spec", "replicas"), number_at(obj, "status", "replicas"), age_of(obj, now)]


def _priority_class(obj: Obj, now: datetime) -> Cells:
    default = obj.get("globalDefault") is True
    return [name_of(obj), number_at(obj, "value"), default, age_of(obj, now), obj.get("preemptionPolicy") or ""]


# --------------------------------------------------------------------------------------------------------------------- access


def _role(obj: Obj, _now: datetime) -> Cells:
    return [name_of(obj), at(obj, "metadata", "creationTimestamp") or ""]


def _binding(obj: Obj, now: datetime) -> Cells:
    users, groups, accounts = [], [], []
    for subject in items_at(obj, "subjects"):
        name = str(subject.get("name") or "")
        kind = subject.get("kind")
        if kind == "User":
            users.append(name)
        elif kind == "Group":
            groups.append(name)
        elif kind == "ServiceAccount":
            accounts.append(f"{subject.get('namespace') or ''}/{name}")
    role = f"{at(obj, 'roleRef', 'kind')}/{at(obj, 'roleRef', 'name')}"
    return [name_of(obj), role, age_of(obj, now), ", ".join(users), ", ".join(groups), ", ".join(accounts)]


def _signing_request(obj: Obj, now: datetime) -> Cells:
    spec = obj.get("spec")
    seconds = at(spec, "expirationSeconds")
    kinds = {c.get("type") for c in items_at(obj, "status", "conditions")}
    states = [kind for kind in ("Approved", "Denied") if kind in kinds] or ["Pending"]
    states += ["Failed"] if "Failed" in kinds else []
    states += ["Issued"] if at(obj, "status", "certificate") else []
    return [
        name_of(obj),
        age_of(obj, now),
        at(spec, "signerName") or "<none>",
        at(spec, "username") or "",
        human_duration(seconds) if isinstance(seconds, int) else "<none>",
        ",".join(states),
    ]


def _webhooks(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), size_of(obj, "webhooks"), age_of(obj, now)]


def _admission_policy(obj: Obj, now: datetime) -> Cells:
    kind = at(obj, "spec", "paramKind")
    shown = f"{at(kind, 'apiVersion')}/{at(kind, 'kind')}" if kind else "<unset>"
    return [name_of(obj), len(items_at(obj, "spec", "validations")), shown, age_of(obj, now)]


def _admission_binding(obj: Obj, now: datetime) -> Cells:
    ref = at(obj, "spec", "paramRef")
    where = at(ref, "namespace")
    shown: Any = "<unset>"
    if ref:
        shown = f"{where}/{at(ref, 'name')}" if where else at(ref, "name") or "*"
    return [name_of(obj), at(obj, "spec", "policyName") or "", shown, age_of(obj, now)]


# -------------------------------------------------------------------------------------------------------------------- cluster


def _lease(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), at(obj, "spec", "holderIdentity") or "", age_of(obj, now)]


def _runtime_class(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), obj.get("handler") or "", age_of(obj, now)]


def _revision(obj: Obj, now: datetime) -> Cells:
    owners = items_at(obj, "metadata", "ownerReferences")
    owner = next((item for item in owners if item.get("controller") is True), None)
    shown = "<none>"
    if owner is not None:
        group = str(owner.get("apiVersion") or "").rpartition("/")[0]
        shown = f"{str(owner.get('kind') or '').lower()}{'.' + group if group else ''}/{owner.get('name')}"
    return [name_of(obj), shown, number_at(obj, "revision"), age_of(obj, now)]


def _storage_class(obj: Obj, now: datetime) -> Cells:
    annotations = at(obj, "metadata", "annotations")
    default = at(annotations, "storageclass.kubernetes.io/is-default-class") == "true"
    return [
        name_of(obj) + (" (default)" if default else ""),
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "<unset>",
        obj.get("allowVolumeExpansion") is True,
        age_of(obj, now),
    ]


def _attachment(obj: Obj, now: datetime) -> Cells:
    spec = obj.get("spec")
    volume = at(spec, "source", "persistentVolumeName") or ""
    attached = at(obj, "status", "attached") is True
    return [name_of(obj), at(spec, "attacher") or "", volume, at(spec, "nodeName") or "", attached, age_of(obj, now)]


def _csi_driver(obj: Obj, now: datetime) -> Cells:
    spec = obj.get("spec")
    attach, info = at(spec, "attachRequired"), at(spec, "podInfoOnMount")
    requests = [str(item.get("audience") or "") for item in items_at(spec, "tokenRequests")]
    return [
        name_of(obj),
        True if attach is None else attach,
        info is True,
        at(spec, "storageCapacity") is True,
        joined(requests, "<unset>"),
        at(spec, "requiresRepublish") is True,
        joined(texts_at(spec, "volumeLifecycleModes")),
        age_of(obj, now),
    ]


def _csi_node(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), len(items_at(obj, "spec", "drivers")), age_of(obj, now)]


_WEBHOOKS = Printer(columns("Name, Webhooks:integer, Age"), _webhooks)
_ROLE = Printer(columns("Name, Created At:date"), _role)
_BINDING = Printer(columns("Name, Role, Age, Users*, Groups*, ServiceAccounts*"), _binding)
_ADMISSION, _RBAC, _STORAGE = "admissionregistration.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "Service"): Printer(columns("Name, Type, Cluster-IP, External-IP, Port(s), Age, Selector*"), _service),
    ("", "Endpoints"): Printer(columns("Name, Endpoints, Age"), _endpoints),
    ("discovery.k8s.io", "EndpointSlice"): Printer(columns("Name, AddressType, Ports, Endpoints, Age"), _endpoint_slice),
    ("networking.k8s.io", "Ingress"): Printer(columns("Name, Class, Hosts, Address, Ports, Age"), _ingress),
    ("networking.k8s.io", "IngressClass"): Printer(columns("Name, Controller, Parameters, Age"), _ingress_class),
    ("networking.k8s.io", "NetworkPolicy"): Printer(columns("Name, Pod-Selector, Age"), _network_policy),
    ("policy", "PodDisruptionBudget"): Printer(
        columns("Name, Min Available, Max Unavailable, Allowed Disruptions:integer, Age"), _budget
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): Printer(
        columns("Name, Reference, Targets, MinPods, MaxPods, Replicas, Age"), _autoscaler
    ),
    ("autoscaling", "Scale"): Printer(columns("Name, Desired:integer, Available:integer, Age"), _scale),
    ("scheduling.k8s.io", "PriorityClass"): Printer(
        columns("Name, Value:integer, Global-Default:boolean, Age, PreemptionPolicy"), _priority_class
    ),
    (_RBAC, "Role"): _ROLE,
    (_RBAC, "ClusterRole"): _ROLE,
    (_RBAC, "RoleBinding"): _BINDING,
    (_RBAC, "ClusterRoleBinding"): _BINDING,
    ("certificates.k8s.io", "CertificateSigningRequest"): Printer(
        columns("Name, Age, SignerName, Requestor, RequestedDuration, Condition"), _signing_request
    ),
    (_ADMISSION, "ValidatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): Printer(columns("Name, Validations:integer, ParamKind, Age"), _admission_policy),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): Printer(columns("Name, PolicyName, ParamRef, Age"), _admission_binding),
    ("node.k8s.io", "RuntimeClass"): Printer(columns("Name, Handler, Age"), _runtime_class),
    ("coordination.k8s.io", "Lease"): Printer(columns("Name, Holder, Age"), _lease),
    ("apps", "ControllerRevision"): Printer(columns("Name, Controller, Revision:integer, Age"), _revision),
    (_STORAGE, "StorageClass"): Printer(
        columns("Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age"), _storage_class
    ),
    (_STORAGE, "VolumeAttachment"): Printer(columns("Name, Attacher, PV, Node, Attached, Age"), _attachment),
    (_STORAGE, "CSIDriver"): Printer(
        columns(
            "Name, AttachRequired:boolean, PodInfoOnMount:boolean, StorageCapacity:boolean, TokenRequests,"
            " RequiresRepublish:boolean, Modes, Age"
        ),
        _csi_driver,
    ),
    (_STORAGE, "CSINode"): Printer(columns("Name, Drivers:integer, Age"), _csi_node),
}
"""By group and kind."""
