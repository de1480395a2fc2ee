"""The string formats that the API server checks in custom resources, by the rules of its OpenAPI library.

Other formats are accepted and ignored, as there. A checker takes text and says whether it has the form; none of them raises.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

__all__ = ["checker", "go_duration", "known"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_DURATION_PART = re.compile(r"(\d+)\s*([A-Za-zµ]+)", re.ASCII)
_GO_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_GO_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_LONG_UNITS = ("ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day")
_UNIT_PREFIXES = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_MAC = re.compile(
    r"([0-9a-f]{2}([:-])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}|[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\3){6}[0-9a-f]{2}"
    r"|(?:[0-9a-f]{4}\.){2,3}[0-9a-f]{4})",
    re.IGNORECASE | re.ASCII,
)
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", re.ASCII)
_BYTE = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_RGB_COLOR = re.compile(rf"rgb\({_BYTE},{_BYTE},{_BYTE}\)", re.ASCII)
_SSN = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}", re.ASCII)
_HOST_LABEL = re.compile(r"[^\W_]([^\W_]|-)*", re.UNICODE)
_SHORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONG_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return text.startswith("0000-") and _is_date("2000" + text[4:])  # Go has a year 0
    return True


def _is_date_time(text: str) -> bool:
    day, _, rest = text.lower().partition("t")
    match = _TIME.fullmatch(rest.partition("t")[0])
    return match is not None and _is_date(day) and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def go_duration(text: str) -> int | None:
    """Nanoseconds of a duration as Go's `time.ParseDuration` reads it (`1h30m`), or None."""
    if not _GO_DURATION.fullmatch(text):
        return None
    total = 0
    for number, unit in _GO_DURATION_PART.findall(text):
        whole, _, fraction = number.partition(".")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if total > 2**63 - 1:
        return None
    return -total if text.startswith("-") else total


def _is_duration(text: str) -> bool:
    if len(text) > 1024:
        return False
    if go_duration(text) is not None:
        return True
    found = False
    for _, unit in _DURATION_PART.findall(text):
        name = unit.lower()
        found = found or name in _LONG_UNITS or name in {"w", "wk"} or name.startswith(_UNIT_PREFIXES)
    return found


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(_sloppy(text)).version == version
    except ValueError:
        return False


def _sloppy(text: str) -> str:
    """IPv4 parts without their leading zeros: Kubernetes still reads them."""
    if ":" in text:
        return text
    head, slash, tail = text.partition("/")
    return ".".join(part.lstrip("0") or part[:1] for part in head.split(".")) + slash + tail


def _is_cidr(text: str) -> bool:
    if "/" not in text or not text.rpartition("/")[2].isdecimal():
        return False
    try:
        ipaddress.ip_network(_sloppy(text), strict=False)
    except ValueError:
        return False
    return True


def _is_hostname(text: str) -> bool:
    if not text or len(text) > 255:
        return False
    labels = text.split(".")
    if len(labels) > 1 and (len(labels[-1]) < 2 or not labels[-1].isalpha()):
        return False
    return all(len(label) <= 63 and not label.endswith("-") and _HOST_LABEL.fullmatch(label) for label in labels)


def _is_email(text: str) -> bool:
    address = parseaddr(text)[1]
    local, _, domain = address.rpartition("@")
    return bool(local and domain) and " " not in address


def _is_uri(text: str) -> bool:
    """As `url.ParseRequestURI`: an absolute URI or an absolute path."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if not text or any(char.isspace() or ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_base64(text: str) -> bool:
    try:
        return bool(text) and bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _uuid(version: str = "") -> Callable[[str], bool]:
    def check(text: str) -> bool:
        if not _UUID.fullmatch(text):
            return False
        digits = text.replace("-", "").lower()
        return not version or (digits[12] == version and (version == "3" or digits[16] in "89ab"))

    return check


def _digits(text: str) -> str:
    return text.replace("-", "").replace(" ", "")


def _is_isbn10(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((10 if char == "X" else int(char)) * (10 - at) for at, char in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"[0-9]{13}", digits):
        return False
    return sum(int(char) * (3 if at % 2 else 1) for at, char in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not 13 <= len(digits) <= 19:
        return False
    total = 0
    for at, char in enumerate(reversed(digits)):
        value = int(char) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _whole(pattern: re.Pattern[str], limit: int = 4096) -> Callable[[str], bool]:
    return lambda text: len(text) <= limit and pattern.fullmatch(text) is not None


_CHECKERS: dict[str, Callable[[str], bool]] = {
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": lambda text: _is_ip(text, 4),
    "ipv6": lambda text: _is_ip(text, 6),
    "cidr": _is_cidr,
    "mac": _whole(_MAC),
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4"),
    "uuid5": _uuid("5"),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _whole(_SSN),
    "hexcolor": _whole(_HEX_COLOR),
    "rgbcolor": _whole(_RGB_COLOR),
    "byte": _is_base64,
    "password": lambda _: True,
    "bsonobjectid": _whole(re.compile(r"[0-9a-fA-F]{24}")),
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_date_time,
    "k8sshortname": _whole(_SHORT_NAME, 63),
    "k8slongname": _whole(_LONG_NAME, 253),
}


def known(kind: str, name: str) -> bool:
    """Whether the server checks this format for this schema type (`""`: none given, taken as a string's)."""
    if kind == "integer":
        return name in {"int32", "int64"}
    if kind == "number":
        return name in {"float", "double"}
    return kind in {"", "string"} and name.replace("-", "") in _CHECKERS


def checker(name: str) -> Callable[[str], bool] | None:
    """The check of a string format, or None when there is none by this name."""
    return _CHECKERS.get(name.replace("-", ""))
