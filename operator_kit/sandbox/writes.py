"""Creates, updates and patches: the order of steps in which a kube-apiserver takes a write, the same for every kind.

decode -> fit to the request -> unknown fields and defaults -> admission -> what the server fills in -> managedFields ->
validation -> optimistic lock -> store. Nothing is stored unless every step agreed; an update that changes nothing keeps the
version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.sandbox import metadata, semantics, strategies
from operator_kit.sandbox.conversion import to_storage
from operator_kit.sandbox.patch import PatchKind, patch
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.status import (
    Cause,
    already_exists,
    bad_request,
    conflict,
    generic_error,
    invalid,
    method_not_supported,
    not_found,
)
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.views import View
from operator_kit.sandbox.world import World

__all__ = ["Patch", "Writer", "Written"]

Object = dict[str, Any]
Change = Callable[[Object], Object]

OBJECT_LIMIT = 1_572_864
"""Bytes an object may have: what an etcd takes in one request."""
_STALE = "the object has been modified; please apply your changes to the latest version and try again"


class Patch(NamedTuple):
    """A patch as it was sent."""

    kind: PatchKind
    body: bytes


class Written(NamedTuple):
    """What a write left: the entry (not stored in a dry run), and whether it is new."""

    entry: Entry
    created: bool = False


class Writer:
    """The writes of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    # ------------------------------------------------------------------ create

    def create(self, served: Served, namespace: str, obj: Object, options: WriteOptions) -> Written:
        """Create an object. The object is taken over: the caller keeps no reference."""
        self._fit(served, obj)
        self._place(served, namespace, obj["metadata"])
        strategies.strip_create(served, obj)
        semantics.conform(served, obj, options)
        return self._create(served, namespace, obj, options)

    def _create(self, served: Served, namespace: str, obj: Object, options: WriteOptions, *, applied: bool = False) -> Written:
        meta: Object = obj["metadata"]
        if served.terminating:
            text = "create not allowed while custom resource definition is terminating"
            raise method_not_supported(served.group, served.plural, text)
        name = meta.get("name") or ""
        strategies.check_admission(self._world, served, namespace, name)
        generated = not name and bool(meta.get("generateName"))
        if generated:
            meta["name"] = name = metadata.generated_name(meta["generateName"])
        if not applied:
            meta.pop("managedFields", None)
            semantics.own_update(served, None, obj, options, subresource="", now=self._world.clock.now())
        strategies.prepare_create(self._world, served, obj)
        self._check(served, obj, None, metadata.check_new(meta, strategies.name_rule(served)))
        if meta.get("resourceVersion"):
            raise generic_error("resourceVersion should not be set on objects to be created")
        meta.pop("resourceVersion", None)
        self._allocate(served, obj, None)
        if options.admit is not None:
            options.admit(served, obj, None, "")
        store, key = served.objects(), served.key(namespace, name)
        existing = store.get(key)
        if existing is not None:
            raise already_exists(served.group, served.plural, name, deleting="deletionTimestamp" in existing.obj["metadata"])
        if options.may_create is not None:
            options.may_create()
        return Written(self._commit(served, key, obj, options), created=True)

    # ------------------------------------------------------------------ update

    def update(
        self, served: Served, namespace: str, name: str, obj: Object, options: WriteOptions, *, subresource: str = ""
    ) -> Written:
        """Replace an object, or (`subresource` status) its status. The object is taken over."""
        self._fit(served, obj)
        self._place(served, namespace, obj["metadata"])
        self._check_name(obj, name)
        semantics.conform(served, obj, options)
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            if not served.rules.create_on_update or subresource:
                raise not_found(served.group, served.plural, name)
            strategies.strip_create(served, obj)
            return self._create(served, namespace, obj, options)
        live = self._live(served, entry)
        self._lock(served, live, obj["metadata"], name)
        return self._replace(served, entry, live, obj, options=options, subresource=subresource)

    def modify(
        self, served: Served, namespace: str, name: str, change: Change, options: WriteOptions, *, subresource: str = ""
    ) -> Written:
        """Update an object by a function of its live, private copy (scale and the controllers use it)."""
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            raise not_found(served.group, served.plural, name)
        live = self._live(served, entry)
        obj = change(self._private(served, entry))
        self._lock(served, live, obj["metadata"], name)
        return self._replace(served, entry, live, obj, options=options, subresource=subresource)

    def patch(
        self,
        served: Served,
        namespace: str,
        name: str,
        sent: Patch,
        options: WriteOptions,
        *,
        subresource: str = "",
    ) -> Written:
        """Apply a merge, JSON or strategic patch."""
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            raise not_found(served.group, served.plural, name)
        live = self._live(served, entry)
        obj = patch(sent.kind, self._private(served, entry), sent.body, semantics.structure_of(served))
        self._fit(served, obj)
        self._place(served, namespace, obj["metadata"])
        semantics.conform(served, obj, options, patch=sent.body.decode(errors="replace"))
        self._check_name(obj, name)
        self._lock(served, live, obj["metadata"], name)
        return self._replace(served, entry, live, obj, options=options, subresource=subresource)

    def apply(
        self, served: Served, namespace: str, name: str, applied: Object, options: WriteOptions, *, subresource: str = ""
    ) -> Written:
        """Server-side apply: create the object, or merge what this manager wants into it."""
        self._fit_applied(served, namespace, name, applied)
        now = self._world.clock.now()
        entry = served.objects().get(served.key(namespace, name))
        if entry is None:
            if subresource:
                raise not_found(served.group, served.plural, name)
            uid = applied["metadata"].get("uid")
            if uid:
                text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise conflict(served.group, served.plural, name, text)
            strategies.strip_create(served, applied)
            obj = semantics.own_apply(served, None, applied, options, subresource="", now=now)
            semantics.conform(served, obj, options)
            return self._create(served, namespace, obj, options, applied=True)
        live = self._live(served, entry)
        applied_version = applied["metadata"].get("resourceVersion")
        if applied_version:
            self._lock(served, live, applied["metadata"], name)
        obj = semantics.own_apply(served, self._private(served, entry), applied, options, subresource=subresource, now=now)
        obj["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        semantics.conform(served, obj, options)
        return self._replace(served, entry, live, obj, options=options, subresource=subresource, applied=True)

    # ------------------------------------------------------------------ the common steps

    def _live(self, served: Served, entry: Entry) -> Object:
        """The stored object in the served version. Shared: not to be changed."""
        return View(served).obj(entry)

    def _private(self, served: Served, entry: Entry) -> Object:
        """A copy of what `_live` shows. Decoding the bytes that answered the last reader is the fastest way to one."""
        copy: Object = codec.loads(View(served).encode(entry))
        return copy

    def _fit(self, served: Served, obj: Object) -> None:
        """Type and version of what was sent must be the resource's; what is left out is filled in."""
        api_version, kind = obj.get("apiVersion") or served.api_version, obj.get("kind") or served.kind
        if served.custom and not obj.get("kind"):
            text = f"Object 'Kind' is missing in '{codec.dumps(obj).decode()}'"
            raise bad_request(f"the object provided is unrecognized (must be of type {served.kind}): {text}")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            raise bad_request("json: cannot unmarshal object into Go struct field TypeMeta of type string")
        if api_version != served.api_version:
            raise bad_request(
                f"the API version in the data ({api_version}) does not match the expected API version ({served.api_version})"
            )
        if kind != served.kind:
            if served.custom:
                cause = Cause("FieldValueInvalid", f'Invalid value: "{kind}": must be {served.kind}', "kind")
                name = (obj.get("metadata") or {}).get("name", "")
                raise invalid(served.group, kind, name, [cause])
            text = f"converting (v1.{kind}) to (core.{served.kind}): unknown conversion"
            raise bad_request(f'{kind} in version "{served.version}" cannot be handled as a {served.kind}: {text}')
        obj["apiVersion"], obj["kind"] = api_version, kind
        if obj.get("metadata") is None:
            obj["metadata"] = {}
        problem = metadata.check_types(obj["metadata"])
        if problem:
            raise bad_request(
                f'{served.kind} in version "{served.version}" cannot be handled as a {served.kind}: json: {problem}'
            )
        metadata.drop_empty(obj["metadata"])

    @staticmethod
    def _place(served: Served, namespace: str, meta: Object) -> None:
        """The object's namespace must be the request's."""
        if not served.namespaced:
            meta.pop("namespace", None)
        elif meta.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")

    @staticmethod
    def _check_name(obj: Mapping[str, Any], name: str) -> None:
        given = obj["metadata"].get("name")
        if not given:
            raise bad_request("name must be provided")
        if given != name:
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")

    def _fit_applied(self, served: Served, namespace: str, name: str, applied: Object) -> None:
        api_version, kind = applied.get("apiVersion") or "", applied.get("kind") or ""
        if (api_version, kind) != (served.api_version, served.kind):
            group, _, version = str(api_version).rpartition("/")
            raise bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
        self._fit(served, applied)
        meta = applied["metadata"]
        self._place(served, namespace, meta)
        meta.setdefault("name", name)
        self._check_name(applied, name)
        if meta.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")

    def _lock(self, served: Served, live: Object, meta: Object, name: str) -> None:
        """The optimistic lock: the version and uid sent must be those that are stored. Fills in what was left out."""
        old = live["metadata"]
        uid = meta.get("uid")
        if uid and uid != old["uid"]:
            text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
            raise conflict(served.group, served.plural, name, text)
        version = meta.get("resourceVersion")
        if not version or version == "0":
            if not served.rules.unconditional_update:
                cause = Cause(
                    "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
                )
                raise invalid(served.group, served.plural, name, [cause])
            meta["resourceVersion"] = old["resourceVersion"]
        elif version != old["resourceVersion"]:
            if not version.isdigit():
                cause = Cause("FieldValueInvalid", f'Invalid value: "{version}": must be a number', "metadata.resourceVersion")
                raise invalid(served.group, served.plural, name, [cause])
            raise conflict(served.group, served.plural, name, _STALE)

    def _replace(
        self,
        served: Served,
        entry: Entry,
        live: Object,
        obj: Object,
        *,
        options: WriteOptions,
        subresource: str,
        applied: bool = False,
    ) -> Written:
        """The second half of every update: keep what a write cannot change, own, validate, store."""
        meta: Object = obj["metadata"]
        metadata.keep_system_fields(meta, live["metadata"])
        obj = strategies.prepare_update(served, obj, live, subresource)
        meta = obj["metadata"]
        if not applied:
            semantics.own_update(served, live, obj, options, subresource=subresource, now=self._world.clock.now())
        self._check(served, obj, live, metadata.check_update(meta, live["metadata"]), subresource)
        if not subresource:
            self._allocate(served, obj, live)
        if _same(obj, live):
            return Written(entry)
        if options.admit is not None:
            options.admit(served, obj, live, subresource)
        if "deletionTimestamp" in meta and strategies.finished(served, obj):
            return Written(self._finish(served, entry, obj, options))
        return Written(self._commit(served, entry.key, obj, options, entry))

    @staticmethod
    def _check(served: Served, obj: Object, old: Object | None, prior: list[Cause], subresource: str = "") -> None:
        causes = semantics.validate(served, obj, old, prior, subresource=subresource)
        if causes:
            raise invalid(served.group, served.kind, obj["metadata"].get("name", ""), causes)

    def _allocate(self, served: Served, obj: Object, old: Object | None) -> None:
        causes = strategies.allocate(self._world, served, obj, old)
        if causes:
            raise invalid(served.group, served.kind, obj["metadata"]["name"], causes)

    def _finish(self, served: Served, entry: Entry, obj: Object, options: WriteOptions) -> Entry:
        """The last finalizer is gone: the object goes without being stored again; the answer shows it as it would have been."""
        if not options.dry_run:
            served.objects().remove(entry.key)
        return Entry(entry.key, to_storage(served, obj), entry.version, _form(served))

    def _commit(self, served: Served, key: str, obj: Object, options: WriteOptions, old: Entry | None = None) -> Entry:
        stored = to_storage(served, obj)
        if options.dry_run:
            return Entry(key, stored, 0, _form(served))
        # Only what may be too large is measured: an object has at most what it had and what was sent.
        possible = options.body_size + (old.size() if old is not None else 0)
        if possible > OBJECT_LIMIT // 4 and len(codec.dumps(stored)) > OBJECT_LIMIT:
            raise generic_error("etcdserver: request is too large")
        return served.objects().put(key, stored, _form(served))


def _form(served: Served) -> Served | None:
    """The mark of an object that was written in the version it is stored in: it is shown as it is."""
    return served if served.api_version == served.storage_version else None


def _same(new: Object, old: Object) -> bool:
    """Whether an update changes nothing but, at most, the times in managedFields."""
    if new == old:
        return True
    if any(new.get(field) != old.get(field) for field in new.keys() | old.keys() if field != "metadata"):
        return False
    new_meta, old_meta = new["metadata"], old["metadata"]
    if any(new_meta.get(field) != old_meta.get(field) for field in new_meta.keys() | old_meta.keys() if field != "managedFields"):
        return False

    def timeless(meta: Object) -> list[Object]:
        return [{**item, "time": None} for item in meta.get("managedFields") or ()]

    return timeless(new_meta) == timeless(old_meta)
