"""The server of the cache's benchmark: a process that answers lists and watches with prepared bytes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

__all__ = ["Server", "config_map"]

LARGE = 1500  # from this size on an object has the managedFields of a custom resource, half of it


def config_map(number: int, version: int, size: int, *, managed: bool = True) -> dict[str, Any]:
    """A ConfigMap of about `size` bytes, in the form in which a real API server sends it."""
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
    names = [f"setting-{index}" for index in range(8)] if size >= LARGE else []
    if managed:
        meta["managedFields"] = [_managed("bench", ["text", *names])]
        if size >= LARGE:
            meta["managedFields"].append(_managed("other", [f"other-{index}" for index in range(8)]))
    data = {"text": ""} | {name: f"the value of {name} of thing {number}" for name in names}
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": data}
    data["text"] = "x" * max(size - len(json.dumps(obj, separators=(",", ":"))), 0)
    return obj


def _managed(manager: str, names: list[str]) -> dict[str, Any]:
    fields = {
        "f:data": {".": {}} | {f"f:{name}": {} for name in names},
        "f:metadata": {
            "f:labels": {".": {}, "f:app": {}, "f:shard": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"00000000-1111-4000-8000-000000000000"}': {}},
        },
    }
    head = {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z"}
    return head | {"fieldsType": "FieldsV1", "fieldsV1": fields}


def serve(objects: int, events: int, size: int) -> None:
    """Answer lists in pages and a watch with all its events at once, from memory. Prints its port first."""
    pages: dict[tuple[int, int], bytes] = {}
    things = []
    for number in range(objects):
        thing = config_map(number, number + 1, size)
        del thing["kind"], thing["apiVersion"]  # as in the lists of built-in kinds
        things.append(json.dumps(thing, separators=(",", ":")))

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
        event = {"type": "MODIFIED", "object": config_map(number % max(objects, 1), objects + 2 + number, size)}
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        chunks.append(b"%x\r\n%s\r\n" % (len(line), line))  # an API server sends each event as a chunk of its own
    stream = b"".join(chunks)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def talk(sock: socket.socket) -> None:
        with suppress(OSError):  # a client that leaves
            answer(sock)

    def answer(sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        while line := reader.readline():
            target = line.split(b" ")[1].decode()
            while reader.readline().strip():
                continue
            query = dict(pair.partition("=")[::2] for pair in target.partition("?")[2].split("&"))
            if "watch" in query:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                if int(query.get("resourceVersion") or "0") <= objects + 1:
                    sock.sendall(stream)
            else:
                sock.sendall(page(int(query.get("continue", "0")), int(query.get("limit", "0"))))

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


class Server:
    """The other process. `with` gives its port."""

    def __init__(self, objects: int, events: int, size: int) -> None:
        code = f"from benchmarks.cache_server import serve; serve({objects}, {events}, {size})"
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def __enter__(self) -> int:
        return self._port

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
