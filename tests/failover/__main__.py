"""`python -m tests.failover --kills 10`: the leader killed again and again, with what came of it in figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.failover.fleet import TAKEOVER
from tests.failover.kills import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.failover", description="Three replicas, the leader killed.")
    parser.add_argument("--kills", type=int, default=10, help="how many")
    parser.add_argument("--logs", type=Path, help="a directory for the logs of all processes; it is made")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="failover-") as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(folder, options.kills)
    print(figures)
    print("takeovers:", " ".join(f"{seconds:.2f}" for seconds in figures.takeovers))
    for line in figures.wrong:
        print(line)
    return int(bool(figures.wrong) or max(figures.takeovers) > TAKEOVER)


if __name__ == "__main__":
    sys.exit(main())
