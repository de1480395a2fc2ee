"""What the printers of all kinds share: columns, ages as kubectl writes them, and reading objects that may lack anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "Cells",
    "Column",
    "Obj",
    "Printer",
    "age",
    "age_of",
    "at",
    "columns",
    "human_duration",
    "items_at",
    "joined",
    "labels_text",
    "name_of",
    "number_at",
    "parse_time",
    "selector_text",
    "size_of",
    "template_cells",
    "texts_at",
    "tristate",
]

Obj = Mapping[str, Any]
Cells = list[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Priority 0 is always shown, 1 with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Any]:
        """The `TableColumnDefinition`."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Printer:
    """The columns of a kind, and what fills a row."""

    columns: tuple[Column, ...]
    cells: Callable[[Obj, datetime], Cells]


# --------------------------------------------------------------------------------------------------------------------- durations


def parse_time(text: Any) -> datetime | None:
    """An RFC 3339 time, or None."""
    if not isinstance(text, str) or len(text) < 20:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, as kubectl says it; `<unknown>` without a moment."""
    return "<unknown>" if moment is None else human_duration((now - moment).total_seconds())


def human_duration(total: float) -> str:
    """`45s`, `3m10s`, `17m`, `5h12m`, `30h`, `3d4h`, `20d`, `2y40d`, `9y`."""
    seconds = int(total)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


# ----------------------------------------------------------------------------------------------------------------------- reading


def at(obj: Any, *path: str) -> Any:
    """What is at a path of keys, or None."""
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def items_at(obj: Any, *path: str) -> list[Any]:
    """The mappings of a list at a path."""
    found = at(obj, *path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def texts_at(obj: Any, *path: str) -> list[str]:
    """The items of a list at a path, as text."""
    found = at(obj, *path)
    return [str(item) for item in found] if isinstance(found, list) else []


def number_at(obj: Any, *path: str) -> int:
    """The integer at a path, or 0."""
    found = at(obj, *path)
    return found if isinstance(found, int) else 0


def name_of(obj: Obj) -> str:
    """The object's name."""
    return str(at(obj, "metadata", "name") or "")


def age_of(obj: Obj, now: datetime) -> str:
    """The object's age."""
    return age(parse_time(at(obj, "metadata", "creationTimestamp")), now)


def joined(items: list[str], empty: str = "<none>") -> str:
    """The parts with commas between them, or what stands for none."""
    return ",".join(items) if items else empty


def labels_text(labels: Any) -> str:
    """`a=b,c=d`."""
    return joined([f"{key}={labels[key]}" for key in sorted(labels)]) if isinstance(labels, Mapping) else "<none>"


def selector_text(selector: Any) -> str:
    """A label selector as text."""
    if not isinstance(selector, Mapping):
        return "<none>"
    labels = selector.get("matchLabels")
    parts = [f"{key}={labels[key]}" for key in sorted(labels)] if isinstance(labels, Mapping) else []
    for item in items_at(selector, "matchExpressions"):
        values, key = ",".join(sorted(texts_at(item, "values"))), item.get("key")
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": f"{key}", "DoesNotExist": f"!{key}"}
        parts.append(forms.get(str(item.get("operator")), str(key)))
    return joined(parts)


def template_cells(obj: Obj, *path: str) -> Cells:
    """Container names and images of a pod template."""
    containers = items_at(obj, *path, "containers")
    return [",".join(str(item.get(key) or "") for item in containers) for key in ("name", "image")]


def tristate(value: Any) -> str:
    """`True`, `False` or `<unset>`."""
    return str(value) if isinstance(value, bool) else "<unset>"


def size_of(obj: Obj, *keys: str) -> int:
    """How many entries some lists or maps of an object have together."""
    return sum(len(value) for key in keys if isinstance(value := obj.get(key), Mapping | list))


def columns(text: str) -> tuple[Column, ...]:
    """Columns from a line such as `Name, Ready, Restarts:integer, IP*`; the starred ones are wide."""
    made = []
    for part in text.split(", "):
        name, _, kind = part.rstrip("*").partition(":")
        form = "name" if name == "Name" else ""
        made.append(Column(name, kind or "string", form, "", int(part.endswith("*"))))
    return tuple(made)
