"""The demo as people start it, and stop it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT


def test_ctrl_c_while_the_demo_is_still_importing_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "kubernetes.py").write_text("raise KeyboardInterrupt\n", "utf-8")  # what is imported longest
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "\nThe demo was interrupted; its operator and its API server are stopped.\n"
