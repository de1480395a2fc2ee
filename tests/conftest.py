"""What every test stands on: no thread outlives its test, and no example of Hypothesis fails because the machine is busy."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.unhurried import UnhurriedClock

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeated", settings.get_profile("unhurried"), derandomize=True)
settings.load_profile(os.environ.get("TEST_EXAMPLES", "unhurried"))


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a thread running. Threads of wider fixtures (started before) are not its own."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 30  # noqa: TID251  # a thread that has been told to end may need a moment
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))  # noqa: TID251
    left = [thread for thread in left if thread.is_alive()]
    if left:
        names = ", ".join(f"{thread.name}{' (daemon)' if thread.daemon else ''}" for thread in left)
        pytest.fail(f"{request.node.nodeid} left threads running: {names}", pytrace=False)


@pytest.fixture
def unhurried_clock() -> Iterator[UnhurriedClock]:
    """For an operator with times that a busy machine must not use up. Ask for it first: it goes until the operator has stopped."""
    with UnhurriedClock() as clock:
        yield clock
