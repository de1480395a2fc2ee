"""Assertions on objects and Events whose failures show what differs, path by path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from operator_kit.objects import Object, describe

__all__ = ["assert_condition", "assert_event", "assert_object", "differences"]

_MISSING = object()


def differences(actual: Any, expected: Any, path: str = "") -> Iterator[str]:
    """One line for each place where `actual` lacks or contradicts what is expected.

    A mapping is expected to hold at least the given keys; `None` means that the key must be absent or null. A list is expected to
    hold exactly the given items, each compared the same way. Anything else must be equal.
    """
    where = path or "(the object)"
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            yield f"{where}: expected a mapping, found {_show(actual)}"
            return
        for key, wanted in expected.items():
            found = actual.get(key, _MISSING)
            below = f"{path}.{key}" if path else str(key)
            if wanted is None:
                if found is not _MISSING and found is not None:
                    yield f"{below}: expected nothing, found {_show(found)}"
            elif found is _MISSING:
                near = ", ".join(map(str, actual)) or "nothing"
                yield f"{below}: missing; {where} has {near}"
            else:
                yield from differences(found, wanted, below)
    elif isinstance(expected, list):
        if not isinstance(actual, list):
            yield f"{where}: expected a list, found {_show(actual)}"
            return
        if len(actual) != len(expected):
            yield f"{where}: expected {len(expected)} items, found {len(actual)}: {_show(actual)}"
            return
        for index, (found, wanted) in enumerate(zip(actual, expected, strict=True)):
            yield from differences(found, wanted, f"{path}[{index}]")
    elif actual != expected or isinstance(actual, bool) is not isinstance(expected, bool):
        yield f"{where}: expected {_show(expected)}, found {_show(actual)}"


def assert_object(actual: Object | None, expected: Mapping[str, Any]) -> None:
    """Fail unless the object holds at least what is expected (see `differences`)."""
    __tracebackhide__ = True
    if actual is None:
        raise AssertionError(f"there is no such object; expected one with {_show(expected)}")
    found = list(differences(actual, expected))
    if found:
        raise AssertionError(f"{describe(actual)} is not as expected:\n" + "\n".join(f"  {line}" for line in found))


def assert_condition(
    obj: Object | None, kind: str, status: bool | str, *, reason: str | None = None, message: str | None = None
) -> None:
    """Fail unless the object's status has a condition of this type and status, and a reason and message if given.

    `status` is True, False or `"Unknown"`; `message` need only be contained.
    """
    __tracebackhide__ = True
    if obj is None:
        raise AssertionError(f"there is no such object; expected one with the condition {kind}")
    conditions = {item.get("type"): item for item in (obj.get("status") or {}).get("conditions") or []}
    found = conditions.get(kind)
    if found is None:
        raise AssertionError(f"{describe(obj)} has no condition {kind}; it has {', '.join(map(str, conditions)) or 'none'}")
    wanted = {"status": status if isinstance(status, str) else str(status)} | ({"reason": reason} if reason is not None else {})
    wrong = list(differences(found, wanted))
    if message is not None and message not in str(found.get("message", "")):
        wrong.append(f"message: expected it to contain {_show(message)}, found {_show(found.get('message'))}")
    if wrong:
        raise AssertionError(f"{describe(obj)}, condition {kind}:\n" + "\n".join(f"  {line}" for line in wrong))


def assert_event(
    events: Iterable[Object], *, reason: str, type_: str | None = None, message: str | None = None, about: str | None = None
) -> None:
    """Fail unless one of the Events has this reason, and the type, the text and the regarded object's name if given.

    Both forms of Events are understood, `v1` and `events.k8s.io/v1`; `message` need only be contained.
    """
    __tracebackhide__ = True
    lines = []
    for event in events:
        text = str(event.get("note") or event.get("message") or "")
        regarding = event.get("regarding") or event.get("involvedObject") or {}
        lines.append(f"  {event.get('type')} {event.get('reason')} about {regarding.get('kind')} {regarding.get('name')}: {text}")
        fits = event.get("reason") == reason and (type_ is None or event.get("type") == type_)
        if fits and (message is None or message in text) and (about is None or regarding.get("name") == about):
            return
    wanted = " ".join(
        filter(None, [type_, reason, f"about {about}" if about else None, f"with {message!r}" if message else None])
    )
    raise AssertionError(f"no Event {wanted}; there are\n" + ("\n".join(lines) or "  none"))


def _show(value: Any) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= 200 else f"{text[:197]}…"
