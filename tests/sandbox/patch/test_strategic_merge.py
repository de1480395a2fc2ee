"""Strategic merge patch on built-in kinds: merge keys, directives, order, and the server's words for bad patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from operator_kit.objects import GVK
from operator_kit.sandbox.patch import patch
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import Structure

DEPLOYMENT = Structure.for_builtin(GVK("apps", "v1", "Deployment"))

LIVE: dict[str, Any] = {
    "metadata": {"name": "d", "finalizers": ["a", "b"], "labels": {"x": "1", "y": "2"}},
    "spec": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {
            "spec": {
                "containers": [
                    {"name": "c1", "image": "a", "ports": [{"containerPort": 80}, {"containerPort": 81}], "args": ["x"]},
                    {"name": "c2", "image": "b", "env": [{"name": "E", "value": "1"}]},
                ],
                "tolerations": [{"key": "a"}],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "hostAliases": [{"ip": "1.1.1.1", "hostnames": ["h"]}],
            }
        },
    },
}


def apply(change: dict[str, Any]) -> dict[str, Any]:
    return patch("strategic", copy.deepcopy(LIVE), change, DEPLOYMENT)


def pod(change: dict[str, Any]) -> dict[str, Any]:
    result = apply({"spec": {"template": {"spec": change}}})
    found: dict[str, Any] = result["spec"]["template"]["spec"]
    return found


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def test_an_item_is_merged_by_its_key_and_the_others_stay() -> None:
    containers = pod({"containers": [{"name": "c2", "image": "z"}]})["containers"]
    assert names(containers) == ["c1", "c2"]
    assert containers[1] == {"name": "c2", "image": "z", "env": [{"name": "E", "value": "1"}]}


def test_a_new_item_stands_before_those_the_patch_does_not_name() -> None:
    assert names(pod({"containers": [{"name": "c3"}]})["containers"]) == ["c3", "c1", "c2"]


def test_nested_lists_merge_by_their_own_keys() -> None:
    change = {"containers": [{"name": "c1", "ports": [{"containerPort": 81, "name": "p"}], "args": ["y"]}]}
    container = pod(change)["containers"][0]
    assert container["ports"] == [{"containerPort": 80}, {"containerPort": 81, "name": "p"}]
    assert container["args"] == ["y"]


def test_lists_without_a_key_are_replaced() -> None:
    assert pod({"tolerations": [{"key": "b"}]})["tolerations"] == [{"key": "b"}]


def test_patch_delete_takes_an_item_out() -> None:
    assert names(pod({"containers": [{"name": "c1", "$patch": "delete"}]})["containers"]) == ["c2"]


def test_patch_replace_in_a_list_drops_the_live_items() -> None:
    assert pod({"containers": [{"name": "n"}, {"$patch": "replace"}]})["containers"] == [{"name": "n"}]


def test_patch_replace_and_delete_on_maps() -> None:
    assert apply({"metadata": {"labels": {"$patch": "replace", "z": "3"}}})["metadata"]["labels"] == {"z": "3"}
    assert apply({"metadata": {"labels": {"$patch": "delete"}}})["metadata"]["labels"] == {}


def test_null_removes_a_key_and_nulls_in_new_values_are_dropped() -> None:
    result = apply({"metadata": {"labels": {"x": None, "q": None}, "annotations": {"a": "1", "b": None}}})
    assert result["metadata"]["labels"] == {"y": "2"}
    assert result["metadata"]["annotations"] == {"a": "1"}


def test_retain_keys_clears_what_it_does_not_list() -> None:
    assert apply({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})["spec"]["strategy"] == {
        "type": "Recreate"
    }
    volumes = pod({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "x"}}]})["volumes"]
    assert volumes == [{"name": "v", "configMap": {"name": "x"}}]


def test_delete_from_primitive_list_and_set_semantics() -> None:
    assert apply({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})["metadata"]["finalizers"] == ["b"]
    assert apply({"metadata": {"finalizers": ["c", "a"]}})["metadata"]["finalizers"] == ["c", "a", "b"]


def test_set_element_order_orders_patched_and_live_items() -> None:
    order = [{"name": "c2"}, {"name": "c3"}, {"name": "c1"}]
    containers = pod({"$setElementOrder/containers": order, "containers": [{"name": "c3"}]})["containers"]
    assert names(containers) == ["c2", "c3", "c1"]
    ordered = apply({"metadata": {"$setElementOrder/finalizers": ["b", "a"]}})
    assert ordered["metadata"]["finalizers"] == ["b", "a"]


def test_what_kubectl_set_image_sends() -> None:
    change = {"$setElementOrder/containers": [{"name": "c1"}, {"name": "c2"}], "containers": [{"image": "n", "name": "c1"}]}
    assert [item["image"] for item in pod(change)["containers"]] == ["n", "b"]


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"spec": {"template": {"spec": {"containers": [{"image": "b"}]}}}}, 500, "map: map[image:b] does not contain declared"),
        ({"metadata": {"labels": {"$patch": "frob"}}}, 500, "unknown patch type: frob in map: map[$patch:frob]"),
        ({"metadata": {"$retainKeys": "x"}}, 400, "invalid patch format of retainKeys"),
        ({"metadata": {"$retainKeys": ["name"], "labels": {}}}, 400, "invalid patch format of retainKeys"),
        ({"metadata": {"$deleteFromPrimitiveList": ["a"]}}, 400, "invalid patch format of primitive list"),
        ({"metadata": {"$setElementOrder/finalizers": "x"}}, 500, "expected a []interface {}, but received a string"),
        ({"spec": {"$setElementOrder/nope": []}}, 500, "unable to find api field in struct DeploymentSpec for the json field"),
        (
            {"metadata": {"$setElementOrder/finalizers": ["a"], "finalizers": ["q"]}},
            500,
            "The order in patch list:\n[q]\n doesn't match $setElementOrder list:\n[a]\n",
        ),
        ({"metadata": {"finalizers": [["x"]]}}, 422, "the server rejected our request"),
        ({"metadata": {"finalizers": [{"x": 1}]}}, 500, "list element types are not identical"),
    ],
)
def test_bad_patches_get_the_servers_words(change: dict[str, Any], code: int, text: str) -> None:
    with pytest.raises(StatusError) as caught:
        apply(change)
    assert caught.value.code == code
    assert caught.value.message.startswith(text)


def test_a_patch_is_not_changed_by_being_applied() -> None:
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    before = copy.deepcopy(change)
    apply(change)
    assert change == before
