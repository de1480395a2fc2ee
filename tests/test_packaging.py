"""The package as others meet it: the face is honest, imports are light, the layers hold, the project names no machine of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import operator_kit

ROOT = Path(__file__).resolve().parent.parent


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    return set(out.stdout.split())


def test_every_name_of_the_face_can_be_imported() -> None:
    for name in operator_kit.__all__:
        assert getattr(operator_kit, name) is not None
    assert set(operator_kit.__all__) == set(dir(operator_kit))


def test_an_unknown_name_of_the_face_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = operator_kit.nonsense


@pytest.mark.parametrize(
    "statement", ["import operator_kit", "import operator_kit.queue", "from operator_kit.queue import WorkQueue"]
)
def test_the_queue_can_be_imported_without_kubernetes(statement: str) -> None:
    loaded = loaded_by(statement)
    heavy = {
        "kubernetes",
        "aiohttp",
        "prometheus_client",
        "click",
        "yaml",
        "tenacity",
        "asyncio",
        "operator_kit.api",
        "operator_kit.cache",
    }
    assert loaded & heavy == set()


def test_the_command_line_starts_light() -> None:
    heavy = {"kubernetes", "aiohttp", "prometheus_client", "operator_kit.sandbox.server"}
    assert loaded_by("import operator_kit.cli") & heavy == set()


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_modules_can_be_read_in_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "operator_kit").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}


def test_nothing_in_the_project_names_the_machine_it_was_made_on() -> None:
    machine = re.compile(r"(?<![\w.])/(?:work|root)/")
    named = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path != Path(__file__) and machine.search(path.read_text("utf-8", "replace"))
    ]
    assert named == []


def test_the_layers_of_the_house_hold() -> None:
    out = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert out.returncode == 0, out.stdout[-2000:] + out.stderr[-2000:]
