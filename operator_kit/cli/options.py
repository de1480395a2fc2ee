"""Flags made from the settings: one per field of `operator_kit.settings.Settings`, with its help and its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from operator_kit.errors import ConfigError
from operator_kit.settings import ENV_PREFIX, Settings, format_duration, load

__all__ = ["read_settings", "settings_options", "show_settings"]

_C = TypeVar("_C", bound=Callable[..., Any])

_METAVARS = {"duration": "DURATION", "count": "NUMBER", "text": "TEXT", "list": "NAME"}


def settings_options(function: _C) -> _C:
    """Add the flags to a command. Their values arrive as `**flags`, raw; `read_settings` makes settings of them."""
    for field in reversed(dataclasses.fields(Settings)):
        function = _option(field)(function)
    return click.option(
        "--settings", "settings_file", metavar="FILE", help=f"YAML file of settings; below {ENV_PREFIX}* and flags."
    )(function)


def _option(field: dataclasses.Field[Any]) -> Callable[[_C], _C]:
    kind, text = field.metadata["kind"], field.metadata["help"]
    default = getattr(Settings(), field.name)
    name = f"--{field.name.replace('_', '-')}"
    shown = format_duration(default) if kind == "duration" else str(default)
    hint = f"{text}  [{shown}]" if default not in ("", (), False, True) else text
    if kind == "flag":
        return click.option(f"{name}/--no-{name[2:]}", field.name, default=None, help=f"{text}  [{'yes' if default else 'no'}]")
    if kind == "list":
        return click.option(name, field.name, multiple=True, metavar=_METAVARS[kind], help=hint)
    if kind == "choice":
        choices = click.Choice(field.metadata["choices"], case_sensitive=False)
        return click.option(name, field.name, type=choices, default=None, help=hint)
    return click.option(name, field.name, default=None, metavar=_METAVARS[kind], help=hint)


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


def show_settings(settings: Settings, origins: Mapping[str, str]) -> str:
    """The settings as YAML that `--settings` reads, each with its origin as a comment."""
    lines = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.metadata["kind"] == "duration":
            text = format_duration(value)
        elif isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, tuple):
            text = f"[{', '.join(value)}]"
        else:
            text = str(value) if value != "" else '""'
        lines.append(f"{field.name + ':':<22} {text:<12} # {origins[field.name]}")
    return "\n".join(lines)
