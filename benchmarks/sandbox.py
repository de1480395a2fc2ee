"""What the embedded API server costs: beside a bare aiohttp echo of the same bodies, in one run.

    python -m benchmarks.sandbox [--rounds 5]

The server and the echo each run in a process of their own; the load comes from a third, over 16 kept connections. Compare the
ratios: the absolute figures are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import yaml

from operator_kit.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
SITES = "/apis/example.com/v1/namespaces/default/websites"
CONNECTIONS = 16


def site(name: str) -> dict[str, Any]:
    spec = {"replicas": 2, "html": "<h1>Hello</h1>" * 20, "domain": f"{name}.example.com"}
    return {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": spec}


def status(number: int) -> dict[str, Any]:
    condition = {"type": "Available", "status": "True", "reason": "PodsReady", "message": f"{number} pods are ready"}
    return {"status": {"replicas": number, "conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}}


# --------------------------------------------------------------------------- the two servers


async def echo(port_file: Path) -> None:
    """The floor: read a body, parse it, send it back."""
    from aiohttp import web

    async def handle(request: web.BaseRequest) -> web.Response:
        body = json.loads(await request.read())
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    site_ = web.TCPSite(runner, "127.0.0.1", 0)
    await site_.start()
    await asyncio.to_thread(port_file.write_text, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


@contextmanager
def process(*arguments: str, ready: Path) -> Iterator[str]:
    running = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not (ready.exists() and ready.read_text()):
            time.sleep(0.02)  # noqa: TID251  # another process starts in real time
        text = ready.read_text()
        yield text if text.startswith("http") else yaml.safe_load(text)["clusters"][0]["cluster"]["server"]
    finally:
        running.terminate()
        running.wait()


# --------------------------------------------------------------------------- the load


async def rate(url: str, requests: list[tuple[str, str, bytes, str]]) -> float:
    """Requests per second over kept connections."""
    queue = iter(requests)

    async def worker(session: aiohttp.ClientSession) -> None:
        for method, path, body, content_type in queue:
            async with session.request(method, url + path, data=body, headers={"Content-Type": content_type}) as response:
                await response.read()
                assert response.status in {200, 201}, (response.status, await response.text())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(CONNECTIONS)))
        return len(requests) / (time.perf_counter() - began)


def writes(prefix: str, count: int) -> dict[str, list[tuple[str, str, bytes, str]]]:
    names = [f"{prefix}-{number}" for number in range(count)]
    merge = "application/merge-patch+json"
    return {
        "create": [("POST", SITES, json.dumps(site(name)).encode(), "application/json") for name in names],
        "status patch": [
            ("PATCH", f"{SITES}/{name}/status", json.dumps(status(number)).encode(), merge) for number, name in enumerate(names)
        ],
    }


def row(name: str, value: str, note: str) -> None:
    print(f"  {name:<34} {value:>18}   {note}")


def spread(values: list[float], form: Callable[[float], str]) -> str:
    return f"{form(statistics.median(values))} ({form(min(values))}-{form(max(values))})"


def measure_writes(server: str, floor: str, rounds: int) -> None:
    ratios: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    for turn in range(rounds):
        for kind, requests in writes(f"r{turn}", 600).items():
            here = asyncio.run(rate(server, requests))
            there = asyncio.run(rate(floor, requests))
            ratios.setdefault(kind, []).append(here / there)
            rates.setdefault(kind, []).append(here)
    for kind, values in ratios.items():
        row(
            f"{kind}, share of a bare echo",
            spread(values, "{:.2f}".format),
            f"{spread(rates[kind], '{:.0f}'.format)} a second; wanted 0.35",
        )


async def lists(server: str, rounds: int) -> list[float]:
    rates = []
    async with aiohttp.ClientSession() as session:
        for _ in range(rounds):
            began, size, token = time.perf_counter(), 0, ""
            while True:
                async with session.get(f"{server}/api/v1/configmaps?limit=500&continue={token}") as response:
                    body = await response.read()
                size += len(body)
                token = json.loads(body)["metadata"].get("continue", "") if len(body) < 20_000 else _token(body)
                if not token:
                    break
            rates.append(size / (time.perf_counter() - began) / 1e6)
    return rates


def _token(body: bytes) -> str:
    """The continue token without parsing half a megabyte: the client's cost is not what is measured."""
    head = body[: body.index(b'"items"')] if body.index(b'"items"') < 4096 else body[-4096:]
    found = head.partition(b'"continue":"')[2].partition(b'"')[0]
    return found.decode()


def measure_lists(rounds: int) -> None:
    with TemporaryDirectory() as folder:
        documents = Path(folder) / "maps.yaml"
        padding = "x" * 500
        with documents.open("w", encoding="utf-8") as out:
            for number in range(20_000):
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{number}", "namespace": "default"}}
                out.write("---\n" + json.dumps(body | {"data": {"k": padding}}) + "\n")
        ready = Path(folder) / "kubeconfig"
        with process(
            "-m", "operator_kit", "sandbox", "--kubeconfig", str(ready), "--load", str(documents), ready=ready
        ) as server:
            asyncio.run(lists(server, 1))
            row(
                "20,000 objects in pages of 500",
                spread(asyncio.run(lists(server, rounds)), "{:.0f} MB/s".format),
                "wanted 20 MB/s",
            )


async def _fan_out(server: str, watchers: int, rounds: int) -> list[float]:
    times: list[float] = []
    connector = aiohttp.TCPConnector(limit=watchers + 8)
    async with aiohttp.ClientSession(connector=connector) as session:
        streams = [
            await session.get(f"{server}/api/v1/namespaces/default/secrets?watch=1&resourceVersion=") for _ in range(watchers)
        ]
        for turn in range(rounds):
            body = {"metadata": {"name": f"s-{turn}"}}
            began = time.perf_counter()
            async with session.post(f"{server}/api/v1/namespaces/default/secrets", json=body) as response:
                assert response.status == 201
            await asyncio.gather(*(stream.content.readline() for stream in streams))
            times.append((time.perf_counter() - began) * 1000)
        for stream in streams:
            stream.close()
    return times


def measure_starts(rounds: int) -> None:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        with Sandbox():
            times.append((time.perf_counter() - began) * 1000)
    assert not any(thread.name == "sandbox" for thread in threading.enumerate())
    row("start, after import", spread(times, "{:.0f} ms".format), "wanted 300 ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--echo", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        asyncio.run(echo(arguments.echo))
        return
    print(f"The embedded API server; median (least-most) of {arguments.rounds} turns, {CONNECTIONS} connections")
    with TemporaryDirectory() as folder:
        ready, floor_ready = Path(folder) / "kubeconfig", Path(folder) / "echo"
        load = str(ROOT / "examples" / "website" / "crd.yaml")
        with (
            process("-m", "operator_kit", "sandbox", "--kubeconfig", str(ready), "--load", load, ready=ready) as server,
            process("-m", "benchmarks.sandbox", "--echo", str(floor_ready), ready=floor_ready) as floor,
        ):
            measure_writes(server, floor, arguments.rounds)
            times = asyncio.run(_fan_out(server, 100, arguments.rounds))
            row("an event to 100 watchers", spread(times, "{:.1f} ms".format), "from the create's sending; wanted 20 ms")
    measure_lists(arguments.rounds)
    measure_starts(arguments.rounds)


if __name__ == "__main__":
    main()
