"""What sessions add to a transaction: rendered when it starts, not when something happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.records import BatchKind, BatchRecord, BatchState
from processing_service.engine.journal import decode, encode
from processing_service.engine.records import Kind, Record
from processing_service.engine.refusals import taken
from processing_service.engine.state import State
from processing_service.engine.store.base import CellKey, Opened, RequestNote, Reusable, SessionStart
from processing_service.engine.store.sqlite.batch_rows import write_cell_ends
from processing_service.engine.store.sqlite.many_rows import write_rows
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.reuse import reusable_row
from processing_service.engine.store.sqlite.session_rows import new_row, stands
from processing_service.wire.errors import CoordinatorError, Fenced, not_found
from processing_service.wire.request_ids import request_id_reused

if TYPE_CHECKING:
    from processing_service.engine.store.sqlite.sessions import SqliteSessions


class Start:
    """A session that waits to be written."""

    __slots__ = ("error", "future", "held_until", "holds", "number", "opened", "refused", "start")

    def __init__(
        self,
        number: int,
        start: SessionStart,
        holds: Sequence[bytes],
        future: asyncio.Future[Opened] | None,
        refused: Callable[[CoordinatorError], None] | None = None,
        held_until: float = 0.0,
    ) -> None:
        self.held_until = held_until
        """Until when it may wait for what comes of it, in seconds of the loop's clock."""
        self.number, self.start, self.holds, self.future, self.refused = number, start, holds, future, refused
        self.opened = Opened(number, start.session_id, False)
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits for it."""
        error = error or self.error
        if self.future is None:
            if error is not None and self.refused is not None:
                self.refused(error)
        elif self.future.done():
            return
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.opened)


class Changes:
    """All that happened to one session since its last row."""

    __slots__ = ("cell", "error", "futures", "holds", "notes", "records", "result", "reusable", "state", "told")

    def __init__(self, state: State, cell: CellKey | None = None) -> None:
        self.state, self.cell = state, cell
        self.records: list[Record] = []
        self.result = b""
        self.holds: set[bytes] = set()
        self.notes: list[RequestNote] = []
        self.reusable: list[Reusable] = []
        self.futures: list[asyncio.Future[None]] = []
        self.told: list[Callable[[CoordinatorError | None], None]] = []
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits until they are durable."""
        error = error or self.error
        for future in self.futures:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)
        for tell in self.told:
            tell(error)


class SessionWork:
    """What the sessions add to one transaction; a session that begins in it is one row, however far it has come.

    Args:
        owner: whose sessions they are.
        starts: sessions that begin.
        unwritten: what happened, by number of the session.
    """

    def __init__(self, owner: SqliteSessions, starts: list[Start], unwritten: dict[int, Changes]) -> None:
        self._owner, self._starts, self._unwritten = owner, starts, unwritten
        told = {number: changes for number, changes in unwritten.items() if changes.records}
        self._sessions = [_row_of(start, told.get(start.number)) for start in starts]
        self._definitions = {start.start.definition_digest: start.start.definition for start in starts}
        new = {start.number for start in starts}
        self._updates = [_update_row(number, changes) for number, changes in told.items() if number not in new]
        self._chunks = [_chunk(number, changes) for number, changes in told.items()]
        self.sessions = len(self._sessions) + len(self._updates)
        self.rows = self.sessions + len(self._chunks)
        uses = [(digest, start.number) for start in starts for digest in start.holds]
        self._uses = uses + [(digest, number) for number, changes in unwritten.items() for digest in changes.holds]
        self._notes = [note for changes in unwritten.values() for note in changes.notes]
        self._batches: set[str] = set()
        self._reusable = [reusable_row(one, n) for n, changes in unwritten.items() for one in changes.reusable]

    def write(self, connection: sqlite3.Connection) -> None:
        """See Work.write."""
        if self._starts:
            write_rows(connection, "insert_definition", self._new_definitions())
            if self._owner.removed_any:
                self._leave_out_repeats(connection)
            inserted = write_rows(connection, "insert_session", self._sessions)
            if inserted != len(self._starts):
                self._find_taken(connection)
        if write_rows(connection, "update_session", self._updates) != len(self._updates):
            self._find_fenced(connection)
        write_rows(connection, "insert_chunk", self._chunks)
        write_rows(connection, "insert_artifact_use", self._uses)
        write_rows(connection, "insert_request", self._notes)
        self._batches = write_cell_ends(connection, self._cell_ends())
        write_rows(connection, "insert_reusable", self._reusable)
        self._owner.stored_definitions.update(self._definitions)

    def _cell_ends(self) -> dict[int, list[BatchRecord]]:
        """What the histories of batches hear, by number of the batch."""
        ends: dict[int, list[BatchRecord]] = {}
        for changes in self._unwritten.values():
            if changes.cell is not None and changes.error is None:
                of_batch = ends.setdefault(changes.cell.batch_number, [])
                of_batch += (
                    _cell_end(changes.cell.cell, end) for end in changes.records if end.kind is Kind.SESSION_ENDED
                )
        return ends

    def _new_definitions(self) -> list[tuple[bytes, bytes]]:
        return [item for item in self._definitions.items() if item[0] not in self._owner.stored_definitions]

    def _leave_out_repeats(self, connection: sqlite3.Connection) -> None:
        """Starts whose request_id began a session that was removed since are no new ones."""
        for start in self._starts:
            asked = start.start
            start.error = removed_start(connection, asked.request_id, asked.request_digest, asked.tenant)
        self._sessions = [row for start, row in zip(self._starts, self._sessions, strict=True) if start.error is None]

    def _find_taken(self, connection: sqlite3.Connection) -> None:
        """Says of each row that was left out why."""
        for start in self._starts:
            if connection.execute(SQL["session_exists"], (start.number,)).fetchone() is None:
                if start.error is None:
                    _explain(connection, start)
                if (changes := self._unwritten.get(start.number)) is not None:
                    changes.error = Fenced(start.start.session_id)
        self._leave_out_refused()

    def _find_fenced(self, connection: sqlite3.Connection) -> None:
        """Finds the sessions that are gone, or that somebody else has written since."""
        for number, changes in self._unwritten.items():
            last = connection.execute(SQL["last_sequence"], (number,)).fetchone()
            if last is None:
                changes.error = changes.error or no_session(changes.state.session_id)
            elif _is_stale(connection, number, changes, last[0]):
                changes.error = Fenced(changes.state.session_id)
        self._leave_out_refused()

    def _leave_out_refused(self) -> None:
        """Of sessions that are not written nothing else is: no history, no artifact, no request."""
        refused = {number for number, changes in self._unwritten.items() if changes.error is not None}
        self._chunks = [chunk for chunk in self._chunks if chunk[0] not in refused]
        self._uses = [use for use in self._uses if use[1] not in refused]
        self._reusable = [row for row in self._reusable if row[2] not in refused]
        self._notes = [
            note for number, changes in self._unwritten.items() if number not in refused for note in changes.notes
        ]

    def settle(self, error: CoordinatorError | None) -> None:
        """See Work.settle; changes that were not written are given back to their owner."""
        for start in self._starts:
            start.settle(error)
        if error is None or isinstance(error, Fenced):
            for changes in self._unwritten.values():
                changes.settle(error)
                self._owner.notify(changes.state.session_id)
            self._owner.on_cells(self._batches)
        else:
            self._owner.take_back(self._unwritten)


def _is_stale(connection: sqlite3.Connection, number: int, changes: Changes, last: int) -> bool:
    """True if they do not follow on what is stored; a row that was written has their own number by now."""
    if not changes.records:
        return last != changes.state.sequence
    chunk = connection.execute(SQL["last_chunk"], (number,)).fetchone()
    stored = decode(chunk[0])[-1].sequence if chunk is not None else 0
    return stored != changes.records[0].sequence - 1


def no_session(session_id: str) -> CoordinatorError:
    """NOT_FOUND: SESSION_NOT_FOUND."""
    hint = "GetProcessingSessions lists them"
    return not_found(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, "session", session_id, hint=hint)


def _row_of(start: Start, changes: Changes | None) -> tuple[Any, ...]:
    return new_row(start.number, start.start, None if changes is None else stands(changes.state, changes.result))


def _update_row(number: int, changes: Changes) -> tuple[Any, ...]:
    return (*stands(changes.state, changes.result), number, changes.records[0].sequence - 1)


def _chunk(number: int, changes: Changes) -> tuple[int, int, bytes]:
    return number, changes.records[0].sequence, encode(changes.records)


def _cell_end(cell: int, end: Record) -> BatchRecord:
    # the state of the batch is that of its row: it is filled in where the record is numbered
    return BatchRecord(
        end.at,
        BatchKind.CELL_ENDED,
        BatchState.RUNNING,
        cell,
        cell_state=end.session_state,
        cell_attempt=end.session_attempt,
    )


def removed_start(
    connection: sqlite3.Connection, request_id: str, digest: bytes, tenant: str
) -> CoordinatorError | None:
    """Why a request_id begins no session: the one that it began was removed, and its time is not over."""
    found = connection.execute(SQL["removed_start"], (request_id, tenant)).fetchone() if request_id else None
    if found is None:
        return None
    session_id, first = found
    if first != digest:
        return request_id_reused(request_id, first, digest)
    hint = f"request_id {request_id!r} began it, and it was removed since; take a new one to run it again"
    return not_found(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, "session", session_id, hint=hint)


def _explain(connection: sqlite3.Connection, start: Start) -> None:
    """Says why a session was not begun: its request did so before, or its name is taken."""
    asked = start.start
    first = connection.execute(SQL["taken_by_request"], (asked.request_id, asked.tenant)).fetchone()
    if asked.request_id and first is not None:
        session_id, digest = first
        if digest == asked.request_digest:
            start.opened = Opened(0, session_id, True)
        else:
            start.error = request_id_reused(asked.request_id, digest, asked.request_digest)
        return
    start.error = taken(asked.session_id)
