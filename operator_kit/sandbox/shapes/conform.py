"""Built-in objects as the server's Go types would hold them: unknown fields go, wrong types are refused.

A real API server decodes a built-in kind into a struct and encodes it again. `conform` has the same effect on a dict: nulls
and empty optional values disappear, structs without content appear as `{}`, quantities and times take their canonical form.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox import shapes
from operator_kit.sandbox.shapes.quantity import canonical_quantity
from operator_kit.sandbox.status import StatusError

__all__ = ["canonical_time", "conform", "zero"]

_INT_LIMITS = {"i": 2**31, "l": 2**63}
_GO_TYPES = {"s": "string", "b": "bool", "i": "int32", "l": "int64", "f": "float64", "B": "[]uint8"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UNIONS = {f"apiextensions.JSONSchemaPropsOr{other}" for other in ("Array", "Bool", "StringArray")}
_ALWAYS = {"*", "^"}
_KEPT = {"*", "^", "&", "?"}
_PLAIN: dict[str, type] = {"s": str, "b": bool}
_ZEROS = {"s": "", "b": False, "i": 0, "l": 0, "f": 0, "IntOrString": 0, "Quantity": "0"}


class _Mismatch(ValueError):
    """A value of the wrong type."""


class _Place(NamedTuple):
    """Where in the object: the path with and without list indexes, the struct around it, and the unknown fields so far."""

    path: str
    go_path: str
    owner: str
    unknown: list[str]

    def field(self, name: str) -> _Place:
        if not self.path:
            return self._replace(path=name, go_path=name)
        return self._replace(path=f"{self.path}.{name}", go_path=f"{self.go_path}.{name}")


def conform(gvk: GVK, obj: dict[str, Any]) -> list[str]:
    """Bring a built-in object into the form the server holds it in, in place. Objects of other kinds are left alone.

    Returns:
        The paths of unknown fields, which were removed: `spec.template.spec.containers[0].foo`.

    Raises:
        StatusError: 400, in the server's words, for a value that its field cannot hold.
    """
    message = shapes.message_for(gvk)
    if message is None:
        return []
    unknown: list[str] = []
    top: dict[str, Any] = {key: obj.pop(key) for key in ("apiVersion", "kind") if key in obj}
    meta = obj.get("metadata")
    entries = meta.pop("managedFields", None) if isinstance(meta, dict) else None
    try:
        made = _struct(obj, message, _Place("", "", "", unknown))
    except (_Mismatch, RecursionError) as exc:
        text = "exceeded max depth" if isinstance(exc, RecursionError) else str(exc)
        head = f'{gvk.kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}'
        raise StatusError(400, "BadRequest", f"{head}: {text}") from None
    obj.clear()
    obj.update(top)
    obj.update(made)
    if entries is not None:
        obj["metadata"]["managedFields"] = entries
    return unknown


def zero(gvk: GVK) -> dict[str, Any]:
    """The empty object of a built-in kind, with the structs that are always written; an empty dict for any other kind."""
    message = shapes.message_for(gvk)
    return _struct({}, message, _Place("", "", "", [])) if message is not None else {}


def _json_type(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"


def _mismatch(value: Any, place: _Place, go_type: str) -> _Mismatch:
    kind = _json_type(value)
    if kind == "number" and isinstance(value, int | float) and go_type.startswith(("int", "uint")):
        kind = f"number {value}"
    return _Mismatch(f"json: cannot unmarshal {kind} into Go struct field {place.owner}.{place.go_path} of type {go_type}")


def _go_type(item: shapes.Field) -> str:
    base = _GO_TYPES.get(item.type)
    if base is None:
        base = f"v1.{item.type.rpartition('.')[2]}"
    if item.container == "list":
        return f"[]{base}"
    return f"map[string]{base}" if item.container == "map" else base


def _struct(value: dict[str, Any], message: shapes.Message, place: _Place) -> dict[str, Any]:
    """A struct: what is given of the fields it declares, and those that are always written."""
    place = place._replace(owner=message.name.rpartition(".")[2])
    made: dict[str, Any] = {}
    for name, given in value.items():
        item = message.json_fields.get(name)
        if item is None:
            place.unknown.append(place.field(name).path)
        elif given is None:
            continue
        elif item.container:
            result = _container(given, item, place.field(name))
            if result or item.presence in _ALWAYS:
                made[name] = result
        elif type(given) is _PLAIN.get(item.type):  # the common case, without a path for an error that there is not
            if given or item.presence in _KEPT:
                made[name] = given
        else:
            result = _value(given, item, place.field(name))
            if item.presence in _KEPT or item.type not in _GO_TYPES or _is_set(result):
                made[name] = result
    for item in message.always:
        if item.name not in made:
            made[item.name] = _empty(item, place)
    return made


def _is_set(value: Any) -> bool:
    return value not in ("", 0, False, None)


def _empty(item: shapes.Field, place: _Place) -> Any:
    """What is written for a field that was not given."""
    if item.container or item.presence == "&" or item.type in _UNIONS:
        return None
    return _empty_entry(item, place.field(item.name))


def _container(given: Any, item: shapes.Field, place: _Place) -> Any:
    if given is None:
        return None
    if item.container == "list":
        if not isinstance(given, list):
            raise _mismatch(given, place, _go_type(item))
        return [
            _value(entry, item, place._replace(path=f"{place.path}[{index}]")) if entry is not None else _empty_entry(item, place)
            for index, entry in enumerate(given)
        ]
    if not isinstance(given, dict):
        raise _mismatch(given, place, _go_type(item))
    return {
        key: _value(entry, item, place._replace(path=f"{place.path}.{key}")) if entry is not None else _empty_entry(item, place)
        for key, entry in given.items()
    }


def _empty_entry(item: shapes.Field, place: _Place) -> Any:
    """A null inside a list or map is the zero value of its type."""
    if item.type in shapes.SCALARS or item.type.startswith("[]") or item.type in _UNIONS:
        return _ZEROS.get(item.type)
    return _struct({}, shapes.message(item.type), place)


def _value(value: Any, item: shapes.Field, place: _Place) -> Any:
    """One value that is not null, without its container."""
    kind = item.type
    if kind == "s":
        if not isinstance(value, str):
            raise _mismatch(value, place, "string")
        return value
    if kind == "b":
        if not isinstance(value, bool):
            raise _mismatch(value, place, "bool")
        return value
    if kind in _INT_LIMITS:
        limit = _INT_LIMITS[kind]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise _mismatch(value, place, _GO_TYPES[kind])
        return value
    if kind == "f":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _mismatch(value, place, "float64")
        return value
    if kind in shapes.SCALARS:
        return _special(value, kind, place)
    if kind == "[]s":
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise _mismatch(value, place, "[]string")
        return value
    if kind in _UNIONS:
        return _union(value, place)
    if not isinstance(value, dict):
        raise _mismatch(value, place, f"v1.{kind.rpartition('.')[2]}")
    return _struct(value, shapes.message(kind), place)


def _union(value: Any, place: _Place) -> Any:
    """A schema, an array of schemas, a boolean or an array of names."""
    schema = shapes.message("apiextensions.JSONSchemaProps")
    if isinstance(value, dict):
        return _struct(value, schema, place)
    if isinstance(value, list):
        return [_struct(entry, schema, place) if isinstance(entry, dict) else entry for entry in value]
    return value


def _special(value: Any, kind: str, place: _Place) -> Any:
    if kind in {"Raw", "JSON", "Fields"}:
        return codec.clone(value)
    if kind == "IntOrString":
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
            raise _mismatch(value, place, "int32")
        return value
    if kind == "Quantity":
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _mismatch(value, place, "resource.Quantity")
        try:
            return canonical_quantity(str(value))
        except ValueError as exc:
            raise _Mismatch(str(exc)) from None
    if not isinstance(value, str):
        raise _mismatch(value, place, "[]uint8" if kind == "B" else "string")
    if kind == "B":
        return _base64(value)
    try:
        return canonical_time(value, micro=kind == "MicroTime")
    except ValueError as exc:
        raise _Mismatch(str(exc)) from None


def _base64(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)).decode()
    except (binascii.Error, ValueError):
        letters = ((place, letter) for place, letter in enumerate(text) if not (letter.isascii() and letter.isalnum()))
        bad = next((place for place, letter in letters if letter not in "+/"), len(text))
        raise _Mismatch(f"illegal base64 data at input byte {bad}") from None


def canonical_time(text: str, *, micro: bool = False) -> str:
    """An RFC 3339 time in UTC, to the second or (`micro`) the microsecond. Raises `ValueError` in the server's words."""
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"')
    day, hour, fraction, zone = match.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}.{micros}{'+00:00' if zone in 'Zz' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f'parsing time "{text}": day out of range') from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")
