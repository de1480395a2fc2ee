"""Deployments and ReplicaSets."""

from __future__ import annotations

from operator_kit import codec
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.workloads.hands import Hands, Object, conditions, template_hash
from operator_kit.sandbox.workloads.pods import active, made_from, ready

__all__ = ["deployment", "replica_set"]

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"


def deployment(hands: Hands, entry: Entry) -> None:
    """A Deployment: one ReplicaSet per pod template; older ones go to zero when the new one is ready."""
    spec = entry.obj["spec"]
    if "deletionTimestamp" in entry.obj["metadata"]:
        return
    wanted = spec.get("replicas", 1)
    digest = template_hash(spec["template"])
    owned = hands.children(entry, "replicasets.apps")
    current = next((item for item in owned if item.labels.get(_HASH) == digest), None)
    older = [item for item in owned if item is not current]
    recreate = (spec.get("strategy") or {}).get("type") == "Recreate"
    if not spec.get("paused"):
        if recreate and any(item.obj.get("status", {}).get("replicas") for item in older):
            _scale(hands, older, 0)
        elif current is None:
            _new_replica_set(hands, entry, digest, wanted, len(owned) + 1)
        else:
            _scale(hands, [current], wanted)
            if (current.obj.get("status") or {}).get("readyReplicas", 0) >= wanted:
                _scale(hands, older, 0)
    _deployment_status(hands, entry, current, owned, wanted)


def _scale(hands: Hands, sets: list[Entry], replicas: int) -> None:
    for item in sets:
        if item.obj["spec"].get("replicas", 1) != replicas:
            hands.change("replicasets.apps", item, lambda obj: obj["spec"].update(replicas=replicas))


def _new_replica_set(hands: Hands, entry: Entry, digest: str, replicas: int, revision: int) -> None:
    spec = entry.obj["spec"]
    template: Object = codec.clone(spec["template"])
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), _HASH: digest}
    template["metadata"]["labels"] = labels
    selector: Object = codec.clone(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), _HASH: digest}
    meta = {"name": f"{entry.name}-{digest}", "labels": labels, "annotations": {_REVISION: str(revision)}}
    made = {"metadata": meta, "spec": {"replicas": replicas, "selector": selector, "template": template}}
    hands.create("replicasets.apps", made, owner=entry)


def _deployment_status(hands: Hands, entry: Entry, current: Entry | None, owned: list[Entry], wanted: int) -> None:
    def total(field: str, sets: list[Entry]) -> int:
        return sum((item.obj.get("status") or {}).get(field, 0) for item in sets)

    is_ready = total("readyReplicas", owned)
    updated = total("replicas", [current] if current is not None else [])
    available = is_ready >= wanted
    name = current.name if current is not None else entry.name
    done = available and updated == wanted
    progress = (
        (True, "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        if done
        else (True, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    )
    availability = (
        (True, "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if available
        else (False, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    now = hands.world.now()
    found = conditions(entry, now, Available=availability, Progressing=progress)
    for item in found:
        item.setdefault("lastUpdateTime", now)
    counts = {
        "replicas": total("replicas", owned),
        "updatedReplicas": updated,
        "readyReplicas": is_ready,
        "availableReplicas": is_ready,
        "unavailableReplicas": max(wanted - is_ready, 0),
    }
    _counted(hands, "deployments.apps", entry, counts, conditions=found)


def _counted(hands: Hands, resource: str, entry: Entry, counts: dict[str, int], **more: object) -> None:
    """Write a status of counts: those that are zero are left out, as Go's `omitempty` does."""
    old = entry.obj.get("status") or {}
    status: Object = {"observedGeneration": entry.obj["metadata"].get("generation", 1), **more}
    status |= {name: count for name, count in counts.items() if count or old.get(name)}
    hands.status(resource, entry, status)


def replica_set(hands: Hands, entry: Entry) -> None:
    """A ReplicaSet: as many Pods as it wants."""
    spec = entry.obj["spec"]
    if "deletionTimestamp" in entry.obj["metadata"]:
        return
    wanted = spec.get("replicas", 1)
    present = active(hands.children(entry, "pods"))
    for _ in range(wanted - len(present)):
        made = made_from(spec["template"], generateName=f"{entry.name}-")
        hands.create("pods", made, owner=entry)
    # Those that are not ready go first, as a real controller chooses.
    for item in sorted(present, key=lambda item: ready(item.obj))[: max(len(present) - wanted, 0)]:
        hands.delete("pods", item)
    present = active(hands.children(entry, "pods"))
    is_ready = sum(ready(item.obj) for item in present)
    counts = {"fullyLabeledReplicas": len(present), "readyReplicas": is_ready, "availableReplicas": is_ready}
    _counted(hands, "replicasets.apps", entry, counts, replicas=len(present))
