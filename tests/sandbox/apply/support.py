"""A custom kind with every sort of field, and shorthands for writing it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.apply import server_side_apply, update_managed_fields
from operator_kit.sandbox.structure import Structure

API = "contract.example.com/v1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "color": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "names": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": {"type": "integer"},
                            "protocol": {"type": "string", "default": "TCP"},
                            "label": {"type": "string"},
                            "sub": {"type": "object", "properties": {"x": {"type": "integer"}}},
                        },
                    },
                },
                "opts": {"type": "object", "additionalProperties": {"type": "string"}},
                "limits": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"cpu": {"type": "string"}, "mem": {"type": "string"}},
                },
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "mode": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "phase": {"type": "string"},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
                },
            },
        },
    },
}
STRUCTURE = Structure.from_crd_schema(SCHEMA)


def gadget(meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"apiVersion": API, "kind": "Gadget", "metadata": {"name": "a", **(meta or {})}}
    if spec:
        made["spec"] = spec
    return made


class Server:
    """One object, and who wrote what to it; a second passes between writes."""

    def __init__(self, structure: Structure = STRUCTURE) -> None:
        self.structure = structure
        self.obj: dict[str, Any] | None = None
        self.now = NOW

    def apply(self, manager: str, body: dict[str, Any], *, force: bool = False, subresource: str = "") -> dict[str, Any]:
        self.now += timedelta(seconds=1)
        self.obj = server_side_apply(
            self.obj,
            codec.clone(body),
            manager=manager,
            force=force,
            api_version=API,
            kind="Gadget",
            structure=self.structure,
            now=self.now,
            subresource=subresource,
            has_status=True,
        )
        return self.stored()

    def update(self, manager: str, body: dict[str, Any], *, subresource: str = "") -> dict[str, Any]:
        """Replace the object, as a PUT does; without managedFields in the body."""
        self.now += timedelta(seconds=1)
        new = codec.clone(body)
        if self.obj is not None:
            new["metadata"].setdefault("uid", self.obj["metadata"].get("uid"))
        update_managed_fields(
            self.obj,
            new,
            manager=manager,
            api_version=API,
            structure=self.structure,
            now=self.now,
            subresource=subresource,
            has_status=True,
        )
        self.obj = new
        return self.stored()

    def stored(self) -> dict[str, Any]:
        assert self.obj is not None
        self.obj["metadata"].setdefault("uid", "u-1")
        return self.obj

    @property
    def spec(self) -> Any:
        return self.stored().get("spec")

    def fields(self, manager: str, operation: str = "Apply", subresource: str = "") -> Any:
        """The fieldsV1 of a manager, or None."""
        for entry in self.stored()["metadata"].get("managedFields", []):
            if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, subresource):
                return entry["fieldsV1"]
        return None

    def entry(self, manager: str) -> dict[str, Any]:
        entries = self.stored()["metadata"]["managedFields"]
        return next(entry for entry in entries if entry["manager"] == manager)
