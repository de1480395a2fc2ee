"""From changes to keys: what leads to a run, at which priority, and what is let through."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit import Context, Registry, predicates
from operator_kit.cache.records import Change, Entry, encode
from operator_kit.codec import clone
from operator_kit.controller.sources import mapped_source, own_source, owner_source
from operator_kit.objects import Object, owner_reference
from operator_kit.queue import LOW, NORMAL
from operator_kit.testing import Cluster, StartOperator
from tests.controller.fakes import CONFIG_MAP, FOO, NAMESPACE, foo
from tests.controller.teams import crd, team

Added = list[tuple[str, int, bool]]


def entry(obj: Object) -> Entry:
    return Entry(encode(clone(obj)))


def change(old: Object | None, new: Object | None, *, initial: bool = False, kind: Any = "") -> Change:
    kind = kind or ("added" if old is None else "deleted" if new is None else "modified")
    key = "/".join((new or old or {})["metadata"][part] for part in ("namespace", "name"))
    return Change(kind, key, entry(old) if old else None, entry(new) if new else None, initial)


@pytest.fixture
def added() -> Added:
    return []


@pytest.fixture
def enqueue(added: Added) -> Any:
    return lambda wake: added.append((wake.key, wake.priority, wake.respect_backoff))


def child(owner: Object | None = None, name: str = "child", namespace: str = "default") -> Object:
    meta: Object = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1"}
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


# ------------------------------------------------------------------ the object itself


def test_initial_objects_and_resyncs_are_low_and_changes_normal(added: Added, enqueue: Any) -> None:
    source = own_source(enqueue, None, FOO)
    source(change(None, foo(), initial=True))
    source(change(foo(), foo(), kind="resync"))
    source(change(None, foo()))
    assert added == [("default/a", LOW, False), ("default/a", LOW, True), ("default/a", NORMAL, False)]


def test_a_list_runs_also_what_it_finds_changed_in_what_leads_to_no_run(added: Added, enqueue: Any) -> None:
    status_changed = change(foo(), foo(metadata={"resourceVersion": "2"}, status={"a": 1}))
    source = own_source(enqueue, None, FOO)
    source(status_changed)
    assert added == []
    source(status_changed._replace(listed=True))
    assert added == [("default/a", LOW, True)]


def test_a_new_generation_runs_at_once_and_other_changes_respect_the_backoff(added: Added, enqueue: Any) -> None:
    source = own_source(enqueue, None, FOO)
    source(change(foo(), foo(metadata={"generation": 2})))
    source(change(foo(), foo(metadata={"labels": {"a": "b"}})))
    source(change(foo(), foo(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})))
    assert [respect for _, _, respect in added] == [False, True, False]


@pytest.mark.parametrize(
    ("changed", "runs"),
    [
        ({"metadata": {"generation": 2}}, True),
        ({"metadata": {"labels": {"a": "b"}}}, True),
        ({"metadata": {"annotations": {"a": "b"}}}, True),
        ({"metadata": {"finalizers": ["x.example.com/y"]}}, True),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, True),
        ({"status": {"phase": "x"}}, False),
        ({"metadata": {"resourceVersion": "9"}}, False),
        ({"metadata": {"managedFields": [{"manager": "x"}]}}, False),
    ],
)
def test_by_default_everything_but_status_leads_to_a_run(added: Added, enqueue: Any, changed: dict[str, Any], runs: bool) -> None:
    own_source(enqueue, None, FOO)(change(foo(), foo(**changed)))
    assert bool(added) is runs


def test_a_kind_without_generation_runs_on_any_change_of_its_content(added: Added, enqueue: Any) -> None:
    source = own_source(enqueue, None, FOO)
    source(change(child(), {**child(), "data": {"k": "v"}}))
    source(change(child(), {**child(), "metadata": {**child()["metadata"], "resourceVersion": "2"}}))
    assert added == [("default/child", NORMAL, False)]


def test_a_predicate_that_raises_lets_the_change_through(added: Added, enqueue: Any, caplog: pytest.LogCaptureFixture) -> None:
    own_source(enqueue, predicates.when(lambda old, new: old["nonsense"] == 1), FOO)(
        change(foo(), foo(metadata={"generation": 2}))
    )
    assert len(added) == 1
    assert "the change passes" in caplog.text


def test_predicates_never_hide_what_appears_vanishes_or_is_seen_again(added: Added, enqueue: Any) -> None:
    source = own_source(enqueue, ~predicates.anything, FOO)
    for each in (change(None, foo()), change(foo(), None), change(foo(), foo(), kind="resync")):
        source(each)
    source(change(foo(), foo(metadata={"generation": 2})))
    assert len(added) == 3
    source(change(foo(), foo(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})))
    assert len(added) == 4


CHANGES: dict[str, Any] = {
    "spec": foo(metadata={"generation": 2}),
    "label": foo(metadata={"labels": {"a": "b"}}),
    "annotation": foo(metadata={"annotations": {"a": "b"}}),
    "finalizer": foo(metadata={"finalizers": ["example.com/x"]}),
    "status": foo(status={"phase": "new"}),
    "nothing": foo(metadata={"resourceVersion": "9"}),
}
"""What is different from a plain Foo."""


@pytest.mark.parametrize(
    ("predicate", "lets_through"),
    [
        (predicates.DEFAULT, "spec label annotation finalizer"),
        (predicates.generation_changed, "spec"),
        (predicates.label_changed, "label"),
        (predicates.annotation_changed, "annotation"),
        (predicates.finalizer_changed, "finalizer"),
        (predicates.deletion_started, ""),
        (predicates.field_changed("status.phase"), "status"),
        (predicates.when(lambda old, new: "status" in new), "status"),
        (predicates.anything, " ".join(CHANGES)),
        (~predicates.anything, ""),
        (~predicates.label_changed, "spec annotation finalizer status nothing"),
    ],
    ids=repr,
)
def test_what_each_predicate_lets_through(added: Added, enqueue: Any, predicate: predicates.Predicate, lets_through: str) -> None:
    source = own_source(enqueue, predicate, FOO)
    passed = set()
    for what, new in CHANGES.items():
        before = len(added)
        source(change(foo(), new))
        if len(added) > before:
            passed.add(what)
    assert passed == set(lets_through.split())
    before = len(added)
    deleting = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    source(change(foo(), foo(metadata=deleting)))
    assert len(added) == before + 1


def test_predicates_combine() -> None:
    old, new = entry(foo()), entry(foo(metadata={"labels": {"a": "b"}}))
    assert (predicates.generation_changed | predicates.label_changed)(old, new)
    assert not (predicates.generation_changed & predicates.label_changed)(old, new)
    assert (~predicates.generation_changed)(old, new)
    assert repr(~(predicates.label_changed | predicates.anything)) == "~(label_changed | anything)"


def test_field_changed_looks_at_one_path() -> None:
    old = entry(foo(status={"phase": "A", "n": 1}))
    assert predicates.field_changed("status.phase")(old, entry(foo(status={"phase": "B", "n": 1})))
    assert not predicates.field_changed("status.phase")(old, entry(foo(status={"phase": "A", "n": 2})))
    assert not predicates.field_changed("spec.size.deeper")(old, entry(foo()))
    with pytest.raises(ValueError, match="is not a path"):
        predicates.field_changed("spec..x")


# ------------------------------------------------------------------ children


def test_a_child_runs_the_object_that_controls_it(added: Added, enqueue: Any) -> None:
    owner_source(enqueue, FOO, CONFIG_MAP)(change(child(foo()), {**child(foo()), "data": {}}))
    assert added == [("default/a", NORMAL, True)]


def test_a_child_that_changed_hands_runs_both_owners(added: Added, enqueue: Any) -> None:
    owner_source(enqueue, FOO, CONFIG_MAP)(change(child(foo("a")), child(foo("b"))))
    assert [key for key, _, _ in added] == ["default/a", "default/b"]


def test_an_orphaned_child_runs_the_object_that_lost_it(added: Added, enqueue: Any) -> None:
    owner_source(enqueue, FOO, CONFIG_MAP)(change(child(foo()), child()))
    assert [key for key, _, _ in added] == ["default/a"]


def test_the_owner_is_matched_by_group_and_kind_in_any_version(added: Added, enqueue: Any) -> None:
    source = owner_source(enqueue, FOO, CONFIG_MAP)
    source(change(None, child({**foo(), "apiVersion": "example.com/v1beta1"})))
    source(change(None, child({**foo(), "apiVersion": "other.com/v1"})))
    source(change(None, child({**foo(), "kind": "Fooo"})))
    assert len(added) == 1


def test_an_owner_reference_that_does_not_control_leads_to_nothing(added: Added, enqueue: Any) -> None:
    loose = child()
    loose["metadata"]["ownerReferences"] = [owner_reference(foo(), controller=False)]
    owner_source(enqueue, FOO, CONFIG_MAP)(change(None, loose))
    assert added == []


def test_a_cluster_scoped_owner_has_no_namespace_in_its_key(added: Added, enqueue: Any) -> None:
    owner = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "uid": "u"}}
    owner_source(enqueue, NAMESPACE, CONFIG_MAP)(change(None, child(owner)))
    assert added == [("team", NORMAL, True)]


def test_resyncs_of_children_are_left_to_their_owners_own(added: Added, enqueue: Any) -> None:
    owner_source(enqueue, FOO, CONFIG_MAP)(change(child(foo()), child(foo()), kind="resync"))
    mapped_source(enqueue, lambda obj: "default/a", CONFIG_MAP)(change(child(), child(), kind="resync"))
    assert added == []


# ------------------------------------------------------------------ mapped kinds


def test_a_mapper_sees_the_old_and_the_new_object_and_keys_are_not_repeated(added: Added, enqueue: Any) -> None:
    def site_of(obj: Object) -> str:
        return f"default/{obj['data']['site']}"

    source = mapped_source(enqueue, site_of, CONFIG_MAP)
    source(change({**child(), "data": {"site": "a"}}, {**child(), "data": {"site": "b"}}))
    source(change({**child(), "data": {"site": "c"}}, {**child(), "data": {"site": "c"}}))
    assert [key for key, _, _ in added] == ["default/a", "default/b", "default/c"]


def test_a_mapper_that_raises_or_answers_nonsense_harms_nobody(added: Added, enqueue: Any) -> None:
    for mapper in (lambda obj: obj["no"]["such"], lambda obj: [7], lambda obj: ["a/b/c"], lambda obj: [""]):
        with pytest.raises((KeyError, ValueError)):  # its cache logs and counts it
            mapped_source(enqueue, mapper, CONFIG_MAP)(change(None, child()))
    mapped_source(enqueue, lambda obj: None, CONFIG_MAP)(change(None, child()))
    assert added == []


def test_a_mapper_that_raises_for_one_form_of_an_object_does_not_hide_the_other(added: Added, enqueue: Any) -> None:
    source = mapped_source(enqueue, lambda obj: f"default/{obj['data']['site']}", CONFIG_MAP)
    for old, new in (({"site": "a"}, {}), ({}, {"site": "b"})):
        with pytest.raises(KeyError):
            source(change({**child(), "data": old}, {**child(), "data": new}))
    assert [key for key, _, _ in added] == ["default/a", "default/b"]


# ------------------------------------------------------------------ what no watch tells


def test_what_no_watch_tells_wakes_an_object(cluster: Cluster, operator: StartOperator) -> None:
    outside, seen = {"red": "one"}, []
    registry = Registry()

    @registry.reconciler("Team")
    def follow(obj: Object, ctx: Context) -> None:
        seen.append((obj["metadata"]["name"], outside["red"], str(ctx.reason)))

    assert not follow.wake("default/red")  # nobody is there to hear it
    cluster.load(crd(), team("red"))
    running = operator(registry).settle()
    outside["red"] = "two"
    assert follow.wake("default/red")
    assert follow.wake("default/nobody")
    running.settle()
    assert seen == [("red", "one", "first seen"), ("red", "two", "woken")]
    running.stop()
    assert not follow.wake("default/red")


@pytest.mark.parametrize("key", ["", "a/b/c", 7, None])
def test_what_is_no_key_cannot_be_woken(key: Any) -> None:
    made = Registry().reconciler("Team")(lambda obj, ctx: None)
    with pytest.raises(ValueError, match="is not a key; write 'namespace/name'"):
        made.wake(key)
