"""Informers: handlers, sharing, starting and stopping, status."""

from __future__ import annotations

import logging
import math
import sys
import threading
from typing import Any

import pytest

from operator_kit import codec
from operator_kit.api import Client, Selection
from operator_kit.cache import HANGS, Change, Informer, Informers, ReflectorSettings, Write
from operator_kit.cache.backoff import Backoff
from operator_kit.cache.records import encode
from operator_kit.cache.registrations import Apart
from operator_kit.clock import Clock, FakeClock, Signal
from operator_kit.codec import RawObject
from operator_kit.errors import ConnectionFailed
from operator_kit.objects import Resource, key_of

from .conftest import CM, World, until

NOWHERE = {
    "current-context": "a",
    "contexts": [{"name": "a", "context": {"cluster": "a"}}],
    "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
}


def obj(name: str, version: int = 1, uid: str = "", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "n", "uid": uid or f"u-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, **more.pop("meta", {})}, **more}


def event(kind: str, o: dict[str, Any], *, strip: bool = True) -> RawObject:
    """As it would come over a watch."""
    return next(iter(codec.read_events(codec.dumps({"type": kind, "object": o}) + b"\n", strip=strip)))


def informer(selection: Selection | None = None, **options: Any) -> Informer:
    """One that is fed by the test and not by a reflector."""
    client = Client.from_kubeconfig_dict(NOWHERE)
    options.setdefault("clock", Clock())
    return Informer(client, selection or Selection(CM), settings=ReflectorSettings(), **options)


def listed(inf: Informer, *objects: dict[str, Any], version: int = 10) -> int:
    return inf.replace({key_of(o): inf.encode(event("ADDED", o, strip=inf.strip)) for o in objects}, str(version), rebuild=False)


class Heard:
    """A handler that remembers."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, change: Change) -> None:
        self.changes.append(change)

    def told(self) -> list[tuple[str, str, bool]]:
        return [(change.type, change.key, change.initial) for change in self.changes]


# -- handlers -------------------------------------------------------------------------------------------------------------------


def test_a_handler_is_synced_when_it_has_heard_of_everything_that_was_there() -> None:
    inf, heard = informer(), Heard()
    registration = inf.add_handler(heard)
    assert not registration.synced
    assert not inf.synced
    assert listed(inf, obj("a"), obj("b")) == 2
    assert registration.synced
    assert inf.synced
    assert heard.told() == [("added", "n/a", True), ("added", "n/b", True)]
    inf.apply(event("ADDED", obj("c", 11)))
    assert heard.told()[2:] == [("added", "n/c", False)]


def test_a_late_handler_hears_of_what_is_there_first_then_of_changes() -> None:
    inf, late = informer(), Heard()
    listed(inf, obj("a"))
    inf.apply(event("MODIFIED", obj("a", 12)))
    registration = inf.add_handler(late)
    assert registration.synced
    inf.apply(event("DELETED", obj("a", 13)))
    assert late.told() == [("added", "n/a", True), ("deleted", "n/a", False)]


def test_handlers_see_the_old_and_the_new() -> None:
    inf, heard = informer(), Heard()
    listed(inf, obj("a", spec=1))
    inf.add_handler(heard)
    inf.apply(event("MODIFIED", obj("a", 12, spec=2)))
    inf.apply(event("DELETED", obj("a", 13, spec=2)))
    old_and_new = [(c.old and c.old.decode()["spec"], c.new and c.new.decode()["spec"]) for c in heard.changes]
    assert old_and_new == [(None, 1), (1, 2), (2, None)]


def test_a_list_that_changes_nothing_is_told_as_a_resync() -> None:
    inf, heard = informer(), Heard()
    listed(inf, obj("a"))
    inf.add_handler(heard)
    assert listed(inf, obj("a"), version=20) == 0
    assert heard.told()[1:] == [("resync", "n/a", False)]


def test_a_handler_that_fails_is_told_of_once_and_goes_on_hearing(caplog: pytest.LogCaptureFixture) -> None:
    inf, heard, calls = informer(), Heard(), []

    def broken(change: Change) -> None:
        calls.append(change)
        raise RuntimeError("broken")

    inf.add_handler(broken)
    inf.add_handler(heard)
    listed(inf, obj("a"), obj("b"))
    assert inf.synced
    assert (len(calls), len(heard.changes)) == (2, 2)
    assert inf.status().handler_errors == 2
    assert len([record for record in caplog.records if "a handler of informer configmaps failed" in record.getMessage()]) == 1


def test_a_function_of_an_authors_that_leaves_the_process_only_fails() -> None:
    def leaves(o: object) -> Any:
        sys.exit(3)

    inf, heard = informer(transform=leaves), Heard()
    inf.add_index("leaver", leaves)
    inf.add_handler(leaves)
    inf.add_handler(heard)
    listed(inf, obj("a"))
    assert (heard.told(), inf.status().handler_errors) == ([("added", "n/a", True)], 1)
    assert inf.store.get("n/a") == obj("a")


class Killed(BaseException):
    """What no code catches."""


def test_what_was_not_told_when_the_thread_died_is_told_with_the_next_list() -> None:
    inf, heard, deadly = informer(), Heard(), {"n/b", "n/d"}

    def dies(change: Change) -> None:
        if change.key in deadly:
            deadly.remove(change.key)
            raise Killed

    def relisted(*objects: dict[str, Any], version: int) -> list[tuple[str, str]]:
        before = len(heard.changes)
        inf.replace({key_of(o): inf.encode(event("ADDED", o)) for o in objects}, str(version), rebuild=True)
        return [(kind, key) for kind, key, _ in heard.told()[before:] if kind != "resync"]

    inf.add_handler(dies)
    inf.add_handler(heard)
    a, b, c = (obj(name) for name in "abc")
    with pytest.raises(Killed):
        listed(inf, a, b, c)  # in the middle of a list
    assert relisted(a, b, c, version=10) == [("added", "n/b"), ("added", "n/c")]
    with pytest.raises(Killed):
        inf.apply(event("ADDED", obj("d", 11)))
    assert relisted(a, b, c, obj("d", 11), version=11) == [("added", "n/d")]
    deadly.add("n/a")
    with pytest.raises(Killed):
        inf.apply(event("DELETED", obj("a", 12)))
    assert relisted(b, c, obj("d", 11), version=12) == [("deleted", "n/a")]


def test_a_thread_that_dies_is_a_problem_until_its_successor_has_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ReflectorSettings(backoff_base=60, backoff_max=60)
    inf = Informer(Client.from_kubeconfig_dict(NOWHERE), Selection(CM), settings=settings, clock=Clock())
    real, deaths = inf.reflector._step, [Killed()]

    def step() -> Any:
        if deaths:
            raise deaths.pop()
        return real()

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inf.reflector, "_step", step)
    monkeypatch.setattr("operator_kit.cache.reflector.log.exception", full)  # even telling it fails
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    inf.start()
    until(lambda: inf.status().problem_reason == "died", "the problem")
    assert inf.status().problem == "the thread of informer configmaps died of Killed and is replaced"
    inf.stop()
    assert inf.join(20)
    inf.reflector._listed({}, "10")
    assert inf.status().problem == ""


def test_a_handler_that_is_removed_hears_no_more() -> None:

    inf, heard = informer(), Heard()
    registration = inf.add_handler(heard)
    registration.remove()
    registration.remove()
    listed(inf, obj("a"))
    assert heard.changes == []
    assert inf.synced


def test_handlers_may_come_and_go_in_a_handler() -> None:
    inf, second = informer(), Heard()

    def first(change: Change) -> None:
        registration.remove()
        inf.add_handler(second)

    registration = inf.add_handler(first)
    listed(inf, obj("a"), obj("b"))
    # It came in the middle of the list's changes: it hears of all of them, afterwards.
    assert second.told() == [("added", "n/a", True), ("added", "n/b", True)]
    inf.apply(event("ADDED", obj("c", 12)))
    assert second.told()[-1] == ("added", "n/c", False)


def test_handlers_that_come_while_changes_are_told_miss_and_repeat_nothing() -> None:
    inf = informer()
    listed(inf, *(obj(f"a{number}") for number in range(20)))
    late: list[Heard] = []
    stop = threading.Event()

    def come() -> None:
        while len(late) < 300:
            heard = Heard()
            inf.add_handler(heard)
            late.append(heard)
            if stop.is_set():
                return

    thread = threading.Thread(target=come)
    thread.start()
    for version in range(20, 220):
        inf.apply(event("MODIFIED", obj(f"a{version % 20}", version)))
        if version % 50 == 0:
            listed(inf, *(entry.decode() for entry in inf.store.entries()), version=version)
    stop.set()
    thread.join(30)
    truth = {entry.key: entry.resource_version for entry in inf.store.entries()}
    for heard in late:
        picture: dict[str, int] = {}
        for change in heard.changes:
            assert change.new is not None
            version = int(change.new.resource_version)
            if change.type == "added":
                assert change.key not in picture
            elif change.type == "modified":
                assert picture[change.key] < version
            picture[change.key] = version
        assert {key: str(version) for key, version in picture.items()} == truth


def test_a_handler_that_is_apart_holds_nobody_up_and_is_told_of_when_it_hangs() -> None:
    inf, heard, slow, go = informer(clock=(clock := FakeClock())), Heard(), Heard(), threading.Event()
    calls = threading.Semaphore(0)

    def hangs(change: Change) -> None:
        calls.release()
        assert go.wait(20)
        slow(change)

    inf.add_handler(heard)
    apart = inf.add_handler(hangs, apart="the mapper of foo")
    listed(inf, obj("a"), obj("b"))
    inf.apply(event("MODIFIED", obj("a", 12)))
    assert calls.acquire(timeout=20)
    assert [key for _, key, _ in heard.told()] == ["n/a", "n/b", "n/a"]
    assert (apart.synced, inf.synced, inf.idle(), inf.status().problem) == (False, False, False, "")
    clock.advance(31)
    status = inf.status()
    assert (status.problem_reason, status.problem_seconds) == (HANGS, 31)
    assert status.problem.startswith("the mapper of foo hangs over n/a of configmaps, at ")
    assert "in hangs: assert go.wait(20)" in status.problem
    clock.advance(1)
    assert inf.status().problem == status.problem  # in the same words: it is logged when it changes
    go.set()
    until(lambda: inf.idle() and inf.synced)
    listed(inf, obj("a", 12), obj("b"), version=13)  # of resyncs it hears nothing
    inf.apply(event("DELETED", obj("b", 14)))
    until(inf.idle)
    told = [("added", "n/a", True), ("added", "n/b", True), ("modified", "n/a", False), ("deleted", "n/b", False)]
    assert (slow.told(), inf.status().problem, inf.status().problem_reason) == (told, "", "")
    inf.stop()
    assert inf.join(20)


def test_a_handler_that_is_apart_ends_with_its_removal_and_with_its_informer_even_if_it_comes_late() -> None:
    inf = informer()
    listed(inf, obj("a"))
    registration = inf.add_handler(Heard(), apart="early")
    until(lambda: registration.synced)
    registration.remove()
    inf.stop()
    inf.add_handler(Heard(), apart="late")
    assert inf.join(20)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name in {"handler/early", "handler/late"}])


def test_a_thread_of_a_handler_that_dies_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    informers = Informers(world.client)
    registration = informers.acquire(CM).add_handler(Heard(), apart="the mapper of foo")
    assert isinstance(registration, Apart)
    informers.start()
    assert informers.wait_synced(20)
    assert informers.dead() == []
    changes, registration._changes = registration._changes, 7  # type: ignore[assignment]  # a defect
    with registration._ready:
        registration._ready.notify_all()
    until(lambda: informers.dead() == ["configmaps"], "its death")
    registration._changes = changes
    assert informers.stop(20)
    assert informers.dead() == []


def test_a_handler_that_is_apart_outlives_whatever_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    inf = informer()

    def leaves(change: Change) -> None:
        raise SystemExit(3)

    inf.add_handler(leaves, apart="the mapper of foo")
    listed(inf, obj("a"), obj("b"))
    until(lambda: inf.synced)
    assert inf.status().handler_errors == 2
    said = [(record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert said == [
        (f"the mapper of foo failed for added {key} of configmaps: SystemExit: 3; nothing comes of it", first)
        for key, first in (("n/a", True), ("n/b", False))
    ]
    inf.stop()
    assert inf.join(20)


def test_a_stop_names_the_handler_that_does_not_end(world: World, caplog: pytest.LogCaptureFixture) -> None:
    go, called = threading.Event(), threading.Event()
    informers = Informers(world.client)
    inf = informers.acquire(CM)

    def hangs(change: Change) -> None:
        called.set()
        assert go.wait(60)

    inf.add_handler(hangs, apart="the mapper of foo")
    world.create("a")
    informers.start()
    assert called.wait(20)
    assert not informers.stop(0.01)
    until(lambda: informers.stop(0.01) or inf.reflector.join(0), "the end of the informer's own thread")
    caplog.clear()
    assert not informers.stop(0.01)
    assert "informer configmaps does not end: thread handler/the mapper of foo is at " in caplog.text
    assert "in hangs: assert go.wait(60)" in caplog.text
    go.set()
    assert informers.stop(20)


def test_the_informers_own_thread_is_told_of_when_it_hangs(world: World) -> None:
    go = threading.Event()
    inf = world.informer(patience=0.01)
    world.synced(inf)
    inf.add_index("slow", lambda o: [str(go.wait(20))] if "slow" in o["metadata"]["name"] else [])
    world.create("slow")
    until(lambda: inf.status().problem_reason == HANGS, "the problem")
    until(lambda: 'in <lambda>: inf.add_index("slow"' in inf.status().problem, "the place")
    assert inf.status().problem.startswith("informer configmaps hangs over an object, at ")
    go.set()
    until(lambda: "default/slow" in inf.store and inf.status().problem == "", "the end of the problem")


# -- what is kept ---------------------------------------------------------------------------------------------------------------


def test_a_transform_cuts_objects_down_before_they_are_kept() -> None:
    def cut(o: dict[str, Any]) -> None:
        o.pop("data", None)

    inf = informer(transform=cut)
    listed(inf, obj("a", data={"big": "x"}))
    assert inf.store.get("n/a") == obj("a")
    whole = informer(transform=lambda o: {**o, "data": {"n": 1}})
    listed(whole, obj("a"))
    assert (whole.store.get("n/a") or {})["data"] == {"n": 1}


def test_a_transform_that_fails_loses_nothing_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    inf = informer(transform=lambda o: o["nothing"])
    listed(inf, obj("a"), obj("b"))
    assert inf.store.get("n/a") == obj("a")
    assert len([record for record in caplog.records if "the transform of informer" in record.getMessage()]) == 1


def test_strip_can_be_left_out() -> None:
    inf = informer(strip=False)
    listed(inf, obj("a", meta={"managedFields": [{"manager": "m"}]}))
    assert (inf.store.get("n/a") or {})["metadata"]["managedFields"] == [{"manager": "m"}]


def test_an_informer_knows_what_it_covers() -> None:
    labelled = obj("a", meta={"labels": {"app": "x"}})
    assert informer().covers(labelled)
    assert informer(Selection(CM, "n")).covers(labelled)
    assert not informer(Selection(CM, "m")).covers(labelled)
    assert informer(Selection(CM, None, "app=x")).covers(labelled)
    assert not informer(Selection(CM, None, "app=y")).covers(labelled)
    assert not informer(Selection(CM, None, "app=y")).covers(obj("a"))
    assert not informer(Selection(CM, None, "", "metadata.name=a")).covers(labelled)


# -- the shared set -------------------------------------------------------------------------------------------------------------


def test_the_same_selection_is_one_informer() -> None:
    informers = Informers(Client.from_kubeconfig_dict(NOWHERE))
    first = informers.acquire(CM)
    assert informers.acquire(CM) is first
    assert informers.acquire(CM, namespace="") is first
    others = [
        informers.acquire(CM, namespace="n"),
        informers.acquire(CM, label_selector="a=b"),
        informers.acquire(CM, metadata_only=True),
        informers.acquire(CM, transform=lambda o: o),
        informers.acquire(Resource("", "v1", "Secret", "secrets")),
    ]
    assert len({id(inf) for inf in [first, *others]}) == 6
    with pytest.raises(ValueError, match="unable to parse requirement"):
        informers.acquire(CM, label_selector="a in (")


def test_the_last_user_stops_it(world: World) -> None:
    informers = Informers(world.client)
    informers.start()
    first = informers.acquire(CM)
    informers.acquire(CM)
    assert informers.wait_synced(60)
    informers.release(first)
    world.create("a")
    until(lambda: "default/a" in first.store)
    informers.release(first)
    assert informers.status() == []
    with pytest.raises(ValueError, match="is not in use"):
        informers.release(first)
    again = informers.acquire(CM)
    assert again is not first
    assert informers.wait_synced(60)
    assert informers.stop(30)
    with pytest.raises(RuntimeError, match="were stopped"):
        informers.acquire(CM)
    with pytest.raises(RuntimeError, match="were stopped"):
        informers.start()


def test_waiting_for_sync_ends_with_the_stop_signal_the_time_or_the_sets_end() -> None:
    clock = FakeClock()
    informers = Informers(Client.from_kubeconfig_dict(NOWHERE), clock=clock)
    assert informers.wait_synced(0)  # nothing to wait for
    informers.acquire(CM)
    assert not informers.wait_synced(0)
    outcomes: list[bool] = []
    stop = Signal(clock)
    for arguments, wake in (((None, stop), stop.set), ((5.0, None), lambda: clock.advance(5)), ((None, None), informers.stop)):
        thread = threading.Thread(target=lambda arguments=arguments: outcomes.append(informers.wait_synced(*arguments)))
        thread.start()
        clock.wait_for_waiters(1)
        wake()
        thread.join(30)
        assert not thread.is_alive()
    assert outcomes == [False, False, False]


def test_stopping_is_prompt_and_leaves_no_thread(world: World) -> None:
    world.fault("hang", verb="list", resource="secrets")
    world.fault("silent", verb="watch")
    informers = Informers(world.client)
    for plural, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret"), ("events", "Event")):
        informers.acquire(Resource("", "v1", kind, plural))
    informers.start()
    until(lambda: sum(status.synced for status in informers.status()) == 2)
    assert informers.stop(30)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("informer/")]
    Informers(world.client).stop()


def test_one_that_is_stopped_while_its_server_hangs_is_not_said_to_work_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failing = world.fault("status", verb="watch", code=503)
    informer = world.informer()
    until(lambda: informer.status().problem, "the problem")
    hanging = world.fault("hang", verb="watch")
    world.sandbox.faults.remove(failing)
    until(lambda: world.sandbox.faults.struck(hanging), "a watch that hangs")
    informer.stop()
    assert informer.join(60)
    assert "works again" not in caplog.text


def test_an_informer_that_ends_lets_go_who_waits_for_a_write(world: World) -> None:
    inf = world.informer()
    world.synced(inf)
    woken = threading.Event()
    assert inf.when_seen(Write("default/a", "u", "999999"), woken.set) is not None
    inf.stop()
    assert woken.is_set()


def test_own_writes_are_seen_by_version_and_deletes_by_uid(world: World) -> None:
    inf = world.informer()
    world.synced(inf)
    for turn in range(5):
        made = world.create("a", turn=str(turn))
        write = Write("default/a", made["metadata"]["uid"], made["metadata"]["resourceVersion"])
        woken = threading.Event()
        assert inf.when_seen(write, woken.set) is None or woken.wait(30)
        assert inf.store.get("default/a") is not None
        world.delete("a")
        woken = threading.Event()
        assert inf.when_seen(Write("default/a", made["metadata"]["uid"]), woken.set) is None or woken.wait(30)
        assert inf.store.get("default/a") is None


def test_status_tells_how_an_informer_is(world: World) -> None:
    world.create("a")
    inf = world.informer(namespace="default", label_selector="")
    world.synced(inf)
    status = inf.status()
    assert (status.resource, status.namespace, status.synced, status.problem) == (CM, "default", True, "")
    assert status.objects == len(inf.store)
    assert status.bytes == inf.store.size > 0
    assert 0 <= status.seconds_since_sign_of_life < 30
    assert "synced" in repr(inf)


def test_only_metadata_is_held_when_only_metadata_is_wanted(world: World) -> None:
    world.create("a", big="x" * 1000)
    inf = world.informer(metadata_only=True)
    world.synced(inf)
    world.create("b", big="x" * 1000)
    until(lambda: "default/b" in inf.store)
    for key in ("default/a", "default/b"):
        held = inf.store.get(key)
        assert held is not None
        assert (held["kind"], held.get("data")) == ("ConfigMap", None)
        entry = inf.store.entry(key)
        assert entry is not None
        assert entry.size < 500


def test_whole_objects_are_taken_where_only_metadata_was_asked_for() -> None:
    inf = informer(Selection(CM, metadata_only=True))
    listed(inf)
    inf.reflector._take([event("ADDED", obj("a", 12))])
    assert (len(inf.store), inf.status().odd) == (1, 0)
    assert (inf.store.get("n/a") or {})["kind"] == "ConfigMap"


def test_odd_objects_are_left_out_counted_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    inf = informer()
    for broken in (
        {"kind": "ConfigMap", "metadata": {"name": "a"}},
        {"kind": "Other", "metadata": {"name": "a", "uid": "u"}},
        {},
    ):
        inf.reflector._take([event("ADDED", dict(broken))])
    inf.reflector._take([event("STRANGE", obj("a"))])
    assert inf.status().odd == 4
    assert len(inf.store) == 0
    assert len([record for record in caplog.records if "left out" in record.getMessage()]) == 1
    assert encode(obj("a"))[0] == "n/a"


# -- backoff --------------------------------------------------------------------------------------------------------------------


def test_pauses_double_to_the_cap_and_start_anew_only_after_two_minutes_without_failure() -> None:
    clock = FakeClock()
    backoff = Backoff(clock)
    assert backoff.well
    expected = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    for longest in expected:
        pause = backoff.next()
        assert longest / 2 <= pause <= longest
        clock.advance(pause)
    assert not backoff.well
    clock.advance(90)
    assert backoff.next() >= 15.0
    clock.advance(120.1)
    assert backoff.well
    assert backoff.next() <= 0.8


def test_the_next_resync_is_jittered_by_a_tenth() -> None:
    inf = informer()
    clock = inf.reflector._clock
    moments = []
    for version in range(10, 60):
        inf.reflector._listed({}, str(version))
        moments.append(inf.reflector._resync_at - clock.monotonic())
    assert 1800 * 0.9 - 1 <= min(moments) < 1800 * 0.95
    assert 1800 * 1.05 < max(moments) <= 1800 * 1.1
    client = Client.from_kubeconfig_dict(NOWHERE)
    never = Informer(client, Selection(CM), settings=ReflectorSettings(resync=0), clock=Clock())
    never.reflector._listed({}, "10")
    assert never.reflector._resync_at == math.inf


def test_the_server_is_asked_to_close_each_watch_at_another_time_and_the_client_waits_no_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client.from_kubeconfig_dict(NOWHERE)
    asked: list[dict[str, Any]] = []

    def watch(*_: object, **options: Any) -> Any:
        asked.append(options)
        raise ConnectionFailed("far enough")

    monkeypatch.setattr(client, "watch", watch)
    inf = Informer(client, Selection(CM), settings=ReflectorSettings(silence=1000.0), clock=Clock())
    inf.reflector._listed({}, "10")
    for _ in range(50):
        with pytest.raises(ConnectionFailed, match="far enough"):
            inf.reflector._watch()
    seconds = [options["timeout_seconds"] for options in asked]
    assert 300 <= min(seconds) < 360
    assert 540 < max(seconds) <= 600
    assert all(options["read_timeout"] >= options["timeout_seconds"] for options in asked)


def test_nothing_would_ever_be_seen_without_a_watch_and_without_a_resync() -> None:
    with pytest.raises(ValueError, match="there must be a resync"):
        Informers(Client.from_kubeconfig_dict(NOWHERE), watch=False, resync=0)
