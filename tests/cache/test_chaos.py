"""Everything at once: random faults while objects come and go; in the end the caches are the server's, object by object."""

from __future__ import annotations

import random
from typing import Any

import pytest

from operator_kit import codec
from operator_kit.cache import Informer
from operator_kit.codec import fast, standard
from operator_kit.objects import key_of

from .conftest import CM, World, until

FAULTS = [
    {"action": "status", "code": 500, "share": 0.3},
    {"action": "status", "code": 429, "share": 0.3},
    {"action": "status", "code": 410, "verb": "watch", "share": 0.3},
    {"action": "status", "code": 410, "verb": "list", "continues": True, "share": 0.3},
    {"action": "close", "share": 0.3},
    {"action": "cut", "verb": "list", "share": 0.2},
    {"action": "garble", "verb": "list", "share": 0.2},
    {"action": "end", "verb": "watch", "events": 2, "share": 0.5},
    {"action": "break", "verb": "watch", "events": 3, "share": 0.3},
    {"action": "corrupt", "verb": "watch", "events": 3, "share": 0.3},
    {"action": "gone", "verb": "watch", "events": 4, "share": 0.3},
    {"action": "silent", "verb": "watch", "events": 4, "share": 0.2},
    {"action": "drop", "verb": "watch", "share": 0.2},
    {"action": "duplicate", "verb": "watch", "share": 0.3},
    {"action": "reorder", "verb": "watch", "share": 0.3},
]


@pytest.mark.parametrize(("seed", "half"), [(1, fast), (2, standard)])
def test_whatever_happens_the_caches_converge(world: World, seed: int, half: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("loads", "dumps", "read_events", "visit_raw"):
        monkeypatch.setattr(codec, name, getattr(half, name))
    chance = random.Random(seed)
    informers: list[Informer] = [
        world.informer(silence=0.3, resync=1.0, watch_timeout=(1.0, 2.0)),
        world.informer(silence=0.3, resync=1.0, streaming=True, streaming_timeout=0.5, namespace="default"),
    ]
    first = informers[0]
    first.add_index("parity", lambda obj: [str(int(obj.get("data", {}).get("n", "0")) % 2)])
    world.changes.clear()
    for step in range(120):
        if step % 12 == 0:
            world.sandbox.faults.clear()
            for fault in chance.sample(FAULTS, 3):
                world.fault(seed=seed + step, **fault)  # type: ignore[arg-type]  # names and values of a fault
        name = f"a{chance.randrange(8)}"
        held = [item for item in world.calm.list(CM, "default").items if item["metadata"]["name"] == name]
        if not held:
            world.create(name, n=str(step))
        elif chance.random() < 0.4:
            world.delete(name)
        else:
            world.calm.patch(CM, name, "default", {"data": {"n": str(step)}})
    world.sandbox.faults.clear()
    world.changes.clear()
    for informer in informers:

        def equal(informer: Informer = informer) -> bool:
            listed = world.calm.list(CM, informer.selection.namespace).items
            theirs = {key_of(item): item["metadata"]["resourceVersion"] for item in listed}
            return {entry.key: entry.resource_version for entry in informer.store.entries()} == theirs

        until(equal, f"{informer} being the same as the server")
        status = informer.status()
        assert status.odd == 0, status
        assert "defect" not in status.restarts, status
        assert "died" not in status.restarts, status
    for value in ("0", "1"):
        expected = {e.key for e in first.store.entries() if str(int((e.decode().get("data") or {}).get("n", "0")) % 2) == value}
        assert set(first.store.keys_by_index("parity", value)) == expected
