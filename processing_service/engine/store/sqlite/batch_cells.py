"""The cells of a batch, read and removed. Those that have not begun have no row: they are told by their numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import islice
from typing import Final, NamedTuple

from processing_service.engine.records import SessionState
from processing_service.engine.store.base import SessionRow
from processing_service.engine.store.batch import BatchRow, Cell
from processing_service.engine.store.sqlite.batch_rows import count_cells, no_batch
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.session_rows import read_row
from processing_service.engine.store.sqlite.sessions import artifacts_under, remove

_WINDOW: Final = 100
"""Cells that are looked at together."""


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the block was true at one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def page(
    connection: sqlite3.Connection, row: BatchRow, first: int, limit: int, states: Set[SessionState]
) -> list[Cell]:
    """See BatchStore.cells."""
    unbegun = SessionState.CANCELLED if row.standing.state.terminal else SessionState.PENDING
    with snapshot(connection):
        if states and unbegun not in states:
            return list(islice(_in_states(connection, row, first, states), limit))
        cells = (cell for window in _windows(connection, row, first, states) for cell in window)
        fitting = (cell for cell in cells if not states or (cell.session.state if cell.session else unbegun) in states)
        return list(islice(fitting, limit))


def _in_states(connection: sqlite3.Connection, row: BatchRow, first: int, states: Set[SessionState]) -> Iterator[Cell]:
    """Those of the begun cells; if none of these states is success, the index of the others has them."""
    narrow = " AND state > 6" if min(states) > SessionState.SUCCEEDED else ""
    marks = ", ".join("?" * len(states))
    query = (
        f"SELECT * FROM session WHERE batch_n = ? AND batch_n > 0{narrow} AND cell >= ? "  # noqa: S608  # constants
        f"AND state IN ({marks}) ORDER BY cell"
    )
    for found in connection.execute(query, (row.number, first, *sorted(states))):
        session = read_row(found)
        yield Cell(session.start.cell, session.start.item_id, session)


def _windows(
    connection: sqlite3.Connection, row: BatchRow, first: int, states: Set[SessionState]
) -> Iterator[list[Cell]]:
    """Cells from that number on; where only unbegun ones are asked for, from the first of these."""
    if states and not any(row.begun.get(state) for state in states):
        first = next(unbegun(connection, row, first), row.matrix.total)
    for start in range(first, row.matrix.total, _WINDOW):
        yield _window(connection, row, start, min(start + _WINDOW, row.matrix.total) - 1)


def _window(connection: sqlite3.Connection, row: BatchRow, first: int, last: int) -> list[Cell]:
    matrix = row.matrix
    items = (matrix.place(first).item, matrix.place(last).item)
    names = dict(connection.execute(SQL["read_batch_item_ids"], (row.number, *items)).fetchall())
    rows = (read_row(found) for found in connection.execute(SQL["read_cells"], (row.number, first, last)))
    sessions = {session.start.cell: session for session in rows}
    if len(names) <= items[1] - items[0]:  # it is being removed
        raise no_batch(row.start.batch_id)
    return [Cell(cell, names[matrix.place(cell).item], sessions.get(cell)) for cell in range(first, last + 1)]


def unbegun(connection: sqlite3.Connection, row: BatchRow, first: int) -> Iterator[int]:
    """Cells from that number on that have no session.

    Where all up to the last have one, as they have unless there was a canary, none of these is looked at.
    """
    (last,) = connection.execute(SQL["last_cell"], (row.number,)).fetchone()
    if sum(count_cells(connection, row.number).values()) <= last:
        for (cell,) in connection.execute(SQL["list_cell_numbers"], (row.number, first)):
            yield from range(first, cell)
            first = cell + 1
    yield from range(max(first, last + 1), row.matrix.total)


def begun(connection: sqlite3.Connection, number: int, cells: Sequence[int]) -> list[SessionRow]:
    """See BatchStore.begun."""
    rows = (connection.execute(SQL["read_cell"], (number, cell)).fetchone() for cell in cells)
    return [read_row(found) for found in rows if found is not None]


class Slice(NamedTuple):
    """Sessions of cells that are removed together."""

    sessions: list[tuple[str, str]]
    """session_id and tenant."""
    artifacts: set[str]
    """Digests of what they need."""


def some(connection: sqlite3.Connection, number: int, limit: int) -> Slice | None:
    """Some of its sessions; None if there are none."""
    sessions = connection.execute(SQL["some_cells"], (number, limit)).fetchall()
    artifacts = (artifacts_under(connection, *session) for session in sessions)
    return Slice(sessions, set().union(*artifacts)) if sessions else None


def remove_some(connection: sqlite3.Connection, cells: Slice) -> int:
    """Removes those sessions, with those of their steps; how many cells these were."""
    return sum(remove(connection, *session) for session in cells.sessions)


def remove_rest(connection: sqlite3.Connection, number: int) -> None:
    """Removes what is left of a batch whose sessions are gone."""
    for statement in (
        "delete_batch_items",
        "delete_batch_chunks",
        "delete_batch_artifact_uses",
        "delete_cell_counts",
        "delete_batch",
    ):
        connection.execute(SQL[statement], (number,))
