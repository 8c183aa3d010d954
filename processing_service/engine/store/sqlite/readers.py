"""Reads run in threads of their own, each on a connection of its own, beside the writer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from processing_service.engine.store.sqlite.database import Database

T = TypeVar("T")
_THREADS: Final = 2


class Readers:
    """Runs reads off the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-reader")

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """The value of a read.

        Raises:
            CoordinatorError: STORE_UNAVAILABLE, STORE_DAMAGED.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, read)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return read(self._connection())
        except sqlite3.Error as error:
            raise self._database.translate(error) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._database.reader()
            self._open.append(connection)
        return connection

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=True)
        for connection in self._open:
            connection.close()
