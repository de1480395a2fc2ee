"""Discovery says what a kube-apiserver says of every resource that the sandbox serves."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.contract.replay import HERE, Replay

LEGACY = json.loads((HERE / "discovery-legacy.json").read_text(encoding="utf-8"))
AGGREGATED = json.loads((HERE / "discovery-aggregated.json").read_text(encoding="utf-8"))
WANTED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList,application/json"
# Streams and proxies to kubelets: there are none behind a sandbox.
WITHOUT = {"attach", "exec", "portforward", "proxy"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Sandbox() as sandbox:
        Replay(sandbox.url).prepare()
        yield sandbox.url


def get(url: str, path: str, accept: str = "application/json") -> tuple[str, Any]:
    request = urllib.request.Request(url + path, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers["Content-Type"], json.load(response)


def without_hashes(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "storageVersionHash"}


@pytest.mark.parametrize("path", [path for path in LEGACY if path not in {"/api", "/apis"} and "bench" not in path])
def test_resources_are_described_as_recorded(url: str, path: str) -> None:
    recorded = {item["name"]: without_hashes(item) for item in LEGACY[path]["resources"]}
    try:
        _, served = get(url, path)
    except urllib.error.HTTPError as error:
        error.close()
        assert path.split("/")[2] in {
            "apiregistration.k8s.io",
            "flowcontrol.apiserver.k8s.io",
            "resource.k8s.io",
        }
        return
    assert served["groupVersion"] == LEGACY[path]["groupVersion"]
    assert {item["name"]: item for item in served["resources"]} == {
        item["name"]: recorded[item["name"]] for item in served["resources"]
    }


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_the_aggregated_form_agrees(url: str, path: str, version: str) -> None:
    content_type, served = get(url, path, WANTED.format(version))
    assert content_type == f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    assert served["apiVersion"] == f"apidiscovery.k8s.io/{version}"

    def resources(items: list[Any]) -> dict[tuple[str, str, str], Any]:
        return {
            (item["metadata"].get("name", ""), group["version"], resource["resource"]): resource
            for item in items
            for group in item["versions"]
            for resource in group["resources"]
        }

    recorded = resources(AGGREGATED[path]["body"]["items"])
    for key, resource in resources(served["items"]).items():
        wanted = dict(recorded[key])
        if "subresources" in wanted:
            wanted["subresources"] = [sub for sub in wanted["subresources"] if sub["subresource"] not in WITHOUT]
            if not wanted["subresources"]:
                del wanted["subresources"]
        assert by_name(resource) == by_name(wanted)


def by_name(resource: dict[str, Any]) -> dict[str, Any]:
    subs = sorted(resource.get("subresources", []), key=lambda sub: sub["subresource"])
    return {**resource, "subresources": subs}


def test_groups_come_in_the_servers_order(url: str) -> None:
    _, served = get(url, "/apis")
    names = [group["name"] for group in served["groups"]]
    recorded = [group["name"] for group in LEGACY["/apis"]["groups"]]
    assert names == [name for name in recorded if name in names]
    assert served["groups"][0].keys() == LEGACY["/apis"]["groups"][0].keys()


def test_a_client_that_has_the_newest_document_is_told_so(url: str) -> None:
    request = urllib.request.Request(f"{url}/apis", headers={"Accept": WANTED.format("v2")})
    with urllib.request.urlopen(request, timeout=60) as response:
        tag = response.headers["Etag"]
    request.add_header("If-None-Match", tag)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        assert error.code == 304
