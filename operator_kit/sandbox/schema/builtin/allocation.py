"""What only the server can give out: addresses and ports of Services, the labels by which a Job finds its pods."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.builtin.tools import each, sub, text, texts
from operator_kit.sandbox.status import Cause

__all__ = ["assign_service", "label_job"]

Object = dict[str, Any]

_NETWORK = ipaddress.ip_network("10.0.0.0/16")
_FIRST = 10  # the first addresses of the range are left to those who ask for one by name
_PORTS = range(30000, 32768)
_WITH_ADDRESS = frozenset({"ClusterIP", "NodePort", "LoadBalancer"})
_ADDRESS_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_UID, _NAME = "controller-uid", "job-name"
_PREFIX = "batch.kubernetes.io/"


def assign_service(service: Object, old: Object | None, others: Iterable[Object]) -> list[Cause]:
    """Give a defaulted and valid Service its addresses and node ports, in place. An update keeps what it does not name.

    `old`: the Service as it was; `others`: all Services there are, this one as it was among them or not.
    Returns complaints when what it asks for is taken or out of range.
    """
    spec = service.get("spec")
    if not isinstance(spec, dict):
        return []
    kind = text(spec, "type")
    before = sub(old or {}, "spec")
    if kind not in _WITH_ADDRESS:
        if text(before, "type") in _WITH_ADDRESS and text(spec, "clusterIP") == text(before, "clusterIP"):
            for name in _ADDRESS_FIELDS:
                spec.pop(name, None)
        return []
    if text(before, "type") in _WITH_ADDRESS:
        _keep(spec, before)
    own = sub(service, "metadata")
    rest = [sub(other, "spec") for other in others if not _is_same(sub(other, "metadata"), own)]
    causes = _address(spec, before, rest)
    return causes + (_node_ports(spec, before, rest) if _wants_ports(spec, kind) else [])


def _is_same(left: Object, right: Object) -> bool:
    return left.get("name") == right.get("name") and left.get("namespace") == right.get("namespace")


def _keep(spec: Object, before: Object) -> None:
    for name in _ADDRESS_FIELDS:
        if not spec.get(name) and before.get(name):
            spec[name] = before[name]
    if text(spec, "type") not in {"NodePort", "LoadBalancer"}:
        return
    known = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in each(before, "ports")}
    for port in each(spec, "ports"):
        number = known.get((port.get("port"), port.get("protocol")))
        if not port.get("nodePort") and number:
            port["nodePort"] = number


def _address(spec: Object, before: Object, rest: list[Object]) -> list[Cause]:
    address = text(spec, "clusterIP") or next(iter(texts(spec, "clusterIPs")), "")
    causes: list[Cause] = []
    if address == "None":
        spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
        if not spec.get("selector"):
            spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
    else:
        taken = {text(other, "clusterIP") for other in rest}
        if not address:
            address = next(free for free in _addresses() if free not in taken)
        elif address != text(before, "clusterIP"):
            causes += _claimed(address, taken)
        spec["clusterIP"] = address
        spec["clusterIPs"] = texts(spec, "clusterIPs") or [address]
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv6" if ":" in address else "IPv4"]
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = "SingleStack"
    return causes


def _addresses() -> Iterator[str]:
    start = int(_NETWORK.network_address)
    for offset in range(_FIRST, _NETWORK.num_addresses - 1):
        yield str(ipaddress.ip_address(start + offset))


def _claimed(address: str, taken: set[str]) -> list[Cause]:
    path, value = "spec.clusterIPs", [address]
    if address in taken:
        detail = f"failed to allocate IP {address}: provided IP is already allocated"
        return [fields.invalid(path, value, detail)]
    if ":" not in address and ipaddress.ip_address(address) not in _NETWORK:
        detail = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. "
        return [fields.invalid(path, value, f"{detail}The range of valid IPs is {_NETWORK}")]
    return []


def _wants_ports(spec: Object, kind: str) -> bool:
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def _node_ports(spec: Object, before: Object, rest: list[Object]) -> list[Cause]:
    taken = {(port.get("nodePort"), port.get("protocol")) for other in rest for port in each(other, "ports")}
    mine = {(port.get("nodePort"), port.get("protocol")) for port in each(before, "ports")}
    causes: list[Cause] = []
    for at, port in enumerate(each(spec, "ports")):
        number, protocol = port.get("nodePort"), port.get("protocol")
        where = f"spec.ports[{at}].nodePort"
        if not number:
            number = next((free for free in _PORTS if (free, protocol) not in taken), None)
            if number is None:
                causes.append(fields.internal(where, "failed to allocate a nodePort: range is full"))
                continue
            port["nodePort"] = number
        elif (number, protocol) in taken and (number, protocol) not in mine:
            causes.append(fields.invalid(where, number, "provided port is already allocated"))
        elif number not in _PORTS:
            detail = f"provided port is not in the valid range. The range of valid ports is {_PORTS.start}-{_PORTS.stop - 1}"
            causes.append(fields.invalid(where, number, detail))
        taken.add((number, protocol))
    return causes


def label_job(job: Object) -> None:
    """Give a new Job, which has its uid, the selector and the labels by which it finds its pods, in place.

    A Job with `manualSelector` has brought its own.
    """
    spec = job.get("spec")
    if not isinstance(spec, dict) or spec.get("manualSelector") is True:
        return
    meta = sub(job, "metadata")
    uid, name = text(meta, "uid"), text(meta, "name")
    template = spec.setdefault("template", {})
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels.update({f"{_PREFIX}{_UID}": uid, f"{_PREFIX}{_NAME}": name, _UID: uid, _NAME: name})
    if not isinstance(spec.get("selector"), dict):
        spec["selector"] = {}
    spec["selector"].setdefault("matchLabels", {})[f"{_PREFIX}{_UID}"] = uid
    if not meta.get("labels"):
        meta["labels"] = dict(labels)
