"""The finalizer of a controller: `<group>/<controller name>`, put on before the first reconcile, taken off after the cleanup.

Both writes carry the version of the object they were decided on. The put-on is a merge patch with the resourceVersion: a
stale one is a `Conflict`. The take-off is a JSON patch that tests uid, version and position, which cannot remove anybody
else's finalizer; where the object moved on in the meantime it is read again: the cleanup is done, so only the place of the
finalizer may have changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from operator_kit.errors import Conflict, Invalid, NotFound, UsageError
from operator_kit.objects import Object, Resource, metadata_of, name_of, namespace_of, resource_version_of, uid_of

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["add_finalizer", "finalizer_name", "finalizers_of", "remove_finalizer"]

_TRIES = 4
# Kinds of the core group have no domain of their own, and a finalizer needs one.
CORE_GROUP_PREFIX = "operator-kit"


def finalizer_name(kind: Resource, controller: str) -> str:
    """The finalizer and the field manager of a controller of this kind. Raises `UsageError` where it would be too long."""
    name = f"{kind.group or CORE_GROUP_PREFIX}/{controller}"
    if len(name) > 128:
        raise UsageError(f"{name} is too long for a field manager (128 characters at most): give the reconciler a shorter name")
    return name


def finalizers_of(obj: Object) -> list[str]:
    """The object's finalizers; empty when it has none."""
    found = metadata_of(obj).get("finalizers")
    return [str(item) for item in found] if isinstance(found, list) else []


def add_finalizer(
    client: Client, kind: Resource, obj: Object, finalizer: str, *, field_manager: str, timeout: float | None = None
) -> Object:
    """Put the finalizer on. Returns the object as the server holds it now. Raises `Conflict` when `obj` was not the newest."""
    body = {
        "metadata": {
            "uid": uid_of(obj),
            "resourceVersion": resource_version_of(obj),
            "finalizers": [*finalizers_of(obj), finalizer],
        }
    }
    return client.patch(
        kind, name_of(obj), namespace_of(obj) or None, body, type="merge", field_manager=field_manager, timeout=timeout
    )


def remove_finalizer(
    client: Client, kind: Resource, obj: Object, finalizer: str, *, field_manager: str, timeout: float | None = None
) -> Object | None:
    """Take the finalizer off.

    Returns the object afterwards (it may be gone from the server by then), or None when it was off already.

    Raises:
        Conflict: the object kept changing for several tries.
    """
    name, namespace, uid = name_of(obj), namespace_of(obj) or None, uid_of(obj)
    live = obj
    for _ in range(_TRIES):
        held = finalizers_of(live)
        if finalizer not in held:
            return None
        position = held.index(finalizer)
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version_of(live)},
            {"op": "test", "path": f"/metadata/finalizers/{position}", "value": finalizer},
            {"op": "remove", "path": f"/metadata/finalizers/{position}"},
        ]
        try:
            return client.patch(kind, name, namespace, operations, type="json", field_manager=field_manager, timeout=timeout)
        except NotFound:
            return None
        except (Invalid, Conflict):  # a JSON patch whose test fails is 422, not 409
            seen = resource_version_of(live)
            try:
                live = client.get(kind, name, namespace, timeout=timeout)
            except NotFound:
                return None
            if uid_of(live) != uid:
                return None
            if resource_version_of(live) == seen:
                raise  # nothing moved: the server refuses for a reason of its own, which the author must see
    raise Conflict(f"the finalizer {finalizer} could not be taken off: the object kept changing", status=409, reason="Conflict")
