"""Sessions and their histories in SQLite: what happens is gathered for the next transaction, what is asked is read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from processing_service.engine.journal import decode
from processing_service.engine.records import Record, SessionState
from processing_service.engine.refusals import check_ended
from processing_service.engine.state import State
from processing_service.engine.store.base import (
    CellKey,
    Opened,
    Opening,
    RequestNote,
    Reusable,
    SessionFilter,
    SessionRow,
    SessionStart,
)
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.session_rows import read_row, where
from processing_service.engine.store.sqlite.session_work import Changes, SessionWork, Start, no_session, removed_start
from processing_service.engine.store.sqlite.waiters import Waiters
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.request_ids import request_id_reused

_STARTS: Final = 16
"""Sessions that one transaction begins, at most: all go on in the turn of the loop that hears of it, and would make it
long."""


class SqliteSessions:
    """SessionStore on SQLite.

    Args:
        last_number: number of the newest session.
        wake: asks the writer for a transaction.
        on_cells: told of the batches whose cells ended in a transaction.
    """

    def __init__(
        self, readers: Readers, last_number: int, wake: Callable[[], None], on_cells: Callable[[set[str]], None]
    ) -> None:
        self._readers, self._last_number, self._wake, self.on_cells = readers, last_number, wake, on_cells
        self._loop = asyncio.get_running_loop()
        self._starts: list[Start] = []
        self._unwritten: dict[int, Changes] = {}
        self._waiters = Waiters()
        self._timer: asyncio.TimerHandle | None = None
        self.stored_definitions: dict[bytes, bytes] = {}
        self.held_s = 0.05
        """How long a start that nobody waits for is held back, in seconds: if the session ends, both are one row."""
        self.removed_any = False
        """True if a session was removed whose request_id is still known."""

    def open(self, start: SessionStart, holds: Sequence[bytes] = ()) -> Opening:
        """See SessionStore.open."""
        self._last_number += 1
        future: asyncio.Future[Opened] = self._loop.create_future()
        if start.parent_session_id:
            self._release(start.parent_session_id)
        self._starts.append(Start(self._last_number, start, holds, future))
        self._wake()
        return Opening(self._last_number, future)

    def open_behind(
        self, start: SessionStart, holds: Sequence[bytes], refused: Callable[[CoordinatorError], None]
    ) -> int:
        """See SessionStore.open_behind."""
        self._last_number += 1
        held_until = self._loop.time() + self.held_s
        self._starts.append(Start(self._last_number, start, holds, None, refused, held_until))
        self._wake_at(held_until)
        return self._last_number

    def _release(self, session_id: str) -> None:
        """Holds that start back no more: a child is never there without its parent, which removes it."""
        for start in self._starts:
            if start.start.session_id == session_id:
                start.held_until = 0.0

    def _wake_at(self, time: float) -> None:
        """Wakes the writer in time for the first start that is held back."""
        if self._timer is None:
            self._timer = self._loop.call_at(time, self._wake_now)

    def _wake_now(self) -> None:
        self._timer = None
        self._wake()

    def flush(self) -> None:
        """Holds nothing back any more."""
        for start in self._starts:
            start.held_until = 0.0
        self._wake()

    def commit(
        self,
        number: int,
        state: State,
        records: Sequence[Record],
        *,
        result: bytes = b"",
        holds: Sequence[bytes] = (),
        wait: bool = False,
        note: RequestNote | None = None,
        cell: CellKey | None = None,
        told: Callable[[CoordinatorError | None], None] | None = None,
        reusable: Sequence[Reusable] = (),
    ) -> asyncio.Future[None] | None:
        """See SessionStore.commit."""
        changes = self._unwritten.get(number)
        if changes is None:
            changes = self._unwritten[number] = Changes(state, cell)
            self._wake()
        elif wait or state.state.terminal:  # its start may have been held back until now
            self._wake()
        changes.state = state
        changes.records += records
        if holds:
            changes.holds.update(holds)
        if result:
            changes.result = result
        if note is not None:
            changes.notes.append(note)
        if told is not None:
            changes.told.append(told)
        if reusable:
            changes.reusable += reusable
        if not wait:
            return None
        future: asyncio.Future[None] = self._loop.create_future()
        changes.futures.append(future)
        return future

    def take(self) -> SessionWork | None:
        """What waits, for the transaction that is about to start."""
        ready, later = _split(self._starts)
        starts, held = self._parted(ready)
        self._starts = held + later
        unwritten, self._unwritten = self._unwritten, {}
        for start in self._starts:  # what came of a session follows its start, never goes before it
            if (changes := unwritten.pop(start.number, None)) is not None:
                self._unwritten[start.number] = changes
        if held:
            self._wake_at(held[0].held_until)
        return SessionWork(self, starts, unwritten) if starts or unwritten else None

    def _parted(self, ready: Sequence[Start]) -> tuple[list[Start], list[Start]]:
        """Those that are written now, and those that are held back."""
        starts: list[Start] = []
        held: list[Start] = []
        now = self._loop.time()
        for start in ready:
            waits = start.held_until > now and self._may_wait(start.number)
            (held if waits else starts).append(start)
        return starts, held

    def _may_wait(self, number: int) -> bool:
        """True if a session has not ended and nobody waits for what is to be written of it."""
        changes = self._unwritten.get(number)
        return changes is None or not (changes.state.state.terminal or changes.futures)

    def take_back(self, unwritten: dict[int, Changes]) -> None:
        """Puts changes whose transaction failed before what came since, for the next one."""
        for number, changes in unwritten.items():
            if (later := self._unwritten.get(number)) is not None:
                changes.state = later.state
                changes.records += later.records
                changes.result = later.result or changes.result
                changes.holds |= later.holds
                changes.notes += later.notes
                changes.reusable += later.reusable
                changes.futures += later.futures
                changes.told += later.told
        since = {number: changes for number, changes in self._unwritten.items() if number not in unwritten}
        self._unwritten = unwritten | since

    def notify(self, session_id: str) -> None:
        """Wakes whoever waits for records of that session."""
        self._waiters.notify(session_id)

    async def changed(self, session_id: str) -> None:
        """Returns after the next commit of that session, or its removal."""
        await self._waiters.changed(session_id)

    async def read(self, session_id: str, tenant: str) -> SessionRow:
        """See SessionStore.read."""
        return await self._readers.run(lambda c: _with_definition(c, _read(c, session_id, tenant)))

    async def load(self, session_id: str, tenant: str) -> tuple[SessionRow, list[Record]]:
        """See SessionStore.load."""

        def load(connection: sqlite3.Connection) -> tuple[SessionRow, list[Record]]:
            connection.execute("BEGIN")  # one snapshot: the row and its records belong together
            try:
                row = _read(connection, session_id, tenant)
                return _with_definition(connection, row), _records(connection, row.number, 0)
            finally:
                connection.execute("COMMIT")

        return await self._readers.run(load)

    async def first(self, request_id: str, digest: bytes, tenant: str) -> str:
        """See SessionStore.first."""
        return await self._readers.run(lambda connection: _first(connection, request_id, digest, tenant))

    async def page(self, which: SessionFilter, before: int, limit: int) -> Sequence[SessionRow]:
        """See SessionStore.page."""
        clauses, values = where(which, before)
        query = f"SELECT * FROM session WHERE {clauses} ORDER BY n DESC LIMIT ?"  # noqa: S608  # clauses are constants
        return await self._readers.run(lambda c: [read_row(row) for row in c.execute(query, (*values, limit))])

    async def count(self, which: SessionFilter) -> int | None:
        """See SessionStore.count: by tenant and state there are counters."""
        if which._replace(tenant="", states=()) != SessionFilter():
            return None
        counts = await self._readers.run(lambda c: c.execute(SQL["count_sessions"], (which.tenant,)).fetchall())
        return sum(int(number) for state, number in counts if not which.states or state in which.states)

    async def records(
        self, session_id: str, tenant: str, after: int, limit: int, created_us: int = 0
    ) -> Sequence[Record]:
        """See SessionStore.records."""

        def read(connection: sqlite3.Connection) -> list[Record]:
            row = _read(connection, session_id, tenant)
            if created_us not in (0, row.start.created_us):
                raise no_session(session_id)
            behind = (record for record in _each_record(connection, row.number, after) if record.sequence > after)
            return list(islice(behind, limit))

        return await self._readers.run(read)

    async def unfinished(self) -> Sequence[tuple[SessionRow, list[Record]]]:
        """See SessionStore.unfinished."""

        def read(connection: sqlite3.Connection) -> list[tuple[SessionRow, list[Record]]]:
            rows = [read_row(row) for row in connection.execute(SQL["read_open_sessions"])]
            return [(_with_definition(connection, row), _records(connection, row.number, 0)) for row in rows]

        return await self._readers.run(read)


def _split(starts: list[Start]) -> tuple[list[Start], list[Start]]:
    """Those that the next transaction begins, and the rest; what nobody waits for makes no turn long."""
    waited = 0
    for index, start in enumerate(starts):
        waited += start.future is not None
        if waited > _STARTS:
            return starts[:index], starts[index:]
    return starts, []


def remove(connection: sqlite3.Connection, session_id: str, tenant: str) -> bool:
    """Removes a session with its children and all that belongs to them, in the transaction of the writer.

    Raises:
        CoordinatorError: SESSION_STATE_ILLEGAL if it runs, or runs again since it was asked for.
    """
    for (state,) in connection.execute(SQL["state_of_session"], (session_id, tenant)):
        check_ended(session_id, SessionState(state))
    tree = connection.execute(SQL["session_tree"], (session_id, tenant)).fetchall()
    for statement in ("keep_start", "delete_chunks", "delete_artifact_uses", "delete_reusable", "delete_session"):
        connection.executemany(SQL[statement], tree)
    return bool(tree)


def artifacts_under(connection: sqlite3.Connection, session_id: str, tenant: str) -> set[str]:
    """Digests of what a session and its children need."""
    tree = connection.execute(SQL["session_tree"], (session_id, tenant)).fetchall()
    return {digest.hex() for number in tree for (digest,) in connection.execute(SQL["artifacts_of_session"], number)}


def _first(connection: sqlite3.Connection, request_id: str, digest: bytes, tenant: str) -> str:
    row = connection.execute(SQL["taken_by_request"], (request_id, tenant)).fetchone()
    if row is None:
        if (error := removed_start(connection, request_id, digest, tenant)) is not None:
            raise error
        return ""
    session_id, known = row
    if known != digest:
        raise request_id_reused(request_id, known, digest)
    return str(session_id)


def _read(connection: sqlite3.Connection, session_id: str, tenant: str) -> SessionRow:
    row = connection.execute(SQL["read_session"], (session_id, tenant)).fetchone()
    if row is None:
        raise no_session(session_id)
    return read_row(row)


def _each_record(connection: sqlite3.Connection, number: int, after: int) -> Iterator[Record]:
    """Reads no further than is asked for: a history may have very many."""
    for (chunk,) in connection.execute(SQL["read_chunks"], (number, after)):
        yield from decode(chunk)


def _records(connection: sqlite3.Connection, number: int, after: int) -> list[Record]:
    return decode(b"".join(chunk for (chunk,) in connection.execute(SQL["read_chunks"], (number, after))))


def _with_definition(connection: sqlite3.Connection, row: SessionRow) -> SessionRow:
    (definition,) = connection.execute(SQL["read_definition"], (row.start.definition_digest,)).fetchone()
    return row._replace(start=row.start._replace(definition=definition))
