"""Rate limiters: how long a key that failed waits before its next run.

A limiter is anything with `when(key)`, `forget(key)` and `num_requeues(key)` (the `RateLimiter` protocol). The queue calls it
from many threads and never under its own lock. Those here, as in client-go:

    ExponentialBackoff   per key: base, base x factor, … up to a cap, with jitter. What a queue uses unless told otherwise
    FastSlow             per key: a few quick tries, then slow ones
    TokenBucket          over all keys: so many a second, with a burst
    MaxOf                the longest of several: per-key backoff and an overall bucket together
    Capped               never longer than a limit

Every delay given is finite, zero or more, and in seconds.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from operator_kit.clock import Clock

__all__ = ["Capped", "ExponentialBackoff", "FastSlow", "MaxOf", "RateLimiter", "TokenBucket"]


class RateLimiter(Protocol):
    """What a queue asks of a limiter. Thread-safe; `key` is hashable."""

    def when(self, key: Any) -> float:
        """Count a failure of the key and say how many seconds it must wait: finite, zero or more."""

    def forget(self, key: Any) -> None:
        """The key succeeded, or is no longer of interest: its next failure is the first again."""

    def num_requeues(self, key: Any) -> int:
        """How often `when` was asked for the key since it was last forgotten."""


class _Failures:
    """Counts failures per key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[Hashable, int] = {}

    def _count(self, key: Hashable) -> int:
        """How many failures there were before this one, which is counted."""
        with self._lock:
            before = self._failures.get(key, 0)
            self._failures[key] = before + 1
            return before

    def forget(self, key: Hashable) -> None:
        """The key's next failure is the first again."""
        if key in self._failures:  # most keys never failed: no lock for those
            with self._lock:
                self._failures.pop(key, None)

    def num_requeues(self, key: Hashable) -> int:
        """Failures of the key since it was last forgotten."""
        return self._failures.get(key, 0)


class ExponentialBackoff(_Failures):
    """Per key: `base`, then `factor` times longer with every failure, never longer than `cap`.

    Args:
        base: seconds after the first failure.
        cap: the longest delay, seconds. Reached without overflow however often a key fails.
        factor: growth per failure, at least 1.
        jitter: the share of each delay that is random, 0 to 1: the delay lies in `[(1 - jitter) d, d]`, so that keys which failed
            together do not come back together, and the cap holds.
        rng: gives floats in `[0, 1)`.
    """

    def __init__(
        self,
        base: float = 0.005,
        cap: float = 300.0,
        *,
        factor: float = 2.0,
        jitter: float = 0.1,
        rng: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        if not 0 < base <= cap < math.inf:
            raise ValueError(f"backoff: base must be more than 0 and at most cap, and finite; got base={base}, cap={cap}")
        if not 1 <= factor < math.inf:
            raise ValueError(f"backoff: factor must be 1 or more, and finite; got {factor}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"backoff: jitter must be between 0 and 1; got {jitter}")
        self._base, self._cap, self._factor, self._jitter, self._rng = base, cap, factor, jitter, rng
        # From so many failures on the delay is the cap; the power is not even computed, so it cannot overflow.
        self._steps = math.ceil(math.log(cap / base, factor)) if factor > 1 else None

    def when(self, key: Hashable) -> float:
        """Count a failure and give the delay in seconds."""
        before = self._count(key)
        if self._steps is not None and before >= self._steps:
            delay = self._cap
        else:
            delay = min(self._base * self._factor**before if self._steps is not None else self._base, self._cap)
        return delay * (1.0 - self._jitter * self._rng()) if self._jitter else delay

    def __repr__(self) -> str:
        return f"<ExponentialBackoff {self._base:g}s x{self._factor:g} to {self._cap:g}s, {len(self._failures)} keys failing>"


class FastSlow(_Failures):
    """Per key: `fast` seconds for the first `attempts` failures, then `slow` seconds."""

    def __init__(self, fast: float, slow: float, attempts: int) -> None:
        super().__init__()
        self._fast, self._slow, self._attempts = _delay(fast), _delay(slow), attempts

    def when(self, key: Hashable) -> float:
        """Count a failure and give the delay in seconds."""
        return self._fast if self._count(key) < self._attempts else self._slow


class TokenBucket:
    """Over all keys: `rate` a second on average, `burst` at once. Keys are not told apart; `forget` does nothing.

    Every `when` takes a token, as in client-go, also when a longer per-key backoff then decides.
    """

    def __init__(self, rate: float = 10.0, burst: int = 100, *, clock: Clock | None = None) -> None:
        if not 0 < rate < math.inf or burst < 1:
            raise ValueError(f"token bucket: rate must be more than 0 and burst 1 or more; got rate={rate}, burst={burst}")
        self._lock = threading.Lock()
        self._clock = clock or Clock()
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._at = float(burst), self._clock.monotonic()

    def when(self, key: Hashable) -> float:  # noqa: ARG002  # the protocol's signature: this limiter does not tell keys apart
        """Take a token and give the seconds until it is there."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate) - 1.0
            self._at = now
            return max(0.0, -self._tokens / self._rate)

    def forget(self, key: Hashable) -> None:
        """Nothing: a bucket has no memory of keys."""

    def num_requeues(self, key: Hashable) -> int:  # noqa: ARG002  # as above
        """Always 0."""
        return 0


class MaxOf:
    """The longest delay of several limiters, each of which counts the failure."""

    def __init__(self, *limiters: RateLimiter) -> None:
        if not limiters:
            raise ValueError("MaxOf needs at least one limiter")
        self._limiters = limiters

    def when(self, key: Hashable) -> float:
        """Ask all, and give the longest delay."""
        return max([limiter.when(key) for limiter in self._limiters])

    def forget(self, key: Hashable) -> None:
        """All forget the key."""
        for limiter in self._limiters:
            limiter.forget(key)

    def num_requeues(self, key: Hashable) -> int:
        """The highest count of all."""
        return max([limiter.num_requeues(key) for limiter in self._limiters])


class Capped:
    """Another limiter's delay, but never more than `cap` seconds."""

    def __init__(self, limiter: RateLimiter, cap: float) -> None:
        self._limiter, self._cap = limiter, _delay(cap)
        self.forget = limiter.forget
        self.num_requeues = limiter.num_requeues

    def when(self, key: Hashable) -> float:
        """The inner delay or the cap, whichever is shorter."""
        return min(self._limiter.when(key), self._cap)


def _delay(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"a delay must be zero or more, and finite; got {seconds}")
    return float(seconds)
