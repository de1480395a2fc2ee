"""The scheduler, the kubelet and the volume binder in one: Pods get a node, start, become ready and end; claims are bound."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from operator_kit import codec
from operator_kit.objects import controller_of
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.workloads.hands import Hands, Object

__all__ = ["NODE", "active", "claim", "made_from", "make_node", "pod", "ready"]

NODE = "sandbox-node"
_KUBELET = "kubelet"


def make_node(hands: Hands) -> None:
    """The one node there is."""
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    hands.create("nodes", {"metadata": {"name": NODE, "labels": labels}}, manager=_KUBELET)
    entry = hands.world.storage.store("nodes").get(NODE)
    assert entry is not None
    resources = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    now = hands.world.now()
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    if not (entry.obj.get("status") or {}).get("conditions"):
        hands.status(
            "nodes", entry, {"capacity": resources, "allocatable": resources, "conditions": [condition]}, manager=_KUBELET
        )


def pod(hands: Hands, entry: Entry) -> float | None:
    """One step of a Pod's life. Returns seconds until the next, or None."""
    meta, spec, status = entry.obj["metadata"], entry.obj["spec"], entry.obj.get("status") or {}
    if "deletionTimestamp" in meta:
        return _end(hands, entry)
    if status.get("phase") in {"Succeeded", "Failed"}:
        return None
    if not spec.get("nodeName"):
        hands.bind(entry, NODE)
        return hands.delay
    if not ready(entry.obj):
        waited = _seconds_since(hands, meta["creationTimestamp"])
        if waited < hands.delay:
            return hands.delay - max(waited, 0.0)
        hands.status("pods", entry, _running(entry, hands.world.now()), manager=_KUBELET)
        return hands.delay
    owner = controller_of(entry.obj)
    if owner is not None and owner["kind"] == "Job":
        if _seconds_since(hands, status.get("startTime") or meta["creationTimestamp"]) < hands.delay:
            return hands.delay
        hands.status("pods", entry, _succeeded(entry, hands.world.now()), manager=_KUBELET)
    return None


def _end(hands: Hands, entry: Entry) -> float | None:
    """A Pod that is being deleted: its containers stop, then it goes."""
    meta = entry.obj["metadata"]
    if not entry.obj["spec"].get("nodeName") or meta.get("deletionGracePeriodSeconds") == 0:
        return None
    began: float = _seconds_since(hands, meta["deletionTimestamp"]) + meta.get("deletionGracePeriodSeconds", 0)
    if began < hands.delay:
        return hands.delay - max(began, 0.0)
    hands.delete("pods", entry, grace=0)
    return None


def _seconds_since(hands: Hands, moment: str) -> float:
    passed: float = (hands.world.moment() - datetime.fromisoformat(moment)).total_seconds()
    return passed


def _address(entry: Entry) -> str:
    number = int(entry.uid.replace("-", "")[:6], 16)
    return f"10.244.{number >> 8 & 255}.{number & 255}"


def _containers(entry: Entry, state: Object, *, is_ready: bool) -> list[Object]:
    return [
        {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": "",
            "ready": is_ready,
            "started": is_ready,
            "restartCount": 0,
            "state": state,
            "lastState": {},
        }
        for container in entry.obj["spec"].get("containers") or ()
    ]


def _pod_conditions(now: str, *, is_ready: bool) -> list[Object]:
    status = "True" if is_ready else "False"
    kinds = {
        "PodReadyToStartContainers": status,
        "Initialized": "True",
        "Ready": status,
        "ContainersReady": status,
        "PodScheduled": "True",
    }
    reason: Object = {} if is_ready else {"reason": "PodCompleted"}
    return [
        {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": now, **(reason if value == "False" else {})}
        for kind, value in kinds.items()
    ]


def _running(entry: Entry, now: str) -> Object:
    address = _address(entry)
    return {
        "phase": "Running",
        "conditions": _pod_conditions(now, is_ready=True),
        "hostIP": "10.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "containerStatuses": _containers(entry, {"running": {"startedAt": now}}, is_ready=True),
    }


def _succeeded(entry: Entry, now: str) -> Object:
    started = (entry.obj.get("status") or {}).get("startTime", now)
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": now}}
    return {
        "phase": "Succeeded",
        "conditions": _pod_conditions(now, is_ready=False),
        "containerStatuses": _containers(entry, ended, is_ready=False),
    }


def claim(hands: Hands, entry: Entry) -> float | None:
    """A PersistentVolumeClaim is bound to a volume of its own."""
    spec, status = entry.obj["spec"], entry.obj.get("status") or {}
    if "deletionTimestamp" in entry.obj["metadata"] or status.get("phase") == "Bound":
        return None
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
    bound = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": {"storage": size}}
    hands.status("persistentvolumeclaims", entry, bound)
    return None


# --------------------------------------------------------------------------- what the other stand-ins ask of Pods


def ready(obj: Object) -> bool:
    """Whether a Pod is ready."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in (obj.get("status") or {}).get("conditions") or ())


def active(entries: list[Entry]) -> list[Entry]:
    """The Pods that count: neither ended nor on their way out."""
    ended = {"Succeeded", "Failed"}
    return [
        entry
        for entry in entries
        if "deletionTimestamp" not in entry.obj["metadata"] and (entry.obj.get("status") or {}).get("phase") not in ended
    ]


def made_from(template: Object, **metadata: Any) -> Object:
    """A Pod from a template. `metadata` is put over the template's; labels are put together."""
    obj: Object = codec.clone({"metadata": template.get("metadata") or {}, "spec": template["spec"]})
    labels = {**(obj["metadata"].get("labels") or {}), **(metadata.pop("labels", None) or {})}
    obj["metadata"].update(metadata)
    if labels:
        obj["metadata"]["labels"] = labels
    return obj
