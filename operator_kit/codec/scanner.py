"""The standard library's JSON scanner, as it is driven by hand to find where a value in a text ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ["TOO_DEEP", "before_last", "decoder", "loads", "scan"]

TOO_DEEP = "the document is nested too deeply"


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads makes a new one for each call that differs from its defaults.
decoder = json.JSONDecoder(parse_constant=_reject_constant)
scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once  # type: ignore[attr-defined]  # what raw_decode calls
"""Decode the value that begins at a place, and say where it ends.

Raises `StopIteration` where none begins, `ValueError` where one is damaged, and `RecursionError`.
"""


def loads(data: bytes | str) -> Any:
    """Decode one JSON document. Raises `ValueError` when it is none."""
    try:
        return decoder.decode(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def before_last(text: str, name: str) -> int | None:
    """How many bytes precede the last member of an object and its comma, if it has this name; None if it is not the last."""
    at = text.find(name)
    while at >= 0:
        try:
            _, end = scan(text, at + len(name))
        except StopIteration:  # not compact
            return None
        if end == len(text) - 1:  # nothing but the closing brace follows: it is a member of the outermost object
            return len(text[: at - 1].encode()) if text[at - 1] == "," else None
        at = text.find(name, at + 1)
    return None
