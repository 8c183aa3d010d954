"""request_id of mutating calls in SQLite: the same id with the same content gives the first answer again."""

from __future__ import annotations

import sqlite3

from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.writer import Writer
from processing_service.wire.request_ids import request_id_reused


class SqliteRequests:
    """RequestLog on SQLite."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers, self._writer = readers, writer

    async def note(self, note: RequestNote) -> None:
        """See RequestLog.note."""
        await self._writer.run(lambda connection: write_note(connection, note))

    async def find(self, tenant: str, method: str, request_id: str, digest: bytes) -> str | None:
        """Subject of the first request with that id and content; None if it is new.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED if the content is another.
        """
        key = (tenant, method, request_id)
        row = await self._readers.run(lambda c: c.execute(SQL["read_request"], key).fetchone())
        if row is None:
            return None
        first, subject = row
        if first != digest:
            raise request_id_reused(request_id, first, digest)
        return str(subject)

    async def forget(self, before_us: int) -> int:
        """Forgets what came before that time, unless what it made is there; how many."""
        return await self._writer.run(lambda c: c.execute(SQL["delete_old_requests"], (before_us,)).rowcount)


def write_note(connection: sqlite3.Connection, note: RequestNote | None) -> None:
    """Notes a request in the transaction that carries it out. Of two with one id the first is carried out.

    Raises:
        CoordinatorError: REQUEST_ID_REUSED.
    """
    if note is None:
        return
    first = connection.execute(SQL["read_request"], (note.tenant, note.method, note.request_id)).fetchone()
    if first is None:
        connection.execute(SQL["insert_request"], note)
    elif first[0] != note.digest:
        raise request_id_reused(note.request_id, first[0], note.digest)
