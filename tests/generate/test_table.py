"""Every construct that pydantic writes and a server does not take as it is: its form in a CRD, and what the server makes of it.

The table is what a real kube-apiserver said of each construct. Each row's CRD is installed, checked strictly, and used.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union
from uuid import UUID

import pytest
from pydantic import AnyUrl, Field, create_model

from operator_kit.generate import crds, schema_of
from operator_kit.models import (
    Atomic,
    CustomResource,
    Duration,
    EmbeddedResource,
    ListMap,
    ListSet,
    Model,
    PreserveUnknownFields,
    Rule,
)
from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import Talk

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
REQUIRED: Any = ...


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Port(Model):
    name: str
    number: Annotated[int, Field(ge=1, le=65535)] = 80


class Loose(Model, extra="allow"):
    known: int = 0


class Strict(Model, extra="forbid"):
    known: int = 0


class Git(Model):
    kind: Literal["git"]
    url: str
    depth: int = 1


class Archive(Model):
    kind: Literal["archive", "zip"]
    url: str
    strip: int | None = None


class Ruled(Model, rules=[Rule("self.low <= self.high", "low is more than high")]):
    low: int
    high: int


@dataclass
class Pair:
    left: int
    right: str = ""


Held = TypeVar("Held")


class Box(Model, Generic[Held]):
    held: Held


class Renamed(Model):
    url: Annotated[str | None, Field(alias="wwwURL")] = None


class Node(Model):
    name: str
    below: list[Annotated[Node, PreserveUnknownFields()]] = []  # noqa: RUF012  # pydantic copies it


class Row(NamedTuple):
    of: Any
    schema: dict[str, Any]
    valid: list[Any]
    invalid: list[Any]
    default: Any = REQUIRED


PORT = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "number": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 80}},
}
PORT_VALUE = {"name": "web", "number": 80}

ROWS = {
    "a reference is put in place": Row(Port, PORT, [PORT_VALUE], [{}, {"name": "x", "number": 0}, "x"]),
    "recursion ends where the author says": Row(
        Node,
        {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "below": {"type": "array", "default": [], "items": {"type": "object", **PRESERVE}},
            },
        },
        [{"name": "a", "below": [{"name": "b", "below": [{"name": "c", "below": []}]}]}],
        [{"name": "a", "below": ["b"]}],
    ),
    "optional is nullable": Row(Optional[str], {"type": "string", "nullable": True}, ["x", None], [1, {}], None),  # noqa: UP045  # this spelling too
    "optional in the new spelling, of a model": Row(Port | None, {**PORT, "nullable": True}, [None, PORT_VALUE], [{}], None),
    "int or str": Row(Union[int, str], {"x-kubernetes-int-or-string": True}, [1, "50%"], [1.5, True, []]),  # noqa: UP007  # this spelling too
    "int or str with demands of both": Row(
        Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern="^[0-9]+%$")] | None,
        {"x-kubernetes-int-or-string": True, "nullable": True, "minimum": 0, "pattern": "^[0-9]+%$"},
        [0, "50%", None],
        [-1, "x"],
        None,
    ),
    "int or float": Row(int | float, {"type": "number"}, [1, 1.5], ["x"]),
    "any": Row(Any, PRESERVE, [1, "x", {"a": [1]}, [None]], []),
    "a mapping of anything": Row(dict[str, Any], {"type": "object", **PRESERVE}, [{}, {"a": {"b": 1}}], [[], "x"]),
    "a bare dict": Row(dict, {"type": "object", **PRESERVE}, [{"a": 1}], [[]]),
    "a mapping": Row(
        dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "x"}, []]
    ),
    "a mapping with keys of a form": Row(
        dict[Annotated[str, Field(pattern="^[a-z]+$")], int],
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [{"a": 1}],
        [{"a": "x"}],
    ),
    "extra fields allowed": Row(
        Loose,
        {"type": "object", **PRESERVE, "properties": {"known": {"type": "integer", "default": 0}}},
        [{"known": 1, "more": {"x": 1}}],
        [{"known": "x"}],
    ),
    "extra fields forbidden are what a server drops": Row(
        Strict, {"type": "object", "properties": {"known": {"type": "integer", "default": 0}}}, [{"known": 1}], [{"known": "x"}]
    ),
    "open bounds": Row(
        Annotated[int, Field(gt=0, lt=10)],
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 10, "exclusiveMaximum": True},
        [1, 9],
        [0, 10],
    ),
    "closed bounds and steps": Row(
        Annotated[float, Field(ge=0.5, le=6, multiple_of=2)],
        {"type": "number", "minimum": 0.5, "maximum": 6, "multipleOf": 2},
        [2, 4],
        [0.4, 8, 3],
    ),
    "a set": Row(
        set[str], {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}, [[], ["a"]], [["a", "a"]]
    ),
    "a list without repetition": Row(
        Annotated[list[int], ListSet()],
        {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
        [[2, 1]],
        [[1, 1]],
    ),
    "a tuple of two types": Row(
        tuple[int, str], {"type": "array", "minItems": 2, "maxItems": 2, "items": PRESERVE}, [[1, "x"]], [[1], [1, "x", 2]]
    ),
    "a tuple of one type": Row(
        tuple[int, int],
        {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
        [[1, 2]],
        [[1], [1, "x"]],
    ),
    "a tuple of any length": Row(tuple[int, ...], {"type": "array", "items": {"type": "integer"}}, [[], [1]], [["x"]]),
    "a bare list": Row(list, {"type": "array", "items": PRESERVE}, [[], [1, "x", {"a": 1}]], [{}]),
    "a literal": Row(Literal["a"], {"type": "string", "enum": ["a"]}, ["a"], ["b", 1]),
    "a literal with a default": Row(
        Literal["a", "b"], {"type": "string", "enum": ["a", "b"], "default": "a"}, ["a", "b"], ["c"], "a"
    ),
    "a literal or none": Row(
        Literal["a", "b"] | None, {"type": "string", "enum": ["a", "b"], "nullable": True}, ["a"], ["c"], None
    ),
    "literals of numbers": Row(Literal[1, 2], {"type": "integer", "enum": [1, 2]}, [1], [3, "1"]),
    "literals of both": Row(Literal[1, "x"], {"x-kubernetes-int-or-string": True, "enum": [1, "x"]}, [1, "x"], [2, "y"]),
    "alternatives of literals": Row(Literal["a"] | Color, {"type": "string", "enum": ["a", "red", "blue"]}, ["a", "red"], ["c"]),
    "an enum": Row(Color, {"type": "string", "enum": ["red", "blue"], "default": "red"}, ["red"], ["green"], Color.RED),
    "an enum of numbers": Row(Level, {"type": "integer", "enum": [1, 2]}, [1], [3]),
    "a union told apart by a tag": Row(
        Annotated[Git | Archive, Field(discriminator="kind")],
        {
            "type": "object",
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["git", "archive", "zip"]},
                "url": {"type": "string"},
                "depth": {"type": "integer"},
                "strip": {"type": "integer", "nullable": True},
            },
            "oneOf": [
                {"properties": {"kind": {"enum": ["git"]}}, "required": ["kind", "url"]},
                {"properties": {"kind": {"enum": ["archive", "zip"]}}, "required": ["kind", "url"]},
            ],
        },
        [{"kind": "git", "url": "x", "depth": 2}, {"kind": "zip", "url": "x"}],
        [{"kind": "git"}, {"kind": "svn", "url": "x"}, {"url": "x"}, {"kind": "git", "url": "x", "depth": "deep"}],
    ),
    "what only people read is dropped": Row(
        Annotated[str, Field(title="T", examples=["x"], deprecated=True, json_schema_extra={"readOnly": True})],
        {"type": "string"},
        ["x"],
        [1],
    ),
    "a description is kept": Row(
        Annotated[str, Field(description="For people.")], {"type": "string", "description": "For people."}, ["x"], [1]
    ),
    "a pattern": Row(Annotated[str, Field(pattern=r"^\d+$")], {"type": "string", "pattern": r"^\d+$"}, ["12"], ["x"]),
    "lengths": Row(
        Annotated[str, Field(min_length=1, max_length=3)],
        {"type": "string", "minLength": 1, "maxLength": 3},
        ["abc"],
        ["", "abcd"],
    ),
    "lengths of lists": Row(
        Annotated[list[str], Field(min_length=1, max_length=2)],
        {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        [["a"]],
        [[], ["a", "b", "c"]],
    ),
    "a moment": Row(datetime, {"type": "string", "format": "date-time"}, ["2026-01-02T03:04:05Z"], ["yesterday"]),
    "a day": Row(date, {"type": "string", "format": "date"}, ["2026-01-02"], ["yesterday"]),
    "a day or a moment": Row(
        date | datetime,
        {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]},
        ["2026-01-02", "2026-01-02T03:04:05Z"],
        ["yesterday"],
    ),
    "a UUID": Row(UUID, {"type": "string", "format": "uuid"}, ["12345678-1234-5678-1234-567812345678"], ["x"]),
    "an address": Row(AnyUrl, {"type": "string", "format": "uri", "minLength": 1}, ["https://example.com/"], ["x"]),
    "a format the server does not know": Row(bytes, {"type": "string"}, ["x"], [1]),
    "a timedelta in ISO 8601": Row(timedelta, {"type": "string"}, ["PT30S"], [1]),
    "a duration as Kubernetes writes it": Row(
        Duration,
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", "default": "1m30s"},
        ["30s", "1h30m", "1.5s", "500ms"],
        ["PT30S", "30", "soon"],
        timedelta(seconds=90),
    ),
    "a model as default": Row(
        Strict,
        {"type": "object", "properties": {"known": {"type": "integer", "default": 0}}, "default": {}},
        [{"known": 1}],
        [1],
        Strict(),
    ),
    "a model as default, with what is set": Row(Port, {**PORT, "default": {"name": "web"}}, [PORT_VALUE], [{}], Port(name="web")),
    "a list that is merged by name": Row(
        Annotated[list[Port], ListMap("name")],
        {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": PORT},
        [[PORT_VALUE, {"name": "b", "number": 1}]],
        [[PORT_VALUE, PORT_VALUE], [{}]],
    ),
    "a list that is merged by a defaulted key": Row(
        Annotated[list[Port], ListMap("name", "number")],
        {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "number"], "items": PORT},
        [[PORT_VALUE, {"name": "web", "number": 1}]],
        [[PORT_VALUE, PORT_VALUE]],
    ),
    "a mapping that is replaced as a whole": Row(
        Annotated[dict[str, str], Atomic()],
        {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        [{"a": "b"}],
        [{"a": 1}],
    ),
    "an object inside the object": Row(
        Annotated[dict[str, Any], EmbeddedResource()],
        {"type": "object", "x-kubernetes-embedded-resource": True, **PRESERVE},
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}],
        [{"kind": "ConfigMap"}],
    ),
    "a rule on a class": Row(
        Ruled,
        {
            "type": "object",
            "x-kubernetes-validations": [{"rule": "self.low <= self.high", "message": "low is more than high"}],
            "required": ["low", "high"],
            "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
        },
        [{"low": 1, "high": 1}],
        [{"low": 2, "high": 1}],
    ),
    "a rule on a field": Row(
        Annotated[int, Field(ge=0), Rule("self % 2 == 0", "must be even")],
        {"type": "integer", "minimum": 0, "x-kubernetes-validations": [{"rule": "self % 2 == 0", "message": "must be even"}]},
        [0, 2],
        [-2, 1],
    ),
    "a dataclass of one's own": Row(
        Pair,
        {
            "type": "object",
            "required": ["left"],
            "properties": {"left": {"type": "integer"}, "right": {"type": "string", "default": ""}},
        },
        [{"left": 1, "right": "x"}],
        [{}, {"left": "x"}],
    ),
    "a type with a parameter": Row(
        Box[int],
        {"type": "object", "required": ["held"], "properties": {"held": {"type": "integer"}}},
        [{"held": 1}],
        [{"held": "x"}],
    ),
    "an alias": Row(
        Renamed,
        {"type": "object", "properties": {"wwwURL": {"type": "string", "nullable": True}}},
        [{"wwwURL": "x"}],
        [{"wwwURL": 1}],
    ),
    "a value kept as it is": Row(
        Annotated[Port | dict[str, int] | None, PreserveUnknownFields()],
        {**PRESERVE, "nullable": True},
        [{"name": "x"}, None],
        [],
        None,
    ),
}


def model_of(row: Row, number: int) -> type[CustomResource]:
    spec = create_model("Spec", __base__=Model, value=(row.of, row.default))
    options = {"group": "example.com", "version": "v1"}
    return types.new_class(f"Row{number}", (CustomResource,), options, lambda body: body.update(__annotations__={"spec": spec}))


@pytest.fixture(scope="module")
def server() -> Iterator[Talk]:
    with Sandbox() as sandbox:
        yield Talk(sandbox)


@pytest.mark.parametrize("name", ROWS)
def test_each_construct_has_a_form_that_a_server_takes_and_keeps(server: Talk, name: str) -> None:
    row, number = ROWS[name], list(ROWS).index(name)
    model = model_of(row, number)
    assert schema_of(model)["properties"]["spec"]["properties"]["value"] == row.schema
    (crd,) = crds(model)
    server.create(CRDS, crd, fieldValidation="Strict")
    path = f"/apis/example.com/v1/namespaces/default/row{number}s"
    head = {"apiVersion": "example.com/v1", "kind": f"Row{number}"}
    for at, value in enumerate(row.valid):
        body = {**head, "metadata": {"name": f"valid-{at}"}, "spec": {"value": value}}
        answer = server.create(path, body, fieldValidation="Strict")
        assert answer["spec"]["value"] == value
        parsed = model.from_dict(answer)
        assert parsed.to_dict() == {key: item for key, item in answer.items() if key != "status"}
    for at, value in enumerate(row.invalid):
        status, answer = server.send("POST", path, {**head, "metadata": {"name": f"invalid-{at}"}, "spec": {"value": value}})
        assert status == 422, answer
    if "default" in row.schema:
        answer = server.create(path, {**head, "metadata": {"name": "default"}, "spec": {}})
        assert model.from_dict(answer) == model.from_dict({**answer, "spec": {}})
