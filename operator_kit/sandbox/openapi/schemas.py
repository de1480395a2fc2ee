"""OpenAPI schemas: those of built-in kinds, from their shapes, and those of custom resources, from their CRDs.

The names and extensions are the API server's, as clients look for them (`x-kubernetes-group-version-kind`, list types, merge
keys). Built-in kinds carry types and structure; their fields have no descriptions of their own here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from operator_kit.objects import GVK
from operator_kit.sandbox import shapes

__all__ = [
    "META_SCHEMAS",
    "builtin_schema_name",
    "custom_schema",
    "custom_schema_name",
    "gvk_extension",
    "list_schema",
    "schemas_for",
]

Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to"
    f" the latest internal value, and may reject unrecognized values. More info: {_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the"
    f" client submits requests to. Cannot be updated. In CamelCase. More info: {_CONVENTIONS}#types-kinds"
)
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"

_SCALARS: dict[str, Schema] = {
    "s": {"type": "string"},
    "b": {"type": "boolean"},
    "i": {"type": "integer", "format": "int32"},
    "l": {"type": "integer", "format": "int64"},
    "f": {"type": "number", "format": "double"},
    "B": {"type": "string", "format": "byte"},
    "[]s": {"type": "array", "items": {"type": "string"}},
}
_SPECIAL = {
    "Time": f"{_META}.Time",
    "MicroTime": f"{_META}.MicroTime",
    "Fields": f"{_META}.FieldsV1",
    "Quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "IntOrString": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "Raw": "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "JSON": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
}
META_SCHEMAS: dict[str, Schema] = {
    f"{_META}.Time": {"type": "string", "format": "date-time", "description": "A point in time, RFC 3339."},
    f"{_META}.MicroTime": {
        "type": "string",
        "format": "date-time",
        "description": "A point in time with microseconds, RFC 3339.",
    },
    f"{_META}.FieldsV1": {"type": "object", "description": "A set of fields in a trie, in JSON."},
    f"{_META}.Patch": {"type": "object", "description": "A patch of the request's patch type."},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "oneOf": [{"type": "string"}, {"type": "number"}],
        "description": "A number with a decimal or binary suffix: 500m, 1Gi.",
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "oneOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
        "description": "An integer or a text, such as a port's number or name, or a percentage.",
    },
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object", "description": "Any object."},
    _SPECIAL["JSON"]: {"description": "Any JSON value."},
}
"""Schemas of the types that are no message."""

_DESCRIPTIONS = {
    "Namespace": "Namespace provides a scope for Names. Use of multiple namespaces is optional.",
    "ConfigMap": "ConfigMap holds configuration data for pods to consume.",
    "Secret": "Secret holds secret data of a certain type. The values of the Data field are base64.",
    "Service": "Service is a named abstraction of software service consisting of local port and selector.",
    "Pod": "Pod is a collection of containers that can run on a host.",
    "Deployment": "Deployment enables declarative updates for Pods and ReplicaSets.",
    "StatefulSet": "StatefulSet represents a set of pods with consistent identities.",
    "DaemonSet": "DaemonSet represents the configuration of a daemon set.",
    "ReplicaSet": "ReplicaSet ensures that a specified number of pod replicas are running at any given time.",
    "Job": "Job represents the configuration of a single job.",
    "CronJob": "CronJob represents the configuration of a single cron job.",
    "Ingress": "Ingress is a collection of rules that allow inbound connections to reach the endpoints of a backend.",
    "Role": "Role is a namespaced, logical grouping of PolicyRules.",
    "ClusterRole": "ClusterRole is a cluster level, logical grouping of PolicyRules.",
    "Lease": "Lease defines a lease concept.",
    "Event": "Event is a report of an event somewhere in the cluster.",
    "Container": "A single application container that you want to run within a pod.",
    "PodSpec": "PodSpec is a description of a pod.",
    "ObjectMeta": "ObjectMeta is metadata that all persisted resources must have.",
    "CustomResourceDefinition": "CustomResourceDefinition represents a resource that should be exposed on the API server.",
}
_REQUIRED_POINTERS = {"selector", "sideEffects", "pathType", "secretRef"}  # the other fields of this kind are optional


def gvk_extension(gvk: GVK) -> dict[str, str]:
    """`{"group", "version", "kind"}`, as the extension has it."""
    return {"group": gvk.group, "kind": gvk.kind, "version": gvk.version}


def builtin_schema_name(gvk: GVK) -> str | None:
    """The name of a built-in kind's schema, or None for a kind without one."""
    message = shapes.message_for(gvk)
    return message.schema_name if message is not None else None


def custom_schema_name(gvk: GVK) -> str:
    """`com.example.contract.v1.Gadget`: the group backwards, the version and the kind."""
    return ".".join([*reversed(gvk.group.split(".")), gvk.version, gvk.kind])


def schemas_for(roots: Iterable[GVK], extra: Iterable[str] = ()) -> dict[str, Schema]:
    """The schemas of built-in kinds and messages (`extra`), and of everything they refer to."""
    found: dict[str, Schema] = {}
    for gvk in roots:
        message = shapes.message_for(gvk)
        if message is not None:
            schema = _message_schema(message, found)
            _add_type_fields(schema)
            schema["x-kubernetes-group-version-kind"] = [gvk_extension(gvk)]
    for name in extra:
        schema = _message_schema(shapes.message(name), found)
        if name in {"meta.DeleteOptions", "meta.Status"}:
            _add_type_fields(schema)
    return found


def _add_type_fields(schema: Schema) -> None:
    """`apiVersion` and `kind` in front."""
    schema["properties"] = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        **schema.get("properties", {}),
    }


def _message_schema(message: shapes.Message, found: dict[str, Schema]) -> Schema:
    """The schema of a message, entered into `found` with all it refers to."""
    if message.schema_name in found:
        return found[message.schema_name]
    schema: Schema = {"type": "object"}
    found[message.schema_name] = schema
    short = message.name.rpartition(".")[2]
    if short in _DESCRIPTIONS:
        schema["description"] = _DESCRIPTIONS[short]
    if any(item.presence == ">" and (item.type in {"s", "b"} or "schema" in item.name.lower()) for item in message.fields):
        del schema["type"]  # one of the apiextensions unions: any of several forms
        return schema
    properties = {name: _field_schema(item, found) for name, item in message.json_fields.items()}
    if properties:
        schema["properties"] = properties
    required = sorted(name for name, item in message.json_fields.items() if _is_required(item))
    if required:
        schema["required"] = required
    if message.atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _is_required(item: shapes.Field) -> bool:
    return item.presence == "*" or (item.presence == "&" and item.name in _REQUIRED_POINTERS)


def _field_schema(item: shapes.Field, found: dict[str, Schema]) -> Schema:
    base = _type_schema(item.type, found)
    made: Schema
    if item.container == "list":
        made = {"type": "array", "items": base, "x-kubernetes-list-type": item.list_type}
        if item.keys:
            made["x-kubernetes-list-map-keys"] = list(item.keys)
    elif item.container == "map":
        made = {"type": "object", "additionalProperties": base}
        if item.atomic:
            made["x-kubernetes-map-type"] = "atomic"
    else:
        made = {"allOf": [base]} if "$ref" in base else dict(base)
        if item.atomic:
            made["x-kubernetes-map-type"] = "atomic"
        if item.default is not None:
            made["default"] = item.default
        if item.type == "meta.ObjectMeta":
            made["description"] = _METADATA
    if item.strategies:
        made["x-kubernetes-patch-strategy"] = ",".join(sorted(item.strategies))
    if item.merge_key:
        made["x-kubernetes-patch-merge-key"] = item.merge_key
    return made


def _type_schema(kind: str, found: dict[str, Schema]) -> Schema:
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if kind in _SPECIAL:
        name = _SPECIAL[kind]
        found.setdefault(name, META_SCHEMAS[name])
    else:
        name = shapes.message(kind).schema_name
        _message_schema(shapes.message(kind), found)
    return {"$ref": f"#/components/schemas/{name}"}


def list_schema(gvk: GVK, list_kind: str, item: str, plural: str) -> Schema:
    """The schema of a kind's list."""
    return {
        "description": f"{list_kind} is a list of {gvk.kind}",
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "items": {
                "description": f"List of {plural}. More info: {_CONVENTIONS}",
                "items": {"$ref": f"#/components/schemas/{item}"},
                "type": "array",
            },
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {
                "allOf": [{"$ref": f"#/components/schemas/{_META}.ListMeta"}],
                "description": f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds",
            },
        },
        "required": ["items"],
        "type": "object",
        "x-kubernetes-group-version-kind": [gvk_extension(GVK(gvk.group, gvk.version, list_kind))],
    }


# ------------------------------------------------------------------------------------------------------------ custom resources


def custom_schema(gvk: GVK, crd_schema: Mapping[str, Any]) -> Schema:
    """The published schema of a custom resource: its CRD's, with the type fields and metadata of every object."""
    schema = _published(crd_schema) if crd_schema else {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    _add_object_fields(schema)
    schema["x-kubernetes-group-version-kind"] = [gvk_extension(gvk)]
    return schema


def _add_object_fields(schema: Schema) -> None:
    metadata = {"allOf": [{"$ref": f"#/components/schemas/{_META}.ObjectMeta"}], "description": _METADATA}
    schema["properties"] = {
        **schema.get("properties", {}),
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": metadata,
    }


def _published(node: Mapping[str, Any]) -> Schema:
    """A copy of a schema node; an integer or text says so, an embedded resource has an object's fields."""
    made: Schema = {}
    for key, value in node.items():
        if key in {"properties", "patternProperties", "definitions"} and isinstance(value, Mapping):
            made[key] = {name: _published(sub) if isinstance(sub, Mapping) else sub for name, sub in value.items()}
        elif key in {"items", "additionalProperties", "not"} and isinstance(value, Mapping):
            made[key] = _published(value)
        elif key in {"allOf", "anyOf", "oneOf"} and isinstance(value, list):
            made[key] = [_published(sub) if isinstance(sub, Mapping) else sub for sub in value]
        else:
            made[key] = value
    if made.get("x-kubernetes-int-or-string") is True and "anyOf" not in made and "allOf" not in made:
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if made.get("x-kubernetes-embedded-resource") is True:
        _add_object_fields(made)
    return made
