"""DBOS on SQLite, in its process, set up as it is fastest."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.peers import Peer
from benchmarks.rounds import tell

_TRIED: Final = 100
"""Cells by which set-ups are compared."""


class SetUp(NamedTuple):
    """How its queue is run."""

    kind: str
    """`async`: on one event loop; `sync`: each in a thread."""
    concurrency: int
    """Of its worker; 0 = unlimited."""
    polling: float
    """How often the worker looks for more, in seconds; 1 by default."""

    def __str__(self) -> str:
        return f"{self.kind}, {self.concurrency or 'unlimited'} at a time, polled each {self.polling:g} s"


_SET_UPS: Final = (
    SetUp("async", 64, 1.0),
    SetUp("async", 64, 0.2),
    SetUp("async", 0, 1.0),
    SetUp("sync", 64, 0.2),
    SetUp("sync", 0, 1.0),
)


class Dbos(Peer):
    """DBOS in its process.

    Args:
        folder: for its store; made here.
    """

    def __init__(self, folder: Path, set_up: SetUp) -> None:
        folder.mkdir(parents=True)
        self.set_up = set_up
        super().__init__("dbos_loop.py", str(folder), set_up.kind, str(set_up.concurrency), str(set_up.polling))

    def rate(self, cells: int) -> float:
        """Cells a second of so many, from the first that is enqueued to the last result."""
        return cells / float(self.ask(cells)["seconds"])


def fastest(folder: Path) -> SetUp:
    """The set-up in which it runs some cells the fastest."""
    rates: dict[SetUp, float] = {}
    for number, set_up in enumerate(_SET_UPS):
        peer = Dbos(folder / str(number), set_up)
        try:
            rates[set_up] = peer.rate(_TRIED)
        finally:
            peer.close()
        tell(f"DBOS, {set_up}: {rates[set_up]:.1f} cells/s")
    return max(_SET_UPS, key=rates.__getitem__)
