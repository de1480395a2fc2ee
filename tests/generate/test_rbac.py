"""Roles hold what registered code needs and nothing else, and say it the same way each time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.controller import Registry
from operator_kit.errors import AmbiguousKind, ConfigError, KindNotFound
from operator_kit.generate import (
    Kinds,
    Need,
    all_rules,
    lease_needs,
    manifest,
    merged,
    needs_of,
    resources_of_crd,
    resources_of_models,
    rules_text,
    values_text,
)
from operator_kit.objects import Resource
from operator_kit.permissions import PolicyRule
from tests.generate.sites import Website

READ = ("get", "list", "watch")
OWN = (*READ, "create", "patch", "delete")
EVENTS = PolicyRule(("events.k8s.io",), ("events",), ("create", "patch"))
STATUS = frozenset({"status"})
KINDS = Kinds(
    [
        Resource("example.com", "v1", "Site", "sites", subresources=STATUS),
        Resource("example.com", "v1", "Plain", "plains"),
        Resource("example.com", "v1", "Region", "regions", namespaced=False, subresources=STATUS),
        Resource("", "v1", "ConfigMap", "configmaps"),
        Resource("", "v1", "Secret", "secrets"),
        Resource("", "v1", "Node", "nodes", namespaced=False, subresources=STATUS),
        Resource("apps", "v1", "Deployment", "deployments", subresources=STATUS | {"scale"}),
    ]
)


def nothing(obj: Any, ctx: Any) -> None:
    pass


def needs(*namespaces: str, kind: str = "Site", cleanup: bool = False, **options: Any) -> list[Need]:
    registry = Registry()
    made = registry.reconciler(kind, name="it", **options)(nothing)
    if cleanup:
        made.cleanup(nothing)
    return needs_of(registry, KINDS.resolve, namespaces=namespaces)


def rules(*namespaces: str, **options: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    """By namespace, the verbs of each resource."""
    return {
        namespace: {resource: rule.verbs for rule in found for resource in rule.resources}
        for namespace, found in merged(needs(*namespaces, **options)).items()
    }


# ------------------------------------------------------------------ what is needed


def test_a_reconciler_reads_its_kind_writes_the_status_and_records_events() -> None:
    assert rules() == {"": {"sites": READ, "sites/status": ("patch",), "events": ("create", "patch")}}


def test_without_a_status_subresource_none_is_written() -> None:
    assert rules(kind="Plain") == {"": {"plains": READ, "events": ("create", "patch")}}


def test_a_cleanup_is_what_patches_the_object_itself() -> None:
    assert rules(cleanup=True)[""]["sites"] == (*READ, "patch")


def test_children_are_written_and_their_owner_is_blocked_by_them() -> None:
    found = rules(owns=["apps/v1/Deployment", "v1/Secret"])[""]
    assert found["deployments"] == found["secrets"] == OWN
    assert found["sites/finalizers"] == ("update",)


def test_children_that_no_owner_reference_reaches_bring_a_finalizer() -> None:
    found = rules(owns_by_label=["v1/Node"])[""]
    assert found["nodes"] == OWN
    assert found["sites"] == (*READ, "patch")
    assert "sites/finalizers" not in found


def test_a_task_needs_what_it_declares() -> None:
    registry = Registry()
    registry.every("1m", name="tick", permissions=["list v1/Node"])(lambda ctx: None)
    assert merged(needs_of(registry, KINDS.resolve)) == {"": [PolicyRule(("",), ("nodes",), ("list",))]}
    registry.every("1m", name="look", reads=["v1/Node"])(lambda ctx: None)
    assert merged(needs_of(registry, KINDS.resolve)) == {"": [PolicyRule(("",), ("nodes",), READ)]}


def test_what_is_watched_or_read_is_never_written() -> None:
    found = rules(watches={"v1/ConfigMap": lambda obj: []}, reads=["v1/Node"])[""]
    assert found["configmaps"] == found["nodes"] == READ
    assert "sites/finalizers" not in found


def test_what_is_declared_is_added() -> None:
    rule = PolicyRule(("metrics.k8s.io",), ("pods",), ("list",), ("one",))
    declared = ["get v1/Secret", "update apps/v1/Deployment/scale", rule]
    assert rules(permissions=declared)[""] == {
        **rules()[""],
        "secrets": ("get",),
        "deployments/scale": ("update",),
        "pods": ("list",),
    }


def test_a_registry_declares_for_the_whole_operator() -> None:
    registry = Registry(permissions=["get v1/Secret"])
    registry.reconciler("Site")(nothing)
    found = merged(needs_of(registry, KINDS.resolve, namespaces=["a", "b"]))
    secrets = PolicyRule(("",), ("secrets",), ("get",))
    assert secrets in found["a"]
    assert secrets in found["b"]


# ------------------------------------------------------------------ where it is needed


def test_in_namespaces_every_rule_is_a_roles() -> None:
    found = rules("b", "a", owns=["v1/Secret"])
    assert list(found) == ["a", "b"]
    assert found["a"] == found["b"] == rules(owns=["v1/Secret"])[""]


def test_what_has_no_namespace_needs_a_cluster_role_all_the_same() -> None:
    found = rules("a", reads=["v1/Node"])
    assert found[""] == {"nodes": READ}
    assert "nodes" not in found["a"]


def test_events_about_what_has_no_namespace_are_written_to_default() -> None:
    assert rules("a", kind="Region") == {
        "": {"regions": READ, "regions/status": ("patch",)},
        "default": {"events": ("create", "patch")},
    }
    assert rules(kind="Region")[""]["events"] == ("create", "patch")


def test_a_reconciler_with_namespaces_of_its_own_needs_nothing_elsewhere() -> None:
    registry = Registry()
    registry.reconciler("Site", namespaces=["only"])(nothing)
    registry.reconciler("Plain")(nothing)
    found = merged(needs_of(registry, KINDS.resolve))
    assert PolicyRule(("example.com",), ("sites",), READ) in found["only"]
    assert all("sites" not in rule.resources for rule in found[""])
    assert EVENTS not in found["only"]  # the cluster role allows them there too


def test_a_permission_in_one_namespace_is_a_role_there() -> None:
    assert rules("a", permissions=["create v1/ConfigMap in dns"])["dns"] == {"configmaps": ("create",)}
    assert "dns" not in rules(owns=["v1/ConfigMap"], permissions=["create v1/ConfigMap in dns"])


def test_only_the_lease_that_is_known_may_be_taken_and_events_tell_who_leads() -> None:
    assert merged(lease_needs("ops")) == {
        "ops": [PolicyRule(("coordination.k8s.io",), ("leases",), ("get", "create", "update")), EVENTS]
    }
    assert merged(lease_needs("ops", "mine"))["ops"] == [
        PolicyRule(("coordination.k8s.io",), ("leases",), ("create",)),
        PolicyRule(("coordination.k8s.io",), ("leases",), ("get", "update"), ("mine",)),
        EVENTS,
    ]


# ------------------------------------------------------------------ merging

words = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2, unique=True).map(tuple)
names = st.one_of(st.just(()), words)
verbs = st.lists(st.sampled_from(["get", "list", "patch", "*"]), min_size=1, max_size=3, unique=True).map(tuple)
some_needs = st.lists(
    st.builds(Need, st.builds(PolicyRule, words, words, verbs, names), st.sampled_from(["", "x", "y"]), st.just("")), max_size=8
)


def allows(rules: dict[str, list[PolicyRule]], asked: tuple[str, str, str, str, str]) -> bool:
    """As RBAC decides; the name "" is a request without one."""
    namespace, group, resource, verb, name = asked
    return any(
        group in rule.api_groups
        and resource in rule.resources
        and (verb in rule.verbs or "*" in rule.verbs)
        and (not rule.resource_names or name in rule.resource_names)
        for where in {"", namespace}
        for rule in rules.get(where, [])
    )


@settings(deadline=None, max_examples=60)
@given(some_needs)
def test_merged_rules_allow_what_each_need_allows_and_nothing_else(found: list[Need]) -> None:
    apart: dict[str, list[PolicyRule]] = {}
    for need in found:
        apart.setdefault(need.namespace, []).append(need.rule)
    together = merged(found)
    for question in itertools.product(["", "x", "y"], "abc", "abc", ["get", "list", "patch"], ["", "a", "b", "c"]):
        assert allows(together, question) == allows(apart, question), question


@settings(deadline=None, max_examples=60)
@given(some_needs, st.randoms())
def test_the_order_in_which_needs_come_does_not_matter(found: list[Need], random: Any) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert merged(shuffled) == merged(found)


# ------------------------------------------------------------------ as text


def test_a_manifest_is_roles_with_their_bindings() -> None:
    text = manifest({"op": needs("a", reads=["v1/Node"]), "op-leader-election": lease_needs("ops")}, ("ops", "me"))
    found = list(yaml.safe_load_all(text))
    assert [(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")) for each in found] == [
        ("ClusterRole", "op", ""),
        ("ClusterRoleBinding", "op", ""),
        ("Role", "op", "a"),
        ("RoleBinding", "op", "a"),
        ("Role", "op-leader-election", "ops"),
        ("RoleBinding", "op-leader-election", "ops"),
    ]
    for binding in found[1::2]:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "namespace": "ops", "name": "me"}]
    assert [binding["roleRef"] for binding in found[1::2]] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]} for role in found[::2]
    ]


def test_rules_look_as_people_write_them() -> None:
    text = rules_text(all_rules(needs(owns=["v1/ConfigMap", "v1/Secret"])))
    assert text == (
        '- apiGroups: [""]\n'
        "  resources: [configmaps, secrets]\n"
        "  verbs: [get, list, watch, create, patch, delete]\n"
        "- apiGroups: [events.k8s.io]\n"
        "  resources: [events]\n"
        "  verbs: [create, patch]\n"
        "- apiGroups: [example.com]\n"
        "  resources: [sites]\n"
        "  verbs: [get, list, watch]\n"
        "- apiGroups: [example.com]\n"
        "  resources: [sites/finalizers]\n"
        "  verbs: [update]\n"
        "- apiGroups: [example.com]\n"
        "  resources: [sites/status]\n"
        "  verbs: [patch]\n"
    )


def test_values_say_where_each_rule_is_granted_and_leave_events_to_the_chart() -> None:
    def values(*namespaces: str, **options: Any) -> Any:
        return yaml.safe_load(values_text(needs(*namespaces, **options), namespaces))

    sites = {"apiGroups": ["example.com"], "resources": ["sites"], "verbs": list(READ)}
    status = {"apiGroups": ["example.com"], "resources": ["sites/status"], "verbs": ["patch"]}
    nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": list(READ)}
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
    assert values() == {"rbac": {"rules": [sites, status]}}
    assert values("a", "b", reads=["v1/Node"], permissions=["create v1/ConfigMap in dns"]) == {
        "rbac": {"rules": [sites, status], "clusterRules": [nodes], "namespaceRules": {"dns": [maps]}},
        "watchNamespaces": ["a", "b"],
    }
    events = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}
    assert values("a", kind="Region")["rbac"]["namespaceRules"] == {"default": [events]}


def of_values(text: str) -> dict[str, list[PolicyRule]]:
    """What the chart grants with these values, by namespace."""
    found = yaml.safe_load(text)
    rbac, watched = found["rbac"], found.get("watchNamespaces", [""])
    out: dict[str, list[PolicyRule]] = {"": rules_of(rbac.get("clusterRules", []))}
    for namespace in watched:
        out[namespace] = [*out.get(namespace, []), *rules_of(rbac["rules"])]
    for namespace, rules in rbac.get("namespaceRules", {}).items():
        out[namespace] = [*out.get(namespace, []), *rules_of(rules)]
    return out


def rules_of(documents: list[Any]) -> list[PolicyRule]:
    return [
        PolicyRule(tuple(each["apiGroups"]), tuple(each["resources"]), tuple(each["verbs"]), tuple(each.get("resourceNames", ())))
        for each in documents
    ]


@settings(deadline=None, max_examples=60)
@given(some_needs, st.sampled_from([(), ("x",), ("x", "y"), ("z",)]))
def test_values_grant_what_each_need_allows_and_nothing_else(found: list[Need], watched: tuple[str, ...]) -> None:
    apart: dict[str, list[PolicyRule]] = {}
    for need in found:
        apart.setdefault(need.namespace, []).append(need.rule)
    granted = of_values(values_text(found, watched))
    for question in itertools.product(["", "x", "y", "z"], "abc", "abc", ["get", "list", "patch"], ["", "a", "b", "c"]):
        assert allows(granted, question) == allows(apart, question), question


# ------------------------------------------------------------------ kinds without a server


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("Sitee", "the kind Sitee is not known here; did you mean Site?; give its definition with --crd FILE"),
        ("example.com/v2/Site", "there is example.com/v1/Site; give its definition"),
        ("Nonsense", "the kind Nonsense is not known here; give its definition with --crd FILE, or an API server"),
    ],
)
def test_a_kind_that_is_not_known_is_told_with_the_remedy_and_who_wants_it(kind: str, says: str) -> None:
    with pytest.raises(KindNotFound) as caught:
        needs(kind=kind)
    assert says in str(caught.value)
    assert "test_rbac.py:" in str(caught.value)
    assert "it: " in str(caught.value)


def test_a_kind_of_two_groups_must_be_written_with_its_group() -> None:
    kinds = Kinds([Resource(group, "v1", "Site", "sites") for group in ("a.com", "b.com")])
    with pytest.raises(AmbiguousKind, match=r"write Site\.a\.com or Site\.b\.com"):
        kinds.resolve("Site")
    assert kinds.resolve("Site.b.com").group == "b.com"


def test_a_definition_gives_each_served_version() -> None:
    crd = yaml.safe_load(
        """
        metadata: {name: sites.example.com}
        spec:
          group: example.com
          scope: Cluster
          names: {kind: Site, plural: sites}
          versions:
            - {name: v1beta1, served: true, storage: false}
            - {name: v1alpha1, served: false, storage: false}
            - {name: v1, served: true, storage: true, subresources: {status: {}}}
        """
    )
    found = list(resources_of_crd(crd, "crd.yaml"))
    assert [(each.version, each.namespaced, each.subresources) for each in found] == [
        ("v1", False, STATUS),
        ("v1beta1", False, frozenset()),
    ]
    assert Kinds(found).resolve("Site").version == "v1"
    del crd["spec"]["names"]
    with pytest.raises(
        ConfigError, match=r"crd\.yaml: the CustomResourceDefinition sites\.example\.com is not complete: .*names"
    ):
        list(resources_of_crd(crd, "crd.yaml"))


def test_a_model_is_its_own_definition() -> None:
    registry = Registry()
    registry.reconciler(Website)(nothing)
    registry.reconciler("Other")(nothing)
    (found,) = resources_of_models(registry)
    assert (found.kind, found.plural) == ("Website", "websites")
    assert "status" in found.subresources
