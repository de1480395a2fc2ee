"""The scale subresource: `autoscaling/v1` Scale, read from and written into an object's replicas."""

from __future__ import annotations

from typing import Any

from operator_kit import codec
from operator_kit.sandbox.patch import PatchKind, patch
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.status import Cause, bad_request, invalid
from operator_kit.selectors import LabelSelector

__all__ = ["SERVED", "applied", "check", "patched", "read", "write"]

Object = dict[str, Any]

SERVED = Served("autoscaling", "v1", "Scale", "scales", "scale", namespaced=True)
"""What decodes a Scale in a body."""


def _path(served: Served, name: str, default: str) -> list[str]:
    scale = served.crd.scale if served.crd is not None else None
    path = scale.get(name, "") if scale is not None else default
    return str(path).lstrip(".").split(".") if path else []


def _get(obj: Object, path: list[str]) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if path else None


def read(served: Served, obj: Object) -> Object:
    """The Scale of an object."""
    meta = obj["metadata"]
    shown = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta}
    spec: Object = {}
    replicas = _get(obj, _path(served, "specReplicasPath", ".spec.replicas"))
    if replicas or served.custom:
        spec["replicas"] = replicas or 0
    status: Object = {"replicas": _get(obj, _path(served, "statusReplicasPath", ".status.replicas")) or 0}
    selector = _get(obj, _path(served, "labelSelectorPath", ".spec.selector"))
    if isinstance(selector, dict):
        labels = selector if served.kind == "ReplicationController" else None
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) if labels else _text(selector)
    if selector:
        status["selector"] = selector
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


def _text(selector: Object) -> str:
    try:
        return str(LabelSelector.from_dict(selector))
    except ValueError:
        return ""


def patched(shown: Object, kind: PatchKind, body: bytes) -> Object:
    """A Scale changed by a patch."""
    return patch(kind, codec.clone(shown), body)


def applied(shown: Object, wanted: Object) -> Object:
    """A Scale with the replicas of an applied configuration."""
    spec = wanted.get("spec")
    return {**shown, "spec": {**shown["spec"], **spec} if isinstance(spec, dict) else shown["spec"]}


def check(wanted: Object, name: str) -> None:
    """What a Scale must be. Raises 400 and 422."""
    meta = wanted.get("metadata") or {}
    if not isinstance(meta, dict) or meta.get("name", name) != name:
        given = meta.get("name", "") if isinstance(meta, dict) else ""
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    spec = wanted.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal into Go struct field '
            "ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        text = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid("autoscaling", "Scale", name, [Cause("FieldValueInvalid", text, "spec.replicas")])


def write(served: Served, obj: Object, wanted: Object) -> Object:
    """Put a Scale's replicas into the object (a private copy)."""
    path = _path(served, "specReplicasPath", ".spec.replicas")
    place = obj
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = (wanted.get("spec") or {}).get("replicas", 0)
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    if version:
        obj["metadata"]["resourceVersion"] = version
    return obj
