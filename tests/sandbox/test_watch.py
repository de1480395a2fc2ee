"""Watches: what is sent, from where, in which order, and how a stream ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.sandbox.talk import CONFIG_MAPS, WIDGET_CRD, WIDGETS, Talk


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(history=20, bookmark_interval=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def talk(sandbox: Sandbox) -> Talk:
    return Talk(sandbox)


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def seen(events: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(kind, obj["metadata"]["name"]) for kind, obj in events]


def test_a_watch_without_a_version_begins_with_what_is_there(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, config_map("b"))
    talk.create(CONFIG_MAPS, config_map("a"))
    assert seen(talk.watched(CONFIG_MAPS)) == [("ADDED", "a"), ("ADDED", "b")]
    assert seen(talk.watched(CONFIG_MAPS, resourceVersion="0")) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_from_a_list_misses_nothing_and_repeats_nothing(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, config_map("a"))
    version = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    with talk.watch(CONFIG_MAPS, resourceVersion=version) as stream:
        talk.create(CONFIG_MAPS, config_map("b"))
        talk.merge(f"{CONFIG_MAPS}/a", {"data": {"k": "v"}})
        talk.delete(f"{CONFIG_MAPS}/b")
        events = [stream.next() for _ in range(3)]
    assert seen(events) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(set(versions))


def test_other_namespaces_are_not_seen_unless_all_are_watched(talk: Talk) -> None:
    version = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    other = "/api/v1/namespaces/kube-system/configmaps"
    talk.create(other, config_map("far"))
    talk.create(CONFIG_MAPS, config_map("near"))
    assert seen(talk.watched(CONFIG_MAPS, resourceVersion=version)) == [("ADDED", "near")]
    assert seen(talk.watched("/api/v1/configmaps", resourceVersion=version)) == [("ADDED", "far"), ("ADDED", "near")]


def test_an_object_that_begins_or_ceases_to_match_is_added_or_deleted(talk: Talk) -> None:
    version = talk.create(CONFIG_MAPS, config_map("a", on="no"))["metadata"]["resourceVersion"]
    for value in ("yes", "yes", "no"):
        talk.merge(f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"on": value}}, "data": {"n": value}})
    talk.merge(f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"on": "yes"}}})
    talk.merge(f"{CONFIG_MAPS}/a", {"data": {"n": "2"}})
    talk.delete(f"{CONFIG_MAPS}/a")
    events = talk.watched(CONFIG_MAPS, resourceVersion=version, labelSelector="on=yes")
    assert [kind for kind, _ in events] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    # What vanished from sight is shown as it was, at the version of the change.
    assert events[1][1]["metadata"]["labels"] == {"on": "yes"}


def test_a_watch_of_a_name_that_would_be_a_selector_is_a_watch_of_that_name(talk: Talk) -> None:
    version = talk.create(CONFIG_MAPS, config_map("a"))["metadata"]["resourceVersion"]
    for name in ("a%2Cb", "a%3Db", "%5C"):
        assert talk.watched(f"{CONFIG_MAPS}/{name}", resourceVersion=version) == []


def test_a_field_selector_narrows_a_watch_to_one_object(talk: Talk) -> None:
    version = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    for name in ("a", "b"):
        talk.create(CONFIG_MAPS, config_map(name))
    selected = talk.watched(CONFIG_MAPS, resourceVersion=version, fieldSelector="metadata.name=b")
    assert seen(selected) == [("ADDED", "b")]
    assert seen(talk.watched(f"{CONFIG_MAPS}/b", resourceVersion=version)) == [("ADDED", "b")]
    assert seen(talk.watched("/api/v1/watch/namespaces/default/configmaps", resourceVersion=version)) == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


def test_a_version_outside_the_ring_is_told_in_the_stream_as_410(talk: Talk) -> None:
    version = talk.create(CONFIG_MAPS, config_map("first"))["metadata"]["resourceVersion"]
    for number in range(25):
        talk.create(CONFIG_MAPS, config_map(f"n{number}"))
    [(kind, status)] = talk.watched(CONFIG_MAPS, resourceVersion=version)
    assert kind == "ERROR"
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith(f"too old resource version: {version} (")


def test_a_version_still_in_the_ring_is_served_whole(talk: Talk) -> None:
    version = talk.create(CONFIG_MAPS, config_map("first"))["metadata"]["resourceVersion"]
    for number in range(19):
        talk.create(CONFIG_MAPS, config_map(f"n{number}"))
    assert len(talk.watched(CONFIG_MAPS, resourceVersion=version)) == 19


def test_a_forgotten_history_makes_every_older_version_too_old(sandbox: Sandbox, talk: Talk) -> None:
    version = talk.create(CONFIG_MAPS, config_map("a"))["metadata"]["resourceVersion"]
    talk.create(CONFIG_MAPS, config_map("b"))
    sandbox.run(sandbox.engine.world.storage.forget_history)
    assert talk.watched(CONFIG_MAPS, resourceVersion=version)[0][0] == "ERROR"
    current = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    assert talk.watched(CONFIG_MAPS, resourceVersion=current) == []


def test_a_streaming_list_ends_with_its_bookmark_and_goes_on(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, config_map("a"))
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with talk.watch(CONFIG_MAPS, **options) as stream:
        assert seen([stream.next()]) == [("ADDED", "a")]
        kind, bookmark = stream.next()
        assert kind == "BOOKMARK"
        assert bookmark["kind"] == "ConfigMap"
        assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        talk.create(CONFIG_MAPS, config_map("b"))
        kind, obj = next(event for event in iter(stream.next, None) if event[0] != "BOOKMARK")
        assert (kind, obj["metadata"]["name"]) == ("ADDED", "b")


def test_bookmarks_come_by_themselves_and_carry_the_newest_version(talk: Talk) -> None:
    with talk.watch(CONFIG_MAPS, allowWatchBookmarks="true", resourceVersion="0") as stream:
        talk.create("/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
        newest = int(talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"])
        while True:
            kind, obj = stream.next()
            assert kind == "BOOKMARK"
            if int(obj["metadata"]["resourceVersion"]) >= newest:
                break


def test_no_bookmarks_without_asking(talk: Talk) -> None:
    assert talk.watched(CONFIG_MAPS, resourceVersion="0") == []


def test_metadata_only_and_table_watches_have_their_own_form(talk: Talk) -> None:
    talk.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    with talk.watch(CONFIG_MAPS, accept=metadata) as stream:
        _, obj = stream.next()
        assert obj["kind"] == "PartialObjectMetadata"
        assert "data" not in obj
    with talk.watch(CONFIG_MAPS, accept="application/json;as=Table;v=v1;g=meta.k8s.io") as stream:
        _, table = stream.next()
        assert table["kind"] == "Table"
        assert table["rows"][0]["cells"][0] == "a"
        talk.create(CONFIG_MAPS, {"metadata": {"name": "b"}})
        _, table = stream.next()
        # The columns are told once.
        assert table["columnDefinitions"] is None


def test_a_watch_ends_when_its_time_is_up(talk: Talk) -> None:
    with talk.watch(CONFIG_MAPS, timeoutSeconds=1) as stream:
        assert stream.rest() == b""


def test_every_watcher_sees_every_change(talk: Talk) -> None:
    version = talk.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    with (
        talk.watch(CONFIG_MAPS, resourceVersion=version) as one,
        talk.watch("/api/v1/configmaps", resourceVersion=version) as two,
    ):
        for number in range(10):
            talk.create(CONFIG_MAPS, config_map(f"n{number}"))
        assert [one.next() for _ in range(10)] == [two.next() for _ in range(10)]


def test_stopping_the_server_ends_the_streams() -> None:
    with Sandbox() as sandbox:
        talk = Talk(sandbox)
        with talk.watch(CONFIG_MAPS) as stream:
            sandbox.stop()
            assert stream.rest() == b""


def test_a_deleted_crd_ends_the_watches_of_its_objects(talk: Talk) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    talk.create(crds, WIDGET_CRD)
    talk.until(WIDGETS, 200)
    talk.create(WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}})
    with talk.watch(WIDGETS) as stream:
        assert stream.next()[0] == "ADDED"
        talk.delete(f"{crds}/widgets.example.com")
        assert stream.next()[0] == "DELETED"
        assert stream.rest() == b""


def test_a_reader_that_leaves_is_forgotten(sandbox: Sandbox, talk: Talk) -> None:
    store = sandbox.engine.world.storage.store("configmaps")
    with talk.watch(CONFIG_MAPS) as stream:
        assert stream.status == 200
        assert sandbox.run(lambda: len(store.readers)) == 1
    for _ in range(500):
        if not sandbox.run(lambda: len(store.readers)):
            break
        talk.get("/version")
    assert sandbox.run(lambda: (len(store.readers), len(store.observers))) == (0, 0)
