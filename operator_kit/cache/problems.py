"""Why an informer cannot sync, in words that name the remedy, and in one word for counting."""

from __future__ import annotations

import logging
import math

from operator_kit.api import Selection
from operator_kit.clock import Clock
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

__all__ = ["Problem", "explain", "reason_of"]

log = logging.getLogger("operator_kit.cache.reflector")

_REMIND_SECONDS = 300.0  # how often a problem that stays is logged again


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


class Problem:
    """What is wrong with one informer just now, if anything is. Its thread calls `tell`, `note` and `over`.

    Attributes:
        text: in words, with the remedy; empty when all is well.
        reason: in one word, for counting.
        unwatched: whether it is a watch that failed, and none has worked since.
    """

    def __init__(self, selection: Selection, clock: Clock) -> None:
        self.text = ""
        self.reason = ""
        self.unwatched = False
        self._selection = selection
        self._clock = clock
        self._since = 0.0  # means nothing without a problem
        self._logged: dict[str, float] = {}  # reason -> when it was logged last

    def seconds(self) -> float:
        """How long it has lasted; 0 when there is none."""
        return self._clock.monotonic() - self._since if self.text else 0.0

    def tell(self, reason: str, text: str, *, watching: bool) -> None:
        """It is this, after a watch failed or a list did; logged now and then."""
        self.note(reason, text)
        # A watch that is closed at once says nothing for sure: the next may be quiet for minutes, and well.
        self.unwatched = self.unwatched or (watching and reason != "short")
        now = self._clock.monotonic()
        level = logging.DEBUG if now - self._logged.get(reason, -math.inf) < _REMIND_SECONDS else logging.WARNING
        if level == logging.WARNING:
            self._logged[reason] = now
        log.log(level, "informer %s: %s", self._selection, text)

    def note(self, reason: str, text: str) -> None:
        """It is this; somebody else has logged it."""
        if not self.text:
            self._since = self._clock.monotonic()
        self.text, self.reason = text, reason

    def over(self) -> None:
        """All is well."""
        if self.text:
            log.info("informer %s works again", self._selection)
        self.text = self.reason = ""
        self.unwatched = False
