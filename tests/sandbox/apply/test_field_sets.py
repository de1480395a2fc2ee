"""Field sets: their form in JSON, and the algebra that ownership stands on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.sandbox.apply import FieldSet
from operator_kit.sandbox.apply.changes import compare, merge
from operator_kit.sandbox.apply.fieldset import path_text
from operator_kit.sandbox.apply.typed import to_field_set
from operator_kit.sandbox.structure import DEDUCED
from tests.sandbox.apply.support import STRUCTURE, Server, gadget

elements = st.sampled_from(["f:a", "f:b", 'k:{"port":80}', 'v:"x"', "v:1", "i:0"])
paths = st.lists(elements, min_size=1, max_size=3).map(tuple)
sets = st.lists(paths, max_size=8).map(lambda found: FieldSet.of(*found))
json_objects = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
        max_leaves=8,
    ),
    max_size=3,
)
ports = st.lists(
    st.fixed_dictionaries({"port": st.integers(1, 3)}, optional={"label": st.sampled_from("xy")}),
    max_size=3,
    unique_by=lambda item: item["port"],
)
specs = st.fixed_dictionaries(
    {"size": st.integers(1, 3)},
    optional={
        "color": st.sampled_from(["red", "blue"]),
        "tags": st.lists(st.sampled_from("ab"), max_size=2),
        "names": st.lists(st.sampled_from("abc"), max_size=3, unique=True),
        "ports": ports,
        "opts": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2),
        "limits": st.dictionaries(st.sampled_from(["cpu", "mem"]), st.just("1"), max_size=2),
        "any": json_objects,
    },
)


@given(sets)
def test_a_set_reads_what_it_wrote(fields: FieldSet) -> None:
    assert FieldSet.from_fields(fields.to_fields()) == fields


@given(sets, sets)
def test_the_algebra_is_that_of_sets_of_paths(a: FieldSet, b: FieldSet) -> None:
    left, right = set(a.paths()), set(b.paths())
    assert set(a.union(b).paths()) == left | right
    assert set(a.intersection(b).paths()) == left & right
    assert set(a.difference(b).paths()) == left - right
    for path in left:
        assert a.has(path)


@given(json_objects, json_objects)
def test_comparing_tells_every_leaf_that_differs(a: dict[str, Any], b: dict[str, Any]) -> None:
    found = compare(a, b, DEDUCED)
    same = found.added.empty() and found.modified.empty() and found.removed.empty()
    assert same == (repr(a) == repr(b) or a == b)


@given(json_objects, json_objects)
def test_merging_twice_is_merging_once(a: dict[str, Any], b: dict[str, Any]) -> None:
    once = merge(a, b, DEDUCED)
    if isinstance(once, dict):
        assert merge(once, b, DEDUCED) == once


@given(specs)
def test_an_applied_object_owns_itself(spec: dict[str, Any]) -> None:
    body = gadget(**spec)
    fields = to_field_set(body, STRUCTURE)
    assert all(fields.has(path) for path in fields.paths())


@settings(max_examples=50)
@given(specs, specs)
def test_applying_twice_is_a_no_op(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Of what is not empty: a list that the first apply empties is gone, and the second one writes it empty."""
    second = _without_empty({key: value for key, value in second.items() if value != []})
    server = Server()
    server.apply("alice", gadget(**first))
    before = copy.deepcopy(server.apply("alice", gadget(**second)))
    assert server.apply("alice", gadget(**second)) == before


@given(specs, specs)
def test_after_an_apply_the_object_holds_what_was_applied_and_nothing_of_the_apply_before(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    server = Server()
    server.apply("alice", gadget(**first))
    server.apply("alice", gadget(**second))
    wanted = {key: value for key, value in second.items() if value not in ([], {})}
    found = {key: value for key, value in (server.spec or {}).items() if value not in ([], {}, None)}
    assert _without_empty(found) == _without_empty(wanted)


def _without_empty(value: Any) -> Any:
    """Nulls and empty values may be left of what is taken out of free-form fields; they say nothing."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, None)}
    return value


@settings(max_examples=50)
@given(specs, specs, specs)
def test_managers_in_turn_never_lose_what_they_force(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    server = Server()
    for manager, spec in (("alice", a), ("bob", b), ("carol", c)):
        server.apply(manager, gadget(**spec), force=True)
        for key in ("size", "color"):
            if key in spec:
                assert server.spec[key] == spec[key]


@pytest.mark.parametrize(
    "fields",
    [
        {"f": {}},
        {"fa": {}},
        {"k:{": {}},
        {"k:[1]": {}},
        {"v:": {}},
        {"i:x": {}},
        {"f:a": 5},
        [],
        "x",
    ],
)
def test_what_is_no_field_set_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the texts are the JSON parser's
        FieldSet.from_fields(fields)


def test_elements_of_an_unknown_kind_are_ignored() -> None:
    assert FieldSet.from_fields({"x:1": {}, "f:a": {}}).to_fields() == {"f:a": {}}


def test_elements_have_one_form() -> None:
    read = FieldSet.from_fields({'k:{"protocol":"TCP","port":80.0}': {}, 'v: "x"': {}})
    assert read.to_fields() == {'k:{"port":80,"protocol":"TCP"}': {}, 'v:"x"': {}}


def test_paths_read_as_in_the_servers_messages() -> None:
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', 'v:"x"', "i:3")
    assert path_text(path) == '.spec.ports[port=80,protocol="TCP"][="x"][3]'
