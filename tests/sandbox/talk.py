"""Talks HTTP to a sandbox, plainly: what tests send is what goes over the wire."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from operator_kit.clock import Clock
from operator_kit.sandbox import Sandbox

JSON = "application/json"
MERGE = "application/merge-patch+json"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"

WIDGET_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
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


class Talk:
    """One client of one server."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self._sandbox = sandbox

    def send(
        self, method: str, path: str, body: Any = None, *, content_type: str = JSON, accept: str = JSON, **query: Any
    ) -> tuple[int, Any]:
        """Status and document (text where it is no JSON)."""
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": accept}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode(errors="replace")

    def get(self, path: str, **query: Any) -> Any:
        """The document of a GET that succeeds."""
        status, document = self.send("GET", path, **query)
        assert status == 200, document
        return document

    def create(self, path: str, obj: Any, **query: Any) -> Any:
        """The object of a POST that succeeds."""
        status, document = self.send("POST", path, obj, **query)
        assert status == 201, document
        return document

    def merge(self, path: str, patch: Any, **query: Any) -> Any:
        """The object after a merge patch that succeeds."""
        status, document = self.send("PATCH", path, patch, content_type=MERGE, **query)
        assert status == 200, document
        return document

    def delete(self, path: str, body: Any = None, **query: Any) -> Any:
        """What a DELETE that succeeds answers."""
        status, document = self.send("DELETE", path, body, **query)
        assert status == 200, document
        return document

    def names(self, path: str, **query: Any) -> list[str]:
        """The names in a list."""
        return [item["metadata"]["name"] for item in self.get(path, **query)["items"]]

    def until(self, path: str, status: int) -> Any:
        """Ask until a GET answers with this status."""
        for _ in range(500):
            got, document = self.send("GET", path)
            if got == status:
                return document
            Clock().sleep(0.01)
        raise AssertionError(f"{path} still answers {got}: {document}")

    def watched(self, path: str, **query: Any) -> list[tuple[str, Any]]:
        """The events that a watch has to tell at once; it is ended by the server then, all streams are."""
        with self.watch(path, **query) as stream:
            self._sandbox.run(self._sandbox.engine.end_watches)
            events = [json.loads(line) for line in stream.rest().splitlines() if line]
        return [(event["type"], event["object"]) for event in events]

    @contextmanager
    def watch(self, path: str, *, accept: str = JSON, **query: Any) -> Iterator[Stream]:
        """A watch that is read line by line."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = HTTPConnection(host, int(port), timeout=60)
        try:
            connection.request("GET", f"{path}?{urlencode({'watch': 1, **query})}", headers={"Accept": accept})
            yield Stream(connection)
        finally:
            connection.close()


class Stream:
    """An open watch."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._response = connection.getresponse()
        self.status = self._response.status

    def next(self) -> tuple[str, Any]:
        """The next event; fails where the stream has ended."""
        line = self._response.readline()
        assert line, "the stream has ended"
        event = json.loads(line)
        return event["type"], event["object"]

    def rest(self) -> bytes:
        """What comes until the stream ends."""
        return self._response.read()
