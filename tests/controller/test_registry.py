"""What the decorator accepts, and how it says what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.controller import Cached, Reconciler, Registry, collect, default_registry, reconciler
from operator_kit.errors import RegistrationError
from operator_kit.permissions import PolicyRule
from operator_kit.predicates import generation_changed, label_changed


def nothing(obj: Any, ctx: Any) -> None:
    pass


def test_the_name_is_the_kind_in_lower_case_unless_given() -> None:
    registry = Registry()
    for kind in ("Website", "Gadget.example.com", "example.com/v1/Thing"):
        registry.reconciler(kind)(nothing)
    registry.reconciler("Website", name="dns")(nothing)
    assert [made.name for made in registry] == ["website", "gadget", "thing", "dns"]


def test_what_is_decorated_stays_callable_for_a_unit_test() -> None:
    @Registry().reconciler("Foo")
    def double(obj: Any, ctx: Any) -> Any:
        return obj["n"] * 2

    assert double({"n": 2}, None) == 4


def test_an_unknown_option_is_refused_with_the_nearest_and_the_place() -> None:
    with pytest.raises(RegistrationError, match=r"test_registry\.py:\d+: @reconciler has no option owms; did you mean owns\?"):
        reconciler("Foo", owms=["v1/Pod"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"owns": "v1/Pod"}, r"owns=…\): expected a list of kinds, such as \['v1/Pod'\]"),
        ({"owns": ["apps/v1"]}, r"'apps/v1' is not a kind; write Website"),
        ({"reads": [7]}, r"7 is not a kind"),
        ({"watches": ["v1/Secret"]}, r"watches=…\): expected a mapping of kinds to functions"),
        ({"watches": {"v1/Secret": "x"}}, r"v1/Secret: 'x' is not a function"),
        ({"cache": ["v1/Pod"]}, r"cache=…\): expected a mapping of kinds to Cached\(…\)"),
        ({"cache": {"v1/Pod": "app=web"}}, r"cache=…\): expected a mapping of kinds to Cached\(…\)"),
        ({"cache": {"v1/Pod": Cached()}}, r"cache=…\): v1/Pod is in none of owns, owns_by_label, watches, reads"),
        ({"workers": 0}, r"workers=…\): 0 is not a number of 1 or more"),
        ({"workers": True}, r"True is not a number"),
        ({"timeout": "soon"}, r"timeout=…\): 'soon' is not a duration"),
        ({"backoff": "5s"}, r"backoff=…\): expected two durations"),
        ({"backoff": ("5m", "1s")}, r"expected two durations"),
        ({"selector": "a=="}, r"selector=…\):"),
        ({"selector": "a in (b"}, r"selector=…\):"),
        ({"namespaces": "default"}, r"namespaces=…\): expected a list, such as \['default'\]"),
        ({"namespaces": ["shop", "team-*"]}, r"namespaces=…\): 'team-\*' is not a namespace; use lower-case letters"),
        ({"name": "Not A Name"}, r"name=…\): 'Not A Name' is not a name; use lower-case"),
        ({"predicates": lambda old, new: True}, r"is not a predicate; wrap a function"),
        ({"permissions": "get v1/Secret"}, r"permissions=…\): expected a list of permissions, such as \['get v1/Secret'\]"),
        ({"permissions": ["get,lst v1/Secret"]}, r"'lst' is not a verb; did you mean list\?"),
        ({"permissions": ["get secrets"]}, r"'get secrets' is not a permission; write verbs and a kind: \"get,list v1/Secret\""),
        ({"permissions": [PolicyRule("apps", ["deployments"], ["get"])]}, r"api_groups is a list of texts, not 'apps'"),
        ({"predicates": [label_changed, "label"]}, r"'label' is not a predicate; wrap a function"),
        ({"requeue_every": 0}, r"requeue_every=…\): 0 is no interval; it must be more than zero"),
        ({"requeue_every": "daily"}, r"requeue_every=…\): 'daily' is not a duration"),
        ({"leader": "yes"}, r"leader=…\): 'yes' is not True or False"),
        ({"leader": None}, r"leader=…\): None is not True or False"),
    ],
)
def test_every_option_is_checked_where_the_decorator_stands(options: dict[str, Any], message: str) -> None:
    if options == {"selector": "a=="}:
        options = {"selector": "a in b"}
    with pytest.raises(RegistrationError, match=message) as caught:
        reconciler("Foo", **options)(nothing)
    assert "test_registry.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"selector": "a in (b"}, "unable to parse requirement"),
        ({"selector": 7}, "selector: 7 is not text"),
        ({"fields": None}, "fields: None is not text"),
        ({"metadata_only": "yes"}, "metadata_only: 'yes' is not True or False"),
        ({"transform": "cut"}, "transform: 'cut' is not a function"),
    ],
)
def test_how_little_is_cached_is_checked_where_it_is_written(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cached(**given)


@pytest.mark.parametrize("kind", ["", "apps/v1", "/Foo", "Foo/", 7, None])
def test_a_kind_that_is_none_is_refused(kind: Any) -> None:
    with pytest.raises(RegistrationError, match=r"test_registry\.py:\d+: @reconciler"):
        reconciler(kind)


def test_two_reconcilers_of_one_kind_need_names() -> None:
    registry = Registry()
    registry.reconciler("Foo")(nothing)
    with pytest.raises(
        RegistrationError, match=r"a reconciler named foo exists at .*two need names: @reconciler\('Foo', name=…\)"
    ):
        registry.reconciler("Foo")(nothing)


def test_a_function_must_take_the_object_and_the_context() -> None:
    with pytest.raises(RegistrationError, match=r"must take two arguments, \(obj, ctx\), not \(obj\)"):
        Registry().reconciler("Foo")(lambda obj: None)  # type: ignore[arg-type, misc]

    def generator(obj: Any, ctx: Any) -> Any:
        yield 1

    with pytest.raises(RegistrationError, match="is a generator"):
        Registry().reconciler("Foo")(generator)


def test_one_cleanup_for_a_reconciler() -> None:
    made = Registry().reconciler("Foo")(nothing)
    made.cleanup(nothing)
    with pytest.raises(RegistrationError, match="has a cleanup already"):
        made.cleanup(nothing)


def test_an_index_is_over_a_declared_kind_and_has_a_name_of_its_own() -> None:
    made = Registry().reconciler("Foo", reads=["v1/Pod"])(nothing)
    made.index("v1/Pod", "by-node")(lambda obj: [])
    with pytest.raises(RegistrationError, match="index 'by-node' over v1/Pod already"):
        made.index("v1/Pod", "by-node")
    with pytest.raises(RegistrationError, match=r"declare the kind with reads=\[…\]; did you mean v1/Pod"):
        made.index("v1/Pot", "x")


def test_an_index_of_a_registry_is_checked_where_it_stands() -> None:
    registry = Registry()
    made = registry.index("v1/Pod", "by-node")(lambda pod: [pod["spec"]["nodeName"]])
    assert list(made({"spec": {"nodeName": "a"}})) == ["a"]
    for wrong, message in (
        (("v1/Pod", "by-node"), r"an index 'by-node' over v1/Pod exists at .*test_registry\.py:\d+"),
        (("pods!", "x"), r"@index: 'pods!' is not a kind"),
        (("v1/Pod", ""), r"@index\('v1/Pod'\) needs a name"),
    ):
        with pytest.raises(RegistrationError, match=r"test_registry\.py:\d+: " + message):
            registry.index(*wrong)
    with pytest.raises(RegistrationError, match=r"must take one argument, \(obj\)"):
        registry.index("v1/Pod", "other")(lambda old, new: [])  # type: ignore[arg-type, misc]


def test_options_are_converted_once() -> None:
    made: Reconciler = Registry().reconciler(
        "Foo", timeout="1m", backoff=("1s", "5m"), namespaces=["a", "b", "a"], predicates=[generation_changed, label_changed]
    )(nothing)
    assert (made.timeout, made.backoff, made.namespaces) == (60.0, (1.0, 300.0), ("a", "b"))
    assert (made.requeue_every, made.leader) == (None, True)
    other = Registry().reconciler("Foo", requeue_every="1h30m", leader=False)(nothing)
    assert (other.requeue_every, other.leader) == (5400.0, False)
    assert repr(made.predicates) == "(generation_changed & label_changed)"
    assert made.kinds() == ("Foo",)


def test_collecting_keeps_the_default_registry_as_it_was() -> None:
    before = default_registry()
    with collect(Registry()) as registry:
        reconciler("Foo")(nothing)
    assert default_registry() is before
    assert len(registry) == 1
    assert all(made.function is not nothing for made in before)
