"""What a whole operator costs: 1,000 Widgets, each needing one ConfigMap and one status patch, beside a bare loop.

    python -m benchmarks.operator [--objects 1000] [--workers 16] [--rounds 3] [--changes 100]

Against an embedded API server in a process of its own, or against the cluster that KUBECONFIG names (the CRD and a namespace
are made there, and removed). The contenders run in turn, each in a process of its own, and are all treated alike:

    started with a single Widget, and left alone until that has its status and it is quiet: what a start costs is not measured
    here. Stopped (SIGSTOP) while the Widgets are created; then let go on.
    From there to the last status is its rate, and the CPU it took is divided by the Widgets.
    Afterwards Widgets are changed one by one: from sending a change to seeing its status is the latency.

BENCH_EXTERNAL=COMMAND adds any other operator to the table: it is given KUBECONFIG and BENCH_WORKERS in its environment, and
must keep for every Widget (bench.example.com/v1, all namespaces) a ConfigMap of its name with `data.value` = `spec.value`, owned
by it, and then set `status.value`.

Compare the ratios, each the median of the rounds' own: the absolute figures are the machine's.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operator_kit.api import Client
from operator_kit.errors import NotFound, OperatorKitError
from operator_kit.objects import Resource

ROOT = Path(__file__).resolve().parent.parent
AIM_RATE, AIM_CPU = 0.8, 1.4  # of the bare loop
SETTLE_SECONDS = 1.5  # without CPU before a contender counts as quiet
LIMIT_SECONDS = 180.0
TICKS = os.sysconf("SC_CLK_TCK")

WIDGET = Resource("bench.example.com", "v1", "Widget", "widgets")
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
CRD_KIND = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
_VALUE = {"type": "object", "properties": {"value": {"type": "string"}}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.bench.example.com"},
    "spec": {
        "group": "bench.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _VALUE, "status": _VALUE}}},
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contender showed in one round."""

    rate: float  # Widgets a second
    cpu: float  # milliseconds a Widget
    memory: float  # MB that the process and its children hold at the end
    latencies: list[float]  # milliseconds from change to status


def now() -> float:
    return time.monotonic()  # noqa: TID251  # processes are measured in real time


def pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251


# --------------------------------------------------------------------------- processes


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def cpu_of(pid: int) -> float:
    """Seconds of CPU a process and those below it have taken."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def memory_of(pid: int) -> float:
    total = 0
    for member in family(pid):
        with suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def contender(command: list[str], kubeconfig: str, workers: int, log: Path, awake: Callable[[], bool]) -> Iterator[int]:
    """Run it until it is awake and quiet, and end it with the block.

    Quiet alone is not enough: on a busy machine one that has not even started is quiet too.
    """
    environment = os.environ | {"KUBECONFIG": kubeconfig, "BENCH_WORKERS": str(workers)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    try:
        began, last, since = now(), 0.0, now()
        while now() - since < SETTLE_SECONDS or not awake():
            if process.poll() is not None or now() - began > LIMIT_SECONDS:
                said = log.read_text("utf-8", "replace")[-2000:]
                raise SystemExit(f"{shlex.join(command)}: ended, never awake, or never quiet:\n{said}")
            pause(0.1)
            if (cpu := cpu_of(process.pid)) - last > 0.02:
                last, since = cpu, now()
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# --------------------------------------------------------------------------- what is seen of the Widgets


class Observer:
    """Watches the Widgets of one namespace: which value each has in its status, and when that was seen."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._condition = threading.Condition()
        self._seen: dict[str, tuple[str, float]] = {}
        self._client, self._namespace = client, namespace
        self._stream: Any = client.watch(WIDGET, namespace, resource_version="", timeout_seconds=3600)
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OperatorKitError):  # the stream ends with the namespace, and the measurement before it
            for event in self._stream:
                widget = event.decode()
                value = (widget.get("status") or {}).get("value")
                if value is not None:
                    with self._condition:
                        self._seen[widget["metadata"]["name"]] = (value, now())
                        self._condition.notify_all()

    def saw(self, name: str) -> bool:
        """Whether this one had a status."""
        with self._condition:
            return name in self._seen

    def wait(self, wanted: dict[str, str]) -> float:
        """Wait until each has the value in its status. Returns when the last was seen."""
        with self._condition:
            done = self._condition.wait_for(lambda: self._missing(wanted) == 0, LIMIT_SECONDS)
            if not done:
                raise SystemExit(f"{self._missing(wanted)} of {len(wanted)} Widgets did not converge in {LIMIT_SECONDS:.0f} s")
            return max(self._seen[name][1] for name in wanted)

    def _missing(self, wanted: dict[str, str]) -> int:
        if len(self._seen) < len(wanted) and len(wanted) > 1:
            return len(wanted) - len(self._seen)
        return sum(self._seen.get(name, ("", 0))[0] != value for name, value in wanted.items())

    def close(self) -> None:
        """Stop watching."""
        self._stream.stop()
        self._thread.join(5)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share."""

    kubeconfig: str
    client: Client
    objects: int
    workers: int
    changes: int


def measure(bench: Bench, command: list[str], namespace: str, log: Path) -> Figures:
    """One contender, one round."""
    client = bench.client
    client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    observer = Observer(client, namespace)
    try:
        client.create(WIDGET, widget("first", "value"), namespace=namespace)
        with contender(command, bench.kubeconfig, bench.workers, log, lambda: observer.saw("first")) as pid:
            before = cpu_of(pid)
            os.killpg(pid, signal.SIGSTOP)
            wanted = {f"widget-{number:05}": f"value-{number}" for number in range(bench.objects)}
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda item: client.create(WIDGET, widget(*item), namespace=namespace), wanted.items()))
            began = now()
            os.killpg(pid, signal.SIGCONT)
            rate = len(wanted) / (observer.wait(wanted) - began)
            pause(1)  # what a contender does after the last status is its cost, too
            cpu = (cpu_of(pid) - before) / len(wanted) * 1000
            check(client, namespace, wanted)
            names = list(wanted)
            latencies = [
                change(client, observer, namespace, names[number % len(names)], number) for number in range(bench.changes)
            ]
            return Figures(rate, cpu, memory_of(pid), latencies)
    finally:
        observer.close()
        client.delete(NAMESPACE, namespace)
        gone(client, namespace)


def widget(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "bench.example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"value": value}}


def check(client: Client, namespace: str, wanted: dict[str, str]) -> None:
    """A status alone proves nothing: the ConfigMaps must be there, and owned."""
    items = client.list_all(CONFIG_MAP, namespace).items
    values = {item["metadata"]["name"]: item["data"]["value"] for item in items if item["metadata"].get("ownerReferences")}
    if missing := [name for name, value in wanted.items() if values.get(name) != value]:
        raise SystemExit(f"{len(missing)} ConfigMaps are missing or wrong, {missing[0]} for one")


def change(client: Client, observer: Observer, namespace: str, name: str, number: int) -> float:
    value = f"changed-{number}"
    began = now()
    client.patch(WIDGET, name, namespace, {"spec": {"value": value}}, type="merge")
    return (observer.wait({name: value}) - began) * 1000


def gone(client: Client, namespace: str) -> None:
    with suppress(NotFound):
        while client.get(NAMESPACE, namespace):
            pause(0.1)


# --------------------------------------------------------------------------- the run


@contextmanager
def server() -> Iterator[str]:
    """The kubeconfig of the server to measure on: KUBECONFIG's, or an embedded one in another process."""
    if given := os.environ.get("KUBECONFIG"):
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        command = [sys.executable, "-m", "operator_kit", "sandbox", "--kubeconfig", str(kubeconfig)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            while not kubeconfig.exists():
                pause(0.05)
            yield str(kubeconfig)
        finally:
            process.terminate()
            process.wait()


def ready(client: Client) -> None:
    """Wait for the kind to be served: a CRD takes a moment to be established."""
    for _ in range(100):
        with suppress(NotFound):
            client.list_all(WIDGET, None)
            return
        pause(0.1)
    raise SystemExit("the CRD widgets.bench.example.com is not served")


def show(rows: dict[str, list[Figures]]) -> None:
    """Print the table, and how it stands to the aims."""
    bare = rows["bare loop"]
    print(
        f"\n{'':<14} {'Widgets/s':>10} {'of bare':>8} {'CPU ms each':>12} {'of bare':>8} {'MB':>6}   change to status p50 / p99"
    )
    for name, rounds in rows.items():
        rate, cpu, memory = (statistics.median(getattr(one, field) for one in rounds) for field in ("rate", "cpu", "memory"))
        rate_ratio = statistics.median(one.rate / floor.rate for one, floor in zip(rounds, bare, strict=True))
        cpu_ratio = statistics.median(one.cpu / floor.cpu for one, floor in zip(rounds, bare, strict=True))
        latencies = sorted(latency for one in rounds for latency in one.latencies)
        shown = "-"
        if latencies:
            shown = f"{statistics.median(latencies):.1f} / {latencies[math.ceil(len(latencies) * 0.99) - 1]:.1f} ms"
        print(f"{name:<14} {rate:>10.0f} {rate_ratio:>8.2f} {cpu:>12.2f} {cpu_ratio:>8.2f} {memory:>6.0f}   {shown}")
        if name == "operator-kit":
            verdicts = [
                f"aim: rate at least {AIM_RATE} of the bare loop's: {rate_ratio:.2f}, {_verdict(rate_ratio >= AIM_RATE)}",
                f"aim: CPU at most {AIM_CPU} of the bare loop's: {cpu_ratio:.2f}, {_verdict(cpu_ratio <= AIM_CPU)}",
            ]
    print("\n".join(verdicts))


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=100, help="changes one by one after each round, for the latency")
    args = parser.parse_args()
    with ExitStack() as stack:
        kubeconfig = stack.enter_context(server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = Client.from_config(kubeconfig=kubeconfig, pool_size=32)
        stack.callback(client.close)
        client.create(CRD_KIND, CRD)
        stack.callback(client.delete, CRD_KIND, CRD["metadata"]["name"])  # type: ignore[index]
        ready(client)
        bench = Bench(kubeconfig, client, args.objects, args.workers, args.changes)
        python, workers = sys.executable, str(args.workers)
        commands = {
            "bare loop": [python, "-m", "benchmarks.bare_loop", kubeconfig, workers],
            "operator-kit": [
                *(python, "-m", "operator_kit", "run", "--kubeconfig", kubeconfig, "--workers", workers),
                "benchmarks/widgets.py",
            ],
        }
        if external := os.environ.get("BENCH_EXTERNAL"):
            commands["external"] = shlex.split(external)
        rows: dict[str, list[Figures]] = {name: [] for name in commands}
        for round_ in range(args.rounds):
            for position, (name, command) in enumerate(commands.items()):
                namespace = f"bench-{os.getpid()}-{round_}-{position}"
                figures = measure(bench, command, namespace, folder / f"{name}.log")
                rows[name].append(figures)
                shown = f"{figures.rate:.0f} Widgets/s, {figures.cpu:.2f} ms each, {figures.memory:.0f} MB"
                print(f"round {round_ + 1}, {name}: {shown}", flush=True)
        show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
