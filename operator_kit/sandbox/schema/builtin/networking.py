"""What is wrong with Ingresses and NetworkPolicies."""

from __future__ import annotations

import ipaddress
from typing import Any

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.schema.builtin.tools import Object, each, selector_causes, sub, text, texts
from operator_kit.sandbox.status import Cause

__all__ = ["ingress", "network_policy"]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")
_NO_PEER = "must specify a peer"


def ingress(obj: Object, _: Object | None) -> list[Cause]:
    """An Ingress."""
    spec = sub(obj, "spec")
    causes: list[Cause] = []
    rules = each(spec, "rules")
    if not rules and "defaultBackend" not in spec:
        causes.append(fields.invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if "defaultBackend" in spec:
        causes += _backend(sub(spec, "defaultBackend"), "spec.defaultBackend")
    for at, rule in enumerate(rules):
        causes += _rule(rule, f"spec.rules[{at}]")
    for at, tls in enumerate(each(spec, "tls")):
        for number, host in enumerate(texts(tls, "hosts")):
            problems = names.wildcard_subdomain(host) if "*" in host else names.dns1123_subdomain(host)
            causes += [fields.invalid(f"spec.tls[{at}].hosts[{number}]", host, problem) for problem in problems]
        secret = text(tls, "secretName")
        problems = names.dns1123_subdomain(secret) if secret else []
        causes += [fields.invalid(f"spec.tls[{at}].secretName", secret, problem) for problem in problems]
    name = text(spec, "ingressClassName")
    problems = names.dns1123_subdomain(name) if "ingressClassName" in spec else []
    return causes + [fields.invalid("spec.ingressClassName", name, problem) for problem in problems]


def _rule(rule: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    host = text(rule, "host")
    if host:
        if _is_ip(host):
            causes.append(fields.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        problems = names.wildcard_subdomain(host) if "*" in host else names.dns1123_subdomain(host)
        causes += [fields.invalid(f"{path}.host", host, problem) for problem in problems]
    http = rule.get("http")
    if not isinstance(http, dict):
        return causes
    paths = each(http, "paths")
    if not paths:
        causes.append(fields.required(f"{path}.http.paths"))
    for at, entry in enumerate(paths):
        causes += _path(entry, f"{path}.http.paths[{at}]")
    return causes


def _path(entry: Object, path: str) -> list[Cause]:
    kind, value = text(entry, "pathType"), text(entry, "path")
    if not kind:
        return [fields.required(f"{path}.pathType", "pathType must be specified")]
    causes: list[Cause] = []
    if kind in {"Exact", "Prefix"}:
        if not value.startswith("/"):
            causes.append(fields.invalid(f"{path}.path", value, "must be an absolute path"))
        if value:
            causes += [
                fields.invalid(f"{path}.path", value, f"must not contain '{bad}'") for bad in _BAD_SEQUENCES if bad in value
            ]
            causes += [
                fields.invalid(f"{path}.path", value, f"cannot end with '{bad}'") for bad in _BAD_SUFFIXES if value.endswith(bad)
            ]
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            causes.append(fields.invalid(f"{path}.path", value, "must be an absolute path"))
    else:
        causes.append(fields.not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    return causes + _backend(sub(entry, "backend"), f"{path}.backend")


def _backend(backend: Object, path: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if isinstance(service, dict) and isinstance(resource, dict):
        return [fields.invalid(path, "", "cannot set both resource and service backends")]
    if isinstance(resource, dict):
        return [fields.required(f"{path}.resource.{name}") for name in ("kind", "name") if not text(resource, name)]
    if not isinstance(service, dict):
        return [fields.invalid(path, "", "resource or service backend is required")]
    causes: list[Cause] = []
    name = text(service, "name")
    if not name:
        causes.append(fields.required(f"{path}.service.name"))
    else:
        causes += [fields.invalid(f"{path}.service.name", name, problem) for problem in names.dns1035_label(name)]
    port = sub(service, "port")
    label, number = text(port, "name"), port.get("number") or 0
    if label and number:
        causes.append(fields.invalid(path, "", "cannot set both port name & port number"))
    elif label:
        causes += [fields.invalid(f"{path}.service.port.name", label, problem) for problem in names.port_name(label)]
    elif number:
        causes += [fields.invalid(f"{path}.service.port.number", number, problem) for problem in names.port_number(number)]
    else:
        causes.append(fields.required(path, "port name or number is required"))
    return causes


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def network_policy(obj: Object, _: Object | None) -> list[Cause]:
    """A NetworkPolicy."""
    spec = sub(obj, "spec")
    causes = selector_causes(sub(spec, "podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(each(spec, direction)):
            path = f"spec.{direction}[{at}]"
            for number, port in enumerate(each(rule, "ports")):
                causes += _policy_port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(each(rule, peers)):
                causes += _peer(peer, f"{path}.{peers}[{number}]")
    kinds = texts(spec, "policyTypes")
    if len(kinds) > 2:
        return [*causes, fields.invalid("spec.policyTypes", kinds, "may not specify more than two policyTypes")]
    for at, kind in enumerate(kinds):
        if kind not in {"Ingress", "Egress"}:
            causes.append(fields.not_supported(f"spec.policyTypes[{at}]", kind, ["Ingress", "Egress"]))
    return causes


def _policy_port(port: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    protocol = text(port, "protocol")
    if protocol and protocol not in {"TCP", "UDP", "SCTP"}:
        causes.append(fields.not_supported(f"{path}.protocol", protocol, ["TCP", "UDP", "SCTP"]))
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, str):
        if end is not None:
            causes.append(fields.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        return causes + [fields.invalid(f"{path}.port", number, problem) for problem in names.port_name(number)]
    if not isinstance(number, int):
        return causes + (
            [fields.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")]
            if end is not None
            else []
        )
    causes += [fields.invalid(f"{path}.port", number, problem) for problem in names.port_number(number)]
    if isinstance(end, int):
        if end < number:
            causes.append(fields.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
        causes += [fields.invalid(f"{path}.endPort", end, problem) for problem in names.port_number(end)]
    return causes


def _peer(peer: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if isinstance(peer.get(name), dict)]
    for name in given[:2]:
        if name != "ipBlock":
            causes += selector_causes(sub(peer, name), f"{path}.{name}")
    if "ipBlock" in given:
        causes += _block(sub(peer, "ipBlock"), f"{path}.ipBlock")
    if not given:
        causes.append(fields.required(path, _NO_PEER))
    elif len(given) > 1 and "ipBlock" in given:
        causes.append(fields.forbidden(path, "may not specify both ipBlock and another peer"))
    return causes


def _network(value: str) -> Any:
    try:
        return ipaddress.ip_network(value, strict=False) if "/" in value else None
    except ValueError:
        return None


def _block(block: Object, path: str) -> list[Cause]:
    cidr = text(block, "cidr")
    if not cidr:
        return [fields.required(f"{path}.cidr")]
    wrong = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    whole = _network(cidr)
    if whole is None:
        return [fields.invalid(f"{path}.cidr", cidr, wrong)]
    causes: list[Cause] = []
    for at, part in enumerate(texts(block, "except")):
        network = _network(part)
        where = f"{path}.except[{at}]"
        if network is None:
            causes.append(fields.invalid(where, part, wrong))
        elif network.version != whole.version or not network.subnet_of(whole) or network == whole:
            causes.append(fields.invalid(where, part, "must be a strict subset of `cidr`"))
    return causes
