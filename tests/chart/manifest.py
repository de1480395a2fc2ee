"""What Kubernetes would say of a manifest, without a cluster: the published schemas, and the Pod Security Standard "restricted"."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

Object = dict[str, Any]

# Reads and parses a megabyte of definitions for each object otherwise.
utils.schema_contents = functools.cache(utils.schema_contents)

_SEEN: set[str] = set()


def complaints(objects: Iterable[Object], kube_version: str = "1.36") -> list[str]:
    """What the schemas of this Kubernetes refuse, unknown fields included. Kinds that are not built in are passed over."""
    found = []
    for obj in objects:
        key = f"{kube_version} {obj!r}"
        if key in _SEEN:
            continue
        try:
            kubernetes_validate.validate(obj, kube_version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            pass
        except kubernetes_validate.ValidationError as exc:
            found.append(f"{obj['kind']} {obj['metadata']['name']}: {'.'.join(map(str, exc.path))}: {exc.message}")
            continue
        _SEEN.add(key)
    return found


def not_restricted(pod: Object) -> Iterator[str]:
    """What the Pod Security Standard "restricted" refuses in a pod's spec: its controls, one by one."""
    own = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"{name} is set"
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in pod.get("volumes", []):
        if kinds := set(volume) - {"name"} - allowed:
            yield f"volume {volume['name']} is a {', '.join(kinds)}"
    if own.get("sysctls"):
        yield "sysctls are set"
    for container in [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]:
        context, name = container.get("securityContext", {}), container["name"]
        if context.get("privileged"):
            yield f"{name} is privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may escalate its privileges"
        if context.get("runAsNonRoot", own.get("runAsNonRoot")) is not True:
            yield f"{name} may run as root"
        if context.get("runAsUser", own.get("runAsUser")) == 0:
            yield f"{name} runs as user 0"
        profile = context.get("seccompProfile", own.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        capabilities = context.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name} does not drop all capabilities"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name} adds capabilities"
        if context.get("procMount", "Default") != "Default":
            yield f"{name} has a proc mount of its own"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name} takes a port of the host"
