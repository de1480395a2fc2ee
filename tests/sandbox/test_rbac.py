"""Authorisation by Role objects: only what a rule names is allowed, and a refusal says it in the server's words."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.sandbox.rbac import ADMIN, ANONYMOUS, BOOTSTRAP, Attributes, Authorizer, User, forbidden, service_account

OPERATOR = service_account("ops", "operator")


def authorizer(*objects: dict[str, Any]) -> Authorizer:
    held: dict[str, list[Any]] = {"roles": [], "clusterroles": [], "rolebindings": [], "clusterrolebindings": []}
    for obj in (*BOOTSTRAP, *objects):
        held[obj["kind"].lower() + "s"].append(obj)
    return Authorizer(lambda plural: held[plural])


def role(
    *rules: dict[str, Any], kind: str = "Role", name: str = "r", namespace: str | None = "default", **more: Any
) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **more.pop("metadata", {})},
        "rules": list(rules),
        **more,
    }


def binding(
    *, kind: str = "RoleBinding", ref: str = "Role", name: str = "r", namespace: str | None = "default", subject: Any = None
) -> Any:
    subject = subject or {"kind": "ServiceAccount", "name": "operator", "namespace": "ops"}
    return {
        "kind": kind,
        "metadata": {"name": "b", "namespace": namespace},
        "roleRef": {"kind": ref, "name": name},
        "subjects": [subject],
    }


READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        (READ_PODS, Attributes("get", "", "pods", namespace="default", name="a"), True),
        (READ_PODS, Attributes("watch", "", "pods", namespace="default"), False),
        (READ_PODS, Attributes("get", "", "pods", "status", "default", "a"), False),
        (READ_PODS, Attributes("get", "apps", "pods", namespace="default"), False),
        (READ_PODS, Attributes("get", "", "pods", namespace="other"), False),
        (READ_PODS, Attributes("list", "", "pods"), False),
        ({**READ_PODS, "resources": ["pods/status"]}, Attributes("get", "", "pods", "status", "default", "a"), True),
        ({**READ_PODS, "resources": ["*/status"]}, Attributes("get", "", "pods", "status", "default", "a"), True),
        ({**READ_PODS, "resources": ["*"]}, Attributes("get", "", "pods", "status", "default", "a"), True),
        ({**READ_PODS, "verbs": ["*"]}, Attributes("delete", "", "pods", namespace="default", name="a"), True),
        ({**READ_PODS, "apiGroups": ["*"]}, Attributes("get", "apps", "pods", namespace="default"), True),
        ({**READ_PODS, "resourceNames": ["a"]}, Attributes("get", "", "pods", namespace="default", name="a"), True),
        ({**READ_PODS, "resourceNames": ["a"]}, Attributes("get", "", "pods", namespace="default", name="b"), False),
        ({**READ_PODS, "resourceNames": ["a"]}, Attributes("list", "", "pods", namespace="default"), False),
        ({"verbs": None, "resources": 5}, Attributes("get", "", "pods", namespace="default"), False),
    ],
)
def test_a_rule_covers_what_it_names_and_no_more(rule: dict[str, Any], asked: Attributes, allowed: bool) -> None:
    assert authorizer(role(rule), binding()).decide(OPERATOR, asked).allowed is allowed


def test_a_cluster_role_bound_in_a_namespace_holds_there_only() -> None:
    held = authorizer(role(READ_PODS, kind="ClusterRole", namespace=None), binding(ref="ClusterRole"))
    assert held.decide(OPERATOR, Attributes("get", "", "pods", namespace="default")).allowed
    assert not held.decide(OPERATOR, Attributes("get", "", "pods", namespace="other")).allowed


def test_a_cluster_binding_holds_everywhere() -> None:
    held = authorizer(
        role(READ_PODS, kind="ClusterRole", namespace=None), binding(kind="ClusterRoleBinding", ref="ClusterRole", namespace=None)
    )
    assert held.decide(OPERATOR, Attributes("list", "", "pods")).allowed
    decision = held.decide(OPERATOR, Attributes("list", "", "pods", namespace="any"))
    assert decision.reason == 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to ServiceAccount "operator/ops"'


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "User", "name": "system:serviceaccount:ops:operator"},
        {"kind": "Group", "name": "system:serviceaccounts:ops"},
        {"kind": "Group", "name": "system:authenticated"},
    ],
)
def test_subjects_are_users_groups_and_service_accounts(subject: dict[str, str]) -> None:
    held = authorizer(role(READ_PODS), binding(subject=subject))
    assert held.decide(OPERATOR, Attributes("get", "", "pods", namespace="default")).allowed
    assert not held.decide(ANONYMOUS, Attributes("get", "", "pods", namespace="default")).allowed


def test_aggregated_cluster_roles_gather_the_rules_they_select() -> None:
    part = role(READ_PODS, kind="ClusterRole", name="part", namespace=None, metadata={"labels": {"to": "view"}})
    whole = role(
        kind="ClusterRole", name="r", namespace=None, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}
    )
    held = authorizer(part, whole, binding(kind="ClusterRoleBinding", ref="ClusterRole", namespace=None))
    assert held.decide(OPERATOR, Attributes("list", "", "pods")).allowed
    assert not held.decide(OPERATOR, Attributes("list", "", "secrets")).allowed


def test_the_administrator_may_do_everything_and_anyone_may_discover() -> None:
    held = authorizer()
    assert held.decide(ADMIN, Attributes("delete", "", "nodes")).allowed
    assert held.decide(OPERATOR, Attributes("get", path="/apis/apps/v1")).allowed
    assert held.decide(OPERATOR, Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews")).allowed
    assert held.decide(ANONYMOUS, Attributes("get", path="/readyz")).allowed
    assert not held.decide(ANONYMOUS, Attributes("get", path="/apis")).allowed
    assert not held.decide(
        User("stranger", ("system:authenticated",)), Attributes("get", "", "pods", namespace="default")
    ).allowed


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            Attributes("list", "example.com", "websites", namespace="default"),
            'websites.example.com is forbidden: User "u" cannot list resource "websites" in API group "example.com" in the namespace "default"',
        ),
        (
            Attributes("patch", "", "pods", "status", "default", "a"),
            'pods "a" is forbidden: User "u" cannot patch resource "pods/status" in API group "" in the namespace "default"',
        ),
        (
            Attributes("list", "", "nodes"),
            'nodes is forbidden: User "u" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
        (Attributes("get", path="/metrics"), 'forbidden: User "u" cannot get path "/metrics"'),
    ],
)
def test_a_refusal_speaks_the_servers_words(asked: Attributes, message: str) -> None:
    error = forbidden(User("u"), asked)
    assert error.message == message
    assert error.code == 403
