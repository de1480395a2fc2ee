"""The image, as far as it can be judged without building it: the linter is content, and it is what the chart takes it for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import operator_kit
from tests.chart.helm import ROOT, one, render

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
EXAMPLE = (ROOT / "examples" / "Dockerfile").read_text("utf-8")
FINAL = TEXT.rpartition("\nFROM ")[2]


def tool(name: str) -> str:
    """A program that came with a package of the dev extra, or is on the PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False, timeout=240).returncode != 0:
        pytest.skip(f"{name} does not run here")
    return found


def instructions(stage: str, word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", stage, re.MULTILINE)


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [tool("hadolint"), "Dockerfile", "examples/Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_has_nothing_to_say() -> None:
    scripts = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.sh"))]
    assert scripts
    done = subprocess.run([tool("shellcheck"), *scripts], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_the_user_and_on_the_ports_of_the_chart() -> None:
    pod = one(render(), "Deployment")["spec"]["template"]["spec"]
    user = pod["securityContext"]
    assert instructions(FINAL, "USER") == [f"{user['runAsUser']}:{user['runAsGroup']}"]
    assert instructions(FINAL, "EXPOSE")[0].split() == sorted(
        str(port["containerPort"]) for port in pod["containers"][0]["ports"]
    )


def test_the_image_alone_and_the_chart_run_the_same_code() -> None:
    assert json.loads(instructions(FINAL, "ENTRYPOINT")[0]) == ["operator-kit"]
    command = json.loads(instructions(FINAL, "CMD")[0])
    arguments = one(render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [arguments[0], arguments[-1]] == command == ["run", "/operator"]
    assert instructions(EXAMPLE, "COPY")[0].split()[1] == "/operator/"


def test_the_image_names_the_version_of_the_project() -> None:
    assert f"VERSION={operator_kit.__version__}" in instructions(FINAL, "ARG")
    assert instructions(EXAMPLE, "ARG") == [f"BASE=operator-kit:{operator_kit.__version__}"]


def test_the_image_has_what_a_setting_of_the_chart_needs() -> None:
    """`metrics.secure` without a Secret: the operator makes itself a certificate, with the extra tls."""
    (extras,) = (line.partition("=")[2].split(",") for line in instructions(TEXT, "ARG") if line.startswith("EXTRAS="))
    assert "tls" in extras
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(declared)


def test_what_the_image_is_built_from_is_sent_to_the_builder_and_nothing_else() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {name for line in instructions(TEXT, "COPY") if "--from" not in line for name in line.split()[:-1]}
    assert sent == copied
    assert all((ROOT / name).exists() for name in copied)
