"""Regular expressions as the API server has them: Go's RE2 syntax, linear time, no look-around and no back-references.

Patterns come from CRDs, so from anyone. They are compiled and run by RE2 itself (`google-re2`, which the CEL library needs too):
a pattern that would take exponential time in Python's `re` is harmless there, and what Go refuses is refused here, in Go's words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

__all__ = ["BadPattern", "compile_pattern", "matcher"]

_MEMORY = 1 << 23  # bytes a pattern's automaton may take; Go has no such limit, but refuses repeat counts over 1000
_GO_WORDS = {
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "unexpected )": "unexpected )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class range": "invalid character class range",
    "invalid character class": "invalid character class",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "invalid UTF-8": "invalid UTF-8",
    "pattern too large - compile failed": "expression too large",
}


class BadPattern(ValueError):
    """A pattern that Go's regexp package refuses; the text is Go's."""


@cache
def _re2() -> Any:
    return import_module("re2")  # it brings no types


@cache
def _options() -> Any:
    options = _re2().Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Any:
    """The compiled pattern (an object with `search`). Raises `BadPattern`."""
    re2 = _re2()
    try:
        return re2.compile(pattern, options=_options())
    except re2.error as exc:
        detail = exc.args[0] if exc.args else ""
        text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        what, _, where = text.partition(": ")
        if what.startswith("trailing \\"):
            raise BadPattern("error parsing regexp: trailing backslash at end of expression: ``") from None
        raise BadPattern(f"error parsing regexp: {_GO_WORDS.get(what, what)}: `{where or pattern}`") from None
    except UnicodeEncodeError:  # a lone surrogate
        raise BadPattern(f"error parsing regexp: invalid UTF-8: `{pattern!a}`") from None


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether the pattern is found in a text. Recent answers are kept: most values come back unchanged.

    Raises `BadPattern`.
    """
    search = compile_pattern(pattern).search

    @lru_cache(maxsize=256)
    def matches(text: str) -> bool:
        try:
            return search(text) is not None
        except UnicodeEncodeError:  # no pattern matches what is not Unicode
            return False

    def found(text: str) -> bool:
        return matches(text) if len(text) <= 1024 else matches.__wrapped__(text)

    return found
