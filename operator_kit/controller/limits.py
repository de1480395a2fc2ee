"""What a controller is told of the operator's settings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


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
