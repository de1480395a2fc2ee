"""Lists: selectors, pages, versions, and what a token that cannot be read is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import CONFIG_MAPS, Talk

EVERYWHERE = "/api/v1/configmaps"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(history=30) as sandbox:
        yield sandbox


@pytest.fixture
def talk(sandbox: Sandbox) -> Talk:
    return Talk(sandbox)


def fill(talk: Talk, *names: str) -> None:
    for name in names:
        talk.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": {"first": name[0]}}})


def pages(talk: Talk, path: str, **query: Any) -> list[dict[str, Any]]:
    found = [talk.get(path, **query)]
    while token := found[-1]["metadata"].get("continue"):
        found.append(talk.get(path, **{**query, "continue": token}))
    return found


def names_in(page: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in page["items"]]


def test_pages_hold_everything_once_in_order_and_count_what_remains(talk: Talk) -> None:
    fill(talk, "e", "c", "a", "d", "b")
    found = pages(talk, CONFIG_MAPS, limit=2)
    assert [names_in(page) for page in found] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page["metadata"].get("remainingItemCount") for page in found] == [3, 1, None]
    assert len({page["metadata"]["resourceVersion"] for page in found}) == 1


def test_later_pages_show_the_state_of_the_first(talk: Talk) -> None:
    fill(talk, "a", "b", "c", "d")
    first = talk.get(CONFIG_MAPS, limit=1)
    talk.delete(f"{CONFIG_MAPS}/c")
    talk.merge(f"{CONFIG_MAPS}/d", {"data": {"new": "value"}})
    fill(talk, "bb")
    rest = talk.get(CONFIG_MAPS, **{"continue": first["metadata"]["continue"]})
    assert names_in(rest) == ["b", "c", "d"]
    assert "data" not in rest["items"][2]
    assert names_in(talk.get(CONFIG_MAPS)) == ["a", "b", "bb", "d"]


def test_a_token_that_outlived_the_history_is_410_and_offers_an_inconsistent_one(sandbox: Sandbox, talk: Talk) -> None:
    fill(talk, "a", "b", "c")
    token = talk.get(CONFIG_MAPS, limit=1)["metadata"]["continue"]
    talk.delete(f"{CONFIG_MAPS}/b")
    sandbox.run(lambda: sandbox.engine.world.storage.compact(sandbox.engine.world.storage.version))
    status, refused = talk.send("GET", CONFIG_MAPS, limit=1, **{"continue": token})
    assert (status, refused["reason"]) == (410, "Expired")
    assert "inconsistent list" in refused["message"]
    assert names_in(talk.get(CONFIG_MAPS, limit=5, **{"continue": refused["metadata"]["continue"]})) == ["c"]


def test_selectors_and_pages_together_count_nothing(talk: Talk) -> None:
    fill(talk, "a1", "b1", "a2", "b2", "a3")
    found = pages(talk, CONFIG_MAPS, limit=2, labelSelector="first=a")
    assert [names_in(page) for page in found] == [["a1", "a2"], ["a3"]]
    assert "remainingItemCount" not in found[0]["metadata"]


def test_namespaces_do_not_mix(talk: Talk) -> None:
    for namespace in ("default", "kube-system"):
        talk.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "x"}})
    assert len(talk.get(CONFIG_MAPS)["items"]) == 1
    assert [item["metadata"]["namespace"] for item in talk.get(EVERYWHERE)["items"]] == ["default", "kube-system"]
    assert talk.get("/api/v1/namespaces/nowhere/configmaps")["items"] == []


def test_any_version_knows_no_pages(talk: Talk) -> None:
    fill(talk, "a", "b", "c")
    assert names_in(talk.get(CONFIG_MAPS, limit=1, resourceVersion="0")) == ["a", "b", "c"]


def test_an_exact_version_is_the_state_of_then(talk: Talk) -> None:
    fill(talk, "a")
    then = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    fill(talk, "b")
    query = {"resourceVersion": then, "resourceVersionMatch": "Exact"}
    page = talk.get(CONFIG_MAPS, **query)
    assert names_in(page) == ["a"]
    assert page["metadata"]["resourceVersion"] == then
    assert names_in(talk.get(CONFIG_MAPS, resourceVersion=then)) == ["a", "b"]
    assert names_in(talk.get(CONFIG_MAPS, resourceVersion=then, resourceVersionMatch="NotOlderThan")) == ["a", "b"]


def test_an_exact_version_that_is_forgotten_is_410(sandbox: Sandbox, talk: Talk) -> None:
    fill(talk, "a")
    then = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    for number in range(40):
        fill(talk, f"n{number}")
    status, refused = talk.send("GET", CONFIG_MAPS, resourceVersion=then, resourceVersionMatch="Exact")
    assert (status, refused["reason"], refused["message"]) == (
        410,
        "Expired",
        "The resourceVersion for the provided list is too old.",
    )


def test_a_version_from_the_future_is_504_with_a_retry(talk: Talk) -> None:
    for match in ("NotOlderThan", "Exact"):
        status, refused = talk.send("GET", CONFIG_MAPS, resourceVersion="999999999", resourceVersionMatch=match)
        assert (status, refused["reason"]) == (504, "Timeout")
        assert refused["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
        assert refused["details"]["retryAfterSeconds"] == 1


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"resourceVersionMatch": "Exact"}, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ({"resourceVersionMatch": "Odd", "resourceVersion": "1"}, 'supported values: "Exact", "NotOlderThan"'),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 'is forbidden for resourceVersion "0"'),
        ({"sendInitialEvents": "true"}, "sendInitialEvents is forbidden for list"),
    ],
)
def test_options_that_contradict_each_other_are_422(talk: Talk, query: dict[str, str], words: str) -> None:
    status, refused = talk.send("GET", CONFIG_MAPS, **query)
    assert (status, refused["reason"], refused["details"]["kind"]) == (422, "Invalid", "ListOptions")
    assert words in refused["message"]


def token(document: Any) -> str:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    "hostile",
    [
        "garbage",
        "%%%",
        token(b"[]"),
        token(b"{"),
        token({"v": "v9", "rv": 1, "start": "a"}),
        token({"v": "meta.k8s.io/v1", "rv": 0, "start": "a"}),
        token({"v": "meta.k8s.io/v1", "rv": "x", "start": "a"}),
        token({"v": "meta.k8s.io/v1", "rv": 1, "start": ""}),
        token({"v": "meta.k8s.io/v1", "rv": 1, "start": "../../etc"}),
    ],
)
def test_a_token_that_cannot_be_read_is_400(talk: Talk, hostile: str) -> None:
    status, refused = talk.send("GET", CONFIG_MAPS, **{"continue": hostile})
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert refused["message"].startswith("invalid continue token: ")


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("-a=b", 'Invalid value: "-a"'),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ],
)
def test_a_label_selector_that_cannot_be_read_is_400(talk: Talk, selector: str, words: str) -> None:
    status, refused = talk.send("GET", CONFIG_MAPS, labelSelector=selector)
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert words in refused["message"]


def test_fields_a_kind_cannot_be_selected_by_are_400(talk: Talk) -> None:
    status, refused = talk.send("GET", CONFIG_MAPS, fieldSelector="data.k=v")
    assert (status, refused["reason"]) == (400, "BadRequest")
    assert talk.send("GET", "/api/v1/pods", fieldSelector="spec.nodeName=n")[0] == 200
    assert talk.send("GET", "/api/v1/pods", fieldSelector="spec.hostname=n")[0] == 400


def test_pods_are_selected_by_their_own_fields(talk: Talk) -> None:
    path = "/api/v1/namespaces/default/pods"
    for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
        container = {"name": "c", "image": "i"}
        talk.create(path, {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [container]}})
    assert talk.names(path, fieldSelector="spec.nodeName=n1") == ["a", "c"]
    assert talk.names(path, fieldSelector="spec.nodeName!=n1,status.phase=Pending") == ["b"]
    assert talk.names(path, fieldSelector="metadata.name=a,spec.nodeName=n2") == []


def test_events_are_one_resource_in_two_groups(talk: Talk) -> None:
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "source": {"component": "kubelet"},
    }
    talk.create("/api/v1/namespaces/default/events", event)
    shown = talk.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert (shown["note"], shown["regarding"]["name"], shown["apiVersion"]) == ("it runs", "p", "events.k8s.io/v1")
    assert talk.names("/api/v1/events", fieldSelector="involvedObject.name=p,involvedObject.kind=Pod") == ["e"]
    assert talk.names("/apis/events.k8s.io/v1/events", fieldSelector="regarding.name=p") == ["e"]
    assert talk.names("/api/v1/events", fieldSelector="source=kubelet") == ["e"]
