"""What docs/models.md shows runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL)
OPERATOR, PARSING, VERSIONS, TESTING = PROGRAMS
SITE = {
    "apiVersion": "example.com/v1",
    "kind": "Website",
    "metadata": {"name": "blog", "namespace": "default"},
    "spec": {"html": "hello"},
}


def python(*arguments: str, cwd: Path = ROOT, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd)


def test_the_operator_has_a_crd(tmp_path: Path) -> None:
    (tmp_path / "website.py").write_text(OPERATOR)
    done = python("-m", "operator_kit", "crd", "website.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["metadata"]["name"] == "websites.example.com"


def test_the_operator_runs_on_a_sandbox_that_knows_its_kind(tmp_path: Path) -> None:
    (tmp_path / "website.py").write_text(OPERATOR)
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(SITE))
    arguments = ("run", "--sandbox", "--load", "site.yaml", "--exit-when-idle", "website.py")
    done = python("-m", "operator_kit", *arguments, "--log-level", "debug", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "applied ConfigMap default/blog" in done.stderr


def test_what_does_not_fit_is_told() -> None:
    done = python("-W", "error", "-c", PARSING)
    assert done.stdout.startswith("Website blog is invalid: spec.replicas: Input should be a valid integer"), done.stderr


def test_versions_are_one_crd() -> None:
    done = python("-W", "error", "-c", VERSIONS)
    assert [each["name"] for each in yaml.safe_load(done.stdout)["spec"]["versions"]] == ["v1beta1", "v1"], done.stderr


def test_the_test_passes(tmp_path: Path) -> None:
    (tmp_path / "test_website.py").write_text(TESTING)
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_website.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_programs_are_typed(tmp_path: Path) -> None:
    files = []
    for number, program in enumerate(PROGRAMS):
        files.append(tmp_path / f"program_{number}.py")
        files[-1].write_text(program)
    # The cache is that of `make lint`: whichever comes second has little to do.
    done = python("-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *map(str, files), timeout=590)
    assert done.returncode == 0, done.stdout
