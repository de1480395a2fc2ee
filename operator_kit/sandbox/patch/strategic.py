"""Strategic merge patch: a merge patch that knows which lists merge, by which key, and what the `$` directives mean.

Directives: `$patch: delete|replace`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`. The
algorithm is the API server's, the order of list items included. Built-in kinds only: the server refuses it for others.
"""

from __future__ import annotations

from typing import Any

from operator_kit import codec
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import FieldShape, MapShape, Structure

__all__ = ["strategic_merge"]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"

_BAD_PRIMITIVE_LIST = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER_LIST = "invalid patch format of setElementOrder list"


def strategic_merge(original: dict[str, Any], patch: dict[str, Any], structure: Structure) -> dict[str, Any]:
    """Merge `patch` into `original`; both may be changed. Raises `StatusError` with the server's code and words."""
    return _merge_map(original, patch, structure)


def _bad(text: str) -> StatusError:
    return StatusError(400, "BadRequest", text)


def _failed(text: str) -> StatusError:
    """An error the server has no status for: it answers 500 with the text alone."""
    return StatusError(500, "", text)


def _type_name(value: Any) -> str:
    if value is None:
        return "%!s(<nil>)"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "int64" if isinstance(value, int) else "float64"


def _wrong_type(wanted: str, value: Any) -> StatusError:
    return _failed(f"expected a {wanted}, but received a {_type_name(value)}")


def _no_merge_key(item: dict[str, Any], key: str) -> StatusError:
    shown = " ".join(f"{name}:{_go_text(item[name])}" for name in sorted(item))
    return _failed(f"map: map[{shown}] does not contain declared merge key: {key}")


def _go_text(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_text, value)) + "]"
    return str(value)


def _field(structure: Structure | None, key: str) -> FieldShape | None:
    """What is known of a field; None where the structure ends (free-form maps)."""
    shape: MapShape | None = structure.map if structure is not None else None
    if structure is None or shape is None:
        return None
    found = shape.fields.get(key)
    if found is not None:
        return found
    if shape.element is not None:
        return FieldShape(shape.element)
    name = structure.name.rpartition(".")[2]
    raise _failed(f'unable to find api field in struct {name} for the json field "{key}"')


def _element(item: FieldShape | None) -> Structure | None:
    return item.structure.list.element if item is not None and item.structure.list is not None else None


def _strategy(item: FieldShape | None) -> str:
    rest = (item.strategies if item is not None else frozenset()) - {"retainKeys"}
    return next(iter(rest), "")


# ------------------------------------------------------------------------------------------------------------------------- maps


def _merge_map(original: dict[str, Any], patch: dict[str, Any], structure: Structure | None) -> dict[str, Any]:
    if _PATCH in patch:
        directive = patch.pop(_PATCH)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise _failed(f"unknown patch type: {_go_text(directive)} in map: {_go_text({_PATCH: directive, **patch})}")
    _retain_keys(original, patch)
    _ordered_lists(original, patch, structure)
    for written, value in patch.items():
        deleting = written.startswith(_DELETE_FROM)
        key = _directive_key(written, _DELETE_FROM, _BAD_PRIMITIVE_LIST) if deleting else written
        if value is None:
            original.pop(key, None)
        elif key not in original or _type_name(original[key]) != _type_name(value):
            if not deleting:
                _put(original, key, value)
        elif isinstance(value, dict):
            item = _field(structure, key)
            below = item.structure if item is not None else None
            original[key] = value if _strategy(item) == "replace" else _merge_map(original[key], value, below)
        elif isinstance(value, list):
            item = _field(structure, key)
            if deleting or _strategy(item) == "merge":
                original[key] = _merge_list(original[key], value, item, deleting=deleting)
            else:
                original[key] = value
        else:
            original[key] = value
    return original


def _put(original: dict[str, Any], key: str, value: Any) -> None:
    """A new value: without nulls, and without whatever carries a directive."""
    kept, keep = _without_directives(_discard_nulls(value))
    if keep:
        original[key] = kept
    else:
        original.pop(key, None)


def _discard_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _discard_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_discard_nulls(item) for item in value]
    return value


def _without_directives(value: Any) -> tuple[Any, bool]:
    if isinstance(value, dict):
        if _PATCH in value:
            return None, False
        pairs = {key: _without_directives(item) for key, item in value.items()}
        return {key: item for key, (item, keep) in pairs.items() if keep}, True
    if isinstance(value, list):
        return [item for item, keep in map(_without_directives, value) if keep], True
    return value, True


def _retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    """`$retainKeys`: whatever it does not list goes, and the patch may set nothing else."""
    if _RETAIN not in patch:
        return
    retained = patch.pop(_RETAIN)
    if not isinstance(retained, list):
        raise _bad(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE_FROM, _ORDER)) and key not in retained:
            raise _bad(_BAD_RETAIN_KEYS)
    for key in [key for key in original if key not in retained]:
        del original[key]


def _directive_key(written: str, prefix: str, problem: str) -> str:
    head, slash, key = written.partition("/")
    if not slash or head != prefix:
        raise _bad(problem)
    return key


# ------------------------------------------------------------------------------------------------------------------------- lists


def _ordered_lists(original: dict[str, Any], patch: dict[str, Any], structure: Structure | None) -> None:
    """`$setElementOrder`: merges each list that has one, and takes both out of the patch."""
    for written in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(written)
        if not isinstance(order, list):
            raise _wrong_type("[]interface {}", order)
        key = _directive_key(written, _ORDER, _BAD_ORDER_LIST)
        live: list[Any] = _list_at(original, key)
        change: list[Any] = _list_at(patch, key)
        item = _field(structure, key)
        merge_key = item.merge_key if item is not None else ""
        _check_order(change, order, merge_key)
        if key in original and key not in patch:
            merged = live
        elif key not in original and key in patch:
            merged = _without_directives(change)[0]
        elif key in original:
            merged = change
            if _strategy(item) == "merge":
                merged = _merge_list(codec.clone(live), codec.clone(change), item, deleting=False)
        else:
            continue
        original[key] = _in_order(merged, order, live, merge_key)
        patch.pop(key, None)


def _list_at(container: dict[str, Any], key: str) -> list[Any]:
    value = container.get(key, [])
    if not isinstance(value, list):
        raise _wrong_type("[]interface {}", value)
    return value


def _check_order(patch: list[Any], order: list[Any], merge_key: str) -> None:
    """Each item of the patch must stand in the order list, and in that order."""
    if not patch or not order:
        return
    for item in patch:
        if merge_key and not isinstance(item, dict):
            raise _wrong_type("map[string]interface {}", item)
    kept = [item for item in patch if not (isinstance(item, dict) and _PATCH in item)]
    position = 0
    for wanted in order:
        if position < len(kept) and _key_of(kept[position], merge_key) == _key_of(wanted, merge_key):
            position += 1
    if position < len(kept):
        raise _failed(f"The order in patch list:\n{_go_text(patch)}\n doesn't match {_ORDER} list:\n{_go_text(order)}\n")


def _key_of(item: Any, merge_key: str) -> tuple[str, str]:
    """What tells an item from the others: its merge key's value, or itself; with its type, for 1 is not true."""
    value = item
    if merge_key:
        if not isinstance(item, dict):
            raise _wrong_type("map[string]interface {}", item)
        if merge_key not in item:
            raise _no_merge_key(item, merge_key)
        value = item[merge_key]
    return _type_name(value), _go_text(value)


def _merge_list(original: list[Any], patch: list[Any], item: FieldShape | None, *, deleting: bool) -> list[Any]:
    if not original and not patch:
        return original
    both = original + patch
    kinds = {_type_name(value) for value in both}
    if "[]interface {}" in kinds:
        raise StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})
    if "map[string]interface {}" not in kinds:
        if deleting:
            gone = {_key_of(value, "") for value in patch}
            return [value for value in original if _key_of(value, "") not in gone]
        merged = _first_ones(both)
        return _in_order(merged, patch, original, "")
    if len(kinds) > 1:
        raise _failed("list element types are not identical: " + ", ".join(sorted(kinds)))
    merge_key = item.merge_key if item is not None else ""
    if not merge_key:
        raise _failed("cannot merge lists without merge key for the list")
    original, patch = _special_items(original, patch, merge_key)
    element = _element(item)
    merged = list(original)
    for change in patch:
        wanted = _key_of(change, merge_key)
        for position, live in enumerate(merged):
            if merge_key in live and _key_of(live, merge_key) == wanted:
                merged[position] = _merge_map(live, change, element)
                break
        else:
            merged.append(change)
    return _in_order(merged, patch, original, merge_key)


def _first_ones(values: list[Any]) -> list[Any]:
    """Each value once, where it stands first."""
    found: dict[tuple[str, str], Any] = {}
    for value in values:
        found.setdefault(_key_of(value, ""), value)
    return list(found.values())


def _special_items(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Items with `$patch`: `delete` takes the item of that key out, `replace` drops the live list."""
    plain, replace = [], False
    for item in patch:
        if _PATCH not in item:
            plain.append(item)
            continue
        directive = item[_PATCH]
        if directive == "delete":
            gone = _key_of(item, merge_key)
            original = [live for live in original if merge_key not in live or _key_of(live, merge_key) != gone]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _failed("merging lists cannot yet be specified in the patch")
        else:
            raise _failed(f"unknown patch type: {_go_text(directive)} in map: {_go_text(item)}")
    return (plain, []) if replace else (original, plain)


def _in_order(merged: list[Any], order: list[Any], live: list[Any], merge_key: str) -> list[Any]:
    """Items named in `order` in that order; the others where the live list had them, as far as that can be."""
    ranks = _positions(order, merge_key)
    old = _positions(live, merge_key)
    named = sorted(
        (item for item in merged if _key_of(item, merge_key) in ranks), key=lambda item: ranks[_key_of(item, merge_key)]
    )
    others = [item for item in merged if _key_of(item, merge_key) not in ranks]
    others.sort(key=lambda item: old.get(_key_of(item, merge_key), len(old)))
    result: list[Any] = []
    left, right = 0, 0
    while left < len(others) and right < len(named):
        a, b = old.get(_key_of(others[left], merge_key)), old.get(_key_of(named[right], merge_key))
        if a is not None and b is not None and a < b:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]


def _positions(items: list[Any], merge_key: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for position, item in enumerate(items):
        found.setdefault(_key_of(item, merge_key), position)
    return found
