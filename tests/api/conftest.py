"""A scripted server and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from operator_kit.api import Client

from .scripted import Handler, ScriptedServer

Serve = Callable[..., tuple[ScriptedServer, Client]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(handler, **client options)` gives a running server and a client of it."""
    with ExitStack() as stack:

        def start(handler: Handler, *, tls: Any = None, user: dict[str, Any] | None = None, **options: Any) -> Any:
            server = stack.enter_context(ScriptedServer(handler, tls=tls))
            client = Client.from_kubeconfig_dict(server.kubeconfig(**(user or {})), **options)
            stack.callback(client.close)
            return server, client

        yield start
