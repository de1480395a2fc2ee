"""Authorisation by the Role objects a server holds, with the server's own words, so that an operator's permissions can be tried.

Pure: the roles and bindings are asked of a function, a request is an `Attributes`, and the answer is a `Decision`.
As in kube-apiserver, rules only allow; a subject without a matching rule is refused. Groups, service accounts, wildcards,
`resourceNames`, subresources (`pods/status`, `*/scale`), non-resource URLs and aggregated ClusterRoles count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from operator_kit.objects import Object, metadata_of, name_of, namespace_of
from operator_kit.sandbox.status import StatusError
from operator_kit.selectors import LabelSelector

__all__ = ["ADMIN", "ANONYMOUS", "BOOTSTRAP", "Attributes", "Authorizer", "Decision", "User", "forbidden", "service_account"]


class User(NamedTuple):
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))
"""The user of the kubeconfig that the sandbox writes."""
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
"""A request without a token."""


def service_account(namespace: str, name: str, uid: str = "") -> User:
    """The user that a service account's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request asks for. `path` is set, and the resource is not, for a non-resource URL such as `/healthz`."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole_resource(self) -> str:
        """`"pods"` or `"pods/status"`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    """Whether a request is allowed, and by which binding."""

    allowed: bool
    reason: str = ""


Objects = Callable[[str], Iterable[Object]]
"""From a plural of `rbac.authorization.k8s.io` (`"rolebindings"`) to the objects of it that the server holds."""


class Authorizer:
    """Decides from the roles and bindings as they are at the moment of asking."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Whether `user` may do what is asked."""
        if "system:masters" in user.groups:
            return Decision(True)
        for reason, rules in self._bound(user, asked.namespace):
            if any(_covers(rule, asked) for rule in rules):
                return Decision(True, f"RBAC: allowed by {reason}")
        return Decision(False)

    def rules_for(self, user: User, namespace: str) -> list[Mapping[str, Any]]:
        """Every rule that holds for the user in a namespace: what a SelfSubjectRulesReview lists."""
        if "system:masters" in user.groups:
            return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        return [rule for _, rules in self._bound(user, namespace) for rule in rules]

    def _bound(self, user: User, namespace: str) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
        cluster_roles = {name_of(role): role for role in self._objects("clusterroles")}
        for binding in self._objects("clusterrolebindings"):
            subject = _subject(binding, user)
            role = _mapping(binding.get("roleRef")).get("name", "")
            if subject and role in cluster_roles:
                reason = f'ClusterRoleBinding "{name_of(binding)}" of ClusterRole "{role}" to {subject}'
                yield reason, _rules(cluster_roles[role], cluster_roles)
        if not namespace:
            return
        roles = {name_of(role): role for role in self._objects("roles") if namespace_of(role) == namespace}
        for binding in self._objects("rolebindings"):
            if namespace_of(binding) != namespace or not (subject := _subject(binding, user)):
                continue
            reference = _mapping(binding.get("roleRef"))
            kind, name = reference.get("kind", ""), reference.get("name", "")
            role = (cluster_roles if kind == "ClusterRole" else roles).get(name)
            if role is not None:
                reason = f'RoleBinding "{name_of(binding)}/{namespace}" of {kind} "{name}" to {subject}'
                yield reason, _rules(role, cluster_roles)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _subject(binding: Object, user: User) -> str:
    """The subject of the binding that the user is, as messages name it, or empty."""
    for raw in binding.get("subjects") or []:
        subject = _mapping(raw)
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        namespace = subject.get("namespace") or namespace_of(binding)
        if kind == "ServiceAccount" and user.name == f"system:serviceaccount:{namespace}:{name}":
            return f'ServiceAccount "{name}/{namespace}"'
    return ""


def _rules(role: Object, cluster_roles: Mapping[str, Object]) -> list[Mapping[str, Any]]:
    """The rules of a role, with those a ClusterRole aggregates."""
    rules = [rule for rule in role.get("rules") or [] if isinstance(rule, Mapping)]
    for raw in _mapping(role.get("aggregationRule")).get("clusterRoleSelectors") or []:
        try:
            selector = LabelSelector.from_dict(_mapping(raw))
        except ValueError:
            continue  # a selector that cannot be read selects nothing, as on a server
        for other in cluster_roles.values():
            if other is not role and selector.matches(_mapping(metadata_of(other).get("labels"))):
                rules += [rule for rule in other.get("rules") or [] if isinstance(rule, Mapping)]
    return rules


def _covers(rule: Mapping[str, Any], asked: Attributes) -> bool:
    verbs = _texts(rule.get("verbs"))
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if asked.path:
        urls = _texts(rule.get("nonResourceURLs"))
        return any(url in {"*", asked.path} or (url.endswith("*") and asked.path.startswith(url[:-1])) for url in urls)
    groups = _texts(rule.get("apiGroups"))
    if "*" not in groups and asked.group not in groups:
        return False
    resources = _texts(rule.get("resources"))
    wanted = {"*", asked.whole_resource} | ({f"*/{asked.subresource}"} if asked.subresource else set())
    if not wanted.intersection(resources):
        return False
    names = _texts(rule.get("resourceNames"))
    return not names or asked.name in names


def forbidden(user: User, asked: Attributes) -> StatusError:
    """The 403 a server answers with, in its words."""
    if asked.path:
        message = f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"'
        return StatusError(403, "Forbidden", message, {})
    whole = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    subject = f'{whole} "{asked.name}"' if asked.name else whole
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {asked.verb} resource "{asked.whole_resource}" '
        f'in API group "{asked.group}" {scope}'
    )
    details = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    return StatusError(403, "Forbidden", message, {key: value for key, value in details.items() if value})


def _cluster_role(name: str, *rules: dict[str, Any]) -> Object:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        "rules": list(rules),
    }


def _cluster_binding(name: str, *groups: str) -> Object:
    api = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group} for group in groups],
    }


_DISCOVERY_URLS = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
]
_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]

BOOTSTRAP: tuple[Object, ...] = (
    _cluster_role(
        "cluster-admin",
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ),
    _cluster_role("system:discovery", {"nonResourceURLs": _DISCOVERY_URLS, "verbs": ["get"]}),
    _cluster_role(
        "system:basic-user",
        {"apiGroups": ["authorization.k8s.io"], "resources": _REVIEWS, "verbs": ["create"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ),
    _cluster_role(
        "system:public-info-viewer",
        {"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]},
    ),
    _cluster_binding("cluster-admin", "system:masters"),
    _cluster_binding("system:discovery", "system:authenticated"),
    _cluster_binding("system:basic-user", "system:authenticated"),
    _cluster_binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
)
"""The roles and bindings that a server makes at its start, as far as an operator meets them."""
