"""The example operator under one fault at a time: it keeps calm while the fault strikes, and converges once it is lifted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from operator_kit.clock import Clock
from operator_kit.sandbox.faults import EVENT_ACTIONS, REQUEST_ACTIONS, STREAM_ACTIONS
from tests.chaos.world import SETTINGS, World
from tests.processes import eventually

CLOCK = Clock()
FIRST, THEN = 0.1, 0.15  # seconds a fault strikes: while it is new, and when backoffs have grown
# Requests per second, then, of an operator that backs off as it is told to here: 30 to 60 were measured, of one that does not 600 to
# 900. A conflict is no failure at first: it is tried again within the run.
CALM, CONFLICTING = 300, 500

STATUSES: list[dict[str, Any]] = [
    {"code": 500},
    {"code": 503},
    {"code": 504},
    {"code": 429, "retry_after": 1},
    {"code": 429},
    {"code": 401},
    {"code": 403},
    {"code": 404},
    {"code": 409},
    {"code": 410},
    {"code": 422},
]
REQUESTS: list[dict[str, Any]] = [
    {"action": "lost"},
    {"action": "delay", "seconds": 0.1},
    {"action": "hang"},
    {"action": "close"},
    {"action": "cut"},
    {"action": "garble"},
]
# What the operator asks of the API server: its caches, its children, its object, its Events.
VERBS = [
    {"verb": "list"},
    {"verb": "watch"},
    {"verb": "patch", "resource": "deployments.apps"},
    {"verb": "patch", "resource": "websites.example.com"},
    {"verb": "patch", "resource": "websites.example.com/status"},
    {"verb": "delete", "resource": "configmaps"},
    {"verb": "create", "resource": "events.events.k8s.io"},
]
STREAMS: list[dict[str, Any]] = [
    {"action": "end"},
    {"action": "end", "events": 2},
    {"action": "break"},
    {"action": "break", "events": 1},
    {"action": "corrupt"},
    {"action": "corrupt", "events": 1},
    {"action": "blank"},
    {"action": "gone"},
    {"action": "gone", "events": 1},
    {"action": "error"},
    {"action": "error", "code": 429},
    {"action": "silent"},
    {"action": "silent", "events": 1},
    {"action": "no-bookmarks"},
    {"action": "drop"},
    {"action": "drop", "share": 0.5},
    {"action": "duplicate"},
    {"action": "reorder"},
    {"action": "reorder", "share": 0.5},
]


def _cases() -> list[dict[str, Any]]:
    cases = [{**fault, **verb} for verb in VERBS for fault in REQUESTS]
    # Every status where the operator reads; of those a write can meet, the ones that mean something to it.
    for verb in VERBS:
        chosen = STATUSES if verb["verb"] in {"list", "watch"} else [{"code": code} for code in (409, 422, 500)]
        cases += [{"action": "status", **status, **verb} for status in chosen]
    return cases + [{**fault, "verb": "watch"} for fault in STREAMS]


def _id(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case.values())


def test_every_action_is_among_the_cases() -> None:
    assert {case["action"] for case in _cases()} == REQUEST_ACTIONS | STREAM_ACTIONS | EVENT_ACTIONS


def _params() -> list[Any]:
    """The streams, and each request fault on a read and on a write, in every run; the same on the other verbs in slow ones."""
    quick = {"list": "", "watch": "", "patch": "deployments.apps"}
    return [
        pytest.param(case, id=_id(case), marks=() if quick.get(case["verb"]) == case.get("resource", "") else pytest.mark.slow)
        for case in _cases()
    ]


@pytest.mark.parametrize("case", _params())
def test_it_keeps_calm_under_a_fault_and_converges_after_it(case: dict[str, Any]) -> None:
    # Lists heal what a watch has lost; nothing else needs them, and nothing else gets them.
    lossy = case["action"] in {"drop", "reorder", "no-bookmarks"}
    with World(dataclasses.replace(SETTINGS, resync=0.4 if lossy else 1800.0, backoff_max=0.2)) as world:
        world.site("kept", replicas=2, domain="kept.example.com")
        world.site("gone", domain="gone.example.com")
        world.start()
        world.converge()
        number = world.faults.add(**case)
        if case["verb"] == "list":  # lists are rare: without this there would be none
            world.faults.add("gone", verb="watch", share=0.5)
        world.site("new", replicas=0)
        world.site("kept", replicas=3, domain="kept.example.com")
        world.site("pageless", htmlFrom={"configMap": "front"})
        world.cluster.delete("Website", "gone")
        world.cluster.delete("Service", "kept")
        world.cluster.patch("ConfigMap", "kept-html", {"data": {"index.html": "defaced"}})
        eventually(lambda: world.faults.struck(number), "the fault strikes", every=0.01)
        CLOCK.sleep(FIRST)
        began, before = CLOCK.monotonic(), world.requests
        CLOCK.sleep(THEN)
        requests, seconds = world.requests - before, CLOCK.monotonic() - began  # the time last: it is no shorter than it was
        world.faults.clear()
        world.page("front", "pageless", "a page after all")
        world.converge()
    most = CONFLICTING if case.get("code") == 409 else CALM
    assert requests <= most * seconds, f"{requests} requests in {seconds:.2f} s"
