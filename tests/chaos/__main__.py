"""`python -m tests.chaos --seeds 1000`: many seeds of random mixtures; `--first 17 --seeds 1` replays one."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from operator_kit.clock import Clock
from tests.chaos.mixtures import Report, replay, run_seed


def _quiet() -> None:
    logging.disable(logging.CRITICAL)  # failures are what is asked for


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Random mixtures of faults, seed by seed.")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--verbose", action="store_true", help="log what the operator logs; tell what each seed did")
    options = parser.parse_args()
    clock = Clock()
    began = clock.monotonic()
    reports: list[Report] = []
    failed: list[int] = []
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs, initializer=None if options.verbose else _quiet) as pool:
        jobs = {pool.submit(run_seed, seed): seed for seed in seeds}
        for done in as_completed(jobs):
            error = done.exception()
            if error is None:
                reports.append(done.result())
                if options.verbose:
                    print(f"seed {jobs[done]}", *done.result().story, sep="\n  ")
            else:
                failed.append(jobs[done])
                print(f"seed {jobs[done]} failed ({replay(jobs[done])})\n{type(error).__name__}: {error}", flush=True)
    reports.sort(key=lambda report: report.seconds)
    if reports:
        middle, last = reports[len(reports) // 2], reports[-1]
        print(
            f"{len(reports)} of {len(seeds)} seeds converged in {clock.monotonic() - began:.1f} s; a seed took "
            f"{middle.seconds:.2f} s (median), {last.seconds:.2f} s (longest, seed {last.seed}); "
            f"{sum(report.struck for report in reports)} faults struck {sum(report.requests for report in reports)} requests"
        )
    if failed:
        print(f"failed: {', '.join(map(str, sorted(failed)))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
