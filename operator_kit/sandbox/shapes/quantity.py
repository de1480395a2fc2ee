"""Quantities (`500m`, `1Gi`) in their canonical form, which is what the API server stores and answers with."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal

__all__ = ["canonical_quantity"]

_QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4}|[KMGTPE]i|[numkMGTPE]?)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LIMIT = Decimal(2**63 - 1)


def canonical_quantity(text: str) -> str:
    """The canonical form: no fraction, the largest suffix that allows it. Raises `ValueError` in the server's words."""
    match = _QUANTITY.fullmatch(text) if len(text) < 200 else None
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    sign, digits, suffix = match.groups()
    number = Decimal(digits)
    if suffix in _BINARY:
        return sign.strip("+") + _binary(number * 1024 ** _BINARY[suffix])
    exponent = int(suffix[1:]) if suffix[:1] in {"e", "E"} and len(suffix) > 1 else _DECIMAL[suffix]
    scaled = number.scaleb(min(exponent, 30))
    scaled = min(scaled, _LIMIT)
    nanos = int(scaled.scaleb(9).to_integral_value(ROUND_UP))
    if nanos == 0:
        return "0"
    power = -9
    while nanos % 1000 == 0 and power < 18:
        nanos //= 1000
        power += 3
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return f"{sign.strip('+')}{nanos}" + (f"e{power}" if power else "")
    names = {value: key for key, value in _DECIMAL.items()}
    return f"{sign.strip('+')}{nanos}{names[power]}"


def _binary(number: Decimal) -> str:
    if number != number.to_integral_value():  # a fraction of a byte is written in the decimal form
        return canonical_quantity(format(number.normalize(), "f"))
    size = min(int(number), int(_LIMIT))
    power = 0
    while size and size % 1024 == 0 and power < 6:
        size //= 1024
        power += 1
    return f"{size}{['', *_BINARY][power]}"
