"""The permissions are proven: the example operator does its whole job with the roles that `operator-kit rbac` prints, and no others."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from operator_kit.api import Client
from operator_kit.cache import ReflectorSettings
from operator_kit.cli import main
from operator_kit.codec import clone
from operator_kit.generate import check, ungranted
from operator_kit.manager import load_targets
from operator_kit.objects import Object, Resource
from operator_kit.permissions import PolicyRule
from operator_kit.sandbox import Sandbox
from operator_kit.sandbox.rbac import Attributes
from operator_kit.settings import load
from operator_kit.testing.assertions import assert_condition, assert_event
from operator_kit.testing.cluster import Cluster
from operator_kit.testing.running import RunningOperator
from tests.processes import ROOT, eventually, free_port, operator_kit

EXAMPLE = str(ROOT / "examples" / "website.py")
CRD = ROOT / "examples" / "website" / "crd.yaml"
USER = "system:serviceaccount:default:website"
ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts")
ROLE, CLUSTER_ROLE = "rbac.authorization.k8s.io/v1/Role", "rbac.authorization.k8s.io/v1/ClusterRole"

pytestmark = pytest.mark.sandbox(rbac=True, tls=True, workloads=0.01)


class Guarded:
    """A server that authorises, a service account with the roles of the example, and what was asked with its token."""

    def __init__(self, sandbox: Sandbox, cluster: Cluster) -> None:
        self.sandbox = sandbox
        self.cluster = cluster
        self.allowed: set[tuple[str, str]] = set()
        self.refused: list[str] = []
        self._lock = threading.Lock()
        cluster.load(CRD)
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dns"}})
        cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "website"}})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        made = cluster.client.create(ACCOUNTS, asked, namespace="default", name="website", subresource="token")
        self.kubeconfig = sandbox.kubeconfig()
        self.kubeconfig["users"][0]["user"] = {"token": made["status"]["token"]}
        self._record()

    def _record(self) -> None:
        """Keep what the server decides about the service account. On the server's own thread, before anything else runs."""
        guard = self.sandbox.app.guard
        decide = guard.decide

        def recorded(user: Any, asked: Attributes) -> Any:
            decision = decide(user, asked)
            if (asked.verb, asked.resource) == ("get", "namespaces"):
                return decision  # only a review: it asks whether it may look, and does not where it may not
            if user.name == USER and asked.group != "authorization.k8s.io" and not asked.path:
                with self._lock:
                    self.allowed.add((asked.whole_resource, asked.verb))
                    if not decision.allowed:
                        self.refused.append(f"{asked.verb} {asked.whole_resource} in {asked.namespace or 'all namespaces'}")
            return decision

        guard.decide = recorded  # type: ignore[method-assign]

    def client(self) -> Client:
        return Client.from_kubeconfig_dict(self.kubeconfig)

    @contextmanager
    def operator(self, **settings: Any) -> Iterator[RunningOperator]:
        """The example, with the token of the service account."""
        election = {"leader_elect": True, "leader_election_id": "website"}
        loaded, _ = load(flags={"request_timeout": 20, "backoff_max": 0.5, "shutdown_timeout": 20, **election, **settings})
        running = RunningOperator(
            load_targets([EXAMPLE]),
            self.client(),
            self.cluster.client,
            loaded,
            reflector=ReflectorSettings(watch_timeout=(5.0, 5.0), silence=10.0, backoff_base=0.02, backoff_max=0.2),
        )
        running.start()
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture
def guarded(sandbox: Sandbox, cluster: Cluster) -> Guarded:
    return Guarded(sandbox, cluster)


def probe(address: str) -> tuple[int, str]:
    """What /readyz answers; 0 while nobody does."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz?verbose", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def printed(*arguments: str) -> list[Object]:
    """What `operator-kit rbac` prints for the example."""
    done = CliRunner().invoke(main, ["rbac", "--crd", str(CRD), "--leader-election-id", "website", *arguments, EXAMPLE])
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.output))


def the_whole_job(cluster: Cluster, running: RunningOperator) -> None:
    """Everything that the example does: create, change, scale, mend a child, record events, fail, clean up."""
    site = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "blog"}}
    cluster.create({**site, "spec": {"html": "one", "replicas": 1, "domain": "blog.example.com"}})
    cluster.wait("Website", "blog", lambda obj: assert_condition(obj, "Available", True))
    assert cluster.get("v1/ConfigMap", "default.blog", namespace="dns") is not None

    cluster.patch("Website", "blog", {"spec": {"html": "two", "replicas": 2}})
    cluster.wait("apps/v1/Deployment", "blog", {"spec": {"replicas": 2}})
    cluster.wait("v1/ConfigMap", "blog-html", {"data": {"index.html": "two"}})
    cluster.patch("apps/v1/Deployment", "blog", {"spec": {"replicas": 7}})
    cluster.wait("apps/v1/Deployment", "blog", {"spec": {"replicas": 2}})
    cluster.delete("v1/Service", "blog")
    cluster.wait("v1/Service", "blog")

    cluster.create({**site, "metadata": {"name": "broken"}, "spec": {"htmlFrom": {"configMap": "page"}}})
    cluster.wait("Website", "broken", lambda obj: assert_condition(obj, "Available", False, reason="PageMissing"))
    cluster.wait("Website", "broken", lambda obj: assert_event(cluster.events_of(obj), reason="TemporaryError"))
    cluster.wait("Website", "broken", lambda obj: any("series" in event for event in cluster.events_of(obj)))  # it happened again
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "page", "labels": {"example.com/site": "broken"}},
            "data": {"index.html": "three"},
        }
    )
    cluster.wait("Website", "broken", lambda obj: assert_condition(obj, "Available", True))

    for name in ("blog", "broken"):
        cluster.delete("Website", name)
        cluster.wait_gone("Website", name)
        cluster.wait_gone("apps/v1/Deployment", name)
    assert cluster.get("v1/ConfigMap", "default.blog", namespace="dns") is None
    running.settle()


SPARED = {
    ("websites", "get"): "after a conflict, and where the cache is behind the operator's own writes",
    ("configmaps", "get"): "where the cache is behind",
    ("deployments", "get"): "where the cache is behind",
    ("services", "get"): "where the cache is behind",
    ("deployments", "delete"): "ctx.delete of a child, and adopting one where owner references are enforced",
    ("services", "delete"): "the same",
    ("websites/finalizers", "update"): "where owner references are enforced",
}
"""What is granted and not asked for in this job, with when it is."""


@pytest.mark.parametrize("arguments", [(), ("--namespaced", "default")], ids=["cluster", "namespaced"])
def test_with_exactly_the_printed_roles_the_example_does_its_whole_job(guarded: Guarded, arguments: tuple[str, ...]) -> None:
    roles = printed(*arguments)
    guarded.cluster.load(*roles)
    with guarded.operator(namespace=arguments[1:]) as running:
        the_whole_job(guarded.cluster, running)
    assert guarded.refused == []
    granted = {
        (resource, verb)
        for role in roles
        for rule in role.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert guarded.allowed <= granted
    assert granted - guarded.allowed <= set(SPARED)


def without(roles: Sequence[Object]) -> Iterator[tuple[Object, str, str, str]]:
    """Every role with one verb on one resource less: the role, and the group, resource and verb that are gone."""
    for role in roles:
        for position, rule in enumerate(role.get("rules", ())):
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    less = clone(role)
                    others = [other for other in rule["resources"] if other != resource]
                    verbs = [other for other in rule["verbs"] if other != verb]
                    less["rules"][position : position + 1] = [
                        *([{**rule, "resources": others}] if others else []),
                        *([{**rule, "resources": [resource], "verbs": verbs}] if verbs else []),
                    ]
                    yield less, rule["apiGroups"][0], resource, verb


@pytest.mark.parametrize("arguments", [(), ("--namespaced", "default")], ids=["cluster", "namespaced"])
def test_every_single_permission_that_is_taken_away_is_named_by_check(guarded: Guarded, arguments: tuple[str, ...]) -> None:
    roles = printed("--no-leader-election", *arguments)
    guarded.cluster.load(*roles)
    registry = load_targets([EXAMPLE])
    client = guarded.client()
    try:
        assert check(registry, client, namespaces=arguments[1:]).ok
        assert ungranted(registry, client, namespaces=arguments[1:]) == ""
        for less, group, resource, verb in without(roles):
            guarded.cluster.load(less)
            report = check(registry, client, namespaces=arguments[1:])
            namespace = less["metadata"].get("namespace", "")
            assert [(each.namespace, each.group, each.resource, each.verb) for each in report.refused] == [
                (namespace, group, resource, verb)
            ]
            rule = PolicyRule((group,), (resource,), (verb,))
            assert report.missing_rules == {namespace: [rule]}
            told = ungranted(registry, client, namespaces=arguments[1:])  # what /readyz says
            assert told.startswith(f"not allowed to {verb} {report.refused[0].target}; add to a ")
            assert told.endswith(f": {rule}")
            guarded.cluster.load(
                next(role for role in roles if role["metadata"] == less["metadata"] and role["kind"] == less["kind"])
            )
    finally:
        client.close()


@pytest.mark.sandbox(owner_permissions=True)
def test_the_printed_roles_are_enough_where_the_permissions_of_owner_references_are_enforced(guarded: Guarded) -> None:
    """As on OpenShift. A child is created, another one adopted; without `update` on the finalizers neither is."""
    cluster, roles = guarded.cluster, printed()
    cluster.load(*roles)
    stray = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "blog"}, "spec": {"ports": [{"port": 80}]}}
    site = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "blog"}, "spec": {"html": "one"}}
    cluster.create(stray)
    cluster.create(site)
    (less,) = [role for role, _, resource, _ in without(roles) if resource == "websites/finalizers"]
    cluster.load(less)
    with guarded.operator():
        cluster.wait_event("Website", "blog", reason="Forbidden", message="you can't set finalizers on")
        assert cluster.get("v1/ConfigMap", "blog-html") is None
        cluster.load(*roles)
        cluster.wait("v1/ConfigMap", "blog-html", lambda obj: obj["metadata"]["ownerReferences"][0]["blockOwnerDeletion"])
        cluster.wait("v1/Service", "blog", lambda obj: obj["metadata"]["ownerReferences"][0]["controller"])
        cluster.wait("Website", "blog", lambda obj: assert_condition(obj, "Available", True))


def test_a_write_that_is_not_granted_makes_it_unready_with_the_rule_before_it_is_due(guarded: Guarded, tmp_path: Path) -> None:
    """There is nothing to reconcile, so nothing is refused."""
    roles = printed()
    guarded.cluster.load(*roles)
    (less,) = [role for role, _, resource, verb in without(roles) if (resource, verb) == ("services", "delete")]
    guarded.cluster.load(less)
    kubeconfig, address = tmp_path / "kubeconfig", f"127.0.0.1:{free_port()}"
    kubeconfig.write_text(yaml.safe_dump(guarded.kubeconfig), "utf-8")
    election = ("--leader-elect", "--leader-election-id", "website")
    arguments = ("run", "--kubeconfig", str(kubeconfig), *election, "--health-probe-bind-address", address, EXAMPLE)
    with operator_kit(*arguments, log=tmp_path / "log") as process:
        missing = f"not allowed to delete services; add to a ClusterRole: {PolicyRule(('',), ('services',), ('delete',))}"
        eventually(lambda: f"[-]permissions failed: {missing}" in probe(address)[1], "it is named", timeout=60)
        assert probe(address)[0] == 500
        eventually(lambda: missing in process.output(), "it is logged")
        guarded.cluster.load(*roles)
        eventually(lambda: probe(address)[0] == 200, "it is ready", timeout=60)
        eventually(lambda: "all permissions are granted, after" in process.output(), "it is logged that it is over")
        assert process.stop() == 0


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_a_cache_that_may_not_read_says_so_and_names_the_rule(guarded: Guarded, verb: str) -> None:
    roles = printed()
    for less, group, resource, gone in without(roles):
        if gone != verb:
            continue
        guarded.cluster.load(*roles)
        guarded.cluster.load(less)
        with guarded.operator() as running:
            rule = f"Add to a ClusterRole: {PolicyRule((group,), (resource,), ('get', 'list', 'watch'))}"

            def said(text: str = f"not allowed to list and watch {resource}", rule: str = rule) -> bool:
                problems = running.manager.problems()
                return len(problems) == 1 and text in problems[0] and rule in problems[0]

            eventually(said, f"the problem with {verb} {resource}, and no other")
            eventually(lambda: rule in " ".join(running.manager.probes.ready.look()["caches"]), "what /readyz?verbose shows")  # noqa: B023
