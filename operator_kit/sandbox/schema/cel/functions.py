"""All functions that rules may call: what the CEL library brings, and what Kubernetes adds to it.

Three tables: `METHODS` (called on a value), `GLOBALS`, and `QUALIFIED` (with a dotted name). Wrong arguments make
a `TypeError` ("no such overload") or a `ValueError` with CEL's text.
"""

from __future__ import annotations

from celpy.evaluation import base_functions

from operator_kit.sandbox.schema.cel import kinds, texts
from operator_kit.sandbox.schema.cel.arguments import Function

__all__ = ["GLOBALS", "METHODS", "QUALIFIED"]

_CONVERSIONS = ("bool", "bytes", "double", "duration", "int", "timestamp", "uint", "type")

METHODS: dict[str, Function] = {
    **{name: base_functions[name] for name in base_functions if name.startswith("get")},
    **texts.METHODS,
    **kinds.METHODS,
}

GLOBALS: dict[str, Function] = {**{name: base_functions[name] for name in _CONVERSIONS}, **texts.GLOBALS, **kinds.GLOBALS}

QUALIFIED: dict[str, Function] = {**texts.QUALIFIED, **kinds.QUALIFIED}
