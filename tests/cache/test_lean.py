"""The cache weighs little: what is selected, what is read without decoding, and what the garbage collector never sees."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from operator_kit import codec
from operator_kit.api import Selection
from operator_kit.cache import Informers, Store
from operator_kit.cache.records import Entry, encode
from operator_kit.codec import Head, fast, standard
from operator_kit.objects import Object
from operator_kit.selectors import LabelSelector
from operator_kit.testing import Cluster, OperatorFaults, StartOperator

from .conftest import CM, World, until

CODECS = [pytest.param(fast, id="fast"), pytest.param(standard, id="standard")]


def thing(number: int, **labels: str) -> Object:
    meta = {"name": f"a{number}", "namespace": f"n{number % 2}", "uid": f"u{number}", "resourceVersion": str(number + 1)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "labels": labels}, "data": {"n": str(number)}}


def test_a_watch_holds_only_what_its_selectors_select(world: World) -> None:
    informers = Informers(world.client)
    by_label = informers.acquire(CM, namespace="default", label_selector="app=x")
    by_field = informers.acquire(CM, namespace="default", field_selector="metadata.name=b")
    for name, app in (("a", "x"), ("b", "y")):
        world.calm.create(CM, {"metadata": {"name": name, "labels": {"app": app}}}, namespace="default")
    informers.start()
    try:
        assert informers.wait_synced(15)
        assert list(by_label.store.keys()) == ["default/a"]
        assert list(by_field.store.keys()) == ["default/b"]
        # What comes to be selected is added, what is selected no more is deleted, with the old object told.
        told: list[tuple[str, str]] = []
        by_label.add_handler(lambda change: told.append((change.type, change.key)))
        world.calm.patch(CM, "b", "default", {"metadata": {"labels": {"app": "x"}}})
        until(lambda: "default/b" in by_label.store)
        world.calm.patch(CM, "a", "default", {"metadata": {"labels": {"app": "z"}}})
        until(lambda: "default/a" not in by_label.store)
        by_label.wait_told()
        assert told == [("added", "default/a"), ("added", "default/b"), ("deleted", "default/a")]
        assert list(by_field.store.keys()) == ["default/b"]
    finally:
        informers.stop(10)


def test_informers_come_and_go_while_the_others_run(world: World) -> None:
    informers = Informers(world.client)
    first = informers.acquire(CM)
    informers.start()
    try:
        assert informers.wait_synced(15)
        for _ in range(3):
            other = informers.acquire(CM, namespace="default", transform=lambda obj: {**obj, "data": {}})
            world.create("a", big="x")
            until(lambda other=other: "default/a" in other.store)
            until(lambda: "default/a" in first.store)
            assert (other.store.get("default/a") or {})["data"] == {}
            informers.release(other)
            assert not [thread for thread in threading.enumerate() if thread is other.reflector._thread]
            world.delete("a")
            until(lambda: "default/a" not in first.store)
            assert "default/a" in other.store  # it hears no more
    finally:
        informers.stop(10)


def test_a_secret_that_is_only_watched_is_read_live(
    cluster: Cluster, operator: StartOperator, faults: OperatorFaults, tmp_path: Path
) -> None:
    source = tmp_path / "reader.py"
    source.write_text(
        "from operator_kit import reconciler\n"
        "@reconciler('v1/ConfigMap', watches={'v1/Secret': lambda secret: ['default/asks']})\n"
        "def read(obj, ctx):\n"
        "    if obj['metadata']['name'] != 'asks':\n"
        "        return\n"
        "    secret = ctx.get_or_none('v1/Secret', 'word')\n"
        "    word = secret['data']['word'] if secret else 'none'\n"
        "    ctx.apply({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'answer'}, 'data': {'word': word}})\n",
        "utf-8",
    )
    cluster.load({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asks"}})
    running = operator(source)
    running.settle()
    gets = faults.add("delay", verb="get", resource="secrets")
    cluster.load({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "word"}, "data": {"word": "Zm9v"}})
    running.settle()
    assert (cluster.get("v1/ConfigMap", "answer") or {})["data"] == {"word": "Zm9v"}
    assert faults.struck(gets) > 0


# -- reads without decoding -----------------------------------------------------------------------------------------------------


@contextmanager
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(data: Any) -> Any:
        raise AssertionError("something was decoded")

    with monkeypatch.context() as patch:
        patch.setattr(codec, "loads", fail)
        yield


def filled(*objects: Object) -> Store:
    store = Store("things")
    records = [encode(obj) for obj in objects]
    list(store.replace({record[0]: record for record in records}, "1000"))
    return store


def test_selectors_counts_and_fields_are_read_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(*(thing(number, app="x" if number % 3 else "y", tier="a") for number in range(30)))
    with nothing_is_decoded(monkeypatch):
        assert len(store.entries("n0", LabelSelector.parse("app=x, tier in (a, b), !none"))) == 10
        assert (store.count(), store.count("n1"), len(store.keys())) == (30, 15, 30)
        entry = store.entry("n0/a0")
        assert entry is not None
        assert (entry.uid, entry.labels["app"], entry.deleting, entry.owners) == ("u0", "y", False, ())
        assert entry.digest == Entry(encode(thing(0, app="y", tier="a"))).digest
        with pytest.raises(AssertionError, match="something was decoded"):
            entry.decode()
    assert len(store.list("n0", LabelSelector.parse("app=x"))) == 10


def test_an_index_agrees_with_the_objects_whenever_it_is_read() -> None:
    """While objects change their value and the index is removed and made again."""
    store = filled(*(thing(number) for number in range(20)))

    def value(obj: Object) -> list[str]:
        return [str(int(obj["data"]["n"]) % 2)]

    store.add_index("parity", value)
    stop = threading.Event()
    wrong: list[Any] = []
    looked = [0]

    def read() -> None:
        while not stop.is_set():
            for parity in ("0", "1"):
                try:
                    found = store.by_index("parity", parity)
                except KeyError:  # it was removed just now
                    continue
                looked[0] += 1
                wrong.extend(obj for obj in found if value(obj) != [parity])

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    version = 1000
    for turn in range(60):
        for number in range(20):
            version += 1
            obj = thing(number)
            obj["metadata"]["resourceVersion"] = str(version)
            obj["data"]["n"] = str(number + turn)
            store.apply("MODIFIED", encode(obj))
        if turn % 10 == 9:
            store.remove_index("parity")
            store.add_index("parity", value)
            assert len(store.keys_by_index("parity", "0")) + len(store.keys_by_index("parity", "1")) == 20
    until(lambda: looked[0], "a look")
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []


# -- the garbage collector ------------------------------------------------------------------------------------------------------


def page(count: int) -> bytes:
    managed = [{"manager": "m", "fieldsV1": {"f:data": {f"f:{name}": {} for name in "abcdefgh"}}}]
    items = []
    for number in range(count):
        obj = thing(number, app="x")
        obj["metadata"] |= {"managedFields": managed, "ownerReferences": [{"kind": "O", "name": "o", "uid": f"o{number}"}]}
        items.append({"metadata": obj["metadata"], "data": obj["data"]})
    return json.dumps({"kind": "ConfigMapList", "metadata": {}, "items": items}, separators=(",", ":")).encode()


@contextmanager
def collections() -> Iterator[list[int]]:
    """How often each generation is collected in the block."""
    counts = [0, 0, 0]

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            counts[info["generation"]] += 1

    gc.collect()
    gc.callbacks.append(note)
    try:
        yield counts
    finally:
        gc.callbacks.remove(note)


@pytest.mark.parametrize("codec_half", CODECS)
def test_a_large_list_sets_off_hardly_any_collection_and_leaves_nothing_to_walk(codec_half: Any) -> None:
    data, head, kept = page(5000), Head("v1", "ConfigMap"), {}

    def keep(raw: Any) -> None:
        record = raw.record(head)
        assert record is not None
        kept[record[0]] = record

    gc.collect()
    walked = len(gc.get_objects())
    with collections() as counts:
        codec_half.visit_raw(data, keep, strip=True)
    assert len(kept) == 5000
    with collections() as naive:
        json.loads(data)
    assert counts[2] == 0
    assert sum(counts) <= 30, f"{counts} collections; json.loads of all at once makes {naive}"
    if sys.version_info < (3, 12):  # since then a collection waits until a call into C has ended, and nobody else has run
        assert sum(naive) > 60
    for _ in range(3):  # tuples are let go from the inside out, one level each time
        gc.collect()
    assert len(gc.get_objects()) - walked < 200


@pytest.mark.parametrize("codec_half", CODECS)
def test_watch_events_set_off_no_collection(codec_half: Any) -> None:
    head, store = Head("v1", "ConfigMap"), filled(*(thing(number) for number in range(100)))
    lines = b""
    for version in range(2000, 7000):
        obj = thing(version % 100, app="x")
        obj["metadata"] |= {"resourceVersion": str(version), "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {}}}]}
        lines += json.dumps({"type": "MODIFIED", "object": obj}, separators=(",", ":")).encode() + b"\n"
    batches = [b"\n".join(part) + b"\n" for part in zip(*[iter(lines.split(b"\n")[:-1])] * 50, strict=True)]
    with collections() as counts:
        for batch in batches:
            for event in codec_half.read_events(batch, strip=True):
                assert len(store.apply("MODIFIED", event.record(head))) == 1
    assert sum(counts) <= 5, counts


def test_what_an_informer_selects_is_told_by_its_name() -> None:
    assert str(Selection(CM, "n", "app=x", "metadata.name=a")) == "configmaps in n (app=x, metadata.name=a)"
