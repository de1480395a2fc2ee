"""The caches one controller or task reads: which kinds it declared, their informers, and reads over several namespaces as if they
were one.

`Caches.bind` resolves the kinds that are named, and takes the informers it needs from the shared set; `release` gives
them back. A Secret that is owned or watched is cached by its metadata only, unless `reads` asks for it: secrets of a whole
cluster have no business in a process's memory. Of other kinds the author says how little is enough (`cached.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from operator_kit.codec import clone
from operator_kit.controller.cached import Cached
from operator_kit.controller.finalizers import finalizer_name
from operator_kit.controller.ownership import Marks, owner_value
from operator_kit.controller.registered import Reconciler
from operator_kit.errors import KindNotFound, NotCached, UsageError
from operator_kit.objects import Object, Resource, metadata_of, split_key
from operator_kit.selectors import LabelSelector
from operator_kit.settings import suggest

if TYPE_CHECKING:
    from operator_kit.api import Cancel, Client, Selection
    from operator_kit.cache import Change, Entry, IndexFunction, Informer, Informers, Registration, Store
    from operator_kit.controller.registered import Task

Objects: TypeAlias = list[Object]  # inside Lister, `list` is a method
Entries: TypeAlias = "list[Entry]"

__all__ = ["Caches", "Lister", "Objects"]

WHOLE = Cached()
_log = logging.getLogger("operator_kit.controller")


class Lister:
    """Reads of one kind from its caches. Everything handed out is a private copy.

    Attributes:
        resource: the kind.
        metadata_only: whether the caches hold metadata alone.
        partial: whether they hold less than the whole of an object: metadata alone, or what a transform leaves.
        labelled: the index by the label that names the owner; empty where the kind has no children by label.
        selector: the labels that an object must have to be in the caches; empty for all.
    """

    def __init__(
        self, resource: Resource, informers: Mapping[str, Informer], cached: Cached = WHOLE, *, selector: str = ""
    ) -> None:
        self.resource = resource
        self.metadata_only = cached.metadata_only
        self.partial = cached.metadata_only or cached.transform is not None
        self._narrow = cached.narrow
        self.selector = selector
        self._selector = LabelSelector.parse(selector)
        self.labelled = ""
        self._informers = dict(informers)  # by namespace; "" for all

    @property
    def informers(self) -> Sequence[Informer]:
        """The informers behind it."""
        return tuple(self._informers.values())

    @property
    def namespaces(self) -> Sequence[str]:
        """The namespaces whose objects are in the caches; the empty text for all."""
        return tuple(self._informers)

    def covers(self, namespace: str) -> bool:
        """Whether the objects of this namespace are in the caches, every one that the reconciler may see."""
        return not self._narrow and ("" in self._informers or namespace in self._informers)

    def leaves_out(self, obj: Mapping[str, Any]) -> bool:
        """Whether its labels keep an object out of the caches."""
        return bool(self.selector) and not self._selector.matches(metadata_of(obj).get("labels") or {})

    def _of(self, namespace: str) -> Informer:
        informer = self._informers.get("") or self._informers.get(namespace)
        if informer is None:
            raise NotCached(
                f"{self.resource.kind}s of namespace {namespace or '(none)'} are not cached, only those of "
                f"{', '.join(self._informers)}; add the namespace, or read live with ctx.live"
            )
        return informer

    def selections(self, namespace: str | None) -> list[Selection]:
        """What the caches hold of a namespace (None: of all that are cached): what a live list must ask for to find the same."""
        if namespace:
            return [replace(self._of(namespace).selection, namespace=namespace)]
        return [informer.selection for informer in self.informers]

    def store(self, namespace: str) -> Store:
        """The store that covers a namespace. Raises `NotCached` when none does."""
        return self._of(namespace).store

    def entry(self, key: str) -> Entry | None:
        """The cache's entry for a key, or None."""
        return self._of(split_key(key)[0]).store.entry(key)

    def get(self, key: str) -> Object | None:
        """The object of a key, or None."""
        return self._of(split_key(key)[0]).store.get(key)

    def list(self, namespace: str | None, selector: LabelSelector | None) -> Objects:
        """The objects of one namespace (None: of all that are cached) whose labels match."""
        if namespace:
            return self._of(namespace).store.list(namespace, selector)
        return [obj for informer in self.informers for obj in informer.store.list(None, selector)]

    def by_index(self, name: str, value: str) -> Objects:
        """The objects an index holds under a value."""
        return [obj for informer in self.informers for obj in informer.store.by_index(name, value)]

    def children(self, uid: str) -> Entries:
        """The objects that the object with this uid owns: by an owner reference, or by label."""
        found = [entry for informer in self.informers for entry in informer.store.entries_by_owner(uid)]
        if self.labelled:
            keys = {entry.key for entry in found}
            found += [entry for entry in self.by_label(uid) if entry.key not in keys]
        return found

    def by_label(self, uid: str) -> Entries:
        """The objects that are by label, and by nothing else, children of the object with this uid."""
        value = owner_value(uid)
        entries = [
            informer.store.entry(key) for informer in self.informers for key in informer.store.keys_by_index(self.labelled, value)
        ]
        return [entry for entry in entries if entry is not None and entry.controller is None]

    def __len__(self) -> int:
        return sum(len(informer.store) for informer in self.informers)

    def __repr__(self) -> str:
        return f"<Lister of {self.resource} in {', '.join(self._informers) if '' not in self._informers else 'all namespaces'}>"


def check_kinds(made: Reconciler | Task, resolved: Mapping[str, Resource]) -> None:
    """Raise `UsageError` for kinds that cannot be used as they are declared.

    Args:
        made: the reconciler or task.
        resolved: what discovery knows of its kinds, by their names; names that are missing are passed over.
    """
    for name, resource in resolved.items():
        missing = {"list", "watch"} - resource.verbs
        if resource.verbs and missing:
            raise UsageError(f"{made.name}: {name} cannot be cached: the API server offers no {' and no '.join(sorted(missing))}")
    if not isinstance(made, Reconciler):
        return
    own = resolved.get(made.kind)
    children = [resolved.get(child) for child in (*made.owns, *made.owns_by_label)]
    for name, cached in made.cache.items():
        said = resolved.get(name)
        if said is not None and said == own:
            raise UsageError(
                f"{made.name}: cache= is for what it watches or reads, and {name} is what it reconciles; use selector="
            )
        if said is not None and said in children and (cached.narrow or cached.transform is not None):
            raise UsageError(
                f"{made.name} owns {name}: whether children are as desired is told by all of them and the whole of each; "
                "of Cached(…) only metadata_only is for them"
            )
    for child in made.owns:
        if own is not None and own.namespaced and child in resolved and not resolved[child].namespaced:
            raise UsageError(
                f"{made.name} owns {child}: no owner reference of a namespaced {own.kind} reaches what is cluster-scoped; "
                f"use owns_by_label=[{child!r}]"
            )


class Caches:
    """The declared kinds of one reconciler or task, bound to the API server.

    Attributes:
        namespaces: the only ones that are read; empty for all.
        own: the lister of the reconciled kind. Only after `bind`, and not for a task.
        owned: the listers of the kinds of children. Only after `bind`.
    """

    def __init__(self, made: Reconciler | Task, client: Client, informers: Informers, namespaces: Sequence[str]) -> None:
        self._made = made
        self._client = client
        self._informers = informers
        self.namespaces = tuple(namespaces)
        self._acquired: list[Informer] = []
        self._registrations: list[Registration] = []
        self._by_kind: dict[tuple[str, str], Lister] = {}
        self._by_name: dict[str, Resource] = {}
        self._indexes: dict[tuple[str, str], dict[str, tuple[str, IndexFunction]]] = {}
        self._lock = threading.Lock()
        self._owner_of: Callable[[Object], Iterable[str]] | None = None
        self.own: Lister
        self.owned: tuple[Lister, ...] = ()

    def bind(self, cancel: Cancel | None = None) -> None:
        """Resolve the kinds and take the informers. After a failure nothing is held, and it may be tried again.

        `cancel` ends it from another thread.

        Raises:
            KindNotFound: a kind is not served (yet).
            AmbiguousKind: a kind must be written with its group.
            UsageError: a kind that cannot be reconciled as declared.
            ApiError, ConnectionFailed: discovery failed.
            Cancelled: it was ended.
        """
        try:
            self._bind(cancel)
        except BaseException:
            self.release()
            raise

    def _bind(self, cancel: Cancel | None) -> None:
        made = self._made
        resolved = {name: self._client.discovery.resolve(name, cancel=cancel) for name in made.kinds()}
        own = resolved[made.kind] if isinstance(made, Reconciler) else None
        reads = {(resource.group, resource.kind) for name, resource in resolved.items() if resource == own or name in made.reads}
        check_kinds(made, resolved)
        little = made.cache if isinstance(made, Reconciler) else {}
        said = {(resolved[name].group, resolved[name].kind): cached for name, cached in little.items()}
        for name, resource in resolved.items():
            identity = (resource.group, resource.kind)
            if identity not in self._by_kind:
                cached = said.get(identity, WHOLE)
                if identity == ("", "Secret") and identity not in reads:
                    cached = replace(cached, metadata_only=True)
                selector = made.selector if isinstance(made, Reconciler) and resource == own else cached.selector
                self._by_kind[identity] = self._acquire(resource, selector, cached)
            elif self._by_kind[identity].resource.version != resource.version:
                raise UsageError(f"{made.name} names {resource.kind} in two versions; write the same one everywhere")
            self._by_name[name] = self._by_kind[identity].resource
        if isinstance(made, Reconciler):
            self._bind_objects(made, resolved)
        for shared in made.shared_indexes:
            try:
                resource = resolved.get(shared.kind) or self._client.discovery.resolve(shared.kind, cancel=cancel)
            except KindNotFound:
                continue  # so it is none of these
            # Of one name on every informer: what several share is computed once.
            self._add_index(resource, shared.name, f"{shared.where}/{shared.name}", shared.function, shared.where)

    def _bind_objects(self, made: Reconciler, resolved: Mapping[str, Resource]) -> None:
        """What a reconciler has besides: objects of its own, their children, and indexes for it alone."""
        own = resolved[made.kind]
        self.own = self._by_kind[own.group, own.kind]
        owned = {name: self._by_kind[resolved[name].group, resolved[name].kind] for name in (*made.owns, *made.owns_by_label)}
        self.owned = tuple(dict.fromkeys(owned.values()))
        for name in made.owns_by_label:
            self._index_by_label(owned[name], Marks(finalizer_name(own, made.name)).owner)
        for name, indexes in made.indexes.items():
            for index, function in indexes.items():
                self._add_index(resolved[name], index, self._index_name(index), function, made.where)

    def _add_index(self, resource: Resource, index: str, stored: str, function: IndexFunction, place: str) -> None:
        lister = self.find(resource)
        if lister is None:
            return
        known = self._indexes.setdefault((resource.group, resource.kind), {})
        if index in known:
            raise UsageError(f"{self._made.name} has two indexes {index!r} over {resource.kind}, one of them at {place}")
        known[index] = (stored, function)
        for informer in lister.informers:
            informer.add_index(stored, function)

    def _index_by_label(self, lister: Lister, label: str) -> None:
        # One function for good: kinds may be bound more than once, to informers that are there already.
        if self._owner_of is None:
            self._owner_of = lambda obj: [
                value for name, value in (metadata_of(obj).get("labels") or {}).items() if name == label
            ]
        lister.labelled = self._index_name("(owner)")
        for informer in lister.informers:
            informer.add_index(lister.labelled, self._owner_of)

    def is_labelled(self, resource: Resource) -> bool:
        """Whether children of this kind may belong to their owner by label."""
        lister = self.find(resource)
        return lister is not None and bool(lister.labelled)

    def _index_name(self, index: str) -> str:
        # Informers are shared: two controllers may both have an index of this name.
        return f"{self._made.name}/{index}"

    def _acquire(self, resource: Resource, selector: str, cached: Cached) -> Lister:
        namespaces: Iterable[str] = self.namespaces if self.namespaces and resource.namespaced else ("",)
        held: dict[str, Informer] = {}
        for namespace in namespaces:
            informer = self._informers.acquire(
                resource,
                namespace=namespace or None,
                label_selector=selector,
                field_selector=cached.fields,
                metadata_only=cached.metadata_only,
                transform=cached.transform,
            )
            self._acquired.append(informer)
            held[namespace] = informer
        return Lister(resource, held, cached, selector=selector)

    def detach(self) -> None:
        """Take the handlers back. The caches go on."""
        for registration in self._registrations:
            registration.remove()
        self._registrations = []

    def release(self) -> None:
        """Give everything back."""
        self.detach()
        for informer in self._acquired:
            self._informers.release(informer)
        self._acquired = []
        self._by_kind.clear()
        self._by_name.clear()
        self._indexes.clear()

    def add_handler(self, resource: Resource, handler: Callable[[Change], None], *, apart: str = "") -> None:
        """Have the changes of a declared kind handled; on threads of its own where `apart` names it: it may be slow, or hang."""
        for informer in self._by_kind[resource.group, resource.kind].informers:
            self._registrations.append(informer.add_handler(handler, apart=apart))

    def resource(self, name: str) -> Resource:
        """The kind that a declared name stands for."""
        return self._by_name[name]

    def synced(self) -> bool:
        """Whether every cache is synced and every handler has seen the initial objects."""
        return all(informer.status().synced for informer in self._acquired) and all(
            registration.synced for registration in self._registrations
        )

    def idle(self) -> bool:
        """Whether the handlers that are apart have heard of everything so far."""
        return all(informer.idle() for informer in self._acquired)

    def statuses(self) -> list[Any]:
        """The status of every informer behind it."""
        return [informer.status() for informer in self._acquired]

    def resolve(self, name: str) -> Resource:
        """The kind a name stands for, declared or not. Raises as discovery does."""
        with self._lock:
            known = self._by_name.get(name)
        if known is None:
            known = self._client.discovery.resolve(name)
            with self._lock:
                self._by_name[name] = known
        return known

    def find(self, resource: Resource) -> Lister | None:
        """The lister of a kind in the version it is cached in, or None when it is not cached."""
        lister = self._by_kind.get((resource.group, resource.kind))
        return lister if lister is not None and lister.resource.version == resource.version else None

    def shows(self, resource: Resource, key: str) -> bool:
        """Whether the object of a key would be in the caches."""
        lister = self.find(resource)
        return lister is not None and lister.covers(split_key(key)[0])

    def leaves_out(self, resource: Resource, obj: Mapping[str, Any]) -> bool:
        """Whether an object of a kind that is cached will not be in the caches, for want of labels."""
        lister = self.find(resource)
        return lister is not None and lister.leaves_out(obj)

    def lister(self, name: str) -> Lister:
        """The lister of a kind. Raises `NotCached` when nobody declared it."""
        found = self.find(self.resolve(name))
        if found is None:
            raise NotCached(
                f"{self._made.name} does not cache {name}: declare it with reads=[{name!r}], or read it live with ctx.live.get(…)"
            )
        return found

    def by_index(self, name: str, index: str, value: str) -> Objects:
        """What an index of this reconciler holds under a value. Raises `UsageError` for an index that does not exist."""
        stored, _ = self._index(name, index)
        return self.lister(name).by_index(stored, value)

    def found_by(self, name: str, index: str, value: str, objects: Iterable[Object]) -> Objects:
        """Those of the objects, read live, that the index would hold under the value. Errors as for `by_index`."""
        (_, function), metadata_only = self._index(name, index), self.lister(name).metadata_only

        def values(obj: Object) -> set[str]:
            seen = {field: obj[field] for field in ("apiVersion", "kind", "metadata")} if metadata_only else obj
            try:
                return {str(found) for found in function(clone(seen))}
            except Exception:  # noqa: BLE001  # as in the cache: what an index fails for is not found by it
                _log.debug("index %r over %s failed for an object that was read live", index, name, exc_info=True)
                return set()

        return [obj for obj in objects if value in values(obj)]

    def _index(self, name: str, index: str) -> tuple[str, IndexFunction]:
        resource = self.lister(name).resource
        known = self._indexes.get((resource.group, resource.kind), {})
        if index not in known:
            decorator = f"@{self._made.name}.index" if isinstance(self._made, Reconciler) else "@index"
            hint = suggest(index, known) if known else f"; write one with {decorator}({name!r}, {index!r})"
            raise UsageError(f"{self._made.name} has no index {index!r} over {name}{hint}")
        return known[index]
