"""docs/running.md has every setting and every exit code. `python -m tests.test_running_page` writes them there."""

from __future__ import annotations

import dataclasses
import re
from itertools import groupby
from pathlib import Path

from operator_kit.manager.exits import MEANINGS
from operator_kit.settings import Settings, format_duration

PAGE = Path(__file__).resolve().parent.parent / "docs" / "running.md"


def exit_codes() -> str:
    rows = [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    rows.append("| 128 and more | ended at once by a signal, whose number is added: a second one, or one before the start |")
    return "\n".join(["| Code | Meaning |", "|---|---|", *rows])


def settings() -> str:
    tables = []
    for heading, fields in groupby(dataclasses.fields(Settings), key=lambda field: field.metadata["group"]):
        rows = [_row(field) for field in fields]
        tables.append("\n".join([f"### {heading}", "", "| Flag | Default | Meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(tables)


def _row(field: dataclasses.Field[object]) -> str:
    default = getattr(Settings(), field.name)
    kind = field.metadata["kind"]
    flag = f"--{field.name.replace('_', '-')}"
    if kind == "duration":
        shown = format_duration(default)
    elif kind == "flag":
        shown = "on" if default else "off"
    elif isinstance(default, float):
        shown = f"{default:g}"
    else:
        shown = str(default) if default not in ("", ()) else ""
    return f"| `{flag}` | {shown} | {field.metadata['help']} |"


def written(page: str) -> str:
    """The page with both tables as they should be."""
    for name, table in (("exit codes", exit_codes()), ("settings", settings())):
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, table=table: f"{m[1]}\n{table}\n\n{m[2]}", page, flags=re.DOTALL
        )
    return page


def test_the_page_has_every_setting_and_exit_code_as_they_are() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "docs/running.md is behind: python -m tests.test_running_page"


def test_what_a_setting_says_makes_no_second_column() -> None:
    assert not [field.name for field in dataclasses.fields(Settings) if "|" in field.metadata["help"]]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
