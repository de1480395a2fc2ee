"""Alternatives: what of a Python union has a form in a structural schema, in which every value has one type.

    X | None                                X, nullable
    int | str                               x-kubernetes-int-or-string
    int | float                             number
    texts, or numbers, of several kinds     the type, and anyOf of what each demands
    models with a discriminator             the fields of all, and oneOf of what each tag demands

Everything else is an error that says what to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.generate.structural import Converter

__all__ = ["convert"]

Schema = dict[str, Any]

_NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTUAL = ("minLength", "maxLength", "pattern")
_REMEDY = (
    "use one type, a union of models with Field(discriminator=…), or Annotated[…, PreserveUnknownFields()], which the server "
    "keeps without looking into it"
)


def convert(converter: Converter, schema: Schema, keyword: str, path: str, within: tuple[str, ...]) -> Schema:
    """The structural form of `anyOf` or `oneOf`. Raises `SchemaError` where it has none."""
    from operator_kit.generate.structural import PRESERVE, merged

    branches = [branch for branch in schema[keyword] if branch != {"type": "null"}]
    nullable = len(branches) != len(schema[keyword])
    beside = {key: value for key, value in schema.items() if key not in {keyword, "discriminator"}}
    if nullable:
        beside["nullable"] = True
    if len(branches) == 1:
        return converter.convert(merged(branches[0], beside), path, within)
    if beside.get(PRESERVE):
        return converter.convert(beside, path, within)
    if "discriminator" in schema:
        return _discriminated(converter, schema, beside, path, within)
    forms = [converter.convert(branch, path, within) for branch in branches]
    out = _flat(forms)
    if out is None:
        told = " | ".join(dict.fromkeys(_name(form) for form in forms))
        if {form.get("type") for form in forms} == {"number", "string"}:
            told += " (a Decimal is one)"
        raise converter.error(path, f"{told} has no form in a CRD; {_REMEDY}")
    about = converter.convert({**beside, "type": "string"}, path, within) if _without_default(beside) else {}
    about.pop("type", None)
    if "default" in beside and beside["default"] is not None:
        about["default"] = beside["default"]
    return {**out, **about}


def _without_default(beside: Mapping[str, Any]) -> Schema:
    return {key: value for key, value in beside.items() if key != "default"}


def _flat(forms: list[Schema]) -> Schema | None:
    """One form for alternatives without fields, or None."""
    if all(form == forms[0] for form in forms):
        return dict(forms[0])
    kinds = {"int-or-string" if form.get("x-kubernetes-int-or-string") else form.get("type") for form in forms}
    nullable: Schema = {"nullable": True} if any(form.get("nullable") for form in forms) else {}
    if kinds <= {"integer", "string", "int-or-string"} and len(kinds) > 1:
        return _int_or_string(forms, nullable)
    if kinds == {"integer", "number"}:
        return {"type": "number", **nullable, **_alternatives(forms)}
    if len(kinds) == 1 and kinds <= {"boolean", "integer", "number", "string"}:
        kind = kinds.pop()
        if all("enum" in form for form in forms):
            values = [value for form in forms for value in form["enum"]]
            return {"type": kind, **nullable, "enum": list(dict.fromkeys(values))}
        return {"type": kind, **nullable, **_alternatives(forms)}
    return None


def _int_or_string(forms: list[Schema], nullable: Schema) -> Schema | None:
    """What a number demands says nothing of texts, and the other way round, so both may stand side by side."""
    out: Schema = {"x-kubernetes-int-or-string": True, **nullable}
    for form in forms:
        if "enum" in form:
            return None
        for keyword in (*_NUMERIC, *_TEXTUAL):
            if keyword in form and out.setdefault(keyword, form[keyword]) != form[keyword]:
                return None
    return out


def _alternatives(forms: list[Schema]) -> Schema:
    demands = []
    for form in forms:
        demand = {key: form[key] for key in ("format", "enum", *_NUMERIC, *_TEXTUAL) if key in form}
        if not demand:
            return {}  # one of them takes everything of the type
        demands.append(demand)
    return {"anyOf": demands}


def _discriminated(converter: Converter, schema: Schema, beside: Schema, path: str, within: tuple[str, ...]) -> Schema:
    """The fields of all alternatives in one object, and for each tag what it demands."""
    tag = schema["discriminator"]["propertyName"]
    out: Schema = {"type": "object"}
    if beside.get("description"):
        out["description"] = beside["description"]
    properties: dict[str, Schema] = {}
    owners: dict[str, str] = {}
    branches: list[Schema] = []
    preserves = False
    keyword = "oneOf" if "oneOf" in schema else "anyOf"
    for branch in schema[keyword]:
        name = str(branch.get("$ref", "an alternative")).rpartition("/")[2]
        form = converter.convert(branch, path, within)
        fields = form.get("properties", {})
        if "enum" not in fields.get(tag, {}):
            raise converter.error(
                path, f"{name} has no field {tag} that is a Literal: the discriminator tells the models apart by it"
            )
        if "x-kubernetes-validations" in form:
            raise converter.error(path, f"{name} has rules of its own; put them on the class that has the field, with has(…)")
        preserves = preserves or bool(form.get("x-kubernetes-preserve-unknown-fields"))
        for field, sub in fields.items():
            if field == tag:
                continue
            # A default would be written whatever the tag says: the model puts it in where it belongs.
            bare = {key: value for key, value in sub.items() if key != "default"}
            known = properties.setdefault(field, bare)
            if {**known, "description": ""} != {**bare, "description": ""}:
                raise converter.error(
                    f"{path}.{field}", f"{owners[field]} and {name} have it with different types; give it one type, or two names"
                )
            owners.setdefault(field, name)
        required = list(dict.fromkeys([tag, *form.get("required", ())]))
        branches.append({"properties": {tag: {"enum": fields[tag]["enum"]}}, "required": required})
    tags = list(dict.fromkeys(value for branch in branches for value in branch["properties"][tag]["enum"]))
    out["properties"] = {tag: {"type": "string", "enum": tags}, **properties}
    out["required"] = [tag]
    out["oneOf"] = branches
    if preserves:
        out["x-kubernetes-preserve-unknown-fields"] = True
    for key in ("nullable", "default", "x-kubernetes-validations"):
        if beside.get(key) is not None:
            out[key] = beside[key]
    return out


def _name(form: Schema) -> str:
    if form.get("x-kubernetes-int-or-string"):
        return "int | str"
    names = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "an object"}
    return names.get(str(form.get("type")), "Any")
