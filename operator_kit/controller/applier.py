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
from typing import TYPE_CHECKING, Any, NamedTuple

from operator_kit.controller.children import applied_hash, difference, prepare, with_hash
from operator_kit.controller.ownership import Marks, annotation_of, check_adoption, claim
from operator_kit.errors import NotFound, UsageError
from operator_kit.objects import (
    Object,
    Resource,
    api_version_of,
    describe,
    is_deleting,
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

__all__ = ["Applier", "Prepared"]

_REMEMBERED = 4096
_log = logging.getLogger("operator_kit.controller")


class Prepared(NamedTuple):
    """A child as it will be sent, but for the hash.

    Attributes:
        kind: its kind.
        body: the object, claimed for its owner.
        owned: whether it becomes a child.
        by_label: whether it belongs to its owner by label.
    """

    kind: Resource
    body: Object
    owned: bool
    by_label: bool


class Applier:
    """Applies children for one controller, from any of its workers."""

    def __init__(self, client: Client, caches: Caches, marks: Marks) -> None:
        self._client = client
        self._caches = caches
        self._marks = marks
        self._lock = threading.Lock()
        self._settled: OrderedDict[tuple[Resource, str], tuple[str, str]] = OrderedDict()  # to (hash, resourceVersion)
        self._told: set[tuple[Resource, str]] = set()

    def prepare(self, desired: Mapping[str, Any], owner: Object, *, owned: bool, member_of: str = "") -> Prepared:
        """What is to be sent for a child.

        Args:
            desired: the fields that are wanted; the rest is left as it is.
            owner: the object that is reconciled.
            owned: whether it becomes the owner's child.
            member_of: the set it belongs to, if any.

        Raises:
            UsageError: it cannot be applied as it is written.
        """
        if not api_version_of(desired) or not kind_of(desired):
            raise UsageError(f"apply: {describe(desired)} needs apiVersion and kind")
        kind = self._caches.resolve(f"{api_version_of(desired)}/{kind_of(desired)}")
        body = prepare(desired, kind, owner)
        by_label = False
        if owned:
            labelled = self._caches.is_labelled(kind)
            by_label = claim(body, kind, owner, self._caches.own.resource, self._marks, labelled=labelled)
        if by_label and not self._caches.shows(kind, key_of(body)):
            raise UsageError(
                f"apply: {describe(body)}: the operator does not see the namespace {namespace_of(body)}, and could neither "
                f"follow this child nor clean it up; give it with --namespace too, or pass owned=False"
            )
        if member_of:
            meta = body["metadata"]
            meta["labels"] = {**(meta.get("labels") or {}), self._marks.set: member_of}
        return Prepared(kind, body, owned, by_label)

    def apply(
        self, prepared: Prepared, owner: Object, *, force: bool, live: bool, timeout: Callable[[], float]
    ) -> tuple[Object, bool]:
        """Make a child as desired.

        Args:
            prepared: from `prepare`; it is used up.
            owner: the object that is reconciled.
            force: take fields over from other field managers.
            live: compare with the server's copy, not the cache's.
            timeout: gives the seconds the next call may take, and raises when there are none left.

        Returns:
            The child as it is now, and whether anything was written.

        Raises:
            AlreadyOwned: another object controls it.
            TemporaryError: it is about to go with a former owner.
            UsageError: it would outlive its owner, which is being deleted.
            ApiError: the server refused it.
        """
        kind, body = prepared.kind, prepared.body
        digest = applied_hash(body)
        before = self._before(kind, key_of(body), timeout, live=live)
        if before is None:
            if prepared.by_label and is_deleting(owner):
                raise UsageError(f"apply: {describe(owner)} is being deleted: {describe(body)}, made now, would outlive it")
        else:
            if prepared.owned:
                check_adoption(before, owner, self._caches.own.resource, self._marks)
            if self._holds(kind, body, digest, before):
                return before, False
        answer = self._client.patch(
            kind,
            name_of(body),
            namespace_of(body) or None,
            with_hash(body, self._marks.applied, digest),
            type="apply",
            field_manager=self._marks.manager,
            force=force,
            timeout=timeout(),
        )
        self._learn(kind, body, digest, before, answer)
        return answer, True

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
        if annotation_of(live, self._marks.applied) != digest:
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
