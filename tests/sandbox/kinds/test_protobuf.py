"""Protobuf bodies: every recorded one decodes to what the server answered; anything else is a refusal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.objects import GVK
from operator_kit.sandbox import shapes
from operator_kit.sandbox.protobuf import decode
from operator_kit.sandbox.shapes.conform import conform
from operator_kit.sandbox.status import StatusError

ROWS = json.loads((Path(__file__).parents[2] / "contract" / "protobuf.json").read_text())
DECIDED_BY_THE_SERVER = {"status.allowed"}  # of an access review


def missing(sent: Any, answer: Any, path: str = "") -> Iterator[str]:
    """What was sent and is not in the answer, which has defaults besides."""
    if isinstance(sent, dict) and isinstance(answer, dict):
        for key, value in sent.items():
            here = f"{path}.{key}".lstrip(".")
            if here in DECIDED_BY_THE_SERVER:
                continue
            if key in answer:
                yield from missing(value, answer[key], here)
            else:
                yield f"{here} is not answered"
    elif isinstance(sent, list) and isinstance(answer, list) and len(sent) == len(answer):
        for index, (a, b) in enumerate(zip(sent, answer, strict=True)):
            yield from missing(a, b, f"{path}[{index}]")
    elif sent != answer:
        yield f"{path}: {sent!r} is not {answer!r}"


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    def text(number: int, value: bytes) -> bytes:
        assert len(value) < 2**14
        size = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 0x7F | 0x80, len(value) >> 7])
        return bytes([number << 3 | 2]) + size + value

    return b"k8s\x00" + text(1, text(1, api_version.encode()) + text(2, kind.encode())) + text(2, raw)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['answer']['kind']}-{row['answer']['metadata'].get('name')}" for row in ROWS])
def test_what_kubectl_sent_is_what_the_server_answered(row: dict[str, Any]) -> None:
    made = decode(base64.b64decode(row["body_base64"]))
    assert conform(GVK.of(made["apiVersion"], made["kind"]), made) == []
    assert list(missing(made, row["answer"])) == []


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['answer']['kind']}-{row['answer']['metadata'].get('name')}" for row in ROWS])
def test_the_servers_answers_are_in_the_form_that_conform_gives(row: dict[str, Any]) -> None:
    answer = json.loads(json.dumps(row["answer"]).replace('"<ts>"', '"2026-01-01T00:00:00Z"'))
    made = json.loads(json.dumps(answer))
    assert conform(GVK.of(answer["apiVersion"], answer["kind"]), made) == []
    assert made == answer


def test_a_lease_with_micro_times_and_optional_integers() -> None:
    micro = bytes.fromhex("08809bd4ca0610c0843d")  # some seconds and 1,000,000 ns
    spec = b"\x0a\x01x\x10\x0f" + b"\x22" + bytes([len(micro)]) + micro + b"\x28\x00"
    made = decode(envelope("coordination.k8s.io/v1", "Lease", b"\x0a\x03\x0a\x01l\x12" + bytes([len(spec)]) + spec))
    assert made["metadata"] == {"name": "l"}
    assert made["spec"]["holderIdentity"] == "x"
    assert made["spec"]["leaseDurationSeconds"] == 15
    assert made["spec"]["leaseTransitions"] == 0
    assert made["spec"]["renewTime"].endswith(".001000Z")


def test_delete_options_are_decoded_in_whatever_version_they_are_sent() -> None:
    body = envelope("apps/v1", "DeleteOptions", b"\x08\x00\x12\x03\x0a\x01u\x22\x0aBackground")
    assert decode(body) == {
        "kind": "DeleteOptions",
        "apiVersion": "apps/v1",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
        "propagationPolicy": "Background",
    }


@pytest.mark.parametrize(
    "kind",
    [
        "v1/Pod",
        "v1/Event",
        "v1/PersistentVolumeClaim",
        "v1/Node",
        "apps/v1/StatefulSet",
        "apps/v1/DaemonSet",
        "apps/v1/ReplicaSet",
        "events.k8s.io/v1/Event",
        "coordination.k8s.io/v1/Lease",
        "discovery.k8s.io/v1/EndpointSlice",
        "networking.k8s.io/v1/NetworkPolicy",
        "policy/v1/Eviction",
        "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
        "authentication.k8s.io/v1/TokenReview",
        "apiextensions.k8s.io/v1/CustomResourceDefinition",
    ],
)
def test_the_kinds_that_operators_write_are_known(kind: str) -> None:
    api_version, _, name = kind.rpartition("/")
    made = decode(envelope(api_version, name, b"\x0a\x03\x0a\x01n"))
    assert made["metadata"] == {"name": "n"}


def test_fields_of_a_newer_client_are_passed_over() -> None:
    made = decode(envelope("v1", "ConfigMap", b"\x0a\x03\x0a\x01n\xc2\x3e\x01x\xc8\x3e\x05"))
    assert made == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "n"}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 415),
        (b"{}", 415),
        (b"k8s\x01", 415),
        (envelope("example.com/v1", "Widget", b""), 415),
        (envelope("v1", "Gizmo", b""), 415),
        (envelope("v1", "", b""), 400),
        (b"k8s\x00\x0a\xff", 400),
        (envelope("v1", "ConfigMap", b"\x0a\x7f"), 400),
        (envelope("v1", "ConfigMap", b"\x08\x01"), 400),
        (envelope("v1", "ConfigMap", b"\x0b"), 400),
        (envelope("v1", "ConfigMap", b"\x00"), 400),
        (envelope("v1", "ConfigMap", b"\x0a\x03\x0a\x01\xff"), 400),
        (envelope("v1", "ConfigMap", b"\xff" * 11), 400),
    ],
)
def test_anything_else_is_refused(body: bytes, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        decode(body)
    assert caught.value.code == code
    if code == 415:
        assert caught.value.reason == "UnsupportedMediaType"


@given(st.binary(max_size=60), st.sampled_from([row["body_base64"] for row in ROWS]), st.integers(0, 400))
def test_hostile_bytes_are_refused_or_decoded_and_nothing_else(noise: bytes, body: str, place: int) -> None:
    good = base64.b64decode(body)
    for hostile in (b"k8s\x00" + noise, good[:place] + noise + good[place + 1 :], good[:place]):
        try:
            made = decode(hostile)
        except StatusError as error:
            code = error.code
        else:
            code = 200
            assert isinstance(json.dumps(made), str)
        assert code in {200, 400, 415}


def test_every_shape_can_be_read() -> None:
    seen: set[str] = set()

    def walk(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        message = shapes.message(name)
        assert len(message.numbers) == len(message.fields), name
        for item in message.fields:
            if item.type not in shapes.SCALARS and not item.type.startswith("[]"):
                walk(item.type)

    for api_version in shapes.api_versions():
        for kind in shapes.kinds(api_version):
            found = shapes.message_for(GVK.of(api_version, kind))
            assert found is not None
            walk(found.name)
    assert len(seen) > 400
