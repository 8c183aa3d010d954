"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    folder: Path
    """Empty; for stores and logs of servers."""
    rows: frozenset[str] = frozenset()
    """Names of rows to measure; empty = all."""
    rounds: int = 5
    seconds: float = 4.0
    """Length of one measurement."""
    pages: int = 40
    """How many pages are read: those of the examples first."""
    sessions: int = 100_000
    """How many sessions fill the store."""
    cells: int = 10_000
    """How many cells a batch has that is run."""
    many_cells: int = 1_000_000
    """How many cells a batch has that only stands there."""

    def wants(self, row: str) -> bool:
        return not self.rows or row in self.rows
