"""CRDs: the defaults the server writes and the faults it finds, one row of its rules after the other."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from operator_kit.sandbox.schema import default_crd, validate_crd

TOP = "spec.validation.openAPIV3Schema"


def crd(schema: Any = None, *, version: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    one: dict[str, Any] = {"name": "v1", "served": True, "storage": True, **(version or {})}
    one.setdefault("schema", {"openAPIV3Schema": schema if schema is not None else {"type": "object"}})
    made: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "cogs.life.example.com"},
        "spec": {
            "group": "life.example.com",
            "scope": "Namespaced",
            "names": {"plural": "cogs", "kind": "Cog"},
            "versions": [one],
        },
    }
    made["spec"].update(spec)
    default_crd(made)
    return made


def said(document: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in validate_crd(document, old)]


def field(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


def test_the_defaults_are_the_servers() -> None:
    spec = crd()["spec"]
    assert spec["names"] == {"plural": "cogs", "kind": "Cog", "singular": "cog", "listKind": "CogList"}
    assert spec["conversion"] == {"strategy": "None"}
    before = copy.deepcopy(spec)
    default_crd({"spec": spec})
    assert spec == before


def test_a_plain_crd_is_fine() -> None:
    assert said(crd()) == []


@pytest.mark.parametrize(
    ("document", "complaints"),
    [
        (
            {**crd(), "metadata": {"name": "wrong.life.example.com"}},
            ['metadata.name: Invalid value: "wrong.life.example.com": must be spec.names.plural+"."+spec.group'],
        ),
        (crd(version={"schema": None}), ["spec.versions[0].schema.openAPIV3Schema: Required value"]),
        (crd(scope="Galaxy"), ['spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"']),
        (
            {**crd(group="example"), "metadata": {"name": "cogs.example"}},
            ['spec.group: Invalid value: "example": should be a domain with at least one dot'],
        ),
        (
            {**crd(group="cogs.k8s.io"), "metadata": {"name": "cogs.cogs.k8s.io"}},
            [
                (
                    "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "
                    '"api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
                )
            ],
        ),
        (
            crd(version={"storage": False}),
            [
                (
                    'spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,'
                    '"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,'
                    '"SelectableFields":null}]: must have exactly one version marked as storage version'
                ),
                "status.storedVersions: Invalid value: null: must have at least one stored version",
            ],
        ),
        (
            crd(names={"plural": "cogs", "kind": "Cog", "listKind": "Cog", "shortNames": ["C"]}),
            [
                (
                    'spec.names.shortNames[0]: Invalid value: "C": a DNS-1035 label must consist of lower case alphanumeric characters '
                    "or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
                    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                ),
                'spec.names.listKind: Invalid value: "Cog": kind and listKind may not be the same',
            ],
        ),
        (
            crd(version={"additionalPrinterColumns": [{"name": "A", "type": "int", "jsonPath": "spec.a"}]}),
            [
                'spec.additionalPrinterColumns[0].type: Invalid value: "int": must be one of boolean,date,integer,number,string',
                'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec.a": must be a simple json path starting with .',
            ],
        ),
        (
            crd(version={"subresources": {"scale": {"specReplicasPath": ".status.x", "labelSelectorPath": ".x"}}}),
            [
                'spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec',
                "spec.subresources.scale.statusReplicasPath: Required value",
                'spec.subresources.scale.labelSelectorPath: Invalid value: ".x": should be a json path under either .spec or .status',
            ],
        ),
        (
            crd(
                {"type": "object", "properties": {"spec": {"type": "object", "properties": {"o": {"type": "object"}}}}},
                version={"selectableFields": [{"jsonPath": ".spec.x"}, {"jsonPath": ".spec.o"}, {}]},
            ),
            [
                'spec.selectableFields[0].jsonPath: Invalid value: ".spec.x": is an invalid path: does not refer to a valid field',
                (
                    'spec.selectableFields[1].jsonPath: Invalid value: ".spec.o": must point to a field of type string, boolean or '
                    "integer. Enum string fields and strings with formats are allowed."
                ),
                "spec.selectableFields[2].jsonPath: Required value",
            ],
        ),
        (
            crd(conversion={"strategy": "Webhook"}),
            [
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
        ),
        (
            crd(version={"subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object", "minProperties": 1}}}),
            [
                (
                    'spec.validation.openAPIV3Schema: Invalid value: {"minProperties":1,"type":"object"}: only [Description Type Format '
                    "Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems "
                    "MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed "
                    "at the root of the schema if the status subresource is enabled"
                )
            ],
        ),
    ],
)
def test_the_crd_itself(document: dict[str, Any], complaints: list[str]) -> None:
    assert said(document) == complaints


@pytest.mark.parametrize(
    ("schema", "complaints"),
    [
        ({"$ref": "#/definitions/x"}, ["properties[a].$ref: Forbidden: $ref is not supported"]),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            [
                "properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
                "properties[a].anyOf[1].type: Forbidden: must be empty to be structural",
                "properties[a].type: Required value: must not be empty for specified object fields",
                (
                    'properties[a].anyOf[1].type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", '
                    '"object", "string"'
                ),
                "properties[a].anyOf[1].type: Forbidden: type cannot be set to null, use nullable as an alternative",
            ],
        ),
        ({"type": "string", "default": None}, []),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            ["properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, []),
        (
            {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "number"}, {"type": "string"}]},
            [
                "properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
                "properties[a].anyOf[1].type: Forbidden: must be empty to be structural",
            ],
        ),
        ({}, ["properties[a].type: Required value: must not be empty for specified object fields"]),
        ({"type": "object", "additionalProperties": True}, []),
        (
            {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": False},
            ["properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            [
                (
                    "properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
                    "quadratic"
                )
            ],
        ),
        ({"type": "array"}, ["properties[a].items: Required value: must be specified"]),
        (
            {"type": "array", "items": {}},
            ["properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        ({"type": "object", "oneOf": [{"required": ["s"]}], "properties": {"s": {"type": "string"}}}, []),
        (
            {"type": "object", "patternProperties": {"a": {"type": "string"}}},
            ["properties[a].patternProperties: Forbidden: patternProperties is not supported"],
        ),
        (
            {"type": "string", "pattern": "(?=a)"},
            [
                (
                    'properties[a].pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: error parsing '
                    "regexp: invalid or unsupported Perl syntax: `(?=`"
                )
            ],
        ),
        ({"type": "string", "pattern": r"^\d+$"}, []),
        ({"type": "string", "format": "binary"}, []),
        (
            {"type": "string", "default": 5},
            ['properties[a].default: Invalid value: "integer": ' + TOP + ".properties[a].default"],
        ),
        (
            {"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}, "default": {}},
            ["properties[a].default.b: Required value"],
        ),
        (
            {"type": "object", "properties": {"b": {"type": "string"}}, "default": {"c": 1}},
            ['properties[a].default: Invalid value: {"c":1}: must not have unknown fields'],
        ),
        ({"type": "string", "title": "t", "nullable": True, "enum": ["a"]}, []),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            },
            [
                (
                    "properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it "
                    "must have a default or be a required property"
                )
            ],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object", "properties": {}}},
            ["properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}},
            [
                (
                    "properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with "
                    "x-kubernetes-list-type=set"
                )
            ],
        ),
        (
            {"type": "string", "x-kubernetes-validations": [{"rule": " "}, {"rule": "a\nb"}, {"rule": "true", "reason": "No"}]},
            [
                "properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified",
                (
                    "properties[a].x-kubernetes-validations[1].message: Required value: message must be specified if rule contains line "
                    "breaks"
                ),
                (
                    'properties[a].x-kubernetes-validations[2].reason: Unsupported value: "No": supported values: "FieldValueDuplicate", '
                    '"FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"'
                ),
            ],
        ),
        ({"x-kubernetes-preserve-unknown-fields": False}, None),
        ({"type": "object", "x-kubernetes-embedded-resource": True}, None),
        ({"type": "text"}, None),
    ],
)
def test_each_construct_of_a_schema(schema: Any, complaints: list[str] | None) -> None:
    found = said(crd(field(schema)))
    if complaints is None:
        assert found
        return
    assert [text.split(" in body must")[0] for text in found] == [f"{TOP}.{text}" for text in complaints] or found == [
        f'{TOP}.{complaints[0].split(": Invalid")[0]}: Invalid value: "integer":  in body must be of type string: "integer"'
    ]


@pytest.mark.parametrize(
    ("metadata", "fine"),
    [
        ({"type": "object"}, True),
        ({"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}}, True),
        ({"type": "object", "properties": {"labels": {"type": "object"}}}, False),
        ({"type": "object", "description": "x"}, False),
        ({"type": "string"}, False),
    ],
)
def test_the_root_may_restrict_names_and_nothing_else_of_metadata(metadata: Any, fine: bool) -> None:
    assert (said(crd({"type": "object", "properties": {"metadata": metadata}})) == []) is fine


def test_what_anyof_speaks_of_must_be_declared_outside_of_it() -> None:
    schema = {"type": "object", "oneOf": [{"properties": {"t": {"enum": ["x"]}}}], "properties": {"s": {"type": "string"}}}
    assert said(crd(schema)) == [f"{TOP}.properties[t]: Required value: because it is defined in {TOP}.oneOf[0].properties[t]"]


def test_schemas_that_differ_between_versions_are_spoken_of_by_version() -> None:
    document = crd(field({}))
    other = {"name": "v2", "served": True, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}}
    document["spec"]["versions"].append(other)
    assert said(document) == [
        "spec.versions[0].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields"
    ]


def test_what_an_update_must_not_change() -> None:
    old = crd()
    old["status"] = {"storedVersions": ["v1"], "conditions": [{"type": "Established", "status": "True"}]}
    new = copy.deepcopy(old)
    new["spec"]["names"]["plural"] = "wheels"
    new["spec"]["scope"] = "Cluster"
    assert said(new, old) == [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.plural: Invalid value: "wheels": field is immutable',
    ]
    assert said(copy.deepcopy(old), old) == []


def test_a_stored_version_may_not_leave() -> None:
    old = crd()
    old["status"] = {"storedVersions": ["v1beta1", "v1"]}
    assert said(copy.deepcopy(old), old)[0].startswith(
        'status.storedVersions[0]: Invalid value: "v1beta1": missing from spec.versions; v1beta1 was previously a storage version'
    )


def test_hostile_schemas_are_refused_without_a_traceback() -> None:
    deep: Any = {"type": "string"}
    for _ in range(3000):
        deep = {"type": "object", "properties": {"a": deep}}
    assert said(crd(deep))
    any_of: Any = {"minimum": 1}
    for _ in range(3000):
        any_of = {"anyOf": [any_of]}
    assert said(crd(field({"type": "integer", **any_of})))
    for odd in ([], "x", 5, {"type": 5}, {"type": "object", "properties": [1]}, {"type": "object", "properties": {"a": 1}}):
        said(crd(odd))
    said({"spec": {"versions": [5, None], "names": 3, "group": {}, "conversion": [1]}})
