"""Ten thousand hostile requests: each gets the server's own answer, none a traceback, and the server lives."""

from __future__ import annotations

import http.client
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from operator_kit.sandbox import Sandbox

EXAMPLES = 100
BATCH = 25  # requests drawn for an example
CROSSINGS = 100  # requests sent in an example, put together from parts of those: EXAMPLES times CROSSINGS is ten thousand

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
NAMES = st.sampled_from(
    ["a", "b", "default", "kube-system", "", ".", "..", "A", "x" * 300, "a/b", "%00", "~", "-", "é", "0", "status"]
)
WORDS = st.one_of(NAMES, TEXT)
KINDS = [
    "configmaps",
    "secrets",
    "services",
    "pods",
    "namespaces",
    "deployments",
    "websites",
    "leases",
    "events",
    "nosuch",
    "customresourcedefinitions",
]
PREFIXES = [
    "/api/v1",
    "/apis/apps/v1",
    "/apis/example.com/v1",
    "/apis/coordination.k8s.io/v1",
    "/apis/apiextensions.k8s.io/v1",
    "/apis",
    "/api",
    "",
]
TYPES = [
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
    "nonsense",
]
PARAMETERS = [
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "timeoutSeconds",
    "dryRun",
    "fieldManager",
    "fieldValidation",
    "force",
    "propagationPolicy",
    "gracePeriodSeconds",
    "sendInitialEvents",
    "allowWatchBookmarks",
    "pretty",
]
VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "1",
            "-1",
            "true",
            "All",
            "a=b",
            "a in (",
            "!",
            "===",
            "99999999999999999999",
            "Strict",
            "Orphan",
            "NotOlderThan",
            "Exact",
        ]
    ),
    TEXT,
)

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["metadata", "spec", "status", "name", "labels", "op", "path", "value", "containers", "$patch"]),
                TEXT,
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(WORDS, JSON),
        "generateName": WORDS,
        "namespace": WORDS,
        "labels": st.one_of(st.dictionaries(WORDS, WORDS, max_size=2), JSON),
        "annotations": st.one_of(st.dictionaries(WORDS, WORDS, max_size=2), JSON),
        "finalizers": st.one_of(st.lists(WORDS, max_size=2), JSON),
        "ownerReferences": st.one_of(
            st.lists(
                st.dictionaries(st.sampled_from(["apiVersion", "kind", "name", "uid", "controller"]), JSON, max_size=5),
                max_size=2,
            ),
            JSON,
        ),
        "resourceVersion": st.one_of(VALUES, JSON),
        "uid": WORDS,
        "managedFields": JSON,
        "deletionTimestamp": WORDS,
        "creationTimestamp": JSON,
    },
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.one_of(st.sampled_from(["v1", "apps/v1", "example.com/v1", "a/b/c"]), JSON),
        "kind": st.one_of(st.sampled_from(["ConfigMap", "Deployment", "Website", "Status", "List"]), JSON),
        "metadata": st.one_of(METADATA, JSON),
        "spec": st.one_of(
            st.fixed_dictionaries(
                {},
                optional={
                    "replicas": JSON,
                    "html": JSON,
                    "template": JSON,
                    "selector": JSON,
                    "ports": JSON,
                    "names": JSON,
                    "versions": JSON,
                },
            ),
            JSON,
        ),
        "data": st.one_of(st.dictionaries(WORDS, JSON, max_size=2), JSON),
        "status": JSON,
        "rules": JSON,
    },
)
PATCHES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.one_of(st.sampled_from(["add", "remove", "replace", "test", "move", "copy"]), JSON),
            "path": st.one_of(st.sampled_from(["/metadata/labels/a", "/spec", "", "/-", "x"]), JSON),
            "from": WORDS,
            "value": JSON,
        },
    ),
    max_size=3,
)
BODIES = st.one_of(
    OBJECTS.map(lambda value: json.dumps(value).encode()),
    OBJECTS.map(lambda value: json.dumps(value).encode()),
    PATCHES.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda tail: b"k8s\x00" + tail),
    st.sampled_from(
        [
            b"",
            b"{",
            b"[" * 20_000,
            b'{"a":' * 5_000,
            b"null",
            b"\xff\xfe",
            b"a: b: c",
            b"- - -",
            b"&a [*a]",
            b'{"metadata":{"name":"a","name":"b"}}',
        ]
    ),
)


class Sent(NamedTuple):
    method: str
    path: str
    content_type: str
    accept: str
    body: bytes


REAL = [
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/events",
    "/api/v1/namespaces/default/serviceaccounts",
    "/api/v1/namespaces",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/example.com/v1/namespaces/default/websites",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
]


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Four in five are paths that are served, since behind the others little can go wrong."""
    if draw(st.integers(0, 4)):
        parts = [draw(st.sampled_from(REAL))]
    else:
        parts = [draw(st.sampled_from(PREFIXES))]
        if draw(st.booleans()):
            parts += ["namespaces", draw(WORDS)]
        parts.append(draw(st.sampled_from(KINDS)))
    if draw(st.booleans()):
        parts.append(draw(st.one_of(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]), WORDS)))
        if draw(st.integers(0, 3)) == 0:
            parts.append(draw(st.sampled_from(["status", "scale", "token", "eviction", "binding", "log", "nosuch"])))
    return "/".join(parts[:1] + [quote(part, safe="/~") for part in parts[1:]])


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    path = draw(paths())
    query = draw(st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=3))
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "GET", "POST", "PATCH"] * 3 + ["HEAD", "OPTIONS"]))
    if method == "GET" and draw(st.integers(0, 9)) == 0:
        query |= {"watch": "1", "timeoutSeconds": "1"}
        query["resourceVersion"] = draw(st.sampled_from(["1", "abc", "-5"]))  # such as are answered at once
    if query:
        path += "?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())
    accept = draw(
        st.sampled_from(
            [
                "application/json",
                "*/*",
                "",
                "application/json;as=Table;v=v1;g=meta.k8s.io",
                "text/html",
                ";;;",
                "application/yaml",
            ]
        )
    )
    body = draw(BODIES) if method in {"POST", "PUT", "PATCH", "DELETE"} else b""
    return Sent(method, path, draw(st.sampled_from(TYPES)), accept, body)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        running.load(Path(__file__).parents[2] / "examples" / "website" / "crd.yaml")
        for path in REAL[:11]:
            spec = {"spec": {"html": "x", "selector": {}, "ports": [{"port": 80}], "containers": [{"name": "a", "image": "a"}]}}
            connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=60)
            send(connection, Sent("POST", path, "application/json", "", json.dumps({"metadata": {"name": "a"}, **spec}).encode()))
            connection.close()
        yield running


def send(connection: http.client.HTTPConnection, sent: Sent) -> tuple[int, str, bytes]:
    headers = {"Content-Type": sent.content_type, "Accept": sent.accept}
    for again in (True, False):
        try:
            connection.request(sent.method, sent.path, body=sent.body, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()  # a kept connection the server has closed
            if not again:
                raise
    raise AssertionError("unreachable")


def check(sent: Sent, status: int, content_type: str, body: bytes) -> None:
    assert 200 <= status < 600, sent
    assert b"Traceback" not in body, (sent, body)
    if status >= 400 and content_type.startswith("application/json") and sent.method != "HEAD":
        answer = json.loads(body)
        assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", status), (sent, answer)
        assert answer["message"], (sent, answer)


def crossed(batch: list[Sent], dice: random.Random) -> Iterator[Sent]:
    """The requests themselves, then others made of their parts: drawing each anew would take most of the time."""
    yield from batch
    for _ in range(CROSSINGS - len(batch)):
        line, head, body = dice.choices(batch, k=3)
        if line.method in {"POST", "PUT", "PATCH", "DELETE"}:
            yield Sent(line.method, line.path, head.content_type, head.accept, body.body)
        else:
            yield Sent(line.method, line.path, head.content_type, head.accept, b"")


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(batch=st.lists(requests(), min_size=BATCH, max_size=BATCH), seed=st.integers())
def test_hostile_requests_get_the_servers_own_answers(sandbox: Sandbox, caplog: Any, batch: list[Sent], seed: int) -> None:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
    try:
        with caplog.at_level(logging.ERROR):
            for sent in crossed(batch, random.Random(seed)):
                caplog.clear()
                status, content_type, body = send(connection, sent)
                assert not caplog.records, (sent, [record.exc_info for record in caplog.records])
                check(sent, status, content_type, body)
            assert send(connection, Sent("GET", "/readyz", "", "", b""))[0] == 200
    finally:
        connection.close()


@pytest.mark.parametrize(("size", "status"), [(3 * 1024 * 1024 + 1, 413), (2 * 1024 * 1024, 500)])
def test_bodies_that_are_too_large_are_refused(sandbox: Sandbox, size: int, status: int) -> None:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
    body = json.dumps({"metadata": {"name": "large"}, "data": {"k": "x" * size}}).encode()
    try:
        answered, _, text = send(connection, Sent("POST", "/api/v1/namespaces/default/configmaps", "application/json", "", body))
        assert answered in {status, 422}, text  # a ConfigMap of this size is also invalid by itself
        assert json.loads(text)["kind"] == "Status"
        assert send(connection, Sent("GET", "/readyz", "", "", b""))[0] == 200
    finally:
        connection.close()
