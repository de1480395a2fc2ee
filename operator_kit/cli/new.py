"""`operator-kit new`: a project that runs, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from operator_kit.cli import exit_codes
from operator_kit.errors import UsageError

__all__ = ["command"]

EPILOG = f"""\b
Examples:
  operator-kit new bookshop
  operator-kit new bookshop-operator --kind Bookshop --group shop.example.com --directory ~/src/bookshop

{exit_codes(0, 1, 2, 4, ok="written", config="the directory is not empty, or cannot be written")}
"""


@click.command(epilog=EPILOG, short_help="Write a new operator's project, to start from.")
@click.argument("name")
@click.option("--kind", default="", metavar="KIND", help="The kind it is for.  [NAME in CamelCase]")
@click.option("--group", default="example.com", metavar="GROUP", help="The kind's API group: a domain of yours.  [example.com]")
@click.option(
    "--directory", type=click.Path(path_type=Path), default=None, metavar="DIR", help="Where to write it; new or empty.  [NAME]"
)
def command(name: str, *, kind: str, group: str, directory: Path | None) -> None:
    """Write a project for the operator NAME: its kind as a class, a reconciler, tests, manifests, image and Helm chart.

    It runs as it is, and so do its tests.
    """
    try:
        import operator_kit.models  # noqa: F401  # asked for first: its absence has a remedy
    except ImportError as exc:
        raise UsageError(str(exc)) from None
    from operator_kit.cli.rbac import resolver
    from operator_kit.generate import Project, crds, needs_of, to_yaml, values_text, write_project
    from operator_kit.manager import load_targets

    project = Project.of(name, kind, group)
    folder = directory or Path(name)
    files = write_project(project, folder)
    registry = load_targets([str(folder / f"{project.module}.py")])
    models: list[Any] = [made.model for made in registry]
    (folder / "crd.yaml").write_text(to_yaml(crds(*models)), encoding="utf-8")
    with resolver(registry) as resolve:
        (folder / "values-rbac.yaml").write_text(values_text(needs_of(registry, resolve)), encoding="utf-8")
    for path in files:
        click.echo(f"  {path}")
    click.echo(f"  {folder / 'crd.yaml'}, {folder / 'values-rbac.yaml'}, {folder / 'chart'}/")
    click.echo(f"\nNext:\n  cd {folder}\n  make test\n  make run")
