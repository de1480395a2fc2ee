"""operator-kit as processes of its own, the way people run it, for the tests that need the whole of it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class Running:
    """A process with its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Send a signal and wait for the end. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def operator_kit(*arguments: str, log: Path, env: dict[str, str] | None = None) -> Iterator[Running]:
    """Run `operator-kit ARGUMENTS` in the background; it is killed at the end of the block if it still runs."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OPERATOR_KIT_") and name != "KUBECONFIG"
    }
    environment |= {"PYTHONUNBUFFERED": "1", **(env or {})}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "operator_kit", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
        )
    try:
        yield Running(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def run_operator_kit(
    *arguments: str, timeout: float = 120, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `operator-kit ARGUMENTS` to its end."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OPERATOR_KIT_") and name != "KUBECONFIG"
    }
    return subprocess.run(
        [sys.executable, "-m", "operator_kit", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment | (env or {}),
        cwd=ROOT,
    )


def free_port() -> int:
    """A port for what must be told one beforehand, or begins again at the same.

    None of those that the system gives to whoever asks for any: until it is used nobody else gets it.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        try:
            with socket.create_server(("", port)):
                return port
        except OSError:  # somebody else has it
            continue


def eventually(look: Callable[[], T], what: str, timeout: float = 60, every: float = 0.05) -> T:
    """Look again and again until there is something to see: for what happens in another process."""
    deadline = time.monotonic() + timeout  # noqa: TID251  # other processes live in real time
    while True:
        seen: Any = look()
        if seen:
            return seen
        if time.monotonic() > deadline:  # noqa: TID251
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(every)  # noqa: TID251
