"""`python -m tests.soak --events 1000000 --seed 1`: informers under long load, and their memory along the way."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.processes import eventually, operator_kit
from tests.soak.soak import Sample, Soak

LIMIT = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Informers under long load.")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many, all informers together")
    parser.add_argument("--objects", type=int, default=2_000, help="how many there are")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # faults are what is asked for
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        with operator_kit("sandbox", "--kubeconfig", str(kubeconfig), log=Path(folder) / "log"):
            eventually(kubeconfig.exists, "the sandbox's kubeconfig")
            soak = Soak(kubeconfig, seed=options.seed, objects=options.objects)
            print(f"{options.events:,} events, {options.objects:,} objects, seed {options.seed}")
            print(f"{'events':>12}{'objects':>10}{'resident MB':>13}{'less free MB':>14}{'blocks':>12}", flush=True)

            def tell(sample: Sample) -> None:
                memory = f"{sample.resident:>13.1f}{sample.megabytes:>14.1f}{sample.blocks:>12,}"
                print(f"{sample.events:>12,}{sample.objects:>10,}{memory}", flush=True)

            try:
                report = soak.run(options.events, tell=tell)
            except AssertionError as exc:
                print(exc)
                return 1
            finally:
                soak.close()
    restarts = ", ".join(f"{reason} {times}" for reason, times in sorted(report.restarts.items()))
    print(f"{report.seconds:,.0f} s, {report.writes:,} writes, {report.faults:,} faults put in force; restarts: {restarts}")
    print("the caches are the server's, object by object, at every line of this table")
    fine = report.growth <= LIMIT
    print(
        f"memory, less what is free, from the first line to the last: {report.growth:+.1%}; at most {LIMIT:+.0%}: {'met' if fine else 'missed'}"
    )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
