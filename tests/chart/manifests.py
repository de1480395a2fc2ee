"""deploy/ is made from the chart, so that the two cannot differ: `make manifests` writes it, a test makes it again and compares.

    python -m tests.chart.manifests

What Helm alone understands is taken out: its labels and annotations.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tests.chart import values
from tests.chart.helm import CHART, MONITORING, ROOT, Object, templates

DEPLOY = ROOT / "deploy"
EXAMPLE = ROOT / "examples" / "website"
NAMESPACE = "website-system"
GENERATED = "# Made from charts/operator-kit by `make manifests`: change the chart or deploy/values.yaml instead.\n"
READ_PERMISSIONS = "operator-kit rbac --output values --crd examples/website/crd.yaml examples/website.py"

# Which template goes where. What is not named here is not for kustomize: Helm's tests, the dashboard (a JSON file of its own).
BASES: dict[str, tuple[str, ...]] = {
    "crd": ("crds.yaml",),
    "rbac": ("serviceaccount.yaml", "role.yaml", "role-leader-election.yaml", "roles-aggregate.yaml"),
    "manager": ("deployment.yaml", "service-metrics.yaml"),
}
COMPONENTS: dict[str, tuple[str, ...]] = {
    "components/high-availability": ("poddisruptionbudget.yaml",),
    "components/network-policy": ("networkpolicy.yaml",),
    "components/prometheus": ("servicemonitor.yaml", "prometheusrule.yaml"),
}
OPTIONAL: dict[str, Any] = {
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
}


@functools.cache
def permissions() -> str:
    """The rules that the example operator needs, as values: read off its code."""
    program = [sys.executable, "-m", "operator_kit", *READ_PERMISSIONS.split()[1:]]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return f"# Made by `make manifests`: {READ_PERMISSIONS}\n{done.stdout}"


def base_values() -> dict[str, Any]:
    """The values of the example operator: deploy/values.yaml, its permissions, and its definition."""
    written: dict[str, Any] = yaml.safe_load((DEPLOY / "values.yaml").read_text("utf-8"))
    rules: dict[str, Any] = yaml.safe_load(permissions())
    return {**written, **rules, "crds": {"files": {"websites": (EXAMPLE / "crd.yaml").read_text("utf-8")}}}


def without_helm(obj: Object) -> Object:
    """The object as it is when something else than Helm applies it."""
    labels, annotations = obj["metadata"]["labels"], obj["metadata"].get("annotations", {})
    del labels["helm.sh/chart"]
    labels["app.kubernetes.io/managed-by"] = "kustomize"
    annotations.pop("helm.sh/resource-policy", None)
    if not annotations:
        obj["metadata"].pop("annotations", None)
    return obj


def rendered(extra: Mapping[str, Any]) -> dict[str, list[Object]]:
    """The chart's objects by template."""
    texts = templates({**base_values(), **extra}, release="website", namespace=NAMESPACE, api_versions=MONITORING)
    return {
        path: [without_helm(obj) for obj in yaml.safe_load_all(text) if obj]
        for path, text in texts.items()
        if path.endswith(".yaml") and not path.startswith("tests/")
    }


class _Dumper(yaml.SafeDumper):
    """Lists stand under their key indented, as people write them; text of several lines stays readable."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def dumped(objects: Iterable[Object]) -> str:
    return GENERATED + "---\n".join(yaml.dump(obj, Dumper=_Dumper, sort_keys=False, width=130) for obj in objects)


def files() -> dict[str, str]:
    """Everything in deploy/ that is made, by path."""
    made: dict[str, str] = {}
    objects = rendered(OPTIONAL)
    for folder, names in {**BASES, **COMPONENTS}.items():
        for name in names:
            made[f"{folder}/{name}"] = dumped(objects[name])
    # The pods pass the strictest of the Pod Security Standards, so nothing else need be let in.
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made["manager/namespace.yaml"] = dumped(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}]
    )
    made["rbac-values.yaml"] = permissions()
    for name in ("blog.yaml", "namespace.yaml"):
        made[f"samples/{name}"] = "# A copy, made by `make manifests`.\n" + (EXAMPLE / name).read_text("utf-8")
    return made


def main() -> None:
    """Write deploy/ and the table of values on the chart's page."""
    for path, text in files().items():
        (DEPLOY / path).parent.mkdir(parents=True, exist_ok=True)
        (DEPLOY / path).write_text(text, "utf-8")
    page = CHART / "README.md"
    before, _, _ = page.read_text("utf-8").partition("| Value |")
    page.write_text(f"{before}{values.table()}\n", "utf-8")


if __name__ == "__main__":
    main()
