"""The chart and the program speak of the same flags, with values that the program takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from operator_kit.cli.run import command
from operator_kit.settings import Settings, load, parse_duration
from tests.chart import values
from tests.chart.helm import ROOT
from tests.chart.test_render import SWITCHES, arguments, rendered

OPTIONS = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}


def flags(switch: str) -> list[str]:
    return [argument for argument in arguments(rendered(switch)) if argument.startswith("--")]


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_flag_of_the_chart_is_one_that_operator_kit_run_takes_as_it_is_written(switch: str) -> None:
    given = {}
    for flag in flags(switch):
        name, equals, value = flag.partition("=")
        assert name in OPTIONS, f"{name}: operator-kit run has no such flag"
        option = OPTIONS[name]
        assert option.is_flag == (not equals)  # type: ignore[attr-defined]
        given[option.name] = (value,) if option.multiple else value if equals else name in option.opts
    settings, _ = load(flags=given)
    assert isinstance(settings, Settings)


def test_operator_kit_run_takes_the_charts_command_line() -> None:
    """The whole of it, by the program itself."""
    given = [flag for switch in ("namespaced", "tuned", "metrics with certificate") for flag in flags(switch)]
    done = subprocess.run(
        [sys.executable, "-m", "operator_kit", "run", *given, "--print-settings"],
        capture_output=True, text=True, timeout=240, check=False, cwd=ROOT, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_defaults_of_the_chart_are_those_of_the_program() -> None:
    defaults, settings = values.defaults(), Settings()
    election = defaults["leaderElection"]
    assert parse_duration(defaults["shutdownTimeout"]) == settings.shutdown_timeout
    assert parse_duration(election["leaseDuration"]) == settings.leader_election_lease_duration
    assert parse_duration(election["renewDeadline"]) == settings.leader_election_renew_deadline
    assert parse_duration(election["retryPeriod"]) == settings.leader_election_retry_period
    assert election["onLostLease"] == settings.on_lost_lease
    assert defaults["log"]["level"] == settings.log_level
