"""What is sent for a child, and when nothing would change."""

from __future__ import annotations

import re
from typing import Any

import pytest

from operator_kit.controller.children import applied_hash, difference, prepare
from operator_kit.controller.ownership import Marks, claim, owner_value
from operator_kit.errors import UsageError
from operator_kit.objects import Object
from tests.controller.fakes import BAR, CONFIG_MAP, FOO, NAMESPACE, SECRET, foo

MARKS = Marks("example.com/foo")


def claimed(child: Object, kind: Any, owner: Object, owner_kind: Any, *, labelled: bool = False) -> Object:
    prepared = prepare(child, kind, owner)
    claim(prepared, kind, owner, owner_kind, MARKS, labelled=labelled)
    return prepared


def config_map(**meta: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", **meta}, "data": {"k": "v"}}


def test_a_child_gets_its_owners_namespace_and_the_owner_reference_and_the_original_stays() -> None:
    desired = config_map()
    child = claimed(desired, CONFIG_MAP, foo(), FOO)
    assert child["metadata"]["namespace"] == "default"
    assert child["metadata"]["ownerReferences"][0]["uid"] == "uid-a"
    assert desired == config_map()


def test_what_an_object_that_was_read_brings_along_is_not_claimed() -> None:
    desired = config_map(resourceVersion="5", uid="u", managedFields=[], generation=3, creationTimestamp="x")
    assert set(prepare(desired, CONFIG_MAP, foo())["metadata"]) == {"name", "namespace"}


@pytest.mark.parametrize(
    ("child", "kind", "owner", "owner_kind", "message"),
    [
        (config_map(name=""), CONFIG_MAP, foo(), FOO, "needs a metadata.name"),
        (
            config_map(namespace="other"),
            CONFIG_MAP,
            foo(),
            FOO,
            "in another namespace, where no owner reference of Foo default/a reaches; declare its kind with owns_by_label",
        ),
        (
            {**config_map(), "kind": "Namespace"},
            NAMESPACE,
            foo(),
            FOO,
            "Namespace child is in no namespace, where no owner reference",
        ),
        (foo(), FOO, foo(), FOO, "cannot be its own child"),
        (config_map(namespace="x"), NAMESPACE, foo(), FOO, "take metadata.namespace away"),
        (config_map(), CONFIG_MAP, {**foo(), "metadata": {"name": "c", "uid": "u"}}, NAMESPACE, "needs a metadata.namespace"),
        (
            config_map(ownerReferences=[{"kind": "Other", "name": "x", "uid": "other", "controller": True}]),
            CONFIG_MAP,
            foo(),
            FOO,
            "names Other x as its controller already",
        ),
    ],
)
def test_a_child_that_cannot_be_is_refused_with_the_remedy(
    child: Object, kind: Any, owner: Object, owner_kind: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        claimed(child, kind, owner, owner_kind)


def test_an_unowned_child_may_be_anywhere() -> None:
    child = prepare(config_map(namespace="other"), CONFIG_MAP, foo())
    assert "ownerReferences" not in child["metadata"]


def test_a_child_out_of_reach_is_labelled_with_the_owners_uid_and_says_its_key() -> None:
    for child, kind in ((config_map(namespace="other"), CONFIG_MAP), ({**config_map(), "kind": "Namespace"}, NAMESPACE)):
        meta = claimed(child, kind, foo(), FOO, labelled=True)["metadata"]
        assert meta["labels"] == {"example.com/foo.owner": "uid-a"}
        assert meta["annotations"] == {"example.com/foo.owner": "default/a"}
        assert "ownerReferences" not in meta


def test_a_child_within_reach_gets_a_reference_though_its_kind_may_be_labelled() -> None:
    meta = claimed(config_map(), CONFIG_MAP, foo(), FOO, labelled=True)["metadata"]
    assert "labels" not in meta
    assert meta["ownerReferences"][0]["controller"] is True


@pytest.mark.parametrize("uid", ["uid/of/another/kind", "-x", "u" * 64, "é"])
def test_an_owners_uid_is_a_label_value_whatever_it_is(uid: str) -> None:
    value = owner_value(uid)
    assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
    assert value != owner_value(uid + "x")


def test_the_texts_of_a_secret_are_encoded_as_the_server_would() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}
    child = prepare(secret, SECRET, foo())
    assert child["data"] == {"a": "Yg==", "c": "ZA=="}
    assert "stringData" not in child


def test_the_hash_does_not_depend_on_the_order_of_fields() -> None:
    assert applied_hash({"a": 1, "b": {"c": [1], "d": 2}}) == applied_hash({"b": {"d": 2, "c": [1]}, "a": 1})
    assert applied_hash({"a": [1, 2]}) != applied_hash({"a": [2, 1]})


@pytest.mark.parametrize(
    ("desired", "live", "path"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b"),
        ({"a": 1}, {}, "a"),
        ({"a": None, "b": {}, "c": [], "d": False, "e": 0, "f": ""}, {}, ""),
        ({"a": {}}, {"a": {"default": 1}}, ""),
        ({"a": True}, {"a": 1}, "a"),
        ({"a": 1}, {"a": 1.0}, ""),
        ({"l": [{"name": "x"}]}, {"l": [{"name": "x", "default": True}]}, ""),
        ({"l": [{"name": "x"}]}, {"l": [{"name": "x"}, {"name": "y"}]}, "l"),
        ({"l": ["a", "b"]}, {"l": ["b", "a"]}, "l[0]"),
        ({"l": ["a"]}, {"l": None}, "l"),
        ({"l": [{"name": "x", "v": 1}]}, {"l": [{"name": "x", "v": 2}]}, "l[0].v"),
        ({"metadata": {"finalizers": ["a"]}}, {"metadata": {"finalizers": ["b", "a"]}}, ""),
        (
            {"metadata": {"ownerReferences": [{"uid": "1"}]}},
            {"metadata": {"ownerReferences": [{"uid": "2"}]}},
            "metadata.ownerReferences",
        ),
        (
            {"resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}}},
            {"resources": {"limits": {"cpu": "1", "memory": "1024Mi"}}},
            "",
        ),
        ({"resources": {"limits": {"cpu": "1000m"}}}, {"resources": {"limits": {"cpu": "2"}}}, "resources.limits.cpu"),
        ({"data": {"cpu": "1000m"}}, {"data": {"cpu": "1"}}, "data.cpu"),
        ({"a": {"b": 1}}, {"a": "text"}, "a"),
    ],
)
def test_what_holds_and_what_differs(desired: Object, live: Object, path: str) -> None:
    assert difference(desired, live) == path


def test_a_kind_of_the_same_name_in_another_group_may_be_a_child() -> None:
    same_name = {"apiVersion": "example.com/v1", "kind": "Bar", "metadata": {"name": "a"}}
    assert claimed(same_name, BAR, foo(), FOO)["metadata"]["namespace"] == "default"
