"""Objects as YAML, as a person would write it: in the given order, long texts as blocks, nothing said by reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from operator_kit.objects import Object

__all__ = ["to_rules_yaml", "to_yaml"]


class _Dumper(yaml.SafeDumper):
    """Without anchors, which few people can read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # its signature
        return True


class _RulesDumper(_Dumper):
    """Lists of words on one line, lists of mappings set in: how roles are written by hand."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # its signature
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value and not any(line.endswith(" ") for line in value.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _word(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if value in {"", "*"} else None)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=not any(isinstance(item, dict) for item in value))


_Dumper.add_representer(str, _text)
_RulesDumper.add_representer(str, _word)
_RulesDumper.add_representer(list, _list)


def to_yaml(objects: Iterable[Object]) -> str:
    """The objects as YAML documents."""
    return yaml.dump_all(list(objects), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=True)


def to_rules_yaml(*documents: Any) -> str:
    """Roles, or parts of them, as YAML documents; one alone has no marker."""
    several = len(documents) > 1
    return yaml.dump_all(documents, Dumper=_RulesDumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=several)
