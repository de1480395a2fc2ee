"""Values as Go prints them, because the API server's messages do: `%q`, `%v` and `encoding/json`.

Nothing here raises for a JSON value: what cannot be printed (nesting beyond Python's reach) is printed as `…`.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

__all__ = ["INT64_MAX", "INT64_MIN", "Struct", "go_float", "go_json", "go_value", "is_int64", "quote"]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
_HTML_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_HTML = str.maketrans(_HTML_ESCAPES)


class Struct(dict[str, Any]):
    """A Go struct: `encoding/json` prints its fields in their order, not sorted."""


def is_int64(value: Any) -> bool:
    """Whether a JSON value is what the server decodes as an int64; larger integers become floats there."""
    return type(value) is int and INT64_MIN <= value <= INT64_MAX


def quote(text: str) -> str:
    """Text as `%q` prints it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    parts = []
    for char in text:
        code = ord(char)
        if char in _SHORT_ESCAPES:
            parts.append(_SHORT_ESCAPES[char])
        elif char.isprintable() and not 0xD800 <= code < 0xE000:
            parts.append(char)
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        elif code < 0x10000:
            parts.append(f"\\u{code:04x}")
        else:
            parts.append(f"\\U{code:08x}")
    return f'"{"".join(parts)}"'


def go_float(value: float, *, low: int = -4, high: int = 21) -> str:
    """A float as `%v` prints it: shortest digits, an exponent below 1e-4 and from 1e21 on (`low=-6`: as in JSON)."""
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    mantissa, _, exponent_text = f"{value:e}".partition("e")
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent_text = text.partition("e")
    exponent = int(exponent_text)
    if exponent < low or exponent >= high:
        if "e" not in text:
            digits = text.replace("-", "").replace(".", "").strip("0")
            mantissa = f"{'-' if value < 0 else ''}{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}"
        sign = "-" if exponent < 0 else "+"
        width = 2 if low == -4 or sign == "+" else 1  # JSON writes e-7, not e-07
        return f"{mantissa.removesuffix('.0')}e{sign}{abs(exponent):0{width}d}"
    if "e" in text:
        return format(Decimal(text), "f")
    return text.removesuffix(".0")


def go_json(value: Any) -> str:
    """A JSON value as `encoding/json` prints it: compact, keys sorted, HTML characters escaped."""
    try:
        return _encode(value).translate(_HTML)
    except RecursionError:
        return "…"


def _encode(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(name))}:{_encode(value[name])}" for name in _names(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_encode(item) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if is_int64(value) else go_float(_as_float(value), low=-6)
    return _text(str(value))


def _names(value: dict[str, Any]) -> list[str]:
    return list(value) if isinstance(value, Struct) else sorted(value, key=str)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_float(value: float) -> float:
    """An integer beyond int64 as the float the server makes of it."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def go_value(value: Any) -> str:
    """A bad value as the server's field errors print it."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if is_int64(value) else go_float(_as_float(value))
    return go_json(value)
