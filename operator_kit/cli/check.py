"""`operator-kit check`: whether the API server would let an operator run, asked beforehand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from operator_kit.cli import exit_codes
from operator_kit.cli.options import (
    SETTINGS_OF_A_LOOK,
    SettingsCommand,
    asking,
    needs_besides,
    read_settings,
    settings_options,
    targets_argument,
    tell_ignored,
)

if TYPE_CHECKING:
    from operator_kit.generate import Access, Report

__all__ = ["command"]

_CODES = exit_codes(
    *(0, 1, 2, 3, 4, 5, 6, 20, 21),
    ok="it would run",
    kind="a kind can mean several, or cannot be reconciled",
    unreachable="the API server does not answer, or refuses to be asked",
)
EPILOG = f"""\b
Examples:
  operator-kit check my_operator.py
  operator-kit check --namespace team-a my_operator.py
  operator-kit check --kubeconfig service-account.kubeconfig --output json my_operator.py

\b
It asks as the operator will, so give it the operator's credentials: run it in the pod, or with a kubeconfig that holds a token
of the service account (kubectl create token NAME). Every other flag of `operator-kit run`, its variables and its settings file
are understood; those that have no part in the answer are passed over.

{_CODES}
"""


@click.command(
    cls=SettingsCommand,
    listed=(*SETTINGS_OF_A_LOOK, "metrics_auth"),
    epilog=EPILOG,
    short_help="Ask whether reconcilers would run.",
)
@targets_argument
@click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Text for people, JSON for machines.  [text]"
)
@settings_options
@click.pass_context
def command(ctx: click.Context, /, targets: tuple[str, ...], *, output: str, settings_file: str | None, **flags: Any) -> None:
    """Ask the API server whether the reconcilers of TARGETs would run, and print what is missing.

    Asked for are the kinds they name and every permission they need; nothing is changed. Missing rules are printed as they are
    pasted into a role.
    """
    from operator_kit.generate import check
    from operator_kit.manager import ExitCode, load_targets

    settings, _ = read_settings(settings_file, os.environ, flags)
    tell_ignored(os.environ)
    registry = load_targets(targets)
    with asking(settings.kubeconfig, settings.context, settings.request_timeout) as client:
        besides = needs_besides(settings, client.namespace)
        report = check(registry, client, namespaces=settings.namespace, besides=besides)
    click.echo(json.dumps(report.to_dict(), indent=2) if output == "json" else "\n".join(_text(report, client.origin)))
    if report.missing_kinds:
        ctx.exit(ExitCode.NOT_INSTALLED)
    if report.refused:
        ctx.exit(ExitCode.NOT_ALLOWED)


def _text(report: Report, origin: str) -> Iterator[str]:
    who = f" as {report.user}," if report.user else ""
    yield f"API server {report.server}{f' {report.version}' if report.version else ''},{who} from {origin}"
    yield "Kinds"
    width = max((len(state.kind) for state in report.kinds), default=0)
    for state in report.kinds:
        if state.resource is not None:
            yield f"  ok       {state.kind:<{width}}  served as {state.resource.group_resource}"
        else:
            yield f"  missing  {state.problem}"
    yield from _permissions(report)
    yield from (f"warning: {warning}" for warning in report.warnings)
    yield from _missing_rules(report)
    counted = ((len(report.missing_kinds), "kind"), (len(report.refused), "permission"))
    parts = [f"{count} {noun}{'s' * (count != 1)}" for count, noun in counted if count]
    several = sum(count for count, _ in counted) > 1
    yield "It would run." if report.ok else f"It would not run: {' and '.join(parts)} {'are' if several else 'is'} missing."


def _permissions(report: Report) -> Iterator[str]:
    """Per namespace, a line for each resource and answer."""
    rows: dict[str, dict[tuple[str, bool], list[Access]]] = {}
    for each in report.access:
        rows.setdefault(each.namespace, {}).setdefault((each.target, each.allowed), []).append(each)
    width = max((len(each.target) for each in report.access), default=0)
    for namespace, found in sorted(rows.items()):
        yield f"Permissions in {f'the namespace {namespace}' if namespace else 'the whole cluster'}"
        for (target, allowed), accesses in found.items():
            verbs = ", ".join(each.verb for each in accesses)
            why = "" if allowed else f"  ({'; '.join(_reasons(accesses))})"
            yield f"  {'ok     ' if allowed else 'missing'}  {target:<{width}}  {verbs}{why}"


def _reasons(found: Iterable[Access]) -> Iterable[str]:
    return dict.fromkeys(reason for each in found for reason in each.reasons)


def _missing_rules(report: Report) -> Iterator[str]:
    from operator_kit.generate import rules_text

    whose = f" bound to {report.user}" if report.user else " of the operator"
    for namespace, rules in report.missing_rules.items():
        role = f"a Role in the namespace {namespace}" if namespace else "a ClusterRole"
        yield f"\n# Add to the rules of {role}{whose}:\n{rules_text(rules)}"
