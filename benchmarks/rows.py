"""The rows of the table: what was measured, beside what, and whether it reaches its target."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def one(cls, value: float) -> Spread:
        """A figure that was taken once."""
        return cls(value, value, value)

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.low)} - {_short(self.high)})"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach."""

    relation: Literal[">=", "<=", "<"]
    bound: float
    unit: str = ""
    """Stands behind the figure: `x` for a ratio, `ms`, `%`."""

    def met(self, value: float) -> bool:
        if self.relation == ">=":
            return value >= self.bound
        return value <= self.bound if self.relation == "<=" else value < self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}{_unit(self.unit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    figure: Spread
    """What is held against the target: a median of rounds with its extremes, or one figure thrice."""
    target: Target
    ours: str = ""
    peer: str = ""
    foreign: float | None = None
    """CPU that other processes of the machine took meanwhile, in cores, at most; None where it makes no difference."""

    @property
    def reached(self) -> bool:
        return self.target.met(self.figure.median)


_HEADS = ("row", "what", "ours", "peer", "figure (min - max)", "target", "reached", "foreign")


def table(rows: Iterable[Row]) -> str:
    """All rows as text."""
    lines = [_HEADS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def save(rows: Iterable[Row], options: dict[str, Any], path: Path) -> None:
    """Writes what was measured, and on what, as JSON."""
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    measured = [asdict(row) | {"reached": row.reached} for row in rows]
    path.write_text(json.dumps({"machine": machine, "options": options, "rows": measured}, indent=1) + "\n", "utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    same = row.figure.low == row.figure.high
    figure = f"{_short(row.figure.median) if same else row.figure}{_unit(row.target.unit)}"
    reached = "yes" if row.reached else "NO"
    foreign = "-" if row.foreign is None else f"{row.foreign:.2f}"
    return (row.name, row.what, row.ours, row.peer, figure, str(row.target), reached, foreign)


def _unit(unit: str) -> str:
    return unit if unit in ("x", "%", "") else f" {unit}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
