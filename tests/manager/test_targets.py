"""Targets: files, directories, packages and modules, each loaded as Python would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_kit.controller import default_registry
from operator_kit.manager import TargetError, load_targets

CODE = 'from operator_kit import reconciler\n@reconciler("Foo", name="{name}")\ndef f(obj, ctx): ...\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def write(path: str, text: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, "utf-8")
    return path


def names(*targets: str) -> list[str]:
    return [made.name for made in load_targets(targets)]


def test_a_file_can_import_what_lies_beside_it() -> None:
    write("ops/beside_it.py", "NAME = 'x'")
    assert names(write("ops/one_op.py", "import beside_it\n" + CODE.format(name="one"))) == ["one"]


def test_a_directory_means_its_modules_but_not_its_tests() -> None:
    write("ops/b_op.py", CODE.format(name="b"))
    write("ops/a_op.py", CODE.format(name="a"))
    write("ops/test_op.py", "raise RuntimeError")
    write("ops/_private.py", "raise RuntimeError")
    assert names("ops") == ["a", "b"]


def test_a_package_is_imported_as_one() -> None:
    write("pack_of_ops/__init__.py", "")
    write("pack_of_ops/common.py", "WHO = 'c'")
    write("pack_of_ops/op.py", "from .common import WHO\n" + CODE.format(name="packed"))
    assert names("pack_of_ops") == ["packed"]


def test_a_module_by_its_dotted_name() -> None:
    write("mod_of_ops/__init__.py", "")
    write("mod_of_ops/deep_op.py", CODE.format(name="deep"))
    assert names("mod_of_ops.deep_op") == ["deep"]


def test_a_file_whose_name_is_taken_replaces_nobody() -> None:
    import json

    assert names(write("json.py", CODE.format(name="mine"))) == ["mine"]
    assert sys.modules["json"] is json


def test_several_targets_make_one_registry_and_names_must_differ() -> None:
    write("a_op.py", CODE.format(name="a"))
    write("b_op.py", CODE.format(name="a"))
    with pytest.raises(TargetError, match=r"b_op\.py:2: a reconciler named a exists at a_op\.py:2"):
        load_targets(["a_op.py", "b_op.py"])


def test_a_registry_of_the_targets_own_is_collected() -> None:
    text = 'from operator_kit import Registry\nmine = Registry()\n@mine.reconciler("Foo")\ndef f(obj, ctx): ...\n'
    assert names(write("own_op.py", text)) == ["foo"]


def test_loading_leaves_the_default_registry_alone() -> None:
    before = len(default_registry())
    names(write("left_op.py", CODE.format(name="left")))
    assert len(default_registry()) == before


def test_a_module_that_fails_is_not_left_half_loaded() -> None:
    write("half_op.py", "x = 1\nraise ValueError('no')\n")
    with pytest.raises(TargetError, match=r"half_op\.py:2: ValueError: no"):
        load_targets(["half_op.py"])
    assert "half_op" not in sys.modules


def test_an_error_in_what_a_target_imports_names_that_file() -> None:
    write("helper_of_op.py", "def go():\n    1 / 0\n")
    write("uses_op.py", "import helper_of_op\nhelper_of_op.go()\n")
    with pytest.raises(TargetError, match=r"helper_of_op\.py:2: ZeroDivisionError"):
        load_targets(["uses_op.py"])
