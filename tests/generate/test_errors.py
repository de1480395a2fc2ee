"""What has no form in a CRD is refused before a server sees it: the message names the model, the field and the remedy."""

from __future__ import annotations

import types
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, create_model

from operator_kit.errors import RegistrationError, UsageError
from operator_kit.generate import SchemaError, crds
from operator_kit.models import Column, CustomResource, ListMap, ListSet, Model, Rule, Scale, Status, definition_of


class Node(Model):
    name: str
    below: list[Node] = []  # noqa: RUF012  # pydantic copies it


class Port(Model):
    name: str
    alias: str | None = None
    labels: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it


class Git(Model):
    kind: Literal["git"]
    depth: int = 1


class Archive(Model):
    kind: Literal["archive"]
    depth: str = ""


class Ruled(Model, rules=[Rule("true")]):
    kind: Literal["ruled"]


class Untagged(Model):
    kind: str


class Typed(Model, extra="allow"):
    __pydantic_extra__: dict[str, int]

    known: str = ""


class Opaque:
    pass


FIELDS: dict[str, tuple[Any, Any, str]] = {
    "recursion": (Node, ..., r"Thing\.spec\.value\.below\[\]: Node contains itself.*PreserveUnknownFields"),
    "a union of models": (Port | Git, ..., r"Thing\.spec\.value: an object has no form in a CRD; .*discriminator"),
    "a union of types": (int | list[str], ..., r"Thing\.spec\.value: int \| list has no form"),
    "a boolean or a text": (bool | str, ..., r"bool \| str has no form"),
    "a decimal": (Decimal, ..., r"float \| str \(a Decimal is one\) has no form"),
    "lookahead": (
        Annotated[str, Field(json_schema_extra={"pattern": "^(?!a)b"})],
        ...,
        r"\^\(\?!a\)b looks ahead or behind; .* RE2",
    ),
    "a reference back": (Annotated[str, Field(json_schema_extra={"pattern": r"(a)\1"})], ..., r"refers back to a group"),
    "too many repeats": (Annotated[str, Field(pattern="^a{1,2000}$")], ..., "repeats more than 1000 times"),
    "no pattern at all": (Annotated[str, Field(json_schema_extra={"pattern": "("})], ..., "is no regular expression"),
    "a default below the minimum": (
        Annotated[int, Field(ge=1)],
        0,
        r"Thing\.spec\.value: the default 0 does not fit its own type: 0 is less than the minimum, 1",
    ),
    "a default above the maximum": (Annotated[int, Field(lt=1)], 1, "more than the maximum, 1"),
    "a default that is not among the choices": (
        Annotated[str, Field(json_schema_extra={"enum": ["a"]})],
        "b",
        "must be one of 'a'",
    ),
    "a default of another form": (Annotated[str, Field(pattern="^a$")], "b", r"must match \^a\$"),
    "a default too long": (Annotated[str, Field(max_length=1)], "bb", "has 2 characters, more than 1"),
    "a default too short": (Annotated[list[int], Field(min_length=1)], [], "has 0 items, fewer than 1"),
    "a default that repeats": (Annotated[list[int], ListSet()], [1, 1], "must not hold the same item twice"),
    "a default of another type": (int, "x", "the default 'x'"),
    "a default inside a list": (list[Annotated[int, Field(ge=1)]], [1, 0], r"\[1\] 0 is less than the minimum, 1"),
    "a default that JSON cannot say": (Any, Opaque(), "the default .*Opaque.* cannot be written"),
    "a type that JSON cannot say": (Callable[[], None], ..., r"Thing\.spec\.value: this type has no form in JSON"),
    "a list of texts merged by name": (Annotated[list[str], ListMap("name")], ..., "must be objects with fields"),
    "a key that is no field": (
        Annotated[list[Port], ListMap("nam")],
        ...,
        r'ListMap\("nam"\): the items have no field nam; they have name',
    ),
    "a key that may be left out": (Annotated[list[Port], ListMap("alias")], ..., "make it required, or give it a default"),
    "a key that is no scalar": (Annotated[list[Port], ListMap("labels")], ..., "labels must be a text or a number"),
    "a set of objects": (Annotated[list[Port], ListSet()], ..., r"a set in a CRD holds texts or numbers; .*ListMap"),
    "a set with nothing in it": (set[int | None], ..., "must not be None"),
    "one name with two types": (
        Annotated[Git | Archive, Field(discriminator="kind")],
        ...,
        r"Thing\.spec\.value\.depth: Git and Archive have it with different types",
    ),
    "rules in an alternative": (Annotated[Git | Ruled, Field(discriminator="kind")], ..., "Ruled has rules of its own"),
    "steps that are no whole numbers": (Annotated[float, Field(multiple_of=0.5)], ..., "whole numbers"),
    "choices of no common type": (Literal["a", True], ..., "have no common type"),
    "extra fields of one type": (Typed, ..., "extra fields of a given type have no form"),
    "a secret": (SecretStr, ..., "masked when the object is written; name a Secret"),
    "nothing but none": (type(None), ..., "the type null has no form in a CRD"),
    "a keyword of one's own": (Annotated[str, Field(json_schema_extra={"if": {}})], ..., "the keyword if has no form"),
}


def thing(spec: type[Model], **options: Any) -> type[CustomResource]:
    options = {"group": "example.com", "version": "v1", **options}
    return types.new_class("Thing", (CustomResource,), options, lambda body: body.update(__annotations__={"spec": spec}))


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_without_a_form_is_named_with_the_remedy(name: str) -> None:
    of, default, message = FIELDS[name]
    model = thing(create_model("Spec", __base__=Model, value=(of, default)))
    with pytest.raises(SchemaError, match=message) as caught:
        crds(model)
    assert str(caught.value).startswith("Thing.spec.value")
    assert "\n" not in str(caught.value)


class Spec(Model):
    replicas: int = 1
    labels: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "no status field to scale by": (
        {"scale": Scale()},
        r"scale: \.status\.replicas is no integer field of the model; .*scale=Scale",
    ),
    "no spec field to scale by": ({"scale": Scale(spec=".spec.labels")}, r"scale: \.spec\.labels is no integer field"),
    "a column of nothing": ({"columns": [Column("A", ".spec.nothing")]}, r"the column A: the model has no field \.spec\.nothing"),
    "a column without a type": ({"columns": [Column("A", ".spec.labels['a']")]}, "give the type"),
    "a selectable field that is none": ({"selectable": [".spec.nothing"]}, r"selectable: the model has no field \.spec\.nothing"),
    "a selectable field that is a mapping": ({"selectable": [".spec.labels"]}, "is no text, integer or boolean"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_without_a_form_is_named_with_the_remedy(name: str) -> None:
    options, message = KINDS[name]
    with pytest.raises(SchemaError, match=message) as caught:
        crds(thing(Spec, **options))
    assert str(caught.value).startswith("Thing: ")


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"shortnames": ["t"]}, "there is no option shortnames; did you mean short_names"),
    "a group without a dot": ({"group": "example"}, "group='example': give a domain you own"),
    "a version that is none": ({"version": "1.0"}, "version='1.0': give a version such as"),
    "a kind that is no word": ({"kind": "my-thing"}, "kind='my-thing'"),
    "one short name": ({"short_names": "t"}, r"short_names: expected a list, such as \['t'\]"),
    "a short name that is none": ({"short_names": ["T"]}, "short_names: 'T' is not a name"),
    "a column that is text": ({"columns": [".spec.a"]}, "columns: '.spec.a' is no Column"),
    "a selectable that is no path": ({"selectable": ["spec.a"]}, "is not a path"),
    "too many selectable": ({"selectable": [f".spec.f{n}" for n in range(9)]}, "8 at most"),
    "a scale that is none": ({"scale": True}, "scale: True is no Scale"),
    "a rule that is text": ({"rules": ["self.a"]}, "rules: 'self.a' is no Rule"),
    "a warning that is empty": ({"deprecated": ""}, "a warning has 1 to 256 characters"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_cannot_be_used_is_refused_where_the_class_stands(name: str) -> None:
    options, message = OPTIONS[name]
    with pytest.raises(RegistrationError, match=f"class Thing: .*{message}"):
        thing(Spec, **options)


def test_the_place_of_the_class_is_named() -> None:
    with pytest.raises(RegistrationError, match=r"test_errors\.py:\d+: class Misplaced: group"):

        class Misplaced(CustomResource, group="nowhere", version="v1"):
            spec: Spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rule(" "), "needs a CEL expression"),
        (lambda: Rule("a\nb"), "needs a message"),
        (lambda: Rule("a", "b\nc"), "must be one line"),
        (lambda: Rule("a", reason="Wrong"), "the reason is one of"),
        (lambda: ListMap(), "needs the fields"),
        (lambda: Column("A", "spec"), "give a name and a path"),
        (lambda: Column("A", ".spec.a", "text"), "the type is one of"),
    ],
)
def test_markers_refuse_what_a_server_would(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_status_needs_defaults_and_its_base() -> None:
    class Demanding(Status):
        replicas: int

    class Foreign(Model):
        replicas: int = 0

    class One(CustomResource, group="example.com", version="v1"):
        status: Demanding

    class Two(CustomResource, group="example.com", version="v1"):
        status: Foreign  # type: ignore[assignment]  # what is refused

    with pytest.raises(SchemaError, match=r"One\.status: the status of a new object is empty: give replicas a default"):
        crds(One)
    with pytest.raises(SchemaError, match=r"Two\.status: derive it from operator_kit\.models\.Status"):
        crds(Two)


def test_versions_of_a_kind_must_agree() -> None:
    def version(name: str, **options: Any) -> type[CustomResource]:
        return thing(Spec, **{"version": name, **options})

    with pytest.raises(SchemaError, match=r"Thing and Thing: example\.com/v1/Thing is defined twice"):
        crds(version("v1"), version("v1"))
    with pytest.raises(SchemaError, match="give storage=True to exactly one"):
        crds(version("v1"), version("v2"))
    with pytest.raises(SchemaError, match="give storage=True to exactly one"):
        crds(version("v1", storage=True), version("v2", storage=True))
    with pytest.raises(SchemaError, match="plural belongs to the kind, not to a version"):
        crds(version("v1", storage=True), version("v2", plural="thinges"))


def test_a_class_without_group_and_version_is_no_kind() -> None:
    class Base(CustomResource):
        spec: Spec

    with pytest.raises(UsageError, match="Base is no kind: derive it from CustomResource with group="):
        definition_of(Base)
