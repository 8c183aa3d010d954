"""Sessions and their histories in SQLite: rows are rendered when a transaction starts, not when something happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.journal import decode, encode
from processing_service.engine.records import Record, SessionState
from processing_service.engine.state import State
from processing_service.engine.store.base import Opened, Opening, SessionFilter, SessionRow, SessionStart
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.wire.errors import Code, CoordinatorError, Fenced, not_found

_STARTS: Final = 16
"""Sessions that one transaction begins, at most: all go on in the turn of the loop that hears of it, and would make it
long."""


class _Start:
    """A session that waits to be written."""

    __slots__ = ("error", "future", "holds", "number", "opened", "start")

    def __init__(
        self, number: int, start: SessionStart, holds: Sequence[bytes], future: asyncio.Future[Opened]
    ) -> None:
        self.number, self.start, self.holds, self.future = number, start, holds, future
        self.opened = Opened(number, start.session_id, False)
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        if self.future.done():
            return
        if error := error or self.error:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.opened)


class _Turn:
    """All that happened to one session since its last row."""

    __slots__ = ("error", "futures", "holds", "records", "result", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.records: list[Record] = []
        self.result = b""
        self.holds: set[bytes] = set()
        self.futures: list[asyncio.Future[None]] = []
        self.error: CoordinatorError | None = None

    def settle(self, error: CoordinatorError | None) -> None:
        error = error or self.error
        for future in self.futures:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)


class _Batch:
    """What the sessions add to one transaction; a session that begins in it is one row, however far it has come."""

    def __init__(self, owner: SqliteSessions, starts: list[_Start], turns: dict[int, _Turn]) -> None:
        self._owner, self._starts, self._turns = owner, starts, turns
        told = {number: turn for number, turn in turns.items() if turn.records}
        self._sessions = [_session_row(start, told.get(start.number)) for start in starts]
        self._definitions = {start.start.definition_digest: start.start.definition for start in starts}
        new = {start.number for start in starts}
        self._updates = [_update_row(number, turn) for number, turn in told.items() if number not in new]
        self._chunks = [(number, turn.records[0].sequence, encode(turn.records)) for number, turn in told.items()]
        self.sessions = len(self._sessions) + len(self._updates)
        self.rows = self.sessions + len(self._chunks)
        uses = [(digest, start.number) for start in starts for digest in start.holds]
        self._uses = uses + [(digest, number) for number, turn in turns.items() for digest in turn.holds]

    def write(self, connection: sqlite3.Connection) -> None:
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
        self._owner.stored_definitions.update(self._definitions)

    def _new_definitions(self) -> list[tuple[bytes, bytes]]:
        return [item for item in self._definitions.items() if item[0] not in self._owner.stored_definitions]

    def _find_taken(self, connection: sqlite3.Connection) -> None:
        """Says of each row that was left out why."""
        for start in self._starts:
            if connection.execute(SQL["session_exists"], (start.number,)).fetchone() is None:
                _explain(connection, start)
                if (turn := self._turns.get(start.number)) is not None:
                    turn.error = Fenced(start.start.session_id)
        self._leave_out_fenced()

    def _find_fenced(self, connection: sqlite3.Connection) -> None:
        """Finds the sessions that are gone, or that somebody else has written since."""
        for number, turn in self._turns.items():
            last = connection.execute(SQL["last_sequence"], (number,)).fetchone()
            if last is None or last[0] != turn.state.sequence:
                turn.error = Fenced(turn.state.session_id)
        self._leave_out_fenced()

    def _leave_out_fenced(self) -> None:
        self._chunks = [chunk for chunk in self._chunks if self._turns[chunk[0]].error is None]

    def settle(self, error: CoordinatorError | None) -> None:
        for start in self._starts:
            start.settle(error)
        if error is None or isinstance(error, Fenced):
            for turn in self._turns.values():
                turn.settle(error)
                self._owner.notify(turn.state.session_id)
        else:
            self._owner.take_back(self._turns)


def _explain(connection: sqlite3.Connection, start: _Start) -> None:
    asked = start.start
    first = connection.execute(SQL["taken_by_request"], (asked.request_id, asked.tenant)).fetchone()
    if asked.request_id and first is not None:
        session_id, digest = first
        if digest == asked.request_digest:
            start.opened = Opened(0, session_id, True)
        else:
            start.error = request_id_reused(asked.request_id, digest, asked.request_digest)
        return
    start.error = CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS,
        f"there is a session {asked.session_id!r} already; choose another session_id, or leave it empty",
        metadata={"resource_type": "session", "resource_name": asked.session_id},
    )


def request_id_reused(request_id: str, first: bytes, now: bytes) -> CoordinatorError:
    """ALREADY_EXISTS for a request_id that came with other content before; both digests are SHA-256."""
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id {request_id!r} was used with other content (then {first.hex()[:12]}, now {now.hex()[:12]}); "
        "use a new one for a new request",
        metadata={"request_id": request_id, "first_digest": first.hex(), "digest": now.hex()},
    )


def _session_row(opening: _Start, turn: _Turn | None) -> tuple[Any, ...]:
    start = opening.start
    stands = (SessionState.PENDING, 1, 0, 0, start.created_us + start.budget_us, start.budget_us, 0, 0, 0, b"")
    return (
        opening.number,
        start.session_id,
        start.tenant,
        start.workflow_id,
        start.definition_digest,
        start.request,
        start.created_us,
        start.budget_us,
        start.request_id or None,
        start.request_digest or None,
        start.model_id,
        start.priority,
        start.admission_class,
        start.durability,
        start.labels,
        start.parent_session_id,
        start.batch_id,
        start.item_id,
        start.depth,
        start.traceparent,
        start.model_pin,
        *(stands if turn is None else _stands(turn)),
    )


def _update_row(number: int, turn: _Turn) -> tuple[Any, ...]:
    return (*_stands(turn), number, turn.records[0].sequence - 1)


def _stands(turn: _Turn) -> tuple[Any, ...]:
    """Where a session stands, as its row has it."""
    state = turn.state
    return (
        state.state,
        state.attempt,
        state.started_us,
        state.ended_us,
        0 if state.paused_us else state.deadline_us,
        state.budget_us,
        state.sequence,
        state.in_flight,
        state.recoveries,
        turn.result,
    )


class SqliteSessions:
    """SessionStore on SQLite.

    Args:
        last_number: number of the newest session.
        wake: asks the writer for a transaction.
    """

    def __init__(self, readers: Readers, last_number: int, wake: Callable[[], None]) -> None:
        self._readers, self._last_number, self._wake = readers, last_number, wake
        self._loop = asyncio.get_running_loop()
        self._starts: list[_Start] = []
        self._turns: dict[int, _Turn] = {}
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.stored_definitions: dict[bytes, bytes] = {}

    def open(self, start: SessionStart, holds: Sequence[bytes] = ()) -> Opening:
        """See SessionStore.open."""
        self._last_number += 1
        future: asyncio.Future[Opened] = self._loop.create_future()
        self._starts.append(_Start(self._last_number, start, holds, future))
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
    ) -> asyncio.Future[None] | None:
        """See SessionStore.commit."""
        turn = self._turns.get(number)
        if turn is None:
            turn = self._turns[number] = _Turn(state)
            self._wake()
        turn.state = state
        turn.records += records
        if holds:
            turn.holds.update(holds)
        if result:
            turn.result = result
        if not wait:
            return None
        future: asyncio.Future[None] = self._loop.create_future()
        turn.futures.append(future)
        return future

    def take(self) -> _Batch | None:
        """What waits, for the transaction that is about to start."""
        if not self._starts and not self._turns:
            return None
        starts, self._starts = self._starts[:_STARTS], self._starts[_STARTS:]
        turns, self._turns = self._turns, {}
        for start in self._starts:  # what came of a session follows its start, never goes before it
            if (turn := turns.pop(start.number, None)) is not None:
                self._turns[start.number] = turn
        return _Batch(self, starts, turns)

    def take_back(self, turns: dict[int, _Turn]) -> None:
        """Puts turns whose transaction failed before what came since, for the next one."""
        for number, turn in turns.items():
            since = self._turns.get(number)
            if since is not None:
                turn.state = since.state
                turn.records += since.records
                turn.result = since.result or turn.result
                turn.holds |= since.holds
                turn.futures += since.futures
        self._turns = turns | {number: turn for number, turn in self._turns.items() if number not in turns}

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
        clauses, values = _where(which, before)
        query = f"SELECT * FROM session WHERE {clauses} ORDER BY n DESC LIMIT ?"  # noqa: S608  # clauses are constants
        return await self._readers.run(lambda c: [_row(row) for row in c.execute(query, (*values, limit))])

    async def count(self, which: SessionFilter) -> int | None:
        """See SessionStore.count: by tenant and state there are counters."""
        if which._replace(tenant="", states=()) != SessionFilter():
            return None
        counts = await self._readers.run(lambda c: c.execute(SQL["count_sessions"], (which.tenant,)).fetchall())
        return sum(int(number) for state, number in counts if not which.states or state in which.states)

    async def records(self, session_id: str, tenant: str, after: int, limit: int) -> Sequence[Record]:
        """See SessionStore.records."""

        def read(connection: sqlite3.Connection) -> list[Record]:
            row = _read(connection, session_id, tenant)
            behind = (record for record in _each_record(connection, row.number, after) if record.sequence > after)
            return list(islice(behind, limit))

        return await self._readers.run(read)

    async def unfinished(self) -> Sequence[tuple[SessionRow, list[Record]]]:
        """See SessionStore.unfinished."""

        def read(connection: sqlite3.Connection) -> list[tuple[SessionRow, list[Record]]]:
            rows = [_row(row) for row in connection.execute(SQL["read_open_sessions"])]
            return [(_with_definition(connection, row), _records(connection, row.number, 0)) for row in rows]

        return await self._readers.run(read)


def remove(connection: sqlite3.Connection, session_id: str, tenant: str) -> bool:
    """Removes a session with its children and all that belongs to them, in the transaction of the writer."""
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
        raise not_found(
            ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, "session", session_id, hint="GetProcessingSessions lists them"
        )
    return _row(row)


def _each_record(connection: sqlite3.Connection, number: int, after: int) -> Iterator[Record]:
    """Reads no further than is asked for: a history may have very many."""
    for (chunk,) in connection.execute(SQL["read_chunks"], (number, after)):
        yield from decode(chunk)


def _records(connection: sqlite3.Connection, number: int, after: int) -> list[Record]:
    return decode(b"".join(chunk for (chunk,) in connection.execute(SQL["read_chunks"], (number, after))))


def _with_definition(connection: sqlite3.Connection, row: SessionRow) -> SessionRow:
    (definition,) = connection.execute(SQL["read_definition"], (row.start.definition_digest,)).fetchone()
    return row._replace(start=row.start._replace(definition=definition))


def _row(row: tuple[Any, ...]) -> SessionRow:
    start = SessionStart(
        session_id=row[1],
        tenant=row[2],
        workflow_id=row[3],
        definition_digest=row[4],
        definition=b"",
        request=row[5],
        created_us=row[6],
        budget_us=row[7],
        request_id=row[8] or "",
        request_digest=row[9] or b"",
        model_id=row[10],
        priority=row[11],
        admission_class=row[12],
        durability=row[13],
        labels=row[14],
        parent_session_id=row[15],
        batch_id=row[16],
        item_id=row[17],
        depth=row[18],
        traceparent=row[19],
        model_pin=row[20],
    )
    return SessionRow(row[0], start, SessionState(row[21]), *row[22:31])


def _where(which: SessionFilter, before: int) -> tuple[str, tuple[Any, ...]]:
    parts: list[tuple[str, tuple[Any, ...]]] = [("tenant = ?", (which.tenant,))]
    if before:
        parts.append(("n < ?", (before,)))
    for column in ("workflow_id", "model_id", "batch_id", "parent_session_id"):
        if value := getattr(which, column):
            parts.append((f"{column} = ?", (value,)))
    if which.states:
        parts.append((f"state IN ({', '.join('?' * len(which.states))})", which.states))
    for label, value in which.labels:
        # not json_extract: its paths cannot name every label
        has = "labels <> '' AND EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)"
        parts.append((has, (label, value)))
    if which.created_after_us:
        parts.append(("created_us >= ?", (which.created_after_us,)))
    if which.created_before_us:
        parts.append(("created_us < ?", (which.created_before_us,)))
    return " AND ".join(part for part, _ in parts), tuple(value for _, values in parts for value in values)
