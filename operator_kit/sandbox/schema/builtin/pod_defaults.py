"""The defaults that the server writes into pods and pod templates."""

from __future__ import annotations

from typing import Any

from operator_kit.sandbox.schema.builtin.tools import Object, each, sub, text

__all__ = ["default_pod", "default_pod_spec", "default_template"]

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS = (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3))
_MODE = 420  # 0644
_MODE_VOLUMES = ("secret", "configMap", "downwardAPI", "projected")


def default_template(owner: Object, *path: str) -> None:
    """Write defaults into the pod template below a field, where there is one."""
    template = sub(owner, *path)
    if isinstance(template.get("spec"), dict):
        default_pod_spec(template["spec"])


def default_pod(pod: Object) -> None:
    """Write defaults into a pod: those of its spec, and those that templates do not get."""
    spec = sub(pod, "spec")
    if not spec:
        return
    for name in _CONTAINERS[:2]:
        for container in each(spec, name):
            resources = sub(container, "resources")
            limits = sub(resources, "limits")
            if limits:
                resources["requests"] = {**limits, **sub(resources, "requests")}
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork") is True:
        for name in _CONTAINERS[:2]:
            for container in each(spec, name):
                for port in each(container, "ports"):
                    if not port.get("hostPort") and "containerPort" in port:
                        port["hostPort"] = port["containerPort"]
    default_pod_spec(spec)


def default_pod_spec(spec: Object) -> None:
    """Write the defaults that pods and templates share, in place."""
    for name, value in (("dnsPolicy", "ClusterFirst"), ("restartPolicy", "Always"), ("schedulerName", "default-scheduler")):
        _fill(spec, name, value)
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    spec.setdefault("terminationGracePeriodSeconds", 30)
    account = text(spec, "serviceAccountName") or text(spec, "serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for name in _CONTAINERS:
        for container in each(spec, name):
            _container(container)
    for volume in each(spec, "volumes"):
        _volume(volume)


def _fill(obj: Object, name: str, value: Any) -> None:
    """Set a field that is missing or empty."""
    if not obj.get(name):
        obj[name] = value


def _container(container: Object) -> None:
    _fill(container, "imagePullPolicy", "Always" if _is_latest(text(container, "image")) else "IfNotPresent")
    _fill(container, "terminationMessagePath", "/dev/termination-log")
    _fill(container, "terminationMessagePolicy", "File")
    for port in each(container, "ports"):
        _fill(port, "protocol", "TCP")
    for variable in each(container, "env"):
        reference = sub(variable, "valueFrom", "fieldRef")
        if reference:
            _fill(reference, "apiVersion", "v1")
        resource = sub(variable, "valueFrom", "resourceFieldRef")
        if resource:
            _fill(resource, "divisor", "0")
    for name in _PROBES:
        probe = sub(container, name)
        if probe:
            for field, value in _PROBE_DEFAULTS:
                _fill(probe, field, value)
            _http(sub(probe, "httpGet"))
            if "grpc" in probe:
                sub(probe, "grpc").setdefault("service", "")
    for hook in ("postStart", "preStop"):
        _http(sub(container, "lifecycle", hook, "httpGet"))


def _http(action: Object) -> None:
    if action:
        _fill(action, "path", "/")
        _fill(action, "scheme", "HTTP")


def _is_latest(image: str) -> bool:
    """Whether an image name means the newest there is: tagged so, or not tagged at all."""
    if "@" in image:
        return False
    last = image.rpartition("/")[2]
    return ":" not in last or last.endswith(":latest")


def _volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in _MODE_VOLUMES:
        source = volume.get(name)
        if isinstance(source, dict):
            source.setdefault("defaultMode", _MODE)
    for item in each(sub(volume, "downwardAPI"), "items"):
        _field_ref(item)
    for source in each(sub(volume, "projected"), "sources"):
        token = sub(source, "serviceAccountToken")
        if token:
            token.setdefault("expirationSeconds", 3600)
        for item in each(sub(source, "downwardAPI"), "items"):
            _field_ref(item)
    host = volume.get("hostPath")
    if isinstance(host, dict):
        host.setdefault("type", "")
    claim = sub(volume, "ephemeral", "volumeClaimTemplate", "spec")
    if claim:
        claim.setdefault("volumeMode", "Filesystem")
    for name, defaults in _DISKS.items():
        source = volume.get(name)
        if isinstance(source, dict):
            for field, value in defaults.items():
                _fill(source, field, value)


_DISKS: dict[str, dict[str, Any]] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def _field_ref(item: Object) -> None:
    reference = sub(item, "fieldRef")
    if reference:
        _fill(reference, "apiVersion", "v1")
    resource = sub(item, "resourceFieldRef")
    if resource:
        _fill(resource, "divisor", "0")
