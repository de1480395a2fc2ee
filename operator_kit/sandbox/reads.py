"""Gets and lists: selectors, pages with continue tokens, exact and not-older-than versions - and where a watch begins.

A page after the first shows the state of the first one's version, reconstructed from the ring of changes, until that is
compacted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.sandbox.conversion import shown
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import ListOptions, parse_version
from operator_kit.sandbox.status import (
    StatusError,
    bad_request,
    expired,
    generic_error,
    not_found,
    too_large_version,
)
from operator_kit.sandbox.storage import Compacted, Entry, Event
from operator_kit.sandbox.watch import Filter, field_value
from operator_kit.sandbox.world import World
from operator_kit.selectors import FieldSelector, LabelSelector, Term

__all__ = ["Listed", "Reader", "WatchStart"]

_EXPIRED_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing "
    "with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time "
    "the first chunk was returned and now may show up in the list."
)
_EXPIRED_VERSION = "The resourceVersion for the provided list is too old."


class Listed(NamedTuple):
    """One page: its objects, and the list's metadata."""

    entries: list[Entry]
    meta: dict[str, Any]


class WatchStart(NamedTuple):
    """Where a watch begins: what to send first, and the version after which changes are sent."""

    after: int
    history: list[Event]
    initial: list[Entry]


class Reader:
    """The reads of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, served: Served, namespace: str, name: str) -> Entry:
        """One object. Raises 404."""
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            raise not_found(served.group, served.plural, name)
        return entry

    def filter(self, served: Served, namespace: str, options: ListOptions, name: str = "") -> Filter:
        """The filter of a request. Raises 400 for selectors that cannot be read or name fields that cannot be selected by."""
        try:
            labels = LabelSelector.parse(options.label_selector)
            fields = FieldSelector.parse(options.field_selector)
        except ValueError as exc:
            raise bad_request(str(exc)) from None
        allowed = _fields(served)
        for term in fields.terms:
            if term.field not in allowed:
                text = f'"{term.field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
                raise bad_request(text if not served.custom and not served.rules.fields else _unsupported(served, term.field))
        if name:
            fields = FieldSelector([Term("metadata.name", name)])
        return Filter(namespace, labels, fields, _getter(served))

    # ------------------------------------------------------------------ lists

    def list(self, served: Served, namespace: str, options: ListOptions) -> Listed:
        """One page, or all. Raises 400, 410 and 504 as the server does."""
        chosen = self.filter(served, namespace, options)
        if options.continue_:
            return self._continued(served, options, chosen)
        current = self._world.storage.version
        version = self._version(options.resource_version)
        limit = options.limit
        if version and version > current:
            raise too_large_version(version, current)
        exact = options.match == "Exact" or (version and not options.match and limit > 0)
        if version and exact and version != current:
            return self._page(served, chosen, version, limit=limit, consistent=True)
        # "Any version" is answered from the watch cache, which knows no pages.
        return self._page(served, chosen, current, limit=0 if options.resource_version == "0" else limit)

    @staticmethod
    def _version(text: str) -> int:
        version = parse_version(text) if text else 0
        if version is None:
            raise _bad_version(text)
        return version

    def _continued(self, served: Served, options: ListOptions, chosen: Filter) -> Listed:
        if options.resource_version not in {"", "0"}:
            raise bad_request("specifying resource version is not allowed when using continue")
        version, after = _read_token(options.continue_)
        if version < 0:
            return self._page(served, chosen, self._world.storage.version, after=after, limit=options.limit)
        if version > self._world.storage.version:
            raise too_large_version(version, self._world.storage.version)
        return self._page(served, chosen, version, after=after, limit=options.limit, consistent=True)

    def _page(
        self,
        served: Served,
        chosen: Filter,
        version: int,
        *,
        after: str = "",
        limit: int = 0,
        consistent: bool = False,
    ) -> Listed:
        store, namespace = served.objects(), chosen.namespace
        if consistent and version != self._world.storage.version:
            try:
                found = store.at(version, namespace, after)
            except Compacted:
                if after:
                    raise expired(_EXPIRED_PAGE, _token(-1, after)) from None
                raise expired(_EXPIRED_VERSION) from None
            left = 0
        elif chosen.selective or not limit:
            found, left = list(self._candidates(served, namespace, after, chosen)), 0
        else:
            found, left = store.slice(namespace, after, limit)
        if chosen.selective:
            found = [entry for entry in found if chosen.matches(entry)]
        if limit and len(found) > limit:
            left += len(found) - limit
            found = found[:limit]
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        if left:
            meta["continue"] = _token(version, found[-1].key)
            if not chosen.selective:
                meta["remainingItemCount"] = left
        return Listed(found, meta)

    @staticmethod
    def _candidates(served: Served, namespace: str, after: str, chosen: Filter) -> Any:
        """All objects that may match: one, where a selector names it."""
        name = chosen.fields.exact("metadata.name") if chosen.fields is not None else None
        if name is None or (served.namespaced and not namespace):
            return served.objects().scan(namespace, after)
        key = served.key(namespace, name)
        entry = served.objects().get(key)
        return [entry] if entry is not None and key > after else []

    # ------------------------------------------------------------------ watches

    def watch_start(self, served: Served, options: ListOptions, chosen: Filter) -> WatchStart:
        """Where a watch begins. Raises 410 for a version the ring does not reach back to, 500 for one that is no number."""
        current = self._world.storage.version
        store = served.objects()
        version = self._version(options.resource_version)
        if options.send_initial or (version == 0 and options.send_initial is None):
            if version > current:
                raise too_large_version(version, current)
            initial = [entry for entry in self._candidates(served, chosen.namespace, "", chosen) if chosen.matches(entry)]
            return WatchStart(current, [], initial)
        if version == 0:
            return WatchStart(current, [], [])
        try:
            return WatchStart(version, store.since(version), [])
        except Compacted:
            raise expired(f"too old resource version: {version} ({store.floor})") from None


def _bad_version(text: str) -> StatusError:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    why = "value out of range" if text.isascii() and text.isdigit() else "invalid syntax"
    return generic_error(f'resourceVersion: Invalid value: "{escaped}": strconv.ParseUint: parsing "{escaped}": {why}')


def _fields(served: Served) -> set[str]:
    allowed = {"metadata.name"} | ({"metadata.namespace"} if served.namespaced else set())
    if served.crd is not None:
        allowed |= {path.lstrip(".") for path in served.crd.selectable_fields}
    return allowed | set(served.rules.fields)


def _unsupported(served: Served, field: str) -> str:
    if served.custom:
        return f"field label not supported: {field}"
    return f"field label not supported: {field}"


def _getter(served: Served) -> Callable[[Entry, str], str]:
    def of_meta(entry: Entry, path: str) -> str:
        if path == "metadata.name":
            return entry.name
        if path == "metadata.namespace":
            return entry.namespace
        if path == "source":
            return field_value(entry.obj, "source.component") or field_value(entry.obj, "reportingComponent")
        return field_value(shown(served, entry), path)

    return of_meta


def _token(version: int, key: str) -> str:
    document = {"v": "meta.k8s.io/v1", "rv": version, "start": f"{key}\0"}
    return base64.urlsafe_b64encode(codec.dumps(document)).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[int, str]:
    """Version and last key of a continue token. Raises 400 in the server's words."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad_token("illegal base64 data at input byte 0") from None
    try:
        document = codec.loads(raw)
    except ValueError:
        first = raw[:1].decode("latin-1")
        shown = first if first.isprintable() else f"\\u{ord(first):04x}" if first else ""
        text = f"invalid character '{shown}' looking for beginning of value" if raw else "unexpected end of JSON input"
        raise _bad_token(text) from None
    if not isinstance(document, dict):
        raise _bad_token("json: cannot unmarshal into Go value of type storage.continueToken")
    version, start = document.get("rv"), document.get("start")
    if document.get("v") != "meta.k8s.io/v1":
        raise _bad_token(f'server does not recognize this encoded version "{document.get("v", "")}"')
    if not isinstance(version, int) or not isinstance(start, str):
        raise _bad_token("json: cannot unmarshal into Go struct field continueToken of type int64")
    if version == 0:
        raise _bad_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not start:
        raise _bad_token("encoded start key empty (version meta.k8s.io/v1)")
    key = start.removesuffix("\0")
    if ".." in key.split("/") or key.startswith("/"):
        raise _bad_token(start)
    return version, key


def _bad_token(why: str) -> StatusError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
