"""The lease calls over the real client, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from operator_kit.api import Cancel, Client
from operator_kit.errors import Cancelled, ConfigError, Conflict, NotFound, NotLeader, api_error
from operator_kit.leader import LEASE, Elector, Fence, LeaseApi, Record, Rules
from operator_kit.leader.record import new_lease
from operator_kit.objects import Resource
from operator_kit.sandbox import Sandbox

PATIENT: dict[str, Any] = {"lease_duration": 15, "renew_deadline": 10, "retry_period": 0.5}
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(server: Sandbox) -> Iterator[Client]:
    client = Client.from_kubeconfig_dict(server.kubeconfig())
    yield client
    client.close()


def rules(name: str, identity: str = "me", namespace: str = "default") -> Rules:
    return Rules(namespace, name, identity, labels={"app": "x"}, **PATIENT)


def test_get_create_and_replace(client: Client) -> None:
    api, cancel = LeaseApi(client, rules("crud")), Cancel()
    with pytest.raises(NotFound):
        api.get(5, cancel)
    created = api.create(new_lease("default", "crud", Record("me", 15), {"app": "x"}), 5, cancel)
    replaced = api.replace({**created, "spec": Record("you", 3).spec()}, 5, cancel)
    assert api.get(5, cancel) == replaced
    assert Record.of(replaced).holder == "you"
    assert replaced["metadata"]["labels"] == {"app": "x"}
    with pytest.raises(Conflict):
        api.replace(created, 5, cancel)


def test_a_cancelled_call_is_not_made(client: Client) -> None:
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(Cancelled):
        LeaseApi(client, rules("cancelled")).get(5, cancel)


def test_the_check_changes_nothing(client: Client) -> None:
    api = LeaseApi(client, rules("checked"))
    api.check(5)
    with pytest.raises(NotFound):
        client.get(LEASE, "checked", "default")
    client.create(LEASE, new_lease("default", "checked", Record("you", 3), {}))
    before = client.get(LEASE, "checked", "default")
    api.check(5)
    assert client.get(LEASE, "checked", "default") == before


def test_the_check_names_a_missing_namespace(client: Client) -> None:
    with pytest.raises(ConfigError, match=r"lease nowhere/lock.*the namespace must exist"):
        LeaseApi(client, rules("lock", namespace="nowhere")).check(5)


def test_the_check_names_a_missing_permission(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise api_error(403, {"reason": "Forbidden", "message": "no"}, request="GET /x")

    monkeypatch.setattr(client, "get", forbidden)
    with pytest.raises(ConfigError, match="a Role in namespace default must allow get, create and update of leases"):
        LeaseApi(client, rules("lock")).check(5)


def test_an_election_on_a_server(client: Client) -> None:
    """On the real clock: one leads and writes, gives the lease back, and the other leads."""
    started: dict[str, Queue[Fence]] = {"one": Queue(), "two": Queue()}
    electors = {
        name: Elector(LeaseApi(client, rules("real", name)), rules("real", name), on_started=queue.put)
        for name, queue in started.items()
    }
    try:
        electors["one"].start()
        fence = started["one"].get(timeout=20)
        electors["two"].start()
        writer = client.guarded(fence.guard)
        writer.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fenced"}}, namespace="default")
        assert electors["one"].stop(release=True, timeout=20)
        with pytest.raises(NotLeader):
            writer.delete(CONFIG_MAP, "fenced", "default")
        assert writer.get(CONFIG_MAP, "fenced", "default"), "reads are free"
        assert started["two"].get(timeout=20).transitions == 1
        lease = client.get(LEASE, "real", "default")
        assert Record.of(lease).holder == "two"
        assert lease["metadata"]["labels"] == {"app": "x"}
    finally:
        for elector in electors.values():
            assert elector.stop(release=True, timeout=20)
