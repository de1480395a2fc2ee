"""Objects as YAML, as a person would write it: in the given order, long texts as blocks, nothing said by reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from operator_kit.objects import Object

__all__ = ["to_yaml"]


class _Dumper(yaml.SafeDumper):
    """Without anchors, which few people can read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # its signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value and not any(line.endswith(" ") for line in value.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[Object]) -> str:
    """The objects as YAML documents."""
    return yaml.dump_all(list(objects), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=True)
