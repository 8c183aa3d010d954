"""The cells of a batch: items x models x workflows, numbered from 0 in that order."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

_GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""Multiples of it modulo 1 are spread the most evenly (D. E. Knuth, The Art of Computer Programming 3, 6.4)."""


class Place(NamedTuple):
    """Where a cell is: indices from 0."""

    item: int
    model: int
    """0 also if the batch has no models."""
    workflow: int


class Matrix(NamedTuple):
    """The size of a batch."""

    items: int
    models: int
    """At least 1: no model counts as one."""
    workflows: int

    @property
    def per_item(self) -> int:
        """Cells of one item."""
        return self.models * self.workflows

    @property
    def total(self) -> int:
        """Cells in all."""
        return self.items * self.per_item

    def place(self, cell: int) -> Place:
        """Where that cell is."""
        item, rest = divmod(cell, self.per_item)
        return Place(item, *divmod(rest, self.workflows))

    def spread(self, count: int) -> list[int]:
        """So many different cells, spread over items, models and workflows.

        Steps of about the golden part of all cells, and prime to their number: so none comes twice, and each run of
        `per_item` cells has every pair of model and workflow.
        """
        total = self.total
        step = max(1, round(total * _GOLDEN))
        while math.gcd(step, total) != 1:
            step += 1
        return [number * step % total for number in range(min(count, total))]
