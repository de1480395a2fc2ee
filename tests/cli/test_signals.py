"""Signals, with real processes: the first stops cleanly within the deadline, the second at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_kit.manager import ExitCode
from operator_kit.sandbox import Sandbox
from tests.processes import eventually, operator_kit

OPERATOR = """
import logging, threading
from operator_kit import reconciler

@reconciler("v1/Namespace", workers=1)
def reconcile(obj, ctx):
    logging.getLogger("mine").info("began")
    if not ctx.stopping.wait(60):
        raise SystemExit("nobody told me")
    logging.getLogger("mine").info("told")
    threading.Event().wait({seconds})
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    with Sandbox() as sandbox:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        yield str(path)


def target(tmp_path: Path, seconds: float) -> str:
    path = tmp_path / "namespaces_op.py"
    path.write_text(OPERATOR.replace("{seconds}", str(seconds)), "utf-8")
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_what_runs_finish(kubeconfig: str, tmp_path: Path, number: signal.Signals) -> None:
    with operator_kit("run", "--kubeconfig", kubeconfig, target(tmp_path, 0), log=tmp_path / "log") as running:
        eventually(lambda: "began" in running.output(), "a running reconcile")
        assert running.stop(number) == ExitCode.OK, running.output()
    assert "told" in running.output()
    assert "Traceback" not in running.output()


def test_a_function_that_outlives_the_deadline_ends_the_process_hard_and_is_named(kubeconfig: str, tmp_path: Path) -> None:
    arguments = ("run", "--kubeconfig", kubeconfig, "--shutdown-timeout", "200ms", target(tmp_path, 60))
    with operator_kit(*arguments, log=tmp_path / "log") as running:
        eventually(lambda: "began" in running.output(), "a running reconcile")
        assert running.stop() == ExitCode.STUCK, running.output()
    assert "is still running after" in running.output()


def test_a_second_signal_ends_at_once(kubeconfig: str, tmp_path: Path) -> None:
    with operator_kit("run", "--kubeconfig", kubeconfig, target(tmp_path, 60), log=tmp_path / "log") as running:
        eventually(lambda: "began" in running.output(), "a running reconcile")
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: "told" in running.output(), "the stop")
        assert running.stop(signal.SIGINT) == 128 + signal.SIGINT, running.output()


def test_as_the_first_process_of_a_container_it_is_ended_by_a_signal_before_the_start(tmp_path: Path) -> None:
    """The kernel spares such a process the signals it has no handler for: SIGTERM would be lost, and the pod killed later."""
    slow = tmp_path / "slow_operator.py"
    slow.write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n", "utf-8")
    program = "import os\nos.getpid = lambda: 1\nfrom operator_kit.cli import main\nmain()"
    with subprocess.Popen([sys.executable, "-c", program, "run", str(slow)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM  # not by the signal's default, which is -SIGTERM here and nothing there
