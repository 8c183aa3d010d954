"""Measures, and prints the table: `python -m benchmarks [--rounds 5] [--quick] [ROW ...]`.

Ends with 0 also where a target is missed: the table says so; anything else than 0 is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import (
    batches,
    cancelling,
    csharp,
    orchestrator,
    pages,
    planning,
    recovery,
    reuse,
    sessions,
    storage,
    watching,
)
from benchmarks.options import Options
from benchmarks.rounds import QUIET, tell
from benchmarks.rows import Row, save, table

_FAMILIES = (sessions, batches, watching, cancelling, planning, storage, recovery, reuse, pages, csharp, orchestrator)
_RESULTS = Path(__file__).parent / "results.json"
_LONGEST_S = 3600.0
"""For one family of rows; then it is broken off."""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended on the way out
    arguments = _arguments()
    before = os.getloadavg()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        options = _options(arguments, Path(folder))
        for family in _FAMILIES:
            if any(map(options.wants, family.ROWS)):
                own = replace(options, folder=Path(folder, family.__name__))
                rows += asyncio.run(asyncio.wait_for(family.measure(own), _LONGEST_S))
    loads = f"load average before {before[0]:.2f}, after {os.getloadavg()[0]:.2f}"
    print(f"{table(rows)}\n\n{loads} on {os.cpu_count()} CPUs; above {QUIET} foreign cores a row was disturbed")
    save(rows, {"rounds": options.rounds, "quick": arguments.quick, "load": loads}, _RESULTS)


def _arguments() -> argparse.Namespace:
    names = [name for family in _FAMILIES for name in family.ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"rows to measure, all by default: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of each comparison")
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, few pages and sessions: to see that it runs"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(names):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


def _options(arguments: argparse.Namespace, folder: Path) -> Options:
    options = Options(folder, frozenset(arguments.rows), arguments.rounds)
    if not arguments.quick:
        return options
    tell("quick: the figures show that it runs, not how fast it is")
    return replace(
        options, rounds=min(2, arguments.rounds), seconds=1.0, pages=6, sessions=2_000, cells=1_000, many_cells=10_000
    )


if __name__ == "__main__":
    main()
