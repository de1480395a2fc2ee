"""CustomResourceDefinitions from models: one for each kind, with all its versions.

Whatever a server would refuse is refused here, with the model, the field and the remedy, so that what comes out can be installed.
What only a server can judge is left to it: the types and the cost of CEL rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import CoreSchema

from operator_kit.generate.errors import SchemaError
from operator_kit.generate.paths import field_at
from operator_kit.generate.structural import Converter, Schema
from operator_kit.models import Column, CustomResource, Definition, Status, definition_of
from operator_kit.models.base import PROBLEM
from operator_kit.objects import Object

__all__ = ["crds", "schema_of"]

_SHARED = ("plural", "singular", "short_names", "categories", "namespaced")
_SELECTABLE = frozenset({"string", "boolean", "integer"})


def crds(*models: type[CustomResource]) -> list[Object]:
    """The CustomResourceDefinitions of the models' kinds, by name. Models of one group and kind are its versions.

    Raises:
        SchemaError: a model has no form in a CRD, or its versions contradict each other.
    """
    kinds: dict[tuple[str, str], list[type[CustomResource]]] = {}
    for model in dict.fromkeys(models):
        definition = definition_of(model)
        kinds.setdefault((definition.group, definition.kind), []).append(model)
    return sorted((_crd(versions) for versions in kinds.values()), key=lambda crd: str(crd["metadata"]["name"]))


def schema_of(model: type[CustomResource]) -> Schema:
    """The structural schema of a model. Raises `SchemaError`."""
    name = model.__name__
    _check_status(model)
    try:
        whole = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    except PydanticUserError as exc:
        raise SchemaError(name, " ".join(str(exc).splitlines()[:1])) from exc
    definitions = whole.get("$defs", {})
    if "$ref" in whole:  # it contains itself
        whole = {**definitions[str(whole["$ref"]).rpartition("/")[2]]}
    converter = Converter(name, definitions)
    properties = {key: sub for key, sub in whole["properties"].items() if key != "metadata"}
    properties["status"] = {key: value for key, value in properties["status"].items() if key != "default"}
    required = [key for key in whole.get("required", ()) if key not in {"metadata", "status"}]
    body = {key: value for key, value in whole.items() if key not in {"$defs", "title"}}
    within = (name,) if name in definitions else ()
    out = converter.convert({**body, "properties": properties, "required": required}, "", within)
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    fields = {key: sub for key, sub in out["properties"].items() if key != "status"}
    return {**out, "properties": {**head, **fields, "status": out["properties"]["status"]}}


class _Generator(GenerateJsonSchema):
    """pydantic's, with what has no schema marked where it stands, so that the error can name the field."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:  # noqa: ARG002  # pydantic's
        what = error_info.rpartition("(")[2].rstrip(")") if "(" in error_info else error_info
        return {
            PROBLEM: f"this type has no form in JSON: {what}; use one that has, or Field(exclude=True) on a private attribute"
        }

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Nothing is to be warned of: defaults that cannot be written are marked by the model, and told as errors."""


def _check_status(model: type[CustomResource]) -> None:
    kind = model.model_fields["status"].annotation
    if not (isinstance(kind, type) and issubclass(kind, Status)):
        raise SchemaError(f"{model.__name__}.status", "derive it from operator_kit.models.Status, which holds the conditions")
    try:
        kind.model_validate({})
    except ValueError:
        required = [name for name, field in kind.model_fields.items() if field.is_required()]
        text = f"the status of a new object is empty: give {', '.join(required)} a default"
        raise SchemaError(f"{model.__name__}.status", text) from None


# --------------------------------------------------------------------------- versions


def _crd(models: list[type[CustomResource]]) -> Object:
    definitions = {model: definition_of(model) for model in models}
    stored = _stored(list(definitions.values()))
    names: Object = {
        "plural": stored.plural,
        "singular": stored.singular,
        "kind": stored.kind,
        "listKind": f"{stored.kind}List",
    }
    if stored.short_names:
        names["shortNames"] = list(stored.short_names)
    if stored.categories:
        names["categories"] = list(stored.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": stored.name},
        "spec": {
            "group": stored.group,
            "names": names,
            "scope": "Namespaced" if stored.namespaced else "Cluster",
            "versions": [_version(model, each, storage=each is stored) for model, each in definitions.items()],
        },
    }


def _stored(definitions: list[Definition]) -> Definition:
    """The version that is stored; checks that the versions agree on what belongs to the kind."""
    where = " and ".join(each.model for each in definitions)
    versions = [each.version for each in definitions]
    if len(set(versions)) != len(versions):
        raise SchemaError(where, f"{definitions[0].gvk} is defined twice; give each version one class")
    chosen = [each for each in definitions if each.storage]
    open_to = [each for each in definitions if each.storage is not False]
    if len(chosen) != 1:
        if chosen or len(open_to) != 1:
            raise SchemaError(where, "one version of a kind is stored: give storage=True to exactly one of the classes")
        chosen = open_to
    stored = chosen[0]
    for each in definitions:
        for option in _SHARED:
            mine, theirs = getattr(each, option), getattr(stored, option)
            if mine != theirs:
                text = f"{option} belongs to the kind, not to a version: {each.model} has {mine!r}, {stored.model} has {theirs!r}"
                raise SchemaError(where, text)
    return stored


def _version(model: type[CustomResource], definition: Definition, *, storage: bool) -> Object:
    schema = schema_of(model)
    version: Object = {"name": definition.version, "served": definition.served, "storage": storage}
    if definition.deprecated:
        version["deprecated"] = True
        if isinstance(definition.deprecated, str):
            version["deprecationWarning"] = definition.deprecated
    version["schema"] = {"openAPIV3Schema": schema}
    version["subresources"] = {"status": {}, **_scale(definition, schema)}
    if definition.columns:
        version["additionalPrinterColumns"] = [_column(definition, column, schema) for column in definition.columns]
    if definition.selectable:
        version["selectableFields"] = [_selectable(definition, path, schema) for path in definition.selectable]
    return version


def _scale(definition: Definition, schema: Schema) -> Object:
    scale = definition.scale
    if scale is None:
        return {}
    paths = {"specReplicasPath": (scale.spec, ".spec.", "integer"), "statusReplicasPath": (scale.status, ".status.", "integer")}
    if scale.selector:
        paths["labelSelectorPath"] = (scale.selector, ".status.", "string")
    for path, root, kind in paths.values():
        found = field_at(schema, path) if path.startswith(root) else None
        if found is None or found.get("type") != kind:
            hint = f"give the model such a field, or scale=Scale(…) its path below {root.strip('.')}"
            raise SchemaError(definition.model, f"scale: {path} is no {kind} field of the model; {hint}")
    return {"scale": {name: path for name, (path, _, _) in paths.items()}}


def _column(definition: Definition, column: Column, schema: Schema) -> Object:
    out: Object = {"name": column.name, "type": column.type or _column_type(definition, column, schema), "jsonPath": column.path}
    if column.description:
        out["description"] = column.description
    if column.wide:
        out["priority"] = 1
    return out


def _column_type(definition: Definition, column: Column, schema: Schema) -> str:
    if any(mark in column.path for mark in "[?*@"):
        raise SchemaError(definition.model, f'the column {column.name}: give the type of {column.path}, such as type="string"')
    found = field_at(schema, column.path)
    if found is None:
        raise SchemaError(definition.model, f"the column {column.name}: the model has no field {column.path}")
    if found.get("format") == "date-time":
        return "date"
    kind = str(found.get("type", "string"))
    return kind if kind in {"boolean", "integer", "number", "string"} else "string"


def _selectable(definition: Definition, path: str, schema: Schema) -> Mapping[str, str]:
    found = field_at(schema, path)
    if found is None:
        raise SchemaError(definition.model, f"selectable: the model has no field {path}")
    if found.get("type") not in _SELECTABLE:
        raise SchemaError(
            definition.model, f"selectable: {path} is no text, integer or boolean, and only those can be selected by"
        )
    return {"jsonPath": path}
