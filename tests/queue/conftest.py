"""A queue on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operator_kit.clock import FakeClock
from operator_kit.queue import ExponentialBackoff, WorkQueue


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> Iterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue(name="test", clock=clock, rate_limiter=ExponentialBackoff(jitter=0))
    yield queue
    queue.shut_down()
