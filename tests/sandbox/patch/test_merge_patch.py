"""JSON merge patch: the examples of RFC 7386, and the server's words for what is none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.sandbox.patch import merge_patch, patch
from operator_kit.sandbox.status import StatusError

RFC_7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@pytest.mark.parametrize(("target", "change", "expected"), RFC_7386)
def test_examples_of_the_rfc(target: dict[str, Any], change: dict[str, Any], expected: dict[str, Any]) -> None:
    assert patch("merge", copy.deepcopy(target), change) == expected


def test_nulls_in_new_values_are_dropped_below_lists_too() -> None:
    assert patch("merge", {}, {"a": [{"b": None, "c": [None]}]}) == {"a": [{"c": [None]}]}


@given(objects, objects)
def test_patching_again_and_again_comes_to_rest(target: dict[str, Any], change: dict[str, Any]) -> None:
    """Not at once: where a list with nulls takes the place of an object, the server drops them the second time."""
    once = merge_patch(copy.deepcopy(target), copy.deepcopy(change))
    twice = merge_patch(copy.deepcopy(once), copy.deepcopy(change))
    assert merge_patch(copy.deepcopy(twice), copy.deepcopy(change)) == twice


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"{", 400, "error decoding patch: "),
        (b"5", 400, "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}"),
        (b"null", 400, "Invalid JSON Patch"),
        (b"[]", 422, ' "" is invalid: patch: Invalid value: "[]"'),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "error decoding patch: "),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, code: int, text: str) -> None:
    with pytest.raises(StatusError) as caught:
        patch("merge", {"a": 1}, body)
    assert caught.value.code == code
    assert caught.value.message.startswith(text)
