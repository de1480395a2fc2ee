"""Why an informer cannot sync, in words that name the remedy, and in one word for counting."""

from __future__ import annotations

from operator_kit.api import Selection
from operator_kit.errors import (
    ApiError,
    ConnectionFailed,
    CorruptStream,
    Forbidden,
    Gone,
    NotFound,
    OperatorKitError,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from operator_kit.permissions import PolicyRule

__all__ = ["explain", "reason_of"]


def reason_of(exc: OperatorKitError) -> str:
    """One word for a failure: what restarts are counted by."""
    if isinstance(exc, CorruptStream):
        return "corrupt"
    if isinstance(exc, ConnectionFailed):
        return "silent" if exc.silent else "broken" if exc.sent else "unreachable"
    for kind, reason in (
        (Gone, "expired"),
        (TooManyRequests, "throttled"),
        (Forbidden, "forbidden"),
        (NotFound, "not-found"),
        (Unauthorized, "unauthorized"),
        (ServerError, "server-error"),
    ):
        if isinstance(exc, kind):
            return reason
    return "refused"


def explain(exc: OperatorKitError, selection: Selection, origin: str) -> str:
    """What is wrong and what would mend it, in a line or two.

    Args:
        exc: what the API server, or the way to it, answered.
        selection: what was listed or watched.
        origin: where the client's configuration came from.
    """
    resource = selection.resource
    if isinstance(exc, Forbidden):
        rule = PolicyRule.of(resource, ("get", "list", "watch"))
        role = f"a Role in namespace {selection.namespace}" if selection.namespace else "a ClusterRole"
        return f"not allowed to list and watch {selection}: {exc.message}. Add to {role}: {rule}"
    if isinstance(exc, NotFound):
        if "." in resource.group:
            return (
                f"the API server does not serve {resource.plural} of {resource.api_version}: "
                f"install the CustomResourceDefinition {resource.plural}.{resource.group}, or its version {resource.version}"
            )
        return f"the API server does not serve {resource.plural} of {resource.api_version}"
    if isinstance(exc, Unauthorized):
        return f"the API server does not accept the credentials of {origin}: {exc.message}"
    if isinstance(exc, ApiError):
        return f"cannot list and watch {selection}: {exc}"
    return str(exc)
