"""What Prometheus does with an operator: it scrapes it, keeps the samples under the target's labels, and evaluates rules."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from operator_kit.observe.exporter import Exporter
from operator_kit.observe.metrics import Registry
from tests.processes import ROOT

RULES = ROOT / "charts" / "operator-kit" / "files" / "rules.yaml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus has it)")

Labels = Mapping[str, str]
Key = tuple[str, tuple[tuple[str, str], ...]]

TARGET_LABELS = frozenset({"job", "namespace", "pod", "instance", "container", "service", "endpoint"})
"""What a ServiceMonitor puts on every sample; a label of that name that the operator exports is kept as `exported_…`."""


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def exported() -> dict[str, set[str]]:
    """The samples an operator exports, by name, with their labels: from the page that is tested to list exactly those."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    found = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\|", page, re.MULTILINE):
        words = {label.strip() for label in labels.split(",") if label.strip()}
        words = {f"exported_{word}" if word in TARGET_LABELS else word for word in words} | TARGET_LABELS
        if kind == "histogram":
            found |= {f"{name}_bucket": words | {"le"}, f"{name}_sum": words, f"{name}_count": words}
        else:
            found[name] = words
    return found


class Recording:
    """One pod's samples, scrape by scrape."""

    def __init__(self, pod: str = "website-0") -> None:
        self._target = {"job": "website", "namespace": "ops", "pod": pod}
        self._samples: list[dict[Key, float]] = []

    def scrape(self, metrics: Registry, times: int = 1, *, process: bool = False) -> None:
        """Keep what is exported now; several times, for what would be the same a minute later."""
        text, _ = Exporter(metrics, process=process).render()
        samples: dict[Key, float] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    own = {f"exported_{name}" if name in TARGET_LABELS else name: value for name, value in sample.labels.items()}
                    samples[sample.name, tuple(sorted({**own, **self._target}.items()))] = sample.value
        self._samples += [samples] * times

    def nothing(self, times: int) -> None:
        """Nobody answered."""
        self._samples += [{}] * times

    def series(self) -> list[dict[str, str]]:
        """In promtool's form."""
        keys = dict.fromkeys(key for samples in self._samples for key in samples)
        return [
            {
                "series": name + "{" + ",".join(f'{label}="{value}"' for label, value in labels) + "}",
                "values": " ".join(str(samples.get((name, labels), "_")) for samples in self._samples),
            }
            for name, labels in keys
        ]

    def __len__(self) -> int:
        return len(self._samples)


def firing(tmp_path: Path, *recordings: Recording, minutes: Iterable[int] | None = None) -> dict[int, set[str]]:
    """The alerts that fire in these minutes, one scrape a minute; in the last one unless given."""
    at = list(minutes) if minutes is not None else [len(recordings[0]) - 1]
    names = sorted(rule["alert"] for rule in rules())
    asked = [
        {"expr": f'count(ALERTS{{alertstate="firing",alertname="{name}"}})', "eval_time": f"{minute}m", "exp_samples": []}
        for minute in at
        for name in names
    ]
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [series for recording in recordings for series in recording.series()],
                "promql_expr_test": asked,
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, timeout=240, check=False)
    output = done.stdout + done.stderr
    found: dict[int, set[str]] = {minute: set() for minute in at}
    # Whatever is not what was expected (nothing) is told: these are the ones that fire.
    for name, time in re.findall(r'alertname=\\"(\w+)\\"\}\)", time: (\w+)', output):
        found[_minutes(time)].add(name)
    assert done.returncode in {0, 1}, output
    assert (done.returncode == 0) == (not any(found.values())), output
    return found


def _minutes(text: str) -> int:
    parts = re.findall(r"(\d+)([hms])", text)
    return sum(int(number) * {"h": 60, "m": 1, "s": 0}[unit] for number, unit in parts)


# --------------------------------------------------------------------------- what an expression names

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[{}(),=!~\[\]]|\S')
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_TEMPLATED = re.compile(r"\$\w+|\$\{\w+\}|\[\[\w+\]\]")


def names_in(expression: str) -> tuple[set[str], set[str], set[tuple[str, str]]]:
    """What a PromQL expression names: metrics; labels it groups by; and (metric, label) for those it selects by.

    Good for the expressions of this project, which are plain: functions and aggregations are words before a bracket.
    """
    words = _WORD.findall(re.sub(r"\[[^\]]*\]", "", _TEMPLATED.sub("1", expression)))
    metrics: set[str] = set()
    grouped: set[str] = set()
    selected: set[tuple[str, str]] = set()
    position = 0
    while position < len(words):
        word, after = words[position], words[position + 1] if position + 1 < len(words) else ""
        if word in _GROUPING and after == "(":
            end = words.index(")", position)
            grouped |= {each for each in words[position + 2 : end] if each != ","}
            position = end
        elif re.match(r"[a-zA-Z_:]", word) and word.lower() not in _KEYWORDS and after != "(" and after not in _GROUPING:
            metrics.add(word)
            if after == "{":
                end = words.index("}", position)
                inside = words[position + 2 : end]
                selected |= {(word, each) for each, follows in pairwise(inside) if follows in {"=", "!"}}
                position = end
        position += 1
    return metrics, grouped, selected


def unknown_names(expression: str, known: Mapping[str, set[str]]) -> list[str]:
    """Metrics and labels that no operator exports, as texts for a failed assertion."""
    metrics, grouped, selected = names_in(expression)
    out = [f"{metric} is not exported" for metric in sorted(metrics - set(known))]
    labels: set[str] = set().union(*(known.get(metric, set()) for metric in metrics))
    out += [f"{metric} has no label {label}" for metric, label in sorted(selected) if label not in known.get(metric, set())]
    return out + [f"nothing in it has the label {label}" for label in sorted(grouped - labels)]
