"""Which API server, as whom: finds the configuration and checks it. What is wrong is named with its file and its remedy.

The order is: an explicit file or context; `KUBECONFIG` (several files, joined as kubectl joins them); the pod's service account;
`~/.kube/config`. The merged document goes to the official client, which knows how to authenticate with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml

from operator_kit.codec import clone
from operator_kit.errors import ConfigError, yaml_problem
from operator_kit.settings import suggest

__all__ = ["SERVICE_ACCOUNT", "Source", "find", "from_dict"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# The paths inside a kubeconfig that are relative to the file they stand in.
_PATHS = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
_ENTRY = {"clusters": "cluster", "contexts": "context", "users": "user"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration came from, and what it says.

    Attributes:
        description: `"kubeconfig /home/me/.kube/config, context dev"` or `"the pod's service account"`: for messages.
        document: the merged kubeconfig with absolute paths; None in a pod.
        context: the context's name; empty in a pod.
        namespace: the default namespace.
        files: what was read, so that a change on disk can be noticed.
        service_account: the directory of the pod's service account, in a pod.
        renewable: whether loading again can give new credentials although the files are the same (exec plugin, token file).
        impersonate: the headers that say as whom to act.
        plugin: the program that gives the credentials; empty where none does.
    """

    description: str
    document: dict[str, Any] | None = None
    context: str = ""
    namespace: str = "default"
    files: tuple[Path, ...] = ()
    service_account: Path | None = None
    renewable: bool = False
    impersonate: Mapping[str, str] = field(default_factory=dict)
    plugin: str = ""

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """What changes when one of the files does."""
        stamps = []
        for path in self.files:
            try:
                stat = path.stat()
                stamps.append((stat.st_mtime_ns, stat.st_size))
            except OSError:
                stamps.append((0, -1))  # it is gone just now: that too is a change
        return tuple(stamps)


def find(
    kubeconfig: str = "",
    context: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Source:
    """Find the configuration.

    Args:
        kubeconfig: an explicit file; it must exist.
        context: an explicit context; it rules the pod's service account out.
        environ: the environment (`KUBECONFIG`, `HOME`, `KUBERNETES_SERVICE_HOST`).
        service_account: where a pod finds its token.

    Raises:
        ConfigError: there is none, or the one that counts cannot be used.
    """
    env = os.environ if environ is None else environ
    if kubeconfig:
        return _from_files([Path(kubeconfig).expanduser()], context, "--kubeconfig")
    if env.get("KUBECONFIG"):
        paths = [Path(part).expanduser() for part in env["KUBECONFIG"].split(os.pathsep) if part]
        # kubectl passes over files that are not there; that none is there is a mistake worth telling.
        present = [path for path in paths if path.exists()]
        return _from_files(present or paths, context, "KUBECONFIG")
    in_pod = bool(env.get("KUBERNETES_SERVICE_HOST"))
    if in_pod and not context and (service_account / "token").exists():
        return _in_pod(service_account)
    home = Path(env.get("HOME") or "~").expanduser() / ".kube" / "config"
    if home.exists():
        return _from_files([home], context, "the home directory")
    where = f"the pod has no service account token at {service_account}" if in_pod else "this is not a pod"
    raise ConfigError(
        f"no API server is configured: no --kubeconfig, KUBECONFIG is not set, {where}, and {home} does not exist. "
        "Pass --kubeconfig FILE, or run against the embedded server with --sandbox."
    )


def from_dict(document: Mapping[str, Any], *, context: str = "", origin: str = "the given kubeconfig") -> Source:
    """Use a kubeconfig that is already parsed. Raises ConfigError when it cannot be used."""
    merged = _merge([(Path.cwd(), origin, dict(document))])
    return _checked(merged, context, origin, ())


def _in_pod(directory: Path) -> Source:
    namespace = "default"
    path = directory / "namespace"
    if path.exists():
        try:
            namespace = path.read_text(encoding="utf-8").strip() or namespace
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"the pod's service account: {path} cannot be read: {exc}") from None
    # Both are renewed under a running pod: the token within the hour, the authority when the cluster's is replaced.
    files = (directory / "token", directory / "ca.crt")
    return Source("the pod's service account", namespace=namespace, files=files, service_account=directory, renewable=True)


def _from_files(paths: list[Path], context: str, origin: str) -> Source:
    documents = [(path.absolute().parent, str(path), _read(path, origin)) for path in paths]
    return _checked(_merge(documents), context, "kubeconfig " + os.pathsep.join(str(path) for path in paths), tuple(paths))


def _read(path: Path, origin: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"kubeconfig {path} (from {origin}) does not exist") from None
    except OSError as exc:
        raise ConfigError(f"kubeconfig {path} (from {origin}) cannot be read: {exc.strerror or exc}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"kubeconfig {path} (from {origin}) is not YAML: {yaml_problem(exc)}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"kubeconfig {path} (from {origin}) is not a kubeconfig: it holds a {type(document).__name__}")
    return document


def _merge(documents: list[tuple[Path, str, dict[str, Any]]]) -> dict[str, Any]:
    """As kubectl merges: the first file to name a cluster, user, context or the current context wins."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": ""}
    for section, inner in _ENTRY.items():
        entries: dict[str, dict[str, Any]] = {}
        for base, name, document in documents:
            listed = document.get(section) or []
            if not isinstance(listed, list):
                raise ConfigError(f"{name}: {section} is not a list")
            for entry in listed:
                named = isinstance(entry, dict) and isinstance(entry.get("name"), str)
                if not named or not isinstance(entry.get(inner), dict):
                    raise ConfigError(f"{name}: every entry of {section} needs a name and a {inner}")
                entries.setdefault(entry["name"], _absolute(clone(entry), section, base))
        merged[section] = list(entries.values())
    for _, _, document in documents:
        merged["current-context"] = merged["current-context"] or document.get("current-context") or ""
    return merged


def _absolute(entry: dict[str, Any], section: str, base: Path) -> dict[str, Any]:
    if section in _PATHS:
        inner, fields = _PATHS[section]
        body = entry[inner]
        for name in fields:
            if body.get(name):
                body[name] = str(base / str(body[name]))
        command = body.get("exec", {}).get("command", "") if isinstance(body.get("exec"), dict) else ""
        if os.sep in command:  # a bare command is looked up in PATH
            body["exec"]["command"] = str(base / command)
    return entry


def _checked(document: dict[str, Any], context: str, origin: str, files: tuple[Path, ...]) -> Source:
    contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
    name = context or document["current-context"]
    if not name:
        listed = ", ".join(contexts) or "none"
        raise ConfigError(f"{origin} has no current-context: pass --context (there are: {listed})")
    if name not in contexts:
        hint = suggest(name, contexts) if contexts else "; it has no contexts"
        raise ConfigError(f"{origin} has no context named {name}{hint}")
    chosen = contexts[name]
    for part in ("cluster", "user", "namespace"):
        if not isinstance(chosen.get(part) or "", str):
            raise ConfigError(f"{origin}: the {part} of context {name} is not a name but a {type(chosen[part]).__name__}")
    clusters = {entry["name"]: entry["cluster"] for entry in document["clusters"]}
    users = {entry["name"]: entry["user"] for entry in document["users"]}
    cluster = clusters.get(chosen.get("cluster"))
    if cluster is None:
        raise ConfigError(f"{origin}: context {name} is of cluster {chosen.get('cluster')!r}, which is not defined")
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("http://", "https://")):
        raise ConfigError(f"{origin}: cluster {chosen['cluster']} needs a server, an http or https URL; it has {server!r}")
    if wrong := _wrong_url(server):
        raise ConfigError(f"{origin}: the server of cluster {chosen['cluster']} is no URL: {wrong}")
    user: dict[str, Any] = {}
    if chosen.get("user"):
        if chosen["user"] not in users:
            raise ConfigError(f"{origin}: context {name} is of user {chosen['user']!r}, which is not defined")
        user = users[chosen["user"]]
    for body, fields in ((cluster, _PATHS["clusters"][1]), (user, _PATHS["users"][1])):
        for key in fields:
            path = body.get(key)
            if path and not body.get(f"{key}-data") and not Path(path).is_file():
                raise ConfigError(f"{origin}: {key} {path} does not exist")
    return Source(
        f"{origin}, context {name}",
        document=document,
        context=name,
        namespace=str(chosen.get("namespace") or "default"),
        files=files,
        renewable=any(key in user for key in ("exec", "tokenFile", "auth-provider")),
        impersonate=_impersonation(user),
        plugin=str(user["exec"].get("command") or "") if isinstance(user.get("exec"), dict) else "",
    )


def _wrong_url(url: str) -> str:
    """What is wrong with the URL of a server; empty when nothing is."""
    try:
        parts = urllib3.util.parse_url(url)
        urlsplit(url)
        (parts.host or "").encode("idna")
    except (urllib3.exceptions.LocationParseError, ValueError) as exc:
        return " ".join(str(exc).split())
    if not parts.host:
        return "it names no host"
    if any(char.isspace() for char in parts.host):  # urllib3 takes it before its version 2.8
        return f"Failed to parse: there is a space in the host {parts.host!r}"
    return "a user and password in it are never sent; give them in the user's entry" if parts.auth else ""


def _impersonation(user: Mapping[str, Any]) -> dict[str, str]:
    """The headers that say as whom to act. The official client passes over these fields, which would act with more rights."""
    headers: dict[str, str] = {}
    if user.get("as"):
        headers["Impersonate-User"] = str(user["as"])
        if user.get("as-uid"):
            headers["Impersonate-Uid"] = str(user["as-uid"])
    if user.get("as-groups") or user.get("as-user-extra"):
        raise ConfigError("impersonation of groups (as-groups, as-user-extra) is not supported; impersonate a user alone")
    return headers
