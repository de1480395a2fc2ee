"""The `rest_client_*` metrics, on real sockets; and that everybody who runs an operator has them."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.api import Client
from operator_kit.api.metrics import RequestMetrics
from operator_kit.errors import ConnectionFailed, DeadlineExceeded, ServerError
from operator_kit.objects import Resource
from operator_kit.observe.exporter import Exporter
from operator_kit.observe.metrics import Registry

from .conftest import Serve
from .scripted import Asked, Peer

CM = Resource("", "v1", "ConfigMap", "configmaps")


def told(client: Client) -> dict[str, Any]:
    return {family.name: dict(family.samples) for family in client.metrics.families()}


def test_every_try_is_counted_by_code_with_its_time_and_sizes(serve: Serve) -> None:
    answers = iter([503, 200, 200])

    def handler(asked: Asked, peer: Peer) -> None:
        peer.json({"kind": "ConfigMap"}, next(answers))

    server, client = serve(handler)
    host = server.url.removeprefix("http://")
    client.get(CM, "a", "default")
    client.patch(CM, "a", "default", {"data": {"a": "b"}})
    families = told(client)
    assert families["rest_client_requests_total"] == {
        ("503", "GET", host): 1,
        ("200", "GET", host): 1,
        ("200", "PATCH", host): 1,
    }
    assert families["rest_client_request_retries_total"] == {("503", "GET", host): 1}
    durations = families["rest_client_request_duration_seconds"]
    assert {labels: each.count for labels, each in durations.items()} == {("GET", host): 2, ("PATCH", host): 1}
    assert all(0 < each.sum < 10 for each in durations.values())
    sent, received = families["rest_client_request_size_bytes"], families["rest_client_response_size_bytes"]
    assert (sent["GET", host].sum, sent["PATCH", host].sum) == (0, len(b'{"data":{"a":"b"}}'))
    assert (received["GET", host].count, received["GET", host].sum) == (2, 2 * len('{"kind": "ConfigMap"}'))
    assert (client.metrics.count(), client.metrics.count("GET"), client.metrics.count("PATCH", "PUT")) == (3, 2, 1)


def test_what_got_no_answer_has_a_code_of_its_own(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.drop())
    with pytest.raises(ConnectionFailed):
        client.get(CM, "a", "default", retries=False)
    host = server.url.removeprefix("http://")
    families = told(client)
    assert families["rest_client_requests_total"] == {("<error>", "GET", host): 1}
    assert families["rest_client_request_retries_total"] == {}


def test_what_is_not_sent_is_not_counted(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.json({}))
    with pytest.raises(DeadlineExceeded):
        client.guarded(lambda method: 0.0).get(CM, "a", "default")
    assert client.metrics.count() == 0


def test_a_watch_is_a_request_and_its_events_are_none(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        peer.begin_stream()
        peer.event("ADDED", {"kind": "ConfigMap", "metadata": {"name": "a"}})
        peer.end_stream()

    _, client = serve(handler)
    with client.watch(CM) as stream:
        assert len(list(stream)) == 1
    families = told(client)
    assert list(families["rest_client_requests_total"].values()) == [1]
    assert families["rest_client_response_size_bytes"] == {}


def test_the_resolution_of_a_name_is_measured_and_that_of_an_address_is_none(serve: Serve) -> None:
    server, by_address = serve(lambda asked, peer: peer.json({"kind": "ConfigMap"}))
    by_address.get(CM, "a", "default")
    assert told(by_address)["rest_client_dns_resolution_duration_seconds"] == {}
    document = server.kubeconfig()
    document["clusters"][0]["cluster"]["server"] = f"http://localhost:{server.port}"
    by_name = Client.from_kubeconfig_dict(document)
    by_name.get(CM, "a", "default")
    by_name.get(CM, "a", "default")  # over the same connection
    by_name.close()
    looked_up = told(by_name)["rest_client_dns_resolution_duration_seconds"]
    assert {host: each.count for host, each in looked_up.items()} == {("localhost",): 1}


def test_views_of_a_client_count_together(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.status(500))
    with pytest.raises(ServerError):
        client.guarded(lambda method: 5.0).delete(CM, "a", "default")
    assert client.metrics.count("DELETE") == 1


def test_what_is_counted_in_batches_is_told_whole() -> None:
    metrics = RequestMetrics()
    for number in range(2500):
        metrics.sent("GET", "h", "200", 0.01 if number % 2 else 100.0, 100)
    families = {family.name: dict(family.samples) for family in metrics.families()}
    spread: Any = families["rest_client_request_duration_seconds"]["GET", "h"]
    assert (spread.count, spread.counts[0], spread.counts[1], spread.counts[-1]) == (2500, 0, 1250, 1250)
    assert repr(metrics) == "<RequestMetrics 2500 requests>"


def test_the_names_are_those_that_dashboards_know(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.json({"kind": "ConfigMap"}))
    client.get(CM, "a", "default")
    registry = Registry()
    registry.register(client.metrics.families)
    text = Exporter(registry, process=False).render()[0].decode()
    for line in (
        "# TYPE rest_client_requests_total counter",
        'rest_client_requests_total{code="200",host="127.0.0.1:',
        'rest_client_request_duration_seconds_bucket{host="127.0.0.1:',
        "# TYPE rest_client_rate_limiter_duration_seconds histogram",
        "# TYPE rest_client_request_retries_total counter",
        "# TYPE rest_client_dns_resolution_duration_seconds histogram",
    ):
        assert line in text, line


def test_what_has_no_samples_yet_has_its_labels_all_the_same() -> None:
    labels = {
        family.name.removeprefix("rest_client_"): (family.kind, family.label_names) for family in RequestMetrics().families()
    }
    assert labels == {
        "requests_total": ("counter", ("code", "method", "host")),
        "request_retries_total": ("counter", ("code", "verb", "host")),
        "request_duration_seconds": ("histogram", ("verb", "host")),
        "request_size_bytes": ("histogram", ("verb", "host")),
        "response_size_bytes": ("histogram", ("verb", "host")),
        "rate_limiter_duration_seconds": ("histogram", ("verb", "host")),
        "dns_resolution_duration_seconds": ("histogram", ("host",)),
    }
