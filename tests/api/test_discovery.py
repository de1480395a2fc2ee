"""What a kind's name means."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.api.discovery import Discovery
from operator_kit.clock import FakeClock
from operator_kit.errors import AmbiguousKind, ConnectionFailed, KindNotFound, ServerError, UsageError
from operator_kit.objects import GVK


def resource(kind: str, plural: str, **more: Any) -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"kind": kind},
        "scope": "Namespaced",
        "singularResource": kind.lower(),
        "verbs": ["list", "watch"],
        **more,
    }


def group(name: str, *versions: tuple[str, list[dict[str, Any]]], freshness: str = "Current") -> dict[str, Any]:
    return {
        "metadata": {"name": name} if name else {},
        "versions": [{"version": version, "resources": list(listed), "freshness": freshness} for version, listed in versions],
    }


def aggregated(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "APIGroupDiscoveryList", "items": list(groups)}


class Server:
    """Answers discovery, in the new form or the old."""

    def __init__(self, *groups: dict[str, Any], legacy: bool = False) -> None:
        self.groups = list(groups)
        self.legacy = legacy
        self.broken: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, path: str, accept: str, cancel: Any) -> dict[str, Any]:
        self.asked.append(path)
        if path in self.broken:
            raise ServerError("the server is down", status=503)
        core = [entry for entry in self.groups if not entry["metadata"]]
        named = [entry for entry in self.groups if entry["metadata"]]
        if not self.legacy:
            return aggregated(*(core if path == "/api" else named))
        if path == "/api":
            return {"kind": "APIVersions", "versions": [v["version"] for entry in core for v in entry["versions"]]}
        if path == "/apis":
            return {
                "kind": "APIGroupList",
                "groups": [
                    {
                        "name": entry["metadata"]["name"],
                        "versions": [{"version": v["version"]} for v in reversed(entry["versions"])],
                        "preferredVersion": {"version": entry["versions"][0]["version"]},
                    }
                    for entry in named
                ],
            }
        name, _, version = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")
        listed: list[dict[str, Any]] = []
        for entry in self.groups:
            for v in entry["versions"]:
                if entry["metadata"].get("name", "") == name and v["version"] == version:
                    for r in v["resources"]:
                        names = {"kind": r["responseKind"]["kind"], "namespaced": r["scope"] == "Namespaced", "verbs": r["verbs"]}
                        listed.append({"name": r["resource"], "singularName": r["singularResource"], **names})
                        listed += [
                            {"name": f"{r['resource']}/{s['subresource']}", "kind": "X"} for s in r.get("subresources", [])
                        ]
        return {"kind": "APIResourceList", "resources": listed}


CORE = group("", ("v1", [resource("Secret", "secrets"), resource("Event", "events"), resource("Node", "nodes", scope="Cluster")]))
APPS = group("apps", ("v1", [resource("Deployment", "deployments", subresources=[{"subresource": "scale"}])]))
EVENTS = group("events.k8s.io", ("v1", [resource("Event", "events")]))
SITES = group(
    "example.com",
    ("v2", [resource("Website", "websites")]),
    ("v1", [resource("Website", "websites"), resource("Old", "olds")]),
)


@pytest.fixture(params=[False, True], ids=["aggregated", "legacy"])
def server(request: pytest.FixtureRequest) -> Server:
    return Server(CORE, APPS, EVENTS, SITES, legacy=request.param)


@pytest.mark.parametrize(
    ("name", "gvk", "plural"),
    [
        ("Secret", "v1/Secret", "secrets"),
        ("v1/Secret", "v1/Secret", "secrets"),
        ("Deployment", "apps/v1/Deployment", "deployments"),
        ("Deployment.apps", "apps/v1/Deployment", "deployments"),
        ("apps/v1/Deployment", "apps/v1/Deployment", "deployments"),
        ("Website", "example.com/v2/Website", "websites"),
        ("Website.example.com", "example.com/v2/Website", "websites"),
        ("example.com/v1/Website", "example.com/v1/Website", "websites"),
        ("Old", "example.com/v1/Old", "olds"),
        ("v1/Event", "v1/Event", "events"),
        ("Event.events.k8s.io", "events.k8s.io/v1/Event", "events"),
    ],
)
def test_a_name_means_the_kind_in_the_version_the_server_prefers(server: Server, name: str, gvk: str, plural: str) -> None:
    found = Discovery(server, clock=FakeClock()).resolve(name)
    assert (str(found), found.plural) == (gvk, plural)


def test_a_resource_knows_what_discovery_says_of_it(server: Server) -> None:
    discovery = Discovery(server, clock=FakeClock())
    assert discovery.resolve("Deployment").subresources == {"scale"}
    assert not discovery.resolve("Node").namespaced
    assert discovery.resolve("Node").verbs == {"list", "watch"}
    assert discovery.for_object({"apiVersion": "apps/v1", "kind": "Deployment"}).plural == "deployments"
    assert discovery.for_gvk(GVK("example.com", "v1", "Website")).version == "v1"
    assert "example.com/v2/Website" in {str(found) for found in discovery.resources()}


def test_a_name_with_two_meanings_is_refused_with_the_candidates(server: Server) -> None:
    with pytest.raises(AmbiguousKind, match=r"Event can mean more than one kind: write v1/Event or Event\.events\.k8s\.io"):
        Discovery(server, clock=FakeClock()).resolve("Event")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Websit", "did you mean example.com/v2/Website?"),
        ("websites", "did you mean example.com/v2/Website?"),
        ("website", "did you mean example.com/v2/Website?"),
        ("Quux", "is its CustomResourceDefinition installed?"),
        ("example.com/v3/Website", "there is example.com/v2/Website"),
        ("Website.example.org", "there is example.com/v2/Website"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(server: Server, name: str, hint: str) -> None:
    with pytest.raises(KindNotFound) as caught:
        Discovery(server, clock=FakeClock()).resolve(name)
    assert str(caught.value) == f"the API server has no kind {name}; {hint}"


@pytest.mark.parametrize("name", ["", "/", "a/b/c/D", "v1/", "/Foo", ".example.com"])
def test_what_is_no_name_of_a_kind_is_said_so(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a kind: write") as caught:
        Discovery(server, clock=FakeClock()).resolve(name)
    assert not isinstance(caught.value, KindNotFound)  # waiting for it would be vain
    assert server.asked == []


def test_the_server_is_asked_once_and_again_for_what_is_missing_but_not_all_the_time() -> None:
    server = Server(CORE)
    clock = FakeClock()
    discovery = Discovery(server, clock=clock)
    discovery.resolve("Secret")
    discovery.resolve("Node")
    assert len(server.asked) == 2
    server.groups.append(SITES)
    with pytest.raises(KindNotFound):
        discovery.resolve("Website")
    assert len(server.asked) == 2
    clock.advance(10)
    assert discovery.resolve("Website").plural == "websites"
    for _ in range(20):
        with pytest.raises(KindNotFound):
            discovery.resolve("Nothing")
    assert len(server.asked) == 4
    discovery.refresh()
    assert len(server.asked) == 6


def test_a_group_that_cannot_answer_keeps_what_it_said_and_harms_no_other() -> None:
    server = Server(CORE, APPS, SITES, legacy=True)
    clock = FakeClock()
    discovery = Discovery(server, clock=clock)
    discovery.refresh()
    server.broken = {"/apis/apps/v1"}
    discovery.refresh()
    assert discovery.resolve("Deployment").plural == "deployments"
    assert list(discovery.failures) == ["apps/v1"]
    with pytest.raises(KindNotFound, match=r"could not ask apps/v1"):
        discovery.resolve("Nothing")


def test_a_stale_group_of_an_aggregated_answer_keeps_what_it_said() -> None:
    server = Server(CORE, SITES)
    discovery = Discovery(server, clock=FakeClock())
    discovery.refresh()
    server.groups = [CORE, group("example.com", ("v2", []), freshness="Stale")]
    discovery.refresh()
    assert discovery.resolve("Website.example.com").version == "v2"
    assert list(discovery.failures) == ["example.com/v2"]


def test_a_server_that_cannot_be_asked_at_all_is_an_error_and_nothing_is_forgotten() -> None:
    server = Server(CORE)
    clock = FakeClock()
    discovery = Discovery(server, clock=clock)
    discovery.resolve("Secret")
    server.broken = {"/api"}
    clock.advance(100)
    with pytest.raises(ServerError):
        discovery.resolve("Website")
    assert discovery.resolve("Secret").plural == "secrets"

    def unreachable(path: str, accept: str, cancel: Any) -> dict[str, Any]:
        raise ConnectionFailed("no answer")

    with pytest.raises(ConnectionFailed):
        Discovery(unreachable, clock=clock).resolve("Secret")
