"""The testing kit: a pytest plugin with fixtures, built on the sandbox, and assertions whose failures can be read.

The fixtures are in `operator_kit.testing.plugin`, which pytest loads by itself. Names here are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.clock import FakeClock
    from operator_kit.testing.assertions import assert_condition, assert_event, assert_object, differences
    from operator_kit.testing.cluster import Cluster
    from operator_kit.testing.faults import OperatorFaults
    from operator_kit.testing.plugin import StartOperator
    from operator_kit.testing.running import NotSettled, RunningOperator
    from operator_kit.testing.writes import OperatorWrites

__all__ = [
    "Cluster",
    "FakeClock",
    "NotSettled",
    "OperatorFaults",
    "OperatorWrites",
    "RunningOperator",
    "StartOperator",
    "assert_condition",
    "assert_event",
    "assert_object",
    "differences",
]

_HOME = {
    "Cluster": "operator_kit.testing.cluster",
    "FakeClock": "operator_kit.clock",
    "NotSettled": "operator_kit.testing.running",
    "OperatorFaults": "operator_kit.testing.faults",
    "OperatorWrites": "operator_kit.testing.writes",
    "RunningOperator": "operator_kit.testing.running",
    "StartOperator": "operator_kit.testing.plugin",
    "assert_condition": "operator_kit.testing.assertions",
    "assert_event": "operator_kit.testing.assertions",
    "assert_object": "operator_kit.testing.assertions",
    "differences": "operator_kit.testing.assertions",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'operator_kit.testing' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
