"""Crash loops: `python -m tests.crashing [--kills 100] [--seed 1] [POINT ...]`, or `make crash-loops`.

Kills servers at each crash point so many times under a random load and prints what came of it, a line a point. Ends
with 1 if a promise was broken, and prints how; the point and the seed of such a line make the same load again.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.crashing.campaign import KILLS, Campaign, Report
from tests.crashing.points import POINTS
from tests.crashing.site import site


def main() -> None:
    """Runs the loops."""
    arguments = _arguments()
    report = asyncio.run(_loop(arguments.points or list(POINTS), arguments.kills, arguments.seed))
    sys.exit(1 if report.faults else 0)


async def _loop(points: list[str], kills: int, seed: int) -> Report:
    total, folder = Report(), Path(tempfile.mkdtemp(prefix="crash-"))
    async with site(folder) as made:
        for point in points:
            report = Report()
            while report.kills < kills:
                report.add(await Campaign(made, point, seed + report.campaigns).run())
            _tell(point, report)
            total.add(report)
    _tell("all", total)
    if total.faults:
        print(f"stores and logs are in {folder}")
    else:
        await asyncio.to_thread(shutil.rmtree, folder)
    return total


def _tell(what: str, report: Report) -> None:
    print(f"{what}: {report}", flush=True)
    for fault in report.faults if what != "all" else ():
        print(f"  {fault}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crashing", description=__doc__)
    parser.add_argument("points", nargs="*", metavar="POINT", choices=[*POINTS, []], help=", ".join(POINTS))
    parser.add_argument("--kills", type=int, default=100, help=f"for each point, in campaigns of {KILLS}")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
