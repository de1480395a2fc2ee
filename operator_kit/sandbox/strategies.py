"""Where kinds differ in a write: what the server fills in on a create, what a write to status may touch, what counts as a change
of generation, when a deleted object is finished, and what admission demands.
"""

from __future__ import annotations

from typing import Any

from operator_kit.sandbox import metadata
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.schema import assign_service, label_job
from operator_kit.sandbox.status import Cause, forbidden, not_found
from operator_kit.sandbox.world import World

__all__ = [
    "PROTECTED_NAMESPACES",
    "allocate",
    "check_admission",
    "finished",
    "name_rule",
    "prepare_create",
    "prepare_update",
    "strip_create",
]

Object = dict[str, Any]

PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})
# Kinds whose status a create may set (a kubelet registers its node with one).
_STATUS_ON_CREATE = frozenset({"nodes"})
# What a create makes of the status of kinds that never have an empty one.
_FIRST_STATUS: dict[str, Object] = {
    "namespaces": {"phase": "Active"},
    "pods": {"phase": "Pending"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "persistentvolumes": {"phase": "Pending"},
}
# Fields beside metadata and status that do not count as a change of generation.
_TYPE = frozenset({"apiVersion", "kind", "metadata"})


def name_rule(served: Served) -> str:
    """The name rule of a kind."""
    return served.rules.name


def check_admission(world: World, served: Served, namespace: str, name: str) -> None:
    """A namespace must exist, and not be on its way out, before anything is created in it."""
    if not served.namespaced:
        return
    entry = world.storage.store("namespaces").get(namespace)
    if entry is None:
        raise not_found("", "namespaces", namespace)
    if "deletionTimestamp" in entry.obj["metadata"]:
        cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise forbidden(served.group, served.plural, name, why, [cause])


def strip_create(served: Served, obj: Object) -> None:
    """Take out what a create cannot set, before the object is given its kind's form."""
    meta: Object = obj["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "uid", "creationTimestamp"):
        meta.pop(field, None)
    if served.has_status and served.plural not in _STATUS_ON_CREATE:
        obj.pop("status", None)


def prepare_create(world: World, served: Served, obj: Object) -> None:
    """Fill in what is the server's to say."""
    meta: Object = obj["metadata"]
    meta["uid"] = metadata.new_uid()
    meta["creationTimestamp"] = world.now()
    if served.rules.generation:
        meta["generation"] = 1
    if served.plural == "customresourcedefinitions":
        stored = [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]
        obj["status"] = {**(obj.get("status") or {}), "storedVersions": stored}
    if served.kind == "Job" and served.group == "batch":
        label_job(obj)
    if served.custom or served.group:
        return
    first = _FIRST_STATUS.get(served.plural)
    if first is not None:
        obj["status"] = {**(obj.get("status") or {}), **first}
    if served.plural == "namespaces":
        obj["spec"] = {**(obj.get("spec") or {}), "finalizers": ["kubernetes"]}
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name", "")}


def prepare_update(served: Served, obj: Object, live: Object, subresource: str) -> Object:
    """What the write may change, on top of what is stored; the generation is counted up where that is due."""
    if subresource == "status":
        return _status_only(served, obj, live)
    if subresource == "finalize":
        spec = {**(live.get("spec") or {}), "finalizers": (obj.get("spec") or {}).get("finalizers") or []}
        return {**live, "spec": spec, "metadata": {**live["metadata"], "managedFields": obj["metadata"].get("managedFields", [])}}
    if served.has_status:
        if "status" in live:
            obj["status"] = live["status"]
        else:
            obj.pop("status", None)
    if served.group == "" and served.plural == "namespaces":
        finalizers = (live.get("spec") or {}).get("finalizers")
        obj["spec"] = {**(obj.get("spec") or {}), **({"finalizers": finalizers} if finalizers else {})}
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    if served.rules.generation and _counts(served, obj, live):
        obj["metadata"]["generation"] = int(live["metadata"].get("generation", 0)) + 1
    return obj


def _status_only(served: Served, obj: Object, live: Object) -> Object:
    meta = dict(live["metadata"])
    sent = obj["metadata"]
    for field in ("managedFields", "resourceVersion"):
        if field in sent:
            meta[field] = sent[field]
    if not served.custom:
        # A built-in kind's status may bring annotations (and a node's labels) with it.
        for field in ("annotations", "labels", "finalizers") if served.plural == "nodes" else ("annotations",):
            if field in sent:
                meta[field] = sent[field]
            else:
                meta.pop(field, None)
    new = {**live, "metadata": meta}
    if "status" in obj:
        new["status"] = obj["status"]
    else:
        new.pop("status", None)
    return new


def _counts(served: Served, obj: Object, live: Object) -> bool:
    ignored = _TYPE | {"status"} if served.has_status else _TYPE
    return any(obj.get(field) != live.get(field) for field in obj.keys() | live.keys() if field not in ignored)


def finished(served: Served, obj: Object) -> bool:
    """Whether nothing holds a deleted object back any more: no finalizers, no grace period that runs."""
    meta = obj["metadata"]
    if meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    if served.group == "" and served.plural == "namespaces":
        return not (obj.get("spec") or {}).get("finalizers")
    return True


def allocate(world: World, served: Served, obj: Object, old: Object | None) -> list[Cause]:
    """Give out addresses and ports, which only the server can. Returns what was asked for and cannot be had."""
    if served.group or served.kind != "Service":
        return []
    name, namespace = obj["metadata"].get("name"), obj["metadata"].get("namespace")
    others = (entry.obj for entry in world.storage.store("services").scan() if (entry.name, entry.namespace) != (name, namespace))
    return assign_service(obj, old, others)
