"""docs/reconcilers.md: every block of code on it is run, and every test it names exists."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from operator_kit.controller import Registry, collect
from tests.processes import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "reconcilers.md").read_text("utf-8")
PRELUDE, *BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROOFS = re.findall(r"\[`([^`\]]+)::(test_\w+)`\]\(([^)#]+)\)", PAGE)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0][:60])
def test_every_block_runs(block: str) -> None:
    names: dict[str, Any] = {"__name__": "reconcilers"}
    with collect(Registry()):
        exec(compile(f"{PRELUDE}\n{block}", "docs/reconcilers.md", "exec"), names)


def test_every_test_it_names_exists() -> None:
    missing = []
    for shown, test, link in PROOFS:
        file = (DOCS / link).resolve()
        if file.name != shown:
            missing.append(f"{shown}::{test} links to {link}")
            continue
        defined = {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
        if test not in defined:
            missing.append(f"{link}::{test}")
    assert missing == []


def test_every_section_names_a_proof() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    written = [section for section in sections if len(section.strip().splitlines()) > 1]
    assert [section.splitlines()[0] for section in written if "::test_" not in section] == []
    assert PROOFS
