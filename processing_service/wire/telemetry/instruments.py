"""Counters and histograms that are plain numbers: half a microsecond a record, read when somebody scrapes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Labels = tuple[str, ...]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds in seconds: those of the OpenTelemetry conventions for RPCs, and two below them for embedded calls."""
LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds in seconds for the lag of an event loop, close together where it begins to matter."""
LONG_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Upper bounds in seconds for whole sessions."""


@dataclass(slots=True)
class Counter:
    """A number that only grows, for each combination of label values."""

    name: str
    text: str
    labels: Labels = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + amount


@dataclass(slots=True)
class Buckets:
    """How many values were at most each bound, not counted twice; the last count is of those above all."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Histogram:
    """How values are spread, for each combination of label values."""

    name: str
    text: str
    labels: Labels = ()
    bounds: tuple[float, ...] = SECONDS
    values: dict[Labels, Buckets] = field(default_factory=dict)

    def record(self, value: float, labels: Labels = ()) -> None:
        buckets = self.values.get(labels)
        if buckets is None:
            buckets = self.values[labels] = Buckets([0] * (len(self.bounds) + 1))
        buckets.counts[bisect_left(self.bounds, value)] += 1
        buckets.total += value


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is asked for when somebody scrapes; `read` is called in the scraper's thread."""

    name: str
    text: str
    read: Callable[[], float]
