"""The example operator under random mixtures of faults, seed by seed. `make chaos SEEDS=1000` runs more of them."""

from __future__ import annotations

import pytest

from tests.chaos.mixtures import Report, run_seed

BATCH = 10  # seeds in one test: one process starts once for them


def _run(first: int) -> list[Report]:
    return [run_seed(seed) for seed in range(first, first + BATCH)]


@pytest.mark.timeout(400)
def test_ten_mixtures_converge() -> None:
    assert sum(report.struck for report in _run(0)) >= BATCH, "hardly a fault has struck: this proves nothing"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("first", range(BATCH, 200, BATCH))
def test_two_hundred_mixtures_converge(first: int) -> None:
    _run(first)
