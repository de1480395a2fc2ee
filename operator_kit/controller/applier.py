"""Applying children: server-side apply, sent only when it would change something.

What nothing would change is decided from the cache (`children.py`). A server may store a value in another form than it was
given (a quantity, a normalised list); such a child would look changed for ever. So where an apply is answered with what the
cache held already, that version is remembered and the child is left alone while it stays, and the path that differs is logged
once.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from operator_kit.controller.children import annotation_of, applied_hash, difference, prepare, with_hash
from operator_kit.errors import NotFound, UsageError
from operator_kit.objects import (
    Object,
    Resource,
    api_version_of,
    describe,
    key_of,
    kind_of,
    name_of,
    namespace_of,
    resource_version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from operator_kit.api import Client
    from operator_kit.controller.listers import Caches

__all__ = ["Applier"]

_REMEMBERED = 4096
_log = logging.getLogger("operator_kit.controller")


class Applier:
    """Applies children for one controller, from any of its workers."""

    def __init__(self, client: Client, caches: Caches, *, field_manager: str, annotation: str) -> None:
        self._client = client
        self._caches = caches
        self._field_manager = field_manager
        self._annotation = annotation
        self._lock = threading.Lock()
        self._settled: OrderedDict[tuple[Resource, str], tuple[str, str]] = OrderedDict()  # to (hash, resourceVersion)
        self._told: set[tuple[Resource, str]] = set()

    def apply(
        self, desired: Mapping[str, Any], owner: Object, *, owned: bool, force: bool, live: bool, timeout: Callable[[], float]
    ) -> tuple[Object, Resource, bool]:
        """Make a child as desired.

        Args:
            desired: the fields that are wanted; the rest is left as it is.
            owner: the object that is reconciled.
            owned: whether the owner reference is set.
            force: take fields over from other field managers.
            live: compare with the server's copy, not the cache's.
            timeout: gives the seconds the next call may take, and raises when there are none left.

        Returns:
            The child as it is now, its kind, and whether anything was written.
        """
        if not api_version_of(desired) or not kind_of(desired):
            raise UsageError(f"apply: {describe(desired)} needs apiVersion and kind")
        kind = self._caches.resolve(f"{api_version_of(desired)}/{kind_of(desired)}")
        prepared = prepare(desired, kind, owner, self._caches.own.resource, owned=owned)
        digest = applied_hash(prepared)
        before = self._before(kind, key_of(prepared), timeout, live=live)
        if before is not None and self._holds(kind, prepared, digest, before):
            return before, kind, False
        body = with_hash(prepared, self._annotation, digest)
        answer = self._client.patch(
            kind,
            name_of(body),
            namespace_of(body) or None,
            body,
            type="apply",
            field_manager=self._field_manager,
            force=force,
            timeout=timeout(),
        )
        self._learn(kind, prepared, digest, before, answer)
        return answer, kind, True

    def _before(self, kind: Resource, key: str, timeout: Callable[[], float], *, live: bool) -> Object | None:
        """The child as the cache holds it; where it holds too little, as the server does: a read is cheaper than a write."""
        lister = None if live else self._caches.find(kind)
        namespace, _, name = key.rpartition("/")
        if lister is not None and lister.covers(namespace):
            held = lister.get(key)
            if held is None or not lister.metadata_only:
                return held
        try:
            return self._client.get(kind, name, namespace or None, timeout=timeout())
        except NotFound:
            return None

    def _holds(self, kind: Resource, prepared: Object, digest: str, live: Object) -> bool:
        if annotation_of(live, self._annotation) != digest:
            return False
        with self._lock:
            if self._settled.get((kind, key_of(prepared))) == (digest, resource_version_of(live)):
                return True
        return not difference(prepared, live)

    def _learn(self, kind: Resource, prepared: Object, digest: str, live: Object | None, answer: Object) -> None:
        path = difference(prepared, answer)
        if not path:
            return
        key = key_of(prepared)
        with self._lock:
            self._settled[kind, key] = (digest, resource_version_of(answer))
            self._settled.move_to_end((kind, key))
            while len(self._settled) > _REMEMBERED:
                self._settled.popitem(last=False)
            told = (kind, path) in self._told
            self._told.add((kind, path))
        if not told and live is not None and resource_version_of(live) == resource_version_of(answer):
            _log.warning(
                "%s: the API server stores %s in another form than it is applied; write it as the server does, to save a write",
                describe(prepared),
                path,
            )
