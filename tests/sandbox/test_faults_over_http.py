"""Each fault as a client meets it on the wire."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox

COLLECTION = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def call(sandbox: Sandbox, method: str, path: str, body: Any = None, timeout: float = 10) -> tuple[int, Any, Any]:
    """Status, parsed body and headers."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(sandbox.url + path, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def create(sandbox: Sandbox, *names: str) -> None:
    for name in names:
        assert call(sandbox, "POST", COLLECTION, {"metadata": {"name": name}})[0] == 201


def names(sandbox: Sandbox) -> list[str]:
    return [
        item["metadata"]["name"]
        for item in call(sandbox, "GET", COLLECTION)[1]["items"]
        if item["metadata"]["name"] != "kube-root-ca.crt"
    ]


class Stream:
    """A watch, line by line."""

    def __init__(self, sandbox: Sandbox, more: str = "") -> None:
        version = call(sandbox, "GET", COLLECTION)[1]["metadata"]["resourceVersion"]
        host = sandbox.url.removeprefix("http://")
        self.connection = http.client.HTTPConnection(host, timeout=60)
        self.connection.request("GET", f"{COLLECTION}?watch=1&resourceVersion={version}{more}")
        self.response = self.connection.getresponse()
        assert self.response.status == 200

    def line(self) -> bytes:
        return self.response.readline()

    def event(self) -> tuple[str, str]:
        event = json.loads(self.line())
        return event["type"], event["object"]["metadata"].get("name", "")

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@pytest.fixture
def watching(sandbox: Sandbox) -> Iterator[Any]:
    streams = []

    def watch(more: str = "") -> Stream:
        streams.append(Stream(sandbox, more))
        return streams[-1]

    yield watch
    for stream in streams:
        stream.close()


def test_a_status_is_answered_in_the_handlers_place(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="status", verb="create", code=429, retry_after=7, count=1)
    status, body, headers = call(sandbox, "POST", COLLECTION, {"metadata": {"name": "a"}})
    assert (status, body["reason"], body["details"]["retryAfterSeconds"], headers["Retry-After"]) == (
        429,
        "TooManyRequests",
        7,
        "7",
    )
    assert names(sandbox) == []
    create(sandbox, "a")


@pytest.mark.parametrize(("action", "done"), [("close", False), ("lost", True)])
def test_a_cut_connection_leaves_the_client_in_the_dark(
    sandbox: Sandbox, action: str, done: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(action=action, verb="create")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        call(sandbox, "POST", COLLECTION, {"metadata": {"name": "a"}})
    assert names(sandbox) == (["a"] if done else [])
    assert [record.getMessage() for record in caplog.records] == [], "what was asked for is no error of the server"


def test_half_a_body_is_told_from_a_whole_one(sandbox: Sandbox) -> None:
    create(sandbox, "a")
    sandbox.faults.add(action="cut", verb="get", count=1)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        call(sandbox, "GET", f"{COLLECTION}/a")
    assert call(sandbox, "GET", f"{COLLECTION}/a")[0] == 200


def test_a_garbled_body_is_no_json(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="garble", verb="list", count=1)
    with pytest.raises(json.JSONDecodeError):
        call(sandbox, "GET", COLLECTION)


def test_a_hanging_request_never_answers_and_does_not_keep_the_server_from_stopping(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="hang", verb="get")
    with pytest.raises(TimeoutError):
        call(sandbox, "GET", f"{COLLECTION}/a", timeout=0.2)


def test_a_delay_is_only_a_delay(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="delay", seconds=0.01)
    create(sandbox, "a")
    assert names(sandbox) == ["a"]


def test_discovery_can_fail_for_one_group(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="status", verb="discovery", resource="apps", code=503)
    assert call(sandbox, "GET", "/apis/apps/v1")[0] == 503
    assert call(sandbox, "GET", "/apis/batch/v1")[0] == 200
    assert call(sandbox, "GET", COLLECTION)[0] == 200


def test_a_group_whose_discovery_fails_is_stale_in_the_aggregated_document(sandbox: Sandbox) -> None:
    sandbox.faults.add(action="status", verb="discovery", resource="apps", code=503)
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    request = urllib.request.Request(f"{sandbox.url}/apis", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as response:
        groups = {group["metadata"]["name"]: group["versions"][0] for group in json.load(response)["items"]}
    assert (groups["apps"]["freshness"], groups["apps"]["resources"]) == ("Stale", [])
    assert groups["batch"]["freshness"] == "Current"
    assert groups["batch"]["resources"]


def test_a_continue_token_can_expire(sandbox: Sandbox) -> None:
    create(sandbox, "a", "b")
    sandbox.faults.add(action="status", verb="list", continues=True, code=410)
    _, page, _ = call(sandbox, "GET", f"{COLLECTION}?limit=1")
    status, body, _ = call(sandbox, "GET", f"{COLLECTION}?limit=1&continue={page['metadata']['continue']}")
    assert (status, body["reason"]) == (410, "Expired")


@pytest.mark.parametrize("action", ["gone", "error"])
def test_an_error_event_ends_the_stream(sandbox: Sandbox, watching: Any, action: str) -> None:
    sandbox.faults.add(action=action, events=1, code=500)
    stream = watching()
    create(sandbox, "a", "b")
    assert stream.event() == ("ADDED", "a")
    event = json.loads(stream.line())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410 if action == "gone" else 500)
    assert stream.line() == b""


def test_a_stream_can_end_early_and_cleanly(sandbox: Sandbox, watching: Any) -> None:
    sandbox.faults.add(action="end", events=1)
    stream = watching()
    create(sandbox, "a", "b")
    assert stream.event() == ("ADDED", "a")
    assert stream.line() == b""


def test_a_broken_stream_ends_inside_a_line(sandbox: Sandbox, watching: Any) -> None:
    sandbox.faults.add(action="break", events=1)
    stream = watching()
    create(sandbox, "a", "b")
    assert stream.event() == ("ADDED", "a")
    with pytest.raises((http.client.IncompleteRead, ConnectionError, json.JSONDecodeError)):
        json.loads(stream.response.readline() or b"")


@pytest.mark.parametrize("action", ["corrupt", "blank"])
def test_a_bad_line_comes_between_good_ones(sandbox: Sandbox, watching: Any, action: str) -> None:
    sandbox.faults.add(action=action, events=1)
    stream = watching()
    create(sandbox, "a", "b")
    assert stream.event() == ("ADDED", "a")
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.line())
    assert stream.event() == ("ADDED", "b")


def test_a_silent_stream_stays_open(sandbox: Sandbox, watching: Any) -> None:
    sandbox.faults.add(action="silent", events=1)
    stream = watching()
    create(sandbox, "a", "b")
    assert stream.event() == ("ADDED", "a")
    stream.connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        stream.line()


def test_events_are_dropped_duplicated_and_swapped(sandbox: Sandbox, watching: Any) -> None:
    sandbox.faults.add(action="drop", count=1)
    sandbox.faults.add(action="duplicate", count=1, after=1)
    sandbox.faults.add(action="reorder", count=1, after=2)
    stream = watching()
    create(sandbox, "a", "b", "c", "d")
    assert [stream.event()[1] for _ in range(4)] == ["b", "b", "d", "c"]


def test_an_event_held_back_comes_all_the_same(sandbox: Sandbox, watching: Any) -> None:
    sandbox.faults.add(action="reorder", count=1)
    stream = watching()
    create(sandbox, "a")
    assert stream.event() == ("ADDED", "a")


def test_bookmarks_can_be_missing(watching: Any) -> None:
    with Sandbox(bookmark_interval=0.05) as sandbox:
        with_bookmarks = Stream(sandbox, "&allowWatchBookmarks=true")
        assert with_bookmarks.event()[0] == "BOOKMARK"
        with_bookmarks.close()
        sandbox.faults.add(action="no-bookmarks")
        without = Stream(sandbox, "&allowWatchBookmarks=true&timeoutSeconds=1")
        assert without.line() == b""
        without.close()


def test_another_process_puts_faults_in_force_over_http(sandbox: Sandbox) -> None:
    status, made, _ = call(sandbox, "POST", "/sandbox/faults", {"action": "status", "verb": "create", "code": 503})
    assert status == 201
    assert call(sandbox, "POST", COLLECTION, {"metadata": {"name": "a"}})[0] == 503
    held = call(sandbox, "GET", "/sandbox/faults")[1]["faults"]
    assert held == [{"number": made["number"], "struck": 1, "action": "status", "verb": "create", "code": 503}]
    assert call(sandbox, "DELETE", f"/sandbox/faults/{made['number']}")[1] == {"faults": []}
    assert call(sandbox, "DELETE", "/sandbox/faults/99")[0] == 404
    create(sandbox, "a")


@pytest.mark.parametrize("body", [[], {"action": "explode"}, {"action": "close", "share": "all"}, {"code": 500}])
def test_what_is_no_fault_is_refused(sandbox: Sandbox, body: Any) -> None:
    status, answer, _ = call(sandbox, "POST", "/sandbox/faults", body)
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert not sandbox.faults


def test_a_forgotten_history_ends_watches_and_makes_versions_too_old(sandbox: Sandbox, watching: Any) -> None:
    stream = watching()
    create(sandbox, "a")
    assert stream.event() == ("ADDED", "a")
    assert call(sandbox, "POST", "/sandbox/forget-history")[0] == 200
    assert stream.line() == b""
    version = int(call(sandbox, "GET", COLLECTION)[1]["metadata"]["resourceVersion"]) - 1
    status, event, _ = call(sandbox, "GET", f"{COLLECTION}?watch=1&resourceVersion={version}&timeoutSeconds=1")
    assert (status, event["type"], event["object"]["code"]) == (200, "ERROR", 410)


def test_a_clock_that_is_off_shows_in_timestamps(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "/sandbox/clock", {"skew": -86400 * 400})[1]["skew"] == -86400 * 400
    made = call(sandbox, "POST", COLLECTION, {"metadata": {"name": "old"}})[1]
    sandbox.skew_clock(0)
    fresh = call(sandbox, "POST", COLLECTION, {"metadata": {"name": "new"}})[1]
    assert int(fresh["metadata"]["creationTimestamp"][:4]) > int(made["metadata"]["creationTimestamp"][:4])
    assert call(sandbox, "POST", "/sandbox/clock", {"skew": "much"})[0] == 400
