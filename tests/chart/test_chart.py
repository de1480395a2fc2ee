"""The chart as others get it: it passes Helm's own lint, and its page says what its values are."""

from __future__ import annotations

import functools
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import operator_kit
from tests.chart import helm, values


@pytest.mark.parametrize("kube_version", ["v1.27.0", "v1.36.0"])
@pytest.mark.parametrize("values_file", [None, *sorted((helm.CHART / "ci").glob("*.yaml"))], ids=lambda file: file and file.name)
def test_helm_lint_is_strict_and_has_nothing_to_say(kube_version: str, values_file: Path | None) -> None:
    given = yaml.safe_load(values_file.read_text("utf-8")) if values_file else {}
    answer = helm.helm_python.lint(helm.CHART, given, strict=True, kube_version=kube_version)
    serious = [message for message in answer["messages"] if message["severity"] > 1]  # 1: "icon is recommended"
    assert (answer["errors"], serious) == ([], [])


def test_every_value_has_a_description() -> None:
    assert [path for path, _ in values.leaves()] == list(values.descriptions())


def test_the_table_of_values_on_the_charts_page_is_what_values_yaml_says() -> None:
    assert values.table() in (helm.CHART / "README.md").read_text("utf-8"), "run: make manifests"


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((helm.CHART / "values.schema.json").read_text("utf-8"))

    def known(node: dict[str, Any], value: Any, path: str) -> None:
        if node.get("additionalProperties") is False and isinstance(value, dict):
            extra = {"global"} if not path else {"claims", "limits", "requests"} if path == "resources" else set()
            assert set(node["properties"]) - extra == set(value) - extra, path
            for key, item in value.items():
                known(node["properties"][key], item, f"{path}.{key}".lstrip("."))

    known(schema, values.defaults(), "")


def test_the_versions_of_chart_and_project_are_one() -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == operator_kit.__version__


def test_the_package_holds_what_the_chart_needs_and_no_more(tmp_path: Path) -> None:
    with tarfile.open(helm.helm_python.package(helm.CHART, destination=tmp_path)) as package:
        names = {name.removeprefix("operator-kit/") for name in package.getnames()}
    assert {"Chart.yaml", "values.yaml", "values.schema.json", "README.md", "files/rules.yaml", "files/dashboard.json"} <= names
    assert "crd-files/README.md" in names
    assert [name for name in names if name.startswith("ci/")] == []


PAGES = [helm.CHART / "README.md", helm.ROOT / "docs" / "deploy.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_what_the_pages_show_is_what_the_chart_takes(page: Path) -> None:
    text = page.read_text("utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    shown = [block for block in blocks if "kind" not in block]
    for block in shown:
        assert helm.render(block)
    assert helm.render(functools.reduce(merged, shown, {}), api_versions=helm.MONITORING)
    leaves = [path for path, _ in values.leaves()]
    sections = "|".join(values.defaults())
    named = re.findall(r"--set(?:-file)? ([A-Za-z.]+)=", text) + re.findall(rf"`((?:{sections})(?:\.[A-Za-z]+)+)[`=]", text)
    unknown = [
        path for path in named if not any(f"{path}.".startswith(f"{leaf}.") or leaf.startswith(f"{path}.") for leaf in leaves)
    ]
    assert (bool(named), unknown) == (True, [])


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {key: merged(one[key], other[key]) for key in one.keys() & other.keys() if isinstance(one[key], dict)}
    return {**one, **other, **both}
