"""StatefulSets and DaemonSets."""

from __future__ import annotations

from operator_kit import codec
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.workloads.hands import Hands, Object, template_hash
from operator_kit.sandbox.workloads.pods import active, made_from, ready

__all__ = ["daemon_set", "stateful_set"]

_REVISION = "controller-revision-hash"


def _ordinal(entry: Entry) -> int:
    tail = entry.name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def stateful_set(hands: Hands, entry: Entry) -> None:
    """A StatefulSet: Pods in order, each with its claims; a new template replaces them from the last to the first."""
    spec = entry.obj["spec"]
    if "deletionTimestamp" in entry.obj["metadata"]:
        return
    wanted = spec.get("replicas", 1)
    revision = f"{entry.name}-{template_hash(spec['template'])}"
    start = (spec.get("ordinals") or {}).get("start", 0)
    owned = {_ordinal(item): item for item in hands.children(entry, "pods")}
    parallel = spec.get("podManagementPolicy") == "Parallel"
    for number in range(start, start + wanted):
        item = owned.get(number)
        if item is None:
            _new_pod(hands, entry, number, revision)
        if not parallel and (item is None or not ready(item.obj) or "deletionTimestamp" in item.obj["metadata"]):
            break
    else:
        _roll(hands, spec, owned, range(start, start + wanted), revision)
    surplus = sorted((number for number in owned if not start <= number < start + wanted), reverse=True)
    for number in surplus if parallel else surplus[:1]:
        if "deletionTimestamp" not in owned[number].obj["metadata"]:
            hands.delete("pods", owned[number])
    _status(hands, entry, revision)


def _roll(hands: Hands, spec: Object, owned: dict[int, Entry], numbers: range, revision: str) -> None:
    """Replace the last Pod of an older revision, when all are ready."""
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete" or not all(ready(item.obj) for item in owned.values()):
        return
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    for number in reversed(numbers[partition:]):
        if number in owned and owned[number].labels.get(_REVISION) != revision:
            hands.delete("pods", owned[number])
            return


def _new_pod(hands: Hands, entry: Entry, number: int, revision: str) -> None:
    spec, name = entry.obj["spec"], f"{entry.name}-{number}"
    volumes = []
    for template in spec.get("volumeClaimTemplates") or ():
        claim = f"{template['metadata']['name']}-{name}"
        labels = (spec.get("selector") or {}).get("matchLabels") or {}
        meta = {"name": claim, "namespace": entry.namespace, "labels": codec.clone(labels)}
        _claim(hands, entry, {"metadata": meta, "spec": codec.clone(template["spec"])})
        volumes.append({"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim}})
    labels = {_REVISION: revision, "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(number)}
    pod = made_from(spec["template"], name=name, labels=labels)
    named = {volume["name"] for volume in volumes}
    pod["spec"]["volumes"] = [item for item in pod["spec"].get("volumes") or () if item["name"] not in named] + volumes
    pod["spec"]["hostname"] = name
    if spec.get("serviceName"):
        pod["spec"]["subdomain"] = spec["serviceName"]
    hands.create("pods", pod, owner=entry)


def _claim(hands: Hands, entry: Entry, claim: Object) -> None:
    """Claims are nobody's children: they outlive the set."""
    if hands.world.storage.store("persistentvolumeclaims").get(f"{entry.namespace}/{claim['metadata']['name']}") is None:
        hands.create("persistentvolumeclaims", claim, namespace=entry.namespace)


def _status(hands: Hands, entry: Entry, revision: str) -> None:
    present = active(hands.children(entry, "pods"))
    updated = [item for item in present if item.labels.get(_REVISION) == revision]
    is_ready = sum(ready(item.obj) for item in present)
    done = len(updated) == len(present)
    old = entry.obj.get("status") or {}
    status = {
        "observedGeneration": entry.obj["metadata"].get("generation", 1),
        "replicas": len(present),
        "availableReplicas": is_ready,
        "updateRevision": revision,
        "currentRevision": revision if done else old.get("currentRevision", revision),
        "collisionCount": 0,
    }
    counts = {"readyReplicas": is_ready, "updatedReplicas": len(updated), "currentReplicas": len(updated)}
    status |= {name: count for name, count in counts.items() if count or old.get(name)}
    hands.status("statefulsets.apps", entry, status)


def daemon_set(hands: Hands, entry: Entry) -> None:
    """A DaemonSet: one Pod on each node."""
    spec = entry.obj["spec"]
    if "deletionTimestamp" in entry.obj["metadata"]:
        return
    digest = template_hash(spec["template"])
    nodes = [node.name for node in hands.world.storage.store("nodes").scan()]
    present = active(hands.children(entry, "pods"))
    for node in nodes:
        mine = [item for item in present if item.obj["spec"].get("nodeName") == node]
        if not mine:
            pod = made_from(spec["template"], generateName=f"{entry.name}-", labels={_REVISION: digest})
            pod["spec"]["nodeName"] = node
            hands.create("pods", pod, owner=entry)
        elif (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and mine[0].labels.get(_REVISION) != digest:
            hands.delete("pods", mine[0])
    for item in present:
        if item.obj["spec"].get("nodeName") not in nodes:
            hands.delete("pods", item)
    present = active(hands.children(entry, "pods"))
    is_ready = sum(ready(item.obj) for item in present)
    updated = sum(item.labels.get(_REVISION) == digest for item in present)
    old = entry.obj.get("status") or {}
    status = {
        "observedGeneration": entry.obj["metadata"].get("generation", 1),
        "currentNumberScheduled": len(present),
        "numberMisscheduled": 0,
        "desiredNumberScheduled": len(nodes),
        "numberReady": is_ready,
    }
    counts = {"numberAvailable": is_ready, "updatedNumberScheduled": updated, "numberUnavailable": len(nodes) - is_ready}
    status |= {name: count for name, count in counts.items() if count or old.get(name)}
    hands.status("daemonsets.apps", entry, status)
