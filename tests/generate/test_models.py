"""Models as an author meets them: parsed, changed, written back as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, computed_field

from operator_kit.errors import InvalidObject, PermanentError
from operator_kit.models import Condition, CustomResource, Duration, Metadata, Model, Status
from tests.generate.sites import PageSource, Website, WebsiteSpec, WebsiteStatus


class Part(Model):
    from_: str = ""
    max_size_mb: int = 1
    alreadyCamel: int = 0  # noqa: N815  # what is tested


class Open(Model, extra="allow"):
    known: int = 0


class ThingSpec(Model):
    part: Part = Part()
    open: Open = Open()
    tags: dict[str, str] = Field(default_factory=dict)
    wait: Duration = timedelta(seconds=5)


class Thing(CustomResource, group="example.com", version="v1"):
    spec: ThingSpec = ThingSpec()


OBJECT: dict[str, Any] = {
    "apiVersion": "example.com/v1",
    "kind": "Thing",
    "metadata": {
        "name": "a",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"x": "y"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "p"}],
        "selfLink": "/unknown/to/the/model",
    },
    "spec": {"part": {"from": "here", "maxSizeMb": 3}, "open": {"known": 1, "more": [1, {"a": None}]}, "wait": "1m30s"},
    "status": {
        "observedGeneration": 2,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-02T03:04:05Z"}
        ],
    },
}


def test_names_are_snake_case_here_and_camel_case_there() -> None:
    thing = Thing.from_dict(OBJECT)
    assert (thing.spec.part.from_, thing.spec.part.max_size_mb, thing.spec.part.alreadyCamel) == ("here", 3, 0)
    assert thing.metadata.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert thing.status.conditions[0].last_transition_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert thing.spec.wait == timedelta(seconds=90)


def test_what_was_read_is_written_back_as_it_was() -> None:
    assert Thing.from_dict(OBJECT).to_dict() == OBJECT


def test_what_an_author_changes_is_written_whatever_it_was_before() -> None:
    thing = Thing.from_dict({**OBJECT, "metadata": {"name": "a"}, "spec": {}})
    assert "spec" in thing.to_dict()
    thing.metadata.labels["new"] = "label"
    thing.metadata.finalizers.append("example.com/f")
    thing.spec.part.max_size_mb = 1  # its default, but said
    thing.spec.tags["a"] = "b"
    written = thing.to_dict()
    assert written["metadata"] == {"name": "a", "labels": {"new": "label"}, "finalizers": ["example.com/f"]}
    assert written["spec"] == {"part": {"maxSizeMb": 1}, "tags": {"a": "b"}}


def test_a_default_made_from_other_fields_is_always_written() -> None:
    class Derived(Model):
        low: int = 1
        high: int = Field(default_factory=lambda data: data["low"] + 1)

    assert Derived(low=2).to_dict() == {"low": 2, "high": 3}


def test_a_default_is_never_shared() -> None:
    one, other = Thing(), Thing()
    one.spec.tags["a"] = "b"
    one.spec.part.from_ = "one"
    one.status.conditions.append(Condition(type="Ready", status="True"))
    assert other.to_dict() == {"apiVersion": "example.com/v1", "kind": "Thing"}


def test_a_model_shares_nothing_with_what_it_was_made_from() -> None:
    given_ = {**OBJECT, "spec": {"open": {"more": {"list": [1]}}}}
    thing = Thing.from_dict(given_)
    thing.spec.open.more["list"].append(2)  # type: ignore[attr-defined]  # an extra field
    assert given_["spec"] == {"open": {"more": {"list": [1]}}}


def test_unknown_fields_are_kept_where_the_server_keeps_them_and_dropped_where_it_does() -> None:
    thing = Thing.from_dict({"metadata": {"name": "a"}, "spec": {"open": {"x": 1}, "part": {"y": 2}}, "other": 3})
    assert thing.to_dict()["spec"] == {"open": {"x": 1}, "part": {}}


def test_objects_are_made_with_names_of_either_kind() -> None:
    made = Website(metadata=Metadata(name="blog"), spec=WebsiteSpec(html_from=PageSource(config_map="page")))
    assert made.to_dict() == {
        "apiVersion": "example.com/v1",
        "kind": "Website",
        "metadata": {"name": "blog"},
        "spec": {"htmlFrom": {"configMap": "page"}},
    }
    assert Website.from_dict(made.to_dict()) == made


def test_computed_fields_are_for_python_alone() -> None:
    class Sized(Model):
        low: int = 0

        @computed_field
        def double(self) -> int:
            return 2 * self.low

    assert Sized(low=2).double == 4  # type: ignore[comparison-overlap]  # mypy sees the method
    assert Sized(low=2).to_dict() == {"low": 2}


def test_a_part_alone_is_a_dict_for_patch_status() -> None:
    assert WebsiteStatus(replicas=0, url="http://x/").to_dict() == {"replicas": 0, "url": "http://x/"}
    assert WebsiteStatus().to_dict() == {}


def test_what_does_not_fit_is_told_by_path_and_not_by_the_yard() -> None:
    bad = {**OBJECT, "kind": "Website", "spec": {"replicas": "many", "htmlFrom": {}, "image": 7}}
    with pytest.raises(InvalidObject) as caught:
        Website.from_dict(bad)
    assert isinstance(caught.value, PermanentError)
    assert caught.value.reason == "Invalid"
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "spec.replicas",
        "spec.image",
        "spec.htmlFrom.configMap",
    ]
    assert str(caught.value).startswith("Website default/a is invalid: spec.replicas: Input should be a valid integer")

    class Many(CustomResource, group="example.com", version="v1"):
        items: list[int]

    with pytest.raises(InvalidObject, match=r"items\[4\]: [^;]* \(and 15 more\)$"):
        Many.from_dict({"metadata": {}, "items": ["x"] * 20})


@pytest.mark.parametrize(
    "obj", [{}, {"metadata": None}, {"spec": None}, {"metadata": []}, {"spec": {"replicas": [[]]}}, {"status": 3}]
)
def test_whatever_comes_is_parsed_or_refused(obj: dict[str, Any]) -> None:
    with pytest.raises(InvalidObject):
        Website.from_dict(obj)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
PLACES = st.sampled_from(["metadata", "spec", "status", "replicas", "htmlFrom", "labels", "conditions", "apiVersion", "other"])


@given(st.dictionaries(PLACES, st.dictionaries(PLACES, JSON, max_size=4) | JSON, max_size=5))
def test_no_object_whatsoever_does_more_than_not_fit(obj: dict[str, Any]) -> None:
    problem: InvalidObject | None = None
    try:
        parsed = Website.from_dict(obj)
    except InvalidObject as exc:
        problem = exc
    if problem is None:
        assert Website.from_dict(parsed.to_dict()) == parsed
    else:
        assert problem.problems
        assert len(str(problem)) < 2000


def test_a_subclass_of_a_status_keeps_what_the_framework_writes() -> None:
    assert set(Status.model_fields) <= set(WebsiteStatus.model_fields)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_durations_are_written_as_they_are_read(value: timedelta) -> None:
    adapter = TypeAdapter(Duration)
    assert adapter.validate_python(adapter.dump_python(value, mode="json")) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (1.5, "1.5s"), (90, "1m30s"), (7200, "2h"), (3601, "1h1s"), (0.000001, "0.001ms")],
)
def test_durations_look_as_in_go(seconds: float, text: str) -> None:
    assert TypeAdapter(Duration).dump_python(timedelta(seconds=seconds), mode="json") == text
