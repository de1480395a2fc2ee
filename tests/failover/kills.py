"""Three replicas, the leader killed again and again during a load of changes."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.failover.fleet import TAKEOVER, Fleet, kill
from tests.failover.judge import judge

REPLICAS = 3
WORK = (0.5, 1.5)  # seconds that a leader works before it is killed


@dataclass(frozen=True)
class Figures:
    """How it went."""

    takeovers: tuple[float, ...]  # seconds from the kill to the next holder
    changes: int  # of objects, by the load
    runs: int  # reconciles that wrote
    terms: int
    wrong: tuple[str, ...]  # see `judge`

    def __str__(self) -> str:
        longest, shortest = max(self.takeovers), min(self.takeovers)
        return (
            f"{len(self.takeovers)} kills, {self.changes} changes, {self.runs} reconciles in {self.terms} terms; "
            f"takeovers {shortest:.2f} to {longest:.2f} s (at most {TAKEOVER:.2f} s); "
            f"every object converged; {len(self.wrong) or 'no'} writes out of order"
        )


def run(folder: Path, kills: int) -> Figures:
    """Kill the leader so many times, each time while it works, and start another replica, as a Deployment would."""
    with Fleet(folder) as fleet:
        for _ in range(REPLICAS):
            fleet.start()
        takeovers, draw = [], random.Random(7)
        for _ in range(kills):
            leader = fleet.leader()
            for other in fleet.alive():
                if other is not leader:
                    fleet.standing_by(other)
            time.sleep(draw.uniform(*WORK))  # noqa: TID251  # other processes live in real time
            moment = kill(leader)
            fleet.start()
            takeovers.append(fleet.takeover(leader, moment))
        fleet.leader()
        fleet.converge()
        marks = fleet.marks()
        return Figures(
            takeovers=tuple(takeovers),
            changes=fleet.load.changes,
            runs=len({mark.run for mark in marks}),
            terms=len({mark.transition for mark in marks}),
            wrong=tuple(judge(marks)),
        )
