"""The store against a naive model: random histories, told with repetitions, out of order, and with lists in between."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.cache.records import Change, encode, identify
from operator_kit.cache.store import Store, WentBackwards
from operator_kit.objects import namespace_of, uid_of

KEYS = [("a", "x"), ("a", "y"), ("b", "x")]
OWNERS = ["o1", "o2"]


@dataclass
class Server:
    """Holds objects, and remembers what a watch would have told."""

    version: int = 100
    uids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def act(self, action: str, where: tuple[str, str], owners: tuple[str, ...], label: str) -> None:
        self.version += 1
        namespace, name = where
        key = f"{namespace}/{name}"
        held = self.objects.get(key)
        if action == "delete":
            if held is not None:
                del self.objects[key]
                self.events.append(("DELETED", self.dated(held)))
            return
        uid = uid_of(held) if held else f"u{next(self.uids)}"
        obj = {
            "kind": "Thing",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": uid,
                "resourceVersion": str(self.version),
                "labels": {"l": label},
                "ownerReferences": [{"kind": "O", "name": owner, "uid": owner} for owner in owners],
            },
        }
        self.objects[key] = obj
        self.events.append(("MODIFIED" if held else "ADDED", obj))

    def dated(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}


class Cache:
    """A store, what its changes would make of an observer's picture, and a check of everything after every step."""

    def __init__(self) -> None:
        self.store = Store("things")
        self.store.add_index("label", lambda obj: obj["metadata"]["labels"].values())
        self.picture: dict[str, dict[str, Any]] = {}

    def list(self, server: Server) -> None:
        fresh = {key: encode(copy(obj)) for key, obj in server.objects.items()}
        self.follow(self.store.replace(fresh, str(server.version)))

    def tell(self, event: tuple[str, dict[str, Any]]) -> None:
        kind, obj = event
        self.follow(self.store.apply(kind, identify(obj) if kind == "DELETED" else encode(copy(obj))))

    def follow(self, changes: Any) -> None:
        for change in changes:
            assert isinstance(change, Change)
            before = self.picture.get(change.key)
            if change.type == "added":
                assert before is None
                assert change.old is None
            else:
                assert change.old is not None
                assert change.old.decode() == before
            if change.new is None:
                assert change.type == "deleted"
                del self.picture[change.key]
            else:
                self.picture[change.key] = change.new.decode()
                if change.type != "added":  # another uid is another object: it is deleted and added
                    assert before is not None
                    assert uid_of(before) == change.new.uid
        self.check()

    def check(self) -> None:
        store = self.store
        assert {key: store.get(key) for key in store.keys()} == self.picture  # noqa: SIM118  # it is no dict
        assert len(store) == len(self.picture)
        assert store.size == sum(entry.size for entry in store.entries())
        for namespace in ("a", "b", "c"):
            expected = {key for key, obj in self.picture.items() if namespace_of(obj) == namespace}
            assert {entry.key for entry in store.entries(namespace)} == expected
        for owner in OWNERS:
            owned = {k for k, o in self.picture.items() if any(r["uid"] == owner for r in o["metadata"]["ownerReferences"])}
            assert {entry.key for entry in store.entries_by_owner(owner)} == owned
        for label in ("p", "q"):
            labelled = {key for key, obj in self.picture.items() if obj["metadata"]["labels"]["l"] == label}
            assert set(store.keys_by_index("label", label)) == labelled
        assert set(store.index_values("label")) == {obj["metadata"]["labels"]["l"] for obj in self.picture.values()}


def copy(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": dict(obj["metadata"])}


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "delete"]),
        st.sampled_from(KEYS),
        st.lists(st.sampled_from(OWNERS), max_size=2, unique=True).map(tuple),
        st.sampled_from(["p", "q"]),
    ),
    max_size=12,
)


@given(before=ACTIONS, after=ACTIONS)
@settings(deadline=None)
def test_told_in_order_the_store_is_the_servers_at_every_moment(before: Any, after: Any) -> None:
    server, cache = Server(), Cache()
    for action in before:
        server.act(*action)
    cache.list(server)
    assert cache.picture == server.objects
    server.events.clear()
    for action in after:
        server.act(*action)
        if server.events:
            cache.tell(server.events.pop())
        assert cache.picture == server.objects


@given(before=ACTIONS, after=ACTIONS, data=st.data())
@settings(max_examples=80, deadline=None)
def test_told_out_of_order_and_repeatedly_it_is_the_same_in_the_end(before: Any, after: Any, data: st.DataObject) -> None:
    server, cache = Server(), Cache()
    for action in before:
        server.act(*action)
    cache.list(server)
    server.events.clear()
    for action in after:
        server.act(*action)
    told = data.draw(st.permutations(server.events))
    repeated = data.draw(st.lists(st.sampled_from(server.events), max_size=6)) if server.events else []
    for event in [*told, *repeated]:
        cache.tell(event)
    assert cache.picture == server.objects


@given(steps=st.lists(st.tuples(ACTIONS, st.booleans()), max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_lost_late_or_from_before_a_list_the_next_list_heals_it(steps: Any, data: st.DataObject) -> None:
    server, cache = Server(), Cache()
    cache.list(server)
    for actions, _ in steps:
        for action in actions:
            server.act(*action)
        if server.events:
            for event in data.draw(st.lists(st.sampled_from(server.events), max_size=8)):
                try:
                    cache.tell(event)
                except WentBackwards:
                    cache.list(server)
    cache.list(server)
    assert cache.picture == server.objects


@given(before=ACTIONS, after=ACTIONS)
@settings(deadline=None)
def test_a_restored_server_is_believed_when_it_is_listed(before: Any, after: Any) -> None:
    server, restored, cache = Server(version=500), Server(version=100, uids=itertools.count(1)), Cache()
    for action in before:
        server.act(*action)
    for action in after:
        restored.act(*action)
    cache.list(server)
    with pytest.raises(WentBackwards):
        cache.store.advance("100")
    cache.list(restored)
    assert cache.picture == restored.objects
    assert cache.store.resource_version == str(restored.version)


@given(actions=ACTIONS, at=st.integers(0, 11))
@settings(deadline=None)
def test_an_index_that_comes_late_or_is_made_anew_is_complete(actions: Any, at: int) -> None:
    server, cache = Server(), Cache()
    cache.list(server)
    for number, action in enumerate(actions):
        server.act(*action)
        while server.events:
            cache.tell(server.events.pop(0))
        if number == at:
            cache.store.remove_index("label")
            cache.store.add_index("label", lambda obj: obj["metadata"]["labels"].values())
            cache.check()
    fresh = {key: encode(copy(obj)) for key, obj in server.objects.items()}
    cache.follow(cache.store.replace(fresh, str(server.version), rebuild=True))
