"""values.yaml as its readers see it: each value with its default and its description. The table of the chart's page is made from it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.helm import CHART


@functools.cache
def defaults() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return values


@functools.cache
def descriptions() -> dict[str, str]:
    """The comment `# -- …` above each value, by the value's path."""
    found: dict[str, str] = {}
    path: list[str] = []
    text = ""
    for line in (CHART / "values.yaml").read_text("utf-8").splitlines():
        if mark := re.match(r" *# -- (.*)", line):
            text = mark[1]
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if text:
                found[".".join(path)] = text
                text = ""
    return found


def leaves(value: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and default of each value; a mapping that is described as a whole counts as one."""
    value = defaults() if value is None and not path else value
    if isinstance(value, dict) and value and path not in descriptions():
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def table() -> str:
    """The values as a table in Markdown."""
    rows = ["| Value | Default | What it is |", "|---|---|---|"]
    for path, default in leaves():
        text = descriptions()[path].replace("|", "\\|")
        rows.append(f"| `{path}` | `{json.dumps(default)}` | {text} |")
    return "\n".join(rows)
