"""Settings: default < file < `OPERATOR_KIT_*` environment < flag.

One dataclass holds every setting with its default, its unit and its help; the command line, the environment and the file are made
from it, so that they cannot differ. A setting that cannot be used is refused with its name, its origin and what it may be.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from operator_kit.errors import ConfigError, yaml_problem

__all__ = [
    "ENV_PREFIX",
    "Address",
    "Settings",
    "format_duration",
    "ignored_variables",
    "load",
    "parse_address",
    "parse_duration",
    "suggest",
]

ENV_PREFIX = "OPERATOR_KIT_"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Variables that are neither settings nor mistakes: the test plugin's, and those that Kubernetes makes for Services.
_NO_SETTING = re.compile(r"TEST_.*|.*(_SERVICE_HOST|_SERVICE_PORT(_.+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: Any) -> float:
    """Seconds from a number, a timedelta, or text such as `"30s"`, `"1m30s"`, `"500ms"`, `"2h"`.

    Raises `ValueError` for anything else, for negative values, and for what is not finite.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration")
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float):
        seconds = float(value)
    elif isinstance(value, str):
        text = value.strip()
        try:
            seconds = float(text)
        except ValueError:
            parts = _PART.findall(text)
            if not parts or "".join(number + unit for number, unit in parts) != text:
                raise ValueError(f"{value!r} is not a duration; write seconds, or text such as 30s, 1m30s, 500ms") from None
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise ValueError(f"{value!r} is not a duration; write seconds, text such as 30s, or a timedelta")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is not a duration: it must be zero or more, and finite")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest exact-enough text: `"5ms"`, `"2.5s"`, `"1m30s"`, `"2h"`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms" if seconds else "0s"
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return "".join(f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (secs, "s")) if value)


class Address(NamedTuple):
    """Where to listen. An empty host is every address of the machine; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: Any) -> Address | None:
    """Where to listen, from text such as `":8080"`, `"127.0.0.1:8080"`, `"[::1]:8080"`; None for `"0"` and `""`, which are off.

    Raises `ValueError` for anything else.
    """
    text = str(value).strip()
    if text in {"", "0"}:
        return None
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host != bare
    if (
        not colon
        or not (port.isascii() and port.isdecimal())
        or (":" in bare) != bracketed
        or (bracketed and host != f"[{bare}]")
    ):
        raise ValueError(f"{value!r} is not an address; write :8080, 127.0.0.1:8080 or [::1]:8080, or 0 for off")
    if int(port) > 65535:
        raise ValueError(f"{value!r} is not an address: {port} is not a port; the highest is 65535")
    return Address(bare, int(port))


def _setting(default: Any, help_text: str, *, group: str, kind: str, choices: tuple[str, ...] = ()) -> Any:
    """A field with what the command line and the environment need to know of it; `group` is its heading in `--help`."""
    metadata = {"help": help_text, "group": group, "kind": kind, "choices": choices}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


# The headings of `--help`, in the order of the fields below.
_SERVER = "API server"
_WATCHING = "What is watched"
_RECONCILING = "Reconciling"
_LIFE = "Starting and stopping"
_ENDPOINTS = "Probes and metrics"
_ELECTION = "Leader election"
_LOGS = "Logs and traces"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator process can be told. Durations are seconds."""

    kubeconfig: str = _setting(
        "", "Kubeconfig file; before KUBECONFIG, the pod's service account and ~/.kube/config.", group=_SERVER, kind="text"
    )
    context: str = _setting("", "Context of the kubeconfig.", group=_SERVER, kind="text")
    request_timeout: float = _setting(30.0, "Limit of one call to the API server.", group=_SERVER, kind="duration")
    kube_api_qps: float = _setting(
        0.0,
        "Calls per second that reconciles may make, shared fairly by the controllers; 0 for no limit.",
        group=_SERVER,
        kind="number",
    )
    kube_api_burst: int = _setting(
        30, "With --kube-api-qps: calls that need not wait after a time of quiet.", group=_SERVER, kind="count"
    )

    namespace: tuple[str, ...] = _setting((), "Namespace to watch; repeat for more. Default: all.", group=_WATCHING, kind="names")
    watch: bool = _setting(
        True, "Watch between lists. Without it the operator converges by lists alone.", group=_WATCHING, kind="flag"
    )
    resync: float = _setting(
        1800.0, "How often everything is listed from the API server again; jittered.", group=_WATCHING, kind="duration"
    )
    streaming_lists: bool = _setting(
        False, "List by a watch that begins with all objects; in pages where the server cannot.", group=_WATCHING, kind="flag"
    )

    workers: int = _setting(4, "Reconciles at once, per controller.", group=_RECONCILING, kind="count")
    reconcile_timeout: float = _setting(300.0, "Limit of one reconcile; 0 for none.", group=_RECONCILING, kind="duration")
    backoff_base: float = _setting(
        0.005, "Delay after the first failure of a key; doubles with each.", group=_RECONCILING, kind="duration"
    )
    backoff_max: float = _setting(300.0, "Longest delay between two tries of a failing key.", group=_RECONCILING, kind="duration")

    shutdown_timeout: float = _setting(
        30.0, "How long running reconciles may take to finish after a stop.", group=_LIFE, kind="duration"
    )
    exit_when_idle: bool = _setting(
        False, "End once everything is reconciled and nothing is left to do.", group=_LIFE, kind="flag"
    )
    cache_sync_timeout: float = _setting(
        120.0,
        "With --exit-when-idle: how long the API server and the kinds may take to answer.",
        group=_LIFE,
        kind="duration",
    )

    health_probe_bind_address: str = _setting(
        "0", "Where /livez, /healthz and /readyz are served, such as :8081; 0 for off.", group=_ENDPOINTS, kind="address"
    )
    metrics_bind_address: str = _setting(
        "0", "Where /metrics is served, such as :8080; may be that of the probes; 0 for off.", group=_ENDPOINTS, kind="address"
    )
    metrics_secure: bool = _setting(
        False, "Serve the metrics with TLS: the files below, or a certificate made for this run.", group=_ENDPOINTS, kind="flag"
    )
    metrics_cert_file: str = _setting(
        "", "Certificate and chain, PEM; looked at again, so it can be renewed.", group=_ENDPOINTS, kind="text"
    )
    metrics_key_file: str = _setting("", "Its key, PEM.", group=_ENDPOINTS, kind="text")
    metrics_auth: bool = _setting(
        False, "Let the API server decide whose token may read the metrics.", group=_ENDPOINTS, kind="flag"
    )
    stuck_after: float = _setting(
        3600.0,
        "After how long a reconcile past its own limit makes /livez fail; 0 for never.",
        group=_ENDPOINTS,
        kind="duration",
    )

    leader_elect: bool = _setting(
        False, "Be one of several replicas: only the one that holds the lease reconciles.", group=_ELECTION, kind="flag"
    )
    leader_election_id: str = _setting(
        "", "Name of the lease: the same for all replicas of one operator, and no other's.", group=_ELECTION, kind="text"
    )
    leader_election_namespace: str = _setting(
        "", "Namespace of the lease. Default: POD_NAMESPACE, the pod's own, or the context's.", group=_ELECTION, kind="text"
    )
    leader_election_lease_duration: float = _setting(
        15.0,
        "How long the others leave a leader alone that does not renew; whole seconds.",
        group=_ELECTION,
        kind="duration",
    )
    leader_election_renew_deadline: float = _setting(
        10.0, "How long a leader may write after it sent its last successful renewal.", group=_ELECTION, kind="duration"
    )
    leader_election_retry_period: float = _setting(
        2.0, "How often a leader renews; the others look every one to 2.2 times as long.", group=_ELECTION, kind="duration"
    )
    on_lost_lease: str = _setting(
        "exit",
        "A leader that lost its lease ends, or stands by again once its work has returned.",
        group=_ELECTION,
        kind="choice",
        choices=("exit", "rejoin"),
    )

    log_level: str = _setting(
        "info", "Least level that is logged.", group=_LOGS, kind="choice", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "text", "Text for people, JSON for machines.", group=_LOGS, kind="choice", choices=("text", "json")
    )
    tracing: bool = _setting(
        False, "Trace reconciles with OpenTelemetry; OTEL_* says where to, and can ask for it too.", group=_LOGS, kind="flag"
    )


def _convert(field: dataclasses.Field[Any], value: Any, origin: str) -> Any:
    """One raw value to the field's type; the error names the setting and where it came from."""
    kind, choices = field.metadata["kind"], field.metadata["choices"]
    try:
        if kind == "duration":
            return parse_duration(value)
        if kind == "address":
            return str(parse_address(value) or "0")
        if kind == "count":
            if not str(value).isdecimal() or int(value) < 1:
                raise ValueError(f"{value!r} is not a whole number of 1 or more")
            return int(value)
        if kind == "number":
            try:
                number = -1.0 if isinstance(value, bool) else float(value)
            except (TypeError, ValueError):
                number = -1.0
            if not 0 <= number < math.inf:
                raise ValueError(f"{value!r} is not a number of 0 or more")
            return number
        if kind == "flag":
            if isinstance(value, bool):
                return value
            word = str(value).strip().lower()
            if word not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
                raise ValueError(f"{value!r} is not true or false")
            return word in {"true", "1", "yes", "on"}
        if kind == "names":
            items: Iterable[Any] = [value] if isinstance(value, str) else value
            if not isinstance(items, list | tuple):
                raise ValueError(f"{value!r} is no name and no list of names")
            names = tuple(name for item in items for part in str(item).split(",") if (name := part.strip()))
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{name!r} is not a name: lower-case letters, digits and dashes, 63 characters at most")
            return names
        if kind == "choice":
            word = str(value).strip().lower()
            if word not in choices:
                raise ValueError(f"{value!r} is none of {', '.join(choices)}")
            return word
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not text")
        return value
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"setting {field.name} from {origin}: {exc}") from None


def _from_file(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as exc:
        raise ConfigError(f"settings file {path}: {exc.strerror or exc}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"settings file {path} is not YAML: {yaml_problem(exc)}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"settings file {path}: expected a mapping of settings, found {type(document).__name__}")
    return {str(name).replace("-", "_"): value for name, value in document.items()}


def load(
    *, file: str | Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Put the layers together.

    Args:
        file: a YAML mapping of setting names (dashes or underscores) to values.
        environ: the environment; only `OPERATOR_KIT_*` is read, of that only settings; see `ignored_variables`.
        flags: what the command line was given; None values were not given.

    Returns:
        The settings, and for each name where its value came from (`"default"`, `"file …"`, `"OPERATOR_KIT_…"`, `"--…"`).

    Raises:
        ConfigError: an unknown name in the file, or a value that cannot be used.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    origins = dict.fromkeys(fields, "default")

    def put(name: str, value: Any, origin: str) -> None:
        values[name] = _convert(fields[name], value, origin)
        origins[name] = origin

    if file is not None:
        for name, value in _from_file(Path(file)).items():
            if name not in fields:
                raise ConfigError(f"settings file {file}: no setting is named {name}{suggest(name, fields)}")
            put(name, value, f"file {file}")
    for name in fields:
        variable = ENV_PREFIX + name.upper()
        if environ and environ.get(variable):
            put(name, environ[variable], variable)
    for name, value in (flags or {}).items():
        if value is not None and value != ():
            put(name, value, f"--{name.replace('_', '-')}")
    return Settings(**values), origins


def ignored_variables(environ: Mapping[str, str]) -> list[str]:
    """What is to be said of variables that look like settings and are none: one text for each, with the nearest name."""
    import difflib

    known = [field.name.upper() for field in dataclasses.fields(Settings)]
    out = []
    for variable in sorted(environ):
        name = variable.removeprefix(ENV_PREFIX)
        if name != variable and name not in known and not _NO_SETTING.fullmatch(name):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {ENV_PREFIX}{near[0]}?" if near else "--print-settings shows those there are"
            out.append(f"the variable {variable} is ignored: no setting is named so; {hint}")
    return out


def suggest(word: str, known: Iterable[str]) -> str:
    """`"; did you mean X?"` with the nearest known word, or the list of all when none is near."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
