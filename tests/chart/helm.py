"""Helm's own engine, from the package helm-python-sdk: the one place that knows how it is called.

The engine is Helm 4 as a shared library; it comes ready-made for x86_64 Linux only. Tests that import this are skipped elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

helm_python = pytest.importorskip("helm_python", reason="Helm's engine (helm-python-sdk) is there for x86_64 Linux only")

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "operator-kit"
MONITORING = ("monitoring.coreos.com/v1", "monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule")

Object = dict[str, Any]
HelmError = helm_python.HelmError


def templates(
    values: Mapping[str, Any] | None = None,
    *,
    chart: Path = CHART,
    release: str = "demo",
    namespace: str = "demo-system",
    kube_version: str = "v1.36.0",
    api_versions: Iterable[str] = (),
    upgrade: bool = False,
) -> dict[str, str]:
    """What `helm template` makes, as text by the path of its template within the chart. Raises `HelmError`."""
    options = {
        "name": release,
        "namespace": namespace,
        "kube_version": kube_version,
        "api_versions": list(api_versions),
        "is_upgrade": upgrade,
        "revision": 2 if upgrade else 1,
    }
    with helm_python.Chart.load(chart) as loaded:
        # Private: the public render() takes neither a Kubernetes version nor API versions.
        answer = helm_python._native.call_string("helm_render", loaded._raw(), json.dumps(values or {}), json.dumps(options))
    return {path.partition("/templates/")[2]: text for path, text in json.loads(answer).items()}


def render(values: Mapping[str, Any] | None = None, **options: Any) -> list[Object]:
    """The objects that `helm template` makes, without those of tests. Takes the options of `templates`."""
    texts = templates(values, **options)
    return [
        document
        for path, text in sorted(texts.items())
        if path.endswith((".yaml", ".yml")) and not path.startswith("tests/")
        for document in yaml.safe_load_all(text)
        if document
    ]


def one(objects: Iterable[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind (and name)."""
    found = [obj for obj in objects if obj["kind"] == kind and name in (None, obj["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} named {name or 'anything'}"
    return found[0]
