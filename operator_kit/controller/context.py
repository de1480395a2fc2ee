"""What a reconcile function is handed beside the object: `Context`, and `AsyncContext` for `async def` functions.

A context belongs to one run of one object. Once the run is over its calls are refused. Calls to the API server keep within the
run's deadline: each may take what is left, and after it they raise `DeadlineExceeded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from operator_kit.codec import clone
from operator_kit.controller.listers import Objects
from operator_kit.controller.live import LiveReader, Server, found
from operator_kit.controller.ownership import is_child
from operator_kit.controller.reason import Reason
from operator_kit.controller.scope import Run, Scope, Write
from operator_kit.controller.sets import apply_set
from operator_kit.controller.status import StatusDraft, write_status
from operator_kit.controller.stopping import Stopping, time_left
from operator_kit.errors import UsageError
from operator_kit.objects import (
    Object,
    Resource,
    describe,
    join_key,
    key_of,
    metadata_of,
    resource_version_of,
    split_key,
    uid_of,
)
from operator_kit.selectors import LabelSelector

if TYPE_CHECKING:
    from operator_kit.controller.applier import Prepared
    from operator_kit.controller.listers import Lister

__all__ = ["Context"]


class Context:
    """One run of one object: what it can read, write and tell.

    Attributes:
        key: `"namespace/name"`, or `"name"`.
        log: a logger bound to the controller, the object and this run.
        attempt: 1 for the first try, and one more for each failure since the last success.
        deadline: when this run must be over, on `operator_kit.clock`'s monotonic clock; None for no limit.
        stopping: set when the operator stops or leads no longer, or the deadline has passed; `ctx.stopping.wait(seconds)` is a
            sleep that ends then.
        fence: the right to write of this term of leadership. What changes things outside the API server asks `fence.check()`
            before each step; `fence.transitions` orders the terms. Without leader election it is always open.
        reason: why this run came about, for logs alone: it cannot be compared.
        live: reads that go to the API server instead of the cache.
    """

    def __init__(self, scope: Scope, run: Run) -> None:
        self._scope = scope
        self._run = run
        self._draft = StatusDraft()
        self._uid = uid_of(run.obj)
        self.key = key_of(run.obj)
        self.log = run.log
        self.attempt = run.attempt
        self.deadline = run.deadline
        self.stopping = Stopping(scope.stopping, scope.clock, run.deadline)
        self.reason = Reason(run.reason)
        self.fence = scope.fence
        self._server = Server(scope.client, self._resolve, self._namespace, self._timeout)
        self.live = LiveReader(self._server)

    def now(self) -> datetime:
        """The time, in UTC: what to compare timestamps with. On a test's `fake_clock` it is what the test says."""
        return self._scope.clock.now()

    # ------------------------------------------------------------------ reads

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object from the cache. The namespace is this object's own unless given.

        A Secret of which only the metadata is cached is read live.

        Raises:
            NotFound: there is none; see `get_or_none`.
            NotCached: nobody declared the kind (`owns`, `watches`, `reads`), or its namespace is not watched.
        """
        lister = self._lister(kind)
        key = join_key(self._namespace(lister.resource, namespace), name)
        return found(self._read(lister, key), lister.resource, key)

    def get_or_none(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """As `get`, but None where there is none."""
        lister = self._lister(kind)
        return self._read(lister, join_key(self._namespace(lister.resource, namespace), name))

    def _read(self, lister: Lister, key: str) -> Object | None:
        if self._run.live:
            return self._server.read(lister.resource, key)
        if lister.metadata_only:
            return self._server.read(lister.resource, key) if lister.entry(key) is not None else None
        return lister.get(key)

    def list(self, kind: str, *, namespace: str | None = None, selector: str | LabelSelector = "") -> Objects:
        """Objects from the cache whose labels match. The namespace is this object's own unless given; `"*"` for all.

        Raises `NotCached` as `get` does, and `ValueError` for a selector that cannot be parsed.
        """
        lister = self._lister(kind)
        where = None if namespace == "*" else self._namespace(lister.resource, namespace) or None
        parsed = LabelSelector.parse(selector) if isinstance(selector, str) else selector
        if self._run.live:
            return self._server.read_all(lister.selections(where), str(parsed))
        return self._whole(lister, lister.list(where, parsed))

    def children(self, kind: str) -> Objects:
        """The objects of a kind, from the cache, that this object owns: by an owner reference, or by label."""
        lister = self._lister(kind)
        if self._run.live:
            marks = self._scope.marks if lister.labelled else None
            return [obj for obj in self._server.read_all(lister.selections(None)) if is_child(obj, self._uid, marks)]
        return self._whole(lister, [entry.decode() for entry in lister.children(self._uid)])

    def by_index(self, kind: str, index: str, value: str) -> Objects:
        """Objects from the cache that an index (`@reconciler.index`) holds under a value."""
        caches, lister = self._scope.caches, self._lister(kind)
        if self._run.live:
            caches.found_by(kind, index, value, ())  # an index that is not there is told before everything is listed
            return caches.found_by(kind, index, value, self._server.read_all(lister.selections(None)))
        return self._whole(lister, caches.by_index(kind, index, value))

    def _lister(self, kind: str) -> Lister:
        self._check_open()
        lister = self._scope.caches.lister(kind)
        self._run.read.add(lister.resource.group_resource)
        return lister

    def _whole(self, lister: Lister, found: Objects) -> Objects:
        if not lister.metadata_only:
            return found
        whole = (self._server.read(lister.resource, key_of(obj)) for obj in found)
        return [obj for obj in whole if obj is not None]

    # ------------------------------------------------------------------ writes

    def apply(self, desired: Mapping[str, Any], *, owned: bool = True, force: bool = True) -> Object:
        """Make a child as desired, by server-side apply, and return it as it is now.

        Nothing is sent when nothing would change. The namespace is this object's unless given. An object that exists already is
        adopted, unless another controls it.

        Args:
            desired: apiVersion, kind, metadata.name, and the fields that are wanted. It is not changed.
            owned: it becomes a child: it goes with this object, and its changes run this object. By the controller owner
                reference; in another namespace, or cluster-scoped, by label, for kinds declared with `owns_by_label`.
            force: take desired fields over from whoever holds them; without it that is an `ApplyConflict`.

        Raises:
            UsageError: the child has no name, or cannot be owned by this object; the message says what to do.
            AlreadyOwned: another object controls it.
            ApiError: the server refused it.
        """
        return self._apply(self._scope.applier.prepare(desired, self._run.obj, owned=owned), force=force)

    def _apply(self, prepared: Prepared, *, force: bool) -> Object:
        run, child = self._run, (prepared.kind, prepared.key)
        if child in run.applied:
            run.read.add(prepared.kind.group_resource)  # what the first of the two was answered with counts as a look at it
        if run.applied.setdefault(child, prepared.digest) != prepared.digest:
            raise UsageError(
                f"apply: {describe(prepared.body)} is applied twice in one run, and differently: it would never come to rest; "
                f"put what is wanted of it into one apply"
            )
        applied = self._scope.applier.apply(prepared, run.obj, force=force, live=run.live, timeout=self._timeout)
        if applied.again:
            run.again = min(run.again or applied.again, applied.again)
        if applied.written:
            if not self._scope.caches.leaves_out(prepared.kind, applied.child):  # no cache will ever hold it
                run.writes.append(Write(*child, uid_of(applied.child), resource_version_of(applied.child)))
            self.log.debug("applied %s %s", prepared.kind.kind, prepared.key)
        return applied.child

    def apply_set(self, desired: Iterable[Mapping[str, Any]], *, name: str = "children", force: bool = True) -> Objects:
        """Make the children of this object those that are desired: apply each, then delete those that are not desired any more.

        Members carry a label with the set's name, and the caches of the declared kinds are searched for them: nothing needs to be
        remembered, and a crash in between is made good by the next run. Namespaces, definitions, accounts and configuration come
        before what uses them, otherwise the order is kept. Nothing is deleted unless everything was applied.

        Args:
            desired: the children, as for `apply`; all of kinds declared with `owns` or `owns_by_label`. Empty to delete all.
            name: of the set, at most 63 characters; an object may have several sets, each with a name of its own.
            force: as for `apply`.

        Returns:
            The children as they are now, in the order in which they were given.

        Raises:
            UsageError, AlreadyOwned, ApiError: as `apply` and `delete` do. Also for a kind that is not declared, and for a child
                that is given twice.
        """
        return apply_set(self, self._scope, self._run, desired, name=name, force=force)

    def delete(
        self,
        target: str | Mapping[str, Any],
        name: str = "",
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> bool:
        """Delete an object: `ctx.delete(obj)`, or `ctx.delete("v1/ConfigMap", "name")`. One that is gone already is no error.

        Given an object with a uid, exactly that one is deleted and not another of its name. Returns whether there was
        something to delete.
        """
        return self._delete(*self._server.target(target, name, namespace), propagation=propagation)

    def _delete(self, kind: Resource, key: str, uid: str, *, propagation: str = "Background") -> bool:
        lister = self._scope.caches.find(kind)
        entry = lister.entry(key) if lister is not None and lister.covers(split_key(key)[0]) else None
        answer = self._server.delete(kind, key, uid, propagation)
        if answer is None:
            return False
        meta = metadata_of(answer)
        # One that finalizers or a grace period keep is there for as long as they please: the cache has seen the deletion when it
        # holds this version of it.
        stays = meta.get("deletionTimestamp") and (meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"))
        uid = uid_of(answer) or uid or (entry.uid if entry is not None else "")
        self._run.writes.append(Write(kind, key, uid, resource_version_of(answer) if stays else ""))
        self.log.debug("deleted %s %s", kind.kind, key)
        return True

    # ------------------------------------------------------------------ telling

    def event(self, reason: str, message: str = "", *, warning: bool = False) -> None:
        """Record an Event on this object. Never blocks and never fails; the same event again becomes a count.

        Args:
            reason: a CamelCase word, e.g. `"Provisioned"`.
            message: for people.
            warning: type Warning instead of Normal.
        """
        self._check_open()
        if not reason:
            raise UsageError("event: give a reason, a CamelCase word such as Provisioned")
        self._scope.recorder.record(
            self._run.obj, controller=self._scope.field_manager, reason=reason, note=message or reason, warning=warning
        )

    def set_condition(self, condition: str, status: bool | str | None, *, reason: str = "", message: str = "") -> None:
        """Set a condition of this object; written with everything else at the end of the run, if it changed.

        Args:
            condition: its type, e.g. `"Available"`.
            status: True, False, or None for unknown.
            reason: a CamelCase word; made from the type unless given.
            message: for people.

        Raises:
            UsageError: the kind has no status subresource.
        """
        self._check_status()
        self._draft.set_condition(condition, status, reason, message)

    def patch_status(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the status; written with everything else at the end of the run, if they changed. None removes a field.

        Mappings are merged, lists replaced. Conditions have `set_condition`. Raises `UsageError` for a kind without a status
        subresource.
        """
        self._check_status()
        if not hasattr(fields, "items"):
            raise UsageError(
                f"patch_status: {type(fields).__name__} is no mapping; give a dict, of a model what its to_dict() returns"
            )
        if "conditions" in fields:
            raise UsageError("patch_status: set conditions one by one with ctx.set_condition")
        self._draft.fields = _gathered(self._draft.fields, fields)

    def flush_status(self) -> None:
        """Write the status now: for what must not be lost if this run never ends, such as the identifier of something just made.

        Raises what the API server answers.
        """
        self._check_open()
        self._write_status(self._timeout())

    def _write_status(self, timeout: float) -> bool:
        """Write what was gathered, if anything would change. Returns whether anything was written."""
        if not self._draft:
            return False
        scope = self._scope
        written = write_status(
            scope.client,
            scope.caches.own.resource,
            self._run.obj,
            self._draft,
            now=scope.clock.now(),
            field_manager=scope.field_manager,
            timeout=timeout,
        )
        if written is None:
            return False
        self._took(written)
        return True

    # ------------------------------------------------------------------ inside

    def _took(self, newer: Object) -> None:
        """The server answered with a newer form of this run's object: what follows builds on it.

        The generation stays the one that ran.
        """
        meta = dict(newer.get("metadata") or {})
        if self._run.obj["metadata"].get("generation") is not None:
            meta["generation"] = self._run.obj["metadata"]["generation"]
        self._run.obj = {**newer, "metadata": meta}
        self._run.writes.append(Write(self._scope.caches.own.resource, self.key, uid_of(newer), resource_version_of(newer)))

    def _resolve(self, name: str) -> Resource:
        """A kind that is about to be read: at least whether an object of it is there."""
        kind = self._scope.caches.resolve(name)
        self._run.read.add(kind.group_resource)
        return kind

    def _namespace(self, kind: Resource, given: str | None) -> str:
        if not kind.namespaced:
            return ""
        namespace = given or split_key(self.key)[0]
        if not namespace:
            raise UsageError(f"which namespace? {self.key} is cluster-scoped and has none to lend; give namespace=…")
        return namespace

    def _check_open(self) -> None:
        if self._run.over:
            raise RuntimeError(f"the reconcile of {self.key} is over: its ctx must not be used any more")

    def _check_status(self) -> None:
        self._check_open()
        resource = self._scope.caches.own.resource
        if "status" not in resource.subresources:
            raise UsageError(
                f"{resource.kind} has no status subresource: add `subresources: {{status: {{}}}}` to its CRD to write a status"
            )

    def _timeout(self) -> float:
        """Seconds the next call may take."""
        self._check_open()
        return time_left(self._scope.clock, self.deadline, self._scope.request_timeout, f"the reconcile of {self.key}")

    def __repr__(self) -> str:
        return f"<Context of {self._scope.controller} for {self.key}, attempt {self.attempt}>"


def _gathered(before: Mapping[str, Any], more: Mapping[str, Any]) -> Object:
    """Two merge patches as one: unlike applying one, a None stays, because it must still delete."""
    out: Object = clone(dict(before))
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), dict):
            out[key] = _gathered(out[key], value)
        else:
            out[key] = clone(dict(value)) if isinstance(value, Mapping) else clone(value)
    return out
