"""Hostile bodies and entries end in a refusal or in an object, never in another exception."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.apply import server_side_apply, update_managed_fields
from operator_kit.sandbox.shapes.conform import conform
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import Structure
from tests.sandbox.apply.support import API, NOW, STRUCTURE, gadget

names = st.sampled_from(
    ["metadata", "spec", "status", "ports", "names", "opts", "limits", "any", "port", "conditions", "type", "managedFields", "x"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(names, anything, max_size=4)
entries = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "manager": st.sampled_from(["m", "", 5, None]),
            "operation": st.sampled_from(["Apply", "Update", "x", None]),
            "apiVersion": st.sampled_from([API, "v0", "", 5]),
            "fieldsType": st.sampled_from(["FieldsV1", "", 3]),
            "time": st.sampled_from(["2026-01-01T00:00:00Z", 5, None]),
            "fieldsV1": anything | st.dictionaries(st.sampled_from(["f:spec", "k:{", ".", 'v:"x"', "q"]), anything, max_size=3),
        },
    ),
    max_size=3,
)


@settings(max_examples=60)
@given(bodies, bodies, entries)
def test_any_body_applied_to_any_object(live: dict[str, Any], body: dict[str, Any], managed: list[Any]) -> None:
    meta = {"name": "a", "uid": "u", "managedFields": managed}
    stored = {**gadget(), **{key: value for key, value in live.items() if key != "metadata"}, "metadata": meta}
    with contextlib.suppress(StatusError):
        made = server_side_apply(
            stored,
            {**gadget(), **body},
            manager="m",
            force=True,
            api_version=API,
            structure=STRUCTURE,
            now=NOW,
            has_status=True,
        )
        assert isinstance(made["metadata"], dict)


@settings(max_examples=60)
@given(bodies, bodies, entries, entries)
def test_any_update_of_any_object(before: dict[str, Any], after: dict[str, Any], had: list[Any], sent: list[Any]) -> None:
    old = {**gadget(), **before, "metadata": {"name": "a", "uid": "u", "managedFields": had}}
    new = {**gadget(), **after, "metadata": {"name": "a", "managedFields": sent}}
    update_managed_fields(old, new, manager="m", api_version=API, structure=STRUCTURE, now=NOW, has_status=True)
    assert new["metadata"].get("managedFields", [1])


@settings(max_examples=60)
@given(bodies, st.sampled_from([("apps", "Deployment"), ("", "Service"), ("", "Pod"), ("", "Event")]))
def test_any_built_in_object_is_conformed_or_refused(body: dict[str, Any], kind: tuple[str, str]) -> None:
    gvk = GVK(kind[0], "v1", kind[1])
    with contextlib.suppress(StatusError):
        conform(gvk, body)
        again = codec.clone(body)
        assert conform(gvk, again) == []
        assert again == body


@pytest.mark.parametrize("depth", [200, 900, 5000])
def test_deep_nesting_is_refused_or_kept_and_ends_nothing(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = {"x": deep}
    fields: Any = {}
    for _ in range(depth):
        fields = {"f:x": fields}
    entry = {"manager": "d", "operation": "Apply", "apiVersion": API, "fieldsType": "FieldsV1", "fieldsV1": fields}
    with contextlib.suppress(StatusError):
        server_side_apply(
            None, gadget(any=deep), manager="m", force=True, api_version=API, structure=STRUCTURE, now=NOW, has_status=True
        )
    new = gadget({"managedFields": [entry]}, any=deep)
    update_managed_fields(gadget({"uid": "u"}), new, manager="m", api_version=API, structure=STRUCTURE, now=NOW)
    pod: dict[str, Any] = {"spec": {"affinity": deep}}
    with contextlib.suppress(StatusError):
        conform(GVK("", "v1", "Pod"), pod)


def test_a_structure_can_be_made_of_any_schema() -> None:
    odd: list[Any] = [None, {}, {"type": 5}, {"properties": []}, {"type": "object", "properties": {"a": 5, "b": {"items": []}}}]
    for schema in odd:
        made = Structure.from_crd_schema(schema)
        assert made.map is not None
        assert made.map.child("metadata") is not None
