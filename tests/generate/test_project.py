"""`operator-kit new`: what it writes runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from operator_kit.errors import ConfigError, UsageError
from operator_kit.generate import Project, write_project
from tests.processes import run_operator_kit


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "bookshop"
    done = run_operator_kit("new", "bookshop-operator", "--group", "shop.example.com", "--directory", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"Next:\n  cd {folder}\n  make test\n  make run\n")
    return folder


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    ours = ("PYTEST_", "OPERATOR_KIT_", "MAKE")  # the tests may be a make's themselves: another make under it says where it is
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=290, check=False)


@pytest.mark.timeout(600)  # a pytest of its own, which a busy machine takes long to start
def test_its_own_tests_pass(project: Path) -> None:
    done = run_in(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.timeout(180)
def test_its_tests_pass_for_a_kind_whose_name_kubernetes_has_too(tmp_path: Path) -> None:
    write_project(Project.of("nightly", "CronJob", "jobs.example.com"), tmp_path / "nightly")
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    done = run_in(tmp_path / "nightly", sys.executable, "-m", "pytest", *quiet, "-k", "follows_its_object")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_it_runs_with_its_sample(project: Path) -> None:
    done = run_in(
        project,
        *(sys.executable, "-m", "operator_kit", "run", "--sandbox", "--load", "sample.yaml", "--exit-when-idle"),
        "bookshop_operator.py",
    )
    assert done.returncode == 0, done.stderr
    assert "idle: 1 object is reconciled" in done.stderr


def test_its_code_is_clean(project: Path) -> None:
    ruff = run_in(project, sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--line-length", "130", ".")
    assert ruff.returncode == 0, ruff.stdout


def test_its_manifests_are_those_that_are_made_from_the_code(project: Path) -> None:
    for file, command in {"crd.yaml": ("crd",), "values-rbac.yaml": ("rbac", "--output", "values")}.items():
        made = run_operator_kit(*command, str(project / "bookshop_operator.py"))
        assert made.stdout == (project / file).read_text("utf-8")


def test_its_makefile_knows_the_image_by_name_and_tag(project: Path) -> None:
    shown = run_in(project, "make", "-n", "deploy", "IMG=registry.example.com:5000/shop/bookshop:1.2")
    assert "--set image.repository=registry.example.com:5000/shop/bookshop --set image.tag=1.2" in shown.stdout
    assert "--set-file crds.files.bookshops=crd.yaml" in shown.stdout


def test_its_chart_renders_with_its_values_its_roles_and_its_definition(project: Path) -> None:
    helm = pytest.importorskip("helm_python", reason="needs helm-python-sdk")
    chart = helm.Chart.load(str(project / "chart"))
    values = {name: yaml.safe_load((project / f"{name}.yaml").read_text("utf-8")) for name in ("values", "values-rbac")}
    given = {
        **values["values"],
        **values["values-rbac"],
        "crds": {"files": {"bookshops": (project / "crd.yaml").read_text("utf-8")}},
    }
    documents = [
        document
        for text in chart.render(given, name="bookshop-operator", namespace="shop").values()
        if text.lstrip().startswith(("apiVersion", "---", "#"))
        for document in yaml.safe_load_all(text)
        if isinstance(document, dict)
    ]
    kinds = {document["kind"] for document in documents}
    assert {"Deployment", "ClusterRole", "ServiceAccount", "CustomResourceDefinition"} <= kinds
    [role] = [item for item in documents if item["kind"] == "ClusterRole" and item["metadata"]["name"] == "bookshop-operator"]
    assert {"apiGroups": ["shop.example.com"], "resources": ["bookshops/status"], "verbs": ["patch"]} in role["rules"]


@pytest.mark.parametrize(
    ("name", "kind", "module", "function"),
    [
        ("bookshop", "Bookshop", "bookshop", "bookshop"),
        ("bookshop-operator", "Bookshop", "bookshop_operator", "bookshop"),
        ("mail-relay", "MailRelay", "mail_relay", "mail_relay"),
        ("my-import", "MyImport", "my_import", "my_import"),
    ],
)
def test_names_are_made_from_one_another(name: str, kind: str, module: str, function: str) -> None:
    made = Project.of(name)
    assert (made.kind, made.module, made.function) == (kind, module, function)


@pytest.mark.parametrize(
    ("name", "kind", "group", "message"),
    [
        ("Bookshop", "", "example.com", "lower-case words and dashes"),
        ("book_shop", "", "example.com", "lower-case words and dashes"),
        ("x" * 41, "", "example.com", "40 characters at most"),
        ("json", "", "example.com", "a module named json exists already; use another name, such as my-json"),
        ("bookshop", "bookshop", "example.com", "CamelCase"),
        ("bookshop", "", "shop", "no API group"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name: str, kind: str, group: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Project.of(name, kind, group)


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious")
    with pytest.raises(ConfigError, match="is not empty; give the name of a new directory"):
        write_project(Project.of("bookshop"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_what_its_code_needs_besides_has_one_place(project: Path) -> None:
    assert "COPY requirements.txt" in (project / "Dockerfile").read_text("utf-8")
    assert "!requirements.txt" in (project / ".dockerignore").read_text("utf-8")
    shown = run_in(project, "make", "-n", "test")
    assert "pytest --requirement requirements.txt" in shown.stdout


def test_its_image_is_built_by_whatever_builds_images(project: Path) -> None:
    image = "bookshop-operator:0.1.0"
    shown = run_in(project, "make", "-n", "docker-build")
    assert shown.stdout.split() == ["docker", "build", "--tag", image, "."]
    shown = run_in(project, "make", "-n", "docker-build", "docker-push", "CONTAINER_TOOL=podman", "BUILD_FLAGS=--no-cache")
    assert shown.stdout.splitlines() == [f"podman build --no-cache --tag {image} .", f"podman push {image}"]
