"""A sandbox, and informers of it with all times scaled down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from operator_kit.api import Client
from operator_kit.cache import Change, Informer, Informers, ReflectorSettings
from operator_kit.objects import Object, Resource
from operator_kit.sandbox import Sandbox

CM = Resource("", "v1", "ConfigMap", "configmaps")
QUICK = ReflectorSettings(backoff_base=0.01, backoff_max=0.05, silence=30.0, short_watch=0.02, list_timeout=30.0)


def until(condition: Callable[[], Any], what: str = "it", timeout: float = 60.0) -> None:
    """Wait for what nothing can be told of: a counter, a text. Fails after a while."""
    deadline = time.monotonic() + timeout  # noqa: TID251  # real threads on real sockets
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"  # noqa: TID251
        threading.Event().wait(0.002)


class World:
    """A sandbox, a client that is struck by faults, and one that is not."""

    def __init__(self, sandbox: Sandbox, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self._stack = stack
        # Faults are aimed at this client by its name, so that the test itself is not struck.
        self.client = Client.from_kubeconfig_dict(sandbox.kubeconfig(), user_agent="struck")
        self.calm = Client.from_kubeconfig_dict(sandbox.kubeconfig(), user_agent="calm")
        stack.callback(self.client.close)
        stack.callback(self.calm.close)
        self.changes: list[Change] = []

    def fault(self, action: str, **fields: Any) -> int:
        return self.sandbox.faults.add(action=action, user_agent="struck", **fields)

    def counter(self, verb: str) -> Callable[[], int]:
        """How many requests of this verb came since."""
        number = self.fault("delay", verb=verb)
        return lambda: self.sandbox.faults.struck(number)

    def informer(self, resource: Resource = CM, *, resync: float = 1800.0, watch: bool = True, **settings: Any) -> Informer:
        acquire = {name: settings.pop(name) for name in ("namespace", "label_selector", "metadata_only") if name in settings}
        informers = Informers(self.client, resync=resync, watch=watch, settings=replace(QUICK, **settings), page_size=3)
        self._stack.callback(informers.stop, 10)
        informer = informers.acquire(resource, **acquire)
        informer.add_handler(self.changes.append)
        informers.start()
        return informer

    def create(self, name: str, **data: str) -> Object:
        return self.calm.create(CM, {"metadata": {"name": name}, "data": data}, namespace="default")

    def delete(self, name: str) -> None:
        self.calm.delete(CM, name, "default")

    def synced(self, informer: Informer, timeout: float = 60.0) -> None:
        until(lambda: informer.synced, f"{informer} synced", timeout)

    def same(self, informer: Informer, resource: Resource = CM) -> None:
        """Wait until the cache holds what the server holds, and the handlers' picture is the same."""

        def equal() -> bool:
            theirs = {
                f"{o['metadata'].get('namespace')}/{o['metadata']['name']}": stripped(o) for o in self.calm.list(resource).items
            }
            ours = {key: stripped(informer.store.get(key) or {}) for key in informer.store.keys()}  # noqa: SIM118
            return theirs == ours

        until(equal, "the cache being the same as the server")
        picture: dict[str, str] = {}
        for change in list(self.changes):
            if change.new is None:
                picture.pop(change.key, None)
            else:
                picture[change.key] = change.new.resource_version
        held = {entry.key: entry.resource_version for entry in informer.store.entries()}
        assert picture == held


def stripped(obj: Object) -> Object:
    meta = {name: value for name, value in obj.get("metadata", {}).items() if name != "managedFields"}
    return {**obj, "metadata": meta}


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(bookmark_interval=0.1))
        yield World(sandbox, stack)
