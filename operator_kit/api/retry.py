"""Which failed calls are made again, and when. What is not safe to repeat is never repeated.

| failure | a read (GET) | a write |
|---|---|---|
| no connection could be made: nothing was sent | again | again |
| the connection broke, or no answer came | again | never: it may have been acted on |
| 429, 503 with `Retry-After` | again, when the server says | again, when the server says: it was not acted on |
| 429 without, 500, 502, 503, 504 | again | never |
| anything else | never | never |

The call's budget (its own limit, and what a guard allows: a reconcile's deadline, a lease) bounds all tries and the waits between
them. A wait that would outlast it is not begun: the call fails at once, and says how long it was asked to wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying

from operator_kit.api.cancel import Cancel
from operator_kit.api.metrics import ERROR
from operator_kit.clock import Clock
from operator_kit.errors import ApiError, Cancelled, ConnectionFailed, CorruptStream

__all__ = ["repeatable", "run"]

T = TypeVar("T")

_TRIES = 5
_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0


def repeatable(exc: BaseException | None, *, read: bool) -> bool:
    """Whether the call that failed like this may be made again. See the module's table."""
    if isinstance(exc, ConnectionFailed) and not isinstance(exc, CorruptStream):
        return read or not exc.sent
    if isinstance(exc, ApiError):
        if exc.status in {429, 503} and exc.retry_after is not None:
            return True
        return read and exc.status in {429, 500, 502, 503, 504}
    return False


def run(
    once: Callable[[], T],
    *,
    read: bool,
    budget: Callable[[], float],
    clock: Clock,
    cancel: Cancel | None = None,
    again: Callable[[str], None] = lambda _code: None,
) -> T:
    """Call `once`, again and again if that is safe, until it succeeds, the tries or the time are used up.

    Args:
        once: one try.
        read: whether it changes nothing on the server.
        budget: the seconds that are left for the call now; no wait goes beyond them. May raise, which ends the call.
        clock: the clock.
        cancel: ends a wait.
        again: told when a try is to be repeated, with the code of the failure (see `operator_kit.api.metrics`).

    Raises:
        OperatorKitError: the last failure, or Cancelled.
    """
    try:
        return once()
    except (ApiError, ConnectionFailed) as exc:
        if not repeatable(exc, read=read):
            raise
        pending: list[Exception] = [exc]

    # Only a call that failed pays for the machinery: its first try, already made, is handed in here.
    def attempt() -> T:
        if pending:
            raise pending.pop()
        return once()

    def wait(state: RetryCallState) -> float:
        exc = state.outcome.exception() if state.outcome else None
        if isinstance(exc, ApiError) and exc.retry_after is not None:
            return exc.retry_after
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** (state.attempt_number - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311  # spreads load, hides nothing

    def stop(state: RetryCallState) -> bool:
        if state.attempt_number >= _TRIES:
            return True
        left = budget()
        if state.upcoming_sleep < left:
            return False
        exc = state.outcome.exception() if state.outcome else None
        if isinstance(exc, ApiError) and exc.retry_after is not None and left > 0:
            exc.message += f"; it asks for a pause of {exc.retry_after:g} s, and only {left:.3g} s are left for the call"
        return True

    def before_sleep(state: RetryCallState) -> None:
        exc = state.outcome.exception() if state.outcome else None
        again(str(exc.status) if isinstance(exc, ApiError) else ERROR)

    def sleep(seconds: float) -> None:
        if cancel is None:
            clock.sleep(seconds)
        elif cancel.wait(seconds):
            raise Cancelled("the call was cancelled while it waited to be made again")

    def retry(state: RetryCallState) -> bool:
        return repeatable(state.outcome.exception() if state.outcome else None, read=read)

    return Retrying(retry=retry, wait=wait, stop=stop, sleep=sleep, before_sleep=before_sleep, reraise=True)(attempt)
