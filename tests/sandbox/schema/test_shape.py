"""Pruning and defaulting: what goes, what comes, and that doing it twice changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.sandbox.schema import compile_schema
from operator_kit.sandbox.status import StatusError
from tests.sandbox.schema.test_validation import GADGET, gadget


def test_unknown_fields_go_and_their_paths_are_told_in_order() -> None:
    obj = gadget(
        {"size": 1, "unknown": 1, "any": {"keep": {"me": 1}}, "ports": [{"port": 1, "x": 2}], "opts": {"k": "v"}}, extra=1
    )
    assert compile_schema(GADGET).prune(obj) == ["extra", "spec.ports[0].x", "spec.unknown"]
    assert obj == gadget({"size": 1, "any": {"keep": {"me": 1}}, "ports": [{"port": 1}], "opts": {"k": "v"}})


def test_metadata_keeps_only_the_fields_that_all_objects_have() -> None:
    obj = gadget({"size": 1}, metadata={"name": "a", "labels": {"a": "b"}, "foo": 1, "ownerReferences": [{"uid": "u", "bar": 1}]})
    assert compile_schema(GADGET).prune(obj) == ["metadata.foo", "metadata.ownerReferences[0].bar"]
    assert obj["metadata"] == {"name": "a", "labels": {"a": "b"}, "ownerReferences": [{"uid": "u"}]}


def test_below_preserved_fields_what_is_named_is_still_pruned() -> None:
    schema = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }
    obj = {"known": {"a": "", "b": 1}, "other": {"c": 1}}
    assert compile_schema(schema).prune(obj) == ["known.b"]
    assert obj == {"known": {"a": ""}, "other": {"c": 1}}


def test_an_embedded_resource_keeps_what_makes_it_one() -> None:
    schema = {
        "type": "object",
        "properties": {
            "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
        },
    }
    obj = {"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "x": 1}, "spec": {"y": 1}, "z": 1}}
    assert compile_schema(schema).prune(obj) == ["pod.metadata.x", "pod.spec.y", "pod.z"]


def test_objects_where_scalars_belong_lose_their_fields() -> None:
    obj = gadget({"size": {"a": 1}, "tags": [{"a": 1}]})
    assert compile_schema(GADGET).prune(obj) == ["spec.size.a", "spec.tags[0].a"]


def test_defaults_are_written_and_nulls_that_mean_nothing_go() -> None:
    obj = gadget({"size": None, "color": None, "note": None, "opts": {"a": None, "b": "x"}})
    compile_schema(GADGET).default(obj)
    assert obj["spec"] == {"color": "red", "note": None, "opts": {"b": "x"}, "replicas": 1}


def test_defaults_go_only_where_their_parent_is() -> None:
    obj = gadget()
    compile_schema(GADGET).default(obj)
    assert obj == gadget()


def test_defaults_reach_into_lists_maps_and_their_own_defaults() -> None:
    leaf = {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 3}}}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": leaf},
            "map": {"type": "object", "additionalProperties": leaf},
            "one": leaf,
        },
    }
    obj: dict[str, Any] = {"list": [{}, None, {"n": 1}], "map": {"a": {}, "b": None}}
    compile_schema(schema).default(obj)
    assert obj == {"list": [{"n": 3}, {"n": 3}, {"n": 1}], "map": {"a": {"n": 3}, "b": {"n": 3}}, "one": {"n": 3}}


def test_two_objects_never_share_a_default() -> None:
    schema = compile_schema(
        {"type": "object", "properties": {"a": {"type": "array", "default": [1], "items": {"type": "integer"}}}}
    )
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    schema.default(first)
    schema.default(second)
    first["a"].append(2)
    assert second == {"a": [1]}


def test_a_schema_deeper_than_any_real_one_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(StatusError):
        compile_schema(schema)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcxyz"), inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from("abc")


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    scalars = st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "default": "d", "maxLength": 3},
            {"type": "integer", "minimum": 2, "default": 5},
            {"type": "number", "multipleOf": 0.5},
            {"type": "boolean", "nullable": True},
            {"x-kubernetes-int-or-string": True},
            {"x-kubernetes-preserve-unknown-fields": True},
            {"type": "string", "format": "date-time"},
            {"enum": ["a", 1, None], "type": "string"},
            {"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": 1}], "not": {"enum": [7]}},
        ]
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
                optional={
                    "required": st.lists(names, max_size=2),
                    "nullable": st.booleans(),
                    "x-kubernetes-preserve-unknown-fields": st.just(True),
                    "default": st.just({}),
                },
            )
            | st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner})
            | st.fixed_dictionaries(
                {"type": st.just("array"), "items": inner},
                optional={"maxItems": st.integers(0, 3), "x-kubernetes-list-type": st.just("set")},
            )
        ),
        max_leaves=8,
    )


@settings(max_examples=150, deadline=None)
@given(properties=st.dictionaries(names, schemas(), max_size=3), obj=st.dictionaries(names, json_values, max_size=3))
def test_pruning_and_defaulting_twice_is_once_and_validation_never_raises(
    properties: dict[str, Any], obj: dict[str, Any]
) -> None:
    schema = compile_schema({"type": "object", "properties": properties})
    before = copy.deepcopy(obj)
    schema.validate(obj)
    assert obj == before
    schema.prune(obj)
    assert schema.prune(obj) == []
    schema.default(obj)
    once = copy.deepcopy(obj)
    schema.default(obj)
    assert obj == once
    schema.validate(obj, before)
    assert schema.validate(obj, once) == [] or schema.validate(obj, {}) != []
