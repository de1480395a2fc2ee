"""The JSON codec gives the same dicts with and without its accelerator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit import codec
from operator_kit.codec import fast, standard

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    assert codec.loads(codec.dumps(value)) == value
    assert standard.loads(codec.dumps(value)) == value
    assert codec.loads(standard.dumps(value)) == value


@pytest.mark.parametrize("half", [fast, standard])
@given(value=JSON)
def test_sorted_text_does_not_depend_on_the_order_of_members(half: Any, value: Any) -> None:
    def arranged(item: Any, *, backwards: bool) -> Any:
        if isinstance(item, dict):
            return {name: arranged(item[name], backwards=backwards) for name in sorted(item, reverse=backwards)}
        return [arranged(each, backwards=backwards) for each in item] if isinstance(item, list) else item

    assert half.dumps_sorted(arranged(value, backwards=True)) == half.dumps(arranged(value, backwards=False))


@given(JSON)
def test_a_clone_is_equal_and_shares_nothing_that_can_change(value: Any) -> None:
    copy = codec.clone(value)
    assert copy == value

    def containers(item: Any) -> set[int]:
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        mine = {id(item)} if isinstance(item, dict | list) else set()
        return mine.union(*(containers(child) for child in inner))

    assert not containers(copy) & containers(value)


@pytest.mark.parametrize("decode", [codec.loads, standard.loads])
@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a": Infinity}', b"[1,]", b"nope", b"{} {}"])
def test_what_is_not_json_is_a_value_error(decode: Any, text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the text is the decoder's own
        decode(text)


@pytest.mark.parametrize("decode", [codec.loads, standard.loads])
def test_nesting_without_end_is_a_value_error_not_a_crash(decode: Any) -> None:
    with pytest.raises(ValueError, match=r"deep|recursion"):
        decode(b"[" * 200_000)


@pytest.mark.parametrize("visit_raw", [fast.visit_raw, standard.visit_raw])
def test_a_list_is_opened_item_by_item(visit_raw: Callable[..., Any]) -> None:
    seen: list[Any] = []
    text = ' {"a" : [1], "items": [ {"x":1} , {"y":"\\u00fc"}, {} ], "kind":"L", "metadata": {"items": []} } '
    envelope = visit_raw(text.encode(), lambda raw: seen.append(raw.decode()), strip=True)
    assert envelope == {"a": [1], "kind": "L", "metadata": {"items": []}}
    assert seen == [{"x": 1}, {"y": "ü"}, {}]
    for empty in (b'{"items":[]}', b'{"items":null}', b"{}"):
        assert visit_raw(empty, seen.append, strip=True) == {}
    assert len(seen) == 3


@pytest.mark.parametrize("visit_raw", [fast.visit_raw, standard.visit_raw])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"items":[1',
        '{"items":[1 2]}',
        '{"items":[1],}',
        '{"items":[1]} x',
        '{"items":{}',
        '{"a" 1}',
        '{"a":1 "b":2}',
        '{"items":[NaN]}',
        '{"items":[,{}]}',
        '{"items":[{},1]}',
        '{"items":[null]}',
    ],
)
def test_what_is_no_list_document_is_refused(visit_raw: Callable[..., Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        visit_raw(text.encode(), lambda item: None, strip=True)
