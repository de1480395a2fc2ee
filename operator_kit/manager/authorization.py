"""Who may read the metrics: asks the API server, as controller-runtime does.

A bearer token is reviewed (TokenReview), and its user asked for (SubjectAccessReview) with the path and the verb `get`, so that
this rule lets a scraper in:

    rules: [{nonResourceURLs: ["/metrics"], verbs: ["get"]}]

401: no token, or one that is not accepted; 403: its user may not; 500: the API server did not say. Verdicts are remembered
like controller-runtime's: tokens a minute, a yes five minutes, a no 30 seconds. Tokens are remembered by their digest only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from operator_kit.clock import Clock
from operator_kit.errors import Cancelled, OperatorKitError
from operator_kit.manager.connection import Request, Response, Route
from operator_kit.permissions import PolicyRule

if TYPE_CHECKING:
    from operator_kit.api import Cancel, Client

__all__ = ["NEEDED", "Authorizer"]

TOKEN_SECONDS = 60.0
ALLOWED_SECONDS = 300.0
DENIED_SECONDS = 30.0
CALL_SECONDS = 10.0
REMEMBERED = 1000

NEEDED = (
    PolicyRule(("authentication.k8s.io",), ("tokenreviews",), ("create",)),
    PolicyRule(("authorization.k8s.io",), ("subjectaccessreviews",), ("create",)),
)
"""What the operator itself must be allowed for this."""

_REVIEWS = {
    "TokenReview": "/apis/authentication.k8s.io/v1/tokenreviews",
    "SubjectAccessReview": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
}
_log = logging.getLogger("operator_kit.endpoint")
V = TypeVar("V")


class _Remembered(Generic[V]):
    """Verdicts with a time to live; the oldest are forgotten first. Under the caller's lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def get(self, key: str) -> V | None:
        until, value = self._values.get(key, (0.0, None))
        return value if until > self._clock.monotonic() else None

    def put(self, key: str, value: V, seconds: float) -> None:
        self._values[key] = (self._clock.monotonic() + seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > REMEMBERED:
            self._values.popitem(last=False)


class Authorizer:
    """Asks the API server on behalf of routes. Thread-safe.

    Args:
        client: the API server.
        cancel: ends what is asked, at a stop.
        clock: the clock.
    """

    def __init__(self, client: Client, *, cancel: Cancel | None = None, clock: Clock | None = None) -> None:
        self._client = client
        self._cancel = cancel
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._users: _Remembered[dict[str, Any]] = _Remembered(self._clock)  # by digest; without a username: not accepted
        self._allowed: _Remembered[bool] = _Remembered(self._clock)  # by user and path
        self._troubled = False

    def guarded(self, route: Route) -> Route:
        """The route, for those who may."""

        def answer(request: Request) -> Response:
            return self.refusal(request) or route(request)

        return answer

    def refusal(self, request: Request) -> Response | None:
        """Why this request is not answered; None when it may be."""
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return _unauthorized()
        try:
            user = self._user(token)
            name = user.get("username")
            if not name:
                return _unauthorized()
            allowed = self._may(user, request.path)
        except Cancelled:
            return Response("stopping\n", 500)
        except OperatorKitError as exc:
            self._say(exc)
            return Response("the API server could not be asked who may read this\n", 500)
        self._troubled = False
        return None if allowed else Response(f"{name} may not get {request.path}\n", 403)

    def _user(self, token: str) -> dict[str, Any]:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        with self._lock:
            known = self._users.get(digest)
        if known is not None:
            return known
        status = self._ask("TokenReview", "authentication.k8s.io/v1", {"token": token})
        user = status.get("user") if status.get("authenticated") is True else None
        user = user if isinstance(user, dict) else {}
        with self._lock:
            self._users.put(digest, user, TOKEN_SECONDS)
        return user

    def _may(self, user: dict[str, Any], path: str) -> bool:
        about = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        key = json.dumps(about, sort_keys=True)
        with self._lock:
            known = self._allowed.get(key)
        if known is not None:
            return known
        allowed = self._ask("SubjectAccessReview", "authorization.k8s.io/v1", about).get("allowed") is True
        with self._lock:
            self._allowed.put(key, allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)
        return allowed

    def _ask(self, kind: str, api_version: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": spec}
        answer = self._client.call("POST", _REVIEWS[kind], body=body, timeout=CALL_SECONDS, cancel=self._cancel)
        status = answer.get("status")
        return status if isinstance(status, dict) else {}

    def _say(self, exc: OperatorKitError) -> None:
        if not self._troubled:  # once, until it works again: scrapes come for ever
            self._troubled = True
            rules = " and ".join(map(str, NEEDED))
            _log.warning("metrics are refused, the API server cannot be asked who may read them: %s (needed: %s)", exc, rules)


def _unauthorized() -> Response:
    return Response("a bearer token that the API server accepts is needed\n", 401, headers={"WWW-Authenticate": "Bearer"})
