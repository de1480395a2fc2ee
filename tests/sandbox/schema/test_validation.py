"""What a schema says of an object, word for word as kube-apiserver 1.36 says it."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.sandbox.schema import compile_schema
from operator_kit.sandbox.status import Cause

UNCHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)
GADGET = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 100},
                "color": {"type": "string", "enum": ["red", "green", "blue"], "default": "red"},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
                "replicas": {"type": "integer", "default": 1},
                "tags": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port"],
                    "items": {
                        "type": "object",
                        "required": ["port"],
                        "properties": {"port": {"type": "integer"}, "label": {"type": "string"}},
                    },
                },
                "opts": {"type": "object", "additionalProperties": {"type": "string"}},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "mode": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}


def gadget(spec: Any = None, **more: Any) -> dict[str, Any]:
    obj: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "a"}, **more}
    return obj if spec is None else {**obj, "spec": spec}


def invalid(path: str, message: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {message}", path)


def wrong_type(path: str, expected: str, actual: str) -> Cause:
    return Cause(
        "FieldValueTypeInvalid", f'Invalid value: "{actual}": {path} in body must be of type {expected}: "{actual}"', path
    )


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (None, [Cause("FieldValueRequired", "Required value", "spec")]),
        ({}, [Cause("FieldValueRequired", "Required value", "spec.size")]),
        ({"size": "big"}, [wrong_type("spec.size", "integer", "string")]),
        ({"size": 0}, [invalid("spec.size", "0: spec.size in body should be greater than or equal to 1")]),
        (
            {"size": 101, "color": "pink"},
            [
                Cause(
                    "FieldValueNotSupported",
                    'Unsupported value: "pink": supported values: "red", "green", "blue"',
                    "spec.color",
                ),
                invalid("spec.size", "101: spec.size in body should be less than or equal to 100"),
            ],
        ),
        ({"size": 1, "name": "A!"}, [invalid("spec.name", "\"A!\": spec.name in body should match '^[a-z]+$'")]),
        ({"size": 1, "name": "a" * 9}, [Cause("FieldValueTooLong", "Too long: may not be more than 8 bytes", "spec.name")]),
        ({"size": 1, "tags": list("abcd")}, [Cause("FieldValueTooMany", "Too many: 4: must have at most 3 items", "spec.tags")]),
        ({"size": 1, "tags": ["a", 1]}, [wrong_type("spec.tags[1]", "string", "integer")]),
        ({"size": 1, "tags": [None]}, [wrong_type("spec.tags[0]", "string", "null")]),
        ({"size": 1, "mode": True}, [wrong_type("spec.mode", "integer,string", "boolean")]),
        ({"size": 1, "mode": 1.0}, []),
        ({"size": 1.0}, []),
        (
            {"size": 1.5},
            [
                wrong_type("spec.size", "integer", "number"),
                invalid("<nil>", '"": Checked value must be of type integer (default format) in spec.size'),
            ],
        ),
        (
            {"size": 1, "ports": [{"port": 1}, {"port": 1}]},
            [Cause("FieldValueDuplicate", 'Duplicate value: {"port":1}', "spec.ports[1]")],
        ),
        ({"size": 1, "ports": [{"label": "x"}]}, [Cause("FieldValueRequired", "Required value", "spec.ports[0].port")]),
        ({"size": 1, "opts": {"k": 1}}, [wrong_type("spec.opts.k", "string", "integer")]),
        ({"size": 1, "opts": []}, [wrong_type("spec.opts", "object", "array")]),
        ({"size": 1, "any": {"x": [{"y": 1}]}, "note": None, "mode": "50%"}, []),
    ],
)
def test_the_causes_are_the_servers(spec: Any, causes: list[Cause]) -> None:
    assert compile_schema(GADGET).validate(gadget(spec)) == causes


def test_a_status_write_is_checked_against_the_status_alone() -> None:
    obj = gadget({"size": 0}, status={"phase": 5})
    text = 'Invalid value: "integer": phase in body must be of type string: "integer"'
    assert compile_schema(GADGET).validate(obj, subresource="status") == [Cause("FieldValueTypeInvalid", text, "status.phase")]


def of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"v": schema}}


@pytest.mark.parametrize(
    ("schema", "value", "causes"),
    [
        (
            {"type": "number", "exclusiveMinimum": True, "minimum": 0.5},
            0.5,
            [invalid("v", "0.5: v in body should be greater than 0.5")],
        ),
        ({"type": "number", "maximum": 1e21}, 2e21, [invalid("v", "2e+21: v in body should be less than or equal to 1e+21")]),
        ({"type": "integer", "multipleOf": 5}, 7, [invalid("v", "7: v in body should be a multiple of 5")]),
        ({"type": "number", "multipleOf": 0.1}, 0.3, []),
        (
            {"type": "integer", "format": "int32"},
            2**31,
            [invalid("<nil>", '"": Checked value must be of type integer with format int32 in v')],
        ),
        (
            {"type": "integer", "format": "int64"},
            1.5,
            [
                wrong_type("v", "int64", "float64"),
                invalid("<nil>", '"": Checked value must be of type integer with format int64 in v'),
            ],
        ),
        ({"type": "string", "minLength": 3}, "ab", [invalid("v", '"ab": v in body should be at least 3 chars long')]),
        (
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
            [],
            [invalid("v", "0: v in body should have at least 1 items")],
        ),
        ({"type": "object", "minProperties": 1}, {}, [invalid("v", "0: v in body should have at least 1 properties")]),
        (
            {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
            {"a": "", "b": ""},
            [Cause("FieldValueTooMany", "Too many: 2: must have at most 1 item", "v")],
        ),
        ({"type": "string", "format": "date-time"}, "yesterday", [wrong_type("v", "date-time", "yesterday")]),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00Z", []),
        ({"type": "string", "format": "date-time"}, 5, [wrong_type("v", "date-time", "int64")]),
        ({"type": "string", "format": "no-such-format"}, "x", []),
        (
            {"type": "integer", "enum": [1, 2]},
            3,
            [Cause("FieldValueNotSupported", 'Unsupported value: 3: supported values: "1", "2"', "v")],
        ),
        ({"type": "boolean", "enum": [True]}, True, []),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {"type": "string"}}},
            {},
            [
                invalid("<nil>", '"": "v" must validate at least one schema (anyOf)'),
                Cause("FieldValueRequired", "Required value", "v.a"),
            ],
        ),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
            {"a": 1, "b": 1},
            [invalid("<nil>", '"": "v" must validate one and only one schema (oneOf). Found 2 valid alternatives')],
        ),
        (
            {"allOf": [{"minimum": 3}, {"maximum": 1}], "type": "integer"},
            2,
            [
                invalid("v", "2: v in body should be greater than or equal to 3"),
                invalid("v", "2: v in body should be less than or equal to 1"),
                invalid("<nil>", '"": "v" must validate all the schemas (allOf). None validated'),
            ],
        ),
        ({"not": {"minimum": 3}, "type": "integer"}, 4, [invalid("<nil>", '"": "v" must not validate the schema (not)')]),
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            ["a", "b", "a", "a"],
            [Cause("FieldValueDuplicate", 'Duplicate value: "a"', "v[2]")],
        ),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
            {"apiVersion": "v1", "metadata": {"labels": {"?": "x"}}},
            [Cause("FieldValueRequired", "Required value", "v.kind")],
        ),
    ],
)
def test_each_keyword_has_the_servers_words(schema: dict[str, Any], value: Any, causes: list[Cause]) -> None:
    found = compile_schema(of(schema)).validate({"v": value})
    assert found[: len(causes)] == causes
    assert bool(found) is bool(causes)


def test_an_update_may_keep_old_mistakes_and_make_no_new_ones() -> None:
    schema = compile_schema(GADGET)
    old = gadget({"size": 0, "tags": list("abcd"), "name": "A!"})
    same = gadget({"size": 0, "tags": list("abcd"), "name": "A!"}, status={"phase": "x"})
    assert schema.validate(same, old) == []
    changed = gadget({"size": 0, "tags": list("abcde"), "name": "A!"})
    assert [cause.field for cause in schema.validate(changed, old)] == ["spec.tags"]


def test_old_mistakes_in_lists_are_told_apart_by_their_map_keys() -> None:
    schema = compile_schema(GADGET)
    old = gadget({"size": 1, "ports": [{"port": 1, "label": 5}]})
    moved = gadget({"size": 1, "ports": [{"port": 2}, {"port": 1, "label": 5}]})
    assert schema.validate(moved, old) == []
    new = gadget({"size": 1, "ports": [{"port": 2, "label": 5}, {"port": 1, "label": 5}]})
    assert [cause.field for cause in schema.validate(new, old)] == ["spec.ports[0].label"]


def test_rules_left_unchecked_are_told_of_whoever_found_the_fault() -> None:
    schema = compile_schema(of({"type": "string", "x-kubernetes-validations": [{"rule": "self != ''"}]}))
    prior = [Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")]
    assert schema.validate({"v": "x"}, prior=prior) == [UNCHECKED]
    assert schema.validate({"v": "x"}, prior=[Cause("FieldValueInvalid", "Invalid value", "metadata.name")]) == []


def test_scale_wants_counts() -> None:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    schema = compile_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, scale=scale)
    assert schema.validate({"spec": {"replicas": -1}}) == [invalid(".spec.replicas", "-1: should be a non-negative integer")]
    assert schema.validate({"spec": {"replicas": "3"}}) == [
        invalid(".spec.replicas", "0: .spec.replicas accessor error: 3 is of the type string, expected int64")
    ]
    assert schema.validate({"status": {"selector": 1}}, subresource="status") == [
        invalid(".status.selector", '"": .status.selector accessor error: 1 is of the type int64, expected string')
    ]


def test_a_pattern_that_would_take_for_ever_takes_no_time() -> None:
    schema = compile_schema(of({"type": "string", "pattern": "^(a+)+$"}))
    assert schema.validate({"v": "a" * 5000 + "!"}) != []
