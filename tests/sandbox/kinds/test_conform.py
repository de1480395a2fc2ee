"""Built-in objects in the form in which the server holds them."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.objects import GVK
from operator_kit.sandbox.shapes.conform import canonical_time, conform, zero
from operator_kit.sandbox.shapes.quantity import canonical_quantity
from operator_kit.sandbox.status import StatusError

CONFIG_MAP = GVK("", "v1", "ConfigMap")
DEPLOYMENT = GVK("apps", "v1", "Deployment")


def made(gvk: GVK, **fields: Any) -> dict[str, Any]:
    obj = {"apiVersion": gvk.api_version, "kind": gvk.kind, **fields}
    conform(gvk, obj)
    return obj


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1", "1"),
        ("0", "0"),
        ("-0.5", "-500m"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("12e6", "12e6"),
        ("100k", "100k"),
        (".5", "500m"),
        ("1.", "1"),
        ("+3", "3"),
        ("512", "512"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1E", "1E"),
        ("0Ki", "0"),
        ("0.5Ki", "512"),
    ],
)
def test_quantities_take_their_canonical_form(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical
    assert canonical_quantity(canonical) == canonical


@pytest.mark.parametrize("text", ["", "x", "1Q", "1.2.3", "--1", "1 Gi", "1e", "9" * 300])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        canonical_quantity(text)


def test_times_are_written_in_utc() -> None:
    assert canonical_time("2026-01-01T01:00:00.5+01:00") == "2026-01-01T00:00:00Z"
    assert canonical_time("2026-01-01T00:00:00.1234567Z", micro=True) == "2026-01-01T00:00:00.123456Z"
    for text in ("yesterday", "2026-01-01", "2026-13-01T00:00:00Z"):
        with pytest.raises(ValueError, match="parsing time"):
            canonical_time(text)


def test_structs_are_always_written_and_empty_optional_values_are_not() -> None:
    assert made(DEPLOYMENT, spec={"paused": False, "minReadySeconds": 0, "replicas": 0, "selector": None}) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {},
        "spec": {
            "replicas": 0,
            "selector": None,
            "template": {"metadata": {}, "spec": {"containers": None}},
            "strategy": {},
        },
        "status": {},
    }


def test_the_zero_of_a_kind_is_what_an_empty_object_becomes() -> None:
    assert zero(CONFIG_MAP) == {"metadata": {}}
    assert zero(GVK("rbac.authorization.k8s.io", "v1", "ClusterRole")) == {"metadata": {}, "rules": None}
    assert zero(GVK("example.com", "v1", "Gadget")) == {}


def test_unknown_fields_are_told_with_their_paths_and_removed() -> None:
    container = {"name": "c", "imag": "x", "ports": [{"containerPort": 1, "prot": "TCP"}]}
    obj = {"spec": {"x": 1, "template": {"spec": {"containers": [container]}}}, "metadata": {"lables": {}}}
    assert sorted(conform(DEPLOYMENT, obj)) == [
        "metadata.lables",
        "spec.template.spec.containers[0].imag",
        "spec.template.spec.containers[0].ports[0].prot",
        "spec.x",
    ]
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "c", "resources": {}, "ports": [{"containerPort": 1}]}]


@pytest.mark.parametrize(
    ("gvk", "fields", "text"),
    [
        (CONFIG_MAP, {"data": {"k": 5}}, "cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (CONFIG_MAP, {"data": ["k"]}, "cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        (
            DEPLOYMENT,
            {"spec": {"replicas": "3"}},
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            {"spec": {"replicas": 2**31}},
            "cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas",
        ),
        (DEPLOYMENT, {"spec": 5}, "cannot unmarshal number into Go struct field Deployment.spec of type v1.DeploymentSpec"),
        (
            DEPLOYMENT,
            {"spec": {"paused": "no"}},
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (GVK("", "v1", "Secret"), {"data": {"k": "%%"}}, "illegal base64 data at input byte 0"),
        (GVK("", "v1", "ResourceQuota"), {"spec": {"hard": {"cpu": "x"}}}, "quantities must match the regular expression"),
        (GVK("", "v1", "Event"), {"eventTime": "x"}, 'parsing time "x" as "2006-01-02T15:04:05.000000Z07:00"'),
    ],
)
def test_values_that_a_field_cannot_hold_are_refused_in_the_servers_words(gvk: GVK, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(StatusError) as caught:
        made(gvk, **fields)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert caught.value.message.startswith(f'{gvk.kind} in version "v1" cannot be handled as a {gvk.kind}: ')
    assert text in caught.value.message


def test_kinds_that_are_not_built_in_are_left_alone() -> None:
    obj = {"spec": {"a": None, "b": 5}}
    assert conform(GVK("example.com", "v1", "Gadget"), obj) == []
    assert obj == {"spec": {"a": None, "b": 5}}


def test_the_schema_of_a_crd_is_checked_below_its_unions() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "formt": "x"}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {"spec": {"group": "g", "scope": "Cluster", "names": {"plural": "a", "kind": "A"}, "versions": [version]}}
    unknown = conform(GVK("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), crd)
    assert unknown == ["spec.versions[0].schema.openAPIV3Schema.properties.a.items.formt"]
