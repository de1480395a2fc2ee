"""What is wrong with pods and pod templates: containers, ports, environment, volumes, probes, resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.schema.builtin.tools import NEGATIVE, Object, each, named, non_negative, one_of, quantity, sub, text
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.status import Cause
from operator_kit.selectors import label_key_problems, label_value_problems

__all__ = ["pod", "pod_spec", "template_causes"]

_POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL = ("Always", "IfNotPresent", "Never")
_RESTART = ("Always", "OnFailure", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_VALUE_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def pod(obj: Object, old: Object | None) -> list[Cause]:
    """A pod. An update may change little more than images."""
    spec = sub(obj, "spec")
    if old is None:
        return pod_spec(spec, "spec")
    causes = [] if _only_images(spec, sub(old, "spec")) else [fields.forbidden("spec", _POD_UPDATE)]
    for at, container in enumerate(each(spec, "containers")):
        if not text(container, "image"):
            causes.append(fields.required(f"spec.containers[{at}].image"))
    return causes


def _only_images(new: Object, old: Object) -> bool:
    def rest(spec: Object) -> Object:
        free = {
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "schedulingGates",
            "nodeSelector",
            "ephemeralContainers",
        }
        kept = {name: value for name, value in spec.items() if name not in free}
        for name in ("containers", "initContainers"):
            if name in kept:
                kept[name] = [{**container, "image": "", "resources": {}} for container in each(spec, name)]
        return kept

    tolerations = new.get("tolerations") or []
    added_only = all(any(same(item, other) for other in tolerations) for item in old.get("tolerations") or [])
    return added_only and same(rest(new), rest(old)) and same(new.get("nodeName"), old.get("nodeName"))


def template_causes(template: Object, path: str) -> list[Cause]:
    """A pod template: labels, annotations and spec."""
    causes: list[Cause] = []
    meta = sub(template, "metadata")
    for name, value in sub(meta, "labels").items():
        where = fields.child(path, "labels")
        causes += [fields.invalid(where, name, problem) for problem in label_key_problems(name)]
        causes += [fields.invalid(where, value, problem) for problem in label_value_problems(str(value))]
    for name in sub(meta, "annotations"):
        where = fields.child(path, "annotations")
        causes += [fields.invalid(where, name, problem) for problem in label_key_problems(name.lower())]
    return causes + pod_spec(sub(template, "spec"), fields.child(path, "spec"))


def pod_spec(spec: Object, path: str) -> list[Cause]:
    """A pod's spec."""
    volumes, causes = _volumes(each(spec, "volumes"), fields.child(path, "volumes"))
    taken: set[str] = set()
    if not each(spec, "containers"):
        causes.append(fields.required(fields.child(path, "containers")))
    for name in ("containers", "initContainers", "ephemeralContainers"):
        for at, container in enumerate(each(spec, name)):
            where = fields.index(fields.child(path, name), at)
            causes += _container(container, where, volumes, taken, init=name == "initContainers")
    causes += one_of(spec, "restartPolicy", path, _RESTART, needed=True)
    causes += one_of(spec, "dnsPolicy", path, _DNS, needed=True)
    for name, rule in (("hostname", names.dns1123_label), ("subdomain", names.dns1123_label)):
        causes += named(text(spec, name), fields.child(path, name), rule, needed=False)
    for name in ("serviceAccountName", "priorityClassName"):
        causes += named(text(spec, name), fields.child(path, name), names.dns1123_subdomain, needed=False)
    causes += _node_selector(sub(spec, "nodeSelector"), fields.child(path, "nodeSelector"))
    causes += non_negative(spec, path, "terminationGracePeriodSeconds")
    deadline = spec.get("activeDeadlineSeconds")
    if isinstance(deadline, int) and deadline < 1:
        text_ = "must be between 1 and 2147483647, inclusive"
        causes.append(fields.invalid(fields.child(path, "activeDeadlineSeconds"), deadline, text_))
    for at, secret in enumerate(each(spec, "imagePullSecrets")):
        if not text(secret, "name"):
            causes.append(fields.required(fields.child(fields.index(fields.child(path, "imagePullSecrets"), at), "name")))
    return causes


def _node_selector(selector: Mapping[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for name, value in selector.items():
        causes += [fields.invalid(path, name, problem) for problem in label_key_problems(name)]
        causes += [fields.invalid(path, value, problem) for problem in label_value_problems(str(value))]
    return causes


def _volumes(volumes: list[Object], path: str) -> tuple[set[str], list[Cause]]:
    known: set[str] = set()
    causes: list[Cause] = []
    for at, volume in enumerate(volumes):
        where = fields.index(path, at)
        name = text(volume, "name")
        causes += named(name, fields.child(where, "name"), names.dns1123_label)
        if name in known:
            causes.append(fields.duplicate(fields.child(where, "name"), name))
        known.add(name)
        sources = [field for field in volume if field != "name"]
        if not sources:
            causes.append(fields.required(where, "must specify a volume type"))
        causes += [
            fields.forbidden(fields.child(where, extra), "may not specify more than 1 volume type") for extra in sources[1:]
        ]
        for source, field in (
            ("secret", "secretName"),
            ("persistentVolumeClaim", "claimName"),
            ("configMap", "name"),
            ("hostPath", "path"),
        ):
            if source in volume and not text(sub(volume, source), field):
                causes.append(fields.required(fields.child(where, source, field)))
    return known, causes


def _container(container: Object, path: str, volumes: set[str], taken: set[str], *, init: bool) -> list[Cause]:
    name = text(container, "name")
    causes = named(name, fields.child(path, "name"), names.dns1123_label)
    if name in taken:
        causes.append(fields.duplicate(fields.child(path, "name"), name))
    taken.add(name)
    image = text(container, "image")
    if not image:
        causes.append(fields.required(fields.child(path, "image")))
    elif image != image.strip():
        causes.append(fields.invalid(fields.child(path, "image"), image, "must not have leading or trailing whitespace"))
    causes += _ports(each(container, "ports"), fields.child(path, "ports"))
    causes += _environment(each(container, "env"), fields.child(path, "env"))
    causes += _mounts(each(container, "volumeMounts"), fields.child(path, "volumeMounts"), volumes)
    causes += one_of(container, "imagePullPolicy", path, _PULL, needed=True)
    causes += one_of(container, "terminationMessagePolicy", path, ("File", "FallbackToLogsOnError"))
    causes += _resources(sub(container, "resources"), fields.child(path, "resources"))
    sidecar = container.get("restartPolicy") == "Always"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            where = fields.child(path, probe)
            if init and not sidecar:
                causes.append(fields.forbidden(where, "may not be set for init containers without restartPolicy=Always"))
            causes += _probe(sub(container, probe), where, once=probe != "readinessProbe")
    return causes


def _ports(ports: list[Object], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for at, port in enumerate(ports):
        where = fields.index(path, at)
        name = text(port, "name")
        if name:
            problems = names.port_name(name)
            causes += [fields.invalid(fields.child(where, "name"), name, problem) for problem in problems]
            if not problems and name in seen:
                causes.append(fields.duplicate(fields.child(where, "name"), name))
            seen.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            causes.append(fields.required(fields.child(where, "containerPort")))
        elif isinstance(number, int):
            causes += [
                fields.invalid(fields.child(where, "containerPort"), number, problem) for problem in names.port_number(number)
            ]
        host = port.get("hostPort", 0)
        if isinstance(host, int) and host:
            causes += [fields.invalid(fields.child(where, "hostPort"), host, problem) for problem in names.port_number(host)]
        causes += one_of(port, "protocol", where, _PROTOCOLS, needed=True)
    return causes


def _environment(variables: list[Object], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for at, variable in enumerate(variables):
        where = fields.index(path, at)
        causes += named(text(variable, "name"), fields.child(where, "name"), names.env_var_name)
        source = variable.get("valueFrom")
        if isinstance(source, dict):
            there = fields.child(where, "valueFrom")
            given = [name for name in _VALUE_SOURCES if name in source]
            if not given:
                detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
                causes.append(fields.invalid(there, "", detail))
            elif text(variable, "value"):
                causes.append(fields.invalid(there, "", "may not be specified when `value` is not empty"))
            elif len(given) > 1:
                causes.append(fields.invalid(there, "", "may not have more than one field specified at a time"))
            for name in ("configMapKeyRef", "secretKeyRef"):
                if name in source and not text(sub(source, name), "key"):
                    causes.append(fields.required(fields.child(there, name, "key")))
    return causes


def _mounts(mounts: list[Object], path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    points: set[str] = set()
    for at, mount in enumerate(mounts):
        where = fields.index(path, at)
        name, point = text(mount, "name"), text(mount, "mountPath")
        if not name:
            causes.append(fields.required(fields.child(where, "name")))
        elif name not in volumes:
            causes.append(fields.not_found(fields.child(where, "name"), name))
        if not point:
            causes.append(fields.required(fields.child(where, "mountPath")))
        elif point in points:
            causes.append(fields.invalid(fields.child(where, "mountPath"), point, "must be unique"))
        points.add(point)
        below = text(mount, "subPath")
        if below.startswith("/"):
            causes.append(fields.invalid(fields.child(where, "subPath"), below, "must be a relative path"))
        elif ".." in below.split("/"):
            causes.append(fields.invalid(fields.child(where, "subPath"), below, "must not contain '..'"))
    return causes


def _resources(resources: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    limits, requests = sub(resources, "limits"), sub(resources, "requests")
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            where = fields.key(fields.child(path, kind), name)
            number = quantity(amount)
            if number is not None and number < 0:
                causes.append(fields.invalid(where, amount, NEGATIVE))
            if "/" not in name and name not in {"cpu", "memory", "ephemeral-storage"} and not name.startswith("hugepages-"):
                causes.append(fields.invalid(where, name, "must be a standard resource for containers"))
    for name, amount in requests.items():
        limit, wanted = quantity(limits.get(name, "")), quantity(amount)
        if limit is not None and wanted is not None and wanted > limit:
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(fields.invalid(fields.child(path, "requests"), amount, detail))
    return causes


def _probe(probe: Object, path: str, *, once: bool) -> list[Cause]:
    handlers = [name for name in _HANDLERS if name in probe]
    causes = [] if handlers else [fields.required(path, "must specify a handler type")]
    causes += [fields.forbidden(fields.child(path, extra), "may not specify more than 1 handler type") for extra in handlers[1:]]
    names_ = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    causes += non_negative(probe, path, *names_)
    if once and probe.get("successThreshold", 1) != 1:
        causes.append(fields.invalid(fields.child(path, "successThreshold"), probe["successThreshold"], "must be 1"))
    for name in ("httpGet", "tcpSocket"):
        if name in probe:
            causes += _port(sub(probe, name).get("port"), fields.child(path, name, "port"))
    return causes


def _port(port: Any, path: str) -> list[Cause]:
    if isinstance(port, str):
        return [fields.invalid(path, port, problem) for problem in names.port_name(port)]
    number = port if isinstance(port, int) else 0
    return [fields.invalid(path, number, problem) for problem in names.port_number(number)]
