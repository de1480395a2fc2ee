"""Whatever is sent, the answer is the server's own Status, and the server lives."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import CONFIG_MAPS, JSON, MERGE, WIDGET_CRD, WIDGETS, Talk

YAML = "application/yaml"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    with Sandbox() as sandbox:
        talk = Talk(sandbox)
        talk.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGET_CRD)
        talk.until(WIDGETS, 200)
        talk.create(CONFIG_MAPS, {"metadata": {"name": "there"}, "data": {"k": "v"}})
        talk.create(WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "there"}})
        yield talk


@pytest.fixture(autouse=True)
def no_defect(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A traceback in the sandbox's log fails the test, whatever the answer was."""
    with caplog.at_level(logging.ERROR):
        yield
    assert not [record for record in caplog.records if record.exc_info]


def refused(answer: tuple[int, Any], *codes: int) -> dict[str, Any]:
    status, document = answer
    assert status in codes, (status, document)
    assert isinstance(document, dict), document
    assert (document["kind"], document["apiVersion"], document["status"]) == ("Status", "v1", "Failure")
    assert document["code"] == status
    assert document["message"]
    return document


@pytest.mark.parametrize("path", [CONFIG_MAPS, WIDGETS])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{not json",
        b"[]",
        b"null",
        b'"text"',
        b"1e999",
        b"{}}",
        b"\xff\xfe\x00",
        b'{"metadata": null}',
        b'{"metadata": []}',
        b'{"metadata": {"name": 5}}',
        b'{"metadata": {"name": "x", "labels": []}}',
        b'{"metadata": {"name": "x", "labels": {"a": 1}}}',
        b'{"metadata": {"name": "x", "finalizers": "f"}}',
        b'{"metadata": {"name": "x", "ownerReferences": [1]}}',
        b'{"metadata": {"name": "x", "ownerReferences": [{"uid": 1}]}}',
        b'{"metadata": {"name": "x", "managedFields": 1}}',
        b'{"apiVersion": 1, "kind": [], "metadata": {"name": "x"}}',
        b'{"apiVersion": "v9", "kind": "Other", "metadata": {"name": "x"}}',
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda body: repr(body[:30]) if isinstance(body, bytes) else str(body),
)
def test_a_body_that_is_no_such_object_is_400_or_422(talk: Talk, path: str, body: bytes) -> None:
    refused(talk.send("POST", path, body), 400, 422)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"hello"),
        ("application/xml", b"<a/>"),
        (PROTOBUF, b"no envelope"),
        (PROTOBUF, b"k8s\0\x0a\xff\xff"),
        ("", b"\x00"),
    ],
)
def test_a_content_type_nobody_understands_is_415_or_400(talk: Talk, content_type: str, body: bytes) -> None:
    for path in (CONFIG_MAPS, WIDGETS):
        refused(talk.send("POST", path, body, content_type=content_type), 400, 415)


def test_an_accept_that_cannot_be_met_is_406(talk: Talk) -> None:
    refused(talk.send("GET", f"{CONFIG_MAPS}/there", accept="text/html"), 406)


def test_a_body_over_the_limit_is_413(talk: Talk) -> None:
    big = b'{"data": {"k": "' + b"x" * (3 * 1024 * 1024) + b'"}}'
    assert refused(talk.send("POST", CONFIG_MAPS, big), 413)["reason"] == "RequestEntityTooLarge"


def test_an_object_larger_than_an_etcd_takes_is_refused(talk: Talk) -> None:
    for path, kind, field in ((CONFIG_MAPS, "ConfigMap", "data"), (WIDGETS, "Widget", "spec")):
        body = {"kind": kind, "metadata": {"name": "big"}, field: {"k": "x" * 1_600_000}}
        status, document = talk.send("POST", path, body)
        assert status in {422, 500}, document
        assert talk.send("GET", f"{path}/big")[0] == 404


@pytest.mark.parametrize("content_type", [MERGE, JSON_PATCH, STRATEGIC, APPLY])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b'[{"op": "fly", "path": "/x"}]',
        b'[{"op": "remove", "path": "nowhere"}]',
        b'[{"op": "add", "path": "/metadata/labels/a/b/c", "value": 1}]',
        b'{"metadata": {"name": "other"}}',
        b'{"metadata": null}',
        b'{"metadata": {"labels": 1}}',
        b'{"metadata": {"resourceVersion": "x"}}',
        b'{"kind": "Other"}',
        b"a: [",
        b"- 1\n- 2\n",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_patch_that_does_not_apply_leaves_the_object_alone(talk: Talk, content_type: str, body: bytes) -> None:
    for path in (f"{CONFIG_MAPS}/there", f"{WIDGETS}/there"):
        before = talk.get(path)
        status, document = talk.send("PATCH", path, body, content_type=content_type, fieldManager="m")
        if status != 200:
            refused((status, document), 400, 409, 415, 422, 500)
        after = talk.get(path)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["metadata"]["name"] == "there"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=abc", 400),
        ("limit=99999999999999999999", 400),
        ("limit=-1", 200),
        ("timeoutSeconds=soon", 400),
        ("labelSelector=%00", 200),
        ("labelSelector=((((", 400),
        ("fieldSelector=%ff", 400),
        ("fieldSelector=metadata.name%5C", 400),
        ("resourceVersion=abc", 500),
        ("resourceVersion=-1", 500),
        ("resourceVersion=%D9%A3", 500),
        ("resourceVersion=99999999999999999999999999", 500),
        ("continue=%00", 400),
        ("dryRun=Some", 200),
        ("watch=maybe&timeoutSeconds=1&resourceVersion=abc", 500),
    ],
)
def test_hostile_parameters(talk: Talk, query: str, code: int) -> None:
    status, document = talk.send("GET", f"{CONFIG_MAPS}?{query}")
    assert status == code, document
    if code != 200:
        refused((status, document), code)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/nosuch", 404),
        ("GET", "/api/v1/namespaces/default/nosuch", 404),
        ("PATCH", f"{CONFIG_MAPS}/there/status", 404),
        ("PUT", CONFIG_MAPS, 405),
        ("POST", f"{CONFIG_MAPS}/there", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("OPTIONS", CONFIG_MAPS, 405),
        ("POST", "/version", 405),
    ],
)
def test_paths_and_methods_that_are_not_there(talk: Talk, method: str, path: str, code: int) -> None:
    refused(talk.send(method, path, {} if method in {"POST", "PUT", "PATCH"} else None, content_type=MERGE), code)


@pytest.mark.parametrize(
    "path",
    ["/nosuch", "/apis/nosuch.example.com/v1/things", "/apis/apps/v9/deployments", "/apis/example.com/v1/nosuch", "//", "/api//"],
)
def test_paths_nobody_serves_are_the_plain_page(talk: Talk, path: str) -> None:
    assert talk.send("GET", path) == (404, "404 page not found\n")


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2fb", "%00", "x" * 5000, "UPPER", "sp ace", "%ff"])
def test_hostile_names_in_the_path(talk: Talk, name: str) -> None:
    status, _ = talk.send("GET", f"{CONFIG_MAPS}/{quote(name, safe='%')}")
    assert status in {400, 404, 414}


def test_requests_that_are_no_http_do_not_disturb_others(talk: Talk) -> None:
    host, _, port = talk.url.removeprefix("http://").partition(":")
    for junk in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        connection = HTTPConnection(host, int(port), timeout=60)
        connection.connect()
        connection.sock.sendall(junk)
        connection.close()
    assert talk.send("GET", "/readyz") == (200, "ok")


def test_a_connection_that_breaks_inside_a_body_stores_nothing(talk: Talk) -> None:
    host, _, port = talk.url.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=60)
    connection.putrequest("POST", CONFIG_MAPS)
    connection.putheader("Content-Length", "1000")
    connection.putheader("Content-Type", JSON)
    connection.endheaders(b'{"metadata": {"name": "half"}')
    connection.close()
    assert talk.send("GET", f"{CONFIG_MAPS}/half")[0] == 404


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
meta_fields = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "uid",
    "generateName",
]
fields = [*meta_fields, "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"]
metas = st.dictionaries(st.sampled_from(fields), json_values, max_size=5)
objects = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.sampled_from(["v1", "example.com/v1"]) | json_values,
        "kind": st.sampled_from(["ConfigMap", "Widget", "Deployment"]) | json_values,
        "metadata": metas | json_values,
        "spec": json_values,
        "data": json_values,
        "status": json_values,
    },
)
SENT = st.tuples(
    st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET"]),
    st.sampled_from([CONFIG_MAPS, WIDGETS, "/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces"]),
    st.sampled_from(["", "/there", "/there/status", "/there/scale"]),
    st.sampled_from([JSON, MERGE, JSON_PATCH, STRATEGIC, APPLY, YAML]),
    objects | json_values,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=SENT)
def test_nothing_that_is_json_brings_a_defect_to_light(talk: Talk, sent: tuple[str, str, str, str, Any]) -> None:
    method, path, rest, content_type, body = sent
    if method == "DELETE" and not rest:
        path = WIDGETS
    raw = json.dumps(body).encode()
    status, document = talk.send(method, path + rest, raw, content_type=content_type, fieldManager="m", dryRun="All")
    if status >= 400 and isinstance(document, dict):
        refused((status, document), status)
        assert document.get("reason") != "InternalError", document


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 50_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(400)),
        b"a: &a [x, x, x, x, x, x, x, x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 8)) for n in range(ord("a"), ord("k"))),
        b"a: .inf",
        b"a: !!python/object:os.system x",
        b"a: 1\n---\nb: 2\n",
    ],
    ids=["flow", "block", "laughs", "infinity", "object", "two"],
)
def test_hostile_yaml(talk: Talk, body: bytes) -> None:
    refused(talk.send("POST", CONFIG_MAPS, body, content_type=YAML), 400)
    refused(talk.send("PATCH", f"{CONFIG_MAPS}/there", body, content_type=APPLY, fieldManager="m"), 400)
