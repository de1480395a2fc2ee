"""OpenAPI documents: custom resources as recorded from a real server, built-in kinds with what kubectl looks for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.sandbox import Sandbox, openapi

CONTRACT = Path(__file__).parents[2] / "contract"
SCHEMAS = "#/components/schemas/"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    setup = yaml.safe_load((CONTRACT / "scenarios.yaml").read_text())["setup"]
    path = tmp_path_factory.mktemp("crds") / "crds.yaml"
    path.write_text(yaml.safe_dump_all([step["body"] for step in setup if "body" in step]))
    with Sandbox() as made:
        made.load(path)
        yield made


def document(sandbox: Sandbox, path: str) -> dict[str, Any]:
    found = openapi.v3(sandbox.engine.world.registry, path)
    assert found is not None
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_the_index_names_every_group_and_version_and_each_is_there(sandbox: Sandbox) -> None:
    registry = sandbox.engine.world.registry
    paths = openapi.v3_index(registry)["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/contract.example.com/v1", "apis/contract.example.com/v1beta1"} <= paths.keys()
    for path, where in paths.items():
        assert where["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=")
        assert document(sandbox, path)["openapi"] == "3.0.0"
    assert openapi.v3(registry, "apis/none.example.com/v1") is None
    assert openapi.v3(registry, "apis/../x") is None


def test_every_reference_leads_somewhere(sandbox: Sandbox) -> None:
    for path in openapi.v3_index(sandbox.engine.world.registry)["paths"]:
        found = document(sandbox, path)
        names = found["components"]["schemas"].keys()
        assert {ref.removeprefix(SCHEMAS) for ref in references(found)} <= names, path


def test_a_custom_resource_is_published_as_its_crd_says_with_an_objects_fields(sandbox: Sandbox) -> None:
    schemas = document(sandbox, "apis/contract.example.com/v1")["components"]["schemas"]
    gadget = schemas["com.example.contract.v1.Gadget"]
    assert gadget["x-kubernetes-group-version-kind"] == [{"group": "contract.example.com", "kind": "Gadget", "version": "v1"}]
    assert gadget["required"] == ["spec"]
    spec = gadget["properties"]["spec"]
    assert spec["properties"]["mode"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }
    assert spec["properties"]["frozen"]["x-kubernetes-validations"]
    assert gadget["properties"]["metadata"]["allOf"] == [{"$ref": f"{SCHEMAS}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
    region = schemas["com.example.contract.v1.Region"]
    assert region["x-kubernetes-preserve-unknown-fields"] is True
    assert schemas["com.example.contract.v1.GadgetList"]["required"] == ["items"]


def test_the_paths_of_a_custom_resource(sandbox: Sandbox) -> None:
    paths = document(sandbox, "apis/contract.example.com/v1")["paths"]
    single = paths["/apis/contract.example.com/v1/namespaces/{namespace}/gadgets/{name}"]
    assert single["patch"]["operationId"] == "patchContractExampleComV1NamespacedGadget"
    assert "application/strategic-merge-patch+json" not in single["patch"]["requestBody"]["content"]
    assert {"fieldValidation", "dryRun"} <= {item["name"] for item in single["patch"]["parameters"]}
    everywhere = paths["/apis/contract.example.com/v1/gadgets"]["get"]
    assert everywhere["operationId"] == "listContractExampleComV1GadgetForAllNamespaces"
    assert everywhere["x-kubernetes-action"] == "list"
    assert paths["/apis/contract.example.com/v1/namespaces/{namespace}/gadgets/{name}/scale"].keys() >= {"get", "put", "patch"}
    assert "/apis/contract.example.com/v1/regions/{name}/status" not in paths


def test_built_in_kinds_tell_their_lists_merge_keys(sandbox: Sandbox) -> None:
    found = document(sandbox, "apis/apps/v1")
    pod = found["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]
    containers = pod["properties"]["containers"]
    assert containers["x-kubernetes-list-type"] == "map"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert pod["required"] == ["containers"]
    assert found["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"]["required"] == ["selector", "template"]
    patch = found["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def test_the_older_document_has_definitions_and_no_newer_words(sandbox: Sandbox) -> None:
    found = openapi.v2(sandbox.engine.world.registry)
    assert found["swagger"] == "2.0"
    assert all(ref.startswith("#/definitions/") for ref in references(found))
    assert {ref.removeprefix("#/definitions/") for ref in references(found)} <= found["definitions"].keys()
    mode = found["definitions"]["com.example.contract.v1.Gadget"]["properties"]["spec"]["properties"]["mode"]
    assert "anyOf" not in mode


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_explains_and_applies(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.write_kubeconfig(tmp_path / "kubeconfig")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECACHEDIR": str(tmp_path / "cache"),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }

    def kubectl(*arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        text = json.dumps(given) if given is not None else None
        return subprocess.run(["kubectl", *arguments], env=env, input=text, capture_output=True, text=True, timeout=240)

    assert "containers\t<[]Container> -required-" in kubectl("explain", "deployment.spec.template.spec").stdout
    assert "    ports\t<[]Object>\n      label\t<string>" in kubectl("explain", "gadget", "--recursive").stdout
    gadget = {"apiVersion": "contract.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}
    wrong = {**gadget, "spec": {"size": 3, "bogus": 1}}
    assert 'unknown field "spec.bogus"' in kubectl("apply", "-f", "-", given=wrong).stderr
    assert kubectl("apply", "-f", "-", given=gadget).stdout == "gadget.contract.example.com/g created\n"
    more = {**gadget, "spec": {"size": 4}}
    assert kubectl("apply", "-f", "-", given=more).stdout == "gadget.contract.example.com/g configured\n"
    assert kubectl("apply", "--server-side", "-f", "-", given={**gadget, "spec": {"size": 5}}).returncode == 0
    taken = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", given={**gadget, "spec": {"size": 6}})
    assert 'conflict with "kubectl": .spec.size' in taken.stderr
