"""Between the version an object is stored in and the version it is asked for in.

Three cases: a custom resource (conversion None: only the apiVersion differs, then the version's schema prunes and defaults),
Events (`v1` and `events.k8s.io/v1` are one resource with two vocabularies), and HorizontalPodAutoscalers (`v1` and `v2`).
Objects given are never changed; where nothing differs they are returned as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.storage import Entry

__all__ = ["shown", "to_storage"]

Object = dict[str, Any]

# core name -> events.k8s.io name
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_CORE_NAMES = {new: old for old, new in _EVENT_NAMES.items()}
# What each vocabulary always shows, whatever was written.
_CORE_ALWAYS: Object = {
    "eventTime": None,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
    "source": {},
}
_NEW_ALWAYS: Object = {
    "eventTime": None,
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
    "deprecatedSource": {},
}


def _renamed(obj: Object, names: dict[str, str], api_version: str) -> Object:
    renamed = {names.get(key, key): value for key, value in obj.items()}
    renamed["apiVersion"] = api_version
    return renamed


def _event_to_core(obj: Object) -> Object:
    return {**_CORE_ALWAYS, **_renamed(obj, _CORE_NAMES, "v1")}


def _event_from_core(obj: Object) -> Object:
    new = {**_NEW_ALWAYS, **_renamed(obj, _EVENT_NAMES, "events.k8s.io/v1")}
    for empty in ("reportingController", "reportingInstance"):
        if not new.get(empty):
            new.pop(empty, None)
    return new


_SPEC_ANNOTATION = "autoscaling.alpha.kubernetes.io/metrics"


def _hpa_to_v2(obj: Object) -> Object:
    new = codec.clone(obj)
    new["apiVersion"] = "autoscaling/v2"
    spec, status = new.get("spec"), new.get("status")
    metrics: list[Object] = []
    if isinstance(spec, dict) and (target := spec.pop("targetCPUUtilizationPercentage", None)) is not None:
        metrics.append(_cpu(target={"type": "Utilization", "averageUtilization": target}))
    annotations = (new.get("metadata") or {}).get("annotations") or {}
    if (kept := annotations.pop(_SPEC_ANNOTATION, None)) is not None:
        metrics.extend(codec.loads(kept))
    if metrics and isinstance(spec, dict):
        spec["metrics"] = metrics
    if isinstance(status, dict) and (current := status.pop("currentCPUUtilizationPercentage", None)) is not None:
        status["currentMetrics"] = [_cpu(current={"averageUtilization": current})]
    return dict(new)


def _cpu(**what: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", **what}}


def _is_cpu(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    return resource.get("name") == "cpu" and (resource.get("target") or {}).get("averageUtilization") is not None


def _hpa_from_v2(obj: Object) -> Object:
    old = codec.clone(obj)
    old["apiVersion"] = "autoscaling/v1"
    spec, status = old.get("spec") or {}, old.get("status") or {}
    metrics = spec.pop("metrics", None) or []
    cpu = next((metric for metric in metrics if _is_cpu(metric)), None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    others = [metric for metric in metrics if metric is not cpu]
    if others:
        annotations = old["metadata"].setdefault("annotations", {})
        annotations[_SPEC_ANNOTATION] = codec.dumps(others).decode()
    for metric in status.pop("currentMetrics", None) or []:
        current = ((metric.get("resource") or {}).get("current") or {}).get("averageUtilization")
        if (metric.get("resource") or {}).get("name") == "cpu" and current is not None:
            status["currentCPUUtilizationPercentage"] = current
    return dict(old)


_TO: dict[tuple[str, str], Callable[[Object], Object]] = {
    ("v1", "Event"): _event_to_core,
    ("events.k8s.io/v1", "Event"): _event_to_core,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): _hpa_to_v2,
}
_FROM: dict[tuple[str, str], Callable[[Object], Object]] = {
    ("events.k8s.io/v1", "Event"): _event_from_core,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): _hpa_from_v2,
}


def to_storage(served: Served, obj: Object) -> Object:
    """The object in the version it is stored in."""
    convert = _TO.get((served.api_version, served.kind))
    if convert is not None:
        return convert(obj)
    if obj["apiVersion"] != served.storage_version:
        return {**obj, "apiVersion": served.storage_version}
    return obj


def shown(served: Served, entry: Entry) -> Object:
    """A stored object in the version that is served. Shared: not to be changed."""
    return entry.obj if entry.form is served else _from_storage(served, entry.obj)


def _from_storage(served: Served, obj: Object) -> Object:
    convert = _FROM.get((served.api_version, served.kind))
    if convert is not None:
        return convert(obj)
    if served.crd is None:
        return obj
    copy: Object = codec.clone(obj)
    copy["apiVersion"] = served.api_version
    served.crd.schema.prune(copy)
    served.crd.schema.default(copy)
    return copy
