"""`python -m perdure.testing.simulation --seed N`: runs one seed, or several, and tells the shortest story of a failure."""

from __future__ import annotations

import argparse
import sys

from perdure.testing.simulation import shortest, simulate


def main(arguments: list[str] | None = None) -> int:
    """Ends with 1 when a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m perdure.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument(
        "--tries", type=int, default=200, help="how many runs to spend on making a failing tape smaller"
    )
    parser.add_argument("--lines", type=int, default=80, help="how many lines of the trace to print")
    chosen = parser.parse_args(arguments)
    for seed in range(chosen.seed, chosen.seed + chosen.count):
        report = simulate(seed)
        if report.failure is not None:
            print(shortest(report, tries=chosen.tries).story(chosen.lines))
            return 1
    print(f"{chosen.count} seeds from {chosen.seed}: nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
