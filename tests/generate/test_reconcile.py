"""`@reconciler(Website)`: objects arrive typed; what does not fit becomes a condition and an Event, and runs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit import AsyncContext, Context, Registry
from operator_kit.controller.options import RECONCILER, Options
from operator_kit.errors import RegistrationError
from operator_kit.generate import crds
from operator_kit.models import CustomResource, Model
from operator_kit.objects import resource_version_of
from operator_kit.testing import Cluster, StartOperator, assert_condition, assert_event, assert_object
from tests.generate import sites
from tests.generate.sites import Website


class TightSpec(Model):
    replicas: int


class Tight(CustomResource, group="example.com", version="v1", kind="Website"):
    """The author's model after a change: stricter than the objects that are there."""

    spec: TightSpec


def site(name: str = "blog", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": {"html": "hello", **spec}}


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    (crd,) = crds(Website)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}  # so that what does not fit can be there
    del crd["spec"]["versions"][0]["selectableFields"]
    crd["spec"]["versions"][0]["subresources"] = {"status": {}}
    cluster.load(crd)
    return cluster


def test_the_example_as_a_model(cluster: Cluster, operator: StartOperator) -> None:
    cluster.load(*crds(Website))
    cluster.load(site(replicas=2))
    operator(sites).settle()
    assert_object(cluster.get("ConfigMap", "blog-html"), {"data": {"index.html": "hello"}})
    found = cluster.get("Website", "blog")
    assert_condition(found, "Available", True, reason="PageWritten")
    assert_object(found, {"status": {"replicas": 2, "observedGeneration": 1}})


def test_what_does_not_fit_is_told_once_and_mended_by_a_change(world: Cluster, operator: StartOperator) -> None:
    bad = world.create(site(replicas="many"))
    world.create(site("good"))
    running = operator(sites)
    running.settle()
    found = world.get("Website", "blog")
    assert_condition(found, "Invalid", True, reason="Invalid", message="spec.replicas: Input should be a valid integer")
    assert_condition(found, "Reconciled", False, reason="Invalid")
    assert_event(world.events_of(bad), reason="Invalid", type_="Warning", message="spec.replicas")
    assert world.get("ConfigMap", "blog-html") is None
    assert world.get("ConfigMap", "good-html") is not None
    (controller,) = running.manager.controllers
    runs = controller.runs
    running.settle()
    assert controller.runs == runs  # no crash loop
    world.patch("Website", "blog", {"spec": {"replicas": 2}})
    running.settle()
    found = world.get("Website", "blog")
    assert_condition(found, "Invalid", False, reason="Valid")
    assert_condition(found, "Reconciled", True)
    assert world.get("ConfigMap", "blog-html") is not None


def test_a_restart_writes_nothing_on_what_is_as_it_should_be_nor_on_what_does_not_fit(
    world: Cluster, operator: StartOperator
) -> None:
    world.create(site("bad", replicas="many"))
    world.create(site("good"))
    first = operator(sites)
    first.settle()
    first.stop()
    kinds = [("Website", "bad"), ("Website", "good"), ("ConfigMap", "good-html")]
    before = [resource_version_of(world.get(*each) or {}) for each in kinds]
    assert all(before)
    operator(sites).settle()
    assert [resource_version_of(world.get(*each) or {}) for each in kinds] == before


def test_a_good_object_has_no_condition_that_says_so(world: Cluster, operator: StartOperator) -> None:
    world.create(site())
    operator(sites).settle()
    found = world.get("Website", "blog")
    assert found is not None
    assert [each["type"] for each in found["status"]["conditions"]] == ["Available"]


def test_what_an_author_does_to_a_model_harms_nobody(world: Cluster, operator: StartOperator) -> None:
    registry, seen = Registry(), []

    @registry.reconciler(Website)
    def spoil(found: Website, ctx: Context) -> None:
        seen.append(found.to_dict()["spec"])
        found.spec.html = "spoilt"
        found.metadata.labels["spoilt"] = "yes"
        found.status.conditions.clear()
        ctx.set_condition("Seen", True, message=str(len(seen)))

    world.create(site())
    running = operator(registry)
    running.settle()
    world.patch("Website", "blog", {"metadata": {"labels": {"a": "b"}}})
    running.settle()
    assert seen == [{"html": "hello"}] * 2
    found = world.get("Website", "blog")
    assert_object(found, {"spec": {"html": "hello"}, "metadata": {"labels": {"a": "b", "spoilt": None}}})
    assert_condition(found, "Seen", True, message="2")


def test_asynchronous_functions_and_cleanups_are_given_models_too(world: Cluster, operator: StartOperator) -> None:
    registry, seen = Registry(), []

    @registry.reconciler(Website)
    async def look(found: Website, ctx: AsyncContext) -> None:
        seen.append(("reconcile", type(found), await ctx.live.get_or_none("Website", found.metadata.name) is not None))

    @look.cleanup
    def clean(found: Website, _ctx: Context) -> None:
        seen.append(("cleanup", type(found), found.metadata.deletion_timestamp is not None))

    world.create(site())
    running = operator(registry)
    running.settle()
    world.delete("Website", "blog")
    running.settle()
    world.wait_gone("Website", "blog")
    assert seen[0] == ("reconcile", Website, True)
    assert seen[-1] == ("cleanup", Website, True)


def test_a_cleanup_that_cannot_read_its_object_keeps_it_until_it_is_mended(world: Cluster, operator: StartOperator) -> None:
    registry, cleaned = Registry(), []

    @registry.reconciler(Tight, name="tight")
    def nothing(_found: Tight, _ctx: Context) -> None: ...

    @nothing.cleanup
    def clean(found: Tight, _ctx: Context) -> None:
        cleaned.append(found.spec.replicas)

    made = site()
    made["metadata"]["finalizers"] = ["example.com/tight"]
    world.create(made)
    world.delete("Website", "blog")
    running = operator(registry)
    running.settle()
    assert_condition(world.get("Website", "blog"), "Invalid", True, message="spec.replicas: Field required")
    world.patch("Website", "blog", {"spec": {"replicas": 3}})
    running.settle()
    world.wait_gone("Website", "blog")
    assert cleaned == [3]


def test_an_error_of_the_authors_own_in_a_model_is_a_failure_like_others(world: Cluster, operator: StartOperator) -> None:
    class Broken(CustomResource, group="example.com", version="v1", kind="Website"):
        spec: dict[str, Any]

        def model_post_init(self, _context: Any, /) -> None:
            raise KeyError("a defect")

    registry = Registry()

    @registry.reconciler(Broken)
    def never(_found: Broken, _ctx: Context) -> None:
        raise AssertionError("the object was never made")

    world.create(site())
    running = operator(registry)
    running.wait_failing("default/blog: KeyError")
    found = world.wait("Website", "blog", lambda obj: bool((obj.get("status") or {}).get("conditions")))
    assert_condition(found, "Reconciled", False, reason="KeyError")
    assert [each["type"] for each in found["status"]["conditions"]] == ["Reconciled"]


def test_type_checkers_know_every_option_of_the_decorator() -> None:
    assert set(Options.__annotations__) == set(RECONCILER)


def test_the_decorator_refuses_a_class_that_is_no_kind() -> None:
    class Base(CustomResource):
        pass

    for wrong in (Base, Model, int):
        with pytest.raises(
            RegistrationError, match=rf"test_reconcile\.py:\d+: @reconciler: the class {wrong.__name__} is no kind; write class"
        ):
            Registry().reconciler(wrong)


def test_a_model_names_its_kind_with_group_and_version() -> None:
    registry = Registry()
    made = registry.reconciler(Website, name="other")(lambda _obj, _ctx: None)
    assert (made.kind, made.model, made.name) == ("example.com/v1/Website", Website, "other")
    assert made(Website.from_dict(site()), None) is None
    plain = Registry().reconciler("Website")(lambda _obj, _ctx: None)
    assert plain.model is None


def test_a_class_among_the_children_is_refused_with_the_kind_to_write() -> None:
    with pytest.raises(
        RegistrationError, match=r"owns=…\): the class Website stands only for the .* write 'example.com/v1/Website'"
    ):
        Registry().reconciler("Other", owns=[Website])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda ctx, site: ctx.apply(site, owned=False),
            "apply: Website is no object; give a dict, of a model what its to_dict()",
        ),
        (lambda ctx, site: ctx.apply_set([site]), "apply: Website is no object; give a dict"),
        (lambda ctx, site: ctx.patch_status(site.status), "patch_status: WebsiteStatus is no mapping; give a dict"),
    ],
    ids=["apply", "apply_set", "patch_status"],
)
def test_a_model_where_a_dict_belongs_is_told(world: Cluster, operator: StartOperator, call: Any, message: str) -> None:
    registry = Registry()
    registry.reconciler(Website)(lambda obj, ctx: call(ctx, obj))
    world.create(site())
    operator(registry).wait_failing(message)
