"""Jobs: their Pods run once and succeed."""

from __future__ import annotations

from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.workloads.hands import Hands, Object, conditions
from operator_kit.sandbox.workloads.pods import active, made_from, ready

__all__ = ["job"]


def job(hands: Hands, entry: Entry) -> None:
    """One step of a Job: Pods up to its parallelism, until enough of them have succeeded."""
    meta, spec, status = entry.obj["metadata"], entry.obj["spec"], entry.obj.get("status") or {}
    if "deletionTimestamp" in meta or status.get("completionTime"):
        return
    pods = hands.children(entry, "pods")
    succeeded = sum((item.obj.get("status") or {}).get("phase") == "Succeeded" for item in pods)
    running = active(pods)
    parallelism = 0 if spec.get("suspend") else spec.get("parallelism", 1)
    completions = spec.get("completions")
    # Without a number of completions, the first success ends the Job once its other Pods have ended.
    left = max(completions - succeeded, 0) if completions is not None else (0 if succeeded else parallelism)
    for _ in range(min(parallelism, left) - len(running)):
        hands.create("pods", made_from(spec["template"], generateName=f"{entry.name}-"), owner=entry)
    if spec.get("suspend"):
        for item in running:
            hands.delete("pods", item)
    running = active(hands.children(entry, "pods"))
    now = hands.world.now()
    counts = {"active": len(running), "ready": sum(ready(item.obj) for item in running), "succeeded": succeeded}
    told: Object = {name: count for name, count in counts.items() if count or status.get(name) or name == "ready"}
    if not spec.get("suspend"):
        told["startTime"] = status.get("startTime") or now
    if not running and not left and not spec.get("suspend"):
        message = "Reached expected number of succeeded pods"
        reached = (True, "CompletionsReached", message)
        told |= {"completionTime": now, "conditions": conditions(entry, now, SuccessCriteriaMet=reached, Complete=reached)}
        for item in told["conditions"]:
            item.setdefault("lastProbeTime", now)
    told.setdefault("uncountedTerminatedPods", {})
    told.setdefault("terminating", 0)
    hands.status("jobs.batch", entry, told)
