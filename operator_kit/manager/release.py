"""Taking an operator out: its finalizers off every object of its kinds, so that nothing waits for a cleanup that nobody runs.

Objects are listed in pages, by their metadata alone. Each finalizer comes off by the same patch as after a cleanup: it tests uid,
version and place, and cannot take off anybody else's. What changes meanwhile is read again; what cannot be done is told, and the
rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from operator_kit.api import Selection
from operator_kit.codec import RawObject
from operator_kit.controller.finalizers import finalizer_name, finalizers_of, remove_finalizer
from operator_kit.errors import ApiError, Forbidden, KindNotFound, NotFound
from operator_kit.leader.record import LEASE, Record
from operator_kit.objects import Object, Resource, is_deleting, key_of
from operator_kit.permissions import PolicyRule

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.controller import Reconciler, Registry

__all__ = ["Released", "lease_holder", "release"]


@dataclass(frozen=True, slots=True)
class Released:
    """One object (or, with an empty key, one kind) and what became of it.

    Attributes:
        made: the reconciler whose finalizer it is.
        kind: the kind as it is told.
        key: the object's key; empty where the kind as a whole is meant.
        finalizer: the finalizer.
        deleting: whether the object is being deleted: it goes without its cleanup.
        problem: why it was not done; empty when it was, or would be.
        forbidden: whether a permission is missing.
    """

    made: Reconciler
    kind: str
    key: str = ""
    finalizer: str = ""
    deleting: bool = False
    problem: str = ""
    forbidden: bool = False


def release(registry: Registry, client: Client, namespaces: Sequence[str] = (), *, dry_run: bool = False) -> Iterator[Released]:
    """Take the finalizers of the registered reconcilers off all objects of their kinds.

    Args:
        registry: the reconcilers.
        client: the API server.
        namespaces: the only ones to look at, for reconcilers that name none themselves; empty for all.
        dry_run: change nothing.

    Yields:
        What was done, or would be, object by object.

    Raises:
        AmbiguousKind: a kind can mean several.
        ConnectionFailed: the API server does not answer.
    """
    for made in registry:
        try:
            kind = client.discovery.resolve(made.kind)
        except KindNotFound:
            continue  # no definition, no objects
        finalizer = finalizer_name(kind, made.name)
        for namespace in (made.namespaces or tuple(namespaces) or (None,)) if kind.namespaced else (None,):
            try:
                held = _holding(client, kind, namespace, finalizer)
            except ApiError as exc:
                yield _refused(exc, Released(made, kind.kind, finalizer=finalizer), kind, "list")
                continue
            for obj in held:
                yield _release(client, made, kind, obj, finalizer, dry_run=dry_run)


def _holding(client: Client, kind: Resource, namespace: str | None, finalizer: str) -> list[Object]:
    """The objects with the finalizer: of each its metadata."""
    found: list[Object] = []
    selection = Selection(kind, namespace, metadata_only=True)

    def look(raw: RawObject) -> None:
        obj = selection.complete(raw.decode())
        if finalizer in finalizers_of(obj):
            found.append(obj)

    client.visit(selection, look, found.clear)
    return found


def _release(client: Client, made: Reconciler, kind: Resource, obj: Object, finalizer: str, *, dry_run: bool) -> Released:
    done = Released(made, kind.kind, key_of(obj), finalizer, is_deleting(obj))
    if dry_run:
        return done
    try:
        remove_finalizer(client, kind, obj, finalizer, field_manager=finalizer)
    except NotFound:
        return done
    except ApiError as exc:
        return _refused(exc, done, kind, "patch")
    return done


def _refused(error: ApiError, done: Released, kind: Resource, verb: str) -> Released:
    if isinstance(error, Forbidden):
        problem = f"not allowed to {verb} {kind.group_resource}; needs the rule {PolicyRule.of(kind, [verb])}"
        return replace(done, problem=problem, forbidden=True)
    return replace(done, problem=str(error))


def lease_holder(client: Client, name: str, namespace: str, now: datetime) -> str:
    """Who holds a lease of leader election, or the empty text when nobody does, or has not renewed it for as long as it lasts.

    Raises:
        ApiError, ConnectionFailed: it cannot be read.
    """
    try:
        record = Record.of(client.get(LEASE, name, namespace))
    except NotFound:
        return ""
    try:
        renewed = datetime.fromisoformat(record.renew_time)
        lapsed = (now - renewed).total_seconds() > record.duration
    except (TypeError, ValueError):
        lapsed = False  # it does not say when: better one question too many
    return "" if lapsed else record.holder
