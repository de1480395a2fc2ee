"""CEL's functions on Kubernetes' own kinds of values: quantities, versions, URLs, addresses, named formats, and on optionals."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

from celpy import celtypes

from operator_kit.sandbox.schema import names
from operator_kit.sandbox.schema.builtin.tools import quantity
from operator_kit.sandbox.schema.cel.arguments import Function, cel_int, cel_string, plain_int, plain_text
from operator_kit.sandbox.schema.cel.values import NONE, Optional, boolean
from operator_kit.selectors import label_key_problems, label_value_problems

__all__ = ["GLOBALS", "METHODS", "QUALIFIED"]


# --------------------------------------------------------------------------- quantities


class _Quantity:
    def __init__(self, value: Decimal, text: str) -> None:
        self.value = value
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Quantity) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return self.text


def _quantity(text: Any) -> _Quantity:
    plain = plain_text(text)
    value = quantity(plain)
    if value is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    return _Quantity(value, plain)


def _as_quantity(value: Any) -> _Quantity:
    if not isinstance(value, _Quantity):
        raise TypeError("no such overload")
    return value


def _compare(left: Any, right: Any) -> int:
    if isinstance(left, _Quantity):
        other = _as_quantity(right)
        return (left.value > other.value) - (left.value < other.value)
    if isinstance(left, _Semver) and isinstance(right, _Semver):
        return (left.order > right.order) - (left.order < right.order)
    raise TypeError("no such overload")


def _add(sign: int) -> Function:
    def add(left: Any, right: Any) -> _Quantity:
        other = Decimal(plain_int(right)) if isinstance(right, int) else _as_quantity(right).value
        total = _as_quantity(left).value + sign * other
        return _Quantity(total, format(total.normalize(), "f"))

    return add


def _as_integer(value: Any) -> Any:
    number = _as_quantity(value).value
    if number != number.to_integral_value() or abs(number) >= 2**63:
        raise ValueError("cannot convert value to integer")
    return cel_int(int(number))


# --------------------------------------------------------------------------- semantic versions


class _Semver:
    def __init__(self, text: str, match: re.Match[str]) -> None:
        self.text = text
        self.numbers = tuple(int(match[at]) for at in (1, 2, 3))
        parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in (match[4] or "").split(".") if part]
        self.order = (self.numbers, not parts, parts)  # a version comes after its pre-releases

    def __str__(self) -> str:
        return self.text


_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


def _semver(text: Any, *_: Any) -> _Semver:
    plain = plain_text(text)
    match = _SEMVER.fullmatch(plain)
    if match is None:
        raise ValueError(f"Invalid Semantic Version: {plain}")
    return _Semver(plain, match)


def _semver_part(at: int) -> Function:
    def part(value: Any) -> Any:
        if not isinstance(value, _Semver):
            raise TypeError("no such overload")
        return cel_int(value.numbers[at])

    return part


# --------------------------------------------------------------------------- URLs and addresses


def _url(text: Any) -> SplitResult:
    plain = plain_text(text)
    try:
        parts = urlsplit(plain)
        _ = parts.port  # raises when it is no number
    except ValueError as exc:
        raise ValueError(f"URL parse error during conversion from string: {exc}") from None
    if not (parts.scheme and (parts.netloc or parts.path)) and not plain.startswith("/"):
        raise ValueError(f'URL parse error during conversion from string: parse "{plain}": invalid URI for request')
    return parts


def _of_url(get: Callable[[SplitResult], Any]) -> Function:
    def read(value: Any) -> Any:
        if not isinstance(value, SplitResult):
            raise TypeError("no such overload")
        return get(value)

    return read


def _query(parts: SplitResult) -> Any:
    made = celtypes.MapType()
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        dict.__setitem__(made, cel_string(name), celtypes.ListType([cel_string(value) for value in values]))
    return made


_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _ip(value: Any) -> _Address:
    if isinstance(value, ipaddress.IPv4Interface | ipaddress.IPv6Interface):
        return value.ip
    try:
        return ipaddress.ip_address(plain_text(value))
    except ValueError:
        raise ValueError("IP Address parse error during conversion from string") from None


def _cidr(value: Any) -> _Network:
    text = plain_text(value)
    try:
        if "/" not in text:
            raise ValueError("no prefix")
        return ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("CIDR parse error during conversion from string") from None


def _valid(make: Function) -> Function:
    """Whether a constructor takes a text."""

    def check(value: Any, *more: Any) -> Any:
        try:
            make(value, *more)
        except ValueError:
            return boolean(False)
        return boolean(True)

    return check


def _family(value: Any) -> Any:
    if not isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise TypeError("no such overload")
    return cel_int(value.version)


def _network(value: Any) -> _Network:
    if not isinstance(value, ipaddress.IPv4Interface | ipaddress.IPv6Interface):
        raise TypeError("no such overload")
    return value


def _contains_ip(network: Any, address: Any) -> Any:
    inner = address if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address) else _ip(address)
    return boolean(inner in _network(network).network)


def _contains_cidr(network: Any, other: Any) -> Any:
    inner = other if isinstance(other, ipaddress.IPv4Interface | ipaddress.IPv6Interface) else _cidr(other)
    outer = _network(network).network
    return boolean(inner.network.version == outer.version and inner.network.subnet_of(outer))  # type: ignore[arg-type]  # same version


def _address_is(name: str) -> Function:
    def check(value: Any) -> Any:
        if not isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
            raise TypeError("no such overload")
        return boolean(getattr(value, name))

    return check


def _global_unicast(value: Any) -> Any:
    address = value if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address) else _ip(value)
    special = address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified
    return boolean(not special and str(address) != "255.255.255.255")


# --------------------------------------------------------------------------- formats and optionals


class _NamedFormat:
    def __init__(self, check: Callable[[str], list[str]]) -> None:
        self.check = check


def _validate(kind: Any, text: Any) -> Any:
    if not isinstance(kind, _NamedFormat):
        raise TypeError("no such overload")
    problems = kind.check(plain_text(text))
    return Optional(celtypes.ListType([cel_string(problem) for problem in problems])) if problems else NONE


_FORMATS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": label_key_problems,
    "labelValue": label_value_problems,
}


def _optional(value: Any) -> Optional:
    if not isinstance(value, Optional):
        raise TypeError("no such overload")
    return value


def _value(value: Any) -> Any:
    optional = _optional(value)
    if not optional.present:
        raise ValueError("optional.none() dereference")
    return optional.value


def _or_value(value: Any, other: Any) -> Any:
    optional = _optional(value)
    return optional.value if optional.present else other


def _is_zero(value: Any) -> bool:
    return value is None or (not isinstance(value, Optional) and not value)


METHODS: dict[str, Function] = {
    "isGreaterThan": lambda left, right: boolean(_compare(left, right) > 0),
    "isLessThan": lambda left, right: boolean(_compare(left, right) < 0),
    "compareTo": lambda left, right: cel_int(_compare(left, right)),
    "add": _add(1),
    "sub": _add(-1),
    "sign": lambda value: cel_int((_as_quantity(value).value > 0) - (_as_quantity(value).value < 0)),
    "isInteger": lambda value: boolean(_as_quantity(value).value == _as_quantity(value).value.to_integral_value()),
    "asInteger": _as_integer,
    "asApproximateFloat": lambda value: celtypes.DoubleType(float(_as_quantity(value).value)),
    "major": _semver_part(0),
    "minor": _semver_part(1),
    "patch": _semver_part(2),
    "getScheme": _of_url(lambda url: cel_string(url.scheme)),
    "getHost": _of_url(lambda url: cel_string(url.netloc.rpartition("@")[2])),
    "getHostname": _of_url(lambda url: cel_string(url.hostname or "")),
    "getPort": _of_url(lambda url: cel_string("" if url.port is None else str(url.port))),
    "getEscapedPath": _of_url(lambda url: cel_string(url.path)),
    "getQuery": _of_url(_query),
    "family": _family,
    "isUnspecified": _address_is("is_unspecified"),
    "isLoopback": _address_is("is_loopback"),
    "isLinkLocalUnicast": _address_is("is_link_local"),
    "isLinkLocalMulticast": _address_is("is_multicast"),
    "isGlobalUnicast": _global_unicast,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "ip": lambda network: _network(network).ip,
    "masked": lambda network: ipaddress.ip_interface(_network(network).network),
    "prefixLength": lambda network: cel_int(_network(network).network.prefixlen),
    "validate": _validate,
    "hasValue": lambda value: boolean(_optional(value).present),
    "value": _value,
    "orValue": _or_value,
    "or": lambda value, other: value if _optional(value).present else _optional(other),
}

GLOBALS: dict[str, Function] = {
    "quantity": _quantity,
    "isQuantity": _valid(_quantity),
    "semver": _semver,
    "isSemver": _valid(_semver),
    "url": _url,
    "isURL": _valid(_url),
    "ip": _ip,
    "isIP": _valid(_ip),
    "cidr": _cidr,
    "isCIDR": _valid(_cidr),
}

QUALIFIED: dict[str, Function] = {
    "optional.of": Optional,
    "optional.none": lambda: NONE,
    "optional.ofNonZeroValue": lambda value: NONE if _is_zero(value) else Optional(value),
    "ip.isCanonical": lambda text: boolean(str(_ip(text)) == plain_text(text)),
    "format.named": lambda name: Optional(_NamedFormat(_FORMATS[plain_text(name)])) if plain_text(name) in _FORMATS else NONE,
    **{f"format.{name}": (lambda check=check: _NamedFormat(check)) for name, check in _FORMATS.items()},
}
