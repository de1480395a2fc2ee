"""Judges a record of writes: did ever two lead, or two runs touch one key?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Mark:
    """One write of a reconcile: see `replica.py`."""

    key: str
    holder: str
    transition: int
    run: str
    attempt: int
    step: str
    value: str = ""

    @classmethod
    def of(cls, config_map: dict[str, Any]) -> Self:
        data = config_map["data"]
        return cls(
            key=data["key"],
            holder=data["holder"],
            transition=int(data["transition"]),
            run=data["run"],
            attempt=int(data["attempt"]),
            step=data["step"],
            value=data["value"],
        )


def judge(marks: Iterable[Mark]) -> list[str]:
    """What is wrong with the writes, in the order in which the server took them; nothing if one led at a time.

    - A write of an earlier term never comes after one of a later term, of any key.
    - A term has one holder.
    - Of one key, a run ends before the next one begins. Left open may be one that failed (the next is a further attempt), or whose
      process ended (the next is of a later term).
    """
    wrong: list[str] = []
    newest = -1
    holders: dict[int, str] = {}
    running: dict[str, Mark] = {}
    for mark in marks:
        if mark.transition < newest:
            wrong.append(f"a write of term {mark.transition} after one of term {newest}: {mark}")
        newest = max(newest, mark.transition)
        if holders.setdefault(mark.transition, mark.holder) != mark.holder:
            wrong.append(f"two holders of term {mark.transition}: {holders[mark.transition]} and {mark.holder}")
        before = running.pop(mark.key, None)
        if mark.step == "begin":
            running[mark.key] = mark
            if before is not None and before.transition >= mark.transition and mark.attempt == 1:
                wrong.append(f"two runs of one key: {before} had not ended when {mark} began")
        elif before is None or before.run != mark.run:
            wrong.append(f"a run ended that had not begun: {mark}, after {before}")
    return wrong
