"""Sets of children: what is desired is applied, and what is of the set and not desired any more is deleted.

Members are known by a label with the set's name and by who controls them; the caches of the declared kinds are the inventory, so
nothing is written to the owner, and a crash between applying and deleting is made good by the next run. Only what this controller
made for this very owner is deleted, and by its uid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from operator_kit.cache import Entry
from operator_kit.cache.records import encode
from operator_kit.controller.ownership import LABEL_VALUE, annotation_of, belongs, owner_value
from operator_kit.errors import UsageError
from operator_kit.objects import Object, Resource, describe, uid_of

if TYPE_CHECKING:
    from operator_kit.controller.applier import Prepared
    from operator_kit.controller.context import Context
    from operator_kit.controller.listers import Entries, Lister, Objects
    from operator_kit.controller.scope import Run, Scope

__all__ = ["apply_set", "delete_by_label", "rank"]

# What others need comes first. The rest keeps the order it was given in, but for what stands in the way of others' requests.
_EARLY: tuple[frozenset[tuple[str, str]], ...] = (
    frozenset({("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")}),
    frozenset(
        {
            ("", "ServiceAccount"),
            ("", "LimitRange"),
            ("", "ResourceQuota"),
            ("networking.k8s.io", "NetworkPolicy"),
            ("scheduling.k8s.io", "PriorityClass"),
            ("storage.k8s.io", "StorageClass"),
            *(("rbac.authorization.k8s.io", kind) for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")),
        }
    ),
    frozenset({("", "ConfigMap"), ("", "Secret"), ("", "PersistentVolume"), ("", "PersistentVolumeClaim")}),
    frozenset({("", "Service")}),
)
_LATE = frozenset(
    {
        ("apiregistration.k8s.io", "APIService"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    }
)


def rank(kind: Resource) -> int:
    """The place of a kind in the order of applying; deleting goes the other way."""
    identity = (kind.group, kind.kind)
    for place, kinds in enumerate(_EARLY):
        if identity in kinds:
            return place
    return len(_EARLY) + (identity in _LATE)


def apply_set(
    context: Context, scope: Scope, run: Run, desired: Iterable[Mapping[str, Any]], *, name: str, force: bool
) -> Objects:
    """See `Context.apply_set`."""
    if not LABEL_VALUE.fullmatch(name):
        raise UsageError(f"apply_set: {name!r} is no name for a set; use letters, digits, dashes, dots, 63 characters at most")
    wanted: dict[tuple[Resource, str], Prepared] = {}
    for obj in desired:
        child = scope.applier.prepare(obj, run.obj, owned=True, member_of=name)
        if not any(lister.resource == child.kind for lister in scope.caches.owned):
            raise UsageError(f"apply_set: {describe(child.body)} could not be found again: declare owns=[{str(child.kind)!r}]")
        if wanted.setdefault((child.kind, child.key), child) is not child:
            raise UsageError(f"apply_set: {describe(child.body)} is given twice")
    live: dict[tuple[Resource, str], Object] = {}
    for identity, child in sorted(wanted.items(), key=lambda item: rank(item[1].kind)):
        live[identity] = context._apply(child, force=force)  # noqa: SLF001  # a part of the context
    # What another set has taken over in this run still stands under this one's name in the cache.
    _delete(context, scope, run, scope.marks.set, name, keep=run.applied)
    return [live[identity] for identity in wanted]


def delete_by_label(context: Context, scope: Scope, run: Run) -> None:
    """Delete the children that no garbage collector will: those that belong to the run's object by label."""
    _delete(context, scope, run, scope.marks.owner, owner_value(uid_of(run.obj)), keep=())


def _delete(context: Context, scope: Scope, run: Run, label: str, value: str, *, keep: Collection[tuple[Resource, str]]) -> None:
    """Delete the children with this label but for those to keep, what uses others before what is used."""
    marks, uid = scope.marks, uid_of(run.obj)
    doomed: list[tuple[Resource, Entry]] = []
    for lister in scope.caches.owned:
        for entry in _found(context, lister, f"{label}={value}") if run.live else lister.children(uid):
            stays = entry.labels.get(label) != value or (lister.resource, entry.key) in keep
            if not stays and not entry.deleting and belongs(entry, uid, marks) and annotation_of(entry.decode(), marks.applied):
                doomed.append((lister.resource, entry))
    for kind, entry in sorted(doomed, key=lambda child: -rank(child[0])):
        if context._delete(kind, entry.key, entry.uid):  # noqa: SLF001  # a part of the context
            context.log.info("deleted the child %s %s", kind.kind, entry.key)


def _found(context: Context, lister: Lister, selector: str) -> Entries:
    """What the API server holds: for a run that must not trust the caches."""
    return [Entry(encode(obj)) for obj in context._server.read_all(lister.selections(None), selector)]  # noqa: SLF001  # a part of it
