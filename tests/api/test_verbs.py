"""What each verb asks, and what it makes of the answer."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from operator_kit.api import Selection
from operator_kit.clock import FakeClock
from operator_kit.errors import Conflict, ConnectionFailed, Gone, NotLeader, ServerError, TooManyRequests, UsageError
from operator_kit.objects import Resource

from .conftest import Serve
from .scripted import Asked, Peer

CM = Resource("", "v1", "ConfigMap", "configmaps")
NS = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
ROLE = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
SITE = Resource("example.com", "v1", "Website", "websites")

OBJECT = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "a", "namespace": "n", "uid": "u"}}


def echo(asked: Asked, peer: Peer) -> None:
    peer.json({"kind": "Echo"})


@pytest.mark.parametrize(
    ("call", "line", "content_type", "body"),
    [
        (lambda c: c.get(SITE, "a", "n"), "GET /apis/example.com/v1/namespaces/n/websites/a", None, None),
        (lambda c: c.get(NS, "a"), "GET /api/v1/namespaces/a", None, None),
        (lambda c: c.get(ROLE, "system:a b"), "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%20b", None, None),
        (
            lambda c: c.get(SITE, "a", "n", subresource="scale"),
            "GET /apis/example.com/v1/namespaces/n/websites/a/scale",
            None,
            None,
        ),
        (
            lambda c: c.create(SITE, OBJECT, field_manager="m", dry_run=True, field_validation="Strict"),
            "POST /apis/example.com/v1/namespaces/n/websites?fieldManager=m&dryRun=All&fieldValidation=Strict",
            "application/json",
            OBJECT,
        ),
        (
            lambda c: c.create(CM, {"target": 1}, namespace="n", name="p", subresource="eviction"),
            "POST /api/v1/namespaces/n/configmaps/p/eviction",
            "application/json",
            {"target": 1},
        ),
        (lambda c: c.replace(SITE, OBJECT), "PUT /apis/example.com/v1/namespaces/n/websites/a", "application/json", OBJECT),
        (
            lambda c: c.replace(SITE, OBJECT, subresource="status"),
            "PUT /apis/example.com/v1/namespaces/n/websites/a/status",
            "application/json",
            OBJECT,
        ),
        (
            lambda c: c.patch(SITE, "a", "n", {"spec": {}}),
            "PATCH /apis/example.com/v1/namespaces/n/websites/a",
            "application/merge-patch+json",
            {"spec": {}},
        ),
        (
            lambda c: c.patch(SITE, "a", "n", [{"op": "remove", "path": "/spec"}], type="json"),
            "PATCH /apis/example.com/v1/namespaces/n/websites/a",
            "application/json-patch+json",
            [{"op": "remove", "path": "/spec"}],
        ),
        (
            lambda c: c.patch(SITE, "a", "n", OBJECT, type="apply", field_manager="e.com/m", force=True, subresource="status"),
            "PATCH /apis/example.com/v1/namespaces/n/websites/a/status?fieldManager=e.com/m&force=true",
            "application/apply-patch+yaml",
            OBJECT,
        ),
        (
            lambda c: c.delete(
                SITE, "a", "n", uid="u", resource_version="7", propagation="Foreground", grace_period=0, dry_run=True
            ),
            "DELETE /apis/example.com/v1/namespaces/n/websites/a",
            "application/json",
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": {"uid": "u", "resourceVersion": "7"},
                "propagationPolicy": "Foreground",
                "gracePeriodSeconds": 0,
                "dryRun": ["All"],
            },
        ),
    ],
)
def test_each_verb_asks_as_the_api_wants_it(serve: Serve, call: Any, line: str, content_type: str | None, body: Any) -> None:
    server, client = serve(echo)
    assert call(client) == {"kind": "Echo"}
    asked = server.asked[0]
    assert f"{asked.method} {asked.target}" == line
    assert asked.headers.get("content-type") == content_type
    assert (asked.json if asked.body else None) == body


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.get(SITE, "", "n"),
        lambda c: c.delete(SITE, "", "n"),  # would delete the whole collection
        lambda c: c.delete(SITE, "..", "n"),
        lambda c: c.get(SITE, "a/status", "n"),
        lambda c: c.get(SITE, "a"),
        lambda c: c.create(SITE, {"metadata": {"name": "a"}}),
        lambda c: c.replace(SITE, {"metadata": {"namespace": "n"}}),
        lambda c: c.patch(SITE, "a", "n", {}, type="strategy"),
        lambda c: c.patch(SITE, "a", "n", {}, type="apply"),
    ],
)
def test_a_call_that_would_mean_something_else_is_not_sent(serve: Serve, call: Any) -> None:
    server, client = serve(echo)
    with pytest.raises(UsageError):
        call(client)
    assert server.asked == []


# -- lists ----------------------------------------------------------------------------------------------------------------------


def pages(items: int, size: int, *, expire_at: int | None = None) -> Any:
    """A collection that is listed in pages; the token of page `expire_at` is refused once."""
    expired = []

    def handler(asked: Asked, peer: Peer) -> None:
        limit = int(asked.query.get("limit", "0")) or items
        start = int(asked.query.get("continue", "0"))
        if expire_at is not None and start == expire_at * size and not expired:
            expired.append(True)
            peer.status(410, "Expired", "The provided continue parameter is too old")
            return
        end = min(start + limit, items)
        meta = {"resourceVersion": "77" if start == 0 else "99"}
        if end < items:
            meta |= {"continue": str(end), "remainingItemCount": items - end}  # type: ignore[dict-item]  # as the API has it
        listed = [{"metadata": {"name": f"a{number}"}} for number in range(start, end)]
        peer.json({"items": listed, "kind": "ConfigMapList", "apiVersion": "v1", "metadata": meta})

    return handler


def test_a_list_gives_each_object_its_kind(serve: Serve) -> None:
    server, client = serve(pages(3, 2))
    page = client.list(CM, "n", limit=2, label_selector="a=b", field_selector="metadata.name=x", resource_version="0")
    assert [(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in page.items] == [
        ("v1", "ConfigMap", "a0"),
        ("v1", "ConfigMap", "a1"),
    ]
    assert (page.resource_version, page.continue_, page.remaining) == ("77", "2", 1)
    assert server.asked[0].query == {
        "labelSelector": "a=b",
        "fieldSelector": "metadata.name=x",
        "limit": "2",
        "resourceVersion": "0",
    }
    assert [item["metadata"]["name"] for item in client.list(CM, "n", continue_=page.continue_).items] == ["a2"]


def test_all_pages_together_are_of_the_first_pages_version(serve: Serve) -> None:
    server, client = serve(pages(5, 2))
    page = client.list_all(CM, page_size=2)
    assert [item["metadata"]["name"] for item in page.items] == [f"a{number}" for number in range(5)]
    assert page.resource_version == "77"
    assert len(server.asked) == 3
    assert "resourceVersion" not in server.asked[1].query


def test_an_expired_token_means_one_full_list(serve: Serve) -> None:
    server, client = serve(pages(5, 2, expire_at=1))
    page = client.list_all(CM, page_size=2)
    assert [item["metadata"]["name"] for item in page.items] == [f"a{number}" for number in range(5)]
    assert [asked.query.get("limit") for asked in server.asked] == ["2", "2", None]


def test_a_first_page_that_is_gone_is_the_callers_to_see(serve: Serve) -> None:
    _, client = serve(pages(5, 2, expire_at=0))
    with pytest.raises(Gone):
        client.list_all(CM, page_size=2)


def test_a_list_of_nothing_may_be_null(serve: Serve) -> None:
    _, client = serve(
        lambda asked, peer: peer.json({"kind": "ConfigMapList", "items": None, "metadata": {"resourceVersion": "1"}})
    )
    assert client.list_all(CM).items == []


@pytest.mark.parametrize(
    "answer", [{"kind": "Table", "rows": []}, {"kind": "Status"}, {"kind": "ConfigMapList", "items": [1]}, [], {"items": []}]
)
def test_what_is_no_list_is_refused(serve: Serve, answer: Any) -> None:
    _, client = serve(lambda asked, peer: peer.json(answer))
    with pytest.raises(ServerError, match="the answer to a list of configmaps is no list"):
        client.list(CM, retries=False)


def test_metadata_only_asks_for_it_and_gives_the_real_kind(serve: Serve) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        assert "as=PartialObjectMetadataList" in asked.headers["accept"]
        item = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}}
        peer.json({"kind": "PartialObjectMetadataList", "items": [item], "metadata": {}})

    _, client = serve(handler)
    assert client.list(SITE, metadata_only=True).items == [
        {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "a"}}
    ]


def test_a_selection_says_what_it_is() -> None:
    assert str(Selection(SITE)) == "websites.example.com"
    assert str(Selection(CM, "n", "a=b")) == "configmaps in n (a=b)"


# -- retries --------------------------------------------------------------------------------------------------------------------

FAILS = {
    "500": lambda peer: peer.status(500),
    "503 asks to wait": lambda peer: peer.status(503, Retry_After="0"),
    "503": lambda peer: peer.status(503),
    "429 asks to wait": lambda peer: peer.status(429, Retry_After="0"),
    "429": lambda peer: peer.status(429),
    "no answer": lambda peer: peer.drop(),
    "409": lambda peer: peer.status(409, "Conflict"),
    "501": lambda peer: peer.status(501),
}
READS_AGAIN = {"500", "503 asks to wait", "503", "429 asks to wait", "429", "no answer"}
WRITES_AGAIN = {"503 asks to wait", "429 asks to wait"}


@pytest.mark.parametrize("failure", FAILS)
@pytest.mark.parametrize("read", [True, False])
def test_only_what_is_safe_is_repeated(serve: Serve, failure: str, read: bool) -> None:
    def handler(asked: Asked, peer: Peer) -> None:
        if len(server.asked) == 1:
            FAILS[failure](peer)
        else:
            echo(asked, peer)

    server, client = serve(handler)

    def call() -> Any:
        return client.get(SITE, "a", "n") if read else client.patch(SITE, "a", "n", {})

    if failure in (READS_AGAIN if read else WRITES_AGAIN):
        assert call() == {"kind": "Echo"}
        assert len(server.asked) == 2
    else:
        with pytest.raises((ServerError, Conflict, TooManyRequests, ConnectionFailed)):
            call()
        assert len(server.asked) == 1


def test_retries_end(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.status(503, Retry_After="0"))
    with pytest.raises(ServerError):
        client.get(SITE, "a", "n")
    assert len(server.asked) == 5


@pytest.mark.parametrize(("timeout", "guard"), [(30.0, 1000.0), (None, 20.0), (1000.0, 5.0)])
def test_a_pause_longer_than_the_budget_is_refused_at_once_and_said(serve: Serve, timeout: float | None, guard: float) -> None:
    clock = FakeClock()
    server, client = serve(lambda asked, peer: peer.status(503, "ServiceUnavailable", "wait", Retry_After="60"), clock=clock)
    left = min(timeout or 30.0, guard)
    told = f"wait; it asks for a pause of 60 s, and only {left:g} s are left for the call (503 ServiceUnavailable, "
    with pytest.raises(ServerError, match=re.escape(told)):
        client.guarded(lambda method: guard).patch(SITE, "a", "n", {}, timeout=timeout)
    assert len(server.asked) == 1


def test_pauses_and_tries_together_stay_within_the_budget(serve: Serve) -> None:
    clock = FakeClock()
    server, client = serve(lambda asked, peer: peer.status(429, Retry_After="10"), clock=clock)
    ends = clock.monotonic() + 25  # of a reconcile, say
    failures: list[Exception] = []

    def call() -> None:
        try:
            client.guarded(lambda method: ends - clock.monotonic()).get(SITE, "a", "n", timeout=1000)
        except TooManyRequests as exc:
            failures.append(exc)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    for asked in (1, 2):
        while len(server.asked) < asked or not clock.waiting():
            threading.Event().wait(0.001)
        clock.advance(10)
    thread.join(30)
    assert "it asks for a pause of 10 s, and only 5 s are left" in str(failures[0])
    assert len(server.asked) == 3


def test_a_guard_that_refuses_ends_the_tries(serve: Serve) -> None:
    clock = FakeClock()
    server, client = serve(lambda asked, peer: peer.status(503, Retry_After="0"), clock=clock)

    def guard(method: str) -> float:
        if server.asked:
            raise NotLeader("not any more")
        return 10.0

    with pytest.raises(NotLeader):
        client.guarded(guard).patch(SITE, "a", "n", {})
    assert len(server.asked) == 1


def test_guards_add_up(serve: Serve) -> None:
    _, client = serve(lambda asked, peer: peer.status(503, Retry_After="60"), clock=FakeClock())
    for first, second in ((5.0, 20.0), (20.0, 5.0)):
        with pytest.raises(ServerError, match="only 5 s are left"):
            client.guarded(lambda method, first=first: first).guarded(lambda method, second=second: second).get(SITE, "a", "n")


def test_retries_can_be_left_to_the_caller(serve: Serve) -> None:
    server, client = serve(lambda asked, peer: peer.status(503, Retry_After="0"))
    with pytest.raises(ServerError):
        client.get(SITE, "a", "n", retries=False)
    assert len(server.asked) == 1
