"""Batches in SQLite: their items, where they stand, what happened to them. Their cells are sessions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.journal import Entry, decode_chunk
from processing_service.engine.batches.records import BatchRecord, BatchState, Standing
from processing_service.engine.batches.rules import check_created, check_over, check_still
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import RequestNote, SessionRow
from processing_service.engine.store.batch import BatchFilter, BatchRow, BatchStart, Cell, Item, Retry
from processing_service.engine.store.sqlite import batch_cells
from processing_service.engine.store.sqlite.batch_rows import (
    new_row,
    no_batch,
    read_row,
    write_records,
    write_standing,
)
from processing_service.engine.store.sqlite.many_rows import write_rows
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.requests import write_note
from processing_service.engine.store.sqlite.waiters import Waiters
from processing_service.engine.store.sqlite.writer import Writer
from processing_service.wire.errors import Code, CoordinatorError, Violation, not_found

_SLICE: Final = 500
"""Sessions that one transaction removes: others wait for it."""


class SqliteBatches:
    """BatchStore on SQLite.

    Args:
        begin_grace: keeps artifacts, by digest, for a grace from now on.
    """

    def __init__(
        self, readers: Readers, writer: Writer, begin_grace: Callable[[Sequence[str]], Awaitable[None]]
    ) -> None:
        self._readers, self._writer, self._begin_grace = readers, writer, begin_grace
        self._waiters = Waiters()

    async def create(
        self,
        start: BatchStart,
        standing: Standing,
        record: BatchRecord,
        definitions: Mapping[bytes, bytes],
        items: Sequence[Item],
        holds: Sequence[bytes],
        note: RequestNote | None = None,
    ) -> None:
        """See BatchStore.create."""

        def write(connection: sqlite3.Connection) -> None:
            write_note(connection, note)
            if connection.execute(SQL["batch_is_leaving"], (start.batch_id, start.tenant)).fetchone() is not None:
                raise _leaving(start.batch_id)
            found = connection.execute(SQL["insert_batch"], new_row(start, standing)).fetchone()
            if found is None:
                raise _taken(start.batch_id)
            write_rows(connection, "insert_definition", list(definitions.items()))
            _add_items(connection, found[0], 0, items, holds)
            write_records(connection, found[0], [record])

        await self._writer.run(write)

    async def add(
        self, batch_id: str, tenant: str, items: Sequence[Item], holds: Sequence[bytes], note: RequestNote | None = None
    ) -> None:
        """See BatchStore.add."""

        def write(connection: sqlite3.Connection) -> None:
            write_note(connection, note)
            found = connection.execute(SQL["batch_items_end"], (batch_id, tenant)).fetchone()
            if found is None:
                raise no_batch(batch_id)
            number, count, state = found
            check_created(batch_id, BatchState(state), "adding items")
            _add_items(connection, number, count, items, holds)

        await self._writer.run(write)

    async def record(
        self, number: int, standing: Standing, records: Sequence[BatchRecord], note: RequestNote | None = None
    ) -> None:
        """See BatchStore.record."""

        def write(connection: sqlite3.Connection) -> str:
            write_note(connection, note)
            if not write_standing(connection, number, standing):
                raise _removed(number)
            return write_records(connection, number, records)

        self.notify({await self._writer.run(write)})

    def notify(self, batch_ids: set[str]) -> None:
        """Wakes whoever waits for records of those batches."""
        for batch_id in batch_ids:
            self._waiters.notify(batch_id)

    async def changed(self, batch_id: str) -> None:
        """See BatchStore.changed."""
        await self._waiters.changed(batch_id)

    async def read(self, batch_id: str, tenant: str) -> BatchRow:
        """See BatchStore.read."""

        def read(connection: sqlite3.Connection) -> BatchRow:
            with batch_cells.snapshot(connection):
                row = connection.execute(SQL["read_batch"], (batch_id, tenant)).fetchone()
                if row is None:
                    raise no_batch(batch_id)
                return read_row(connection, row)

        return await self._readers.run(read)

    async def page(self, which: BatchFilter, before: int, limit: int) -> Sequence[BatchRow]:
        """See BatchStore.page."""
        marks = ", ".join("?" * len(which.states))
        states = f" AND state IN ({marks})" if which.states else ""
        query = f"SELECT * FROM batch WHERE tenant = ? AND deleted = 0 AND n < ?{states} ORDER BY n DESC"  # noqa: S608
        values = (which.tenant, before or 1 << 62, *which.states)
        labels = dict(which.labels)

        def read(connection: sqlite3.Connection) -> list[BatchRow]:
            with batch_cells.snapshot(connection):
                rows = (read_row(connection, row) for row in connection.execute(query, values))
                return list(islice((row for row in rows if labels.items() <= _labels(row).items()), limit))

        return await self._readers.run(read)

    async def unfinished(self) -> Sequence[BatchRow]:
        """See BatchStore.unfinished."""

        def read(connection: sqlite3.Connection) -> list[BatchRow]:
            return [read_row(connection, row) for row in connection.execute(SQL["read_open_batches"]).fetchall()]

        return await self._readers.run(read)

    async def definitions(self, row: BatchRow) -> Sequence[bytes]:
        """See BatchStore.definitions."""

        def read(connection: sqlite3.Connection) -> list[bytes]:
            asked = [(digest,) for digest in row.start.definitions]
            return [connection.execute(SQL["read_definition"], one).fetchone()[0] for one in asked]

        return await self._readers.run(read)

    async def items(self, row: BatchRow, first: int, count: int) -> Sequence[Item]:
        """See BatchStore.items."""
        asked = (row.number, first, count)
        rows = await self._readers.run(lambda c: c.execute(SQL["read_batch_items"], asked).fetchall())
        return [Item(*found) for found in rows]

    async def cells(self, row: BatchRow, first: int, limit: int, states: Sequence[SessionState] = ()) -> Sequence[Cell]:
        """See BatchStore.cells."""
        return await self._readers.run(lambda c: batch_cells.page(c, row, first, limit, frozenset(states)))

    async def unbegun(self, row: BatchRow, first: int, limit: int) -> Sequence[int]:
        """See BatchStore.unbegun."""

        def read(connection: sqlite3.Connection) -> list[int]:
            with batch_cells.snapshot(connection):  # the count and the last of the begun ones belong together
                return list(islice(batch_cells.unbegun(connection, row, first), limit))

        return await self._readers.run(read)

    async def failed_since(self, row: BatchRow, without: Collection[int] = ()) -> int:
        """See BatchStore.failed_since."""
        asked = (row.number, row.standing.retry_before_us, json.dumps(sorted(without)))
        found = await self._readers.run(lambda c: c.execute(SQL["count_failed_since"], asked).fetchone())
        return int(found[0])

    async def begun(self, row: BatchRow, cells: Sequence[int]) -> Sequence[SessionRow]:
        """See BatchStore.begun."""
        return await self._readers.run(lambda c: batch_cells.begun(c, row.number, cells))

    async def to_retry(self, row: BatchRow, first: int, limit: int) -> Sequence[Retry]:
        """See BatchStore.to_retry."""
        asked = (row.number, first, row.standing.retry_before_us, limit)
        rows = await self._readers.run(lambda c: c.execute(SQL["cells_to_retry"], asked).fetchall())
        return [Retry(*found) for found in rows]

    async def records(self, row: BatchRow, after: int, limit: int) -> Sequence[Entry]:
        """See BatchStore.records."""

        def read(connection: sqlite3.Connection) -> list[Entry]:
            chunks = connection.execute(SQL["read_batch_chunks"], (row.number, after))
            entries = (entry for first, data in chunks for entry in decode_chunk(data, first))
            return list(islice((entry for entry in entries if entry.sequence > after), limit))

        return await self._readers.run(read)

    async def delete(self, row: BatchRow, note: RequestNote | None = None) -> int:
        """See BatchStore.delete."""

        def mark(connection: sqlite3.Connection) -> None:
            found = connection.execute(SQL["batch_items_end"], (row.start.batch_id, row.start.tenant)).fetchone()
            if found is None or found[0] != row.number:
                raise no_batch(row.start.batch_id)
            check_over(row.start.batch_id, BatchState(found[2]))
            check_still(row.start.batch_id, connection.execute(SQL["live_cells"], (row.number,)).fetchone()[0])
            write_note(connection, note)
            connection.execute(SQL["mark_batch_deleted"], (row.number,))

        await self._writer.run(mark)
        self.notify({row.start.batch_id})
        return await self._remove(row.number)

    async def remove_deleted(self) -> None:
        """See BatchStore.remove_deleted."""
        rows = await self._readers.run(lambda c: c.execute(SQL["read_deleted_batches"]).fetchall())
        for (number,) in rows:
            await self._remove(number)

    async def _remove(self, number: int) -> int:
        removed = 0
        while cells := await self._readers.run(lambda c: batch_cells.some(c, number, _SLICE)):
            await self._begin_grace(sorted(cells.artifacts))
            removed += await self._writer.run(partial(batch_cells.remove_some, cells=cells))
        items = await self._readers.run(lambda c: c.execute(SQL["artifacts_of_batch"], (number,)).fetchall())
        await self._begin_grace([digest.hex() for (digest,) in items])
        await self._writer.run(lambda connection: batch_cells.remove_rest(connection, number))
        return removed


def _labels(row: BatchRow) -> Mapping[str, str]:
    labels: Mapping[str, str] = json.loads(row.start.labels) if row.start.labels else {}
    return labels


def _add_items(
    connection: sqlite3.Connection, number: int, first: int, items: Sequence[Item], holds: Sequence[bytes]
) -> None:
    rows = [(number, at, item.item_id, item.data) for at, item in enumerate(items, start=first)]
    if write_rows(connection, "insert_batch_item", rows) != len(rows):
        raise _item_taken(connection, number, first, items)
    write_rows(connection, "insert_batch_artifact_use", [(digest, number) for digest in holds])
    connection.execute(SQL["count_batch_items"], (len(rows), number))


def _item_taken(connection: sqlite3.Connection, number: int, first: int, items: Sequence[Item]) -> CoordinatorError:
    """Says which item was left out."""
    for at, item in enumerate(items, start=first):
        (place,) = connection.execute(SQL["batch_item_exists"], (number, item.item_id)).fetchone()
        if place != at:
            where = (
                f"in the batch already, as item {place}" if place < first else f"that of items[{place - first}], too"
            )
            return _already_there(item.item_id, f"items[{at - first}].item_id", where)
    raise AssertionError("an item was left out and is there")


def _already_there(item_id: str, path: str, where: str) -> CoordinatorError:
    """ALREADY_EXISTS: BATCH_ITEM_ALREADY_EXISTS."""
    text = f"{item_id!r} is {where}; nothing of this page was added: name it otherwise, or leave it out"
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_BATCH_ITEM_ALREADY_EXISTS,
        f"{path}: {text}",
        metadata={"resource_type": "batch_item", "resource_name": item_id},
        violations=[Violation(path, text)],
    )


def _removed(number: int) -> CoordinatorError:
    return not_found(ErrorReason.ERROR_REASON_BATCH_NOT_FOUND, "batch", f"#{number}", hint="it was removed meanwhile")


def _leaving(batch_id: str) -> CoordinatorError:
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_BATCH_ALREADY_EXISTS,
        f"a batch {batch_id!r} is being removed with its sessions; try again in a moment, or choose another batch_id",
        metadata={"resource_type": "batch", "resource_name": batch_id},
        retry_delay=1.0,
    )


def _taken(batch_id: str) -> CoordinatorError:
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_BATCH_ALREADY_EXISTS,
        f"there is a batch {batch_id!r} already; choose another batch_id, or leave it empty",
        metadata={"resource_type": "batch", "resource_name": batch_id},
    )
