"""Settings: each layer beats the one below, and what cannot be used is refused by name."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.errors import ConfigError
from operator_kit.settings import Settings, format_duration, ignored_variables, load, parse_address, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5", 1.5),
        (0, 0),
        (2.5, 2.5),
        (timedelta(minutes=1), 60),
    ],
)
def test_durations_are_seconds_text_or_timedeltas(value: object, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "10 parsecs", "30s!", "-1s", -1, math.nan, math.inf, "nan", "inf", None, True, [], timedelta(seconds=-1)],
)
def test_what_is_no_duration_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=10**6))
def test_formatted_durations_read_back(seconds: int) -> None:
    text = format_duration(seconds)
    assert parse_duration(text) == pytest.approx(seconds, rel=0.01)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("workers: 2\nresync: 10m\nlog-level: debug\n")
    settings, origins = load(
        file=file, environ={"OPERATOR_KIT_RESYNC": "20m", "OPERATOR_KIT_LOG_LEVEL": "error"}, flags={"log_level": "warning"}
    )
    assert (settings.workers, settings.resync, settings.log_level, settings.shutdown_timeout) == (2, 1200.0, "warning", 30.0)
    assert origins["workers"] == f"file {file}"
    assert origins["resync"] == "OPERATOR_KIT_RESYNC"
    assert origins["log_level"] == "--log-level"
    assert origins["shutdown_timeout"] == "default"


def test_flags_that_were_not_given_leave_the_layers_below_alone() -> None:
    settings, origins = load(environ={"OPERATOR_KIT_NAMESPACE": "a, b"}, flags={"namespace": (), "workers": None})
    assert settings.namespace == ("a", "b")
    assert origins["workers"] == "default"
    assert settings.workers == Settings().workers


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("worker: 2\n")
    with pytest.raises(ConfigError, match="no setting is named worker; did you mean workers"):
        load(file=file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers: [", "is not YAML: line 1: "),
        ("- a\n", "expected a mapping"),
        ("workers: none\n", "setting workers from file"),
        ("workers: 0\n", "1 or more"),
        ("namespace: {team-a: true}\n", "is no name and no list of names"),
        ("namespace: 5\n", "5 is no name and no list of names"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load(file=file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(file=tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OPERATOR_KIT_LOG_FORMAT", "xml", "none of text, json"),
        ("OPERATOR_KIT_WATCH", "maybe", "not true or false"),
        ("OPERATOR_KIT_RESYNC", "-3s", "not a duration"),
    ],
)
def test_a_bad_value_names_the_setting_and_its_origin(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(environ={variable: value})
    assert variable in str(caught.value)


def test_a_variable_that_is_no_setting_is_told_with_the_nearest() -> None:
    environ = {
        "OPERATOR_KIT_WORKES": "3",
        "OPERATOR_KIT_ZZZ": "",
        "OPERATOR_KIT_WORKERS": "3",
        "HOME": "/",
        # What Kubernetes sets for a Service named operator-kit-metrics, and what the tests' plugin reads.
        "OPERATOR_KIT_METRICS_SERVICE_HOST": "10.0.0.1",
        "OPERATOR_KIT_METRICS_SERVICE_PORT_HEALTH": "8081",
        "OPERATOR_KIT_METRICS_PORT": "tcp://10.0.0.1:8080",
        "OPERATOR_KIT_METRICS_PORT_8080_TCP_ADDR": "10.0.0.1",
        "OPERATOR_KIT_TEST_KUBECONFIG": "x",
    }
    assert ignored_variables(environ) == [
        "the variable OPERATOR_KIT_WORKES is ignored: no setting is named so; did you mean OPERATOR_KIT_WORKERS?",
        "the variable OPERATOR_KIT_ZZZ is ignored: no setting is named so; --print-settings shows those there are",
    ]


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_no_setting_is_taken_for_a_variable_of_a_service(field: dataclasses.Field[Any]) -> None:
    assert ignored_variables({f"OPERATOR_KIT_{field.name.upper()}X": ""}) != []


def test_every_setting_has_help() -> None:
    assert all(field.metadata["help"].endswith(".") for field in dataclasses.fields(Settings))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":8080", "", 8080),
        ("127.0.0.1:8081", "127.0.0.1", 8081),
        ("localhost:0", "localhost", 0),
        ("[::1]:8080", "::1", 8080),
        ("[::]:65535", "::", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port_and_reads_back(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert address == (host, port)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["0", "", 0, " 0 "])
def test_an_address_can_be_off(text: object) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "text", ["8080", "::1:8080", "[::1]", "host:", ":port", "host:65536", "[host]:1", "[::1:1", "::1]:1", ":١"]
)
def test_what_is_no_address_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


@pytest.mark.parametrize("name", ["A B", "Team", "team_a", "-a", "a" * 64])
def test_a_namespace_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"setting namespace from --namespace: .* is not a name"):
        load(flags={"namespace": ("good,team-a", name)})
