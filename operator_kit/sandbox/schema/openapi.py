"""Validation of values against OpenAPI schemas, compiled, with the meaning of the API server's own OpenAPI library.

A schema becomes a *table*: for each Python type that JSON can give, a function that finds problems, or None where there can be
none. Whether a type is right is thus decided once, when compiling; a plain string field costs one lookup.

Checks return None, or a list of problems. They never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from operator_kit.sandbox.schema import formats
from operator_kit.sandbox.schema.node import MAX_DEPTH, sub_schema
from operator_kit.sandbox.schema.numbers import number_check
from operator_kit.sandbox.schema.problems import MapKey, Problem, body, quoted, same
from operator_kit.sandbox.schema.regex import BadPattern, matcher

__all__ = ["Check", "Table", "check_of", "compile_table"]

Check: TypeAlias = Callable[[Any], "list[Problem] | None"]
Table: TypeAlias = dict[type, "Check | None"]

_NONE = type(None)
# What the server's library calls each type, and the format it sees in it.
_NAMES = {
    str: ("string", ""),
    bool: ("boolean", ""),
    int: ("integer", "int64"),
    float: ("number", "float64"),
    list: ("array", ""),
    dict: ("object", ""),
}


def check_of(table: Table) -> Check:
    """One function out of a table."""

    def check(value: Any) -> list[Problem] | None:
        found = table.get(type(value))
        return None if found is None else found(value)

    return check


def _all(checks: Iterable[Check | None]) -> Check | None:
    """Checks one after the other, as one."""
    parts = [check for check in checks if check is not None]
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    first, second, rest = parts[0], parts[1], parts[2:]

    def check(value: Any) -> list[Problem] | None:
        found = first(value)
        more = second(value)
        found = more if found is None else found + more if more is not None else found
        for part in rest:
            more = part(value)
            if more is not None:
                found = more if found is None else found + more
        return found

    return check


def _natural(schema: Mapping[str, Any], keyword: str) -> int | None:
    value = schema.get(keyword)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if abs(value) < 2**63 else None


def compile_table(schema: Mapping[str, Any], depth: int = 0) -> Table:
    """Compile a schema (already read once by `node.parse`, so not too deep)."""
    if depth > MAX_DEPTH:  # only reached through anyOf and the like, which `parse` does not follow
        return {}
    kind = schema.get("type")
    types = [kind] if isinstance(kind, str) and kind else []
    if schema.get("x-kubernetes-int-or-string") is True:
        types = ["integer", "string"]
    name = schema.get("format")
    fmt = name if isinstance(name, str) and formats.known(types[0] if len(types) == 1 else "" if not types else "?", name) else ""
    alternatives = _combined(schema, depth)
    enum = schema.get("enum")
    values = enum if isinstance(enum, list) and enum else None
    numbers = number_check(schema, types, fmt)
    by_type: dict[type, list[Check | None]] = {
        str: [_string(schema), _format(fmt)],
        bool: [],
        int: [numbers],
        float: [numbers],
        list: [_list(schema, depth)],
        dict: [_map(schema, depth)],
    }
    table: Table = {}
    for of, own in by_type.items():
        common = _enum(values, of)
        parts = [_type(of, types, fmt), alternatives, *own[:2]]
        table[of] = _all([*parts, common] if of is not dict else [parts[0], alternatives, common, *own])
    nullable = schema.get("nullable") is True or not types
    table[_NONE] = _all([None if nullable else _mismatch(",".join(types), "null"), _enum(values, _NONE)])
    return table


# --------------------------------------------------------------------------- types


def _mismatch(expected: str, actual: str) -> Check:
    text = body(f'must be of type {expected}: "{actual}"')
    return lambda _: [Problem("type", actual, text)]


def _type(of: type, types: list[str], fmt: str) -> Check | None:
    """The check of the type itself, for values of one Python type: mostly known beforehand."""
    if not types and not fmt:
        return None
    if of is float and "integer" in types and "number" not in types:
        wrong = _static_type("number", "float64", types, fmt)
        return None if wrong is None else lambda value: None if value.is_integer() else wrong(value)
    return _static_type(*_NAMES[of], types, fmt)


def _static_type(actual: str, actual_format: str, types: list[str], fmt: str) -> Check | None:
    textual = actual in {"string", "array"}
    fits = actual in types or (actual == "integer" and "number" in types)
    if fmt and not textual and not fits and actual_format != fmt:
        return _mismatch(fmt, actual_format)
    if fmt and textual and "number" not in types and "integer" not in types:
        return None
    return None if fits else _mismatch(",".join(types), actual)


# --------------------------------------------------------------------------- strings and enums


def _string(schema: Mapping[str, Any]) -> Check | None:
    longest, shortest = _natural(schema, "maxLength"), _natural(schema, "minLength")
    pattern = schema.get("pattern")
    parts: list[Check] = []
    if longest is not None:
        parts.append(_longest(longest))
    if shortest:
        too_short = body(f"should be at least {shortest} chars long")
        parts.append(lambda value: [Problem("invalid", value, too_short)] if len(value) < shortest else None)
    if isinstance(pattern, str) and pattern:
        parts.append(_pattern(pattern))
    if len(parts) < 2:
        return parts[0] if parts else None

    def check(value: str) -> list[Problem] | None:
        for part in parts:  # the server stops at the first
            found = part(value)
            if found is not None:
                return found
        return None

    return check


def _longest(limit: int) -> Check:
    text = body(f"should be at most {limit} chars long")
    return lambda value: [Problem("too_long", limit, text)] if len(value) > limit else None


def _pattern(pattern: str) -> Check:
    try:
        matches = matcher(pattern)
    except BadPattern as exc:
        broken = body(f"should match '{pattern}, but pattern is invalid: {exc}'")
        return lambda value: [Problem("invalid", value, broken)]
    text = body(f"should match '{pattern}'")
    return lambda value: None if matches(value) else [Problem("invalid", value, text)]


def _format(fmt: str) -> Check | None:
    valid = formats.checker(fmt) if fmt else None
    if valid is None:
        return None

    def check(value: str) -> list[Problem] | None:
        return None if valid(value) else _mismatch(fmt, value)(value)

    return check


def _enum(values: list[Any] | None, of: type) -> Check | None:
    if values is None:
        return None
    text = body("should be one of the allowed values")
    if of is str:
        allowed = frozenset(value for value in values if isinstance(value, str))
        return lambda value: None if value in allowed else [Problem("enum", (value, values), text)]
    if of is _NONE:  # null equals no enum value, not even null
        return lambda value: [Problem("enum", (value, values), text)]
    candidates = [value for value in values if value is not None]
    return lambda value: None if any(same(value, item) for item in candidates) else [Problem("enum", (value, values), text)]


# --------------------------------------------------------------------------- lists and maps


def _list(schema: Mapping[str, Any], depth: int) -> Check | None:
    items = sub_schema(schema, "items")
    table = compile_table(items, depth + 1) if items is not None else {}
    lookup = table.get if any(table.values()) else None
    longest, shortest = _natural(schema, "maxItems"), _natural(schema, "minItems")
    if lookup is None and longest is None and not shortest:
        return None

    def check(value: list[Any]) -> list[Problem] | None:
        found: list[Problem] | None = None
        if lookup is not None:
            for at, item in enumerate(value):
                child = lookup(type(item))
                if child is not None:
                    below = child(item)
                    if below is not None:
                        moved = [problem.moved(at) for problem in below]
                        found = moved if found is None else found + moved
        size = len(value)
        if shortest is not None and size < shortest:
            found = (found or []) + [Problem("invalid", size, body(f"should have at least {shortest} items"))]
        if longest is not None and size > longest:
            found = (found or []) + [Problem("too_many", (size, longest), body(f"should have at most {longest} items"))]
        return found

    return check


def _map(schema: Mapping[str, Any], depth: int) -> Check | None:
    properties = sub_schema(schema, "properties") or {}
    tables: dict[str, Table] = {}
    for name, sub in properties.items():
        table = compile_table(sub, depth + 1) if isinstance(sub, Mapping) else {}
        if any(table.values()):
            tables[name] = table
    additional = schema.get("additionalProperties")
    others = compile_table(additional, depth + 1) if isinstance(additional, Mapping) else {}
    lookup_other = others.get if any(others.values()) else None
    closed = additional is False
    names = frozenset(properties)
    wanted = schema.get("required")
    required = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    size = _size(schema)
    if not tables and lookup_other is None and not closed and not required and size is None:
        return None

    def check(value: dict[str, Any]) -> list[Problem] | None:
        found = None if size is None else size(value)
        for name, item in value.items():
            table = tables.get(name)
            if table is not None:
                child = table.get(type(item))
                if child is not None:
                    below = child(item)
                    if below is not None:
                        found = (found or []) + [problem.moved(name) for problem in below]
            elif lookup_other is not None and name not in names:
                child = lookup_other(type(item))
                if child is not None:
                    below = child(item)
                    if below is not None:
                        found = (found or []) + [problem.moved(MapKey(name)) for problem in below]
            elif closed and name not in names:
                found = (found or []) + [_forbidden(name)]
        for name in required:
            if name not in value:
                found = (found or []) + [Problem("required", "", body("is required"), name)]
        return found

    return check


def _forbidden(name: str) -> Problem:
    return Problem("invalid", name, lambda path: f"{path}.{name} in body is a forbidden property")


def _size(schema: Mapping[str, Any]) -> Check | None:
    most, least = _natural(schema, "maxProperties"), _natural(schema, "minProperties")
    if most is None and not least:
        return None

    def check(value: dict[str, Any]) -> list[Problem] | None:
        size = len(value)
        if least is not None and size < least:
            return [Problem("invalid", size, body(f"should have at least {least} properties"))]
        if most is not None and size > most:
            return [Problem("too_many", (size, most), body(f"should have at most {most} properties"))]
        return None

    return check


# --------------------------------------------------------------------------- anyOf, oneOf, allOf, not


def _schemas(schema: Mapping[str, Any], keyword: str) -> list[Mapping[str, Any]]:
    value = schema.get(keyword)
    return [sub for sub in value if isinstance(sub, Mapping)] if isinstance(value, list) else []


def _combined(schema: Mapping[str, Any], depth: int) -> Check | None:
    negated = sub_schema(schema, "not")
    return _all(
        [
            _any_of([(sub, check_of(compile_table(sub, depth + 1))) for sub in _schemas(schema, "anyOf")]),
            _one_of([(sub, check_of(compile_table(sub, depth + 1))) for sub in _schemas(schema, "oneOf")]),
            _all_of([check_of(compile_table(sub, depth + 1)) for sub in _schemas(schema, "allOf")]),
            _not(check_of(compile_table(negated, depth + 1))) if negated is not None else None,
        ]
    )


def _whole(text: str) -> Problem:
    return Problem("whole", "", quoted(text))


def _best(failures: list[tuple[Mapping[str, Any], list[Problem]]], value: Any) -> list[Problem]:
    """The complaints of the alternative that went furthest, the first among equals."""
    best, reached = failures[0][1], _reach(failures[0][0], value)
    for schema, problems in failures[1:]:
        count = _reach(schema, value)
        if count > reached:
            best, reached = problems, count
    return best


def _any_of(parts: list[tuple[Mapping[str, Any], Check]]) -> Check | None:
    if not parts:
        return None

    def check(value: Any) -> list[Problem] | None:
        failures = []
        for schema, part in parts:
            problems = part(value)
            if problems is None:
                return None
            failures.append((schema, problems))
        return [_whole("must validate at least one schema (anyOf)"), *_best(failures, value)]

    return check


def _one_of(parts: list[tuple[Mapping[str, Any], Check]]) -> Check | None:
    if not parts:
        return None

    def check(value: Any) -> list[Problem] | None:
        failures = []
        valid = 0
        for schema, part in parts:
            problems = part(value)
            if problems is None:
                valid += 1
            elif not valid:
                failures.append((schema, problems))
        if valid == 1:
            return None
        why = f"Found {valid} valid alternatives" if valid else "Found none valid"
        best = [] if valid else _best(failures, value)
        return [_whole(f"must validate one and only one schema (oneOf). {why}"), *best]

    return check


def _all_of(parts: list[Check]) -> Check | None:
    if not parts:
        return None

    def check(value: Any) -> list[Problem] | None:
        results = [problems for part in parts if (problems := part(value)) is not None]
        if not results:
            return None
        none_valid = ". None validated" if len(results) == len(parts) else ""
        found = [problem for problems in results for problem in problems]
        return [*found, _whole(f"must validate all the schemas (allOf){none_valid}")]

    return check


def _not(part: Check) -> Check:
    return lambda value: [_whole("must not validate the schema (not)")] if part(value) is None else None


def _reach(schema: Mapping[str, Any], value: Any) -> int:
    """How far the server's library counts a value to get in a schema: its way to pick the complaints worth telling."""
    if value is None:
        return 1
    kind = schema.get("type")
    count = 4  # properties of the schema, the common part, the end
    if kind:
        name = _NAMES[type(value)][0] if type(value) in _NAMES else ""
        count += 2 if name == kind or (name == "integer" and kind == "number") else 1
    if isinstance(value, str):
        return count + 1
    if isinstance(value, int | float) and not isinstance(value, bool):
        return count + 2
    if isinstance(value, list):
        items = sub_schema(schema, "items")
        return count + 2 + sum(_reach(items, item) for item in value if items is not None)
    if isinstance(value, dict):
        properties = sub_schema(schema, "properties") or {}
        known = [(sub, value[name]) for name, sub in properties.items() if name in value and isinstance(sub, Mapping)]
        count += 1 + sum(_reach(sub, item) for sub, item in known)
    return count
