"""`operator-kit release`: take an operator's finalizers off its objects, before it is uninstalled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from operator_kit.cli import exit_codes
from operator_kit.cli.options import (
    SETTINGS_OF_A_LOOK,
    SettingsCommand,
    asking,
    read_settings,
    settings_options,
    targets_argument,
    tell_ignored,
)
from operator_kit.errors import ApiError

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.manager.release import Released
    from operator_kit.settings import Settings

__all__ = ["command"]

_CODES = exit_codes(
    *(0, 1, 2, 3, 4, 5, 6, 21, 22, 23),
    ok="every finalizer is off, or would be",
    kind="a kind can mean several",
    unreachable="the API server does not answer",
)
EPILOG = f"""\b
Examples:
  operator-kit release --dry-run my_operator.py
  operator-kit release --namespace team-a my_operator.py
  operator-kit release --leader-election-id my-operator my_operator.py

\b
Stop the operator first: one that runs puts its finalizers on again. Where it elects a leader, give --leader-elect or
--leader-election-id, and its lease is looked at. Cleanups do not run: what they would have undone stays, and so do children by
label. Objects that are being deleted are gone at once. Every other flag of `operator-kit run`, its variables and its
settings file are understood; those that have no part in this are passed over.

{_CODES}
"""


@click.command(
    cls=SettingsCommand,
    listed=SETTINGS_OF_A_LOOK,
    epilog=EPILOG,
    short_help="Take the finalizers off, to uninstall.",
)
@targets_argument
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--force", is_flag=True, help="Go on although an operator holds the lease, or the lease cannot be read.")
@settings_options
@click.pass_context
def command(
    ctx: click.Context, /, targets: tuple[str, ...], *, dry_run: bool, force: bool, settings_file: str | None, **flags: Any
) -> None:
    """Take the finalizers of the reconcilers of TARGETs off all their objects.

    A controller that is uninstalled leaves its finalizers behind, and objects that carry one cannot be deleted. Only finalizers
    named after these reconcilers are touched. It may be repeated.
    """
    from operator_kit.manager import ExitCode, load_targets
    from operator_kit.manager.release import release

    settings, _ = read_settings(settings_file, os.environ, flags)
    tell_ignored(os.environ)
    registry = load_targets(targets)
    released: list[Released] = []
    with asking(settings.kubeconfig, settings.context, settings.request_timeout) as client:
        if not dry_run and not force:
            _refuse_while_led(ctx, client, settings)
        for each in release(registry, client, settings.namespace, dry_run=dry_run):
            released.append(each)
            click.echo(_line(each, dry_run=dry_run), err=bool(each.problem))
    done = [each for each in released if not each.problem]
    click.echo(f"{len(done)} object{'s' * (len(done) != 1)} {'would be ' if dry_run else ''}released")
    for name in dict.fromkeys(each.finalizer for each in done if each.made.owns_by_label):
        click.echo(f"children by label stay: kubectl get KIND --all-namespaces --selector {name}.owner")
    if any(each.forbidden for each in released):
        ctx.exit(ExitCode.NOT_ALLOWED)
    if len(done) < len(released):
        ctx.exit(ExitCode.NOT_RELEASED)


def _line(each: Released, *, dry_run: bool) -> str:
    if each.problem:
        return f"{each.kind} {each.key or '(all)'}: {each.finalizer} stays: {each.problem}"
    note = ", being deleted: it goes without its cleanup" if each.deleting else ""
    return f"{each.kind} {each.key}: {each.finalizer} {'would come off' if dry_run else 'is off'}{note}"


def _refuse_while_led(ctx: click.Context, client: Client, settings: Settings) -> None:
    """End with `HELD` while an operator holds the lease, as far as the settings name one."""
    from operator_kit.clock import Clock
    from operator_kit.manager import ExitCode
    from operator_kit.manager.leadership import election_rules
    from operator_kit.manager.release import lease_holder

    if not (settings.leader_elect or settings.leader_election_id):
        return
    rules = election_rules(settings, client.namespace)
    lease = f"the lease {rules.namespace}/{rules.name}"
    try:
        holder = lease_holder(client, rules.name, rules.namespace, Clock().now())
    except ApiError as exc:
        click.echo(f"operator-kit: cannot tell whether an operator runs: {lease}: {exc}; stop it, then use --force", err=True)
        ctx.exit(ExitCode.HELD)
    if holder:
        click.echo(
            f"operator-kit: {holder} holds {lease}: an operator runs, and would put its finalizers on again; "
            f"stop it first, or use --force",
            err=True,
        )
        ctx.exit(ExitCode.HELD)
