"""JSON patch: the operations of RFC 6902 with the server's ways, and its one answer to a patch that does not apply."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.sandbox.patch import patch
from operator_kit.sandbox.status import StatusError

LIVE = {"a": {"b": [1, 2, 3]}, "n": None, "t/x": 1, "m~n": 2}

APPLIES = [
    ([{"op": "add", "path": "/a/c", "value": 1}], {"a": {"b": [1, 2, 3], "c": 1}}),
    ([{"op": "add", "path": "/a/b/-", "value": 4}], {"a": {"b": [1, 2, 3, 4]}}),
    ([{"op": "add", "path": "/a/b/0", "value": 0}], {"a": {"b": [0, 1, 2, 3]}}),
    ([{"op": "add", "path": "/a/b/3", "value": 4}], {"a": {"b": [1, 2, 3, 4]}}),
    ([{"op": "remove", "path": "/a/b/1"}], {"a": {"b": [1, 3]}}),
    ([{"op": "remove", "path": "/a/b/-1"}], {"a": {"b": [1, 2]}}),
    ([{"op": "replace", "path": "/a/b", "value": []}], {"a": {"b": []}}),
    ([{"op": "replace", "path": "/a/new", "value": 1}], {"a": {"b": [1, 2, 3], "new": 1}}),
    ([{"op": "move", "from": "/a/b/0", "path": "/a/x"}], {"a": {"b": [2, 3], "x": 1}}),
    ([{"op": "copy", "from": "/a/b", "path": "/a/x"}], {"a": {"b": [1, 2, 3], "x": [1, 2, 3]}}),
    ([{"op": "test", "path": "/a/b", "value": [1, 2, 3]}], {"a": {"b": [1, 2, 3]}}),
    ([{"op": "test", "path": "/a/gone", "value": None}], {"a": {"b": [1, 2, 3]}}),
    ([{"op": "remove", "path": "/n"}, {"op": "remove", "path": "/t~1x"}, {"op": "remove", "path": "/m~0n"}], None),
]

FAILS = [
    [{"op": "remove", "path": "/none"}],
    [{"op": "remove", "path": "/a/b/3"}],
    [{"op": "remove", "path": "/a/b/x"}],
    [{"op": "remove", "path": ""}],
    [{"op": "add", "path": "/no/such", "value": 1}],
    [{"op": "add", "path": "/a/b/4", "value": 1}],
    [{"op": "add", "path": "a", "value": 1}],
    [{"op": "add", "value": 1}],
    [{"op": "replace", "path": "", "value": 5}],
    [{"op": "replace", "path": "/a/b/9", "value": 5}],
    [{"op": "test", "path": "/a/b/0", "value": 2}],
    [{"op": "test", "path": "/a/b/0", "value": True}],
    [{"op": "move", "from": "/none", "path": "/a"}],
    [{"op": "move", "path": "/a"}],
    [{"op": "frob", "path": "/a"}],
    [{"path": "/a"}],
    [{"op": "copy", "from": "/a", "path": "/a/b/-"}] * 60,
]


@pytest.mark.parametrize(("operations", "expected"), APPLIES)
def test_operations_that_apply(operations: list[Any], expected: dict[str, Any] | None) -> None:
    rest = {key: value for key, value in LIVE.items() if key != "a"}
    wanted = {"a": LIVE["a"]} if expected is None else {**rest, **expected}
    assert patch("json", copy.deepcopy(LIVE), operations) == wanted


@pytest.mark.parametrize("operations", FAILS)
def test_a_patch_that_does_not_apply_is_422_without_a_reason_why(operations: list[Any]) -> None:
    with pytest.raises(StatusError) as caught:
        patch("json", copy.deepcopy(LIVE), operations)
    assert (caught.value.code, caught.value.reason, caught.value.details) == (422, "Invalid", {})
    assert caught.value.message == "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", 400),
        (b"[5]", 400),
        (b'[{"op": 5, "path": "/a"}]', 400),
        (b"nope", 400),
        ([{"op": "add", "path": "/a", "value": 1}] * 10_001, 413),
    ],
)
def test_what_is_no_list_of_operations_is_refused(body: Any, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        patch("json", {}, body)
    assert caught.value.code == code


@given(
    st.lists(
        st.fixed_dictionaries(
            {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"])},
            optional={
                "path": st.sampled_from(["", "/", "/a", "/a/b", "/a/b/0", "/a/b/-", "/a/b/-9", "//", "x", "/a/b/0/c"]),
                "from": st.sampled_from(["", "/a", "/a/b", "/a/b/1"]),
                "value": st.sampled_from([None, 1, [], {}, {"b": [1]}]),
            },
        ),
        max_size=6,
    )
)
def test_any_operations_end_in_an_object_or_a_refusal(operations: list[Any]) -> None:
    with contextlib.suppress(StatusError):
        assert isinstance(patch("json", copy.deepcopy(LIVE), operations), dict)
