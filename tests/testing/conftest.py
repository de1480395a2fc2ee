"""pytester forgets, at the end of a run, every module that was first imported in it; some bear no second import.

So whatever the fixtures and the server import when they are first used is imported before.
"""

from __future__ import annotations

import pytest

import operator_kit.manager.manager
import operator_kit.testing.cluster
import operator_kit.testing.running  # noqa: F401  # for its effect
from operator_kit.sandbox import Sandbox
from tests.processes import ROOT


@pytest.fixture(scope="session", autouse=True)
def everything_is_imported() -> None:
    with Sandbox(workloads=0) as sandbox:
        sandbox.load(ROOT / "examples" / "website" / "crd.yaml", ROOT / "examples" / "website" / "namespace.yaml")
        sandbox.load(ROOT / "examples" / "website" / "blog.yaml")
