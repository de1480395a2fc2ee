"""The example in docs/workqueue.md is what it says: a program for `python -c`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "workqueue.md"


def test_the_example_runs_and_does_what_the_page_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    [(program, shown)] = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]+\n)+)", page, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    expected = [line.removeprefix("    ") for line in shown.splitlines()]
    without_jitter = re.compile(r"in 0\.0\d\ds")
    assert [without_jitter.sub("in a while", line) for line in done.stdout.splitlines()] == [
        without_jitter.sub("in a while", line) for line in expected
    ]
    assert len(program.splitlines()) == 10
