"""Applying children: server-side apply, sent only when it would change something.

What nothing would change is decided from the cache (`children.py`). A server may store a value in another form than it was
given (a quantity, a normalised list, what an admission webhook makes of it); such a child would look changed for ever. So the
form in which an apply is answered is remembered, a child that still has it is left alone, and the path that differs is logged
once. A child that others change back again and again is told of, and applied at a slower pace (`loops.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from operator_kit.controller.children import (
    Path,
    applied_hash,
    difference,
    first_difference,
    prepare,
    projection,
    show_path,
    with_hash,
)
from operator_kit.controller.loops import LONGEST_DELAY, UpdateLoops, Wish, holders, update_loops
from operator_kit.controller.ownership import Marks, annotation_of, check_adoption, claim
from operator_kit.errors import NotFound, OperatorKitError, UsageError
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
    from operator_kit.clock import Clock
    from operator_kit.controller.events import EventRecorder
    from operator_kit.controller.listers import Caches
    from operator_kit.observe.metrics import Registry as Metrics

__all__ = ["Applied", "Applier", "Prepared"]

_REMEMBERED = 4096
_log = logging.getLogger("operator_kit.controller")


class Prepared(NamedTuple):
    """A child as it will be sent, but for the hash.

    Attributes:
        kind: its kind.
        body: the object, claimed for its owner.
        digest: the hash of what is desired.
        owned: whether it becomes a child.
        by_label: whether it belongs to its owner by label.
    """

    kind: Resource
    body: Object
    digest: str
    owned: bool
    by_label: bool

    @property
    def key(self) -> str:
        """Its key."""
        return key_of(self.body)


class Applied(NamedTuple):
    """What came of applying a child.

    Attributes:
        child: the object as it is now.
        written: whether anything was sent.
        again: seconds after which it must be applied again, because it was held back; 0 if it was not.
    """

    child: Object
    written: bool = False
    again: float = 0.0


class Applier:
    """Applies children for one controller, from any of its workers."""

    def __init__(
        self, client: Client, caches: Caches, marks: Marks, recorder: EventRecorder, *, clock: Clock, metrics: Metrics
    ) -> None:
        self._client = client
        self._caches = caches
        self._marks = marks
        self._recorder = recorder
        self._controller = marks.manager.rpartition("/")[2]
        self._loops = UpdateLoops(clock)
        self._counted = update_loops(metrics)
        self._lock = threading.Lock()
        # Under the lock; to the hash of what was desired, and of what the server made of it.
        self._settled: OrderedDict[tuple[Resource, str], tuple[str, str]] = OrderedDict()
        self._told: set[tuple[Resource, str]] = set()
        self._unseen: set[Resource] = set()

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
        if not hasattr(desired, "get"):
            raise UsageError(f"apply: {type(desired).__name__} is no object; give a dict, of a model what its to_dict() returns")
        if not api_version_of(desired) or not kind_of(desired):
            raise UsageError(f"apply: {describe(desired)} needs apiVersion and kind")
        kind = self._caches.resolve(f"{api_version_of(desired)}/{kind_of(desired)}")
        body = prepare(desired, kind, owner)
        by_label = False
        if owned:
            self._tell_unseen(kind, body, in_set=bool(member_of))
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
        return Prepared(kind, body, applied_hash(body), owned, by_label)

    def _tell_unseen(self, kind: Resource, body: Object, *, in_set: bool) -> None:
        """Say once that children of a kind are not seen: it works, until a child is changed or roles are enforced.

        Raises `UsageError` for a member of a set that the caches leave out: it could not be found again.
        """
        name = f"{kind.api_version}/{kind.kind}"
        lister = next((each for each in self._caches.owned if each.resource.group_resource == kind.group_resource), None)
        if lister is None:
            why = f"of the kind {name}, which is not declared"
            besides, remedy = ", and `operator-kit rbac` leaves it out", f"add owns=[{name!r}]"
        elif lister.leaves_out(body):
            why = f"of its own kind without the labels of its selector {lister.selector!r}"
            besides, remedy = "", "give it those labels"
            if in_set:
                raise UsageError(f"apply_set: {describe(body)} could not be found again: it is {why}; {remedy}")
        else:
            return
        with self._lock:
            if kind in self._unseen:
                return
            self._unseen.add(kind)
        _log.warning(
            "%s: applies a child %s: its changes and its loss do not run its owner%s; %s, or pass owned=False",
            *(self._controller, why, besides, remedy),
        )

    def apply(self, prepared: Prepared, owner: Object, *, force: bool, live: bool, timeout: Callable[[], float]) -> Applied:
        """Make a child as desired.

        Args:
            prepared: from `prepare`; it is used up.
            owner: the object that is reconciled.
            force: take fields over from other field managers.
            live: compare with the server's copy, not the cache's.
            timeout: gives the seconds the next call may take, and raises when there are none left.

        Raises:
            AlreadyOwned: another object controls it.
            TemporaryError: it is about to go with a former owner.
            UsageError: it would outlive its owner, which is being deleted.
            ApiError: the server refused it.
        """
        kind, body, digest, key = prepared.kind, prepared.body, prepared.digest, prepared.key
        wish = Wish(kind, key, key_of(owner), digest)
        before = self._before(kind, key, body, timeout, live=live)
        if before is None:
            if prepared.by_label and is_deleting(owner):
                raise UsageError(f"apply: {describe(owner)} is being deleted: {describe(body)}, made now, would outlive it")
        else:
            if prepared.owned:
                check_adoption(before, owner, self._caches.own.resource, self._marks)
            if self._holds(kind, body, digest, before):
                return Applied(before)
            wait = self._loops.wait(wish)
            if wait:
                return Applied(before, again=wait)
        # Asked before the write that takes the field back: afterwards it is ours.
        suspect = before is not None and self._loops.suspects(wish)
        rivals = self._rivals(wish, body, before, timeout) if suspect and before is not None else []
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
        # What was refused, or changed nothing, is no round of a loop: a fault of the server's would look like one.
        changed = before is not None and resource_version_of(answer) != resource_version_of(before)
        if changed and self._loops.count(wish):
            self._tell_loop(kind, body, before or {}, owner, rivals)
        return Applied(answer, written=True)

    def _before(self, kind: Resource, key: str, body: Object, timeout: Callable[[], float], *, live: bool) -> Object | None:
        """The child as the cache holds it; where it holds too little, as the server does: a read is cheaper than a write."""
        lister = None if live else self._caches.find(kind)
        namespace, _, name = key.rpartition("/")
        if lister is not None and lister.covers(namespace):
            held = lister.get(key)
            whole = not lister.partial if held is not None else not lister.leaves_out(body)
            if whole:
                return held
        try:
            return self._client.get(kind, name, namespace or None, timeout=timeout())
        except NotFound:
            return None

    def _holds(self, kind: Resource, desired: Object, digest: str, live: Object) -> bool:
        if annotation_of(live, self._marks.applied) != digest:
            return False
        if first_difference(desired, live) is None:
            return True
        with self._lock:
            settled = self._settled.get((kind, key_of(desired)))
        return settled is not None and settled == (digest, applied_hash(projection(desired, live)))

    def _rivals(self, wish: Wish, body: Object, before: Object, timeout: Callable[[], float]) -> list[str]:
        """Who else wants something of the child, or holds the field that is to be put right; the cache does not keep that."""
        ours = self._loops.others(wish)
        if ours:
            return [f"this controller for {self._caches.own.resource.kind} {owner}" for owner in ours]
        try:
            live = self._client.get(wish.kind, name_of(body), namespace_of(body) or None, timeout=timeout())
        except OperatorKitError:
            return []
        return holders(live, self._difference(body, before), besides=self._marks.manager)

    def _difference(self, body: Object, before: Object) -> Path:
        return first_difference(body, before) or ("metadata", "annotations", self._marks.applied)

    def _tell_loop(self, kind: Resource, body: Object, before: Object, owner: Object, rivals: list[str]) -> None:
        """Say which field is changed back, and by whom: in the log, in a metric, and on the owner."""
        path = self._difference(body, before)
        whom = f"by {' and '.join(rivals)}" if rivals else "by an admission webhook, or by a program that does not say who it is"
        text = (
            f"{describe(body)}: {show_path(path)} is changed back again and again, {whom}. It is applied at most once in "
            f"{LONGEST_DELAY:g} s from now on; leave the field to one of the two"
        )
        self._counted.inc(self._controller, kind.group_resource)
        _log.warning("%s: %s", self._controller, text)
        self._recorder.record(owner, controller=self._marks.manager, reason="UpdateLoop", note=text, warning=True)

    def _learn(self, kind: Resource, body: Object, digest: str, before: Object | None, answer: Object) -> None:
        """Remember the form in which the server holds what it was given, where that is another."""
        path = difference(body, answer)
        if not path:
            return
        with self._lock:
            self._settled[kind, key_of(body)] = (digest, applied_hash(projection(body, answer)))
            self._settled.move_to_end((kind, key_of(body)))
            while len(self._settled) > _REMEMBERED:
                self._settled.popitem(last=False)
            told = (kind, path) in self._told
            self._told.add((kind, path))
        if not told and before is not None and resource_version_of(before) == resource_version_of(answer):
            _log.warning(
                "%s: the API server stores %s in another form than it is applied; write it as the server does, to save a write",
                describe(body),
                path,
            )
