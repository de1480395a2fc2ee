"""The shapes of the built-in kinds: field names, numbers, types, list types and merge keys, one text file per API group.

Everything that must know a built-in kind reads it from here: the protobuf decoder (numbers), structured merge and strategic
patches (list types, merge keys), the OpenAPI documents and the field validation (names and types). The facts are those that
the Kubernetes API publishes; nothing else of it is repeated.

The notation of the files, one message after the other, continuation lines indented:

    Name!: field?=number type @strategy:key ="default"; …

- `!` after a message name, or before a type: the struct (or map) is atomic for server-side apply.
- after a field: nothing = left out of JSON when empty; `?` = optional pointer, written whenever set; `*` = required, always
  written; `^` = always written though optional; `&` = the same, null when unset; `~` = left out when all of it is empty;
  `>` = its fields are inlined.
- scalars: `s` string, `b` boolean, `i` int32, `l` int64, `f` float, `B` bytes (base64 in JSON); others: `Time`, `MicroTime`,
  `Quantity`, `IntOrString`, `Raw` (any JSON object), `JSON` (any value), `Fields`; else a message, with its file before the dot
  when it lives in another one.
- lists: `[]T` atomic, `[set]T`, `[a,b]T` a map keyed by `a` and `b`; maps: `{}T` granular, `{!}T` atomic.
- `@merge:key`: the strategic merge patch strategy and merge key.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from operator_kit.objects import GVK

__all__ = ["SCALARS", "Field", "Message", "api_versions", "kinds", "message", "message_for"]

SCALARS = frozenset({"s", "b", "i", "l", "f", "B", "Time", "MicroTime", "Quantity", "IntOrString", "Raw", "JSON", "Fields"})
"""Type tokens that are no message."""

_FILES = {
    "core": "v1",
    "meta": "meta/v1",
    "apps": "apps/v1",
    "batch": "batch/v1",
    "networking": "networking.k8s.io/v1",
    "policy": "policy/v1",
    "rbac": "rbac.authorization.k8s.io/v1",
    "coordination": "coordination.k8s.io/v1",
    "events": "events.k8s.io/v1",
    "discovery": "discovery.k8s.io/v1",
    "autoscaling1": "autoscaling/v1",
    "autoscaling2": "autoscaling/v2",
    "admission": "admissionregistration.k8s.io/v1",
    "authentication": "authentication.k8s.io/v1",
    "authorization": "authorization.k8s.io/v1",
    "storage": "storage.k8s.io/v1",
    "scheduling": "scheduling.k8s.io/v1",
    "certificates": "certificates.k8s.io/v1",
    "node": "node.k8s.io/v1",
    "apiextensions": "apiextensions.k8s.io/v1",
}
_BY_API_VERSION = {api_version: name for name, api_version in _FILES.items()}

_FIELD = re.compile(
    r"(?P<name>[\w$-]+)(?P<presence>[?*^&~>]?)=(?P<number>\d+) "
    r"(?P<container>\[[\w,]*\]|\{!?\})?(?P<atomic>!?)(?P<type>(?:\[\])?[\w.]+)"
    r"(?: @(?P<strategy>[\w,]+)(?::(?P<key>\w+))?)?(?: =(?P<default>.+))?$"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message. `type` is a scalar token or a qualified message name (`"core.PodSpec"`)."""

    name: str
    number: int
    type: str
    presence: str = ""
    container: str = ""  # "", "list" or "map"
    list_type: str = ""  # "atomic", "set" or "map"
    keys: tuple[str, ...] = ()
    atomic: bool = False
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""
    default: Any = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its fields as on the wire (`fields`), and as in JSON, with the inlined ones in place (`json_fields`).

    `always` are the JSON fields that are written even when they are not set.
    """

    name: str
    schema_name: str
    atomic: bool
    fields: tuple[Field, ...]
    json_fields: dict[str, Field] = field(default_factory=dict)
    numbers: dict[int, Field] = field(default_factory=dict)
    always: list[Field] = field(default_factory=list)


def _parse_field(text: str, file: str) -> Field:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise ValueError(f"shapes/{file}.txt: cannot read {text!r}")
    container, list_type, keys = match["container"] or "", "", ()
    atomic = match["atomic"] == "!"
    if container.startswith("["):
        inside = container[1:-1]
        list_type = {"": "atomic", "set": "set"}.get(inside, "map")
        keys = tuple(inside.split(",")) if list_type == "map" else ()
        container = "list"
    elif container:
        atomic = container == "{!}"
        container = "map"
    kind = match["type"]
    if kind not in SCALARS and "." not in kind and not kind.startswith("[]"):
        kind = f"{file}.{kind}"
    return Field(
        name=match["name"],
        number=int(match["number"]),
        type=kind,
        presence=match["presence"],
        container=container,
        list_type=list_type,
        keys=keys,
        atomic=atomic,
        strategies=frozenset((match["strategy"] or "").split(",")) - {""},
        merge_key=match["key"] or "",
        default=json.loads(match["default"]) if match["default"] else None,
    )


@cache
def _load(file: str) -> tuple[str, dict[str, tuple[bool, tuple[Field, ...]]]]:
    """The messages of one file, and the prefix of their names in OpenAPI documents."""
    text = resources.files(__name__).joinpath(f"{file}.txt").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    found: dict[str, tuple[bool, tuple[Field, ...]]] = {}
    for entry in re.sub(r"\n +", " ", body).splitlines():
        name, _, rest = entry.partition(":")
        fields = tuple(_parse_field(part.strip(), file) for part in rest.split(";") if part.strip())
        found[name.rstrip("!")] = (name.endswith("!"), fields)
    return head[2:].partition(":")[0], found


@cache
def message(name: str) -> Message:
    """The message of a qualified name such as `"core.PodSpec"`. Raises `KeyError` for an unknown one."""
    file, _, short = name.partition(".")
    if file not in _FILES:
        raise KeyError(name)
    prefix, found = _load(file)
    atomic, fields = found[short]
    made = Message(name, f"{prefix}.{short}", atomic, fields)
    for item in fields:
        made.numbers[item.number] = item
        if item.presence == ">" and item.container == "":
            if item.type not in SCALARS:
                made.json_fields.update(message(item.type).json_fields)
        elif item.presence != ">":
            made.json_fields[item.name] = item
    made.always.extend(item for item in made.json_fields.values() if _is_always_written(item))
    return made


def _is_always_written(item: Field) -> bool:
    """Go leaves out empty optional scalars, lists, maps and pointers; it never leaves out a struct."""
    if item.presence in {"?", "~"}:
        return False
    return item.presence in {"*", "^", "&"} or not (item.container or item.type in {"s", "b", "i", "l", "f", "B", "Raw", "JSON"})


def message_for(gvk: GVK) -> Message | None:
    """The message of a built-in kind, or None for any other."""
    file = _BY_API_VERSION.get(gvk.api_version)
    if file is None or gvk.kind not in _load(file)[1]:
        return None
    found = message(f"{file}.{gvk.kind}")
    return found if "metadata" in found.json_fields or file == "meta" else None


def api_versions() -> list[str]:
    """The group versions whose shapes are known, `"v1"` first; `meta/v1`, which is served nowhere, is left out."""
    return [api_version for api_version in _FILES.values() if api_version != "meta/v1"]


def kinds(api_version: str) -> list[str]:
    """The kinds (messages with object metadata) of a group version."""
    file = _BY_API_VERSION.get(api_version)
    if file is None:
        return []
    roots = []
    for name, (_, fields) in _load(file)[1].items():
        if any(item.name == "metadata" and item.type == "meta.ObjectMeta" for item in fields) and not name.endswith(
            "TemplateSpec"
        ):
            roots.append(name)
    return roots
