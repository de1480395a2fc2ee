"""What is wrong with core kinds other than pods: Services, ConfigMaps, Secrets, claims, Events, Namespaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.schema.builtin.tools import NEGATIVE, Object, each, one_of, quantity, sub, text, texts
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.status import Cause
from operator_kit.selectors import label_key_problems, label_value_problems

__all__ = ["claim", "config_map", "core_event", "event", "namespace", "quota", "secret", "service"]

_LIMIT = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_IMMUTABLE = "field is immutable when `immutable` is set"


# --------------------------------------------------------------------------- ConfigMap and Secret


def _keys(data: Mapping[str, Any], path: str) -> list[Cause]:
    return [fields.invalid(fields.key(path, name), name, problem) for name in data for problem in names.config_map_key(name)]


def config_map(obj: Object, old: Object | None) -> list[Cause]:
    """A ConfigMap: its keys, its size, and that it stays as it is once it says so."""
    data, binary = sub(obj, "data"), sub(obj, "binaryData")
    causes: list[Cause] = []
    for name in data:
        causes += [fields.invalid(fields.key("data", name), name, problem) for problem in names.config_map_key(name)]
        if name in binary:
            where = fields.key("data", name)
            causes.append(fields.invalid(where, name, "duplicate of key present in binaryData"))
    causes += _keys(binary, "binaryData")
    size = sum(len(str(value).encode("utf-8", "replace")) for value in data.values())
    size += sum(len(str(value)) * 3 // 4 for value in binary.values())
    if size > _LIMIT:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {_LIMIT} bytes", ""))
    return causes + _kept(obj, old, ("data", "binaryData"))


def _kept(obj: Object, old: Object | None, parts: tuple[str, ...]) -> list[Cause]:
    if old is None or old.get("immutable") is not True:
        return []
    causes = []
    if obj.get("immutable") is not True:
        causes.append(fields.forbidden("immutable", _IMMUTABLE))
    causes += [fields.forbidden(part, _IMMUTABLE) for part in parts if not same(old.get(part) or {}, obj.get(part) or {})]
    return causes


def secret(obj: Object, old: Object | None) -> list[Cause]:
    """A Secret: its keys, its size, what its type wants, and that the type never changes."""
    data, kind = sub(obj, "data"), text(obj, "type")
    causes = _keys(data, "data")
    if sum(len(str(value)) * 3 // 4 for value in data.values()) > _LIMIT:
        causes.append(fields.too_long("data", _LIMIT))
    causes += [fields.required(fields.key("data", name)) for name in _SECRET_KEYS.get(kind, ()) if name not in data]
    if kind == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        causes += [fields.required("data[username]"), fields.required("data[password]")]
    if kind == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        if not sub(obj, "metadata", "annotations").get(name):
            causes.append(fields.required(f"metadata.annotations[{name}]"))
    if old is not None:
        causes += fields.immutable("type", kind, text(old, "type"))
    return causes + _kept(obj, old, ("data",))


# --------------------------------------------------------------------------- Service


def service(obj: Object, old: Object | None) -> list[Cause]:
    """A Service; once it has an address, it keeps it."""
    spec, path = sub(obj, "spec"), "spec"
    kind, address = text(spec, "type"), text(spec, "clusterIP")
    ports = each(spec, "ports")
    causes: list[Cause] = []
    if not ports and address != "None" and kind != "ExternalName":
        causes.append(fields.required("spec.ports"))
    causes += _service_ports(ports, kind)
    for name, value in sub(spec, "selector").items():
        causes += [fields.invalid("spec.selector", name, problem) for problem in label_key_problems(name)]
        causes += [fields.invalid("spec.selector", value, problem) for problem in label_value_problems(str(value))]
    causes += one_of(spec, "sessionAffinity", path, ("ClientIP", "None"), needed=True)
    causes += one_of(spec, "type", path, _TYPES, needed=True)
    if kind == "ExternalName":
        host = text(spec, "externalName").removesuffix(".")
        problems = names.dns1123_subdomain(host) if host else []
        causes += [fields.required("spec.externalName")] if not host else []
        causes += [fields.invalid("spec.externalName", host, problem) for problem in problems]
        if address:
            causes.append(fields.forbidden("spec.clusterIPs[0]", "may not be set when `type` is 'ExternalName'"))
    elif kind == "LoadBalancer" and address == "None":
        causes.append(fields.invalid("spec.clusterIPs[0]", address, "may not be set to 'None' for LoadBalancer services"))
    elif kind == "NodePort" and address == "None":
        causes.append(fields.invalid("spec.clusterIPs[0]", address, "may not be set to 'None' for NodePort services"))
    elif address not in {"", "None"} and not _is_ip(address):
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        causes.append(fields.invalid("spec.clusterIPs[0]", address, detail))
    for name in ("externalTrafficPolicy", "internalTrafficPolicy"):
        causes += one_of(spec, name, path, ("Cluster", "Local"))
    return causes + _address_kept(spec, sub(old, "spec") if old is not None else None)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _address_kept(spec: Object, old: Object | None) -> list[Cause]:
    if old is None:
        return []
    before, after = text(old, "clusterIP"), text(spec, "clusterIP")
    external = {text(old, "type"), text(spec, "type")} & {"ExternalName"}
    if external or not before or before == after:
        return []
    return [
        fields.invalid("spec.clusterIPs[0]", texts(spec, "clusterIPs") or ([after] if after else None), "may not change once set")
    ]


def _service_ports(ports: list[Object], kind: str) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    pairs: set[tuple[Any, str]] = set()
    node_ports: set[tuple[Any, str]] = set()
    for at, port in enumerate(ports):
        where = f"spec.ports[{at}]"
        name, number = text(port, "name"), port.get("port", 0)
        if name:
            causes += [fields.invalid(f"{where}.name", name, problem) for problem in names.dns1123_label(name)]
            if name in taken:
                causes.append(fields.duplicate(f"{where}.name", name))
            taken.add(name)
        elif len(ports) > 1:
            causes.append(fields.required(f"{where}.name"))
        if isinstance(number, int):
            causes += [fields.invalid(f"{where}.port", number, problem) for problem in names.port_number(number)]
        causes += one_of(port, "protocol", where, ("SCTP", "TCP", "UDP"), needed=True)
        causes += _target_port(port.get("targetPort"), f"{where}.targetPort")
        pair = (number, text(port, "protocol"))
        if pair in pairs:
            causes.append(fields.duplicate(where, {"protocol": pair[1], "port": number, "targetPort": 0}))
        pairs.add(pair)
        node_port = port.get("nodePort") or 0
        if node_port and kind == "ClusterIP":
            causes.append(fields.forbidden(f"{where}.nodePort", "may not be used when `type` is 'ClusterIP'"))
        if node_port and (node_port, pair[1]) in node_ports:
            causes.append(fields.duplicate(f"{where}.nodePort", node_port))
        node_ports.add((node_port, pair[1]))
    return causes


def _target_port(value: Any, path: str) -> list[Cause]:
    if isinstance(value, str):
        return [fields.invalid(path, value, problem) for problem in names.port_name(value)]
    number = value if isinstance(value, int) else 0
    return [fields.invalid(path, number, problem) for problem in names.port_number(number)]


# --------------------------------------------------------------------------- the rest


def claim(obj: Object, old: Object | None) -> list[Cause]:
    """A PersistentVolumeClaim; after creation only its request can change."""
    spec = sub(obj, "spec")
    modes = texts(spec, "accessModes")
    causes = [] if modes else [fields.required("spec.accessModes", "at least 1 access mode is required")]
    causes += [fields.not_supported("spec.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    requests = sub(spec, "resources", "requests")
    if "storage" not in requests:
        causes.append(fields.required("spec.resources[storage]"))
    else:
        amount = quantity(requests["storage"])
        if amount is not None and amount <= 0:
            where = "spec.resources[storage]"
            causes.append(fields.invalid(where, requests["storage"], "must be greater than zero"))
    if old is not None:
        free = {"resources", "volumeName", "volumeAttributesClassName"}
        before = {name: value for name, value in sub(old, "spec").items() if name not in free}
        after = {name: value for name, value in spec.items() if name not in free}
        if not same(before, after):
            detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
            causes.append(fields.forbidden("spec", detail))
    return causes


def namespace(obj: Object, _: Object | None) -> list[Cause]:
    """A Namespace: its own finalizers."""
    return [
        fields.invalid("spec.finalizers", name, problem)
        for name in texts(sub(obj, "spec"), "finalizers")
        for problem in label_key_problems(name)
    ]


def quota(obj: Object, _: Object | None) -> list[Cause]:
    """A ResourceQuota: no limit below zero."""
    return [
        fields.invalid(fields.key("spec.hard", name), value, NEGATIVE)
        for name, value in sub(obj, "spec", "hard").items()
        if (number := quantity(value)) is not None and number < 0
    ]


def core_event(obj: Object, old: Object | None) -> list[Cause]:
    """A core/v1 Event: old-fashioned ones (no eventTime) need only be in their object's namespace."""
    involved = text(sub(obj, "involvedObject"), "namespace")
    causes = _event_namespace(text(sub(obj, "metadata"), "namespace"), involved, "involvedObject.namespace")
    if obj.get("eventTime") and old is None:
        names_ = ("reportingComponent", "reportingInstance", "action", "reason", "type", "message")
        causes += _new_event(obj, names_)
    return causes


def event(obj: Object, old: Object | None) -> list[Cause]:
    """An events.k8s.io/v1 Event: it says when, who, what and why."""
    regarding = text(sub(obj, "regarding"), "namespace")
    causes = _event_namespace(text(sub(obj, "metadata"), "namespace"), regarding, "involvedObject.namespace")
    if old is None:
        if not obj.get("eventTime"):
            causes.append(fields.required("eventTime"))
        causes += _new_event(obj, ("reportingController", "reportingInstance", "action", "reason", "type", "note"))
    return causes


def _event_namespace(own: str, involved: str, path: str) -> list[Cause]:
    if (involved or "default") == own or (not involved and own in {"default", "kube-system"}):
        return []
    return [fields.invalid(path, involved, "does not match event.namespace")]


def _new_event(obj: Object, named_: tuple[str, ...]) -> list[Cause]:
    controller, instance, action, reason, kind, note = (text(obj, name) for name in named_)
    causes = []
    if not controller:
        causes.append(fields.required("reportingController"))
    causes += [fields.invalid("reportingController", controller, problem) for problem in label_key_problems(controller)]
    if not instance:
        causes.append(fields.required("reportingInstance"))
    for name, value, limit in (
        ("reportingInstance", instance, 128),
        ("action", action, 128),
        ("reason", reason, 128),
        ("message", note, 1024),
    ):
        if not value and name in {"action", "reason"}:
            causes.append(fields.required(name))
        if len(value) > limit:
            causes.append(fields.invalid(name, "", f"can have at most {limit} characters"))
    if kind not in {"Normal", "Warning"}:
        causes.append(fields.invalid("type", "", f"has invalid value: {kind}"))
    return causes
