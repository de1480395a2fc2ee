"""The rows of workloads: Pods and what makes them."""

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
    human_duration,
    items_at,
    labels_text,
    name_of,
    number_at,
    parse_time,
    selector_text,
    template_cells,
    tristate,
)

__all__ = ["PRINTERS"]


def _pod_status(pod: Obj, now: datetime) -> tuple[str, str, str]:
    """Ready, status and restarts."""
    status = pod.get("status")
    reason = str(at(status, "reason") or at(status, "phase") or "")
    containers, init = items_at(status, "containerStatuses"), items_at(status, "initContainerStatuses")
    total, ready, restarts = len(items_at(pod, "spec", "containers")), 0, 0
    last: datetime | None = None
    initializing = False
    for index, item in enumerate(init):
        restarts += number_at(item, "restartCount")
        ended = at(item, "state", "terminated")
        if isinstance(ended, Mapping) and not ended.get("exitCode"):
            continue
        initializing = True
        waiting = at(item, "state", "waiting", "reason")
        if isinstance(ended, Mapping):
            reason = f"Init:{ended.get('reason') or 'ExitCode:' + str(ended.get('exitCode'))}"
        elif waiting and waiting != "PodInitializing":
            reason = f"Init:{waiting}"
        else:
            reason = f"Init:{index}/{len(items_at(pod, 'spec', 'initContainers'))}"
        break
    if not initializing:
        restarts, running = 0, False
        for item in reversed(containers):
            restarts += number_at(item, "restartCount")
            finished = parse_time(at(item, "lastState", "terminated", "finishedAt"))
            last = max(filter(None, (last, finished)), default=None)
            waiting, ended = at(item, "state", "waiting"), at(item, "state", "terminated")
            if at(waiting, "reason"):
                reason = waiting["reason"]
            elif isinstance(ended, Mapping):
                signal, code = ended.get("signal"), ended.get("exitCode", 0)
                reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
            elif item.get("ready") and at(item, "state", "running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            good = any(c.get("type") == "Ready" and c.get("status") == "True" for c in items_at(status, "conditions"))
            reason = "Running" if good else "NotReady"
    if at(pod, "metadata", "deletionTimestamp"):
        reason = "Unknown" if at(status, "reason") == "NodeLost" else "Terminating"
    text = f"{restarts} ({age(last, now)} ago)" if restarts and last is not None else str(restarts)
    return f"{ready}/{total}", reason, text


def _pod(pod: Obj, now: datetime) -> Cells:
    ready, status, restarts = _pod_status(pod, now)
    gates = items_at(pod, "spec", "readinessGates")
    true = {c.get("type") for c in items_at(pod, "status", "conditions") if c.get("status") == "True"}
    passed = sum(gate.get("conditionType") in true for gate in gates)
    ips = [str(item.get("ip") or "") for item in items_at(pod, "status", "podIPs")]
    return [
        name_of(pod),
        ready,
        status,
        restarts,
        age_of(pod, now),
        (ips[0] if ips else at(pod, "status", "podIP")) or "<none>",
        at(pod, "spec", "nodeName") or "<none>",
        at(pod, "status", "nominatedNodeName") or "<none>",
        f"{passed}/{len(gates)}" if gates else "<none>",
    ]


def _deployment(obj: Obj, now: datetime) -> Cells:
    status = obj.get("status")
    return [
        name_of(obj),
        f"{number_at(status, 'readyReplicas')}/{number_at(obj, 'spec', 'replicas')}",
        number_at(status, "updatedReplicas"),
        number_at(status, "availableReplicas"),
        age_of(obj, now),
        *template_cells(obj, "spec", "template", "spec"),
        selector_text(at(obj, "spec", "selector")),
    ]


def _replica_set(obj: Obj, now: datetime) -> Cells:
    selector = at(obj, "spec", "selector")
    plain = isinstance(selector, Mapping) and not {"matchLabels", "matchExpressions"} & selector.keys()
    return [
        name_of(obj),
        number_at(obj, "spec", "replicas"),
        number_at(obj, "status", "replicas"),
        number_at(obj, "status", "readyReplicas"),
        age_of(obj, now),
        *template_cells(obj, "spec", "template", "spec"),
        labels_text(selector) if plain and obj.get("kind") == "ReplicationController" else selector_text(selector),
    ]


def _stateful_set(obj: Obj, now: datetime) -> Cells:
    ready = f"{number_at(obj, 'status', 'readyReplicas')}/{number_at(obj, 'spec', 'replicas')}"
    return [name_of(obj), ready, age_of(obj, now), *template_cells(obj, "spec", "template", "spec")]


def _daemon_set(obj: Obj, now: datetime) -> Cells:
    fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    return [
        name_of(obj),
        *(number_at(obj, "status", key) for key in fields),
        labels_text(at(obj, "spec", "template", "spec", "nodeSelector")),
        age_of(obj, now),
        *template_cells(obj, "spec", "template", "spec"),
        selector_text(at(obj, "spec", "selector")),
    ]


def _job(obj: Obj, now: datetime) -> Cells:
    true = {c.get("type") for c in items_at(obj, "status", "conditions") if c.get("status") == "True"}
    state = next((name for kind, name in (("Complete", "Complete"), ("Failed", "Failed")) if kind in true), "")
    if not state:
        deleting = bool(at(obj, "metadata", "deletionTimestamp"))
        later = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
        state = "Terminating" if deleting else next((kind for kind in later if kind in true), "Running")
    succeeded, completions = number_at(obj, "status", "succeeded"), at(obj, "spec", "completions")
    parallelism = number_at(obj, "spec", "parallelism")
    wanted = completions if completions is not None else (f"1 of {parallelism}" if parallelism > 1 else 1)
    start, end = parse_time(at(obj, "status", "startTime")), parse_time(at(obj, "status", "completionTime"))
    duration = human_duration(((end or now) - start).total_seconds()) if start is not None else ""
    return [
        name_of(obj),
        state,
        f"{succeeded}/{wanted}",
        duration,
        age_of(obj, now),
        *template_cells(obj, "spec", "template", "spec"),
        selector_text(at(obj, "spec", "selector")),
    ]


def _cron_job(obj: Obj, now: datetime) -> Cells:
    last = parse_time(at(obj, "status", "lastScheduleTime"))
    job = ("spec", "jobTemplate", "spec")
    return [
        name_of(obj),
        at(obj, "spec", "schedule") or "",
        at(obj, "spec", "timeZone") or "<none>",
        tristate(at(obj, "spec", "suspend")),
        len(items_at(obj, "status", "active")),
        age(last, now) if last is not None else "<none>",
        age_of(obj, now),
        *template_cells(obj, *job, "template", "spec"),
        selector_text(at(obj, *job, "selector")),
    ]


_WIDE = "Containers*, Images*, Selector*"
_REPLICAS = columns(f"Name, Desired:integer, Current:integer, Ready:integer, Age, {_WIDE}")

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "Pod"): Printer(columns("Name, Ready, Status, Restarts, Age, IP*, Node*, Nominated Node*, Readiness Gates*"), _pod),
    ("", "ReplicationController"): Printer(_REPLICAS, _replica_set),
    ("apps", "ReplicaSet"): Printer(_REPLICAS, _replica_set),
    ("apps", "Deployment"): Printer(columns(f"Name, Ready, Up-to-date:integer, Available:integer, Age, {_WIDE}"), _deployment),
    ("apps", "StatefulSet"): Printer(columns("Name, Ready, Age, Containers*, Images*"), _stateful_set),
    ("apps", "DaemonSet"): Printer(
        columns(
            "Name, Desired:integer, Current:integer, Ready:integer, Up-to-date:integer, Available:integer,"
            f" Node Selector, Age, {_WIDE}"
        ),
        _daemon_set,
    ),
    ("batch", "Job"): Printer(columns(f"Name, Status, Completions, Duration, Age, {_WIDE}"), _job),
    ("batch", "CronJob"): Printer(
        columns(f"Name, Schedule, Timezone, Suspend:boolean, Active:integer, Last Schedule, Age, {_WIDE}"), _cron_job
    ),
}
"""By group and kind."""
