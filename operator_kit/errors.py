"""Every error of operator-kit, in one tree.

    OperatorKitError
    ├── UsageError                  what a person wrote is wrong: a flag, a file, a decorator; the message names it and the remedy
    │   ├── RegistrationError       a decorator's options, two reconcilers of one name, nothing registered
    │   ├── ConfigError             a kubeconfig or a settings file that cannot be used
    │   ├── KindNotFound            no such kind on this API server (yet)
    │   ├── AmbiguousKind           more than one kind answers to the name
    │   └── NotCached               a cached read of a kind nobody declared
    ├── ApiError                    the API server said no: carries status, reason, causes and the request
    │   ├── BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, MethodNotAllowed 405
    │   ├── Conflict 409            the resourceVersion is not the newest (or a field manager objects: `ApplyConflict`)
    │   │   └── ApplyConflict
    │   ├── AlreadyExists 409, Gone 410, TooLarge 413, UnsupportedMediaType 415, Invalid 422, TooManyRequests 429
    │   └── ServerError 5xx
    ├── ConnectionFailed            no answer: refused, reset, timed out, name not found, TLS
    │   └── CorruptStream           a watch sent what is no event
    ├── Cancelled                   a call given up because its caller stops
    ├── DeadlineExceeded            a reconcile outlived its deadline and asked for more
    ├── AlreadyOwned                an apply onto an object that another controls
    ├── RateLimited                 not sent: the client-side rate limit has no turn for it in time
    ├── NotLeader                   a write by a process that does not lead, or whose lease could have lapsed
    ├── ShutDown                    the queue is shut down
    ├── StartupFailed               a function that runs before everything else raised
    └── Outcome                     control flow of a reconcile, not a defect
        ├── TemporaryError          try again, after `delay` seconds if given
        └── PermanentError          do not try again until the object changes
            └── InvalidObject       an object does not fit its model

Messages are one or two lines that name the culprit and the remedy; tracebacks are for the debug log level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "AlreadyExists",
    "AlreadyOwned",
    "AmbiguousKind",
    "ApiError",
    "ApplyConflict",
    "BadRequest",
    "Cancelled",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "CorruptStream",
    "DeadlineExceeded",
    "Forbidden",
    "Gone",
    "Invalid",
    "InvalidObject",
    "KindNotFound",
    "MethodNotAllowed",
    "NotCached",
    "NotFound",
    "NotLeader",
    "OperatorKitError",
    "Outcome",
    "PermanentError",
    "RateLimited",
    "RegistrationError",
    "ServerError",
    "ShutDown",
    "StartupFailed",
    "TemporaryError",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
    "UsageError",
    "api_error",
    "yaml_problem",
]


def yaml_problem(error: Exception) -> str:
    """What is wrong with a text that is no YAML, in one line that names the text's line, for the end of a message."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


class OperatorKitError(Exception):
    """The root of every error raised by operator-kit on purpose."""


class UsageError(OperatorKitError):
    """Something a person wrote is wrong. The message says what and how to mend it."""


class RegistrationError(UsageError):
    """A reconciler cannot be registered as written."""


class ConfigError(UsageError):
    """A configuration (kubeconfig, settings file, environment) cannot be used."""


class KindNotFound(UsageError):
    """The API server serves no such kind. It may appear later, when its CRD is installed."""


class AmbiguousKind(UsageError):
    """More than one kind of this name is served; the message lists them."""


class NotCached(UsageError):
    """A cached read of a kind that was not declared. Declare it, or read live."""


class ApiError(OperatorKitError):
    """An answer of the API server that is not a success.

    Attributes:
        status: the HTTP status code.
        reason: the server's machine-readable reason, e.g. `"AlreadyExists"`; may be empty.
        message: the server's text.
        causes: the details' causes, each a dict with `reason`, `message` and `field` (any may be missing).
        retry_after: seconds the server asked to wait, or None.
        request: `"PATCH /api/v1/…"`, what was asked; empty where not known.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
        request: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.causes = causes or []
        self.retry_after = retry_after
        self.request = request

    def __str__(self) -> str:
        """One line: the server's message, its reason and the request."""
        answer = f"{self.status} {self.reason}".rstrip()
        return f"{self.message} ({answer}, {self.request})" if self.request else f"{self.message} ({answer})"


class BadRequest(ApiError):
    """400: the request itself is malformed."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the credentials are good and the permission is missing."""


class NotFound(ApiError):
    """404: no such object, or no such resource."""


class MethodNotAllowed(ApiError):
    """405: the resource has no such verb."""


class Conflict(ApiError):
    """409: the object changed since it was read (optimistic locking)."""


class ApplyConflict(Conflict):
    """409: another field manager owns a field that an apply without force would set."""


class AlreadyExists(ApiError):
    """409: an object of this name exists."""


class Gone(ApiError):
    """410: the resourceVersion or the continue token is too old."""


class UnsupportedMediaType(ApiError):
    """415: the body's content type is not understood."""


class Invalid(ApiError):
    """422: the object is not valid; `causes` says which fields."""


class TooLarge(ApiError):
    """413, or the storage's refusal behind the server (a 500): an object is larger than what can be stored."""


class TooManyRequests(ApiError):
    """429: the server asks for patience; see `retry_after`."""


class ServerError(ApiError):
    """5xx: the server failed."""


class ConnectionFailed(OperatorKitError):
    """The API server gave no answer: refused, reset, timed out, unknown host, or a TLS failure.

    Attributes:
        sent: whether the request may have reached the server. False only where it provably did not, so that even a write can
            be repeated.
        silent: whether the server took the request and then said nothing for too long.
    """

    def __init__(self, message: str, *, sent: bool = True, silent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.silent = silent


class CorruptStream(ConnectionFailed):
    """A watch sent a line that is no event, or ended in the middle of one. Nothing after it can be trusted."""


class Cancelled(OperatorKitError):
    """A call was given up because its caller is stopping. Nobody need be told."""


class DeadlineExceeded(OperatorKitError):
    """A reconcile is past its deadline; its calls are refused."""


class AlreadyOwned(OperatorKitError):
    """An object that is to become a child is another's already. The message names who controls it."""


class RateLimited(OperatorKitError):
    """A call was not sent: the client-side rate limit has no turn for it within the time it may take. Try again later."""


class NotLeader(OperatorKitError):
    """A write was refused before it was sent: this process does not lead, or its lease could have lapsed meanwhile."""


class ShutDown(OperatorKitError):
    """The queue is shut down: nothing more is handed out."""


class StartupFailed(OperatorKitError):
    """An `@on_startup` function raised, so nothing was started. What it raised is the cause."""


class Outcome(OperatorKitError):
    """Control flow of a reconcile. Logged quietly; no defect."""


class TemporaryError(Outcome):
    """Raise it to be run again.

    Args:
        message: why; shown in the log, in the condition and in the Event.
        delay: seconds, `"30s"`-like text or a timedelta until the next run; None or 0 for the per-key exponential backoff.
    """

    def __init__(self, message: str = "", *, delay: Any = None) -> None:
        super().__init__(message)
        self.delay = delay


class PermanentError(Outcome):
    """Raise it when trying again is useless until the object changes.

    Args:
        message: why; shown in the log, in the condition and in the Event.
        reason: a CamelCase word for the condition and the Event.
    """

    def __init__(self, message: str = "", *, reason: str = "PermanentError") -> None:
        super().__init__(message)
        self.reason = reason


class InvalidObject(PermanentError):
    """An object does not fit the model it is read as.

    Attributes:
        problems: one line for each, beginning with the path of the field.
    """

    def __init__(self, message: str = "", *, problems: Iterable[str] = ()) -> None:
        super().__init__(message, reason="Invalid")
        self.problems = tuple(problems)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    415: UnsupportedMediaType,
    422: Invalid,
    429: TooManyRequests,
}


def api_error(
    status: int, body: Mapping[str, Any] | str | None = None, *, request: str = "", retry_after: float | None = None
) -> ApiError:
    """Make the error that belongs to an HTTP status and a `Status` body.

    Args:
        status: the HTTP status code (400 and up).
        body: the parsed `v1.Status`, or plain text where the server (or a proxy) sent none.
        request: method and path, for the message.
        retry_after: the `Retry-After` header in seconds; the body's `details.retryAfterSeconds` is used otherwise.
    """
    doc: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    message = str(doc.get("message") or (body if isinstance(body, str) and body else f"HTTP {status}")).strip()
    reason = str(doc.get("reason") or "")
    raw_details = doc.get("details")
    details: Mapping[str, Any] = raw_details if isinstance(raw_details, Mapping) else {}
    raw_causes = details.get("causes")
    causes = [cause for cause in raw_causes if isinstance(cause, dict)] if isinstance(raw_causes, list) else []
    if retry_after is None and isinstance(details.get("retryAfterSeconds"), int | float):
        retry_after = float(details["retryAfterSeconds"])
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if status == 500 and "request is too large" in message:  # etcd's own words; the server passes them on as they are
        kind = TooLarge
    if status == 409:
        if reason == "AlreadyExists":
            kind = AlreadyExists
        elif any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
            kind = ApplyConflict
    return kind(message, status=status, reason=reason, causes=causes, retry_after=retry_after, request=request)
