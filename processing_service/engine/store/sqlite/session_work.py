"""What sessions add to a transaction: rendered when it starts, not when something happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.journal import encode
from processing_service.engine.records import Record
from processing_service.engine.refusals import taken
from processing_service.engine.state import State
from processing_service.engine.store.base import Opened, RequestNote, SessionStart
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.requests import request_id_reused
from processing_service.engine.store.sqlite.session_rows import new_row, stands
from processing_service.wire.errors import CoordinatorError, Fenced, not_found

if TYPE_CHECKING:
    from processing_service.engine.store.sqlite.sessions import SqliteSessions


class Start:
    """A session that waits to be written."""

    __slots__ = ("error", "future", "holds", "number", "opened", "start")

    def __init__(
        self, number: int, start: SessionStart, holds: Sequence[bytes], future: asyncio.Future[Opened]
    ) -> None:
        self.number, self.start, self.holds, self.future = number, start, holds, future
        self.opened = Opened(number, start.session_id, False)
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits for it."""
        if self.future.done():
            return
        if error := error or self.error:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.opened)


class Changes:
    """All that happened to one session since its last row."""

    __slots__ = ("error", "futures", "holds", "notes", "records", "result", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.records: list[Record] = []
        self.result = b""
        self.holds: set[bytes] = set()
        self.notes: list[RequestNote] = []
        self.futures: list[asyncio.Future[None]] = []
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits until they are durable."""
        error = error or self.error
        for future in self.futures:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)


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

    def write(self, connection: sqlite3.Connection) -> None:
        """See Work.write."""
        if self._starts:
            connection.executemany(SQL["insert_definition"], self._new_definitions())
            inserted = connection.executemany(SQL["insert_session"], self._sessions).rowcount
            if inserted != len(self._starts):
                self._find_taken(connection)
        if self._updates:
            updated = connection.executemany(SQL["update_session"], self._updates).rowcount
            if updated != len(self._updates):
                self._find_fenced(connection)
        if self._chunks:
            connection.executemany(SQL["insert_chunk"], self._chunks)
        if self._uses:
            connection.executemany(SQL["insert_artifact_use"], self._uses)
        if self._notes:
            connection.executemany(SQL["insert_request"], self._notes)
        self._owner.stored_definitions.update(self._definitions)

    def _new_definitions(self) -> list[tuple[bytes, bytes]]:
        return [item for item in self._definitions.items() if item[0] not in self._owner.stored_definitions]

    def _find_taken(self, connection: sqlite3.Connection) -> None:
        """Says of each row that was left out why."""
        for start in self._starts:
            if connection.execute(SQL["session_exists"], (start.number,)).fetchone() is None:
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
            elif last[0] != changes.state.sequence:
                changes.error = Fenced(changes.state.session_id)
        self._leave_out_refused()

    def _leave_out_refused(self) -> None:
        """Of sessions that are not written nothing else is: no history, no artifact, no request."""
        refused = {number for number, changes in self._unwritten.items() if changes.error is not None}
        self._chunks = [chunk for chunk in self._chunks if chunk[0] not in refused]
        self._uses = [use for use in self._uses if use[1] not in refused]
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
        else:
            self._owner.take_back(self._unwritten)


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
