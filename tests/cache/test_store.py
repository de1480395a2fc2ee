"""The store, rule by rule."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest

from operator_kit.cache import Store, Write
from operator_kit.cache.records import Entry, encode, identify, parse_version
from operator_kit.cache.store import WentBackwards
from operator_kit.objects import key_of
from operator_kit.selectors import LabelSelector


def obj(name: str = "a", version: Any = 1, uid: str = "u", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version), **more.pop("meta", {})}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": meta, **more}


def filled(*objects: dict[str, Any], version: Any = 10) -> Store:
    store = Store("things")
    list(store.replace({key_of(o): encode(o) for o in objects}, str(version), initial=True))
    return store


def tell(store: Store, kind: str, o: dict[str, Any]) -> list[str]:
    try:
        return [change.type for change in store.apply(kind, identify(o) if kind == "DELETED" else encode(o))]
    except WentBackwards:
        return ["backwards"]


# -- records --------------------------------------------------------------------------------------------------------------------


def test_an_object_comes_back_as_it_was_without_what_nobody_reads() -> None:
    original = obj(
        version=7,
        status={"ready": True},
        spec={"text": "ü"},
        meta={
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
        },
    )
    stripped = obj(version=7, status={"ready": True}, spec={"text": "ü"}, meta={"annotations": {"mine": "1"}})
    store = filled(original)
    assert store.get("n/a") == stripped
    whole = obj(meta={"managedFields": [{"manager": "m"}]})
    assert Entry(encode(whole, strip=False)).decode()["metadata"]["managedFields"] == [{"manager": "m"}]


def test_the_fields_beside_the_bytes_need_no_decoding() -> None:
    owner = {"apiVersion": "v1", "kind": "O", "name": "o", "uid": "ou", "controller": True, "blockOwnerDeletion": True}
    other = {"apiVersion": "v1", "kind": "O", "name": "p", "uid": "pu"}
    meta = {
        "labels": {"app": "x", "tier": "y"},
        "ownerReferences": [other, owner],
        "finalizers": ["f"],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "generation": 3,
    }
    entry = filled(obj(version=7, meta=meta)).entry("n/a")
    assert entry is not None
    assert (entry.key, entry.uid, entry.resource_version, entry.generation) == ("n/a", "u", "7", 3)
    assert entry.labels == {"app": "x", "tier": "y"}
    assert entry.owners == (other, owner)
    assert entry.controller == owner
    assert (entry.finalizers, entry.deleting) == (("f",), True)
    plain = filled(obj()).entry("n/a")
    assert plain is not None
    assert (plain.controller, plain.owners, plain.labels, plain.generation, plain.deleting) == (None, (), {}, None, False)


@pytest.mark.parametrize("spelt", [b'"annotations"', b'"\\u0061nnotations"'])
def test_annotations_are_those_of_the_object_itself_however_they_are_spelt(spelt: bytes) -> None:
    entry = Entry(encode(obj(meta={"annotations": {"a": "b"}}, spec={"template": {"annotations": {"c": "d"}}})))
    whole = Entry((*entry[:9], entry[9].replace(b'"annotations"', spelt)))
    assert whole.annotations == {"a": "b"}
    assert Entry(encode(obj(spec={"template": {"annotations": {"c": "d"}}}))).annotations == {}
    assert Entry(encode(obj())).annotations == {}


def test_the_digest_is_blind_to_status_and_version_and_to_nothing_else() -> None:
    def digest(**more: Any) -> int:
        return Entry(encode(obj(**more))).digest

    base = digest(spec={"a": 1})
    assert digest(spec={"a": 1}, version=9, status={"x": 1}, meta={"managedFields": [1]}) == base
    assert digest(spec={"a": 2}) != base
    assert digest(spec={"a": 1}, meta={"labels": {"a": "b"}}) != base
    assert digest(spec={"a": 1}, meta={"finalizers": ["a"]}) != base


@pytest.mark.parametrize("status", [{}, None, [], "x"])
def test_an_odd_status_comes_back_too(status: Any) -> None:
    assert filled(obj(status=status)).get("n/a") == obj(status=status)


@pytest.mark.parametrize("broken", [{}, {"metadata": None}, {"metadata": {"name": "a"}}, {"metadata": {"uid": "u"}}])
def test_what_is_no_object_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no metadata"):
        encode(broken)


def test_versions_are_numbers_only_in_their_own_form() -> None:
    assert [parse_version(text) for text in ("7", "0", "007", "", None, "x1", "٣")] == [7, 0, "007", "", "", "x1", "٣"]


def test_what_the_cache_holds_is_not_walked_by_the_garbage_collector() -> None:
    def objects(count: int) -> list[dict[str, Any]]:
        meta = {"labels": {"app": "x"}, "ownerReferences": [{"kind": "O", "name": "o", "uid": "ou", "controller": True}]}
        return [obj(f"a{number}", uid=f"u{number}", meta=dict(meta), spec={"n": number}) for number in range(count)]

    few = filled(*objects(10))
    gc.collect()
    gc.collect()
    before = len(gc.get_objects())
    many = filled(*objects(2000))
    gc.collect()  # tuples are let go from the inside out, one level each time
    gc.collect()
    gc.collect()
    grown = len(gc.get_objects()) - before
    assert grown < 200, f"{grown} more objects are walked for 2,000 more cached"
    assert len(few) + len(many) == 2010


# -- reads ----------------------------------------------------------------------------------------------------------------------


def test_every_reader_gets_objects_of_its_own() -> None:
    store = filled(obj(spec={"a": [1]}))
    for mine in (store.get("n/a"), store.list()[0]):
        assert mine is not None
        mine["spec"]["a"].append(2)
        mine["metadata"].clear()
    assert store.get("n/a") == obj(spec={"a": [1]})


def test_reads_by_namespace_label_and_owner() -> None:
    a = obj("a", meta={"labels": {"app": "x"}, "ownerReferences": [{"uid": "o"}]})
    b = obj("b", uid="v", meta={"labels": {"app": "y"}, "namespace": "m"})
    c = obj("c", uid="w", meta={"labels": {"app": "x"}, "ownerReferences": [{"uid": "o"}, {"uid": "p"}]})
    for by_namespace in (True, False):
        store = Store(by_namespace=by_namespace)
        list(store.replace({key_of(o): encode(o) for o in (dict(a, metadata=dict(a["metadata"])), dict(b), dict(c))}, "9"))
        assert sorted(entry.key for entry in store.entries("n")) == ["n/a", "n/c"]
        assert [entry.key for entry in store.entries("m")] == ["m/b"]
        assert (store.count(), store.count("n"), store.count("z"), len(store)) == (3, 2, 0, 3)
        assert "n/a" in store
        assert "n/b" not in store
        selector = LabelSelector.parse("app=x")
        assert {o["metadata"]["name"] for o in store.list("n", selector)} == {"a", "c"}
        assert {o["metadata"]["name"] for o in store.by_owner("o")} == {"a", "c"}
        assert [o["metadata"]["name"] for o in store.by_owner("p")] == ["c"]
        assert store.by_owner("q") == []
        assert store.get("n/z") is None
        assert store.entry("n/z") is None


def test_an_index_name_means_one_function() -> None:
    store = filled(obj(spec={"host": "h"}))

    def by_host(o: dict[str, Any]) -> list[str]:
        return [o["spec"]["host"]]

    store.add_index("host", by_host)
    store.add_index("host", by_host)
    with pytest.raises(ValueError, match="an index 'host' already"):
        store.add_index("host", lambda o: [])
    assert [o["metadata"]["name"] for o in store.by_index("host", "h")] == ["a"]
    store.remove_index("host")
    store.remove_index("host")
    with pytest.raises(KeyError, match="no index 'host'"):
        store.by_index("host", "h")


def test_an_index_function_that_fails_is_told_once_and_harms_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    store = filled(obj("a", spec={"host": "h"}), obj("b", uid="v"), obj("c", uid="w"))
    store.add_index("host", lambda o: [o["spec"]["host"]])
    assert store.keys_by_index("host", "h") == ["n/a"]
    assert tell(store, "MODIFIED", obj("b", 20, "v", spec={"host": "h"})) == ["modified"]
    assert store.keys_by_index("host", "h") == ["n/a", "n/b"]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


# -- the rules of versions ------------------------------------------------------------------------------------------------------


def test_stale_and_repeated_events_are_dropped() -> None:
    store = filled(obj(version=5))
    assert tell(store, "MODIFIED", obj(version=5)) == []
    assert tell(store, "MODIFIED", obj(version=4)) == []
    assert tell(store, "MODIFIED", obj(version=12, spec=1)) == ["modified"]
    assert tell(store, "MODIFIED", obj(version=12, spec=1)) == []
    assert tell(store, "ADDED", obj(version=11)) == []
    assert tell(store, "DELETED", obj(version=11)) == []
    assert store.resource_version == "12"


def test_a_deletion_of_the_held_version_counts() -> None:
    # Not every server gives the deletion a version of its own.
    store = filled(obj(version=5))
    assert tell(store, "DELETED", obj(version=5)) == ["deleted"]
    assert tell(store, "DELETED", obj(version=5)) == []


def test_a_late_event_cannot_raise_the_dead_until_the_next_list() -> None:
    store = filled(obj(version=5))
    assert tell(store, "DELETED", obj(version=15)) == ["deleted"]
    assert tell(store, "MODIFIED", obj(version=14)) == []
    assert tell(store, "ADDED", obj("b", 17, "v")) == ["added"]
    assert tell(store, "DELETED", obj("c", 20, "w")) == []
    assert tell(store, "ADDED", obj("c", 19, "w")) == []
    assert len(store) == 1


def test_an_object_that_left_the_selection_can_come_back_with_its_uid() -> None:
    store = filled(obj(version=5))
    assert tell(store, "DELETED", obj(version=15)) == ["deleted"]
    assert tell(store, "ADDED", obj(version=16)) == ["added"]
    assert tell(store, "DELETED", obj(version=15)) == []
    assert len(store) == 1


def test_another_uid_is_another_object() -> None:
    store = filled(obj(version=5))
    assert tell(store, "MODIFIED", obj(version=15, uid="v")) == ["deleted", "added"]
    assert tell(store, "MODIFIED", obj(version=14, uid="u")) == []
    assert tell(store, "DELETED", obj(version=14, uid="u")) == []
    entry = store.entry("n/a")
    assert entry is not None
    assert entry.uid == "v"
    # A third one came and went unseen: the second is gone too.
    assert tell(store, "DELETED", obj(version=30, uid="w")) == ["deleted"]
    assert tell(store, "MODIFIED", obj(version=16, uid="v")) == []


def test_versions_that_go_backwards_are_noticed() -> None:
    store = filled(obj(version=5), version=10)
    assert tell(store, "ADDED", obj("b", 9, "v")) == ["backwards"]
    with pytest.raises(WentBackwards):
        store.advance("9")
    store.advance("10")
    store.advance("12")
    assert store.resource_version == "12"


def test_versions_that_do_not_compare_fail_open() -> None:
    store = filled(obj(version="x9"), version="x10")
    assert tell(store, "MODIFIED", obj(version="x8", spec=1)) == ["modified"]
    assert tell(store, "ADDED", obj("b", "x1", "v")) == ["added"]
    assert tell(store, "DELETED", obj(version="x0")) == ["deleted"]
    store.advance("x1")
    assert store.resource_version == "x1"


def test_a_list_tells_what_vanished_first_and_what_is_the_same_as_resync() -> None:
    store = filled(obj("a", 1), obj("b", 2, "v"), obj("c", 3, "w"), obj("d", 4, "x"))
    kept = store.held(("n/a", "u", 1))
    assert kept is not None
    fresh = {
        "n/e": encode(obj("e", 15, "z")),
        "n/a": kept,
        "n/b": encode(obj("b", 12, "v")),
        "n/c": encode(obj("c", 13, "new")),
    }
    changes = [(change.type, change.key, change.initial) for change in store.replace(fresh, "20")]
    assert changes == [
        ("deleted", "n/d", False),
        ("added", "n/e", False),
        ("resync", "n/a", False),
        ("modified", "n/b", False),
        ("deleted", "n/c", False),
        ("added", "n/c", False),
    ]
    assert store.held(("n/a", "u", 2)) is None


def test_tombstones_are_bounded() -> None:
    store = filled()
    for number in range(20_000):
        tell(store, "DELETED", obj(f"a{number}", 20 + number, f"u{number}"))
    assert len(store._tombstones) == 16_384
    list(store.replace({}, "50000"))
    assert store._tombstones == {}


# -- own writes -----------------------------------------------------------------------------------------------------------------


class Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_a_write_is_seen_when_the_object_is_as_new() -> None:
    store, woken = filled(obj(version=5)), Woken()
    write = Write("n/a", "u", "15")
    assert not store.has_seen(write)
    assert store.when_seen(write, woken) is not None
    tell(store, "MODIFIED", obj(version=14))
    assert woken.times == 0
    tell(store, "MODIFIED", obj(version=15))
    assert woken.times == 1
    tell(store, "MODIFIED", obj(version=16))
    assert woken.times == 1
    assert store.has_seen(write)
    assert store.when_seen(write, woken) is None


def test_a_write_is_not_seen_by_others_being_newer_while_the_object_is_held_older() -> None:
    store, woken = filled(obj(version=5)), Woken()
    store.when_seen(Write("n/a", "u", "15"), woken)
    tell(store, "ADDED", obj("b", 20, "v"))
    assert woken.times == 0
    tell(store, "MODIFIED", obj(version=15))
    assert woken.times == 1


def test_a_created_object_is_seen_when_it_came_or_when_it_came_and_went() -> None:
    store, woken = filled(), Woken()
    store.when_seen(Write("n/a", "u", "15"), woken)
    tell(store, "ADDED", obj(version=15))
    assert woken.times == 1
    store.when_seen(Write("n/b", "v", "25"), woken)
    store.advance("24")
    assert woken.times == 1
    store.advance("25")  # everything up to there was told: it is gone again, or not of this selection
    assert woken.times == 2


def test_a_deletion_is_seen_by_uid() -> None:
    store, woken = filled(obj(version=5)), Woken()
    assert store.when_seen(Write("n/a", "other"), woken) is None
    store.when_seen(Write("n/a", "u"), woken)
    tell(store, "MODIFIED", obj(version=14, meta={"deletionTimestamp": "now"}))
    assert woken.times == 0
    tell(store, "MODIFIED", obj(version=16, uid="v"))
    assert woken.times == 1


def test_a_list_wakes_who_waits_too() -> None:
    store, woken = filled(obj(version=5)), Woken()
    store.when_seen(Write("n/a", "u"), woken)
    store.when_seen(Write("n/b", "w", "15"), woken)
    list(store.replace({}, "20"))
    assert woken.times == 2
    assert len(store._waits) == 0
    assert store._waits._by_version == []


def test_the_list_of_a_restored_server_keeps_nobody_waiting_for_versions_that_may_never_come() -> None:
    store, woken = filled(obj(version=5)), Woken()
    store.when_seen(Write("n/a", "u", "15"), woken)
    store.when_seen(Write("n/b", "w", "15"), woken)
    listed = obj(version=4)
    list(store.replace({key_of(listed): encode(listed)}, "4"))
    assert woken.times == 2
    assert len(store._waits) == 0


def test_who_waits_no_more_is_not_woken_and_not_kept() -> None:
    store, woken = filled(obj(version=5)), Woken()
    forget = store.when_seen(Write("n/a", "u", "15"), woken)
    assert forget is not None
    forget()
    forget()
    tell(store, "MODIFIED", obj(version=15))
    assert woken.times == 0
    assert len(store._waits) == 0
    assert store._waits._by_version == []


def test_incomparable_versions_and_stores_that_end_keep_nobody_waiting() -> None:
    store, woken = filled(obj(version="x")), Woken()
    assert store.when_seen(Write("n/a", "u", "y"), woken) is None
    store = filled(obj(version=5))
    store.when_seen(Write("n/a", "u", "15"), woken)
    store.release_waits()
    assert woken.times == 1


def test_a_callback_that_fails_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    store, woken = filled(obj(version=5)), Woken()

    def broken() -> None:
        raise RuntimeError("broken")

    store.when_seen(Write("n/a", "u", "15"), broken)
    store.when_seen(Write("n/a", "u", "15"), woken)
    assert tell(store, "MODIFIED", obj(version=15)) == ["modified"]
    assert woken.times == 1
    assert "a callback that waited for a write" in caplog.text
