"""Which cell is next: each once, from pages of the store, also if a page could not be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.cursor import Cursor, Task
from processing_service.engine.batches.records import Standing
from processing_service.engine.store.batch import BatchRow, BatchStart, Item, Retry
from processing_service.wire.errors import Unavailable

ROW = BatchRow(1, BatchStart("b", "", b"", (b"d" * 32,) * 2, (), "", 0), 500, Standing(retry_before_us=10), 0, {})


class Cells:
    """What a cursor reads of a store: two cells an item, all of them unbegun but for some."""

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self.failed: list[int] = []
        self.faults = 0
        """Reads that fail before one does not."""

    async def unbegun(self, row: BatchRow, first: int, limit: int) -> Sequence[int]:
        await self._read()
        return [cell for cell in range(first, row.matrix.total) if cell not in self.begun][:limit]

    async def items(self, row: BatchRow, first: int, count: int) -> Sequence[Item]:
        await self._read()
        return [Item(number, f"i{number}", b"") for number in range(first, first + count)]

    async def to_retry(self, row: BatchRow, first: int, limit: int) -> Sequence[Retry]:
        await self._read()
        return [Retry(cell, f"b.{cell}", 5) for cell in self.failed if cell >= first][:limit]

    async def _read(self) -> None:
        await asyncio.sleep(0)
        if self.faults:
            self.faults -= 1
            raise Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "as told")


def cursor() -> tuple[Cells, Cursor]:
    cells = Cells()
    return cells, Cursor(cells, ROW)  # type: ignore[arg-type]  # the part that it reads


async def drained(cursor: Cursor) -> list[Task]:
    found = []
    while (task := await cursor.next()) is not None:
        found.append(task)
    assert cursor.exhausted
    return found


async def test_some_come_first_then_retries_then_the_rest() -> None:
    """Each once, with its item."""
    cells, cursor_ = cursor()
    cells.begun, cells.failed = {3, 9}, [9]
    cursor_.add_some([700, 5])
    cursor_.add_retries(ROW)
    cursor_.add_rest([700, 5])
    found = await drained(cursor_)

    assert [task.cell for task in found[:3]] == [700, 5, 9]
    assert [task.cell for task in found[3:]] == [cell for cell in range(1000) if cell not in {3, 9, 700, 5}]
    assert all(task.item is not None and task.item.number == task.cell // 2 for task in found if not task.session_id)
    assert (found[2].item, found[2].session_id) == (None, "b.9")


async def test_many_that_ask_at_once_get_each_cell_once() -> None:
    _, cursor_ = cursor()
    cursor_.add_rest()
    found = await asyncio.gather(*(drained_of(cursor_) for _ in range(7)))

    assert sorted(cell for cells in found for cell in cells) == list(range(1000))


async def drained_of(cursor: Cursor) -> list[int]:
    found = []
    while (task := await cursor.next()) is not None:
        found.append(task.cell)
        await asyncio.sleep(0)
    return found


async def test_a_page_that_could_not_be_read_is_read_again() -> None:
    """Nothing is lost with it."""
    cells, cursor_ = cursor()
    cursor_.add_rest()
    found = []
    for faults in (1, 2, 0):
        cells.faults = faults
        for _ in range(faults):
            with pytest.raises(Unavailable):
                await cursor_.next()
        found += [(await cursor_.next()).cell for _ in range(128)]  # type: ignore[union-attr]
    found += [task.cell for task in await drained(cursor_)]

    assert found == list(range(1000))


async def test_what_is_given_back_is_next() -> None:
    _, cursor_ = cursor()
    cursor_.add_some([1, 2])
    first = await cursor_.next()
    assert first is not None
    cursor_.give_back(first)

    assert [task.cell for task in await drained(cursor_)] == [1, 2]


async def test_newer_retries_take_the_place_of_older_ones() -> None:
    """They have all that is left of these."""
    cells, cursor_ = cursor()
    cells.failed = list(range(200))
    cursor_.add_retries(ROW)
    cursor_.add_some([500])
    assert [(await cursor_.next()).cell for _ in range(10)] == list(range(10))  # type: ignore[union-attr]
    cells.failed = list(range(10, 200))
    cursor_.add_retries(ROW)

    assert [task.cell for task in await drained(cursor_)] == [500, *range(10, 200)]


async def test_retries_of_some_alone_and_none_when_cleared() -> None:
    cells, cursor_ = cursor()
    cells.failed = list(range(300))
    cursor_.add_retries(ROW, frozenset({7, 250}))
    assert [task.cell for task in await drained(cursor_)] == [7, 250]
    cursor_.add_rest()
    cursor_.clear()
    assert await drained(cursor_) == []
