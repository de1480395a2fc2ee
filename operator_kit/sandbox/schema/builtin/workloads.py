"""What is wrong with workload controllers: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.builtin.cron import cron_problem
from operator_kit.sandbox.schema.builtin.pods import template_causes
from operator_kit.sandbox.schema.builtin.tools import (
    Object,
    int_or_percent,
    labels_of,
    non_negative,
    one_of,
    selector_causes,
    selector_matches,
    selector_struct,
    sub,
    text,
)
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.status import Cause

__all__ = ["cron_job", "daemon_set", "deployment", "job", "replica_set", "stateful_set"]

_MISMATCH = "`selector` does not match template `labels`"
_STATEFUL_UPDATE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_FREE = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)


def _selector(spec: Object, path: str, empty: str, *, needed: bool = True) -> list[Cause]:
    """The selector, and that it selects what the template makes."""
    where = fields.child(path, "selector")
    selector = spec.get("selector")
    causes: list[Cause] = []
    if not isinstance(selector, dict):
        return [fields.required(where)] if needed else []
    causes += selector_causes(selector, where)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return [*causes, fields.invalid(where, selector_struct(selector), empty)]
    labels = labels_of(sub(spec, "template"))
    matches = selector_matches(selector, labels)
    if matches is None:
        causes.append(fields.invalid(where, selector_struct(selector), "invalid label selector"))
    elif not matches:
        there = fields.child(path, "template", "metadata", "labels")
        causes.append(fields.invalid(there, labels or None, _MISMATCH))
    return causes


def _always(spec: Object, path: str, kind: str) -> list[Cause]:
    """What pods of controllers that keep them running must have."""
    pod = sub(spec, "template", "spec")
    where = fields.child(path, "template", "spec")
    causes = []
    if text(pod, "restartPolicy") not in {"", "Always"}:
        causes.append(fields.not_supported(fields.child(where, "restartPolicy"), pod["restartPolicy"], ["Always"]))
    if "activeDeadlineSeconds" in pod:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        causes.append(fields.forbidden(fields.child(where, "activeDeadlineSeconds"), detail))
    return causes


def _selector_kept(new: Object, old: Object | None) -> list[Cause]:
    before = sub(old or {}, "spec", "selector")
    after = sub(new, "spec", "selector")
    if old is None or same(before, after):
        return []
    return [fields.invalid("spec.selector", selector_struct(after), "field is immutable")]


def deployment(obj: Object, old: Object | None) -> list[Cause]:
    """A Deployment; its selector can never change."""
    spec, path = sub(obj, "spec"), "spec"
    causes = non_negative(spec, path, "replicas")
    causes += _selector(spec, path, "empty selector is invalid for deployment")
    causes += template_causes(sub(spec, "template"), "spec.template") + _always(spec, path, "ReplicaSet")
    causes += _deployment_strategy(sub(spec, "strategy"), "spec.strategy")
    causes += non_negative(spec, path, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if isinstance(deadline, int) and isinstance(ready, int) and deadline <= ready:
        causes.append(fields.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes + _selector_kept(obj, old)


def _deployment_strategy(strategy: Object, path: str) -> list[Cause]:
    causes = one_of(strategy, "type", path, ("Recreate", "RollingUpdate"), needed=True)
    rolling = strategy.get("rollingUpdate")
    where = fields.child(path, "rollingUpdate")
    if strategy.get("type") == "Recreate" and isinstance(rolling, dict):
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(fields.forbidden(where, detail))
    elif strategy.get("type") == "RollingUpdate" and isinstance(rolling, dict):
        causes += _rolling(rolling, where, both_zero="may not be 0 when `maxSurge` is 0")
    return causes


def _rolling(rolling: Object, path: str, *, both_zero: str) -> list[Cause]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    where = fields.child(path, "maxUnavailable")
    causes = int_or_percent(unavailable, where) + int_or_percent(surge, fields.child(path, "maxSurge"))
    if unavailable in (0, "0%") and surge in (0, "0%"):
        causes.append(fields.invalid(where, unavailable, both_zero))
    if isinstance(unavailable, str) and unavailable[:-1].isdecimal() and int(unavailable[:-1]) > 100:
        causes.append(fields.invalid(where, unavailable, "must not be greater than 100%"))
    return causes


def replica_set(obj: Object, old: Object | None) -> list[Cause]:
    """A ReplicaSet; its selector can never change."""
    spec, path = sub(obj, "spec"), "spec"
    causes = non_negative(spec, path, "replicas", "minReadySeconds")
    causes += _selector(spec, path, "empty selector is invalid for deployment")
    causes += template_causes(sub(spec, "template"), "spec.template") + _always(spec, path, "ReplicaSet")
    return causes + _selector_kept(obj, old)


def daemon_set(obj: Object, old: Object | None) -> list[Cause]:
    """A DaemonSet; its selector can never change."""
    spec, path = sub(obj, "spec"), "spec"
    causes = _selector(spec, path, "empty selector is invalid for daemonset", needed=False)
    if not isinstance(spec.get("selector"), dict):
        labels = labels_of(sub(spec, "template"))
        causes.append(fields.invalid("spec.template.metadata.labels", labels or None, _MISMATCH))
    causes += template_causes(sub(spec, "template"), "spec.template") + _always(spec, path, "DaemonSet")
    strategy, where = sub(spec, "updateStrategy"), "spec.updateStrategy"
    causes += one_of(strategy, "type", where, ("RollingUpdate", "OnDelete"))
    if isinstance(strategy.get("rollingUpdate"), dict):
        causes += _daemon_rolling(strategy["rollingUpdate"], f"{where}.rollingUpdate")
    causes += non_negative(spec, path, "minReadySeconds", "revisionHistoryLimit")
    return causes + _selector_kept(obj, old)


def _daemon_rolling(rolling: Object, path: str) -> list[Cause]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    causes = int_or_percent(unavailable, f"{path}.maxUnavailable") + int_or_percent(surge, f"{path}.maxSurge")
    zero = (0, "0%", None)
    if unavailable not in zero and surge not in zero:
        detail = "may not be set when maxUnavailable is non-zero"
        causes.append(fields.invalid(f"{path}.maxSurge", surge, detail))
    elif unavailable in zero and surge in zero:
        detail = "cannot be 0 when maxSurge is 0"
        causes.append(fields.required(f"{path}.maxUnavailable", detail))
    return causes


def stateful_set(obj: Object, old: Object | None) -> list[Cause]:
    """A StatefulSet; little of its spec can change."""
    spec, path = sub(obj, "spec"), "spec"
    causes: list[Cause] = []
    policy = text(spec, "podManagementPolicy")
    if policy not in {"OrderedReady", "Parallel"}:
        causes.append(fields.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    strategy = sub(spec, "updateStrategy")
    kind = text(strategy, "type")
    if kind == "OnDelete" and isinstance(strategy.get("rollingUpdate"), dict):
        where, detail = "spec.updateStrategy.rollingUpdate", "only allowed for updateStrategy 'RollingUpdate'"
        causes.append(fields.invalid(where, strategy["rollingUpdate"], detail))
    elif kind not in {"RollingUpdate", "OnDelete"}:
        causes.append(fields.invalid("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'"))
    causes += non_negative(sub(strategy, "rollingUpdate"), "spec.updateStrategy.rollingUpdate", "partition")
    causes += non_negative(spec, path, "replicas", "minReadySeconds", "revisionHistoryLimit")
    causes += _selector(spec, path, "empty selector is invalid for statefulset")
    causes += _stateful_template(spec) + _always(spec, path, "StatefulSet")
    if old is not None:
        before = {name: value for name, value in sub(old, "spec").items() if name not in _STATEFUL_FREE}
        after = {name: value for name, value in spec.items() if name not in _STATEFUL_FREE}
        if not same(_bare(before), _bare(after)):
            causes.append(fields.forbidden("spec", _STATEFUL_UPDATE))
    return causes


def _bare(spec: Object) -> Object:
    """A spec with claim templates as they are told apart: without what the server adds to them."""
    claims = spec.get("volumeClaimTemplates")
    if not isinstance(claims, list):
        return spec
    shown = [{name: value for name, value in claim.items() if name != "status"} for claim in claims if isinstance(claim, dict)]
    return {**spec, "volumeClaimTemplates": shown}


def _stateful_template(spec: Object) -> list[Cause]:
    """The template may mount the volumes that the claim templates will make."""
    template = sub(spec, "template")
    pod = sub(template, "spec")
    claims = [
        {"name": text(sub(claim, "metadata"), "name"), "emptyDir": {}}
        for claim in spec.get("volumeClaimTemplates") or ()
        if isinstance(claim, dict)
    ]
    own = [volume for volume in pod.get("volumes") or () if isinstance(volume, dict)]
    known = {volume.get("name") for volume in own}
    added = [claim for claim in claims if claim["name"] not in known]
    return template_causes({**template, "spec": {**pod, "volumes": [*own, *added]}}, "spec.template")


def _job_spec(spec: Object, path: str) -> list[Cause]:
    counts = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    causes = non_negative(spec, path, *counts)
    causes += one_of(spec, "completionMode", path, ("NonIndexed", "Indexed"))
    if spec.get("completionMode") == "Indexed" and "completions" not in spec:
        detail = "when completion mode is Indexed"
        causes.append(fields.required(fields.child(path, "completions"), detail))
    causes += template_causes(sub(spec, "template"), fields.child(path, "template"))
    if text(sub(spec, "template", "spec"), "restartPolicy") not in {"OnFailure", "Never"}:
        where = fields.child(path, "template", "spec", "restartPolicy")
        causes.append(fields.required(where, 'valid values: "OnFailure", "Never"'))
    return causes


def job(obj: Object, old: Object | None) -> list[Cause]:
    """A Job; what it does cannot change once it is there."""
    spec, path = sub(obj, "spec"), "spec"
    causes = _job_spec(spec, path)
    selector = spec.get("selector")
    if isinstance(selector, dict):
        causes += selector_causes(selector, "spec.selector")
        labels = labels_of(sub(spec, "template"))
        if selector_matches(selector, labels) is False:
            causes.append(fields.invalid("spec.template.metadata.labels", labels or None, _MISMATCH))
    if old is None:
        return causes
    before = sub(old, "spec")
    causes += fields.immutable("spec.completionMode", spec.get("completionMode"), before.get("completionMode"))
    if spec.get("completionMode") != "Indexed":
        causes += fields.immutable("spec.completions", spec.get("completions"), before.get("completions"))
    if not same(spec.get("selector"), before.get("selector")):
        causes.append(fields.invalid("spec.selector", selector_struct(sub(spec, "selector")), "field is immutable"))
    if before.get("suspend") is not True and not same(spec.get("template"), before.get("template")):
        causes.append(fields.invalid("spec.template", spec.get("template"), "field is immutable"))
    return causes


def cron_job(obj: Object, _: Object | None) -> list[Cause]:
    """A CronJob."""
    spec, path = sub(obj, "spec"), "spec"
    causes: list[Cause] = []
    name = text(sub(obj, "metadata"), "name")
    if len(name) > 52:
        causes.append(fields.invalid("metadata.name", name, "must be no more than 52 characters"))
    schedule = text(spec, "schedule")
    if not schedule:
        causes.append(fields.required("spec.schedule"))
    else:
        problem = cron_problem(schedule)
        causes += [fields.invalid("spec.schedule", schedule, problem)] if problem else []
    causes += non_negative(spec, path, "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    causes += one_of(spec, "concurrencyPolicy", path, ("Allow", "Forbid", "Replace"), needed=True)
    template = sub(spec, "jobTemplate", "spec")
    causes += _job_spec(template, "spec.jobTemplate.spec")
    if isinstance(template.get("selector"), dict):
        where, detail = "spec.jobTemplate.spec.selector", "`selector` will be auto-generated"
        causes.append(fields.invalid(where, selector_struct(template["selector"]), detail))
    return causes
