"""What registered code needs to be allowed, read off its registration: which verbs on which kinds, where, and for what.

The verbs are those of the calls that the framework makes, and of the calls it makes for the author:

    the reconciled kind    get, list, watch; patch on its status; patch where it gets a finalizer (a cleanup, `owns_by_label`)
    owned kinds            get, list, watch, and create and patch (an apply that creates is asked for both), delete
    watched, read kinds    get, list, watch
    events                 create and patch, in events.k8s.io: a repetition is a patch of the series
    the lease              get, create, update
    --metrics-auth         create of TokenReview and SubjectAccessReview

`update` on the finalizers of the reconciled kind is for clusters whose admission enforces the permissions of owner references
(OwnerReferencesPermissionEnforcement, as on OpenShift): there it is what allows `blockOwnerDeletion` in a child's reference, and
`delete` on the child what allows a reference to be added to it. What else the code does, its author declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from operator_kit.controller import Reconciler, Registry
from operator_kit.controller.events import EVENT
from operator_kit.errors import KindNotFound
from operator_kit.leader.record import LEASE
from operator_kit.manager import authorization
from operator_kit.objects import Resource
from operator_kit.permissions import Permission, PolicyRule

__all__ = ["Need", "Resolve", "lease_needs", "metrics_needs", "needs_of"]

Resolve = Callable[[str], Resource]
"""From a kind, as authors write it, to what discovery knows of it. Raises `KindNotFound`, `AmbiguousKind`."""
_Find = Callable[[str], Resource | None]

READ = ("get", "list", "watch")
OWN = (*READ, "create", "patch", "delete")
EVENT_RULE = PolicyRule.of(EVENT, ("create", "patch"))


@dataclass(frozen=True, slots=True)
class Need:
    """A rule that is needed.

    Attributes:
        rule: what is to be allowed.
        namespace: the namespace it is needed in; empty for all of them, and for what has none.
        reason: what for, in a few words: `"website owns them"`.
    """

    rule: PolicyRule
    namespace: str
    reason: str


def needs_of(
    registry: Registry, resolve: Resolve, *, namespaces: Sequence[str] = (), missing: dict[str, str] | None = None
) -> list[Need]:
    """Everything that the reconcilers and tasks of a registry need.

    Args:
        registry: what is registered.
        resolve: finds the plurals of kinds.
        namespaces: the only namespaces the operator watches; empty for all. A reconciler with namespaces of its own has those.
        missing: where kinds that are not known are put, as they are written, with what is to be said of them; without it they
            are an error.

    Raises:
        KindNotFound: a kind is not known; the message names who wants it.
        AmbiguousKind: a kind can mean several.
    """

    def finder(who: str) -> _Find:
        def find(kind: str) -> Resource | None:
            try:
                return resolve(kind)
            except KindNotFound as exc:
                text = f"{who}: {exc}"
                if missing is None:
                    raise KindNotFound(text) from None
                missing.setdefault(kind, text)
                return None

        return find

    out: list[Need] = []
    everywhere = tuple(namespaces)
    for made in registry:
        out += _needs_of(made, finder(f"{made.where}: {made.name}"), made.namespaces or everywhere)
    for task in registry.tasks:
        find = finder(f"{task.where}: {task.name}")
        for kind in task.reads:
            out += _placed(find(kind), READ, everywhere, f"{task.name} reads them")
        for permission in task.permissions:
            out += _declared(permission, find, everywhere, f"declared by {task.name}")
    for permission in registry.permissions:
        out += _declared(permission, finder("a permission of the registry"), everywhere, "declared for the registry")
    return out


def _needs_of(made: Reconciler, find: _Find, namespaces: tuple[str, ...]) -> Iterable[Need]:
    own = find(made.kind)
    yield from _placed(own, READ, namespaces, f"{made.name} reconciles them")
    if made.finalizes:
        yield from _placed(own, ("patch",), namespaces, f"{made.name} puts its finalizer on them")
    if own is not None and "status" in own.subresources:
        yield from _placed(own, ("patch",), namespaces, f"{made.name} writes the status", "status")
    if made.owns:
        yield from _placed(own, ("update",), namespaces, f"{made.name} makes them the owners of children", "finalizers")
    for kinds, verbs, does in (
        ((*made.owns, *made.owns_by_label), OWN, "owns"),
        (made.watches, READ, "watches"),
        (made.reads, READ, "reads"),
    ):
        for kind in kinds:
            yield from _placed(find(kind), verbs, namespaces, f"{made.name} {does} them")
    # An event about what has no namespace is written to the namespace default.
    scoped = own is None or own.namespaced
    for namespace in (namespaces if scoped or not namespaces else ("default",)) or ("",):
        yield Need(EVENT_RULE, namespace, "events")
    for permission in made.permissions:
        yield from _declared(permission, find, namespaces, f"declared by {made.name}")


def _declared(permission: Permission | PolicyRule, find: _Find, namespaces: tuple[str, ...], reason: str) -> Iterable[Need]:
    if isinstance(permission, PolicyRule):
        for namespace in namespaces or ("",):
            yield Need(permission, namespace, reason)
        return
    where = (permission.namespace,) if permission.namespace else namespaces
    yield from _placed(find(permission.kind), permission.verbs, where, reason, permission.subresource)


def _placed(
    resource: Resource | None, verbs: Iterable[str], namespaces: tuple[str, ...], reason: str, subresource: str = ""
) -> Iterable[Need]:
    if resource is None:
        return
    rule = PolicyRule.of(resource, verbs, subresource=subresource)
    for namespace in (namespaces if resource.namespaced else ()) or ("",):
        yield Need(rule, namespace, reason)


def lease_needs(namespace: str, name: str = "") -> list[Need]:
    """What the leader election needs: a lease in this namespace, of this name; without a name, any lease of the namespace.

    Events tell on the lease who leads.
    """
    group, plural = (LEASE.group,), (LEASE.plural,)
    rules = (
        # A create names nothing yet when it is authorised, so a rule for one name cannot allow it.
        PolicyRule(group, plural, ("create",)),
        PolicyRule(group, plural, ("get", "update"), (name,) if name else ()),
        EVENT_RULE,
    )
    return [Need(rule, namespace, "leader election") for rule in rules]


def metrics_needs() -> list[Need]:
    """What `--metrics-auth` needs: to ask the API server whose token it is, and whether they may."""
    return [Need(rule, "", "--metrics-auth") for rule in authorization.NEEDED]
