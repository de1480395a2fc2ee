"""The commands: `operator-kit run`, `sandbox`, … The only importer of click.

Each command is a module of this package that exports `command`, imported when it is asked for. Errors that a person can mend
are one or two lines and an exit code; the traceback is for `--log-level debug`.
"""

from __future__ import annotations

import logging
import os
import signal
from importlib import import_module
from typing import Any

import click

import operator_kit
from operator_kit.errors import (
    AmbiguousKind,
    ApiError,
    ConfigError,
    ConnectionFailed,
    KindNotFound,
    OperatorKitError,
    RegistrationError,
    StartupFailed,
    UsageError,
)

__all__ = ["COMMANDS", "exit_codes", "main"]

COMMANDS = ("check", "crd", "new", "rbac", "release", "run", "sandbox")


def exit_codes(*codes: int, **meanings: str) -> str:
    """The table of exit codes, for a command's help.

    Args:
        codes: those that the command can end with; those of `run`, and the signals', unless given.
        meanings: by name in lower case, where a code does not mean what it means for `run`: `ok="printed"`.
    """
    from operator_kit.manager.exits import MEANINGS, ExitCode

    shown = codes or tuple(code for code in ExitCode if code < ExitCode.NOT_INSTALLED)
    rows = [f"  {code:<4} {meanings.get(ExitCode(code).name.lower()) or MEANINGS[ExitCode(code)]}" for code in shown]
    if not codes:
        rows.append("  128+ ended at once by a signal, whose number is added: a second one, or one before the start")
    return "\n".join(["\b", "Exit codes:", *rows])


def _code_of(error: OperatorKitError) -> int:
    from operator_kit.manager.exits import ExitCode

    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    if isinstance(error, StartupFailed):
        return ExitCode.STARTUP
    if isinstance(error, ConfigError):
        return ExitCode.CONFIG
    if isinstance(error, ApiError | ConnectionFailed):
        return ExitCode.UNREACHABLE
    if isinstance(error, KindNotFound | AmbiguousKind):
        return ExitCode.KIND
    if isinstance(error, RegistrationError) or type(error).__name__ == "TargetError":
        return ExitCode.TARGET
    return ExitCode.USAGE


class _Group(click.Group):
    """Commands by name, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"operator_kit.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from operator_kit.settings import suggest

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command is named {args[0]}{suggest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        from operator_kit.observe.logging import as_line

        if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            # A container's first process is spared the signals it has no handler for: its pod would be killed in the end.
            signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
        try:
            return super().invoke(ctx)
        except (UsageError, StartupFailed, ApiError, ConnectionFailed) as exc:  # the last two of commands that ask once
            logging.getLogger("operator_kit.cli").debug("where it came from:", exc_info=exc)
            click.echo(as_line(f"operator-kit: {exc}", logging.ERROR), err=True)
            ctx.exit(_code_of(exc))
        except KeyboardInterrupt:  # Ctrl-C before the command has its own answer to it; click's is exit code 1, a defect
            click.echo("SIGINT: stopped before the start", err=True)
            ctx.exit(128 + signal.SIGINT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(operator_kit.__version__, prog_name="operator-kit")
def main() -> None:
    """Kubernetes operators in Python: write a function that makes the world match one object; this runs it."""
