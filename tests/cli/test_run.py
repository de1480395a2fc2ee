"""`operator-kit run`: bad input gets one or two lines and an exit code of its own; good input runs."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from operator_kit.cli import main
from operator_kit.manager import ExitCode
from operator_kit.sandbox import Sandbox
from operator_kit.settings import Settings

HELLO = Path(__file__).resolve().parent.parent.parent / "examples" / "hello"

UNKNOWN = 'from operator_kit import reconciler\n@reconciler("Nonsense")\ndef f(obj, ctx): ...\n'
GREETING = """
from operator_kit import reconciler
@reconciler("Greeting", owns=["v1/ConfigMap"])
def greeting(obj, ctx):
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"k": "v"}})
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "OPERATOR_KIT_KUBECONFIG", "OPERATOR_KIT_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["run", *arguments], env=env)


def write(name: str, text: str) -> str:
    Path(name).write_text(text, "utf-8")
    return name


def refused(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    for part in parts:
        assert part in result.output
    assert "Traceback" not in result.output
    said = [line for line in result.output.splitlines() if line.startswith(("operator-kit:", "Error:"))]
    assert len(said) == 1


# ------------------------------------------------------------------ targets


@pytest.mark.parametrize("target", ["nothere.py", "no/such/dir", "no_such_module_of_ours"])
def test_a_target_that_is_not_found(target: str) -> None:
    refused(run(target), ExitCode.TARGET, target, "no")


def test_a_misspelt_target_is_given_the_nearest() -> None:
    write("operator_one.py", "")
    refused(run("operator_on.py"), ExitCode.TARGET, "did you mean operator_one.py?")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n\ndef f():\n    return undefined\nf()\n", "bad_target.py:4: NameError: name 'undefined' is not defined"),
        ("def f(:\n", "bad_target.py:1: SyntaxError"),
        ("import json\njson.loads('{')\n", "bad_target.py:2: JSONDecodeError"),
        ("import no_such_library_of_ours\n", "bad_target.py:1: ModuleNotFoundError: No module named 'no_such_library_of_ours'"),
        ("raise SystemExit(3)\n", "bad_target.py:1: SystemExit: 3"),
        ("raise KeyError\n", "bad_target.py:1: KeyError"),
        ("x = 1\n", "bad_target.py: no reconciler is registered"),
        (
            'from operator_kit import reconciler\n@reconciler("Foo", own=["v1/Pod"])\ndef f(o, c): ...\n',
            "has no option own; did you mean owns?",
        ),
        (
            'from operator_kit import reconciler\n@reconciler("Foo", workers=0)\ndef f(o, c): ...\n',
            "bad_target.py:2: @reconciler('Foo', workers=…)",
        ),
        ('from operator_kit import reconciler\n@reconciler("Foo")\ndef f(o): ...\n', "must take two arguments, (obj, ctx)"),
    ],
)
def test_a_target_that_cannot_be_loaded_names_the_authors_line(text: str, says: str) -> None:
    write("bad_target.py", text)
    refused(run("bad_target.py"), ExitCode.TARGET, says)


def test_the_traceback_is_there_when_debugging() -> None:
    write("bad_target.py", "raise KeyError('x')\n")
    result = run("bad_target.py", "--log-level", "debug")
    assert result.exit_code == ExitCode.TARGET
    assert "Traceback" in result.output


def test_a_directory_without_python_is_refused() -> None:
    Path("empty").mkdir()
    refused(run("empty"), ExitCode.TARGET, "there is no Python file in this directory")


def test_a_file_that_is_not_python_is_refused() -> None:
    refused(run(write("x.yaml", "a: 1")), ExitCode.TARGET, "is not a Python file")


# ------------------------------------------------------------------ flags and settings


def test_ctrl_c_before_the_start_is_no_defect() -> None:
    result = run(write("slow.py", "raise KeyboardInterrupt"))
    assert (result.exit_code, result.output) == (130, "SIGINT: stopped before the start\n")


def test_help_has_examples_exit_codes_and_every_setting() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for part in (
        "Examples:",
        "Exit codes:",
        "--workers",
        "--no-watch",
        "--exit-when-idle",
        "OPERATOR_KIT_",
        "  8    a reconcile outlived",
    ):
        assert part in result.output


def test_every_setting_stands_in_the_help_under_its_heading() -> None:
    sections = re.split(r"^(\S.*):$", run("--help").output, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    for field in dataclasses.fields(Settings):
        assert f"--{field.name.replace('_', '-')} " in found[field.metadata["group"]]
    assert "--sandbox" in found["Options"]
    assert "--workers" not in found["Options"]


@pytest.mark.parametrize("command", ["check", "release"])
def test_a_command_that_runs_nothing_lists_the_settings_with_a_part_in_it_and_understands_all(
    command: str,
) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert "--leader-election-id" in result.output
    assert "--namespace" in result.output
    assert "--backoff-max" not in result.output
    refused = CliRunner().invoke(main, [command, "--backoff-max", "5s", "nowhere.py"])
    assert refused.exit_code == ExitCode.TARGET


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--workrs", "3"), "No such option"),
        (("--workers", "x"), "setting workers from --workers: 'x' is not a whole number"),
        (("--workers", "0"), "1 or more"),
        (("--resync", "soon"), "'soon' is not a duration"),
        (("--log-level", "loud"), "loud"),
        (
            ("--metrics-bind-address", "8080"),
            "setting metrics_bind_address from --metrics-bind-address: '8080' is not an address; write",
        ),
        (("--health-probe-bind-address", ":70000"), "70000 is not a port"),
        (("--load", "x"), "--load is for --sandbox"),
        (("--sandbox", "--kubeconfig", "x"), "name two API servers"),
        ((), "give at least one TARGET"),
        (("--metrics-auth",), "add --metrics-secure"),
        (("--metrics-secure", "--metrics-cert-file", "x"), "belong together"),
        (("--metrics-cert-file", "x", "--metrics-key-file", "y"), "add --metrics-secure"),
    ],
)
def test_a_flag_that_cannot_be_used(arguments: tuple[str, ...], says: str) -> None:
    target = () if "TARGET" in says else (write("ok_target.py", UNKNOWN),)
    refused(run("--exit-when-idle", *arguments, *target), ExitCode.USAGE, says)


@pytest.mark.parametrize("command", ["run", "check", "release", "rbac", "crd"])
def test_without_a_target_a_line_says_what_is_missing_and_not_the_whole_help(command: str) -> None:
    result = CliRunner().invoke(main, [command])
    refused(result, ExitCode.USAGE, "give at least one TARGET: a Python file, a directory of them, or a module")
    assert len(result.output.splitlines()) == 4


def test_a_variable_that_is_no_setting_is_warned_of(place: Path) -> None:
    wrong = {"OPERATOR_KIT_WORKES": "3", "OPERATOR_KIT_KUBECONFIG": "none"}
    says = "the variable OPERATOR_KIT_WORKES is ignored: no setting is named so; did you mean OPERATOR_KIT_WORKERS?"
    target = write("ok_target.py", UNKNOWN)
    for arguments in (["run", "--print-settings"], ["check", target], ["release", target]):
        assert f"warning: {says}" in CliRunner().invoke(main, arguments, env=wrong).output
    assert json.loads(run("--log-format", "json", target, env=wrong).output.splitlines()[0])["message"] == says


@pytest.mark.parametrize("command", ["check", "release", "rbac"])
def test_a_server_that_does_not_answer_is_told_with_where_its_address_is_from(command: str) -> None:
    text = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "dev",
            "clusters": [{"name": "dev", "cluster": {"server": "http://127.0.0.1:9"}}],
            "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "dev"}}],
            "users": [{"name": "dev", "user": {}}],
        }
    )
    result = CliRunner().invoke(main, [command, "--kubeconfig", write("k", text), write("ok_target.py", UNKNOWN)])
    remedy = "its address is from kubeconfig k, context dev: start it, or name another with --kubeconfig or --context"
    refused(result, ExitCode.UNREACHABLE, "operator-kit: no answer from http://127.0.0.1:9", "Connection refused", remedy)


ELECT = ("--leader-elect", "--leader-election-id", "x")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--leader-elect",), "setting leader-election-id is empty: name the lease"),
        (("--leader-elect", "--leader-election-id", "My Lease"), "setting leader-election-id is 'My Lease'"),
        ((*ELECT, "--leader-election-namespace", "a.b"), "setting leader-election-namespace is 'a.b'"),
        ((*ELECT, "--leader-election-renew-deadline", "15s"), "must be greater than leader-election-renew-deadline (15s)"),
        ((*ELECT, "--leader-election-retry-period", "9s"), "must be greater than 1.2 times leader-election-retry-period (9s)"),
        ((*ELECT, "--leader-election-lease-duration", "15500ms"), "use whole seconds"),
        ((*ELECT, "--leader-election-retry-period", "0"), "it must be a time greater than zero"),
        ((*ELECT, "--on-lost-lease", "stay"), "'stay' is not one of 'exit', 'rejoin'"),
    ],
)
def test_an_election_that_cannot_work_is_refused_before_anything_starts(arguments: tuple[str, ...], says: str) -> None:
    refused(run(*arguments, write("ok_target.py", UNKNOWN)), ExitCode.USAGE, says)


def test_an_election_that_cannot_work_by_file_or_variable_is_a_configuration_error() -> None:
    write("s.yaml", "leader_elect: true\nleader_election_id: x\nleader_election_renew_deadline: 20s\n")
    refused(run("--settings", "s.yaml", write("ok_target.py", UNKNOWN)), ExitCode.CONFIG, "leader-election-renew-deadline (20s)")
    refused(run("ok_target.py", env={"OPERATOR_KIT_LEADER_ELECT": "true"}), ExitCode.CONFIG, "leader-election-id is empty")


def test_metrics_that_cannot_be_served_so_by_file_or_variable_are_a_configuration_error() -> None:
    refused(run(write("ok_target.py", UNKNOWN), env={"OPERATOR_KIT_METRICS_AUTH": "true"}), ExitCode.CONFIG, "--metrics-secure")


def test_an_unknown_command_is_given_the_nearest() -> None:
    result = CliRunner().invoke(main, ["rnu"])
    assert result.exit_code == ExitCode.USAGE
    assert "no command is named rnu; did you mean run?" in result.output


def test_the_version_is_printed() -> None:
    assert "operator-kit, version 0." in CliRunner().invoke(main, ["--version"]).output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("missing.yaml", None, "settings file missing.yaml: No such file"),
        ("bad.yaml", "worker: 3", "no setting is named worker; did you mean workers?"),
        ("bad.yaml", "workers: [", "is not YAML"),
        ("bad.yaml", "- workers", "expected a mapping of settings, found list"),
        ("bad.yaml", "metrics-bind-address: 8080", "setting metrics_bind_address from file bad.yaml: 8080 is not an address"),
        ("bad.yaml", "metrics_secure: perhaps", "setting metrics_secure from file bad.yaml: 'perhaps' is not true or false"),
        ("bad.yaml", "stuck-after: soon", "setting stuck_after from file bad.yaml: 'soon' is not a duration"),
    ],
)
def test_a_settings_file_that_cannot_be_used(name: str, text: str | None, says: str) -> None:
    if text is not None:
        write(name, text)
    refused(run("--settings", name, write("ok_target.py", UNKNOWN)), ExitCode.CONFIG, says)


def test_print_settings_shows_where_each_comes_from_and_can_be_read_again() -> None:
    write("s.yaml", "workers: 7\nnamespace: [a, 'true']\n")
    result = run("--settings", "s.yaml", "--resync", "1m", "--print-settings", env={"OPERATOR_KIT_LOG_LEVEL": "warning"})
    assert result.exit_code == 0
    lines = {line.split(":")[0]: line for line in result.output.splitlines()}
    assert lines["workers"].split() == ["workers:", "7", "#", "file", "s.yaml"]
    assert lines["resync"].split() == ["resync:", "1m", "#", "--resync"]
    assert lines["log_level"].endswith("# OPERATOR_KIT_LOG_LEVEL")
    assert lines["context"].split() == ["context:", '""', "#", "default"]
    write("again.yaml", result.output)
    again = run("--settings", "again.yaml", "--print-settings")
    assert again.exit_code == 0
    without_origin = [line.partition(" #")[0] for line in result.output.splitlines()]
    assert [line.partition(" #")[0] for line in again.output.splitlines()] == without_origin


# ------------------------------------------------------------------ probes and metrics


def test_a_port_in_use_is_one_line_and_an_exit_code_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("--sandbox", "--exit-when-idle", "--health-probe-bind-address", address, write("ok_target.py", UNKNOWN))
    refused(result, ExitCode.ENDPOINT, f"cannot listen on {address}: another process listens there already")


def test_where_logs_are_json_the_last_word_is_too() -> None:
    result = run("--log-format", "json", "--kubeconfig", "none", write("ok_target.py", UNKNOWN))
    assert result.exit_code == ExitCode.CONFIG
    [line] = [json.loads(line) for line in result.output.splitlines()]
    assert line["level"] == "error"
    assert line["message"].startswith("operator-kit: kubeconfig none")


def test_a_certificate_that_is_none_is_one_line_as_well() -> None:
    files = ("--metrics-cert-file", write("tls.crt", "nonsense"), "--metrics-key-file", write("tls.key", "nonsense"))
    arguments = ("--sandbox", "--exit-when-idle", "--metrics-bind-address", "127.0.0.1:0", "--metrics-secure", *files)
    refused(run(*arguments, write("ok_target.py", UNKNOWN)), ExitCode.ENDPOINT, "are not a certificate and its key in PEM")


# ------------------------------------------------------------------ the API server


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        (("--kubeconfig", "none"), None, "kubeconfig none"),
        (("--kubeconfig", "kc"), "clusters: [", "is not YAML"),
        (("--kubeconfig", "kc", "--context", "nope"), "apiVersion: v1\nkind: Config\ncontexts: []\n", "nope"),
        ((), None, "kubeconfig"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(arguments: tuple[str, ...], text: str | None, says: str) -> None:
    if text is not None:
        write("kc", text)
    refused(run(*arguments, write("ok_target.py", UNKNOWN)), ExitCode.CONFIG, says)


def test_a_server_that_does_not_answer_has_an_exit_code_of_its_own() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        port = taken.getsockname()[1]
        write(
            "kc",
            f"apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
            "contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n",
        )
        result = run(
            "--kubeconfig",
            "kc",
            "--exit-when-idle",
            "--cache-sync-timeout",
            "300ms",
            "--request-timeout",
            "1s",
            write("ok_target.py", UNKNOWN),
        )
    assert result.exit_code == ExitCode.UNREACHABLE, result.output
    assert "no answer from" in result.output
    assert "Traceback" not in result.output


# ------------------------------------------------------------------ with the sandbox


def test_a_kind_that_is_not_there_is_waited_for_and_said() -> None:
    result = run("--sandbox", "--exit-when-idle", "--cache-sync-timeout", "300ms", write("ok_target.py", UNKNOWN))
    assert result.exit_code == ExitCode.NOT_SYNCED, result.output
    assert "nonsense waits: the API server has no kind Nonsense; is its CustomResourceDefinition installed?" in result.output


def test_a_kind_that_could_mean_several_is_refused_with_the_candidates() -> None:
    result = run("--sandbox", "--exit-when-idle", write("event_target.py", UNKNOWN.replace("Nonsense", "Event")))
    refused(result, ExitCode.KIND, "event_target.py:2: Event can mean more than one kind", "v1/Event or Event.events.k8s.io")


@pytest.mark.parametrize(
    ("name", "text", "says"), [("none.yaml", None, "no such file"), ("x.yaml", "a: 1", "no Kubernetes object")]
)
def test_a_load_that_cannot_be_loaded(name: str, text: str | None, says: str) -> None:
    if text is not None:
        write(name, text)
    refused(run("--sandbox", "--load", name, write("ok_target.py", UNKNOWN)), ExitCode.CONFIG, says, name)


def test_on_the_sandbox_it_runs_until_idle_and_prints_the_line_to_try_it_with() -> None:
    result = run("--sandbox", "--load", str(HELLO), "--exit-when-idle", write("greet_target.py", GREETING))
    assert result.exit_code == ExitCode.OK, result.output
    assert "kubectl --kubeconfig" in result.output
    assert "get greeting -A" in result.output
    assert "idle: 1 object is reconciled" in result.output


def test_a_broken_object_does_not_keep_the_others_from_converging() -> None:
    with Sandbox() as sandbox:
        sandbox.load(HELLO)
        sandbox.write_kubeconfig("kc")
        text = GREETING.replace(
            "def greeting(obj, ctx):", "def greeting(obj, ctx):\n    if obj['spec']['name'] == 'bad': raise PermanentErr('no')"
        )
        text = "from operator_kit import PermanentError as PermanentErr\n" + text
        result = run("--kubeconfig", "kc", "--exit-when-idle", write("some_target.py", text))
        assert result.exit_code == ExitCode.OK, result.output


def test_a_startup_hook_that_raises_ends_it_with_a_line_and_a_code_of_its_own() -> None:
    write(
        "hooked.py",
        "from operator_kit import every, on_startup\n\ndef helper():\n    return {}['x']\n\n@on_startup\ndef connect(ctx):\n    helper()\n"
        "\n@every('1h')\ndef tick(ctx): ...\n",
    )
    refused(
        run("--sandbox", "hooked.py"), ExitCode.STARTUP, "operator-kit: hooked.py:4: on_startup connect failed: KeyError: 'x'"
    )
