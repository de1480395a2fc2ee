"""The verbs of the API, untyped: dicts in, dicts out, for any kind that discovery knows.

Every call has a limit in time, its retries included; errors are those of `operator_kit.errors`, with the server's reason and the
request in one line. A client is thread-safe, and needs one connection for each call that runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operator_kit.api import config
from operator_kit.api.call import collection_path, object_path
from operator_kit.api.cancel import Cancel
from operator_kit.api.discovery import Discovery
from operator_kit.api.reads import Reads
from operator_kit.api.transport import Transport
from operator_kit.clock import Clock
from operator_kit.errors import UsageError
from operator_kit.objects import Object, Resource, describe, name_of, namespace_of

__all__ = ["Client"]

_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
    "strategic": "application/strategic-merge-patch+json",
}


class Client(Reads):
    """The API server seen from here. Make one with `from_config` or `from_kubeconfig_dict`.

    Attributes:
        discovery: which kinds the server knows.
    """

    def __init__(self, transport: Transport, *, clock: Clock, request_timeout: float) -> None:
        super().__init__(transport, clock=clock, request_timeout=request_timeout)
        self.discovery = Discovery(lambda path, accept, cancel: self.call("GET", path, accept=accept, cancel=cancel), clock=clock)

    @classmethod
    def from_config(
        cls,
        *,
        kubeconfig: str = "",
        context: str = "",
        clock: Clock | None = None,
        pool_size: int = 32,
        request_timeout: float = 30.0,
        user_agent: str = "operator-kit",
    ) -> Client:
        """A client of the configured API server. Nothing is sent yet.

        Args:
            kubeconfig: an explicit file; otherwise `KUBECONFIG`, the pod's service account, `~/.kube/config`, in this order.
            context: an explicit context.
            clock: the clock.
            pool_size: how many idle connections are kept: about as many as there are threads that call.
            request_timeout: seconds one call may take unless it says otherwise, retries included.
            user_agent: how the server's log names this client.

        Raises:
            ConfigError: there is no configuration, or it cannot be used.
        """
        clock = clock or Clock()
        transport = Transport(lambda: config.find(kubeconfig, context), clock=clock, pool_size=pool_size, user_agent=user_agent)
        return cls(transport, clock=clock, request_timeout=request_timeout)

    @classmethod
    def from_kubeconfig_dict(
        cls,
        document: Mapping[str, Any],
        *,
        context: str = "",
        clock: Clock | None = None,
        pool_size: int = 32,
        request_timeout: float = 30.0,
        user_agent: str = "operator-kit",
    ) -> Client:
        """A client of the server that a parsed kubeconfig names. Arguments and errors as for `from_config`."""
        clock = clock or Clock()
        source = config.from_dict(document, context=context)
        transport = Transport(lambda: source, clock=clock, pool_size=pool_size, user_agent=user_agent)
        return cls(transport, clock=clock, request_timeout=request_timeout)

    def create(
        self,
        resource: Resource,
        obj: Mapping[str, Any],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        name: str | None = None,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """Create an object; its own namespace counts unless one is given. Raises AlreadyExists, Invalid, …

        `subresource` and `name` are for what is created below an object, such as `eviction` and `binding`.
        """
        where = namespace or namespace_of(obj)
        if resource.namespaced and not where:
            raise UsageError(f"{describe(obj)}: the kind is namespaced, so a namespace is needed")
        path = object_path(resource, where, name or "", subresource) if subresource else collection_path(resource, where)
        query = _write_query(field_manager, dry_run, field_validation)
        return self.call("POST", path, query=query, body=obj, timeout=timeout, retries=retries, cancel=cancel)

    def replace(
        self,
        resource: Resource,
        obj: Mapping[str, Any],
        *,
        subresource: str | None = None,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """Replace an object by this one. Raises Conflict when it carries a resourceVersion that is not the newest."""
        path = object_path(resource, namespace_of(obj), name_of(obj), subresource)
        query = _write_query(field_manager, dry_run, field_validation)
        return self.call("PUT", path, query=query, body=obj, timeout=timeout, retries=retries, cancel=cancel)

    def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        type: str = "merge",  # noqa: A002  # the field's word
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
        field_validation: str = "",
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """Change an object.

        Args:
            resource: the kind.
            name: the object's name.
            namespace: its namespace.
            body: a partial object (`merge`, `strategic`), a list of operations (`json`), or the fields that shall hold (`apply`).
            type: `"merge"`, `"json"`, `"apply"` (server-side; needs a `field_manager`) or `"strategic"` (built-in kinds only).
            subresource: e.g. `"status"`.
            field_manager: the owner of the fields that are set.
            force: take fields from other managers (`apply` only).
            dry_run: have it checked and answered, not stored.
            field_validation: `"Strict"`, `"Warn"` or `"Ignore"`.
            timeout: seconds; see the class, as for the next two.
            retries: try again where that is safe.
            cancel: ends the call.

        Raises:
            Conflict: the body names a resourceVersion that is not the newest.
            ApplyConflict: another manager owns a field, and `force` is not given.
        """
        if type not in _PATCH_TYPES:
            raise UsageError(f"patch type {type!r} is none of {', '.join(_PATCH_TYPES)}")
        if type == "apply" and not field_manager:
            raise UsageError("an apply patch needs a field_manager")
        query = _write_query(field_manager, dry_run, field_validation)
        if force:
            query.append(("force", "true"))
        path = object_path(resource, namespace, name, subresource)
        return self.call(
            "PATCH",
            path,
            query=query,
            body=body,
            content_type=_PATCH_TYPES[type],
            timeout=timeout,
            retries=retries,
            cancel=cancel,
        )

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
        grace_period: int | None = None,
        dry_run: bool = False,
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """Delete an object. Returns the server's answer: the object while finalizers hold it, otherwise a Status.

        Args:
            resource: the kind.
            name: the object's name.
            namespace: its namespace.
            uid: delete only this very object (Conflict otherwise).
            resource_version: delete only this version (Conflict otherwise).
            propagation: `"Foreground"`, `"Background"` or `"Orphan"`.
            grace_period: seconds, for kinds that know it.
            dry_run: have it checked and answered, not done.
            timeout: seconds; see the class, as for the next two.
            retries: try again where that is safe.
            cancel: ends the call.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        if preconditions:
            body["preconditions"] = preconditions
        if propagation:
            body["propagationPolicy"] = propagation
        if grace_period is not None:
            body["gracePeriodSeconds"] = grace_period
        if dry_run:
            body["dryRun"] = ["All"]
        path = object_path(resource, namespace, name)
        return self.call("DELETE", path, body=body, timeout=timeout, retries=retries, cancel=cancel)


def _write_query(field_manager: str, dry_run: bool, field_validation: str) -> list[tuple[str, str]]:
    pairs = (("fieldManager", field_manager), ("dryRun", "All" if dry_run else ""), ("fieldValidation", field_validation))
    return [(name, value) for name, value in pairs if value]
