"""What a reconcile came to: the `Result` an author returns, and what the queue is told about every other way to end.

    nothing, Result()                  done: forget the failures
    Result(requeue_after=…)            done, and run again later: forget the failures, then a delay that any change cuts short
    TemporaryError(delay=…)            not done: run again after that delay; the failure counts
    TemporaryError                     not done: per-key backoff
    PermanentError                     not done, and trying again is useless until the object changes; the failure count stays
    Conflict (409, stale version)      quiet: run again once the cache holds a newer version; backoff from the second in a row
    any other exception                per-key backoff

`decide` is a pure function, so that every row of this table is a test.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAlias

from operator_kit.errors import ApplyConflict, Conflict, DeadlineExceeded, PermanentError, TemporaryError
from operator_kit.settings import parse_duration

__all__ = ["Action", "Decision", "Duration", "Result", "decide", "describe_error"]

Duration: TypeAlias = float | int | str | timedelta
"""Seconds, text such as `"30s"`, or a timedelta."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile function may return.

    Args:
        requeue_after: run again after this long (seconds, `"30s"`, a timedelta) even if nothing changes. A change runs it
            earlier.

    Raises:
        ValueError: it is no duration, or not more than zero (return None when there is nothing more to do).
    """

    requeue_after: Duration | None = None

    def __post_init__(self) -> None:
        if self.requeue_after is not None and parse_duration(self.requeue_after) <= 0:
            raise ValueError("requeue_after must be more than zero; return None when there is nothing more to do")

    @property
    def delay(self) -> float | None:
        """Seconds until the next run, or None."""
        return None if self.requeue_after is None else parse_duration(self.requeue_after)


class Action(Enum):
    """What the queue is told."""

    FORGET = "forget"  # done
    AFTER = "after"  # done; again after a delay
    RETRY_AFTER = "retry_after"  # failed; again after the delay the author chose
    BACKOFF = "backoff"  # failed; again after the key's own backoff
    GIVE_UP = "give_up"  # failed; not again until the object changes
    CONFLICT = "conflict"  # the version was not the newest; again when the cache has caught up


@dataclass(frozen=True, slots=True)
class Decision:
    """One outcome. `result` is the label of `controller_runtime_reconcile_total`; `error` is what was raised, if anything was."""

    action: Action
    result: str
    delay: float = 0.0
    error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether this counts as an error. A quiet conflict does not."""
        return self.error is not None and self.action is not Action.CONFLICT

    @property
    def timed_out(self) -> bool:
        """Whether the reconcile ran into its deadline."""
        return isinstance(self.error, DeadlineExceeded)


def decide(returned: Any = None, error: BaseException | None = None) -> Decision:
    """The decision for what a function returned or raised."""
    if error is None:
        if returned is None:
            return Decision(Action.FORGET, "success")
        if isinstance(returned, Result):
            delay = returned.delay
            if delay is None:
                return Decision(Action.FORGET, "success")
            return Decision(Action.AFTER, "requeue_after", delay)
        error = _nonsense(returned)
    if isinstance(error, PermanentError):
        return Decision(Action.GIVE_UP, "error", error=error)
    if isinstance(error, TemporaryError) and error.delay is not None:
        try:
            delay = parse_duration(error.delay)
        except ValueError as exc:
            return Decision(Action.BACKOFF, "error", error=TypeError(f"TemporaryError(delay=…): {exc}"))
        # Failing at once again, without end, is nothing an author can want: no time is the key's own backoff.
        return Decision(Action.RETRY_AFTER, "error", delay, error) if delay else Decision(Action.BACKOFF, "error", error=error)
    if isinstance(error, Conflict) and not isinstance(error, ApplyConflict):
        return Decision(Action.CONFLICT, "requeue", error=error)
    return Decision(Action.BACKOFF, "error", error=error)


def _nonsense(returned: Any) -> TypeError:
    if inspect.iscoroutine(returned):
        returned.close()
        return TypeError("the function returned a coroutine, which nobody awaits; make it `async def` and await it there")
    return TypeError(f"the function returned {type(returned).__name__}; return None or Result(requeue_after=…)")


def describe_error(error: BaseException) -> str:
    """One line for a log, a condition or an Event: the message, and the type where the message alone does not say enough."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # the author's class may fail at telling what failed
        text = ""
    if isinstance(error, TemporaryError | PermanentError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
