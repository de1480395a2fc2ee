"""Objects, keys and kinds as plain dicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.objects import (
    GVK,
    Resource,
    controller_of,
    describe,
    gvk_of,
    is_deleting,
    join_key,
    key_of,
    owner_reference,
    split_key,
)

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.one_of(st.just(""), NAMES), NAMES)
def test_keys_split_into_what_they_were_joined_from(namespace: str, name: str) -> None:
    assert split_key(join_key(namespace, name)) == (namespace, name)


@pytest.mark.parametrize(
    ("api_version", "kind", "gvk"),
    [("v1", "Pod", GVK("", "v1", "Pod")), ("apps/v1", "Deployment", GVK("apps", "v1", "Deployment"))],
)
def test_a_kind_reads_back_from_its_object(api_version: str, kind: str, gvk: GVK) -> None:
    assert gvk_of({"apiVersion": api_version, "kind": kind}) == gvk
    assert gvk.api_version == api_version


def test_paths_are_those_of_the_api_server() -> None:
    deployments = Resource("apps", "v1", "Deployment", "deployments")
    nodes = Resource("", "v1", "Node", "nodes", namespaced=False)
    assert deployments.path() == "/apis/apps/v1/deployments"
    assert deployments.path("ns", "web", "status") == "/apis/apps/v1/namespaces/ns/deployments/web/status"
    assert nodes.path("ignored", "n1") == "/api/v1/nodes/n1"
    assert deployments.group_resource == "deployments.apps"


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": []}, {"metadata": {"name": 5}}, {"metadata": {"name": ""}}])
def test_an_object_without_a_name_has_no_key(obj: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no metadata\.name"):
        key_of(obj)
    assert not is_deleting(obj)
    assert describe(obj)


def test_only_the_controller_reference_counts_as_controller() -> None:
    plain = {"kind": "A", "name": "a", "uid": "1"}
    controlling = {"kind": "B", "name": "b", "uid": "2", "controller": True}
    assert controller_of({"metadata": {"ownerReferences": [plain, controlling]}}) == controlling
    assert controller_of({"metadata": {"ownerReferences": [plain]}}) is None
    assert controller_of({"metadata": {"ownerReferences": "nonsense"}}) is None


def test_an_owner_reference_needs_an_owner_that_a_server_holds() -> None:
    owner = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a", "namespace": "ns", "uid": "u1"}}
    assert owner_reference(owner) == {
        "apiVersion": "example.com/v1",
        "kind": "Foo",
        "name": "a",
        "uid": "u1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    del owner["metadata"]["uid"]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="Foo ns/a has no uid"):
        owner_reference(owner)
