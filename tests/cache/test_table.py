"""Every row of the table in docs/informers.md, on the sandbox's faults. The names are the rows."""

from __future__ import annotations

import ctypes
import logging
import re
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.cache import Change, Informers
from operator_kit.clock import Clock
from operator_kit.objects import Resource
from operator_kit.sandbox import Sandbox
from tests.processes import free_port

from .conftest import CM, QUICK, World, until

CLOCK = Clock()
SITE = Resource("example.com", "v1", "Website", "websites")
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "websites.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "websites", "singular": "website", "kind": "Website", "listKind": "WebsiteList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def restarts(informer: Any, reason: str, times: int = 1) -> None:
    until(lambda: informer.status().restarts.get(reason, 0) >= times, f"restart for {reason}")


def test_normal_close_watches_again_without_a_list(world: World) -> None:
    world.create("a")
    lists = world.counter("list")
    world.fault("end", verb="watch", events=1, count=3)
    informer = world.informer()
    world.synced(informer)
    for name in ("b", "c", "d"):
        world.create(name)
        until(lambda name=name: f"default/{name}" in informer.store, name)
    restarts(informer, "closed", 3)
    world.same(informer)
    assert lists() == 1
    assert informer.status().problem == ""


def test_short_close_lists_and_pauses(world: World) -> None:
    world.fault("no-bookmarks", verb="watch")  # the watch after it says nothing, and is well all the same
    world.fault("end", verb="watch", events=0, count=3)
    informer = world.informer(short_watch=0.5)
    world.synced(informer)
    restarts(informer, "short", 3)
    until(lambda: informer.status().problem == "", "the end of the problem")
    world.create("a")
    world.same(informer)


def test_410_when_the_watch_is_opened_lists_at_once(world: World) -> None:
    lists = world.counter("list")
    world.fault("status", verb="watch", code=410, count=1)
    informer = world.informer(backoff_base=1000.0, backoff_max=1000.0)  # it does not pause
    world.synced(informer)
    world.create("a")
    world.same(informer)
    assert informer.status().restarts == {"expired": 1}
    assert lists() == 2


def test_410_time_and_again_is_a_problem_and_converges_by_lists(world: World) -> None:
    fault = world.fault("status", verb="watch", code=410)
    informer = world.informer()
    world.synced(informer)
    restarts(informer, "expired", 3)
    world.create("a")
    world.same(informer)
    assert informer.status().problem_reason == "expired"
    world.sandbox.faults.remove(fault)
    until(lambda: informer.status().problem == "", "the end of the problem")


def test_410_in_the_stream_lists_at_once(world: World) -> None:
    lists = world.counter("list")
    world.fault("gone", verb="watch", events=1, count=1)
    informer = world.informer(backoff_base=1000.0, backoff_max=1000.0)
    world.synced(informer)
    world.create("a")
    world.create("b")
    world.same(informer)
    restarts(informer, "expired")
    assert lists() == 2


def test_410_on_a_later_page_lists_in_one_piece(world: World) -> None:
    for number in range(8):
        world.create(f"a{number}")
    lists = world.counter("list")
    world.fault("status", verb="list", code=410, continues=True)
    informer = world.informer()
    world.synced(informer)
    world.same(informer)
    assert lists() == 3
    assert len(informer.store) >= 8
    assert len({change.key for change in world.changes}) == len(world.changes)


@pytest.mark.parametrize("code", [429, 503])
def test_throttled_and_failing_servers_get_their_pause_and_no_list(world: World, code: int) -> None:
    lists = world.counter("list")
    world.fault("status", verb="watch", code=code, count=4)
    informer = world.informer()
    world.synced(informer)
    world.create("a")
    world.same(informer)
    restarts(informer, "throttled" if code == 429 else "server-error", 4)
    assert lists() == 1


def test_an_error_event_that_is_no_410_pauses_and_goes_on(world: World) -> None:
    lists = world.counter("list")
    world.fault("error", verb="watch", code=500, events=0, count=2)
    informer = world.informer()
    world.synced(informer)
    world.create("a")
    world.same(informer)
    restarts(informer, "server-error", 2)
    assert lists() == 1


@pytest.mark.parametrize(
    ("action", "options"), [("status", {"code": 500}), ("status", {"code": 429}), ("error", {"code": 500, "events": 0})]
)
def test_a_watch_that_fails_for_long_converges_by_lists(
    world: World, action: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    fault = world.fault(action, verb="watch", **options)
    informer = world.informer(starving=0.3)
    world.synced(informer)
    restarts(informer, "throttled" if options["code"] == 429 else "server-error", 2)
    with caplog.at_level(logging.INFO):
        for name in ("a", "b"):
            world.create(name)
            world.same(informer)
    if action == "status":  # lists make it no watch that works: the problem stays
        assert informer.status().problem_reason == ("throttled" if options["code"] == 429 else "server-error")
        assert "works again" not in caplog.text
    world.sandbox.faults.remove(fault)
    until(lambda: informer.status().problem == "", "the end of the problem")


def test_a_version_that_cannot_be_read_from_the_storage_is_listed(world: World) -> None:
    world.fault("error", verb="watch", code=500, reason="StorageReadError", events=0, count=1)
    lists = world.counter("list")
    informer = world.informer()
    world.synced(informer)
    restarts(informer, "server-error")
    world.create("a")
    world.same(informer)
    assert lists() == 2


def test_refused_connections_are_tried_until_the_server_is_there() -> None:
    port = free_port()
    with Sandbox(port=port) as first:
        document = first.kubeconfig()
    client = Client.from_kubeconfig_dict(document)
    informers = Informers(client, settings=QUICK)
    informer = informers.acquire(CM)
    informers.start()
    try:
        restarts(informer, "unreachable", 2)
        assert "no answer from" in informer.status().problem
        assert not informers.synced()
        with Sandbox(port=port):
            assert informers.wait_synced(60)
            assert informer.status().problem == ""
            # and when it goes away again, what is held stays
            held = len(informer.store)
        restarts(informer, "unreachable", 5)
        assert (informer.synced, len(informer.store)) == (True, held)
    finally:
        informers.stop(30)
        client.close()


def test_a_server_restored_from_a_backup_is_listed_and_believed() -> None:
    port = free_port()
    with Sandbox(port=port) as first:
        client = Client.from_kubeconfig_dict(first.kubeconfig())
        for number in range(20):
            client.create(CM, {"metadata": {"name": f"a{number}"}}, namespace="default")
        informers = Informers(client, settings=QUICK)
        informer = informers.acquire(CM)
        informers.start()
        assert informers.wait_synced(60)
        newest = int(informer.store.resource_version)
    try:
        with Sandbox(port=port, bookmark_interval=0.1) as second:
            other = Client.from_kubeconfig_dict(second.kubeconfig())
            other.create(CM, {"metadata": {"name": "b"}}, namespace="default")
            until(lambda: "default/b" in informer.store and "default/a0" not in informer.store, "the new server's objects")
            assert int(informer.store.resource_version) < newest
            other.close()
            informers.stop(30)
    finally:
        informers.stop(30)
        client.close()


def test_a_restored_server_is_listed_without_the_pauses_of_its_absence(world: World) -> None:
    informer = world.informer(backoff_max=1000.0)
    world.synced(informer)
    until(lambda: informer.reflector._bookmarks, "a bookmark")
    for _ in range(20):
        informer.reflector._backoff.next()  # it was away for long: the next pause is minutes
    informer.store.advance("1000000")  # what comes now is older than what was seen
    restarts(informer, "backwards", 2)
    until(lambda: int(informer.store.resource_version) < 1000000, "the server's versions")


@pytest.mark.parametrize(
    ("action", "reason"), [("break", "broken"), ("corrupt", "corrupt"), ("blank", "corrupt")], ids=["break", "corrupt", "blank"]
)
def test_broken_corrupt_and_blank_lines_end_the_stream_and_nothing_is_lost(world: World, action: str, reason: str) -> None:
    world.fault(action, verb="watch", events=1, count=3)
    informer = world.informer()
    world.synced(informer)
    for name in ("a", "b", "c", "d", "e"):
        world.create(name)
    world.same(informer)
    restarts(informer, reason)


def test_corrupt_again_at_the_same_place_means_a_list(world: World) -> None:
    lists = world.counter("list")
    world.fault("corrupt", verb="watch", events=0, count=4)
    informer = world.informer()
    world.synced(informer)
    world.create("a")
    world.same(informer)
    restarts(informer, "corrupt", 4)
    assert lists() >= 2


@pytest.mark.parametrize("action", ["close", "lost", "hang", "cut", "garble"])
def test_lists_that_fail_are_made_again(world: World, action: str) -> None:
    for number in range(5):
        world.create(f"a{number}")
    world.fault(action, verb="list", count=2)
    informer = world.informer(list_timeout=0.3)
    world.synced(informer)
    world.same(informer)
    assert sum(informer.status().restarts.values()) >= 2


def test_half_open_is_noticed_by_our_own_clock(world: World) -> None:
    world.fault("silent", verb="watch", events=0, count=2)
    informer = world.informer(silence=0.4)
    world.synced(informer)
    world.create("a")  # told into the dead stream
    world.same(informer)
    restarts(informer, "silent")


def test_half_open_after_bookmarks_goes_on_from_the_last_version(world: World) -> None:
    lists = world.counter("list")
    world.fault("silent", verb="watch", events=2, count=1)
    informer = world.informer(silence=0.5)
    world.synced(informer)
    restarts(informer, "silent")
    world.create("a")
    world.same(informer)
    # A machine that stands still makes the next watch silent as well, and then there is a list, as there must be.
    assert lists() == 1 or informer.status().restarts["silent"] > 1


def test_a_watch_that_is_silent_time_and_again_is_not_believed(world: World) -> None:
    # So does a server that was restored to versions older than ours: it takes the watch, and waits until they are reached.
    informer = world.informer(silence=0.3, watch_timeout=(1.0, 1.0))
    world.synced(informer)
    until(lambda: informer.reflector._bookmarks, "a bookmark")
    world.fault("silent", verb="watch", events=0)  # the next one, and all after it
    restarts(informer, "silent")
    world.create("a")
    world.same(informer)


def test_a_server_without_bookmarks_is_learnt(world: World) -> None:
    lists = world.counter("list")
    world.fault("no-bookmarks", verb="watch")
    informer = world.informer(silence=0.3)
    world.synced(informer)
    until(lambda: lists() == 2, "the list that tells a dead stream from a quiet one")
    until(lambda: informer.reflector._bookmarks is False, "learning")
    world.create("a")
    world.same(informer)
    assert informer.status().restarts == {"silent": 1}


def test_403_names_the_missing_rule_and_recovers(world: World) -> None:
    fault = world.fault("status", verb="list", code=403)
    informer = world.informer(namespace="default")
    restarts(informer, "forbidden", 2)
    problem = informer.status().problem
    assert "not allowed to list and watch configmaps in default" in problem
    rule = '{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch"]}'
    assert f"Add to a Role in namespace default: {rule}" in problem
    assert informer.status().problem_reason == "forbidden"
    assert not informer.synced
    world.sandbox.faults.remove(fault)
    world.synced(informer)
    assert (informer.status().problem, informer.status().problem_reason) == ("", "")


def test_403_on_the_watch_alone_converges_by_lists(world: World) -> None:
    world.fault("status", verb="watch", code=403)
    informer = world.informer()
    world.synced(informer)
    world.create("a")
    world.same(informer)
    restarts(informer, "forbidden", 3)
    assert "a ClusterRole" in informer.status().problem  # all the time, although its lists succeed


def test_401_names_the_credentials(world: World) -> None:
    fault = world.fault("status", verb="list", code=401)
    informer = world.informer()
    restarts(informer, "unauthorized")
    assert "does not accept the credentials of the given kubeconfig" in informer.status().problem
    world.sandbox.faults.remove(fault)
    world.synced(informer)


def written(path: Path, document: Any) -> str:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def test_a_token_that_is_rotated_in_the_kubeconfig_is_taken_up(tmp_path: Path) -> None:
    with Sandbox(rbac=True, bookmark_interval=0.1) as sandbox:
        good = sandbox.kubeconfig()
        stale = deepcopy(good)
        stale["users"][0]["user"]["token"] = "stale"
        client = Client.from_config(kubeconfig=written(tmp_path / "config", stale))
        informers = Informers(client, settings=QUICK)
        informer = informers.acquire(CM)
        informers.start()
        try:
            restarts(informer, "unauthorized", 2)
            written(tmp_path / "config", good)
            assert informers.wait_synced(60)
            assert informer.status().problem == ""
        finally:
            informers.stop(30)
            client.close()


def test_a_server_that_moved_is_found_by_the_kubeconfig_on_disk(tmp_path: Path) -> None:
    with Sandbox() as old:
        client = Client.from_config(kubeconfig=written(tmp_path / "config", old.kubeconfig()))
        informers = Informers(client, settings=QUICK)
        informer = informers.acquire(CM)
        informers.start()
        assert informers.wait_synced(60)
    try:
        with Sandbox(bookmark_interval=0.1) as new:
            calm = Client.from_kubeconfig_dict(new.kubeconfig())
            calm.create(CM, {"metadata": {"name": "there"}}, namespace="default")
            written(tmp_path / "config", new.kubeconfig())
            until(lambda: "default/there" in informer.store, "the new server's objects")
            calm.close()
            informers.stop(30)
    finally:
        informers.stop(30)
        client.close()


def test_a_restart_of_the_server_is_survived_and_told_to_nobody(tmp_path: Path) -> None:
    options: dict[str, Any] = {"port": free_port(), "state": tmp_path / "state", "bookmark_interval": 0.1}
    with Sandbox(**options) as first:
        client = Client.from_kubeconfig_dict(first.kubeconfig())
        client.create(CM, {"metadata": {"name": "before"}}, namespace="default")
        informers = Informers(client, settings=QUICK)
        informer = informers.acquire(CM)
        told: list[Change] = []
        informer.add_handler(told.append)
        informers.start()
        assert informers.wait_synced(60)
    try:
        restarts(informer, "unreachable", 2)
        with Sandbox(**options):
            client.create(CM, {"metadata": {"name": "after"}}, namespace="default")
            until(lambda: "default/after" in informer.store, "what came after the restart")
            until(lambda: informer.status().problem == "", "the end of the problem")
            assert "default/before" in informer.store
            assert [change.type for change in told if change.key == "default/before" and change.type != "resync"] == ["added"]
            informers.stop(30)
    finally:
        informers.stop(30)
        client.close()


def test_a_crd_that_appears_later_disappears_and_returns(world: World) -> None:
    crds = world.calm.discovery.resolve("CustomResourceDefinition")
    informer = world.informer(SITE)
    restarts(informer, "not-found")
    assert "install the CustomResourceDefinition websites.example.com" in informer.status().problem

    def install() -> None:
        world.calm.create(crds, CRD)
        until(lambda: "Website" in {res.kind for res in (world.calm.discovery.refresh(), world.calm.discovery.resources())[1]})
        world.calm.create(
            SITE, {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": "a"}}, namespace="default"
        )

    install()
    world.synced(informer)
    world.same(informer, SITE)
    first = informer.store.entry("default/a")
    world.calm.delete(crds, "websites.example.com")
    until(lambda: "install the Custom" in informer.status().problem, "the problem")
    install()

    def is_new() -> bool:
        entry = informer.store.entry("default/a")
        return entry is not None and first is not None and entry.uid != first.uid

    until(is_new, "the new object")
    until(lambda: informer.status().problem == "", "the end of the problem")
    world.same(informer, SITE)


def test_events_lost_without_trace_are_healed_by_the_resync(world: World) -> None:
    world.create("gone")
    world.fault("drop", verb="watch")
    informer = world.informer(resync=0.5)
    world.synced(informer)
    world.create("a")
    world.delete("gone")
    world.same(informer)
    restarts(informer, "resync")
    until(lambda: "resync" in {change.type for change in world.changes}, "what is unchanged being told of")


@pytest.mark.parametrize("action", ["duplicate", "reorder"])
def test_repeated_and_reordered_events_change_nothing(world: World, action: str) -> None:
    world.fault(action, verb="watch", share=0.5)
    informer = world.informer()
    world.synced(informer)
    for number in range(15):
        world.create(f"a{number % 5}")
        if number % 3:
            world.delete(f"a{number % 5}")
        else:
            world.calm.patch(CM, f"a{number % 5}", "default", {"data": {"n": str(number)}})
            world.delete(f"a{number % 5}")
    world.create("last")
    world.same(informer)


def test_without_a_watch_lists_alone_converge(world: World) -> None:
    watches = world.counter("watch")
    informer = world.informer(watch=False, resync=0.05)
    world.synced(informer)
    world.create("a")
    world.same(informer)
    world.delete("a")
    world.same(informer)
    assert watches() == 0
    assert informer.status().restarts["resync"] >= 2


class Killed(BaseException):
    """What no code catches."""


def test_a_thread_that_is_killed_is_replaced_and_counted(world: World) -> None:
    informer = world.informer()
    world.synced(informer)
    # Not while it connects: in the middle of other people's code a thread that is killed loses what it holds.
    until(lambda: informer.reflector._bookmarks, "a watch that is open")
    thread = informer.reflector._thread
    assert thread is not None
    assert thread.name == "informer/configmaps"
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Killed))
    world.create("a")  # wakes it, so that it dies
    restarts(informer, "died")
    world.create("b")
    world.same(informer)
    assert informer.reflector._thread is not thread


def test_a_defect_in_a_step_is_told_and_survived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    informer = world.informer()
    world.synced(informer)
    broken = [True]
    real = informer.apply

    def apply(event: str, obj: Any) -> Any:
        if broken.pop() if broken else False:
            raise ZeroDivisionError("a bug")
        return real(event, obj)

    monkeypatch.setattr(informer, "apply", apply)
    world.create("a")
    world.same(informer)
    assert informer.status().restarts["defect"] == 1


def test_a_streaming_list_needs_no_pages(world: World) -> None:
    for number in range(5):
        world.create(f"a{number}")
    lists = world.counter("list")
    informer = world.informer(streaming=True)
    world.synced(informer)
    world.create("b")
    world.same(informer)
    assert lists() == 0
    assert informer.status().restarts == {}


def test_a_streaming_list_that_does_not_end_falls_back_to_pages(world: World) -> None:
    for number in range(5):
        world.create(f"a{number}")
    world.fault("silent", verb="watch", events=2, count=1)
    lists = world.counter("list")
    informer = world.informer(streaming=True, streaming_timeout=0.3)
    world.synced(informer)
    world.same(informer)
    assert lists() == 2  # two pages


@pytest.mark.parametrize("action", ["end", "gone", "corrupt", "break"])
def test_a_streaming_list_that_is_closed_too_soon_falls_back_to_pages(world: World, action: str) -> None:
    for number in range(5):
        world.create(f"a{number}")
    world.fault(action, verb="watch", events=2, count=1)
    informer = world.informer(streaming=True)
    world.synced(informer)
    world.create("b")
    world.same(informer)
    assert [change.key for change in world.changes if change.type == "added" and change.key == "default/a0"] == ["default/a0"]


def test_a_server_that_refuses_streaming_is_listed_in_pages(world: World) -> None:
    world.fault("status", verb="watch", code=400, count=1)
    informer = world.informer(streaming=True)
    world.synced(informer)
    world.same(informer)


FOR_EVER = {
    "list 500": {"action": "status", "verb": "list", "code": 500},
    "list 403": {"action": "status", "verb": "list", "code": 403},
    "list 410": {"action": "status", "verb": "list", "code": 410},
    "list 429": {"action": "status", "verb": "list", "code": 429},
    "list close": {"action": "close", "verb": "list"},
    "list garble": {"action": "garble", "verb": "list"},
    "list cut": {"action": "cut", "verb": "list"},
    "list 401": {"action": "status", "verb": "list", "code": 401},
    "list 404": {"action": "status", "verb": "list", "code": 404},
    "list hang": {"action": "hang", "verb": "list"},
    "watch 500": {"action": "status", "verb": "watch", "code": 500},
    "watch 403": {"action": "status", "verb": "watch", "code": 403},
    "watch 410": {"action": "status", "verb": "watch", "code": 410},
    "watch 429": {"action": "status", "verb": "watch", "code": 429},
    "watch close": {"action": "close", "verb": "watch"},
    "watch end": {"action": "end", "verb": "watch"},
    "watch gone": {"action": "gone", "verb": "watch"},
    "watch corrupt": {"action": "corrupt", "verb": "watch"},
    "watch blank": {"action": "blank", "verb": "watch"},
    "watch break": {"action": "break", "verb": "watch"},
    "watch silent": {"action": "silent", "verb": "watch"},
    "watch hang": {"action": "hang", "verb": "watch"},
    "watch 401": {"action": "status", "verb": "watch", "code": 401},
    "watch 404": {"action": "status", "verb": "watch", "code": 404},
    "watch error": {"action": "error", "verb": "watch"},
}


@pytest.mark.parametrize("streaming", [False, True], ids=["pages", "streaming"])
def test_no_fault_makes_it_loop_without_pausing(world: World, streaming: bool) -> None:
    # 0.1 s, 0.2 s, 0.2 s … less up to a half each: never more than one cycle in 50 ms, of at most three requests
    quick: dict[str, Any] = {"backoff_base": 0.1, "backoff_max": 0.2, "short_watch": 0.1, "silence": 0.05, "list_timeout": 0.05}
    for name, fault in FOR_EVER.items():
        world.fault(**fault)  # type: ignore[arg-type]  # names and values of a fault
        requests = [world.counter("list"), world.counter("watch")]
        began = CLOCK.monotonic()
        informer = world.informer(**quick, streaming=streaming)
        threading.Event().wait(0.25)
        until(lambda: any(count() for count in requests), f"a request: {name}")  # noqa: B023  # called here and now
        informer.stop()
        assert informer.reflector.join(30)
        cycles = 1 + (CLOCK.monotonic() - began) / 0.05
        assert sum(count() for count in requests) <= 3 * cycles, name
        world.sandbox.faults.clear()


def test_a_server_that_is_not_there_is_not_hammered(world: World) -> None:
    world.sandbox.stop()
    began = CLOCK.monotonic()
    informer = world.informer(backoff_base=0.1, backoff_max=0.2)
    threading.Event().wait(0.3)
    until(world.client.metrics.count, "a request")
    informer.stop()
    assert informer.reflector.join(30)
    assert world.client.metrics.count() <= 1 + (CLOCK.monotonic() - began) / 0.05


def test_every_row_of_the_table_links_to_a_test_that_exists_and_every_test_here_has_a_row() -> None:
    page = Path(__file__).parents[2] / "docs" / "informers.md"
    table = page.read_text(encoding="utf-8").partition("| What happens |")[2].partition("\n\n")[0]
    named: set[str] = set()
    for row in table.splitlines()[2:]:
        link = re.search(r"\| \[`(test_\w+)`\]\((\S+)\) \|$", row)
        assert link, f"a row without a link to its test: {row}"
        name, file = link.groups()
        assert f"def {name}(" in (page.parent / file).read_text(encoding="utf-8"), f"{file} has no {name}"
        named.add(name)
    own = {name for name in globals() if name.startswith("test_")}
    assert own - named == {"test_every_row_of_the_table_links_to_a_test_that_exists_and_every_test_here_has_a_row"}
    assert len(named) > 30
