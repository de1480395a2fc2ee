"""JSON in and out, and private copies of objects: the one place that knows how.

The `fast` extra (msgspec) is used where it is installed; the standard library otherwise. Both give the same dicts.
Keys are text, numbers are int or float, and what is not JSON is refused with `ValueError`.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ACCELERATED", "clone", "dumps", "loads"]


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _std_loads(data: bytes | str) -> Any:
    try:
        return json.loads(data, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _std_dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


try:
    import msgspec
except ImportError:
    ACCELERATED = False
    loads = _std_loads
    dumps = _std_dumps
else:
    ACCELERATED = True
    _decoder = msgspec.json.Decoder()
    _encoder = msgspec.json.Encoder()

    def loads(data: bytes | str) -> Any:
        """Decode one JSON document. Raises `ValueError` when it is none."""
        try:
            return _decoder.decode(data)
        except msgspec.DecodeError as exc:
            raise ValueError(str(exc)) from None
        except RecursionError:
            raise ValueError("the document is nested too deeply") from None

    def dumps(value: Any) -> bytes:
        """Encode to compact UTF-8 JSON. Raises `ValueError` or `TypeError` on what JSON has no form for."""
        return _encoder.encode(value)


def clone(value: Any) -> Any:
    """A deep, private copy of a JSON value (dicts, lists, text, numbers, booleans, None)."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value
