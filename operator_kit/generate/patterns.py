"""Patterns that Python knows and the API server does not: it has RE2, which looks neither ahead nor back."""

from __future__ import annotations

import re

__all__ = ["unknown_to_re2"]

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
    try:
        re.compile(pattern)
    except re.error as exc:
        return f"is no regular expression: {exc}"
    # Escaped backslashes and what is in brackets would be read wrongly: both are taken out first.
    bare = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "[]", pattern.replace("\\\\", ""))
    for form, what in _UNKNOWN:
        if re.search(form, bare):
            return what
    for bounds in re.findall(r"\{(\d+)(?:,(\d*))?\}", bare):
        if any(int(bound) > _MOST_REPEATS for bound in bounds if bound):
            return f"repeats more than {_MOST_REPEATS} times"
    return ""
