"""The rate limiters, under the names of client-go's tests where it has them."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_kit.clock import FakeClock
from operator_kit.queue import Capped, ExponentialBackoff, FastSlow, MaxOf, TokenBucket


def test_item_exponential_failure_rate_limiter() -> None:
    limiter = ExponentialBackoff(base=0.001, cap=1, jitter=0)
    assert [limiter.when("one") for _ in range(5)] == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016])
    assert limiter.num_requeues("one") == 5
    assert [limiter.when("two") for _ in range(2)] == pytest.approx([0.001, 0.002]), "each key has failures of its own"
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    assert limiter.when("one") == pytest.approx(0.001)
    assert limiter.num_requeues("two") == 2


def test_item_exponential_failure_rate_limiter_overflow() -> None:
    limiter = ExponentialBackoff(base=0.001, cap=60, jitter=0)
    delays = [limiter.when("one") for _ in range(3000)]
    assert delays == sorted(delays)
    assert delays[16:] == [60] * (3000 - 16)


@given(
    base=st.floats(1e-6, 10),
    times=st.floats(1, 1e6),
    factor=st.floats(1, 1e6),
    jitter=st.floats(0, 1),
    luck=st.floats(0, 1, exclude_max=True),
    failures=st.integers(1, 1200),
)
def test_a_delay_is_never_negative_never_more_than_the_cap_and_never_not_a_number(
    *, base: float, times: float, factor: float, jitter: float, luck: float, failures: int
) -> None:
    cap = base * times
    limiter = ExponentialBackoff(base=base, cap=cap, factor=factor, jitter=jitter, rng=lambda: luck)
    limiter._failures["key"] = failures
    assert 0 <= limiter.when("key") <= cap
    assert 0 <= limiter.when("new") <= base


def test_jitter_spreads_keys_that_failed_together() -> None:
    limiter = ExponentialBackoff(base=1, cap=300, jitter=0.5)
    delays = [limiter.when(f"key-{number}") for number in range(200)]
    assert all(0.5 <= delay <= 1 for delay in delays)
    assert len(set(delays)) > 100


def test_a_factor_of_one_does_not_grow() -> None:
    limiter = ExponentialBackoff(base=2, cap=300, factor=1, jitter=0)
    assert [limiter.when("one") for _ in range(2000)] == [2] * 2000


@pytest.mark.parametrize(
    "options",
    [
        {"base": 0},
        {"base": -1},
        {"base": 2, "cap": 1},
        {"cap": math.inf},
        {"cap": math.nan},
        {"base": math.nan},
        {"factor": 0.5},
        {"factor": math.inf},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": math.nan},
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff"):
        ExponentialBackoff(**options)  # type: ignore[arg-type]  # floats, all of them


def test_item_fast_slow_rate_limiter() -> None:
    limiter = FastSlow(0.005, 10, 3)
    assert [limiter.when("one") for _ in range(5)] == [0.005, 0.005, 0.005, 10, 10]
    assert limiter.num_requeues("one") == 5
    assert limiter.when("two") == 0.005
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    assert limiter.when("one") == 0.005


def test_max_of_rate_limiter() -> None:
    limiter = MaxOf(FastSlow(0.005, 3, 3), ExponentialBackoff(base=0.001, cap=60, jitter=0))
    assert [limiter.when("one") for _ in range(5)] == pytest.approx([0.005, 0.005, 0.005, 3, 3])
    assert limiter.num_requeues("one") == 5
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    with pytest.raises(ValueError, match="at least one"):
        MaxOf()


def test_with_max_wait_rate_limiter() -> None:
    limiter = Capped(FastSlow(0.005, 10, 2), 1)
    assert [limiter.when("one") for _ in range(3)] == [0.005, 0.005, 1]
    assert limiter.num_requeues("one") == 3
    limiter.forget("one")
    assert limiter.when("one") == 0.005
    with pytest.raises(ValueError, match="zero or more"):
        Capped(limiter, -1)


def test_bucket_rate_limiter() -> None:
    clock = FakeClock()
    limiter = TokenBucket(rate=10, burst=3, clock=clock)
    assert [limiter.when(f"{number}") for number in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    clock.advance(0.2)
    assert limiter.when("six") == pytest.approx(0.1)
    clock.advance(3600)
    assert [limiter.when("x") for _ in range(4)] == pytest.approx([0, 0, 0, 0.1]), "never more than the burst"
    assert limiter.num_requeues("x") == 0
    limiter.forget("x")
    for rate, burst in ((0, 1), (-1, 1), (math.inf, 1), (math.nan, 1), (1, 0)):
        with pytest.raises(ValueError, match="token bucket"):
            TokenBucket(rate=rate, burst=burst)


def test_failures_are_counted_exactly_from_many_threads() -> None:
    limiter = ExponentialBackoff()
    threads = [
        threading.Thread(target=lambda: [limiter.when("key") for _ in range(500)], name=f"failing-{number}")
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.num_requeues("key") == 4000
