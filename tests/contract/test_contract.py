"""The sandbox answers as a kube-apiserver does: one test per recorded scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.sandbox import Sandbox
from tests.contract.replay import RECORDED, SCENARIOS, Replay


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with Sandbox() as sandbox:
        made = Replay(sandbox.url)
        made.prepare()
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS["scenarios"], ids=lambda scenario: scenario["name"])
def test_answers_as_recorded(replay: Replay, scenario: dict[str, Any]) -> None:
    assert replay.scenario(scenario) == RECORDED[scenario["name"]]
