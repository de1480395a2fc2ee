"""Assertions of the testing kit: they pass on what holds, and say by path what does not."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.testing.assertions import assert_condition, assert_event, assert_object, differences

SITE: dict[str, Any] = {
    "kind": "Website",
    "metadata": {"name": "blog", "namespace": "default"},
    "spec": {"replicas": 2, "ports": [{"port": 80}], "public": True},
    "status": {"conditions": [{"type": "Available", "status": "False", "reason": "PodsStarting", "message": "0 of 2 are ready"}]},
}


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"spec": {"replicas": 2}},
        {"spec": {"ports": [{"port": 80}]}},
        {"spec": {"image": None}},
        {"metadata": {"name": "blog"}, "kind": "Website"},
    ],
)
def test_an_object_that_holds_what_is_expected_passes(expected: dict[str, Any]) -> None:
    assert_object(SITE, expected)


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ({"spec": {"replicas": 3}}, "spec.replicas: expected 3, found 2"),
        ({"spec": {"replicas": "2"}}, 'spec.replicas: expected "2", found 2'),
        ({"spec": {"public": 1}}, "spec.public: expected 1, found true"),
        ({"spec": {"image": "x"}}, "spec.image: missing; spec has replicas, ports, public"),
        ({"spec": {"replicas": None}}, "spec.replicas: expected nothing, found 2"),
        ({"spec": {"ports": []}}, "spec.ports: expected 0 items, found 1"),
        ({"spec": {"ports": [{"port": 81}]}}, "spec.ports[0].port: expected 81, found 80"),
        ({"spec": {"ports": {"a": 1}}}, "spec.ports: expected a mapping"),
        ({"spec": [1]}, "spec: expected a list"),
    ],
)
def test_a_difference_is_told_by_its_path(expected: dict[str, Any], line: str) -> None:
    assert any(line in told for told in differences(SITE, expected))
    with pytest.raises(AssertionError, match="Website default/blog is not as expected"):
        assert_object(SITE, expected)


def test_a_missing_object_is_said_to_be_missing() -> None:
    with pytest.raises(AssertionError, match="there is no such object"):
        assert_object(None, {"kind": "Website"})
    with pytest.raises(AssertionError, match="there is no such object"):
        assert_condition(None, "Available", True)


def test_conditions_are_found_by_type() -> None:
    assert_condition(SITE, "Available", False, reason="PodsStarting", message="0 of 2")
    with pytest.raises(AssertionError, match=r'status: expected "True", found "False"'):
        assert_condition(SITE, "Available", True)
    with pytest.raises(AssertionError, match="has no condition Ready; it has Available"):
        assert_condition(SITE, "Ready", True)
    with pytest.raises(AssertionError, match="expected it to contain"):
        assert_condition(SITE, "Available", False, message="all well")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "Warning", "reason": "PageMissing", "message": "no page", "involvedObject": {"kind": "Website", "name": "blog"}},
        {"type": "Warning", "reason": "PageMissing", "note": "no page", "regarding": {"kind": "Website", "name": "blog"}},
    ],
)
def test_events_of_both_forms_are_understood(event: dict[str, Any]) -> None:
    assert_event([event], reason="PageMissing", type_="Warning", message="page", about="blog")
    for wrong in ({"reason": "Other"}, {"reason": "PageMissing", "type_": "Normal"}, {"reason": "PageMissing", "about": "shop"}):
        with pytest.raises(AssertionError, match="Warning PageMissing about Website blog: no page"):
            assert_event([event], **wrong)
