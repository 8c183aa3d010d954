"""Sessions and their histories in SQLite: what happens is gathered for the next transaction, what is asked is read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from processing_service.engine.journal import decode
from processing_service.engine.records import Record, SessionState
from processing_service.engine.refusals import check_ended
from processing_service.engine.state import State
from processing_service.engine.store.base import Opened, Opening, RequestNote, SessionFilter, SessionRow, SessionStart
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.requests import request_id_reused
from processing_service.engine.store.sqlite.session_rows import read_row, where
from processing_service.engine.store.sqlite.session_work import Changes, SessionWork, Start, no_session

_STARTS: Final = 8
"""Sessions that one transaction begins, at most: all go on in the turn of the loop that hears of it, and would make it
long."""


class SqliteSessions:
    """SessionStore on SQLite.

    Args:
        last_number: number of the newest session.
        wake: asks the writer for a transaction.
    """

    def __init__(self, readers: Readers, last_number: int, wake: Callable[[], None]) -> None:
        self._readers, self._last_number, self._wake = readers, last_number, wake
        self._loop = asyncio.get_running_loop()
        self._starts: list[Start] = []
        self._unwritten: dict[int, Changes] = {}
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.stored_definitions: dict[bytes, bytes] = {}

    def open(self, start: SessionStart, holds: Sequence[bytes] = ()) -> Opening:
        """See SessionStore.open."""
        self._last_number += 1
        future: asyncio.Future[Opened] = self._loop.create_future()
        self._starts.append(Start(self._last_number, start, holds, future))
        self._wake()
        return Opening(self._last_number, future)

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
    ) -> asyncio.Future[None] | None:
        """See SessionStore.commit."""
        changes = self._unwritten.get(number)
        if changes is None:
            changes = self._unwritten[number] = Changes(state)
            self._wake()
        changes.state = state
        changes.records += records
        if holds:
            changes.holds.update(holds)
        if result:
            changes.result = result
        if note is not None:
            changes.notes.append(note)
        if not wait:
            return None
        future: asyncio.Future[None] = self._loop.create_future()
        changes.futures.append(future)
        return future

    def take(self) -> SessionWork | None:
        """What waits, for the transaction that is about to start."""
        if not self._starts and not self._unwritten:
            return None
        starts, self._starts = self._starts[:_STARTS], self._starts[_STARTS:]
        unwritten, self._unwritten = self._unwritten, {}
        for start in self._starts:  # what came of a session follows its start, never goes before it
            if (changes := unwritten.pop(start.number, None)) is not None:
                self._unwritten[start.number] = changes
        return SessionWork(self, starts, unwritten)

    def take_back(self, unwritten: dict[int, Changes]) -> None:
        """Puts changes whose transaction failed before what came since, for the next one."""
        for number, changes in unwritten.items():
            if (later := self._unwritten.get(number)) is not None:
                changes.state = later.state
                changes.records += later.records
                changes.result = later.result or changes.result
                changes.holds |= later.holds
                changes.notes += later.notes
                changes.futures += later.futures
        since = {number: changes for number, changes in self._unwritten.items() if number not in unwritten}
        self._unwritten = unwritten | since

    def notify(self, session_id: str) -> None:
        """Wakes whoever waits for records of that session."""
        for future in self._waiters.pop(session_id, ()):
            if not future.done():
                future.set_result(None)

    async def changed(self, session_id: str) -> None:
        """Returns after the next commit of that session, or its removal."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters[session_id].add(future)
        try:
            await future
        finally:
            if waiting := self._waiters.get(session_id):
                waiting.discard(future)
                if not waiting:
                    del self._waiters[session_id]

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
        asked = (request_id, tenant)
        row = await self._readers.run(lambda c: c.execute(SQL["taken_by_request"], asked).fetchone())
        if row is None:
            return ""
        session_id, known = row
        if known != digest:
            raise request_id_reused(request_id, known, digest)
        return str(session_id)

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


def remove(connection: sqlite3.Connection, session_id: str, tenant: str) -> bool:
    """Removes a session with its children and all that belongs to them, in the transaction of the writer.

    Raises:
        CoordinatorError: SESSION_STATE_ILLEGAL if it runs, or runs again since it was asked for.
    """
    for (state,) in connection.execute(SQL["state_of_session"], (session_id, tenant)):
        check_ended(session_id, SessionState(state))
    tree = connection.execute(SQL["session_tree"], (session_id, tenant)).fetchall()
    for statement in ("delete_chunks", "delete_artifact_uses", "delete_session"):
        connection.executemany(SQL[statement], tree)
    return bool(tree)


def artifacts_under(connection: sqlite3.Connection, session_id: str, tenant: str) -> set[str]:
    """Digests of what a session and its children need."""
    tree = connection.execute(SQL["session_tree"], (session_id, tenant)).fetchall()
    return {digest.hex() for number in tree for (digest,) in connection.execute(SQL["artifacts_of_session"], number)}


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
