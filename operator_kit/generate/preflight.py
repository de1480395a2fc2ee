"""Whether an API server would let an operator run: asked beforehand, with the operator's own credentials, changing nothing.

Kinds are asked of discovery, permissions one by one of SelfSubjectAccessReview, which every user may ask. So it works with rights
in a few namespaces as it does with rights in all, and says what an authoriser other than RBAC would decide, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from operator_kit.controller import Reconciler, Registry
from operator_kit.controller.listers import check_kinds
from operator_kit.errors import ApiError, NotFound
from operator_kit.generate.needs import Need, needs_of
from operator_kit.generate.rbac import merged
from operator_kit.objects import Resource
from operator_kit.permissions import PolicyRule

if TYPE_CHECKING:
    from operator_kit.api import Cancel, Client

__all__ = ["Access", "KindState", "Report", "check", "ungranted"]

_REVIEW = Resource("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
_WHO = Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
_NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
_STATUS_CALLS = frozenset({"set_condition", "patch_status", "flush_status"})


@dataclass(frozen=True, slots=True)
class KindState:
    """A kind that the code names, as it is written there.

    Attributes:
        kind: as written.
        resource: what discovery knows of it, or None where it is not served.
        problem: what is to be said of one that is not.
    """

    kind: str
    resource: Resource | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """One verb on one resource in one namespace, and whether it is allowed.

    Attributes:
        group: the API group.
        resource: its plural, with its subresource: `"deployments/scale"`.
        verb: the verb.
        namespace: the namespace; empty for all, and for what has none.
        name: the only object it is asked for; empty for all.
        reasons: what for.
        allowed: the API server's answer.
    """

    group: str
    resource: str
    verb: str
    namespace: str
    name: str
    reasons: tuple[str, ...]
    allowed: bool = False

    @property
    def target(self) -> str:
        """`"deployments.apps/scale"`, as the server's messages write it; a name goes behind."""
        plural, slash, sub = self.resource.partition("/")
        whole = f"{plural}.{self.group}{slash}{sub}" if self.group else self.resource
        return f"{whole} {self.name}" if self.name else whole


@dataclass(frozen=True, slots=True)
class Report:
    """What an API server says of an operator.

    Attributes:
        server: its URL.
        version: `"v1.36.2"`; empty where it does not tell.
        user: as whom it knows us; empty where it does not tell.
        kinds: every kind the code names.
        access: every permission it needs, kinds that are not served left out.
        warnings: what is no reason not to start.
    """

    server: str
    version: str
    user: str
    kinds: tuple[KindState, ...]
    access: tuple[Access, ...]
    warnings: tuple[str, ...]

    @property
    def missing_kinds(self) -> tuple[KindState, ...]:
        """The kinds that are not served."""
        return tuple(state for state in self.kinds if state.resource is None)

    @property
    def refused(self) -> tuple[Access, ...]:
        """The permissions that are missing."""
        return tuple(access for access in self.access if not access.allowed)

    @property
    def missing_rules(self) -> dict[str, list[PolicyRule]]:
        """The rules to add, by namespace; "" for a ClusterRole."""
        return _rules_for(self.refused)

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing_kinds and not self.refused

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "ok": self.ok,
            "server": {"url": self.server, "version": self.version},
            "user": self.user,
            "kinds": [
                {
                    "kind": state.kind,
                    "served": state.resource is not None,
                    **({"resource": str(state.resource)} if state.resource else {"problem": state.problem}),
                }
                for state in self.kinds
            ],
            "permissions": [
                {
                    "group": each.group,
                    "resource": each.resource,
                    "verb": each.verb,
                    "namespace": each.namespace,
                    **({"name": each.name} if each.name else {}),
                    "reasons": list(each.reasons),
                    "allowed": each.allowed,
                }
                for each in self.access
            ],
            "missingRules": [
                {"namespace": namespace, "rules": [rule.to_dict() for rule in rules]}
                for namespace, rules in self.missing_rules.items()
            ],
            "warnings": list(self.warnings),
        }


def check(registry: Registry, client: Client, *, namespaces: Sequence[str] = (), besides: Iterable[Need] = ()) -> Report:
    """Ask the API server.

    Args:
        registry: what is to run.
        client: the API server, with the credentials the operator is to have.
        namespaces: the only namespaces it is to watch; empty for all.
        besides: what is needed beyond what is registered, such as the lease.

    Raises:
        AmbiguousKind: a kind can mean several.
        UsageError: a kind that cannot be used as it is declared.
        ConnectionFailed: the server does not answer.
        ApiError: it refuses to be asked at all.
    """
    missing: dict[str, str] = {}
    version = _version(client)
    needs = [*needs_of(registry, client.discovery.resolve, namespaces=namespaces, missing=missing), *besides]
    declared = (*registry, *registry.tasks)
    named = dict.fromkeys([*(kind for made in declared for kind in made.kinds()), *missing])
    kinds = [
        KindState(kind, None, missing[kind]) if kind in missing else KindState(kind, client.discovery.resolve(kind))
        for kind in named
    ]
    resolved = {state.kind: state.resource for state in kinds if state.resource is not None}
    for made in declared:
        check_kinds(made, {kind: resolved[kind] for kind in made.kinds() if kind in resolved})
    access = tuple(_asked(client, each) for each in _accesses(needs))
    warnings = (*_without_status(registry, kinds), *_absent_namespaces(registry, client, namespaces))
    return Report(client.host, version, _user(client), tuple(kinds), access, warnings)


def ungranted(
    registry: Registry,
    client: Client,
    *,
    namespaces: Sequence[str] = (),
    besides: Iterable[Need] = (),
    cancel: Cancel | None = None,
) -> str:
    """What the API server does not grant, in a line for people, with the rules to add; empty where it grants all.

    The arguments are those of `check`, and `cancel` ends it. Kinds that are not served are left out.

    Raises:
        UsageError, ConnectionFailed, ApiError: as `check`.
        Cancelled: it was given up.
    """
    missing: dict[str, str] = {}
    needs = needs_of(registry, partial(client.discovery.resolve, cancel=cancel), namespaces=namespaces, missing=missing)
    asked = [_asked(client, each, cancel) for each in _accesses([*needs, *besides])]
    refused = [each for each in asked if not each.allowed]
    parts = []
    for namespace, rules in _rules_for(refused).items():
        verbs: dict[str, list[str]] = {}
        for each in refused:
            if each.namespace == namespace:
                verbs.setdefault(each.target, []).append(each.verb)
        role = f"a Role in the namespace {namespace}" if namespace else "a ClusterRole"
        what = ", ".join(f"{' and '.join(those)} {target}" for target, those in verbs.items())
        parts.append(f"not allowed to {what}; add to {role}: {', '.join(map(str, rules))}")
    return "; ".join(parts)


# --------------------------------------------------------------------------- what the server says


def _version(client: Client) -> str:
    try:
        return str(client.call("GET", "/version").get("gitVersion") or "")
    except ApiError:
        return ""


def _user(client: Client) -> str:
    try:
        answer = client.create(_WHO, {"apiVersion": _WHO.api_version, "kind": _WHO.kind})
    except ApiError:
        return ""  # before Kubernetes 1.28 there is no such question
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def _accesses(needs: Iterable[Need]) -> list[Access]:
    """Every verb once per resource, namespace and name, with all its reasons; what is asked of the whole cluster not again."""
    reasons: dict[tuple[str, str, str, str, str], dict[str, None]] = {}
    for need in needs:
        rule = need.rule
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or ("",):
                    for verb in rule.verbs:
                        reasons.setdefault((need.namespace, group, resource, name, verb), {})[need.reason] = None
    out = []
    for (namespace, group, resource, name, verb), found in reasons.items():
        if namespace and ("", group, resource, name, verb) in reasons:
            continue
        out.append(Access(group, resource, verb, namespace, name, tuple(found)))
    return out


def _rules_for(refused: Iterable[Access]) -> dict[str, list[PolicyRule]]:
    """The rules to add, by namespace; "" for a ClusterRole."""
    return merged(
        Need(PolicyRule((each.group,), (each.resource,), (each.verb,), (each.name,) if each.name else ()), each.namespace, "")
        for each in refused
    )


def _asked(client: Client, access: Access, cancel: Cancel | None = None) -> Access:
    plural, _, subresource = access.resource.partition("/")
    attributes = {
        "group": access.group,
        "resource": plural,
        "subresource": subresource,
        "verb": access.verb,
        "namespace": access.namespace,
        "name": access.name,
    }
    body = {
        "apiVersion": _REVIEW.api_version,
        "kind": _REVIEW.kind,
        "spec": {"resourceAttributes": {field: value for field, value in attributes.items() if value}},
    }
    status = client.create(_REVIEW, body, cancel=cancel).get("status") or {}
    return replace(access, allowed=bool(status.get("allowed")))


# --------------------------------------------------------------------------- what may be wrong


def _without_status(registry: Registry, kinds: Iterable[KindState]) -> Iterable[str]:
    """Reconcilers that write a status of a kind which has none."""
    resources = {state.kind: state.resource for state in kinds}
    for made in registry:
        resource = resources.get(made.kind)
        if resource is None or "status" in resource.subresources:
            continue
        calls = sorted(_names_of(made) & _STATUS_CALLS)
        if calls:
            yield (
                f"{made.where}: {made.name} calls ctx.{calls[0]}, and {resource.kind} has no status subresource: the call will "
                "fail; add `subresources: {status: {}}` to its CustomResourceDefinition"
            )


def _names_of(made: Reconciler) -> set[str]:
    """The names of what a reconciler's functions use, and the functions of their own module that they call."""
    names: set[str] = set()
    functions: list[Any] = [made.function, made.cleanup_function]
    seen: set[int] = set()
    while functions:
        function = functions.pop()
        if not isinstance(function, FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        used = _names_in(function.__code__)
        names |= used
        own = (function.__globals__.get(name) for name in used)
        functions += [each for each in own if getattr(each, "__module__", None) == function.__module__]
    return names


def _names_in(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*(_names_in(each) for each in inner))


def _absent_namespaces(registry: Registry, client: Client, namespaces: Sequence[str]) -> Iterable[str]:
    """Namespaces that are to be watched and do not exist: nothing would ever say so."""
    wanted = dict.fromkeys([*namespaces, *(namespace for made in registry for namespace in made.namespaces)])
    for namespace in wanted:
        try:
            client.get(_NAMESPACE, namespace)
        except NotFound:
            yield f"the namespace {namespace} does not exist (yet)"
        except ApiError:
            continue  # whoever may not look at namespaces cannot be told
