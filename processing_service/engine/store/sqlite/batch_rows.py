"""Batches as rows: how one is read, and how its history is written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.journal import decode_standing, encode_chunk, encode_standing
from processing_service.engine.batches.records import BatchRecord, BatchState, Standing
from processing_service.engine.store.batch import BatchRow, BatchStart
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.wire.errors import CoordinatorError, not_found

_DIGEST_BYTES: Final = 32


def new_row(start: BatchStart, standing: Standing) -> tuple[Any, ...]:
    """The values of a batch that is created."""
    return (
        start.batch_id,
        start.tenant,
        start.request,
        b"".join(start.definitions),
        json.dumps(start.model_pins),
        start.labels,
        start.created_us,
        standing.state,
        encode_standing(standing),
    )


def read_row(connection: sqlite3.Connection, row: tuple[Any, ...]) -> BatchRow:
    """The batch in a row, with its cells by state."""
    number, batch_id, tenant, request, definitions, pins, labels, created_us, items, _, standing, last_sequence, _ = row
    digests = tuple(definitions[at : at + _DIGEST_BYTES] for at in range(0, len(definitions), _DIGEST_BYTES))
    start = BatchStart(batch_id, tenant, request, digests, tuple(json.loads(pins)), labels, created_us)
    return BatchRow(number, start, items, decode_standing(standing), last_sequence, count_cells(connection, number))


def count_cells(connection: sqlite3.Connection, number: int) -> dict[int, int]:
    """Cells that have a session, by its state."""
    return dict(connection.execute(SQL["count_cells"], (number,)).fetchall())


def write_standing(connection: sqlite3.Connection, number: int, standing: Standing) -> bool:
    """Stores where a batch stands; False if it was removed."""
    return connection.execute(SQL["update_batch"], (standing.state, encode_standing(standing), number)).rowcount == 1


def write_records(connection: sqlite3.Connection, number: int, records: Sequence[BatchRecord]) -> str:
    """Numbers records and stores them, behind those that there are; the batch_id, empty if the batch is gone."""
    found = connection.execute(SQL["number_batch_records"], (len(records), number)).fetchone()
    if found is None:
        return ""
    last, state, batch_id = found
    if not records:
        return str(batch_id)
    stamped = [record._replace(state=BatchState(state)) for record in records]
    chunk = encode_chunk(stamped, count_cells(connection, number))
    connection.execute(SQL["insert_batch_chunk"], (number, last - len(records) + 1, chunk))
    return str(batch_id)


def write_cell_ends(connection: sqlite3.Connection, ends: Mapping[int, Sequence[BatchRecord]]) -> set[str]:
    """Stores the ends of cells in the histories of their batches; the ids of these."""
    return {write_records(connection, number, records) for number, records in ends.items() if records}


def no_batch(batch_id: str) -> CoordinatorError:
    """NOT_FOUND: BATCH_NOT_FOUND."""
    hint = "GetProcessingBatches lists them"
    return not_found(ErrorReason.ERROR_REASON_BATCH_NOT_FOUND, "batch", batch_id, hint=hint)
