"""The order in which a page is read: row by row, and column by column where running text stands in columns.

As the recursive XY-cut (G. Nagy and S. Seth, "Hierarchical Representation of Optically Scanned Documents", 1984; on
boxes: J. Ha, R. Haralick and I. Phillips, 1995), pages are cut where nothing stands: across into blocks of rows, each
block along the gaps that all of its rows leave free. It is cut into columns only if all of them hold running text, so
that the rows of tables, forms and receipts stay together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from processing_service.domains.postprocessing.regions import size_of
from processing_service.wire.tensors import Array

_MIN_GAP: Final = 1.0
"""Narrowest gap between columns, in heights of a line; spaces between words are a third of it."""
_MIN_LINES: Final = 4
_MIN_LENGTH: Final = 8.0
"""Width of half of the lines of running text, in heights of a line."""
_MIN_FILLED: Final = 0.6
"""Share of the column that half of its lines fill."""
_MAX_LEAD: Final = 40
"""Rows at the head of a block that stand on one side of its gap."""

_Gap = tuple[float, float]
"""From x to x, in pixels."""


def reading_order(quads: Sequence[Array]) -> list[int]:
    """Indices as one reads; regions whose centres are nearer than half the lower height are one row."""
    if not quads:
        return []
    page = _Page(_level(quads))
    order: list[int] = []
    rows = page.rows(range(len(quads)))
    while rows:
        count, columns = page.block(rows)
        order += [index for column in columns for row in page.rows(column) for index in row]
        rows = rows[count:]
    return order


def _level(quads: Sequence[Array]) -> Array:
    """The quads, turned back by the angle of the page: the median of those of its lines."""
    corners = np.stack(quads).astype(np.float64)
    along = corners[:, 1] - corners[:, 0]
    is_wide = [width >= 2 * height for width, height in map(size_of, quads)]
    angle = float(np.median(np.arctan2(along[:, 1], along[:, 0])[is_wide])) if any(is_wide) else 0.0
    cosine, sine = math.cos(angle), math.sin(angle)
    level: Array = corners @ np.array([(cosine, -sine), (sine, cosine)])
    return level


class _Page:
    """The lines of a page that stands level."""

    def __init__(self, quads: Array) -> None:
        self._centres = quads.mean(axis=1)
        self._left, self._right = quads[:, :, 0].min(axis=1), quads[:, :, 0].max(axis=1)
        sizes = np.array([size_of(quad) for quad in quads])
        self._widths, self._heights = sizes[:, 0], sizes[:, 1]
        self._whole = (float(self._left.min()), float(self._right.max()))
        self._min_gap = _MIN_GAP * float(np.median(self._heights))

    def rows(self, indices: Iterable[int]) -> list[list[int]]:
        """Top to bottom, and left to right within a row."""
        rows: list[list[int]] = []
        for index in sorted(indices, key=lambda index: float(self._centres[index, 1])):
            if rows and self._is_row(rows[-1][-1], index):
                rows[-1].append(index)
            else:
                rows.append([index])
        return [sorted(row, key=lambda index: float(self._centres[index, 0])) for row in rows]

    def _is_row(self, index: int, other: int) -> bool:
        distance = abs(self._centres[index, 1] - self._centres[other, 1])
        return bool(distance < 0.5 * min(self._heights[index], self._heights[other]))

    def block(self, rows: Sequence[Sequence[int]]) -> tuple[int, list[list[int]]]:
        """How many of the rows the first block has, and its columns; one if it is read row by row."""
        count, gaps = self._extend(rows)
        if not gaps:
            return 1, [list(rows[0])]
        block = [index for row in rows[:count] for index in row]
        columns = self._cut(block, gaps)
        return count, columns if all(map(self._is_text, columns)) else [block]

    def _extend(self, rows: Sequence[Sequence[int]]) -> tuple[int, list[_Gap]]:
        """The most rows that leave the same gaps free, and those gaps; none if there is no text on both their sides."""
        free, inner = [self._whole], list[_Gap]()
        left, right = math.inf, -math.inf
        for count, row in enumerate(rows):
            left = min(left, *(float(self._left[index]) for index in row))
            right = max(right, *(float(self._right[index]) for index in row))
            free = self._left_free(free, row)
            found = [(start, end) for start, end in free if left < start and end < right]
            if not free or (inner and not found) or (not found and count == _MAX_LEAD):
                return count, inner
            inner = found
        return len(rows), inner

    def _left_free(self, free: list[_Gap], row: Sequence[int]) -> list[_Gap]:
        for index in row:
            left, right = float(self._left[index]), float(self._right[index])
            cut = [part for start, end in free for part in ((start, min(end, left)), (max(start, right), end))]
            free = [(start, end) for start, end in cut if end - start >= self._min_gap]
        return free

    def _cut(self, block: Iterable[int], gaps: Sequence[_Gap]) -> list[list[int]]:
        ends = [end for _, end in gaps]
        columns: list[list[int]] = [[] for _ in range(len(gaps) + 1)]
        for index in block:
            columns[sum(bool(self._left[index] >= end) for end in ends)].append(index)
        return columns

    def _is_text(self, column: Sequence[int]) -> bool:
        if len(column) < _MIN_LINES:
            return False
        width = float(np.median(self._widths[column]))
        filled = width / float(self._right[column].max() - self._left[column].min())
        return filled >= _MIN_FILLED and width >= _MIN_LENGTH * float(np.median(self._heights[column]))
