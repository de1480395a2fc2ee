"""The rows of the core group's kinds that are no workload, and of Events in both their groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from operator_kit.sandbox.columns.base import (
    Cells,
    Obj,
    Printer,
    age,
    age_of,
    at,
    columns,
    items_at,
    joined,
    labels_text,
    name_of,
    parse_time,
    size_of,
    template_cells,
    texts_at,
)

__all__ = ["PRINTERS"]


# ----------------------------------------------------------------------------------------------------------------------- core


def _config_map(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), size_of(obj, "data", "binaryData"), age_of(obj, now)]


def _secret(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), obj.get("type") or "", size_of(obj, "data"), age_of(obj, now)]


def _service_account(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), size_of(obj, "secrets"), age_of(obj, now)]


def _namespace(obj: Obj, now: datetime) -> Cells:
    return [name_of(obj), at(obj, "status", "phase") or "", age_of(obj, now)]


def _pod_template(obj: Obj, _now: datetime) -> Cells:
    labels = labels_text(at(obj, "template", "metadata", "labels"))
    return [name_of(obj), *template_cells(obj, "template", "spec"), labels]


def _node(obj: Obj, now: datetime) -> Cells:
    ready = next((c.get("status") for c in items_at(obj, "status", "conditions") if c.get("type") == "Ready"), None)
    states = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if at(obj, "spec", "unschedulable") is True:
        states.append("SchedulingDisabled")
    labels = at(obj, "metadata", "labels")
    roles = set()
    for key, value in (labels if isinstance(labels, Mapping) else {}).items():
        if key.startswith("node-role.kubernetes.io/") and key != "node-role.kubernetes.io/":
            roles.add(key.partition("/")[2])
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    addresses = {str(item.get("type")): item.get("address") for item in reversed(items_at(obj, "status", "addresses"))}
    info = at(obj, "status", "nodeInfo")
    return [
        name_of(obj),
        ",".join(states),
        joined(sorted(roles)),
        age_of(obj, now),
        at(info, "kubeletVersion") or "",
        addresses.get("InternalIP") or "<none>",
        addresses.get("ExternalIP") or "<none>",
        at(info, "osImage") or "<unknown>",
        at(info, "kernelVersion") or "<unknown>",
        at(info, "containerRuntimeVersion") or "<unknown>",
    ]


def _event(obj: Obj, now: datetime) -> Cells:
    """Events of both groups: they are the same objects under two names."""
    about = obj.get("involvedObject") or obj.get("regarding")
    first = parse_time(obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime"))
    seen = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    last = parse_time(at(obj, "series", "lastObservedTime") or seen) or first
    count = at(obj, "series", "count") or obj.get("count") or obj.get("deprecatedCount") or 1
    source = obj.get("source") or obj.get("deprecatedSource")
    component = at(source, "component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = at(source, "host") or obj.get("reportingInstance") or ""
    return [
        age(last, now),
        obj.get("type") or "",
        obj.get("reason") or "",
        "/".join(filter(None, (str(at(about, "kind") or "").lower(), at(about, "name") or ""))),
        at(about, "fieldPath") or "",
        ", ".join(filter(None, (component, host))),
        str(obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        count,
        name_of(obj),
    ]


_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(obj: Obj, *path: str) -> str:
    given = set(texts_at(obj, *path))
    return ",".join(short for name, short in _MODES.items() if name in given)


def _claim(obj: Obj, now: datetime) -> Cells:
    phase = "Terminating" if at(obj, "metadata", "deletionTimestamp") else at(obj, "status", "phase") or ""
    volume = at(obj, "spec", "volumeName") or ""
    capacity = at(obj, "status", "capacity", "storage") or "0" if volume else ""
    return [
        name_of(obj),
        phase,
        volume,
        capacity,
        _modes(obj, "status", "accessModes") if volume else "",
        at(obj, "spec", "storageClassName") or "",
        at(obj, "spec", "volumeAttributesClassName") or "<unset>",
        age_of(obj, now),
        at(obj, "spec", "volumeMode") or "<unset>",
    ]


def _volume(obj: Obj, now: datetime) -> Cells:
    claim = at(obj, "spec", "claimRef")
    phase = "Terminating" if at(obj, "metadata", "deletionTimestamp") else at(obj, "status", "phase") or ""
    return [
        name_of(obj),
        at(obj, "spec", "capacity", "storage") or "0",
        _modes(obj, "spec", "accessModes"),
        at(obj, "spec", "persistentVolumeReclaimPolicy") or "",
        phase,
        f"{at(claim, 'namespace') or ''}/{at(claim, 'name') or ''}" if claim else "",
        at(obj, "spec", "storageClassName") or "",
        at(obj, "spec", "volumeAttributesClassName") or "<unset>",
        at(obj, "status", "reason") or "",
        age_of(obj, now),
        at(obj, "spec", "volumeMode") or "<unset>",
    ]


def _quota(obj: Obj, now: datetime) -> Cells:
    hard, used = at(obj, "status", "hard") or {}, at(obj, "status", "used") or {}
    lines: dict[bool, list[str]] = {True: [], False: []}
    for key in sorted(hard) if isinstance(hard, Mapping) else ():
        lines[key.startswith("limits.")].append(f"{key}: {at(used, key) or '0'}/{hard[key]}")
    return [name_of(obj), ", ".join(lines[False]), ", ".join(lines[True]), age_of(obj, now)]


_EVENT = Printer(
    columns("Last Seen, Type, Reason, Object, Subobject*, Source*, Message, First Seen*, Count:integer*, Name*"), _event
)

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "ConfigMap"): Printer(columns("Name, Data, Age"), _config_map),
    ("", "Secret"): Printer(columns("Name, Type, Data, Age"), _secret),
    ("", "ServiceAccount"): Printer(columns("Name, Secrets, Age"), _service_account),
    ("", "Namespace"): Printer(columns("Name, Status, Age"), _namespace),
    ("", "PodTemplate"): Printer(columns("Name, Containers, Images, Pod Labels"), _pod_template),
    ("", "Node"): Printer(
        columns("Name, Status, Roles, Age, Version, Internal-IP*, External-IP*, OS-Image*, Kernel-Version*, Container-Runtime*"),
        _node,
    ),
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT,
    ("", "PersistentVolumeClaim"): Printer(
        columns("Name, Status, Volume, Capacity, Access Modes, StorageClass, VolumeAttributesClass, Age, VolumeMode*"),
        _claim,
    ),
    ("", "PersistentVolume"): Printer(
        columns(
            "Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass, VolumeAttributesClass, Reason,"
            " Age, VolumeMode*"
        ),
        _volume,
    ),
    ("", "ResourceQuota"): Printer(columns("Name, Request, Limit, Age"), _quota),
}
"""By group and kind."""
