"""docs/testing.md: every example in it runs, and it tells of everything there is."""

from __future__ import annotations

import re
import shutil

import pytest

import operator_kit.testing
from operator_kit.sandbox.faults import EVENT_ACTIONS, REQUEST_ACTIONS, STREAM_ACTIONS
from operator_kit.testing import plugin
from tests.processes import ROOT

pytest_plugins = ["pytester"]

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_example_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(plugin.KUBECONFIG_VARIABLE, raising=False)
    shutil.copytree(ROOT / "examples" / "website", pytester.path / "website")
    shutil.copy(ROOT / "examples" / "website.py", pytester.path)
    pytester.makepyfile(**{f"test_{number}": example for number, example in enumerate(EXAMPLES)})
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=len(re.findall(r"^def test_", "\n".join(EXAMPLES), re.MULTILINE)))


def test_the_first_example_takes_ten_lines() -> None:
    lines = [line for line in EXAMPLES[0].splitlines() if line]
    assert len(lines) <= 10


@pytest.mark.parametrize("name", sorted({*operator_kit.testing.__all__, *plugin.__all__} - {"KUBECONFIG_VARIABLE"}))
def test_everything_that_is_offered_is_told_of(name: str) -> None:
    assert f"`{name}" in PAGE or f"import {name}" in PAGE or f", {name}" in PAGE


def test_every_fault_is_told_of() -> None:
    assert {action for action in REQUEST_ACTIONS | STREAM_ACTIONS | EVENT_ACTIONS if f"`{action}`" not in PAGE} == set()
