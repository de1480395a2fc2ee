"""What the example operator's pod needs, for the chart's `resources`: memory and CPU by the number of sites.

    python -m benchmarks.resources [OBJECTS ...]

Each row is an operator process of its own against an embedded API server in another, which also plays the controllers that start
pods. A site has four children; all that is cached is counted. The CPU is what it takes until every site is available, from the
start of the process; afterwards it is left alone for half a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.operator import cpu_of, memory_of, now, pause
from operator_kit.api import Client
from operator_kit.objects import Resource
from tests.processes import operator_kit

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "website"
WEBSITE = Resource("example.com", "v1", "Website", "websites")
LIMIT_SECONDS = 900.0
REST_SECONDS = 30.0


def site(number: int) -> dict[str, Any]:
    spec = {"replicas": 1, "html": "<h1>Hello</h1>" * 40, "domain": f"site-{number}.example.com"}
    return {
        "apiVersion": "example.com/v1",
        "kind": "Website",
        "metadata": {"name": f"site-{number}", "namespace": "default"},
        "spec": spec,
    }


def available(client: Client) -> int:
    """How many sites are available."""
    found = 0
    for obj in client.list(WEBSITE).items:
        conditions = obj.get("status", {}).get("conditions", [])
        found += any(condition["type"] == "Available" and condition["status"] == "True" for condition in conditions)
    return found


def measure(objects: int, folder: Path) -> str:
    load = folder / "load"
    load.mkdir()
    (load / "sites.yaml").write_text("\n---\n".join(json.dumps(site(number)) for number in range(objects)) or "{}")
    kubeconfig = folder / "sandbox.kubeconfig"
    loads = [part for path in (EXAMPLE / "crd.yaml", EXAMPLE / "namespace.yaml", load) for part in ("--load", str(path))]
    with operator_kit("sandbox", "--workloads", "--kubeconfig", str(kubeconfig), *loads, log=folder / "sandbox.log"):
        while not kubeconfig.exists():
            pause(0.1)
        client = Client.from_config(kubeconfig=str(kubeconfig), context="")
        flags = ["--log-format=json", "--health-probe-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0"]
        arguments = ["run", "--kubeconfig", str(kubeconfig), *flags, "examples/website.py"]
        with operator_kit(*arguments, log=folder / "operator.log") as operator:
            pid, began = operator.process.pid, now()
            while available(client) < objects:
                if now() - began > LIMIT_SECONDS or operator.process.poll() is not None:
                    sys.exit(f"not all available:\n{operator.output()[-2000:]}")
                pause(2)
            busy = cpu_of(pid)
            pause(5)
            before = cpu_of(pid)
            pause(REST_SECONDS)
            rest = (cpu_of(pid) - before) / REST_SECONDS * 1000
            memory = memory_of(pid)
        client.close()
    return f"{objects:>8,} {memory:>12.0f} MB {busy:>26.1f} s {rest:>14.1f} m"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objects", nargs="*", type=int, default=[1, 300, 3000])
    print("   sites  resident memory   CPU until all are there    CPU at rest")
    for objects in parser.parse_args().objects:
        with TemporaryDirectory() as folder:
            print(measure(objects, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
