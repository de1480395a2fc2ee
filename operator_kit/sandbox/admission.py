"""What is asked of a write beyond its verb: the permissions of owner references, where they are enforced.

kube-apiserver's admission plugin OwnerReferencesPermissionEnforcement, off by default there as here, on at OpenShift: who changes
an object's owner references must be allowed to delete the object, and who makes one `blockOwnerDeletion` to update the owner's
finalizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from operator_kit.objects import Object
from operator_kit.sandbox.rbac import Attributes
from operator_kit.sandbox.registry import Registry, Served
from operator_kit.sandbox.status import StatusError

__all__ = ["check_owners"]


def check_owners(
    may: Callable[[Attributes], bool], registry: Registry, served: Served, new: Object, old: Object | None, *, subresource: str
) -> None:
    """Raise 403 where the owner references of an object may not become what they are in `new`.

    Args:
        may: whether the user may do something.
        registry: finds the resources of owners.
        served: the object's resource.
        new: the object as it is to be stored.
        old: as it is stored; None where it is created.
        subresource: what was written of it.
    """
    references, before = _references(new), _references(old)
    if references == before or (served.plural, subresource) == ("pods", "status"):
        return
    meta = new["metadata"]
    name, namespace = meta.get("name", ""), meta.get("namespace", "")
    # Who creates an object may give it owners.
    if old is not None and not may(Attributes("delete", served.group, served.plural, subresource, namespace, name)):
        raise _forbidden(served, name, "cannot set an ownerRef on a resource you can't delete: , <nil>")
    blocking = {reference.get("uid") for reference in before if reference.get("blockOwnerDeletion")}
    for reference in references:
        if not reference.get("blockOwnerDeletion") or reference.get("uid") in blocking:
            continue
        api_version, kind = str(reference.get("apiVersion")), str(reference.get("kind"))
        owner = registry.of_kind(api_version, kind)
        if owner is None:
            why = f'no matches for kind "{kind}" in version "{api_version}"'
            text = f"cannot find RESTMapping for APIVersion {api_version} Kind {kind}: {why}"
            raise _forbidden(served, name, f"cannot set blockOwnerDeletion in this case because {text}")
        where = namespace if owner.namespaced else ""
        if not may(Attributes("update", owner.group, owner.plural, "finalizers", where, str(reference.get("name")))):
            text = "if an ownerReference refers to a resource you can't set finalizers on: , <nil>"
            raise _forbidden(served, name, f"cannot set blockOwnerDeletion {text}")


def _references(obj: Object | None) -> list[Mapping[str, Any]]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or []


def _forbidden(served: Served, name: str, why: str) -> StatusError:
    whole = f"{served.plural}.{served.group}" if served.group else served.plural
    details = {"name": name, "group": served.group, "kind": served.plural}
    message = f'{whole} "{name}" is forbidden: {why}'
    return StatusError(403, "Forbidden", message, {key: value for key, value in details.items() if value})
