"""Kubernetes objects as plain dicts: keys, kinds, resources and the metadata everyone reads.

An *object* is the JSON an API server sends, as a dict. A *key* is the text `"namespace/name"`, or `"name"` for cluster-scoped
kinds. Nothing here talks to a server, and nothing here changes what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "GVK",
    "Object",
    "Resource",
    "api_version_of",
    "controller_of",
    "describe",
    "gvk_of",
    "is_deleting",
    "is_owned_by",
    "join_key",
    "key_of",
    "kind_of",
    "metadata_of",
    "name_of",
    "namespace_of",
    "owner_reference",
    "resource_version_of",
    "split_key",
    "uid_of",
]

Object: TypeAlias = dict[str, Any]


class GVK(NamedTuple):
    """Group, version and kind. The core group is the empty text."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`, as it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, api_version: str, kind: str) -> GVK:
        """From an object's `apiVersion` and `kind`."""
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as an API server serves it: what discovery says of one resource.

    `plural` is the name in the path, `verbs` and `subresources` are what discovery lists (e.g. `{"status", "scale"}`).
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    verbs: frozenset[str] = field(default=frozenset(), compare=False)
    subresources: frozenset[str] = field(default=frozenset(), compare=False)

    def __hash__(self) -> int:
        return hash((self.group, self.plural))  # a key of many tables, and hardly any two are alike in these

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.group, self.version, self.kind)

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """`"pods"` or `"deployments.apps"`, as the server's messages and RBAC write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object, or of its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


def metadata_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object's metadata, or an empty mapping where it has none (or none that is a mapping)."""
    meta = obj.get("metadata")
    return meta if type(meta) is dict or isinstance(meta, Mapping) else {}  # an abstract class takes its time to know a dict


def name_of(obj: Mapping[str, Any]) -> str:
    """`metadata.name`, or empty."""
    return str(metadata_of(obj).get("name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """`metadata.namespace`, or empty for cluster-scoped objects."""
    return str(metadata_of(obj).get("namespace") or "")


def uid_of(obj: Mapping[str, Any]) -> str:
    """`metadata.uid`, or empty."""
    return str(metadata_of(obj).get("uid") or "")


def resource_version_of(obj: Mapping[str, Any]) -> str:
    """`metadata.resourceVersion`, or empty. Opaque to most; see `operator_kit.cache` for where it is compared."""
    return str(metadata_of(obj).get("resourceVersion") or "")


def api_version_of(obj: Mapping[str, Any]) -> str:
    """`apiVersion`, or empty."""
    return str(obj.get("apiVersion") or "")


def kind_of(obj: Mapping[str, Any]) -> str:
    """`kind`, or empty."""
    return str(obj.get("kind") or "")


def gvk_of(obj: Mapping[str, Any]) -> GVK:
    """Group, version and kind of an object."""
    return GVK.of(api_version_of(obj), kind_of(obj))


def is_deleting(obj: Mapping[str, Any]) -> bool:
    """Whether the object has a deletion timestamp: it lives only until its finalizers are gone."""
    return bool(metadata_of(obj).get("deletionTimestamp"))


def join_key(namespace: str | None, name: str) -> str:
    """`"namespace/name"`, or `"name"` without a namespace."""
    return f"{namespace}/{name}" if namespace else name


def split_key(key: str) -> tuple[str, str]:
    """`(namespace, name)`; the namespace is empty for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def key_of(obj: Mapping[str, Any]) -> str:
    """The key of an object. Raises `ValueError` when it has no name."""
    meta = metadata_of(obj)
    name = meta.get("name")
    if not name or not isinstance(name, str):
        raise ValueError(f"{describe(obj)} has no metadata.name")
    return join_key(meta.get("namespace"), name)


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner reference marked `controller: true`, or None. There is at most one."""
    references = metadata_of(obj).get("ownerReferences")
    if isinstance(references, Iterable) and not isinstance(references, str | Mapping):
        for reference in references:
            if isinstance(reference, Mapping) and reference.get("controller") is True:
                return reference
    return None


def is_owned_by(obj: Mapping[str, Any], uid: str) -> bool:
    """Whether one of the object's owner references, controlling or not, names this uid."""
    references = metadata_of(obj).get("ownerReferences")
    return isinstance(references, list) and any(isinstance(ref, Mapping) and ref.get("uid") == uid for ref in references)


def owner_reference(owner: Mapping[str, Any], *, controller: bool = True, block_owner_deletion: bool = True) -> Object:
    """The owner reference that makes `owner` the (controlling) owner of a child.

    The form is that of controller-runtime's `SetControllerReference`. The owner needs a uid: read it from a server.
    """
    if not uid_of(owner):
        raise ValueError(f"{describe(owner)} has no uid: an owner reference needs an object that the API server holds")
    reference: Object = {
        "apiVersion": api_version_of(owner),
        "kind": kind_of(owner),
        "name": name_of(owner),
        "uid": uid_of(owner),
    }
    if controller:
        reference["controller"] = True
    if block_owner_deletion:
        reference["blockOwnerDeletion"] = True
    return reference


def describe(obj: Mapping[str, Any]) -> str:
    """`Website default/blog`: how messages name an object. Never fails, whatever the object lacks."""
    name = join_key(namespace_of(obj), name_of(obj) or "(no name)")
    return f"{kind_of(obj) or 'object'} {name}"
