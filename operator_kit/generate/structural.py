"""From the JSON schema of a model to the structural schema that an API server accepts.

pydantic writes JSON Schema 2020-12: references, alternatives with null, const, prefixItems. A CustomResourceDefinition takes a
subset of OpenAPI v3 in which every value has one type. Each construct is turned into its form there; what has none is a
`SchemaError` with the path of the field and what to write in its place. Nothing is loosened without being asked, but where the
server has no word for a check that the model makes when an object is parsed: the types of a tuple's items, the keys of a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operator_kit.generate import unions
from operator_kit.generate.errors import SchemaError
from operator_kit.generate.patterns import unknown_to_re2
from operator_kit.generate.values import misfits
from operator_kit.models.base import PROBLEM

__all__ = ["Converter"]

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"
SCALARS = frozenset({"boolean", "integer", "number", "string"})

_KEPT = (
    *("description", "nullable", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "default", "example", "externalDocs"),
    *("x-kubernetes-embedded-resource", PRESERVE, INT_OR_STRING, LIST_TYPE, LIST_KEYS, "x-kubernetes-map-type", RULES),
)
# What says nothing a server could check; title is pydantic's own invention for every field.
_DROPPED = frozenset(
    {"title", "examples", "readOnly", "writeOnly", "deprecated", "$comment", "propertyNames", "uniqueItems", "contentMediaType"}
    | {"contentEncoding", "contentSchema", "$defs", "enum", "const", "type", "items", "prefixItems", "properties", "required"}
    | {"additionalProperties", "patternProperties"}
)
# The formats a server checks as pydantic does. Its own `duration` is "30s", not ISO 8601; `time`, `binary`, … it does not know.
_FORMATS = frozenset(
    {"date", "date-time", "email", "uri", "uuid", "uuid3", "uuid4", "uuid5", "ipv4", "ipv6", "hostname", "byte", "password"}
    | {"int32", "int64", "float", "double", "cidr", "mac"}
)
_TYPE_OF = {bool: "boolean", int: "integer", float: "number", str: "string"}


class Converter:
    """Converts the schemas of one model.

    Args:
        model: its name, for messages.
        definitions: `$defs` of its JSON schema.
    """

    def __init__(self, model: str, definitions: Mapping[str, Schema]) -> None:
        self._model = model
        self._definitions = definitions

    def error(self, path: str, problem: str) -> SchemaError:
        """The error for a field of this model."""
        return SchemaError(f"{self._model}{path}", problem)

    def convert(self, schema: Schema, path: str = "", within: tuple[str, ...] = ()) -> Schema:
        """The structural form.

        Args:
            schema: a JSON schema.
            path: of the field, for messages: `".spec.ports[]"`.
            within: the definitions it stands in.

        Raises:
            SchemaError: it has none.
        """
        if PROBLEM in schema:
            raise self.error(path, schema[PROBLEM])
        if "$ref" in schema:
            return self._reference(schema, path, within)
        if "allOf" in schema:
            return self._all_of(schema, path, within)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._finish(unions.convert(self, schema, keyword, path, within), path)
        kind = schema.get("type")
        if isinstance(kind, list):
            rest = {key: value for key, value in schema.items() if key != "type"}
            return self.convert({**rest, "anyOf": [{"type": each} for each in kind]}, path, within)
        return self._finish(self._plain(schema, path, within), path)

    # ------------------------------------------------------------------ what points elsewhere

    def _reference(self, schema: Schema, path: str, within: tuple[str, ...]) -> Schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if name in within:
            if beside.get(PRESERVE):
                return self._finish({"type": "object", **self._kept(beside, path)}, path)
            raise self.error(
                path,
                f"{name} contains itself, which a CRD cannot say; end it with Annotated[{name}, PreserveUnknownFields()], "
                "which the server keeps without looking into it",
            )
        return self.convert(merged(self._definitions[name], beside), path, (*within, name))

    def _all_of(self, schema: Schema, path: str, within: tuple[str, ...]) -> Schema:
        parts = schema["allOf"]
        if len(parts) != 1:
            raise self.error(path, "allOf of several schemas has no form in a CRD; write one type with all the fields")
        beside = {key: value for key, value in schema.items() if key != "allOf"}
        return self.convert(merged(parts[0], beside), path, within)

    # ------------------------------------------------------------------ plain types

    def _plain(self, schema: Schema, path: str, within: tuple[str, ...]) -> Schema:
        schema = _values_as_enum(schema)
        out = self._kept(schema, path)
        if "enum" in schema:
            self._enum(schema, out, path)
        kind = schema.get("type") or out.get("type")
        if kind is not None:
            out = {"type": kind, **out}
        if kind == "object":
            self._object(schema, out, path, within)
        elif kind == "array":
            self._array(schema, out, path, within)
        elif kind is None and not out.get(INT_OR_STRING):
            if out.get("x-kubernetes-embedded-resource"):
                out["type"] = "object"
            out[PRESERVE] = True  # Any
        elif kind is not None and kind not in SCALARS:
            raise self.error(path, f"the type {kind} has no form in a CRD")
        return out

    def _kept(self, schema: Schema, path: str) -> Schema:
        for keyword in schema:
            if keyword not in _KEPT and keyword not in _DROPPED:
                raise self.error(path, f"the keyword {keyword} has no form in a CRD; take it out of the field's JSON schema")
        if schema.get("writeOnly") and schema.get("format") in {"password", "binary"}:
            raise self.error(path, "a secret value is masked when the object is written; name a Secret in a text field instead")
        out = {key: schema[key] for key in _KEPT if key in schema}
        if out.get("default", ...) is None:
            del out["default"]
        for low, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            limit = out.get(low)
            if limit is None or isinstance(limit, bool):
                continue
            tighter = out.get(bound)
            if tighter is not None and (tighter > limit if bound == "minimum" else tighter < limit):
                del out[low]
            else:
                out[bound], out[low] = limit, True
        step = out.get("multipleOf")
        if isinstance(step, float) and not step.is_integer():
            raise self.error(
                path, f"multiple_of={step}: a server counts in whole numbers there; write it as a Rule, or leave it out"
            )
        if out.get("format") not in _FORMATS:
            out.pop("format", None)
        if "pattern" in out and (why := unknown_to_re2(out["pattern"])):
            raise self.error(
                path, f"the pattern {out['pattern']} {why}; a server's patterns are RE2: write it without, or as a Rule"
            )
        return out

    def _enum(self, schema: Schema, out: Schema, path: str) -> None:
        values = [value for value in schema["enum"] if value is not None]
        if len(values) != len(schema["enum"]):
            out["nullable"] = True
        kinds = {_TYPE_OF.get(type(value), "") for value in values}
        if kinds == {"integer", "string"}:
            out[INT_OR_STRING] = True
        elif len(kinds) == 1 and kinds <= SCALARS:
            out["type"] = kinds.pop()
        else:
            raise self.error(path, f"the values {', '.join(map(repr, schema['enum']))} have no common type; give them one")
        out["enum"] = values

    def _object(self, schema: Schema, out: Schema, path: str, within: tuple[str, ...]) -> None:
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        if "patternProperties" in schema and not properties:
            patterns = list(schema["patternProperties"].values())
            additional = patterns[0] if len(patterns) == 1 else True
        required = [name for name in schema.get("required", ()) if name in properties]
        if required:
            out["required"] = required
        if properties:
            out["properties"] = {name: self.convert(sub, f"{path}.{name}", within) for name, sub in properties.items()}
            if isinstance(additional, dict) and additional:
                raise self.error(
                    path,
                    'extra fields of a given type have no form in a CRD; put them into a field, or use extra="allow"',
                )
        if additional is True or additional == {}:
            out[PRESERVE] = True
        elif isinstance(additional, dict) and additional and not properties:
            out["additionalProperties"] = self.convert(additional, f"{path}.*", within)
        elif not properties and "x-kubernetes-embedded-resource" not in out and additional is None and "properties" not in schema:
            out[PRESERVE] = True  # a bare dict

    def _array(self, schema: Schema, out: Schema, path: str, within: tuple[str, ...]) -> None:
        items = schema.get("items")
        where = f"{path}[]"
        if "prefixItems" in schema:
            forms = [self.convert(item, where, within) for item in schema["prefixItems"]]
            same = forms and all(form == forms[0] for form in forms) and not isinstance(items, dict)
            out["items"] = forms[0] if same else {PRESERVE: True}
        else:
            out["items"] = self.convert(items, where, within) if isinstance(items, dict) else {PRESERVE: True}
        if schema.get("uniqueItems"):
            out.setdefault(LIST_TYPE, "set")
        self._list_type(out, path)

    def _list_type(self, out: Schema, path: str) -> None:
        items: Schema = out["items"]
        kind = out.get(LIST_TYPE)
        if kind == "set":
            if items.get("type") not in SCALARS and not items.get(INT_OR_STRING):
                raise self.error(
                    path, 'a set in a CRD holds texts or numbers; for objects write Annotated[list[…], ListMap("name")]'
                )
            if items.get("nullable"):
                raise self.error(path, "the items of a set in a CRD must not be None")
        if kind != "map":
            return
        properties = items.get("properties", {})
        if items.get("nullable") or not properties:
            raise self.error(path, "the items of a ListMap must be objects with fields")
        for key in out[LIST_KEYS]:
            if key not in properties:
                raise self.error(path, f'ListMap("{key}"): the items have no field {key}; they have {", ".join(properties)}')
            field = properties[key]
            if field.get("type") not in SCALARS and not field.get(INT_OR_STRING):
                raise self.error(path, f'ListMap("{key}"): {key} must be a text or a number')
            if field.get("nullable") or (key not in items.get("required", ()) and "default" not in field):
                raise self.error(path, f'ListMap("{key}"): items are told apart by {key}: make it required, or give it a default')

    # ------------------------------------------------------------------ at the end

    def _finish(self, out: Schema, path: str) -> Schema:
        if "default" in out:
            found = next(misfits(out, out["default"]), None)
            if found is not None:
                raise self.error(path, f"the default {out['default']!r} does not fit its own type: {found}")
        return out


def merged(schema: Mapping[str, Any], beside: Mapping[str, Any]) -> Schema:
    """A schema and what stands beside the reference to it: that wins, but the rules of both hold."""
    out = {**schema, **beside}
    rules = [*schema.get(RULES, ()), *beside.get(RULES, ())]
    if rules:
        out[RULES] = rules
    return out


def _values_as_enum(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "const"}
    return {**rest, "enum": [schema["const"]]}
