"""Patterns as the API server reads them: it has RE2, which looks neither ahead nor back.

The regular expressions of pydantic's core are of the same family, and judge what is not in the table of known troubles.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic_core import SchemaError as NoPattern
from pydantic_core import SchemaValidator, core_schema

__all__ = ["matches", "unknown_to_re2"]

_MOST_REPEATS = 1000

_UNKNOWN = (
    (r"\(\?<?[=!]", "looks ahead or behind"),
    (r"\(\?P=\w+\)|\\[1-9]", "refers back to a group"),
    (r"\(\?>", "has an atomic group"),
    (r"\(\?\(", "has a conditional group"),
    (r"\(\?#", "has a comment"),
    (r"\(\?[aiLmsux]*[aLux]", "has a flag that RE2 does not know"),
    (r"\\Z", r"ends with \Z; write $"),
    (r"\\u[0-9a-fA-F]|\\U", r"has \u; write the character, or \x{…}"),
    (r"(?:[*+?]|\{\d+(?:,\d*)?\})\+", "has a possessive quantifier"),
)


def unknown_to_re2(pattern: str) -> str:
    """Why the API server would refuse the pattern; empty when it would not."""
    # Escaped signs and what is in brackets would be read wrongly: both are taken out first.
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "[]", re.sub(r"\\[^A-Za-z0-9]", "", pattern))
    for form, what in _UNKNOWN:
        if re.search(form, bare):
            return what
    for bounds in re.findall(r"\{(\d+)(?:,(\d*))?\}", bare):
        if any(int(bound) > _MOST_REPEATS for bound in bounds if bound):
            return f"repeats more than {_MOST_REPEATS} times"
    try:
        _compiled(pattern)
    except NoPattern as exc:
        return f"is no regular expression: {str(exc).splitlines()[-1].strip()}"
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether the text has a match of the pattern anywhere in it, as on the server."""
    return bool(_compiled(pattern).isinstance_python(text))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
