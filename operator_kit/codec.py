"""JSON in and out, and private copies of objects: the one place that knows how.

The `fast` extra (msgspec) is used where it is installed; the standard library otherwise. Both give the same dicts.
Keys are text, numbers are int or float, and what is not JSON is refused with `ValueError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

__all__ = ["ACCELERATED", "clone", "dumps", "loads", "visit_items"]


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads and json.dumps make a new one for each call that differs from their defaults.
_std_decoder = json.JSONDecoder(parse_constant=_reject_constant)
_std_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_SPACE = re.compile(r"[ \t\n\r]*")


def _std_loads(data: bytes | str) -> Any:
    try:
        return _std_decoder.decode(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _std_visit_items(data: bytes, visit: Callable[[Any], None]) -> dict[str, Any]:
    # The scanner that json itself uses, driven by hand through the outermost object and the one array in it.
    text = data.decode()

    def skip(at: int) -> int:
        found = _SPACE.match(text, at)
        return found.end() if found else at

    def value(at: int) -> tuple[Any, int]:
        item, end = _std_decoder.raw_decode(text, at)
        return item, skip(end)

    def expect(at: int, mark: str) -> int:
        if text[at : at + 1] != mark:
            raise ValueError(f"expected {mark} at character {at}, found {text[at : at + 1]!r}")
        return skip(at + 1)

    envelope: dict[str, Any] = {}
    try:
        at = expect(skip(0), "{")
        while text[at : at + 1] != "}":
            if envelope or text[at : at + 1] == ",":
                at = expect(at, ",")
            key, at = value(at)
            at = expect(at, ":")
            if key == "items" and text[at : at + 1] == "[":
                envelope[key] = None
                at = skip(at + 1)
                first = True
                while text[at : at + 1] != "]":
                    at = at if first else expect(at, ",")
                    first = False
                    item, at = value(at)
                    visit(item)
                at = skip(at + 1)
            else:
                envelope[key], at = value(at)
        if skip(at + 1) != len(text):
            raise ValueError(f"there is more after the document, at character {at + 1}")
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None
    envelope.pop("items", None)
    return envelope


def _std_dumps(value: Any) -> bytes:
    return _std_encoder.encode(value).encode()


try:
    import msgspec
except ImportError:
    ACCELERATED = False
    loads = _std_loads
    dumps = _std_dumps
    visit_items = _std_visit_items
else:
    ACCELERATED = True
    _decoder = msgspec.json.Decoder()
    _encoder = msgspec.json.Encoder()
    # The outermost object with its values left as they are: items are decoded one at a time.
    _envelope = msgspec.json.Decoder(dict[str, msgspec.Raw])
    _array = msgspec.json.Decoder(list[msgspec.Raw] | None)

    def visit_items(data: bytes, visit: Callable[[Any], None]) -> dict[str, Any]:
        """Decode a list answer item by item, each handed to `visit` and then forgotten.

        The whole list is never in memory as objects, and the garbage collector, which counts what was made and not freed, is not
        set off over and over as it is by decoding a list of ten thousand objects at once.

        Args:
            data: a JSON object with an array (or null) named `items`.
            visit: called with each item, in order.

        Returns:
            Everything but the items.

        Raises:
            ValueError: it is not such a document. Items before the fault may have been visited.
        """
        try:
            parts = _envelope.decode(data)
            items = _array.decode(parts.pop("items", msgspec.Raw(b"null")))
            for item in items or ():
                visit(_decoder.decode(item))
            return {key: _decoder.decode(part) for key, part in parts.items()}
        except msgspec.DecodeError as exc:
            raise ValueError(str(exc)) from None
        except RecursionError:
            raise ValueError("the document is nested too deeply") from None

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
