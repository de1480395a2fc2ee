"""The API server as a test sees it: objects in, objects out, and waiting for them to become what they should.

Everything goes over HTTP, as kubectl's would, so the same test runs against the sandbox and against a real cluster. Objects
without a namespace go to the test's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operator_kit.clock import Clock
from operator_kit.codec import clone
from operator_kit.errors import AlreadyExists, Conflict, KindNotFound, NotFound
from operator_kit.objects import Object, Resource, describe, gvk_of, kind_of, name_of, namespace_of, resource_version_of, uid_of
from operator_kit.testing.assertions import assert_event, differences
from operator_kit.testing.documents import Source, read_objects

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["PATIENCE", "Cluster", "Expectation"]

PATIENCE = 30.0
"""Seconds that a test waits for what must come. Generous: a busy machine takes its time, and nobody waits longer than he must."""

Expectation = Mapping[str, Any] | Callable[[Object], Any]
"""What an object shall hold at least (see `differences`), or a function that returns False, or fails an assertion, till then."""

_EVENTS = Resource("events.k8s.io", "v1", "Event", "events")
_NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.1  # seconds between two looks at an object that is waited for
_SERVED_TIMEOUT = 30.0  # seconds in which a real server begins to serve a new kind
_SHARED = frozenset({"CustomResourceDefinition", "Namespace"})


class Cluster:
    """Reads and writes for a test. Kinds are written as in `@reconciler`: `"Website"`, `"v1/ConfigMap"`, `"apps/v1/Deployment"`.

    Attributes:
        client: the client behind it, for what is not here.
        namespace: where objects go that name no namespace.
    """

    def __init__(self, client: Client, namespace: str = "default", *, folder: Path | None = None) -> None:
        self.client = client
        self.namespace = namespace
        self._folder = folder
        self._clock = Clock()
        self._own_namespace = False
        self._kinds: dict[Resource, None] = {}  # every namespaced kind that was written, for the cleaning up
        self._scoped: list[tuple[Resource, str, str]] = []  # cluster-scoped objects that were made here

    # ------------------------------------------------------------------ writing

    def load(self, *sources: Source) -> list[Object]:
        """Create or replace objects: those in files, directories, YAML text (it has a line break) and dicts, and CRDs of models.

        CRDs come first and are waited for until they are served; a status that is given is written too. Relative paths are
        looked for from here, then from where the test's file is.

        Returns:
            The objects as the server has them now.

        Raises:
            ConfigError: what is read is no object; it names the file.
            ApiError: the server refuses one.
        """
        return [self._put(obj) for obj in read_objects(*sources, folder=self._folder)]

    def create(self, obj: Mapping[str, Any]) -> Object:
        """Create one object. Raises AlreadyExists, Invalid, …"""
        return self._create(self._resource_of(obj), self._placed(obj))

    def patch(
        self,
        kind: str,
        name: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        namespace: str | None = None,
        type: str = "merge",  # noqa: A002  # the field's word
        subresource: str | None = None,
    ) -> Object:
        """Change an object: `cluster.patch("Website", "blog", {"spec": {"replicas": 3}})`. See `Client.patch`."""
        resource = self._resource(kind)
        where = self._where(resource, namespace)
        return self.client.patch(resource, name, where, body, type=type, subresource=subresource, field_manager="test")

    def delete(self, kind: str, name: str, *, namespace: str | None = None) -> None:
        """Delete an object. Raises NotFound. It may take its time to go: see `wait_gone`."""
        resource = self._resource(kind)
        self.client.delete(resource, name, self._where(resource, namespace), propagation="Background")

    # ------------------------------------------------------------------ reading

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        resource = self._resource(kind)
        try:
            return self.client.get(resource, name, self._where(resource, namespace))
        except NotFound:
            return None

    def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> Sequence[Object]:
        """The objects of a kind, by name; `namespace="*"` for those of all namespaces."""
        resource = self._resource(kind)
        where = None if namespace == "*" else self._where(resource, namespace)
        items = self.client.list_all(resource, where, label_selector=selector).items
        return sorted(items, key=lambda obj: (namespace_of(obj), name_of(obj)))

    def events_of(self, about: Mapping[str, Any] | str, name: str = "", *, namespace: str | None = None) -> Sequence[Object]:
        """The Events about an object (or a kind and a name), oldest first: for `assert_event`.

        An operator writes its Events soon after the fact: call its `settle()` first, or wait for the Event with `wait_event`.
        """
        if isinstance(about, str):
            resource, uid = self._resource(about), ""
            where = self._where(resource, namespace) or ""
        else:
            resource, uid, name, where = self._resource_of(about), uid_of(about), name_of(about), namespace_of(about)
        found = []
        for event in self.client.list_all(_EVENTS, where or "default").items:
            regarding = event.get("regarding") or {}
            same = regarding.get("kind") == resource.kind and regarding.get("name") == name
            if same and (not uid or regarding.get("uid") in {None, uid}):
                found.append(event)
        return sorted(found, key=lambda event: str(event.get("eventTime") or event["metadata"].get("creationTimestamp")))

    # ------------------------------------------------------------------ waiting

    def wait(
        self,
        kind: str,
        name: str,
        expected: Expectation | None = None,
        *,
        namespace: str | None = None,
        timeout: float = PATIENCE,
    ) -> Object:
        """Wait until an object exists and is as expected. Returns it.

        Args:
            kind: its kind.
            name: its name.
            expected: what it shall hold at least, or a function of it. A function that returns nothing, or True, is content; one
                that returns False, fails an assertion or looks for a key that is missing is asked again.
            namespace: its namespace.
            timeout: seconds.

        Raises:
            AssertionError: it was not so in time; the message says what differed the last time.
        """
        __tracebackhide__ = True

        def look() -> tuple[Object | None, str]:
            found = self.get(kind, name, namespace=namespace)
            return found, "it does not exist" if found is None else _unmet(found, expected)

        found = self._until(look, f"{kind} {name}", timeout)
        assert found is not None
        return found

    def wait_gone(self, kind: str, name: str, *, namespace: str | None = None, timeout: float = PATIENCE) -> None:
        """Wait until an object does not exist. Raises AssertionError when it still does; it names what holds it."""
        __tracebackhide__ = True

        def look() -> tuple[Object | None, str]:
            found = self.get(kind, name, namespace=namespace)
            if found is None:
                return None, ""
            holding = found["metadata"].get("finalizers")
            deleting = "deletionTimestamp" in found["metadata"]
            return None, "nobody deleted it" if not deleting else f"it still exists, held by the finalizers {holding}"

        self._until(look, f"{kind} {name}", timeout)

    def wait_event(
        self,
        about: Mapping[str, Any] | str,
        name: str = "",
        *,
        reason: str,
        type_: str | None = None,
        message: str | None = None,
        namespace: str | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        """Wait for an Event about an object (or a kind and a name): an operator writes it a moment after the status.

        Args:
            about: the object, or its kind.
            name: its name, beside a kind.
            reason: the Event's reason.
            type_: `"Normal"` or `"Warning"`.
            message: what the Event's text contains.
            namespace: the object's namespace, beside a kind.
            timeout: seconds.

        Raises:
            AssertionError: there was none in time; the message lists those that are there.
        """
        __tracebackhide__ = True

        def look() -> tuple[Object | None, str]:
            try:
                assert_event(self.events_of(about, name, namespace=namespace), reason=reason, type_=type_, message=message)
            except AssertionError as exc:
                return None, str(exc)
            return None, ""

        self._until(look, describe(about) if not isinstance(about, str) else f"{about} {name}", timeout)

    def _until(self, look: Callable[[], tuple[Object | None, str]], what: str, timeout: float) -> Object | None:
        __tracebackhide__ = True
        deadline = self._clock.monotonic() + timeout
        pause = _FIRST_LOOK
        while True:
            found, unmet = look()
            if not unmet:
                return found
            if self._clock.monotonic() >= deadline:
                raise AssertionError(f"{what}: after {timeout:g} s {unmet}")
            self._clock.sleep(pause)
            pause = min(_LONGEST_LOOK, pause * 1.5)

    # ------------------------------------------------------------------ inside

    def _resource(self, kind: str) -> Resource:
        return self.client.discovery.resolve(kind)

    def _resource_of(self, obj: Mapping[str, Any]) -> Resource:
        return self.client.discovery.for_object(obj)

    def _where(self, resource: Resource, namespace: str | None) -> str | None:
        return (namespace or self.namespace) if resource.namespaced else None

    def _placed(self, obj: Mapping[str, Any]) -> Object:
        """A copy of the object, in the test's namespace unless it names one."""
        placed: Object = clone(dict(obj))
        meta = placed.setdefault("metadata", {})
        if self._resource_of(obj).namespaced:
            meta.setdefault("namespace", self.namespace)
        return placed

    def _create(self, resource: Resource, obj: Object) -> Object:
        made = self.client.create(resource, obj, field_manager="test")
        if resource.namespaced:
            self._kinds[resource] = None
        elif resource.kind not in _SHARED:
            self._scoped.append((resource, name_of(made), uid_of(made)))
        return made

    def _put(self, obj: Object) -> Object:
        resource, obj = self._resource_of(obj), self._placed(obj)
        try:
            made = self._create(resource, obj)
        except AlreadyExists:
            made = self._replace(resource, obj)
        if obj.get("status") and "status" in resource.subresources and kind_of(obj) not in _SHARED:
            body = {"status": obj["status"]}
            where = namespace_of(made) or None
            made = self.client.patch(resource, name_of(made), where, body, subresource="status", field_manager="test")
        if resource.kind == "CustomResourceDefinition":
            self._wait_served(obj)
        return made

    def _replace(self, resource: Resource, obj: Object) -> Object:
        while True:
            live = self.client.get(resource, name_of(obj), namespace_of(obj) or None)
            obj["metadata"]["resourceVersion"] = resource_version_of(live)
            obj["metadata"].setdefault("finalizers", live["metadata"].get("finalizers", []))  # they are others' to take off
            try:
                return self.client.replace(resource, obj, field_manager="test")
            except Conflict:  # an operator wrote in between
                continue

    def _wait_served(self, crd: Object) -> None:
        """Wait until the new kind can be found: a real server takes a second or two."""
        spec = crd["spec"]
        deadline = self._clock.monotonic() + _SERVED_TIMEOUT
        for version in spec["versions"]:
            if not version.get("served"):
                continue
            gvk = gvk_of({"apiVersion": f"{spec['group']}/{version['name']}", "kind": spec["names"]["kind"]})
            while True:
                self.client.discovery.refresh()
                try:
                    self.client.discovery.for_gvk(gvk)
                    break
                except KindNotFound:
                    if self._clock.monotonic() >= deadline:
                        raise
                    self._clock.sleep(_LONGEST_LOOK)

    # ------------------------------------------------------------------ a namespace of one's own, on a real cluster

    def own_namespace(self) -> None:
        """Make a namespace for this test alone. On a shared cluster; `clean` deletes it."""
        name = f"operator-kit-test-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"operator-kit/test": "true"}}}
        self.client.create(_NAMESPACES, body)
        self.namespace, self._own_namespace = name, True

    def clean(self, kinds: Iterable[str] = ()) -> None:
        """Delete the namespace made for the test, and the cluster-scoped objects the test made but for CRDs and namespaces.

        Operators are stopped by now: finalizers on what is in the namespace are nobody's any more, and are taken off.

        Args:
            kinds: further kinds whose objects may carry finalizers, as an operator names them.
        """
        for resource, name, uid in reversed(self._scoped):
            self._gone(resource, name, None, uid)
        if not self._own_namespace:
            return
        for kind in kinds:
            try:
                resource = self._resource(kind)
            except KindNotFound:
                continue  # nothing of it can be there
            if resource.namespaced:
                self._kinds[resource] = None
        self.client.delete(_NAMESPACES, self.namespace)
        for resource in self._kinds:
            for obj in self.client.list_all(resource, self.namespace).items:
                if obj["metadata"].get("finalizers"):
                    self._gone(resource, name_of(obj), self.namespace, uid_of(obj))

    def _gone(self, resource: Resource, name: str, namespace: str | None, uid: str) -> None:
        """Delete an object and take off its finalizers. One that is gone, or another of its name, is left alone."""
        try:
            self.client.delete(resource, name, namespace, uid=uid)
            self.client.patch(resource, name, namespace, {"metadata": {"uid": uid, "finalizers": None}})
        except (NotFound, Conflict):
            return

    def __repr__(self) -> str:
        return f"<Cluster {self.client.host}, namespace {self.namespace}>"


def _unmet(found: Object, expected: Expectation | None) -> str:
    """What is not as expected yet; empty when all is."""
    if expected is None:
        return ""
    if isinstance(expected, Mapping):
        told = list(differences(found, expected))
        return f"{describe(found)} is not as expected:\n" + "\n".join(f"  {line}" for line in told) if told else ""
    try:
        content = expected(found)
    except AssertionError as exc:
        return str(exc) or "the assertion fails"
    except LookupError as exc:  # lambda site: site["status"]["url"] == …, while there is no status
        return f"{describe(found)} lacks something: {type(exc).__name__}: {exc}"
    return (
        "" if content is None or content else f"{getattr(expected, '__name__', expected)} is not content with {describe(found)}"
    )
