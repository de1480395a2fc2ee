"""`operator-kit sandbox` as a person meets it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from operator_kit.cli import main
from operator_kit.sandbox import Sandbox


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-u", "-m", "operator_kit", "sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            heard = ""
            while "Ctrl-C" not in heard:
                line = process.stdout.readline()
                assert line, f"it ended: {heard}"
                heard += line
            yield process, heard
        finally:
            process.kill()


def test_it_says_where_it_listens_writes_a_kubeconfig_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    objects = tmp_path / "objects.yaml"
    objects.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: x}\n---\n"
        "kind: Namespace\napiVersion: v1\nmetadata: {name: x}\n"
    )
    with running("--kubeconfig", str(file), "--load", str(objects)) as (process, heard):
        url = re.search(r"http://\S+", heard)
        assert url is not None
        url_text = url[0].rstrip(",")
        assert yaml.safe_load(file.read_text())["clusters"][0]["cluster"]["server"] == url_text
        assert f"kubectl --kubeconfig {file}" in heard
        with urllib.request.urlopen(f"{url_text}/api/v1/namespaces/x/configmaps/a", timeout=60) as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["sandbox", *arguments])
    return result.exit_code, result.output


def test_a_port_in_use_is_one_line_and_a_usage_error() -> None:
    with Sandbox() as sandbox:
        code, output = run("--port", str(sandbox.port))
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{sandbox.port}: another process listens there already; choose another port" in output
    assert len(output.splitlines()) == 1


def test_files_that_cannot_be_loaded_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert run("--load", str(missing)) == (4, f"operator-kit: cannot read {missing}: No such file or directory\n")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,\nb: 2\n")
    code, output = run("--load", str(broken))
    assert code == 4
    assert f"{broken} is not YAML: line " in output
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("just: text\n")
    assert "without apiVersion and kind" in run("--load", str(nothing))[1]
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text("apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: a}\n")
    code, output = run("--load", str(unknown))
    assert "Foo default/a" in output or "Foo a" in output
    assert "load its CRD as well" in output


def test_a_kubeconfig_that_is_not_its_own_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("current-context: production\n")
    code, output = run("--kubeconfig", str(file))
    assert code == 4
    assert "not written over" in output
    assert file.read_text() == "current-context: production\n"


@pytest.mark.parametrize("package", ["aiohttp", "celpy", "re2"])
def test_a_part_of_the_extra_that_is_missing_is_named_at_once(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the first definition with a rule or a pattern comes: aiohttp alone comes with the official client too."""
    monkeypatch.setitem(sys.modules, package, None)
    code, output = run("--load", "/nowhere")
    assert (code, output) == (2, f"operator-kit: the sandbox needs {package}: pip install 'operator-kit[sandbox]'\n")
