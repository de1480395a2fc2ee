"""Faults for the operator under test, and for nobody else: what the test itself asks of the API server is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.sandbox import Sandbox

__all__ = ["OPERATOR_AGENT", "TEST_AGENT", "OperatorFaults"]

OPERATOR_AGENT = "operator-under-test"
"""The user agent of the operators that the kit runs."""
TEST_AGENT = "operator-kit-test"
"""The user agent of what the test itself asks. Neither text contains the other: faults are aimed by it."""


class OperatorFaults:
    """The faults of a sandbox, aimed at the operator under test unless `user_agent` says otherwise.

    What a fault can be is in `operator_kit.sandbox.faults`.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._faults = sandbox.faults

    def add(self, action: str, **fields: Any) -> int:
        """Put a fault in force, until `remove` or `clear`: `faults.add("status", verb="create", code=500, count=3)`.

        A fault on watches strikes at once: the watches that are open are ended, and it meets those that follow.

        Returns its number. Raises ValueError for what is no fault, TypeError for a field that does not exist.
        """
        from operator_kit.sandbox.faults import EVENT_ACTIONS, STREAM_ACTIONS

        number = self._faults.add(**{"user_agent": OPERATOR_AGENT, **fields, "action": action})
        if action in STREAM_ACTIONS | EVENT_ACTIONS or fields.get("verb") == "watch":
            self._sandbox.run(self._sandbox.engine.end_watches)
        return number

    @contextmanager
    def during(self, action: str, **fields: Any) -> Iterator[int]:
        """A fault that is in force while the block runs: `with faults.during("close", verb="watch"): …`. Gives its number."""
        number = self.add(action, **fields)
        try:
            yield number
        finally:
            self.remove(number)

    def remove(self, number: int) -> bool:
        """Lift a fault. Returns whether it was in force."""
        return self._faults.remove(number)

    def clear(self) -> None:
        """Lift every fault. A request that hangs and a stream that is silent stay so: their client must notice by itself."""
        self._faults.clear()

    def struck(self, number: int) -> int:
        """How often a fault struck so far. Raises KeyError when it is not in force."""
        return self._faults.struck(number)

    def in_force(self) -> list[dict[str, Any]]:
        """Each fault with its `number` and how often it `struck`."""
        return self._faults.in_force()

    def __repr__(self) -> str:
        return f"<OperatorFaults {self._faults!r}>"
