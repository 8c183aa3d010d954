"""Which cell of a batch is next: the canary, then what is run again, then the rest in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from processing_service.engine.store.batch import BatchRow, BatchStore, Item

_PAGE: Final = 128
"""Cells that are read together."""


class Task(NamedTuple):
    """A cell that is to run."""

    cell: int
    item: Item | None
    """None if it is run again."""
    session_id: str = ""
    """The session that is run again; empty if it begins."""


Read = Callable[[int], Awaitable[tuple[list[Task], int]]]
"""Gives a page of tasks from a place on, and the place behind them; -1 = that was the last."""


class _Source:
    """Where cells come from; after a read that failed the same page is read again."""

    def __init__(self, read: Read, *, retries: bool = False) -> None:
        self._read, self._place, self.retries = read, 0, retries

    async def page(self) -> list[Task]:
        tasks, self._place = await self._read(self._place)
        return tasks

    @property
    def dry(self) -> bool:
        return self._place < 0


class Cursor:
    """Goes through the cells of a batch; each is given out once."""

    def __init__(self, store: BatchStore, row: BatchRow) -> None:
        self._store, self._row = store, row
        self._queue: deque[Task] = deque()
        self._sources: deque[_Source] = deque()
        self._turn = asyncio.Lock()

    @property
    def exhausted(self) -> bool:
        """True if there is nothing to give out."""
        return not self._queue and not self._sources

    def at_hand(self) -> Task | None:
        """The next cell, if it was read already."""
        return self._queue.popleft() if self._queue else None

    async def next(self) -> Task | None:
        """The next cell; None if there is none, unless more is added. Raises CoordinatorError: STORE_*."""
        while not self._queue and self._sources:
            async with self._turn:
                await self._refill()
        return self.at_hand()

    async def _refill(self) -> None:
        if not self._queue and self._sources:
            source = self._sources[0]
            page = await source.page()
            if source in self._sources:
                self._queue.extend(page)
                if source.dry:
                    self._sources.remove(source)

    def give_back(self, task: Task) -> None:
        """Gives a cell out once more, as the next."""
        self._queue.appendleft(task)

    def clear(self) -> None:
        """Forgets what is to be given out."""
        self._queue.clear()
        self._sources.clear()

    def add_some(self, cells: Sequence[int]) -> None:
        """Adds those cells, which have not begun."""
        if cells:
            self._sources.append(_Source(partial(self._some, cells)))

    def add_retries(self, row: BatchRow, only: frozenset[int] = frozenset()) -> None:
        """Adds the cells that ended without success before `retry_before_us`; `only` those, if it is not empty.

        They take the place of those that were added so before: the newer ones have all of them that are left.
        """
        self._queue = deque(task for task in self._queue if task.item is not None)
        self._sources = deque(source for source in self._sources if not source.retries)
        self._sources.append(_Source(partial(self._retries, row, only), retries=True))

    def add_rest(self, without: Iterable[int] = ()) -> None:
        """Adds all cells that have not begun.

        Args:
            without: cells that have begun, or are to, although the store may not know it yet.
        """
        self._sources.append(_Source(partial(self._rest, frozenset(without))))

    async def _some(self, cells: Sequence[int], place: int) -> tuple[list[Task], int]:
        page = cells[place : place + _PAGE]
        items = {number: item for cell in page for number, item in await self._item(cell)}
        return self._tasks(page, items), place + _PAGE if place + _PAGE < len(cells) else -1

    async def _item(self, cell: int) -> Iterable[tuple[int, Item]]:
        place = self._row.matrix.place(cell).item
        return [(item.number, item) for item in await self._store.items(self._row, place, 1)]

    async def _retries(self, row: BatchRow, only: frozenset[int], place: int) -> tuple[list[Task], int]:
        found = await self._store.to_retry(row, place, _PAGE)
        tasks = [Task(each.number, None, each.session_id) for each in found if not only or each.number in only]
        return tasks, found[-1].number + 1 if found else -1

    async def _rest(self, without: frozenset[int], place: int) -> tuple[list[Task], int]:
        matrix, found = self._row.matrix, await self._store.unbegun(self._row, place, _PAGE)
        if not found:
            return [], -1
        begin, end = matrix.place(found[0]).item, matrix.place(found[-1]).item
        items = await self._store.items(self._row, begin, end - begin + 1)
        cells = [cell for cell in found if cell not in without]
        return self._tasks(cells, {item.number: item for item in items}), found[-1] + 1

    def _tasks(self, cells: Iterable[int], items: dict[int, Item]) -> list[Task]:
        per_item = self._row.matrix.per_item
        return [Task(cell, items[cell // per_item]) for cell in cells]
