"""Selectors: the server's grammar, meaning and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.selectors import FieldSelector, LabelSelector


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a=b", {}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a in (b,c)", {"a": "c"}, True),
        ("a in (b,c)", {"a": "d"}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b, c) , d", {"a": "c", "d": "1"}, False),
        ("a in ()", {"a": ""}, True),
        ("a in (,b)", {"a": ""}, True),
        ("a=", {"a": ""}, True),
        ("a=,b=c", {"a": "", "b": "c"}, True),
        ("in in (notin)", {"in": "notin"}, True),
        ("a>5", {"a": "6"}, True),
        ("a>5", {"a": "5"}, False),
        ("a<5", {"a": "x"}, False),
        ("a<5", {}, False),
        ("example.com/role=x", {"example.com/role": "x"}, True),
    ],
)
def test_labels_are_selected_as_the_server_does(text: str, labels: dict[str, str], selected: bool) -> None:
    assert LabelSelector.parse(text).matches(labels) is selected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("===", "found '==', expected: !, identifier, or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b=c)", "unable to parse requirement: found '=', expected: ',' or ')'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a>b", "the value must be an integer"),
        ("-a", 'Invalid value: "-a": name part must consist of'),
        ("a/b/c", "with an optional DNS subdomain prefix and '/'"),
        (f"{'k' * 64}=v", "name part must be no more than 63 bytes"),
        (f"a={'v' * 64}", "must be no more than 63 bytes"),
    ],
)
def test_what_cannot_be_read_is_told_in_the_servers_words(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the words are looked at below
        LabelSelector.parse(text)
    assert words in str(caught.value)


def test_a_dict_selects_like_its_text() -> None:
    made = LabelSelector.from_dict(
        {
            "matchLabels": {"a": "b"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["y", "x"]},
                {"key": "d", "operator": "DoesNotExist"},
            ],
        }
    )
    assert str(made) == "a=b,c in (x,y),!d"
    assert made == LabelSelector([*LabelSelector.parse("a=b,c in (x,y),!d").requirements])
    assert made.matches({"a": "b", "c": "x"})
    assert not made.matches({"a": "b", "c": "x", "d": ""})
    assert LabelSelector.from_dict({}).empty


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Is", "values": ["b"]},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["b"]},
        {"key": "", "operator": "Exists"},
    ],
)
def test_a_dict_that_makes_no_sense_is_refused(expression: dict[str, object]) -> None:
    if expression["key"]:
        with pytest.raises(ValueError, match=r"operator|values set must be empty"):
            LabelSelector.from_dict({"matchExpressions": [expression]})
    else:
        with pytest.raises(ValueError, match="name part must be non-empty"):
            LabelSelector.from_dict({"matchExpressions": [expression]})


KEYS = st.from_regex(r"[a-z]([a-z.-]{0,5}[a-z])?", fullmatch=True)
VALUES = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,5}[A-Za-z0-9])?)?", fullmatch=True)


@given(labels=st.dictionaries(KEYS, VALUES, min_size=1))
def test_labels_select_themselves_through_text_and_back(labels: dict[str, str]) -> None:
    text = str(LabelSelector.from_dict({"matchLabels": labels}))
    assert LabelSelector.parse(text).matches(labels)


@given(text=st.text(alphabet="ab=!,()<> in", max_size=12))
def test_any_text_is_read_or_refused_and_what_is_read_reads_the_same_again(text: str) -> None:
    try:
        made = LabelSelector.parse(text)
    except ValueError:
        return
    assert LabelSelector.parse(str(made)) == made


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a,spec.node!=n2", True),
        ("metadata.name!=a", False),
        ("spec.none=", True),
        (r"spec.odd=x\,y\=z\\", True),
    ],
)
def test_fields_are_selected_as_the_server_does(text: str, selected: bool) -> None:
    fields = {"metadata.name": "a", "spec.node": "n1", "spec.odd": "x,y=z\\"}
    made = FieldSelector.parse(text)
    assert made.matches(lambda field: fields.get(field, "")) is selected
    assert FieldSelector.parse(str(made)) == made


@pytest.mark.parametrize("text", ["a", "a=b,c", "a=\\", "a=b\\c", "a=b=c"])
def test_field_selectors_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        FieldSelector.parse(text)


def test_a_field_selector_tells_the_value_it_demands() -> None:
    made = FieldSelector.parse("metadata.name=a,spec.x!=b")
    assert made.exact("metadata.name") == "a"
    assert made.exact("spec.x") is None
