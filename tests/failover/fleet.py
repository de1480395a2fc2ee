"""A fleet: a sandbox and replicas of one operator, each a process, and the sandbox's record of what they write."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from operator_kit.api import Cancel, Client
from operator_kit.errors import NotFound
from operator_kit.leader import LEASE
from operator_kit.objects import Object, Resource
from tests.failover.judge import Mark
from tests.manager.conftest import CRD
from tests.processes import Running, eventually, operator_kit
from tests.proxy import Proxy

LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD = (
    7.0,
    5.0,
    0.5,
)  # a leader keeps the lease on a machine that stands still for seconds
ACQUIRE_PERIOD = 2.2 * RETRY_PERIOD
TAKEOVER = LEASE_DURATION + 2 * ACQUIRE_PERIOD

FOO = Resource("example.com", "v1", "Foo", "foos", subresources=frozenset({"status"}))
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")

now = time.monotonic  # noqa: TID251  # other processes live in real time


class Replica:
    """One process of the operator."""

    def __init__(self, name: str, running: Running, proxy: Proxy | None) -> None:
        self.name = name
        self.running = running
        self.proxy = proxy

    def send(self, number: int) -> None:
        self.running.process.send_signal(number)

    def end(self, timeout: float = 60) -> int:
        """Wait for its end. Returns the exit code."""
        return self.running.process.wait(timeout)

    def __repr__(self) -> str:
        return f"<Replica {self.name}>"


class Record:
    """Every version of the objects of a kind, in the server's order, each with the moment in which it was seen here."""

    def __init__(self, client: Client, kind: Resource) -> None:
        self.seen: list[tuple[float, Object]] = []
        self.failed: Exception | None = None
        self._client, self._kind = client, kind
        self._cancel = Cancel()
        self._thread = threading.Thread(target=self._run, name=f"record-{kind.plural}")
        version = client.list_all(kind, "default").resource_version
        self._stream = client.watch(kind, "default", resource_version=version, timeout_seconds=3600, cancel=self._cancel)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._stream:
                for event in self._stream:
                    if event.type in {"ADDED", "MODIFIED"}:
                        self.seen.append((now(), event.decode()))
        except Exception as exc:  # noqa: BLE001  # it would be a record with a hole: whoever reads it is told
            self.failed = exc

    def stop(self) -> None:
        self._cancel.cancel()
        self._thread.join(60)
        assert self.failed is None, f"the record of {self._kind} has a hole: {self.failed}"


class Load:
    """Changes objects, one after the other, until it is stopped."""

    def __init__(self, client: Client, names: list[str], pause: float) -> None:
        self.changes = 0
        self._client, self._names, self._pause = client, names, pause
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._thread.start()

    def _run(self) -> None:
        draw = random.Random(7)
        while not self._ending.wait(self._pause):
            self.changes += 1
            self._client.patch(FOO, draw.choice(self._names), "default", {"spec": {"value": self.changes}})

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(90)


class Fleet:
    """Use as a context manager. `folder` takes logs and kubeconfigs."""

    def __init__(self, folder: Path, *, objects: int = 20, pause: float = 0.04) -> None:
        self.folder = folder
        self.names = [f"foo-{number}" for number in range(objects)]
        self.replicas: dict[str, Replica] = {}
        self._pause = pause
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            crd = self.folder / "crd.yaml"
            crd.write_text(json.dumps(CRD), "utf-8")
            self._kubeconfig = self.folder / "kubeconfig"
            log = self.folder / "sandbox.log"
            stack.enter_context(operator_kit("sandbox", "--kubeconfig", str(self._kubeconfig), "--load", str(crd), log=log))
            eventually(lambda: "listening" in log.read_text("utf-8"), "the sandbox")
            self._document: dict[str, Any] = yaml.safe_load(self._kubeconfig.read_text("utf-8"))
            self.client = Client.from_kubeconfig_dict(self._document, user_agent="test")
            stack.callback(self.client.close)
            for name in self.names:
                foo = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name}, "spec": {"value": 0}}
                self.client.create(FOO, foo, namespace="default")
            self.children = Record(self.client, CONFIG_MAP)
            stack.callback(self.children.stop)
            self.leases = Record(self.client, LEASE)
            stack.callback(self.leases.stop)
            self.load = Load(self.client, self.names, self._pause)
            stack.callback(self.load.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    # ------------------------------------------------------------------ replicas

    def start(self, *arguments: str, proxied: bool = False) -> Replica:
        """Start one more replica."""
        name = f"replica-{len(self.replicas)}"
        kubeconfig, proxy = self._kubeconfig, None
        if proxied:
            port = int(self.client.host.rpartition(":")[2])
            proxy = self._stack.enter_context(Proxy(port))
            kubeconfig = self.folder / f"kubeconfig-{name}"
            kubeconfig.write_text(json.dumps(self._document).replace(f":{port}", f":{proxy.port}"), "utf-8")
        running = self._stack.enter_context(
            operator_kit(
                *("run", "--kubeconfig", str(kubeconfig), "--leader-elect", "--leader-election-id", "fleet"),
                *("--leader-election-lease-duration", f"{LEASE_DURATION}s", "--leader-election-renew-deadline"),
                *(f"{RENEW_DEADLINE}s", "--leader-election-retry-period", f"{RETRY_PERIOD}s", *arguments),
                str(Path(__file__).parent / "replica.py"),
                log=self.folder / f"{name}.log",
                env={"POD_NAME": name},
            )
        )
        made = self.replicas[name] = Replica(name, running, proxy)
        return made

    def alive(self) -> list[Replica]:
        """The replicas that run."""
        return [replica for replica in self.replicas.values() if replica.running.process.poll() is None]

    def standing_by(self, replica: Replica) -> None:
        """Wait until it stands by."""
        eventually(lambda: "standing by" in replica.running.output(), f"{replica} as a standby")

    def holder(self) -> str:
        """Who holds the lease; empty when nobody does."""
        try:
            return str(self.client.get(LEASE, "fleet", "default")["spec"].get("holderIdentity") or "")
        except NotFound:
            return ""

    def leader(self) -> Replica:
        """Wait until one leads and works. Returns it."""
        holder = eventually(self.holder, "a leader")
        eventually(lambda: any(mark.holder == holder for mark in self.marks()[-50:]), f"work of {holder}")
        return self.replicas[holder.rpartition("_")[0]]

    def takeover(self, last: Replica, since: float = 0.0) -> float:
        """Wait until another than the last leader holds the lease. Returns the seconds that took since then."""

        def look() -> float:
            for moment, lease in list(self.leases.seen):
                holder = lease["spec"].get("holderIdentity") or ""
                if moment > since and holder and not holder.startswith(f"{last.name}_"):
                    return moment - since
            return 0.0

        return eventually(look, "the next leader")

    # ------------------------------------------------------------------ what they wrote

    def marks(self) -> list[Mark]:
        """All writes of reconciles so far, in the server's order."""
        return [Mark.of(config_map) for _, config_map in list(self.children.seen)]

    def converge(self) -> None:
        """End the changes, and wait until every object is as it should be."""
        self.load.stop()

        def converged() -> bool:
            wanted = {foo["metadata"]["name"]: foo for foo in self.client.list_all(FOO, "default").items}
            marks = map(Mark.of, self.client.list_all(CONFIG_MAP, "default").items)
            ended = {mark.key: mark.value for mark in marks if mark.step == "end"}
            return all(
                ended.get(name) == str(foo["spec"]["value"]) and foo.get("status", {}).get("value") == str(foo["spec"]["value"])
                for name, foo in wanted.items()
            )

        eventually(converged, "every object converged")


def kill(replica: Replica) -> float:
    """kill -9. Returns the moment."""
    moment = now()
    replica.send(signal.SIGKILL)
    replica.end()
    return moment
