"""What the cache costs: first sync, memory, watch events, reads, beside a bare loop and the official client's informer.

    python -m benchmarks.cache [--objects N] [--events N] [--large N] [--peer]

Runs against a server of its own in another process, which does nothing but send prepared bytes, so that its speed does not show.
Each measurement is made in a fresh process, in one run one after the other: compare the ratios, not the absolutes.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource as rusage
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

TOTAL = "0123456789"


# -- the server -----------------------------------------------------------------------------------------------------------------


def thing(number: int, version: int, size: int, *, managed: bool = True) -> dict[str, Any]:
    """A ConfigMap of about `size` bytes, as a real API server sends it, with managedFields of the usual bulk."""
    meta: dict[str, Any] = {
        "name": f"thing-{number:06}",
        "namespace": f"team-{number % 20}",
        "uid": f"{number:08x}-0000-4000-8000-{number:012x}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "thing", "shard": str(number % 10)},
        "ownerReferences": [
            {
                "apiVersion": "example.com/v1",
                "kind": "Owner",
                "name": f"owner-{number // 3:06}",
                "uid": f"{number // 3:08x}-1111-4000-8000-{number // 3:012x}",
                "controller": True,
            }
        ],
    }
    if managed:
        fields = {"f:data": {".": {}, "f:text": {}}, "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:shard": {}}}}
        meta["managedFields"] = [
            {
                "manager": "bench",
                "operation": "Update",
                "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1",
            }
            | {"fieldsV1": fields}
        ]
    obj = {"metadata": meta, "data": {"text": ""}}
    obj["data"]["text"] = "x" * max(size - len(json.dumps(obj, separators=(",", ":"))), 0)
    return obj


def serve(objects: int, events: int, size: int, event_size: int) -> None:
    """Answer lists in pages and a watch with all its events at once, from memory."""
    pages: dict[tuple[int, int], bytes] = {}
    things = [json.dumps(thing(number, number + 1, size), separators=(",", ":")) for number in range(objects)]

    def page(start: int, limit: int) -> bytes:
        key = (start, limit)
        if key not in pages:
            end = min(start + limit, objects) if limit else objects
            meta: dict[str, Any] = {"resourceVersion": str(objects + 1)}
            if end < objects:
                meta |= {"continue": str(end), "remainingItemCount": objects - end}
            head = f'{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{json.dumps(meta)},"items":['
            body = (head + ",".join(things[start:end]) + "]}").encode()
            pages[key] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        return pages[key]

    chunks = []
    for number in range(events):
        event = {"type": "MODIFIED", "object": {"kind": "ConfigMap", "apiVersion": "v1"}}
        event["object"] |= thing(number % max(objects, 1), objects + 2 + number, event_size)  # type: ignore[operator]
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        chunks.append(b"%x\r\n%s\r\n" % (len(line), line))
    stream = b"".join(chunks)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    import threading

    def talk(sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        while line := reader.readline():
            target = line.split(b" ")[1].decode()
            while reader.readline().strip():
                continue
            query = dict(pair.partition("=")[::2] for pair in target.partition("?")[2].split("&"))
            try:
                if "watch" in query:
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                    if int(query.get("resourceVersion", "0")) <= objects + 1:
                        sock.sendall(stream)
                else:
                    sock.sendall(page(int(query.get("continue", "0")), int(query.get("limit", "0"))))
            except OSError:
                return

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


# -- the measurements, each in a process of its own ------------------------------------------------------------------------------


def client_of(port: int) -> Any:
    from operator_kit.api import Client

    return Client.from_kubeconfig_dict(
        {
            "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench"}}],
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        }
    )


def config_maps() -> Any:
    from operator_kit.objects import Resource

    return Resource("", "v1", "ConfigMap", "configmaps")


def rss() -> float:
    """Megabytes that this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a file one has a path for elsewhere
        return int(file.read().split()[1]) * rusage.getpagesize() / 1e6


def bare_get(sock: socket.socket, reader: Any, target: str) -> bytes:
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    length = 0
    while line := reader.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return reader.read(length)


def sync_bare(port: int, objects: int) -> dict[str, Any]:
    """Pages and json.loads, everything kept: the floor."""
    sock = socket.create_connection(("127.0.0.1", port))
    reader = sock.makefile("rb", 1 << 20)
    kept: list[Any] = []
    before, started, cpu = rss(), time.perf_counter(), time.process_time()
    token = ""
    while True:
        document = json.loads(bare_get(sock, reader, f"/api/v1/configmaps?limit=500&continue={token or 0}"))
        kept += document["items"]
        token = document["metadata"].get("continue", "")
        if not token:
            break
    assert len(kept) == objects
    return {"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu, "rss": rss(), "grown": rss() - before}


def sync_ours(port: int, objects: int) -> dict[str, Any]:
    """An informer until it is synced."""
    from operator_kit.cache import Informers

    client = client_of(port)
    import kubernetes.client  # noqa: F401  # what every user of it has imported

    gc.collect()
    before, started, cpu = rss(), time.perf_counter(), time.process_time()
    informers = Informers(client)
    informer = informers.acquire(config_maps())
    informers.start()
    assert informers.wait_synced(300)
    wall, spent = time.perf_counter() - started, time.process_time() - cpu
    assert len(informer.store) == objects
    result = {"wall": wall, "cpu": spent, "rss": rss(), "grown": rss() - before, "bytes": informer.store.size / 1e6}
    informers.stop(5)
    return result


def sync_official(port: int, objects: int) -> dict[str, Any]:
    """The official client's typed SharedInformer."""
    from kubernetes import client
    from kubernetes.informer import SharedInformer

    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{port}"
    api = client.CoreV1Api(client.ApiClient(configuration))
    before, started, cpu = rss(), time.perf_counter(), time.process_time()
    informer = SharedInformer(list_func=api.list_config_map_for_all_namespaces)
    informer.start()
    while len(informer.cache.list()) < objects:
        time.sleep(0.01)  # noqa: TID251  # it cannot be waited for otherwise
    return {"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu, "rss": rss(), "grown": rss() - before}


def events_bare(port: int, events: int) -> dict[str, Any]:
    """Lines and json.loads: the floor."""
    sock = socket.create_connection(("127.0.0.1", port))
    reader = sock.makefile("rb", 1 << 16)
    sock.sendall(b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: bench\r\n\r\n")
    while reader.readline().strip():
        continue
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(events):
        size = int(reader.readline(), 16)
        json.loads(reader.read(size))
        reader.readline()
    return {"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def events_ours(port: int, events: int) -> dict[str, Any]:
    """Through an informer into its store, with one handler."""
    import threading

    from operator_kit.cache import Informers

    informers = Informers(client_of(port))
    informer = informers.acquire(config_maps())
    begun, done, seen = [0.0, 0.0], threading.Event(), [0]

    def handler(change: Any) -> None:
        if change.type != "modified":
            return
        if not seen[0]:
            begun[:] = [time.perf_counter(), time.process_time()]
        seen[0] += 1
        if seen[0] == events:
            done.set()

    informer.add_handler(handler)
    informers.start()
    assert done.wait(300)
    result = {"wall": time.perf_counter() - begun[0], "cpu": time.process_time() - begun[1]}
    informers.stop(5)
    return result


def per_call(call: Callable[[], Any], least: float = 0.2) -> float:
    """Microseconds per call, the best of five."""
    best = float("inf")
    for _ in range(5):
        count, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < least / 5:
            for _ in range(100):
                call()
            count += 100
        best = min(best, spent / count * 1e6)
    return best


def reads(size: int, objects: int) -> dict[str, Any]:
    """Reads of a store of so many objects; no server."""
    from operator_kit.cache import Store
    from operator_kit.cache.records import encode

    store = Store("bench")
    fresh = {}
    for number in range(objects):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", **thing(number, number + 1, size, managed=False)}
        record = encode(obj)
        fresh[record[0]] = record
    list(store.replace(fresh, "1"))
    key = next(iter(fresh))
    entry = store.entry(key)
    assert entry is not None
    uid = entry.owners[0]["uid"]
    return {
        "get": per_call(lambda: store.get(key)),
        "entry": per_call(lambda: store.entry(key)),
        "owner lookup": per_call(lambda: store.entries_by_owner(uid)),
        "namespace count": per_call(lambda: store.count("team-1"), 0.05) / (objects / 20),
    }


MEASUREMENTS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "sync_bare": sync_bare,
    "sync_ours": sync_ours,
    "sync_official": sync_official,
    "events_bare": events_bare,
    "events_ours": events_ours,
    "reads": reads,
}


def measure(name: str, first: int, second: int, *, accelerated: bool = True) -> dict[str, Any]:
    block = "" if accelerated else "import sys; sys.modules['msgspec'] = None; "
    code = f"{block}import json; from benchmarks.cache import *; print(json.dumps(MEASUREMENTS[{name!r}]({first}, {second})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{name} failed:\n{out.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return result


class Server:
    """The other process."""

    def __init__(self, objects: int, events: int, size: int = 600, event_size: int = 3000) -> None:
        code = f"from benchmarks.cache import serve; serve({objects}, {events}, {size}, {event_size})"
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> int:
        return self.port

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=100_000, help="objects of the large sync; 0 for none")
    parser.add_argument("--peer", action="store_true", help="also the official client's SharedInformer")
    options = parser.parse_args()

    def row(name: str, result: dict[str, Any], floor: dict[str, Any]) -> None:
        memory = f"{result['grown']:7.0f} MB more, {result['rss']:4.0f} MB in all" if "rss" in result else ""
        print(f"  {name:34}{result['wall']:7.2f} s {result['cpu']:7.2f} s CPU {result['cpu'] / floor['cpu']:6.2f} x {memory}")

    print(f"first sync of {options.objects:,} objects of 0.6 KB and managedFields")
    with Server(options.objects, 0) as port:
        floor = measure("sync_bare", port, options.objects)
        row("bare loop, json.loads, all kept", floor, floor)
        ours = measure("sync_ours", port, options.objects)
        row("informer, fast extra", ours, floor)
        row("informer, standard library", measure("sync_ours", port, options.objects, accelerated=False), floor)
        if options.peer:
            row("official SharedInformer, typed", measure("sync_official", port, options.objects), floor)
    print(f"  held: {ours['bytes']:.1f} MB of stripped JSON; the process grew by {ours['grown']:.1f} MB")
    if options.large:
        print(f"first sync of {options.large:,} objects")
        with Server(options.large, 0) as port:
            floor = measure("sync_bare", port, options.large)
            row("bare loop, json.loads, all kept", floor, floor)
            ours = measure("sync_ours", port, options.large)
            row("informer, fast extra", ours, floor)
        print(f"  held: {ours['bytes']:.1f} MB of stripped JSON")
    print(f"{options.events:,} watch events of 3 KB")
    with Server(1000, options.events) as port:
        floor = measure("events_bare", port, options.events)
        row("bare loop, json.loads, none kept", floor, floor)
        for name, accelerated in (("informer, fast extra", True), ("informer, standard library", False)):
            ours = measure("events_ours", port, options.events, accelerated=accelerated)
            row(name, ours, floor)
            print(f"  {'':34}{floor['wall'] / ours['wall']:.2f} of the floor's rate")
    print("reads, microseconds per call")
    for objects in (1_000, 100_000):
        for accelerated in (True, False):
            result = measure("reads", 2000, objects, accelerated=accelerated)
            text = ", ".join(f"{name} {value:.2f}" for name, value in result.items())
            print(f"  {objects:>7,} objects of 2 KB, {'fast extra' if accelerated else 'standard library'}: {text}")


if __name__ == "__main__":
    main()
