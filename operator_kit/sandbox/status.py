"""The answers a kube-apiserver gives when it says no: `metav1.Status` bodies, with its own words, reasons and details.

`StatusError` is the one exception of the sandbox that a client ever sees. The constructors below are named as in the server's
`k8s.io/apimachinery/pkg/api/errors`, and their texts, reasons and details are those the server sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "Cause",
    "StatusError",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "generic_error",
    "internal_error",
    "invalid",
    "method_not_supported",
    "no_route",
    "not_acceptable",
    "not_found",
    "options_invalid",
    "success",
    "too_large_version",
    "unsupported_media_type",
    "wrong_method",
]


class Cause(NamedTuple):
    """One entry of `details.causes`: e.g. `("FieldValueRequired", "Required value", "spec.size")`."""

    reason: str
    message: str
    field: str


@dataclass
class StatusError(Exception):
    """A refusal, ready to be sent: HTTP code, machine-readable reason, text and details.

    `details` None leaves the field out; an empty dict is sent as `{}`, as the server does for its generic answers.
    `metadata` is the Status's list metadata (a continue token, when one expired).
    """

    code: int
    reason: str
    message: str
    details: dict[str, Any] | None = field(default=None)
    metadata: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The `v1.Status` document."""
        document: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            document["reason"] = self.reason
        if self.details is not None:
            document["details"] = self.details
        document["code"] = self.code
        return document

    def __str__(self) -> str:
        return self.message


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _qualified(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def success(group: str, resource: str, name: str, uid: str) -> dict[str, Any]:
    """The Status that answers a delete which took effect at once."""
    details = _details(name, group, resource)
    details["uid"] = uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(group: str, resource: str, name: str) -> StatusError:
    """404: no such object."""
    return StatusError(404, "NotFound", f'{_qualified(group, resource)} "{name}" not found', _details(name, group, resource))


def already_exists(group: str, resource: str, name: str, *, deleting: bool = False) -> StatusError:
    """409: an object of this name exists (`deleting`: and is on its way out)."""
    prefix = "object is being deleted: " if deleting else ""
    text = f'{prefix}{_qualified(group, resource)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", text, _details(name, group, resource))


def conflict(group: str, resource: str, name: str, why: str) -> StatusError:
    """409: the request does not fit the state of the object; `why` says how."""
    text = f'Operation cannot be fulfilled on {_qualified(group, resource)} "{name}": {why}'
    return StatusError(409, "Conflict", text, _details(name, group, resource))


def forbidden(
    group: str, resource: str, name: str, why: str, causes: Iterable[Cause] = (), *, plain: bool = False
) -> StatusError:
    """403: not allowed; `why` says what forbids it. `plain`: `why` is the whole text (the authoriser's form)."""
    details = _details(name, group, resource)
    listed = [_cause(cause) for cause in causes]
    if listed:
        details["causes"] = listed
    what = f'{_qualified(group, resource)} "{name}"' if name else _qualified(group, resource)
    return StatusError(403, "Forbidden", why if plain else f"{what} is forbidden: {why}", details)


def bad_request(message: str) -> StatusError:
    """400: the request itself is malformed."""
    return StatusError(400, "BadRequest", message)


def generic_error(message: str) -> StatusError:
    """500 without a reason: an error of the server's own that has no kind, sent with its bare text."""
    return StatusError(500, "", message)


def internal_error(message: str) -> StatusError:
    """500 InternalError."""
    details = {"causes": [{"message": message}]}
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", details)


def expired(message: str, continue_: str = "") -> StatusError:
    """410: the resourceVersion or continue token is too old; `continue_` is a token to go on with, inconsistently."""
    return StatusError(410, "Expired", message, metadata={"continue": continue_} if continue_ else {})


def too_large_version(wanted: int, current: int) -> StatusError:
    """504: a resourceVersion that this server has not reached yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return StatusError(504, "Timeout", f"Timeout: Too large resource version: {wanted}, current: {current}", details)


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    """415: the body's content type is not understood."""
    listed = ", ".join(accepted)
    text = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return StatusError(415, "UnsupportedMediaType", text)


def not_acceptable(accepted: Iterable[str]) -> StatusError:
    """406: no answer in any of the forms asked for."""
    return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(accepted)}")


def method_not_supported(group: str, resource: str, verb: str) -> StatusError:
    """405 in the form of custom resources: the resource has no such verb."""
    text = f'{verb} is not supported on resources of kind "{_qualified(group, resource)}"'
    return StatusError(405, "MethodNotAllowed", text, _details("", group, resource))


def wrong_method() -> StatusError:
    """405 in the form of built-in resources: there is such a path, and it does not take this method."""
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def no_route() -> StatusError:
    """404 in the form of built-in resources: the group is there, and has nothing at this path."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def _cause(cause: Cause) -> dict[str, Any]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: the object is not valid. The text lists each different complaint once, the details list all."""
    listed = list(causes)
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in listed))
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(name, group, kind)
    details["causes"] = [_cause(cause) for cause in listed]
    return StatusError(422, "Invalid", f'{_qualified(group, kind)} "{name}" is invalid: {summary}', details)


def options_invalid(kind: str, causes: Iterable[Cause]) -> StatusError:
    """422 for the options of a request (`ListOptions`, `PatchOptions`, …)."""
    return invalid("meta.k8s.io", kind, "", causes)
