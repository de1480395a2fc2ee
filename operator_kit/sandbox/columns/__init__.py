"""The columns that `kubectl get` prints for built-in kinds: names, types, which are wide, and how each cell is made.

Cells are made for objects as stored: what is missing or odd shows as the server shows it (`<none>`, `<unknown>`, `<unset>`).
"""

from __future__ import annotations

from operator_kit.sandbox.columns.base import Column, Printer, age, human_duration, parse_time
from operator_kit.sandbox.columns.core import PRINTERS as _CORE
from operator_kit.sandbox.columns.groups import PRINTERS as _GROUPS
from operator_kit.sandbox.columns.workloads import PRINTERS as _WORKLOADS

__all__ = ["BUILTIN", "Column", "Printer", "age", "human_duration", "parse_time"]

BUILTIN: dict[tuple[str, str], Printer] = {**_CORE, **_WORKLOADS, **_GROUPS}
"""The printers by group and kind; kinds that are not here show their name and when they were created."""
