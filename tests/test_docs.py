"""What the documentation says can be run runs, and what it links to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("number", range(2))
def test_the_programs_on_the_sandbox_page_run(number: int) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 2
    done = subprocess.run(
        [sys.executable, "-c", programs[number]], capture_output=True, text=True, timeout=240, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_verb_of_the_makefile_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = re.findall(r"^([a-z-]+):(?!=)(.*)$", text, re.MULTILINE)
    assert verbs
    assert [verb for verb, rest in verbs if " ## " not in rest] == []
