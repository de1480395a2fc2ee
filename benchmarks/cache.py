"""What the cache costs: first sync, memory, watch events, reads, beside a bare loop and the official client's informer.

    python -m benchmarks.cache [--kubeconfig FILE] [--objects N] [--events N] [--large N] [--rounds N] [--peer]

Without a kubeconfig (or `KUBECONFIG`) it runs against a server of its own in another process, which does nothing but send
prepared bytes, so that its speed does not show. With one, it makes a namespace with ConfigMaps there, and removes it at the end.

Each measurement is made in a fresh process, the ones that are compared in turns, the best of some rounds: compare the ratios, not
the absolutes. Every aim is printed with what was measured, and whether it is met. The standard library's half of the codec is
measured by hiding msgspec from the process; `OPERATOR_KIT_BENCH_FAST=0` hides it from all of them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import resource as rusage
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cache_server import Server, config_map

NAMESPACE = "operator-kit-bench"
FAST = os.environ.get("OPERATOR_KIT_BENCH_FAST", "1") != "0"
SMALL, MIDDLE = 600, 2300  # bytes of an object, managedFields included in the larger


@dataclass(frozen=True)
class Target:
    """Where to measure: a kubeconfig, and a namespace (empty for all)."""

    kubeconfig: str
    namespace: str = ""

    @property
    def path(self) -> str:
        """The path of its ConfigMaps."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps" if self.namespace else "/api/v1/configmaps"


# -- the measurements, each in a process of its own ------------------------------------------------------------------------------


def client_of(target: Target) -> Any:
    from operator_kit.api import Client

    return Client.from_config(kubeconfig=target.kubeconfig)


def official(target: Target) -> Any:
    import kubernetes.client
    import kubernetes.config

    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(config_file=target.kubeconfig, client_configuration=configuration)
    return configuration


def config_maps() -> Any:
    from operator_kit.objects import Resource

    return Resource("", "v1", "ConfigMap", "configmaps")


def rss() -> float:
    """Megabytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * rusage.getpagesize() / 1e6


class Bare:
    """One connection, by hand: the least a client can do."""

    def __init__(self, target: Target) -> None:
        configuration = official(target)
        scheme, _, rest = configuration.host.partition("://")
        host, _, port = rest.partition(":")
        sock = socket.create_connection((host, int(port or (443 if scheme == "https" else 80))))
        if scheme == "https":
            context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
            if configuration.cert_file:
                context.load_cert_chain(configuration.cert_file, configuration.key_file)
            sock = context.wrap_socket(sock, server_hostname=configuration.tls_server_name or host)
        self.sock = sock
        self.reader = sock.makefile("rb", 1 << 16)
        auth = "".join(f"{each['key']}: {each['value']}\r\n" for each in configuration.auth_settings().values())
        self._head = f"HTTP/1.1\r\nHost: {rest}\r\nAccept: application/json\r\n{auth}\r\n"

    def ask(self, target: str) -> int:
        """Send a GET and read the answer's head. Returns the length of the body, -1 for a chunked one."""
        self.sock.sendall(f"GET {target} {self._head}".encode())
        status = self.reader.readline()
        assert b" 200 " in status, status
        length = -1
        while line := self.reader.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return length

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body."""
        reader = self.reader
        while size := int(reader.readline(), 16):
            yield reader.read(size)
            reader.readline()
        reader.readline()

    def lines(self) -> Iterator[bytes]:
        """The lines of a chunked body. A chunk is a line, or some, or a part of one."""
        rest = b""
        for chunk in self.chunks():
            if not rest and chunk.find(b"\n") == len(chunk) - 1:
                yield chunk
                continue
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            yield from lines

    def get(self, target: str) -> bytes:
        """The whole body."""
        length = self.ask(target)
        return self.reader.read(length) if length >= 0 else b"".join(self.chunks())


class Clocks:
    """Wall and CPU time of this process since it was made, and the memory it grew by."""

    def __init__(self) -> None:
        gc.collect()
        self._rss, self._wall, self._cpu = rss(), time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        """Seconds and megabytes."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"wall": wall, "cpu": cpu, "rss": rss(), "grown": rss() - self._rss}


def sync_bare(target: Target, objects: int) -> dict[str, Any]:
    """Pages and json.loads, everything kept: the floor."""
    bare = Bare(target)
    kept: list[Any] = []
    clocks = Clocks()
    token = ""
    while True:
        document = json.loads(bare.get(f"{target.path}?limit=500{f'&continue={token}' if token else ''}"))
        kept += document["items"]
        token = document["metadata"].get("continue", "")
        if not token:
            break
    assert len(kept) >= objects
    return clocks.read()


def sync_ours(target: Target, objects: int) -> dict[str, Any]:
    """An informer until it is synced."""
    import kubernetes.client  # noqa: F401  # what every user of it has imported

    from operator_kit.cache import Informers

    client = client_of(target)
    clocks = Clocks()
    informers = Informers(client)
    informer = informers.acquire(config_maps(), namespace=target.namespace)
    informers.start()
    assert informers.wait_synced(300)
    result = clocks.read() | {"bytes": informer.store.size / 1e6}
    assert len(informer.store) >= objects
    informers.stop(5)
    return result


def sync_official(target: Target, objects: int) -> dict[str, Any]:
    """The official client's typed SharedInformer."""
    from kubernetes import client
    from kubernetes.informer import SharedInformer

    api = client.CoreV1Api(client.ApiClient(official(target)))
    clocks = Clocks()
    if target.namespace:
        informer = SharedInformer(list_func=api.list_namespaced_config_map, namespace=target.namespace)
    else:
        informer = SharedInformer(list_func=api.list_config_map_for_all_namespaces)
    informer.start()
    while len(informer.cache.list()) < objects:
        time.sleep(0.01)  # noqa: TID251  # it cannot be waited for otherwise
    return clocks.read()


def events_bare(target: Target, events: int, version: str) -> dict[str, Any]:
    """Lines and json.loads: the floor."""
    bare = Bare(target)
    bare.ask(f"{target.path}?watch=1&resourceVersion={version}&timeoutSeconds=300")
    lines = bare.lines()
    json.loads(next(lines))
    clocks = Clocks()
    sent = 0
    for _ in range(events - 1):
        line = next(lines)
        json.loads(line)
        sent += len(line)
    return clocks.read() | {"bytes": sent / (events - 1)}


def events_ours(target: Target, events: int, version: str) -> dict[str, Any]:
    """Through an informer's reflector into its store, with one handler, from the same version as the bare loop."""
    import threading

    from operator_kit.api import Selection
    from operator_kit.cache.informer import Informer
    from operator_kit.cache.states import ReflectorSettings, Watch
    from operator_kit.clock import Clock

    selection = Selection(config_maps(), target.namespace or None)
    informer = Informer(client_of(target), selection, settings=ReflectorSettings(), clock=Clock())
    informer.replace({}, version, rebuild=False)
    informer.reflector._state = Watch()
    started: list[Clocks] = []
    done, seen = threading.Event(), 0
    result: dict[str, Any] = {}

    def handler(change: Any) -> None:  # noqa: ARG001
        nonlocal seen
        if not seen:
            started.append(Clocks())
        seen += 1
        if seen == events:
            result.update(started[0].read())
            done.set()

    informer.add_handler(handler)
    informer.start()
    assert done.wait(300), f"{seen} of {events} events: {informer.status()}"
    informer.stop()
    informer.reflector.join(5)
    return result


def per_call(*calls: Callable[[], Any], rounds: int = 40, least: float = 0.01) -> list[float]:
    """Microseconds of CPU per call of each, in turns, so that a busy machine disturbs all alike: of each the best round."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for index, call in enumerate(calls):
            count, started = 0, time.process_time()
            while (spent := time.process_time() - started) < least:
                for _ in range(100):
                    call()
                count += 100
            best[index] = min(best[index], spent / count * 1e6)
    return best


def filled(size: int, objects: int) -> Any:
    """A store of so many objects; no server."""
    from operator_kit.cache import Store
    from operator_kit.cache.records import encode

    fresh = {}
    for number in range(objects):
        record = encode(config_map(number, number + 1, size, managed=False))
        fresh[record[0]] = record
    store = Store("bench")
    list(store.replace(fresh, "1"))
    return store


def reads(size: int, *objects: int) -> dict[str, Any]:
    """Reads of stores of so many objects each: of one object, and of half of them in turns, which no CPU cache holds."""
    stores = [filled(size, count) for count in objects]

    def figures(read: Callable[[Any, str], Any], of: Callable[[Any, str], str], share: float) -> list[float]:
        calls = []
        for store in stores:
            keys = random.Random(1).sample(store.keys(), max(int(share * len(store)), 1))
            turns = itertools.cycle([of(store, key) for key in keys])
            calls.append(lambda store=store, turns=turns: read(store, next(turns)))
        return per_call(*calls)

    def same(store: Any, key: str) -> str:  # noqa: ARG001
        return key

    def owner(store: Any, key: str) -> str:
        uid: str = store.entry(key).owners[0]["uid"]
        return uid

    def get(store: Any, key: str) -> Any:
        return store.get(key)

    def by_owner(store: Any, uid: str) -> Any:
        return store.entries_by_owner(uid)

    return {
        "get": figures(get, same, 0),
        "owner": figures(by_owner, owner, 0),
        "get in turns": figures(get, same, 0.5),
        "owner in turns": figures(by_owner, owner, 0.5),
    }


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "sync_bare": sync_bare,
    "sync_ours": sync_ours,
    "sync_official": sync_official,
    "events_bare": events_bare,
    "events_ours": events_ours,
    "reads": reads,
}


def measure(name: str, *arguments: Any, fast: bool = True) -> dict[str, Any]:
    """Run one of them in a process of its own."""
    hide = "" if fast and FAST else "import sys; sys.modules['msgspec'] = None; "
    call = f"MEASUREMENTS[{name!r}]({', '.join(map(repr, arguments))})"
    # The official informer's threads do not end with the interpreter: it is left without them.
    code = f"{hide}import json, os; from benchmarks.cache import *; print(json.dumps({call}), flush=True); os._exit(0)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{name} failed:\n{out.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return result


def in_turns(rounds: int, *calls: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Some measurements in turns; of each the round with the least CPU."""
    results: list[list[dict[str, Any]]] = [[] for _ in calls]
    for _ in range(rounds):
        for found, (name, fast, *arguments) in zip(results, calls, strict=True):
            found.append(measure(name, *arguments, fast=fast))
    return [min(found, key=lambda result: float(result["cpu"])) for found in results]


# -- the aims --------------------------------------------------------------------------------------------------------------------


class Aims:
    """What was aimed at, what was measured, and whether it is met."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, bool]] = []

    def most(self, what: str, limit: float, figure: float, unit: str = "") -> None:
        """An aim that is met up to the limit."""
        self._rows.append((what, f"<= {limit:g}{unit}", f"{figure:.2f}{unit}", figure <= limit))

    def least(self, what: str, limit: float, figure: float, unit: str = "") -> None:
        """An aim that is met from the limit on."""
        self._rows.append((what, f">= {limit:g}{unit}", f"{figure:.2f}{unit}", figure >= limit))

    def show(self) -> None:
        """Print the table."""
        print(f"\n{'aim':68}{'limit':>12}{'measured':>14}")
        for what, limit, figure, met in self._rows:
            print(f"{what:68}{limit:>12}{figure:>14}  {'met' if met else 'MISSED'}")


HALVES = ((True, "fast extra"), (False, "standard library")) if FAST else ((False, "standard library"),)


def row(name: str, result: dict[str, Any], floor: dict[str, Any]) -> None:
    memory = f"{result['grown']:7.0f} MB more, {result['rss']:4.0f} MB in all" if result["grown"] > 1 else ""
    print(
        f"  {name:34}{result['wall']:7.2f} s {result['cpu']:7.2f} s CPU {result['cpu'] / floor['cpu']:6.2f} x {memory}",
        flush=True,
    )


def sync(target: Target, objects: int, rounds: int, aims: Aims, *, peer: bool) -> None:
    print(f"first sync of {objects:,} objects of 0.6 KB, best of {rounds}", flush=True)
    calls: list[tuple[Any, ...]] = [("sync_bare", True, target, objects)]
    calls += [("sync_ours", fast, target, objects) for fast, _ in HALVES]
    if peer:
        calls.append(("sync_official", True, target, objects))
    floor, *others = in_turns(rounds, *calls)
    row("bare loop, json.loads, all kept", floor, floor)
    for (fast, name), result in zip(HALVES, others, strict=False):
        row(f"informer, {name}", result, floor)
        aims.most(f"first sync, CPU over the bare loop's, {name}", 1.5 if fast else 2.0, result["cpu"] / floor["cpu"], " x")
    ours = others[0]
    print(f"  held: {ours['bytes']:.1f} MB of stripped JSON; the process grew by {ours['grown']:.1f} MB")
    aims.most("memory after sync: what the process grew by", round(1.6 * ours["bytes"] + 25, 1), ours["grown"], " MB")
    if peer:
        row("official SharedInformer, typed", others[-1], floor)
        aims.least("CPU of the official SharedInformer's sync over ours", 3, others[-1]["cpu"] / ours["cpu"], " x")
        aims.least("memory of the official SharedInformer over ours", 3, others[-1]["grown"] / ours["grown"], " x")


def large(target: Target, objects: int, aims: Aims) -> None:
    print(f"first sync of {objects:,} objects of 0.6 KB", flush=True)
    floor, ours = in_turns(1, ("sync_bare", True, target, objects), ("sync_ours", True, target, objects))
    row("bare loop, json.loads, all kept", floor, floor)
    row(f"informer, {HALVES[0][1]}", ours, floor)
    print(f"  held: {ours['bytes']:.1f} MB of stripped JSON")
    aims.most(f"{objects:,} objects, the whole process", 200, ours["rss"], " MB")


def watch(target: Target, events: int, version: str, rounds: int, aims: Aims) -> None:
    calls: list[tuple[Any, ...]] = [("events_bare", True, target, events, version)]
    calls += [("events_ours", fast, target, events, version) for fast, _ in HALVES]
    floor, *others = in_turns(rounds, *calls)
    size = floor["bytes"]
    print(f"{events:,} watch events of {size:,.0f} bytes each, best of {rounds}", flush=True)
    row("bare loop, json.loads, none kept", floor, floor)
    for (fast, name), result in zip(HALVES, others, strict=False):
        row(f"informer, {name}", result, floor)
        rate = floor["cpu"] / result["cpu"]
        print(f"  {'':34}{rate:.2f} of the floor's rate by CPU, {floor['wall'] / result['wall']:.2f} by wall")
        aims.least(f"events of {size:,.0f} bytes, rate over the bare loop's, {name}", 0.7 if fast else 0.5, rate)


def store(aims: Aims) -> None:
    print("reads of a store of objects of 2 KB, microseconds of CPU per call", flush=True)
    for fast, name in HALVES:
        result = measure("reads", 2000, 1_000, 100_000, fast=fast)
        for index, objects in enumerate((1_000, 100_000)):
            text = ", ".join(f"{what} {figures[index]:.2f}" for what, figures in result.items())
            print(f"  {objects:>7,} objects, {name}: {text}", flush=True)
        aims.most(f"get of 2 KB, {name}", 15, max(result["get"]), " us")
        aims.most(f"lookup by owner without decoding, {name}", 5, max(result["owner"]), " us")
        for what in ("get", "owner"):
            few, many = result[what]
            aims.most(f"  {what}: 100,000 objects over 1,000, {name}", 1.5, many / few, " x")


# -- where it runs ---------------------------------------------------------------------------------------------------------------


@contextmanager
def own_server(objects: int, events: int, size: int) -> Iterator[Target]:
    """A server of our own with so much in it."""
    with Server(objects, events, size) as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kubeconfig"
        document = {
            "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench"}}],
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        }
        file.write_text(json.dumps(document), "utf-8")
        yield Target(str(file))


@contextmanager
def real_server(kubeconfig: str, objects: int) -> Iterator[Target]:
    """A namespace on somebody's API server with so many small ConfigMaps in it."""
    from operator_kit.objects import Resource

    target = Target(kubeconfig, NAMESPACE)
    client = client_of(target)
    namespaces = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
    client.create(namespaces, {"metadata": {"name": NAMESPACE}})
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: put(client, number, SMALL), range(objects)))
        yield target
    finally:
        client.delete(namespaces, NAMESPACE, None)
        client.close()


def put(client: Any, number: int, size: int) -> None:
    """Make a ConfigMap of about this size."""
    obj = config_map(number, 0, size, managed=False)
    meta = {"name": obj["metadata"]["name"], "labels": obj["metadata"]["labels"]}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": obj["data"]}
    client.create(config_maps(), body, namespace=NAMESPACE, field_manager="bench")


def events_on(target: Target, events: int, size: int, objects: int) -> str:
    """Change ConfigMaps so many times. Returns the version before that."""
    client = client_of(target)
    version = str(client.list(config_maps(), NAMESPACE, limit=1).resource_version)
    text = "x" * max(size - SMALL, 100)
    with ThreadPoolExecutor(8) as pool:
        names = [config_map(number % objects, 0, SMALL)["metadata"]["name"] for number in range(events)]
        patch = ({"data": {"n": str(number), "more": text}} for number in range(events))
        list(pool.map(lambda name, body: client.patch(config_maps(), name, NAMESPACE, body), names, patch))
    client.close()
    return version


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG", ""), help="a server that is not ours")
    parser.add_argument("--objects", type=int, default=0, help="of the first sync; 20,000, or 5,000 on a server not ours")
    parser.add_argument("--events", type=int, default=0, help="of the watch; 20,000, or 5,000 on a server not ours")
    parser.add_argument("--large", type=int, default=100_000, help="objects of the large sync; 0 for none")
    parser.add_argument("--rounds", type=int, default=5, help="of what is compared")
    parser.add_argument("--peer", action="store_true", help="also the official client's SharedInformer")
    options = parser.parse_args()
    usual = 5_000 if options.kubeconfig else 20_000
    objects, events, rounds = options.objects or usual, options.events or usual, options.rounds
    aims = Aims()
    if options.kubeconfig:
        with real_server(options.kubeconfig, objects) as target:
            sync(target, objects, rounds, aims, peer=options.peer)
            for size in (SMALL, MIDDLE):
                watch(target, events, events_on(target, events, size, objects), rounds, aims)
    else:
        with own_server(objects, 0, SMALL) as target:
            sync(target, objects, rounds, aims, peer=options.peer)
        if options.large:
            with own_server(options.large, 0, SMALL) as target:
                large(target, options.large, aims)
        for size in (SMALL, MIDDLE):
            with own_server(1_000, events, size) as target:
                watch(target, events, "1001", rounds, aims)
    store(aims)
    aims.show()


if __name__ == "__main__":
    main()
