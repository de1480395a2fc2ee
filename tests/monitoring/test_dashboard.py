"""The dashboard: fit for Grafana, and every panel shows something of a real operator."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.testing import Cluster, StartOperator
from tests.monitoring.prometheus import PROMTOOL, Recording, exported, names_in, needs_promtool, unknown_names
from tests.processes import ROOT, eventually

DASHBOARD: dict[str, Any] = json.loads((ROOT / "charts" / "operator-kit" / "files" / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
VARIABLES: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def places() -> list[tuple[str, int, int, int, int]]:
    """Of each panel and row: its title, left, top, right, bottom."""
    out = []
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        out.append((panel["title"], grid["x"], grid["y"], grid["x"] + grid["w"], grid["y"] + grid["h"]))
    return out


def filled(expression: str) -> str:
    """The expression as Grafana sends it, with everything selected."""
    return re.sub(r"\$(job|namespace|controller)", ".*", expression.replace("$__rate_interval", "4m"))


# ------------------------------------------------------------------ Grafana's model


def test_panels_have_numbers_and_titles_of_their_own() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(isinstance(number, int) and number > 0 for number in numbers)
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    assert all(panel["description"].endswith(".") for panel in PANELS)


def test_panels_stand_on_the_grid_and_not_on_each_other() -> None:
    for title, left, top, right, bottom in places():
        assert 0 <= left < right <= 24, title
        assert 0 <= top < bottom, title
    for one, other in combinations(places(), 2):
        apart = one[3] <= other[1] or other[3] <= one[1] or one[4] <= other[2] or other[4] <= one[2]
        assert apart, f"{one[0]} stands on {other[0]}"


def test_rows_are_filled_from_edge_to_edge() -> None:
    lines: dict[int, int] = {}
    for _, left, top, right, _ in places():
        lines[top] = lines.get(top, 0) + right - left
    assert set(lines.values()) == {24}


def test_the_model_is_one_that_grafana_reads() -> None:
    assert DASHBOARD["schemaVersion"] >= 36  # data sources by uid
    assert "id" not in DASHBOARD  # a number of one Grafana
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert {panel["type"] for panel in DASHBOARD["panels"]} <= {"row", "stat", "timeseries"}
    for panel in PANELS:
        assert panel["datasource"] == DATASOURCE
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
        assert all(target["datasource"] == DATASOURCE for target in panel["targets"])


def test_it_is_chosen_by_data_source_operator_namespace_and_controller() -> None:
    assert [variable["name"] for variable in VARIABLES] == ["datasource", "job", "namespace", "controller"]
    assert (VARIABLES[0]["type"], VARIABLES[0]["query"]) == ("datasource", "prometheus")
    known = exported()
    for number, variable in enumerate(VARIABLES[1:], 1):
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert match, variable["name"]
        assert match[2] == variable["name"]
        assert unknown_names(match[1], known) == []
        assert match[2] in known[next(iter(names_in(match[1])[0]))]
        assert set(re.findall(r"\$(\w+)", match[1])) <= {each["name"] for each in VARIABLES[1:number]}  # those before it
    for title, expression in TARGETS:
        used = set(re.findall(r"\$(\w+)", expression))
        assert {"job", "namespace"} <= used, title
        assert used <= {"job", "namespace", "controller", "__rate_interval"}, title


# ------------------------------------------------------------------ what it shows


@pytest.mark.parametrize(("title", "expression"), TARGETS, ids=[title for title, _ in TARGETS])
def test_a_panel_asks_only_for_what_an_operator_exports(title: str, expression: str) -> None:
    known = exported()
    assert unknown_names(expression, known) == []
    metrics, grouped, _ = names_in(expression)
    (legend,) = {target["legendFormat"] for panel in PANELS for target in panel["targets"] if target["expr"] == expression}
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    assert shown <= (grouped or set.union(*(known[metric] for metric in metrics))), legend


def test_the_first_things_people_look_at_are_all_there() -> None:
    asked = set().union(*(names_in(expression)[0] for _, expression in TARGETS))
    for name in exported():
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base.startswith(("controller_runtime_", "workqueue_")) and base != "workqueue_work_duration_seconds":
            assert asked & {name, f"{base}_bucket"}, name


@needs_promtool
def test_every_panel_has_something_to_show_of_a_real_operator(cluster: Cluster, operator: StartOperator, tmp_path: Path) -> None:
    example = ROOT / "examples"
    cluster.load(example / "website" / "crd.yaml", example / "website" / "namespace.yaml", example / "website" / "broken.yaml")
    running = operator(
        example / "website.py",
        leader_elect=True,
        leader_election_id="website",
        kube_api_qps=100,
        resync="200ms",
        backoff_max="50ms",
    )
    recording = Recording()
    for _ in range(8):
        before = running.manager.controllers[0].runs if running.manager.controllers else 0
        eventually(lambda: running.manager.started() and running.manager.controllers[0].runs > before, "another run")  # noqa: B023
        recording.scrape(running.manager.metrics, process=True)
    asked = [{"expr": filled(expression), "eval_time": "7m", "exp_samples": []} for _, expression in TARGETS]
    test = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": recording.series(), "promql_expr_test": asked}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True, timeout=240, check=False
    )
    output = done.stdout + done.stderr
    got = re.findall(r'expr: "(.*)", time: 7m,\n\s*exp:.*\n\s*got:(.*)', output)
    shown = {json.loads(f'"{expression}"') for expression, samples in got if samples.strip() != "nil"}
    assert {expression for _, expression in TARGETS if filled(expression) not in shown} == set(), output


@needs_promtool
def test_the_share_of_failing_reconciles_is_a_number_while_nothing_happens(tmp_path: Path) -> None:
    """0 / 0 is no number, and Grafana would go on showing the last one there was: that of an hour ago."""
    (expression,) = (filled(expression) for title, expression in TARGETS if title == "Failing reconciles")
    counters = ["controller_runtime_reconcile_errors_total", "controller_runtime_reconcile_total"]
    labels = '{job="website",namespace="ops",controller="website"}'
    # Two of eight fail in the first minute; nothing after that.
    series = [{"series": f"{name}{labels}", "values": f"0 {count}x20"} for name, count in zip(counters, (2, 8), strict=True)]
    asked = [
        {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": share}]}
        for minute, share in ((2, 0.25), (15, 0))
    ]
    test = {"evaluation_interval": "1m", "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
