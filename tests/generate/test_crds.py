"""Whole CRDs: the golden file of the example, and what a server makes of columns, subresources, versions and selectable fields."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import Field

from operator_kit.cli import main
from operator_kit.generate import crds, to_yaml
from operator_kit.models import Column, CustomResource, Model, Scale, Status, definition_of
from operator_kit.sandbox import Sandbox
from tests.generate.sites import Website
from tests.sandbox.talk import MERGE, Talk

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = Path(__file__).with_name("website.yaml")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SITES = "/apis/example.com/v1/namespaces/default/websites"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
def server() -> Iterator[Talk]:
    with Sandbox() as sandbox:
        yield Talk(sandbox)


def site(name: str = "blog", **spec: Any) -> dict[str, Any]:
    spec = {"html": "hello", **spec}
    return {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": spec}


def test_the_crd_of_the_example_is_as_it_was() -> None:
    """Written by `operator-kit crd tests.generate.sites`: a change here is one that users see."""
    assert to_yaml(crds(Website)) == GOLDEN.read_text(encoding="utf-8")


def test_the_yaml_says_what_the_crd_says_without_anchors() -> None:
    text = to_yaml(crds(Website))
    assert list(yaml.safe_load_all(text)) == crds(Website)
    assert "&id" not in text


def test_the_server_takes_it_strictly_and_serves_the_kind(server: Talk) -> None:
    server.create(CRDS, *crds(Website), fieldValidation="Strict")
    made = server.create(SITES, site(replicas=2), fieldValidation="Strict")
    assert made["spec"] == {"html": "hello", "replicas": 2, "image": "nginx:1.27"}
    found = Website.from_dict(made)
    assert (found.spec.replicas, found.spec.html, found.status.replicas) == (2, "hello", 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"replicas": 21}, "spec.replicas"),
        ({"image": ""}, "spec.image"),
        ({"domain": "-"}, "spec.domain"),
        ({"htmlFrom": {}}, "spec.htmlFrom.configMap"),
        ({"htmlFrom": {"configMap": "x"}}, "give either html or htmlFrom"),
    ],
)
def test_the_server_refuses_what_the_model_refuses(server: Talk, spec: dict[str, Any], message: str) -> None:
    server.create(CRDS, *crds(Website))
    status, answer = server.send("POST", SITES, site(**spec))
    assert status == 422
    assert message in answer["message"]


def test_columns_short_names_and_selectable_fields_are_served(server: Talk) -> None:
    server.create(CRDS, *crds(Website))
    server.create(SITES, site("one", image="httpd"))
    server.create(SITES, site("two"))
    _, table = server.send("GET", SITES, accept=TABLE)
    assert [(column["name"], column["type"], column["priority"]) for column in table["columnDefinitions"]][1:] == [
        ("Replicas", "integer", 0),
        ("Available", "string", 0),
        ("Reason", "string", 0),
        ("URL", "string", 1),
        ("Age", "date", 0),
    ]
    assert [row["cells"][:2] for row in table["rows"]] == [["one", 1], ["two", 1]]
    assert server.names(SITES, fieldSelector="spec.image=httpd") == ["one"]
    (resource,) = [each for each in server.get("/apis/example.com/v1")["resources"] if each["name"] == "websites"]
    assert (resource["shortNames"], resource["singularName"]) == (["site"], "website")


def test_status_and_scale_are_subresources(server: Talk) -> None:
    server.create(CRDS, *crds(Website))
    server.create(SITES, {**site(replicas=1), "status": {"replicas": 9}})
    assert "status" not in server.get(f"{SITES}/blog")
    server.merge(f"{SITES}/blog/status", {"status": {"replicas": 1, "url": "http://x/"}})
    scale = server.get(f"{SITES}/blog/scale")
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
    server.send("PATCH", f"{SITES}/blog/scale", {"spec": {"replicas": 3}}, content_type=MERGE)
    assert Website.from_dict(server.get(f"{SITES}/blog")).spec.replicas == 3


def test_several_versions_are_one_crd(server: Talk) -> None:
    class OldSpec(Model):
        size: int = 1

    class NewSpec(Model):
        size: int = 1
        color: str = "red"

    class GadgetV1Beta1(
        CustomResource, group="example.com", version="v1beta1", kind="Gadget", storage=False, deprecated="use example.com/v1"
    ):
        spec: OldSpec

    class Gadget(CustomResource, group="example.com", version="v1"):
        spec: NewSpec

    (crd,) = crds(GadgetV1Beta1, Gadget)
    assert [(each["name"], each["storage"]) for each in crd["spec"]["versions"]] == [("v1beta1", False), ("v1", True)]
    assert crd["spec"]["versions"][0]["deprecationWarning"] == "use example.com/v1"
    server.create(CRDS, crd, fieldValidation="Strict")
    path = "/apis/example.com/{}/namespaces/default/gadgets"
    body = {"apiVersion": "example.com/v1beta1", "kind": "Gadget", "metadata": {"name": "x"}, "spec": {"size": 2}}
    server.create(path.format("v1beta1"), body)
    seen = Gadget.from_dict(server.get(path.format("v1") + "/x"))
    assert (seen.spec.size, seen.spec.color) == (2, "red")


def test_a_kind_may_be_cluster_scoped_and_have_other_fields_than_a_spec(server: Talk) -> None:
    class Tenant(CustomResource, group="example.com", version="v1", namespaced=False, categories=["all"]):
        quota: int = Field(default=5, ge=1)

    server.create(CRDS, *crds(Tenant), fieldValidation="Strict")
    made = server.create("/apis/example.com/v1/tenants", {**Tenant(metadata={"name": "a"}).to_dict()}, fieldValidation="Strict")
    assert made["quota"] == 5


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Website", "websites"), ("Policy", "policies"), ("Proxy", "proxies"), ("Gateway", "gateways"), ("Box", "boxes")],
)
def test_plurals_are_english(kind: str, plural: str) -> None:
    class Thing(CustomResource, group="example.com", version="v1", kind=kind):
        pass

    assert definition_of(Thing).plural == plural


def test_columns_know_their_types_from_the_model() -> None:
    class Measured(Status):
        ratio: float = 0
        selector: str = ""
        replicas: int = 0

    class WideSpec(Model):
        replicas: int = 0
        on: bool = False
        labels: dict[str, int] = Field(default_factory=dict)

    paths = [".spec.on", ".status.ratio", ".spec.labels.a", ".metadata.creationTimestamp", ".metadata.name"]

    class Wide(
        CustomResource,
        group="example.com",
        version="v1",
        columns=[Column(path, path) for path in paths],
        scale=Scale(selector=".status.selector"),
    ):
        spec: WideSpec
        status: Measured

    (version,) = crds(Wide)[0]["spec"]["versions"]
    assert [each["type"] for each in version["additionalPrinterColumns"]] == ["boolean", "number", "integer", "date", "string"]
    assert version["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["crd", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_the_crds_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "kinds.py"
    file.write_text(
        "from operator_kit import reconciler\n"
        "from operator_kit.models import CustomResource\n"
        "class Base(CustomResource): pass\n"
        "class B(Base, group='example.com', version='v1'): pass\n"
        "class A(Base, group='example.com', version='v1'): pass\n"
        "@reconciler(A)\n"
        "def a(obj, ctx): raise AssertionError\n"
    )
    code, out, err = run(str(file))
    assert (code, err) == (0, "")
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(out)] == ["as.example.com", "bs.example.com"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("x = 1\n", 3, "no model is defined; write class Website"),
        (
            "from operator_kit.models import *\nclass A(CustomResource, group='x', version='v1'): pass\n",
            3,
            "kinds.py:2: class A: group='x'",
        ),
        (
            "from operator_kit.models import *\nclass S(Model):\n    a: list['S']\nclass A(CustomResource, group='example.com', version='v1'):\n    spec: S\n",
            2,
            "A.spec.a[]: S contains itself",
        ),
    ],
)
def test_the_command_tells_what_is_wrong_in_one_line(tmp_path: Path, text: str, code: int, message: str) -> None:
    file = tmp_path / "kinds.py"
    file.write_text(text)
    got, out, err = run(str(file))
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_models_are_loaded_by_those_who_use_them() -> None:
    code = "import sys, operator_kit.manager.manager, operator_kit.cli.run, operator_kit.testing.running; print('operator_kit.models' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240, cwd=ROOT)
    assert out.stdout.strip() == "False"


def test_without_pydantic_the_remedy_is_told() -> None:
    code = "import sys; sys.modules['pydantic'] = None; from operator_kit.cli import main; main(['crd', 'x'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240, cwd=ROOT)
    assert out.returncode == 2
    assert out.stderr == "operator-kit: operator_kit.models needs pydantic: pip install 'operator-kit[models]'\n"
