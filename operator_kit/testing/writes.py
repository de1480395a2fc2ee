"""What the operator under test writes: for tests that say how much it costs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from operator_kit.testing.faults import OPERATOR_AGENT

if TYPE_CHECKING:
    from operator_kit.sandbox import Sandbox
    from operator_kit.sandbox.request import RequestInfo

__all__ = ["OperatorWrites"]

_READS = frozenset({"get", "list", "watch"})


class OperatorWrites:
    """The writes of the operators under test, Events and leases apart, in the order in which the server got them.

    Each is a text: `"patch configmaps default/blog"`, `"patch websites.example.com/status default/blog"`,
    `"delete services default/blog"`. Refused and ineffective writes count like any other.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._lock = threading.Lock()
        self._lines: list[str] = []  # under the lock
        sandbox.app.observers.append(self._observe)

    def _observe(self, info: RequestInfo) -> None:
        if info.verb in _READS or info.user_agent != OPERATOR_AGENT or info.plural in {"events", "leases"}:
            return
        resource = f"{info.plural}.{info.group}" if info.group else info.plural
        key = f"{info.namespace}/{info.name}" if info.namespace else info.name
        with self._lock:
            self._lines.append(f"{info.verb} {resource}{f'/{info.subresource}' if info.subresource else ''} {key}")

    def take(self) -> list[str]:
        """The writes since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
        return lines

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"<OperatorWrites {len(self)}>"
