"""Informers under long load: does what they hold stay what the server holds, and does their memory stay what it was?

Objects are made, changed and deleted without end by two threads, while faults come and go: streams that end, break, fall silent or
tell that their version expired, lists that fail, events that are dropped, repeated and reordered, a server that forgets its history.
Many informers watch: everything (with indexes and handlers), everything unstripped, everything through a transform, metadata alone,
each namespace, each label; one more comes and goes. So one write is many events. The API server is another process: the memory
measured is the informers' and the writers'.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import json
import os
import random
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from operator_kit.api import Client
from operator_kit.cache import Change, Informer, Informers, ReflectorSettings
from operator_kit.cache.records import encode
from operator_kit.clock import Clock
from operator_kit.objects import Object, Resource, key_of
from operator_kit.selectors import LabelSelector

CM = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NAMESPACES = ["soak-a", "soak-b", "soak-c"]
STRUCK, CALM = "soak-struck", "soak-calm"
QUICK = ReflectorSettings(
    backoff_base=0.02, backoff_max=0.2, silence=2.0, short_watch=0.02, list_timeout=10.0, watch_timeout=(4.0, 8.0)
)
RESYNC = 15.0
WRITERS = 2
FAULTS: list[dict[str, Any]] = [
    {"action": "status", "code": 500, "share": 0.3},
    {"action": "status", "code": 429, "share": 0.3},
    {"action": "status", "code": 410, "verb": "watch", "share": 0.5},
    {"action": "status", "code": 410, "verb": "list", "continues": True, "share": 0.3},
    {"action": "close", "share": 0.3},
    {"action": "cut", "verb": "list", "share": 0.3},
    {"action": "garble", "verb": "list", "share": 0.3},
    {"action": "end", "verb": "watch", "events": 50, "share": 0.5},
    {"action": "break", "verb": "watch", "events": 50, "share": 0.5},
    {"action": "corrupt", "verb": "watch", "events": 50, "share": 0.5},
    {"action": "gone", "verb": "watch", "events": 50, "share": 0.5},
    {"action": "silent", "verb": "watch", "events": 50, "share": 0.3},
    {"action": "drop", "verb": "watch", "share": 0.1},
    {"action": "duplicate", "verb": "watch", "share": 0.3},
    {"action": "reorder", "verb": "watch", "share": 0.3},
]


@dataclass(frozen=True)
class Sample:
    """How it was at a moment: everything calm, as many objects as always, garbage collected."""

    events: int
    objects: int
    resident: float  # megabytes that the process holds
    megabytes: float  # the same when the allocator has given back what nobody uses
    blocks: int  # of memory that Python holds


@dataclass
class Report:
    """What a run was like."""

    seed: int
    samples: list[Sample] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    faults: int = 0
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """The last sample's memory over the first's, less one."""
        return self.samples[-1].megabytes / self.samples[0].megabytes - 1


def rss() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def give_back() -> None:
    """Have the C library's allocator return what is free to the system: how much it keeps for later says nothing of leaks."""
    library = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(library), "malloc_trim", None) if library else None
    if trim is not None:
        trim(0)


class Soak:
    """One run. `close` it."""

    def __init__(self, kubeconfig: Path, *, seed: int, objects: int) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._objects = objects
        self._struck = Client.from_config(kubeconfig=str(kubeconfig), user_agent=STRUCK)
        self._calm = Client.from_config(kubeconfig=str(kubeconfig), user_agent=CALM)
        self._clock = Clock()
        self._heard = 0
        self._picture: dict[str, str] = {}
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._writes = 0
        self._bodies = count()
        self._owners = {}  # a cluster-scoped owner that exists: others would be collected
        for name in NAMESPACES:
            made = self._calm.create(NAMESPACE, {"metadata": {"name": name}})
            self._owners[name] = {"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": made["metadata"]["uid"]}
        self._informers = Informers(self._struck, resync=RESYNC, page_size=200, settings=QUICK)
        self._all = self._informers.acquire(CM)
        acquire = self._informers.acquire
        self._even = acquire(CM, label_selector="half=even")
        self._unstripped = acquire(CM, strip=False)
        # Each function is a selection of its own.
        self._transformed = [acquire(CM, transform=lambda obj, number=number: _signed(obj, number)) for number in range(3)]
        self._watching = [
            self._all,
            self._even,
            self._unstripped,
            *self._transformed,
            acquire(CM, label_selector="half=odd"),
            acquire(CM, metadata_only=True),
            *(acquire(CM, metadata_only=True, label_selector=f"half={half}") for half in ("even", "odd")),
            *(acquire(CM, namespace=namespace) for namespace in NAMESPACES),
        ]
        self._all.add_index("turn", self._turns)
        self._all.add_handler(self._draw)
        for informer in self._watching:
            informer.add_handler(self._count)
        self._informers.start()

    def close(self) -> None:
        """Stop everything."""
        self._informers.stop(10)
        self._struck.close()
        self._calm.close()

    # -- what is heard ----------------------------------------------------------------------------------------------------------

    @staticmethod
    def _turns(obj: Object) -> list[str]:
        return [obj.get("data", {}).get("turn", "none"), "any"]

    def _draw(self, change: Change) -> None:
        if change.new is None:
            self._picture.pop(change.key, None)
        else:
            self._picture[change.key] = change.new.resource_version

    def _count(self, change: Change) -> None:
        if change.type != "resync":
            with self._lock:
                self._heard += 1

    # -- what happens -----------------------------------------------------------------------------------------------------------

    def _body(self, chance: random.Random, number: int) -> Object:
        text = "ü<&>" * chance.randrange(20, 60) if number % 7 == 0 else "x" * chance.randrange(100, 900)
        return {"data": {"turn": str(number % 5), "text": text, "n": str(number)}}

    def _act(self, chance: random.Random, writer: int, *, create: bool | None = None) -> None:
        """One write of one writer: each has objects of its own."""
        mine = range(writer, self._objects * 2, WRITERS)
        number = chance.choice(mine)
        namespace, name = NAMESPACES[number % 3], f"soak-{number:05}"
        key = f"{namespace}/{name}"
        exists = key in self._held
        if create is not None and create == exists:
            return
        body = self._body(chance, next(self._bodies))
        if not exists:
            if create is None and len(self._held) >= self._objects:
                return
            meta = {"name": name, "labels": {"half": "even" if number % 2 == 0 else "odd"}}
            owners = [self._owners[namespace]] if number % 4 else []
            self._calm.create(CM, {"metadata": {**meta, "ownerReferences": owners}, **body}, namespace=namespace)
            with self._lock:
                self._held.add(key)
        elif create is False or (create is None and chance.random() < 0.15):
            self._calm.delete(CM, name, namespace)
            with self._lock:
                self._held.discard(key)
        else:
            self._calm.patch(CM, name, namespace, body)
        with self._lock:
            self._writes += 1

    def _write(self, seed: str, writer: int, until: Callable[[], bool], failures: list[BaseException]) -> None:
        chance = random.Random(seed)
        try:
            while not until():
                self._act(chance, writer)
        except BaseException as exc:  # noqa: BLE001  # told by the thread that waits for this one
            failures.append(exc)

    def _churn(self, events: int) -> int:
        """Let writers and faults loose until that many events more were heard. Returns how many faults were put in force."""
        goal = self._heard + events
        failures: list[BaseException] = []
        names = [f"{self._seed}/{self._heard}/{writer}" for writer in range(WRITERS)]
        threads = [
            threading.Thread(target=self._write, args=(name, writer, lambda: self._heard >= goal or bool(failures), failures))
            for writer, name in enumerate(names)
        ]
        for thread in threads:
            thread.start()
        put = 0
        signal = threading.Event()
        while self._heard < goal and not failures:
            signal.wait(self._chance.uniform(0.2, 1.0))
            if put % 8 == 7:
                self._control("POST", "forget-history")
            for fault in self._chance.sample(FAULTS, 2):
                self._control("POST", "faults", {**fault, "user_agent": STRUCK, "seed": self._chance.randrange(1_000_000)})
            put += 2
            extra = self._informers.acquire(CM, namespace=NAMESPACES[1], transform=lambda obj: obj)
            self._all.add_index("extra", lambda obj: [str(len(obj["metadata"]["name"]))])
            registration = self._all.add_handler(lambda change: None)
            signal.wait(self._chance.uniform(0.2, 1.0))
            registration.remove()
            self._all.remove_index("extra")
            self._informers.release(extra)
            self._control("DELETE", "faults")
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return put

    def _control(self, method: str, what: str, body: Any = None) -> None:
        url = f"{self._calm.host}/sandbox/{what}"
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=120):
            return

    # -- what is compared -------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """As many objects as always, and every cache as the server."""
        chance = random.Random(self._seed)
        while len(self._held) != self._objects:
            self._act(chance, chance.randrange(WRITERS), create=len(self._held) < self._objects)
        listed = self._calm.list_all(CM).items
        versions = {key_of(obj): obj["metadata"]["resourceVersion"] for obj in listed}
        for informer in self._watching:
            expected = {key_of(obj): versions[key_of(obj)] for obj in listed if informer.covers(obj)}
            self._wait(lambda informer=informer, expected=expected: held(informer) == expected, informer)
        self._all.wait_told()
        difference = self._difference(listed)
        if difference:
            raise AssertionError(f"seed {self._seed}: {difference}")

    def _wait(self, condition: Callable[[], bool], informer: Informer) -> None:
        deadline = self._clock.monotonic() + 180
        while not condition():
            if self._clock.monotonic() > deadline:
                raise AssertionError(f"seed {self._seed}: {informer} is not as the server after a minute: {informer.status()}")
            threading.Event().wait(0.02)

    def _difference(self, listed: list[Object]) -> str:
        """What a cache has otherwise than the server, object by object and index by index; empty if nothing."""
        for informer in self._watching:
            if informer.selection.metadata_only:
                continue
            for obj in listed:
                if informer.covers(obj):
                    theirs = json.loads(json.dumps(obj))
                    if informer is not self._unstripped:
                        theirs["metadata"].pop("managedFields", None)
                    if informer in self._transformed:
                        theirs = _signed(theirs, self._transformed.index(informer))
                    if informer.store.get(key_of(obj)) != theirs:
                        return f"{informer} holds {informer.store.get(key_of(obj))}, the server {theirs}"
        store = self._all.store
        if self._picture != held(self._all):
            return "a handler's picture is not the cache's"
        for value in ("0", "1", "2", "3", "4", "any"):
            expected = {key_of(obj) for obj in listed if value in self._turns(obj)}
            if set(store.keys_by_index("turn", value)) != expected:
                return f"the index differs for {value!r}"
        for namespace in NAMESPACES:
            expected = {key_of(obj) for obj in listed if obj["metadata"]["namespace"] == namespace}
            if {entry.key for entry in store.entries(namespace)} != expected or store.count(namespace) != len(expected):
                return f"the index of namespaces differs for {namespace}"
            expected = {key for key in expected if int(key[-5:]) % 4}
            if {entry.key for entry in store.entries_by_owner(self._owners[namespace]["uid"])} != expected:
                return f"the index of owners differs for {namespace}"
        even = LabelSelector.parse("half=even")
        if {entry.key for entry in store.entries(selector=even)} != {entry.key for entry in self._even.store.entries()}:
            return "a selector finds something else than an informer with it"
        if store.size != sum(len(encode(obj)[9]) for obj in listed):
            return "the bytes held are not those of the objects"
        return ""

    def _sample(self) -> Sample:
        self._settle()
        gc.collect()
        resident = rss()
        give_back()
        return Sample(self._heard, len(self._all.store), resident, rss(), sys.getallocatedblocks())

    def run(self, events: int, *, samples: int = 10, tell: Callable[[Sample], None] = lambda sample: None) -> Report:
        """Warm up, then run all the events, sampling along the way. Raises AssertionError for a difference.

        The warm-up is a quarter of the events: so long it takes until every heap has its holes (measured: 6 % more between the
        100,000th event and the 500,000th, and nothing more up to the 1,100,000th).
        """
        report = Report(self._seed)
        began = self._clock.monotonic()
        self._settle()
        report.faults += self._churn(events // 4)
        for _ in range(samples):
            report.samples.append(self._sample())
            tell(report.samples[-1])
            report.faults += self._churn(events // samples)
        report.samples.append(self._sample())
        tell(report.samples[-1])
        for informer in self._watching:
            for reason, times in informer.status().restarts.items():
                report.restarts[reason] = report.restarts.get(reason, 0) + times
        report.writes = self._writes
        report.seconds = self._clock.monotonic() - began
        return report


def _signed(obj: Object, number: int) -> Object:
    return {**obj, "signed": number}


def held(informer: Informer) -> dict[str, str]:
    """The versions an informer holds."""
    return {entry.key: entry.resource_version for entry in informer.store.entries()}
