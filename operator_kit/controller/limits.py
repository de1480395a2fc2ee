"""What a controller is told of the operator's settings, and what it tells of its runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "RunningKey"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's settings, for what a reconciler does not say itself. Seconds; a timeout of 0 is none."""

    workers: int = 4
    timeout: float = 300.0
    backoff_base: float = 0.005
    backoff_max: float = 300.0
    request_timeout: float = 30.0
    namespaces: tuple[str, ...] = ()
    watching: bool = True


@dataclass(frozen=True, slots=True)
class RunningKey:
    """A key that is being reconciled, or another function of the author's that runs.

    For how many seconds, on which thread, and since when on the monotonic clock. `key` is empty for what belongs to no object;
    its text says then what it is.
    """

    controller: str
    key: str
    seconds: float
    thread: str
    what: str = ""
    began: float = 0.0

    def __str__(self) -> str:
        return self.what or f"{self.controller}: the reconcile of {self.key}"
