"""request_id of mutating calls in SQLite: the same id with the same content gives the first answer again."""

from __future__ import annotations

import sqlite3
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.writer import Writer
from processing_service.wire.errors import Code, CoordinatorError

KEPT_US: Final = 24 * 3600 * 1_000_000
"""How long a request_id is known, in microseconds."""


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


def write_note(connection: sqlite3.Connection, note: RequestNote | None) -> None:
    """Notes a request in the transaction that carries it out. Of two with one id the first is carried out.

    Raises:
        CoordinatorError: REQUEST_ID_REUSED.
    """
    if note is None:
        return
    connection.execute(SQL["delete_old_requests"], (note.now_us - KEPT_US,))
    first = connection.execute(SQL["read_request"], (note.tenant, note.method, note.request_id)).fetchone()
    if first is None:
        connection.execute(SQL["insert_request"], note)
    elif first[0] != note.digest:
        raise request_id_reused(note.request_id, first[0], note.digest)


def request_id_reused(request_id: str, first: bytes, now: bytes) -> CoordinatorError:
    """ALREADY_EXISTS for a request_id that came with other content before; both digests are SHA-256."""
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id {request_id!r} was used with other content (then {first.hex()[:12]}, now {now.hex()[:12]}); "
        "use a new one for a new request",
        metadata={"request_id": request_id, "first_digest": first.hex(), "digest": now.hex()},
    )
