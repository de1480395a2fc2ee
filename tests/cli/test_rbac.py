"""`operator-kit rbac`: prints roles for what is registered, and says what it does not know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from operator_kit.cli import main
from operator_kit.cli.rbac import _name_of
from operator_kit.manager import ExitCode
from operator_kit.sandbox import Sandbox
from tests.processes import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
CRD = str(ROOT / "examples" / "hello" / "crd.yaml")
HELLO = str(ROOT / "examples" / "hello.py")
MODEL = """
from operator_kit import reconciler
from operator_kit.models import CustomResource
class Thing(CustomResource, group="example.com", version="v1"): ...
@reconciler(Thing, owns=["v1/ConfigMap"])
def thing(obj, ctx): ...
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def rbac(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rbac", *arguments])


def printed(*arguments: str) -> list[Any]:
    done = rbac(*arguments)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.output))


def names(documents: list[Any]) -> list[str]:
    return [f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}" for each in documents]


def test_it_prints_a_cluster_role_and_the_role_of_the_lease_with_their_bindings() -> None:
    assert names(printed("--crd", CRD, HELLO)) == [
        "ClusterRole /hello",
        "ClusterRoleBinding /hello",
        "Role default/hello-leader-election",
        "RoleBinding default/hello-leader-election",
    ]
    assert names(printed("--crd", CRD, "--metrics-auth", HELLO))[-2:] == [
        "ClusterRole /hello-metrics-auth",
        "ClusterRoleBinding /hello-metrics-auth",
    ]
    assert names(printed("--crd", CRD, "--no-leader-election", HELLO)) == ["ClusterRole /hello", "ClusterRoleBinding /hello"]


def test_the_page_shows_the_examples_role_as_it_is_printed_and_its_declarations_are_accepted() -> None:
    page = (ROOT / "docs" / "permissions.md").read_text("utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown in rbac("--crd", str(ROOT / "examples" / "website"), str(ROOT / "examples" / "website.py")).output
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    Path("shown.py").write_text(program)
    rules = {
        (*each["resources"], *each["verbs"])
        for each in printed("-o", "rules", "--crd", str(ROOT / "examples" / "website"), "shown.py")[0]
    }
    assert {("secrets", "get"), ("deployments/scale", "update"), ("jobs", "list", "delete"), ("pods", "list")} <= rules


def test_names_namespaces_and_the_service_account_are_as_told() -> None:
    found = printed(
        "--crd", CRD, "--namespaced", "a,b", "--namespaced", "c", "--name", "op", "--service-account", "ops/me", HELLO
    )
    assert names(found[::2]) == ["Role a/op", "Role b/op", "Role c/op", "Role ops/op-leader-election"]
    assert {str(each["subjects"]) for each in found[1::2]} == {"[{'kind': 'ServiceAccount', 'namespace': 'ops', 'name': 'me'}]"}


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("pkg/my_operator.py", "my-operator"),
        ("my_package.operators", "operators"),
        ("some/Folder/", "folder"),
        ("My.Operator.py", "my-operator"),
        ("_.py", "operator"),
    ],
)
def test_roles_are_named_for_the_target_unless_told(target: str, name: str) -> None:
    assert _name_of(target) == name


def test_rules_and_values_are_the_rules_of_the_roles_and_the_chart_adds_those_for_events() -> None:
    rules = printed("--crd", CRD, HELLO)[0]["rules"]
    assert printed("--crd", CRD, "--output", "rules", HELLO) == [rules]
    values = [{"rbac": {"rules": [rule for rule in rules if rule["resources"] != ["events"]]}}]
    assert printed("--crd", CRD, "-o", "values", HELLO) == values
    assert printed("--crd", CRD, "-o", "values", "--namespaced", "a", HELLO) == [{**values[0], "watchNamespaces": ["a"]}]


def test_the_same_code_gives_the_same_text() -> None:
    assert rbac("--crd", CRD, HELLO).output == rbac("--crd", str(Path(CRD).parent), HELLO).output


def test_a_model_needs_no_definition_besides() -> None:
    Path("things.py").write_text(MODEL)
    (rules,) = printed("-o", "rules", "things.py")
    assert {"apiGroups": ["example.com"], "resources": ["things/status"], "verbs": ["patch"]} in rules


def test_an_api_server_knows_kinds_too_and_crds_that_it_has_not_yet(tmp_path: Path) -> None:
    Path("both.py").write_text(
        "from operator_kit import reconciler\n@reconciler('Greeting', reads=['Later'])\ndef f(obj, ctx): ...\n"
    )
    later = yaml.safe_load(Path(CRD).read_text().replace("greeting", "later").replace("Greeting", "Later"))
    Path("later.yaml").write_text(yaml.safe_dump(later))
    with Sandbox() as sandbox:
        sandbox.load(CRD)
        kubeconfig = str(sandbox.write_kubeconfig(tmp_path / "kubeconfig"))
        (rules,) = printed("-o", "rules", "--kubeconfig", kubeconfig, "--crd", "later.yaml", "both.py")
        assert [each["resources"] for each in rules] == [["events"], ["greetings", "laters"], ["greetings/status"]]
        result = rbac("--kubeconfig", kubeconfig, "both.py")
    assert result.exit_code == ExitCode.KIND
    assert "both.py:2: f" in result.output or "both.py:2: greeting: the kind Later is not known here" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            (HELLO,),
            ExitCode.KIND,
            "hello.py:6: greeting: the kind Greeting is not known here; give its definition with --crd FILE",
        ),
        (("--crd", "no.yaml", HELLO), ExitCode.CONFIG, "no.yaml"),
        (("--crd", "empty.yaml", HELLO), ExitCode.CONFIG, "--crd empty.yaml: there is no CustomResourceDefinition in it"),
        (("--name", "No Name", "--crd", CRD, HELLO), ExitCode.USAGE, "--name: 'No Name' is not a name"),
        (("--service-account", "a/b/c", "--crd", CRD, HELLO), ExitCode.USAGE, "--service-account: 'a/b' is not a name"),
        (("--namespaced", "Not_One", "--crd", CRD, HELLO), ExitCode.USAGE, "--namespaced: 'Not_One' is not a name"),
        (("--output", "xml", HELLO), ExitCode.USAGE, "'xml' is not one of"),
        (("no_such.py",), ExitCode.TARGET, "no_such.py"),
        (("--kubeconfig", "none", HELLO), ExitCode.CONFIG, "none"),
        (("--kubeconfig", "nobody.yaml", HELLO), ExitCode.UNREACHABLE, "no answer from http://127.0.0.1:"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(arguments: tuple[str, ...], code: int, says: str) -> None:
    Path("empty.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}
    context = {"name": "a", "context": {"cluster": "a"}}
    Path("nobody.yaml").write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [context], "current-context": "a"}))
    result = rbac(*arguments)
    assert result.exit_code == code, result.output
    assert says in result.output
    assert "Traceback" not in result.output
