"""What a context asks of the API server itself: reads and deletions, each within the time that the run has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operator_kit.controller.aio import AsyncRun, awaited
from operator_kit.controller.listers import Objects
from operator_kit.errors import Conflict, NotFound, UsageError
from operator_kit.objects import Object, Resource, api_version_of, join_key, kind_of, name_of, namespace_of, split_key, uid_of

if TYPE_CHECKING:
    from operator_kit.api import Client, Selection

__all__ = ["AsyncLiveReader", "LiveReader", "Server", "found"]


@dataclass(frozen=True, slots=True)
class Server:
    """The API server as one run sees it.

    Attributes:
        client: the API server.
        resolve: the kind a name stands for; raises as discovery does.
        namespace: the namespace of a kind that is meant where one is given, or none; raises `UsageError` where none can be meant.
        timeout: the seconds the next call may take; raises when there are none left, or the run is over.
    """

    client: Client
    resolve: Callable[[str], Resource]
    namespace: Callable[[Resource, str | None], str]
    timeout: Callable[[], float]

    def read(self, resource: Resource, key: str) -> Object | None:
        """The object of a key, or None."""
        namespace, name = split_key(key)
        try:
            return self.client.get(resource, name, namespace or None, timeout=self.timeout())
        except NotFound:
            return None

    def read_all(self, selections: Iterable[Selection], labels: str = "") -> Objects:
        """What the selections hold, of that what the labels select. Every page keeps within the run's deadline."""
        client = self.client.guarded(lambda _method: self.timeout())
        found: Objects = []
        for selection in selections:
            selector = ",".join(text for text in (selection.label_selector, labels) if text)
            found += client.list_all(selection.resource, selection.namespace, label_selector=selector).items
        return found

    def target(self, target: str | Mapping[str, Any], name: str, namespace: str | None) -> tuple[Resource, str, str]:
        """Kind, key and uid (or empty) of what an author names: an object, or a kind with a name."""
        if isinstance(target, str):
            kind = self.resolve(target)
            if not name:
                raise UsageError(f"delete: which {target}? Give its name")
            return kind, join_key(self.namespace(kind, namespace), name), ""
        kind = self.resolve(f"{api_version_of(target)}/{kind_of(target)}")
        return kind, join_key(self.namespace(kind, namespace_of(target) or namespace), name_of(target)), uid_of(target)

    def delete(self, kind: Resource, key: str, uid: str, propagation: str) -> Object | None:
        """Delete an object, with a uid exactly that one. The server's answer, or None when there was nothing to delete."""
        namespace, name = split_key(key)
        try:
            return self.client.delete(
                kind, name, namespace or None, uid=uid or None, propagation=propagation, timeout=self.timeout()
            )
        except NotFound:
            return None
        except Conflict:
            if not uid:
                raise
            return None  # another has taken its name: the one that was meant is gone


def found(obj: Object | None, resource: Resource, key: str) -> Object:
    """The object. Raises `NotFound` where there is none."""
    if obj is None:
        raise NotFound(f"{resource.kind} {key} does not exist", status=404, reason="NotFound")
    return obj


class LiveReader:
    """Reads that go to the API server, for any kind. They cost a request each."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object. The namespace is that of the reconciled object, if there is one, unless given. Raises `NotFound`."""
        resource, key = self._key(kind, name, namespace)
        return found(self._server.read(resource, key), resource, key)

    def get_or_none(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        return self._server.read(*self._key(kind, name, namespace))

    def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> Objects:
        """The objects whose labels match. The namespace as in `get`; `"*"` for all."""
        from operator_kit.api import Selection

        resource = self._server.resolve(kind)
        where = None if namespace == "*" else self._server.namespace(resource, namespace) or None
        return self._server.read_all([Selection(resource, where)], selector)

    def _key(self, kind: str, name: str, namespace: str | None) -> tuple[Resource, str]:
        resource = self._server.resolve(kind)
        return resource, join_key(self._server.namespace(resource, namespace), name)


class AsyncLiveReader:
    """Reads that go to the API server, awaited; see `LiveReader`.

    Args:
        live: what carries them out.
        run: the run whose worker does.
    """

    def __init__(self, live: LiveReader, run: AsyncRun) -> None:
        self._live = live
        self._bridge = run
        self._call = run.call

    @awaited
    async def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object. Raises `NotFound`."""
        return await self._call(lambda: self._live.get(kind, name, namespace))

    @awaited
    async def get_or_none(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        return await self._call(lambda: self._live.get_or_none(kind, name, namespace))

    @awaited
    async def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> Objects:
        """The objects whose labels match."""
        return await self._call(lambda: self._live.list(kind, namespace=namespace, selector=selector))
