"""The rules of names: DNS labels and subdomains, keys of config maps, port names, in the words of `k8s.io/apimachinery`.

Each function returns the list of what is wrong with a text, empty when it is fine.
"""

from __future__ import annotations

import re

__all__ = [
    "config_map_key",
    "dns1035_label",
    "dns1123_label",
    "dns1123_subdomain",
    "env_var_name",
    "http_header",
    "port_name",
    "port_number",
    "wildcard_subdomain",
]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_HEADER = "[-A-Za-z0-9]+"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_header = re.compile(_HEADER).fullmatch
_is_port_charset = re.compile("[-a-z0-9]+").fullmatch


def _regex_error(text: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


_SUBDOMAIN_TEXT = _regex_error(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_TEXT = _regex_error(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_LABEL_1035_TEXT = _regex_error(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_WILDCARD_TEXT = _regex_error(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_CONFIG_KEY_TEXT = _regex_error(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"
)
_HEADER_TEXT = _regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")


def _too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def dns1123_label(text: str) -> list[str]:
    """A DNS label: at most 63 characters, no dots."""
    problems = [_too_long(63)] if len(text) > 63 else []
    if not _is_label(text):
        problems.append("must not contain dots" if _is_subdomain(text) else _LABEL_TEXT)
    return problems


def dns1123_subdomain(text: str) -> list[str]:
    """A DNS subdomain: labels joined by dots, at most 253 characters."""
    problems = [_too_long(253)] if len(text) > 253 else []
    return problems if _is_subdomain(text) else [*problems, _SUBDOMAIN_TEXT]


def dns1035_label(text: str) -> list[str]:
    """A DNS label that starts with a letter."""
    problems = [_too_long(63)] if len(text) > 63 else []
    return problems if _is_label_1035(text) else [*problems, _LABEL_1035_TEXT]


def wildcard_subdomain(text: str) -> list[str]:
    """`*.` before a DNS subdomain."""
    problems = [_too_long(253)] if len(text) > 253 else []
    return problems if _is_wildcard(text) else [*problems, _WILDCARD_TEXT]


def config_map_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    problems = [_too_long(253)] if len(text) > 253 else []
    if not _is_config_key(text):
        problems.append(_CONFIG_KEY_TEXT)
    if text in {".", ".."}:
        problems.append(f"must not be '{text}'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def env_var_name(text: str) -> list[str]:
    """The name of an environment variable."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not text.isascii() or not text.isprintable() or "=" in text:
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def http_header(text: str) -> list[str]:
    """The name of an HTTP header."""
    return [] if _is_header(text) else [_HEADER_TEXT]


def port_number(value: int) -> list[str]:
    """A TCP or UDP port."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(text: str) -> list[str]:
    """An IANA service name: at most 15 lower case letters, digits and hyphens, with a letter in it."""
    problems = [_too_long(15)] if len(text) > 15 else []
    if not _is_port_charset(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text and "-" in {text[0], text[-1]}:
        problems.append("must not begin or end with a hyphen")
    return problems
