"""What a log must not hold, taken out of it: a second line of defence, for what others put into their messages.

The first is that operator-kit logs names and never contents. But an exception of a library may quote a header, a proxy's answer a
URL with a password, and both end up in a line about what failed.
"""

from __future__ import annotations

import re

__all__ = ["REDACTED", "redact"]

REDACTED = "[redacted]"

# Nothing below is looked for in a line without any of these. In folded text: a search that ignores case takes four times as long.
_HINT = re.compile(r"bearer|basic|negotiate|eyj|://|pass|secret|token|key")

_SECRETS = r"password|passwd|client[_-]?secret|client-key-data|secret[_-]?key|api[_-]?key|(?:access|refresh|id)[_-]?token"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
    # A header's value, up to the end of the quotes or the line that it stands in.
    (
        re.compile(r"""(?i)(authorization["']?\s*[:=,]\s*b?["']?)(?:bearer|basic|negotiate|digest|token)\b[^"'\r\n]*"""),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(r"(?i)\b(bearer|basic|negotiate)(\s+)(?=\S*[0-9._~+/=-])[\w.~+/=-]{8,}(?:\\[nr][\w.~+/=-]+)*"),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), REDACTED),  # a JSON web token
    (re.compile(r"""(://)[^/\s:@'"]+:[^/\s@]+@"""), rf"\1{REDACTED}@"),
    (
        re.compile(rf"""(?i)(\b(?:{_SECRETS}|token(?=["']|=))["']?\s*[:=]\s*)(?:"[^"]*"?|'[^']*'?|[^\s,;&}}\])]+)"""),
        rf"\1{REDACTED}",
    ),
)


def redact(text: str) -> str:
    """The text with tokens, passwords and private keys replaced. Names, paths and numbers stay."""
    if _HINT.search(text.casefold()):
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
    return text
