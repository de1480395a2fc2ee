"""Small stand-ins: an API server in a dict, caches that a test fills by hand, and the parts a controller is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from operator_kit.api import Selection
from operator_kit.api.page import Page
from operator_kit.cache.records import Change, Entry, encode
from operator_kit.cache.waits import Write, seen
from operator_kit.clock import Clock
from operator_kit.codec import clone
from operator_kit.controller import Caches, Controller, EventRecorder, Limits, Reconciler, Registry
from operator_kit.controller.aio import LoopThread
from operator_kit.controller.status import merged
from operator_kit.errors import Conflict, Invalid, KindNotFound, NotFound
from operator_kit.objects import Object, Resource, key_of, namespace_of, resource_version_of
from operator_kit.selectors import LabelSelector

VERBS = frozenset({"get", "list", "watch", "create", "patch", "update", "delete"})
FOO = Resource("example.com", "v1", "Foo", "foos", verbs=VERBS, subresources=frozenset({"status"}))
BAR = Resource("example.com", "v1", "Bar", "bars", verbs=VERBS)  # no status
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps", verbs=VERBS)
SECRET = Resource("", "v1", "Secret", "secrets", verbs=VERBS)
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments", verbs=VERBS, subresources=frozenset({"status"}))
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False, verbs=VERBS)
EVENT = Resource("events.k8s.io", "v1", "Event", "events", verbs=VERBS)
KINDS = [FOO, BAR, CONFIG_MAP, SECRET, DEPLOYMENT, NAMESPACE, EVENT]


def foo(name: str = "a", namespace: str = "default", **more: Any) -> Object:
    """A Foo as a server would hold it."""
    meta: Object = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
    meta.update(more.pop("metadata", {}))
    return {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": meta, "spec": {"size": 1}, **more}


class FakeDiscovery:
    def resolve(self, name: str, **_: Any) -> Resource:
        for resource in KINDS:
            if name in {resource.kind, f"{resource.kind}.{resource.group}", f"{resource.api_version}/{resource.kind}"}:
                return resource
        raise KindNotFound(f"the API server has no kind {name}")


class FakeClient:
    """An API server in a dict: versions, merge, JSON and apply patches as far as the controller room needs them.

    `calls` records `(verb, kind, key)`; `fail` may raise for a call before it does anything.
    """

    host = "http://fake"

    def __init__(self) -> None:
        self.discovery = FakeDiscovery()
        self.objects: dict[tuple[Resource, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        self.fail: Callable[[str, Resource, str], None] = lambda verb, kind, key: None
        self.version = 100
        self.changed: Callable[[Resource, Object | None, Object | None], None] = lambda kind, old, new: None
        self._lock = threading.RLock()

    def writes(self) -> list[tuple[str, str, str]]:
        return [call for call in self.calls if call[0] not in {"get", "list"} and call[1] != "Event"]

    def put(self, kind: Resource, obj: Object) -> Object:
        with self._lock:
            self.objects[kind, key_of(obj)] = clone(obj)
            return obj

    def _began(self, verb: str, kind: Resource, key: str, body: Any = None) -> None:
        with self._lock:
            self.calls.append((verb, kind.kind, key))
            self.bodies.append(body)
        self.fail(verb, kind, key)

    def _store(self, kind: Resource, key: str, new: Object) -> Object:
        with self._lock:
            old = self.objects.get((kind, key))
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
            new["metadata"].setdefault("uid", f"uid-{key}")
            self.objects[kind, key] = new
        self.changed(kind, old, new)
        return clone(new)

    def get(self, kind: Resource, name: str, namespace: str | None = None, **_: Any) -> Object:
        key = f"{namespace}/{name}" if namespace else name
        self._began("get", kind, key)
        with self._lock:
            if (kind, key) not in self.objects:
                raise NotFound("gone", status=404, reason="NotFound")
            return clone(self.objects[kind, key])

    def guarded(self, guard: Callable[[str], float]) -> FakeClient:
        guard("GET")
        return self

    def list_all(self, kind: Resource, namespace: str | None = None, *, label_selector: str = "", **_: Any) -> Page:
        self._began("list", kind, namespace or "*")
        selector = LabelSelector.parse(label_selector)
        with self._lock:
            return Page(
                [
                    clone(obj)
                    for (of, _key), obj in self.objects.items()
                    if of == kind
                    and namespace in {None, namespace_of(obj)}
                    and selector.matches(obj["metadata"].get("labels") or {})
                ]
            )

    def create(self, kind: Resource, obj: Mapping[str, Any], *, namespace: str | None = None, **_: Any) -> Object:
        self._began("create", kind, key_of(obj), clone(dict(obj)))
        return self._store(kind, key_of(obj), clone(dict(obj)))

    def patch(
        self,
        kind: Resource,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        type: str = "merge",  # noqa: A002  # the client's signature
        subresource: str | None = None,
        **_: Any,
    ) -> Object:
        key = f"{namespace}/{name}" if namespace else name
        self._began(
            f"{type}{'/' + subresource if subresource else ''}", kind, key, clone(body) if isinstance(body, dict) else body
        )
        with self._lock:
            old = self.objects.get((kind, key))
        if type == "apply":
            new = merged(old or {}, body)
            return clone(old) if old == new and old is not None else self._store(kind, key, new)
        if old is None:
            raise NotFound("gone", status=404, reason="NotFound")
        if type == "json":
            return self._json_patch(kind, key, old, body)
        wanted = body.get("metadata", {})
        if (
            wanted.get("resourceVersion", resource_version_of(old)) != resource_version_of(old)
            or wanted.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]
        ):
            raise Conflict("modified", status=409, reason="Conflict")
        new = merged(old, {"status": body.get("status")}) if subresource == "status" else merged(old, body)
        return self._store(kind, key, new)

    def _json_patch(self, kind: Resource, key: str, old: Object, operations: list[Any]) -> Object:
        new = clone(old)
        for operation in operations:
            parts = operation["path"].strip("/").split("/")
            parent: Any = new
            for part in parts[:-1]:
                parent = parent[part]
            last: Any = int(parts[-1]) if isinstance(parent, list) else parts[-1]
            if operation["op"] == "test" and parent[last] != operation["value"]:
                raise Invalid("testing value failed", status=422, reason="Invalid")
            if operation["op"] == "remove":
                del parent[last]
        meta = new["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            with self._lock:
                del self.objects[kind, key]
            self.changed(kind, old, None)
            return new
        return self._store(kind, key, new)

    def delete(self, kind: Resource, name: str, namespace: str | None = None, *, uid: str | None = None, **_: Any) -> Object:
        key = f"{namespace}/{name}" if namespace else name
        self._began("delete", kind, key)
        with self._lock:
            old = self.objects.pop((kind, key), None)
        if old is None:
            raise NotFound("gone", status=404, reason="NotFound")
        self.changed(kind, old, None)
        return old

    def close(self) -> None:
        pass


class FakeStore:
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.waits: list[tuple[Write, Callable[[], None]]] = []
        self.version: int | str = ""
        self.indexes: dict[str, Callable[[Object], Any]] = {}

    def entry(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def get(self, key: str) -> Object | None:
        entry = self.entries.get(key)
        return entry.decode() if entry is not None else None

    def list(self, namespace: str | None = None, selector: Any = None) -> Any:
        found = [entry for key, entry in self.entries.items() if namespace is None or key.startswith(f"{namespace}/")]
        return [entry.decode() for entry in found if selector is None or selector.matches(entry.labels)]

    def entries_by_owner(self, uid: str) -> Any:
        return [entry for entry in self.entries.values() if any(owner["uid"] == uid for owner in entry.owners)]

    def keys_by_index(self, name: str, value: str) -> Any:
        return [key for key, entry in self.entries.items() if value in self.indexes[name](entry.decode())]

    def by_index(self, name: str, value: str) -> Any:
        return [entry.decode() for entry in self.entries.values() if value in self.indexes[name](entry.decode())]

    def __len__(self) -> int:
        return len(self.entries)

    def when_seen(self, write: Write, callback: Callable[[], None]) -> Callable[[], None] | None:
        if self.has_seen(write):
            return None
        self.waits.append((write, callback))
        return lambda: None

    def has_seen(self, write: Write) -> bool:
        entry = self.entries.get(write.key)
        return seen(write, entry, self.version)

    def changed(self) -> None:
        due = [wait for wait in self.waits if self.has_seen(wait[0])]
        self.waits = [wait for wait in self.waits if wait not in due]
        for _, callback in due:
            callback()


class FakeRegistration:
    synced = True

    def remove(self) -> None:
        pass


class FakeStatus:
    synced = True
    problem = ""


class FakeInformer:
    def __init__(self, resource: Resource, namespace: str | None, metadata_only: bool) -> None:
        self.resource = resource
        self.namespace = namespace
        self.metadata_only = metadata_only
        self.selection = Selection(resource, namespace, metadata_only=metadata_only)
        self.store = FakeStore()
        self.handlers: list[Callable[[Change], None]] = []
        self.released = False
        self.current = FakeStatus()

    def add_handler(self, handler: Callable[[Change], None], *, apart: str = "") -> FakeRegistration:
        self.handlers.append(handler)
        return FakeRegistration()

    def add_index(self, name: str, function: Callable[[Object], Any]) -> None:
        self.store.indexes = {**self.store.indexes, name: function}

    def idle(self) -> bool:
        return True

    def status(self) -> FakeStatus:
        return self.current

    def show(self, obj: Object | None, *, key: str = "", initial: bool = False, resync: bool = False) -> None:
        """The cache sees this form of an object now; None with a key: it is gone."""
        key = key_of(obj) if obj is not None else key
        old = self.store.entries.get(key)
        new = Entry(encode(clone(obj))) if obj is not None else None
        if new is None:
            self.store.entries.pop(key, None)
        else:
            self.store.entries[key] = new
        kind: Any = "deleted" if new is None else "resync" if resync else "added" if old is None else "modified"
        for handler in self.handlers:
            handler(Change(kind, key, None if kind == "added" else old, new, initial))
        self.store.changed()


class FakeInformers:
    def __init__(self) -> None:
        self.all: list[FakeInformer] = []

    def acquire(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Any = None,
    ) -> Any:
        informer = FakeInformer(resource, namespace, metadata_only)
        self.all.append(informer)
        return informer

    def release(self, informer: FakeInformer) -> None:
        informer.released = True

    def of(self, resource: Resource) -> FakeInformer:
        return next(informer for informer in self.all if informer.resource == resource)


class Bench:
    """A controller over fakes. `echo`: the caches follow the server at once."""

    def __init__(self, made: Reconciler, *, clock: Clock | None = None, echo: bool = True, limits: Limits | None = None) -> None:
        self.client: Any = FakeClient()
        self.informers: Any = FakeInformers()
        self.loop = LoopThread()
        self.recorder = EventRecorder(self.client, clock=clock)
        limits = limits or Limits(workers=2)
        self.caches = Caches(made, self.client, self.informers, made.namespaces or limits.namespaces)
        self.caches.bind()
        self.controller = Controller(
            made,
            self.client,
            self.caches,
            self.recorder,
            limits=limits,
            loop=self.loop,
            clock=clock,
        )
        if echo:
            self.client.changed = self.echo
        self.controller.attach()

    def echo(self, kind: Resource, old: Object | None, new: Object | None) -> None:
        for informer in self.informers.all:
            if informer.resource == kind:
                informer.show(new, key=key_of(old or new or {}))

    def have(self, obj: Object, kind: Resource = FOO, *, initial: bool = False) -> None:
        """The object is on the server and in the cache."""
        self.client.put(kind, obj)
        self.informers.of(kind).show(obj, initial=initial)

    def reconcile(self, expected: str = "default/a") -> None:
        """Run what is queued, on this thread, as a worker would."""
        key = self.controller.queue.get(timeout=0)
        assert key == (expected or key)
        try:
            self.controller._process(key)
        finally:
            self.controller.queue.done(key)

    def close(self) -> None:
        self.controller.stop()
        self.controller.join(self.controller._clock.monotonic() + 5)
        self.controller.close()
        self.caches.release()
        self.loop.stop(5)


def registry_of(function: Callable[..., Any], kind: str = "Foo", **options: Any) -> Reconciler:
    """A reconciler in a registry of its own."""
    return Registry().reconciler(kind, **options)(function)
