"""The chart grants what `operator-kit rbac` prints: its values become the same rules, in the same places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from operator_kit.cli import main
from operator_kit.objects import Object
from tests.chart import helm

EXAMPLE = helm.ROOT / "examples"
HOME = "demo-system"
LEASE = "demo-operator-kit"


def printed(*arguments: str) -> list[Any]:
    crd = str(EXAMPLE / "website" / "crd.yaml")
    done = CliRunner().invoke(main, ["rbac", "--crd", crd, *arguments, str(EXAMPLE / "website.py")])
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.output))


def granted(objects: Iterable[Object]) -> set[tuple[str, ...]]:
    """What is bound to the service account: namespace, group, resource, verb, and the name if there is one."""
    everything = list(objects)
    bound = {
        (each["roleRef"]["kind"], each["metadata"].get("namespace", ""), each["roleRef"]["name"])
        for each in everything
        if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}
    }
    return {
        (each["metadata"].get("namespace", ""), group, resource, verb, *rule.get("resourceNames", ()))
        for each in everything
        if (each["kind"], each.get("metadata", {}).get("namespace", ""), each.get("metadata", {}).get("name")) in bound
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("arguments", [(), ("--namespaced", "team-a", "--namespaced", "team-b")], ids=["cluster", "namespaced"])
def test_the_rendered_roles_are_the_printed_ones(arguments: tuple[str, ...]) -> None:
    (values,) = printed("--output", "values", *arguments)
    rendered = granted(helm.render(values, release="demo", namespace=HOME))
    wanted = granted(printed("--service-account", f"{HOME}/demo", "--leader-election-id", LEASE, *arguments))
    assert len(wanted) > 20
    assert rendered == wanted
