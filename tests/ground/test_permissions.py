"""Permissions that authors declare: what is written is understood, or refused with what could have been meant."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.controller import Registry
from operator_kit.errors import RegistrationError
from operator_kit.manager import load_targets
from operator_kit.permissions import Permission, PolicyRule, declared


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("get v1/Secret", Permission("v1/Secret", ("get",))),
        ("watch,get,list v1/Secret", Permission("v1/Secret", ("get", "list", "watch"))),
        ("  get   Website ", Permission("Website", ("get",))),
        ("get Website.example.com", Permission("Website.example.com", ("get",))),
        ("update apps/v1/Deployment/scale", Permission("apps/v1/Deployment", ("update",), "scale")),
        ("create v1/ConfigMap in dns", Permission("v1/ConfigMap", ("create",), "", "dns")),
        (
            "bind,escalate rbac.authorization.k8s.io/v1/Role",
            Permission("rbac.authorization.k8s.io/v1/Role", ("bind", "escalate")),
        ),
        ("* v1/Pod", Permission("v1/Pod", ("*",))),
    ],
)
def test_a_declaration_names_verbs_a_kind_and_where(text: str, meant: Permission) -> None:
    assert Permission.parse(text) == meant
    assert Permission.parse(str(meant)) == meant


@pytest.mark.parametrize(
    "text", ["", "get", "v1/Secret", "get v1/secrets", "get, list v1/Secret", "get v1/Secret dns", "get v1/Secret in"]
)
def test_what_has_not_this_form_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a permission; write verbs and a kind: "get,list v1/Secret"'):
        Permission.parse(text)


@pytest.mark.parametrize(
    ("verb", "says"),
    [("remove", "'remove' is not a verb; verbs are get, list"), ("craete", "did you mean create"), ("GET", "'GET' is not")],
)
def test_a_verb_that_does_not_exist_is_refused(verb: str, says: str) -> None:
    for value in (f"{verb} v1/Pod", PolicyRule(("",), ("pods",), (verb,)), Permission("v1/Pod", (verb,))):
        with pytest.raises(ValueError, match=says):
            declared([value])


def test_a_rule_may_be_given_as_it_stands_in_a_role_and_each_counts_once() -> None:
    rule: Any = PolicyRule(["apps"], ["deployments"], ["list", "get"])  # type: ignore[arg-type]  # as authors write it
    whole = PolicyRule(("apps",), ("deployments",), ("get", "list"))
    assert declared([rule, whole, "get v1/Pod", "get v1/Pod"]) == (whole, Permission("v1/Pod", ("get",)))


def test_a_rule_that_allows_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="resources is empty, which allows nothing"):
        declared([PolicyRule(("",), (), ("get",))])


def test_a_registry_has_permissions_of_its_own_which_its_target_brings_along(tmp_path: Any) -> None:
    with pytest.raises(RegistrationError, match=r"test_permissions\.py:\d+: Registry\(permissions=…\): 'nonsense' is not"):
        Registry(permissions=["nonsense"])
    target = tmp_path / "with_permissions.py"
    target.write_text(
        "from operator_kit import Registry\n"
        "registry = Registry(permissions=['get v1/Secret'])\n"
        "@registry.reconciler('Foo', permissions=['list v1/Pod'])\ndef foo(obj, ctx): ...\n"
    )
    loaded = load_targets([str(target)])
    assert loaded.permissions == (Permission("v1/Secret", ("get",)),)
    assert [made.permissions for made in loaded] == [(Permission("v1/Pod", ("list",)),)]
