"""The whole store: sessions, workflows, requests and artifacts in one folder, owned by one process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.sqlite.batches import SqliteBatches
from processing_service.engine.store.sqlite.database import Database
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.requests import SqliteRequests, write_note
from processing_service.engine.store.sqlite.reuse import SqliteReuse
from processing_service.engine.store.sqlite.sessions import SqliteSessions, artifacts_under, remove
from processing_service.engine.store.sqlite.workflows import SqliteWorkflows
from processing_service.engine.store.sqlite.writer import Writer
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.telemetry.hooks import CommitEnded


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where sessions are kept."""

    folder: Path = Path("processing-store")
    """Folder of the store; made if it is not there."""
    artifact_grace: float = 3600.0
    """How long content that no session needs is kept, in seconds."""
    request_retention: float = 24 * 3600.0
    """How long a request_id is known at least, in seconds; longer if what it made is still there."""


class SqliteStore:
    """Opens the store; `close` ends it.

    Raises:
        CoordinatorError: STORE_LOCKED, STORE_TOO_NEW, STORE_DAMAGED, STORE_READ_ONLY, STORE_FULL, STORE_UNAVAILABLE.
    """

    def __init__(
        self,
        settings: StoreSettings,
        on_commit: Callable[[CommitEnded], None] = lambda ended: None,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.folder)
        self._readers = Readers(self._database)
        last: int = self._database.writer.execute(SQL["last_number"]).fetchone()[0]
        self._writer = Writer(self._database, on_commit)
        self.artifacts = FileArtifacts(settings.folder / "artifacts", self._writer.fail)
        self.batches = SqliteBatches(self._readers, self._writer, self.artifacts.refresh)
        self.sessions = SqliteSessions(self._readers, last, self._writer.wake, self.batches.notify)
        self.sessions.removed_any = self._database.writer.execute(SQL["any_removed_start"]).fetchone() is not None
        self._writer.take = self.sessions.take
        self.workflows = SqliteWorkflows(self._readers, self._writer)
        self.requests = SqliteRequests(self._readers, self._writer)
        self.reuse = SqliteReuse(self._readers)

    @property
    def error(self) -> CoordinatorError | None:
        """Why the last write failed, or the next would; None while all is well."""
        return self._writer.error or self._database.lost()

    async def charge_recovery(self) -> None:
        """Counts one more recovery for every session that has not ended; once, at the start."""
        await self._writer.run(lambda connection: connection.execute(SQL["charge_recovery"]).rowcount)

    async def delete_session(self, session_id: str, tenant: str, note: RequestNote | None = None) -> bool:
        """See SessionRemover.delete_session."""
        await self._begin_grace(session_id, tenant)
        self.sessions.removed_any = True
        removed = await self._writer.run(lambda connection: _delete(connection, session_id, tenant, note))
        self.sessions.notify(session_id)
        return removed

    async def _begin_grace(self, session_id: str, tenant: str) -> None:
        """Keeps what a session needs for a grace from now on; before it goes, so that no sweep comes between."""
        digests = await self._readers.run(lambda connection: artifacts_under(connection, session_id, tenant))
        if digests:
            await self.artifacts.refresh(sorted(digests))

    async def forget_requests(self, now_us: int) -> int:
        """Forgets each request_id whose time is over; how many."""
        return await self.requests.forget(now_us - round(self._settings.request_retention * 1e6))

    async def sweep(self) -> int:
        """Removes artifacts that nobody needs any more; how many."""

        async def used(digest: bytes) -> bool:
            row = await self._readers.run(lambda c: c.execute(SQL["artifact_used"], (digest,)).fetchone())
            return row is not None

        return await self.artifacts.sweep(used, self._settings.artifact_grace)

    async def close(self) -> None:
        """Waits for what is under way, then closes the files."""
        self.sessions.flush()
        await self._writer.drain()
        await asyncio.to_thread(self._writer.stop)
        self._readers.close()
        self.artifacts.close()
        self._database.close()


def _delete(connection: sqlite3.Connection, session_id: str, tenant: str, note: RequestNote | None) -> bool:
    removed = remove(connection, session_id, tenant)
    if removed:
        write_note(connection, note)
    return removed
