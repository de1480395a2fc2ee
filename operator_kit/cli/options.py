"""Flags made from the settings: one per field of `operator_kit.settings.Settings`, with its help and its default."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from operator_kit.errors import ConfigError, ConnectionFailed, UsageError
from operator_kit.settings import ENV_PREFIX, Settings, format_duration, ignored_variables, load

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.generate import Need

__all__ = [
    "NO_TARGET",
    "SETTINGS_OF_A_LOOK",
    "SettingsCommand",
    "asking",
    "needs_besides",
    "read_settings",
    "settings_options",
    "show_settings",
    "targets_argument",
    "tell_ignored",
]

NO_TARGET = "give at least one TARGET: a Python file, a directory of them, or a module"

SETTINGS_OF_A_LOOK = (
    *("kubeconfig", "context", "request_timeout", "namespace"),
    *("leader_elect", "leader_election_id", "leader_election_namespace"),
)
"""Those with a part in a command that looks at what an operator would be, and runs none."""

_C = TypeVar("_C", bound=Callable[..., Any])

_METAVARS = {"duration": "DURATION", "count": "NUMBER", "number": "NUMBER", "text": "TEXT", "names": "NAME", "address": "ADDRESS"}


class SettingOption(click.Option):
    """The flag of a setting; `heading` is where it stands in the help."""

    heading = ""


class SettingsCommand(click.Command):
    """A command whose help has the flags of the settings under their headings, after its own options.

    `listed` names the settings in the help; all are, if it is empty. The others are understood as well.
    """

    def __init__(self, *args: Any, listed: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listed = listed

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, heading by heading."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            if self._listed and isinstance(param, SettingOption) and param.name not in self._listed:
                continue
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(param.heading if isinstance(param, SettingOption) else "Options", []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def settings_options(function: _C) -> _C:
    """Add the flags to a command. Their values arrive as `**flags`, raw; `read_settings` makes settings of them."""
    for field in reversed(dataclasses.fields(Settings)):
        function = _option(field)(function)
    return click.option(
        "--settings", "settings_file", metavar="FILE", help=f"YAML file of settings; below {ENV_PREFIX}* and flags."
    )(function)


def _option(field: dataclasses.Field[Any]) -> Callable[[_C], _C]:
    kind, text = field.metadata["kind"], field.metadata["help"]
    heading = type("SettingOption", (SettingOption,), {"heading": field.metadata["group"]})
    default = getattr(Settings(), field.name)
    name = f"--{field.name.replace('_', '-')}"
    shown = format_duration(default) if kind == "duration" else str(default)
    hint = f"{text}  [{shown}]" if default not in ("", (), False, True) else text
    if kind == "flag":
        hint = f"{text}  [{'yes' if default else 'no'}]"
        return click.option(f"{name}/--no-{name[2:]}", field.name, cls=heading, default=None, help=hint)
    if kind == "names":
        return click.option(name, field.name, cls=heading, multiple=True, metavar=_METAVARS[kind], help=hint)
    if kind == "choice":
        choices = click.Choice(field.metadata["choices"], case_sensitive=False)
        return click.option(name, field.name, cls=heading, type=choices, default=None, help=hint)
    return click.option(name, field.name, cls=heading, default=None, metavar=_METAVARS[kind], help=hint)


def targets_argument(function: _C) -> _C:
    """Add the TARGETs, at least one, to a command."""

    def given(ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value and not ctx.resilient_parsing:
            raise click.UsageError(NO_TARGET, ctx)
        return value

    return click.argument("targets", nargs=-1, metavar="TARGET...", callback=given)(function)


def needs_besides(settings: Settings, namespace: str) -> list[Need]:
    """What an operator with these settings needs beyond what is registered: its lease, and to ask who reads the metrics.

    `namespace` is the lease's where nothing else names one. Raises `ConfigError` for an election that cannot work.
    """
    from operator_kit.generate import lease_needs, metrics_needs
    from operator_kit.manager.leadership import election_rules

    needs = metrics_needs() if settings.metrics_auth else []
    if settings.leader_elect:
        rules = election_rules(settings, namespace)
        needs += lease_needs(rules.namespace, rules.name)
    return needs


@contextmanager
def asking(kubeconfig: str, context: str, request_timeout: float = 30.0) -> Iterator[Client]:
    """A client for a command that asks and ends.

    Raises:
        ConnectionFailed: the server does not answer; with where its address comes from, and the remedy.
        ConfigError: the kubeconfig cannot be used.
        UsageError: what the block raises; it ends the command with the code for kinds, as `run` does.
    """
    from operator_kit.api import Client
    from operator_kit.manager import ExitCode

    client = Client.from_config(kubeconfig=kubeconfig, context=context, request_timeout=request_timeout)
    try:
        yield client
    except ConnectionFailed as exc:
        remedy = f"its address is from {client.origin}: start it, or name another with --kubeconfig or --context"
        raise ConnectionFailed(f"{exc}; {remedy}", sent=exc.sent, silent=exc.silent) from exc
    except ConfigError:
        raise
    except UsageError as exc:
        exc.exit_code = ExitCode.KIND  # type: ignore[attr-defined]  # read by the group
        raise
    finally:
        client.close()


def read_settings(file: str | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings and where each came from.

    Raises:
        click.UsageError: a flag's value cannot be used.
        ConfigError: the file or a variable cannot be used.
    """
    try:
        load(flags=flags)
    except ConfigError as exc:
        raise click.UsageError(str(exc)) from None
    return load(file=file, environ=environ, flags=flags)


def tell_ignored(environ: Mapping[str, str]) -> None:
    """Warn, on stderr, of variables that look like settings and are none."""
    for text in ignored_variables(environ):
        click.echo(f"warning: {text}", err=True)


def show_settings(settings: Settings, origins: Mapping[str, str]) -> str:
    """The settings as YAML that `--settings` reads, under their headings, each with its origin as a comment."""
    fields = dataclasses.fields(settings)
    texts = {field.name: _yaml(field, getattr(settings, field.name)) for field in fields}
    names = max(map(len, texts)) + 1
    values = min(max(map(len, texts.values())), 24)
    lines: list[str] = []
    heading = ""
    for field in fields:
        if field.metadata["group"] != heading:
            heading = field.metadata["group"]
            lines += ["", f"# {heading}"]
        lines.append(f"{field.name + ':':<{names}} {texts[field.name]:<{values}} # {origins[field.name]}")
    return "\n".join(lines[1:])


def _yaml(field: dataclasses.Field[Any], value: Any) -> str:
    if field.metadata["kind"] == "duration":
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """Text as YAML: plain where nothing can be read into it."""
    plain = re.fullmatch(r"[A-Za-z/~.][\w./~-]*", text) and text.lower() not in {
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "~",
    }
    return text if plain else json.dumps(text, ensure_ascii=False)
