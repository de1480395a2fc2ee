"""An operator in this process, against an embedded API server, on a clock that waits for a busy machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_kit.api import Client
from operator_kit.cache import ReflectorSettings
from operator_kit.controller import Registry
from operator_kit.manager import ExitCode, Manager
from operator_kit.objects import Object, Resource
from operator_kit.sandbox import Sandbox
from operator_kit.settings import Settings
from tests.unhurried import UnhurriedClock

CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "foos.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Foo", "plural": "foos", "singular": "foo", "listKind": "FooList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


class Operator:
    """A manager on a thread of its own."""

    def __init__(self, client: Client, manager: Manager) -> None:
        self.client = client
        self.manager = manager
        self.codes: list[ExitCode] = []
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, name="manager")

    def _run(self) -> None:
        try:
            self.codes.append(self.manager.run())
        except BaseException as exc:  # noqa: BLE001  # it is raised again by `end`
            self.errors.append(exc)

    def writes(self) -> int:
        return self.client.metrics.count() - self.client.metrics.count("GET")

    def stop(self) -> ExitCode:
        self.manager.stop()
        return self.end()

    def end(self) -> ExitCode:
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.errors:
            raise self.errors[0]
        return self.codes[0]


class Cluster:
    """A sandbox, a client of it, and the operators that run against it."""

    def __init__(self, sandbox: Sandbox, clock: UnhurriedClock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.client = Client.from_kubeconfig_dict(sandbox.kubeconfig())
        self.operators: list[Operator] = []

    def kind(self, name: str) -> Resource:
        return self.client.discovery.resolve(name)

    def install(self) -> None:
        self.client.create(self.kind("apiextensions.k8s.io/v1/CustomResourceDefinition"), CRD)
        self.client.discovery.refresh()

    def create(self, name: str, namespace: str = "default", kind: str = "example.com/v1/Foo", **more: Any) -> Object:
        meta = {"name": name, **more.pop("metadata", {})}
        resource = self.kind(kind)
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **more}
        return self.client.create(resource, body, namespace=namespace)

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        from operator_kit.errors import NotFound

        try:
            return self.client.get(self.kind(kind), name, namespace)
        except NotFound:
            return None

    def start(
        self, registry: Registry, *, agent: str = "operator-kit", reflector: ReflectorSettings | None = None, **settings: Any
    ) -> Operator:
        """Run in the background; faults can be aimed at it by `agent`."""
        client = Client.from_kubeconfig_dict(self.sandbox.kubeconfig(), user_agent=agent, clock=self.clock)
        operator = Operator(client, Manager(registry, client, Settings(**settings), clock=self.clock, reflector=reflector))
        self.operators.append(operator)
        operator.thread.start()
        return operator

    def converge(self, registry: Registry, **settings: Any) -> Operator:
        """Run until idle."""
        operator = self.start(registry, exit_when_idle=True, **settings)
        assert operator.end() is ExitCode.OK
        return operator


@pytest.fixture
def cluster(unhurried_clock: UnhurriedClock) -> Iterator[Cluster]:
    with Sandbox() as sandbox:
        made = Cluster(sandbox, unhurried_clock)
        try:
            yield made
        finally:
            for operator in made.operators:
                operator.manager.stop()
                operator.thread.join(60)
            made.client.close()


@pytest.fixture
def foos(cluster: Cluster) -> Cluster:
    cluster.install()
    return cluster


Function = Callable[..., Any]


def registry_of(function: Function, kind: str = "Foo", cleanup: Function | None = None, **options: Any) -> Registry:
    registry = Registry()
    made = registry.reconciler(kind, **options)(function)
    if cleanup is not None:
        made.cleanup(cleanup)
    return registry
