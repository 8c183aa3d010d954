"""One SQLite file: opened, locked, migrated; its errors in our words."""

from __future__ import annotations

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.store.disk import gone, lack_of_room
from processing_service.engine.store.sqlite.faults import FILE_NAME, foreign, translate
from processing_service.engine.store.sqlite.lock import Lock
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.wire.errors import Code, CoordinatorError

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged write survives power loss
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA cache_size = -16000",
    "PRAGMA foreign_keys = OFF",
)
_PREPARED: Final = 256
"""Statements that the writer keeps prepared; sqlite3's own 128 are no more than there are."""


class Database:
    """The file `coordinator.sqlite` in a folder of its own, owned by this process.

    Raises:
        CoordinatorError: STORE_LOCKED, STORE_TOO_NEW, STORE_DAMAGED, STORE_READ_ONLY, STORE_FULL, STORE_UNAVAILABLE.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE_NAME
        self._lock = Lock(folder)
        # autocommit: transactions are begun by hand; the writer's thread is not the one that opened it
        self.writer = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=_PREPARED
        )
        try:
            self.epoch = self._take_over()
        except sqlite3.Error as error:
            self.close()
            raise translate(error, folder) from error
        except CoordinatorError:
            self.close()
            raise
        self._identity = self._seen()

    def _take_over(self) -> int:
        """Brings the file to our schema, unless it is not ours; the new epoch."""
        steps = _missing_steps(self.writer)
        for pragma in _PRAGMAS:
            self.writer.execute(pragma)
        for script in steps:
            self.writer.executescript(script)
        epoch: int = self.writer.execute(SQL["raise_epoch"]).fetchone()[0]
        return epoch

    def reader(self) -> sqlite3.Connection:
        """Another connection, for one thread, that cannot write."""
        connection = sqlite3.connect(
            f"file:{self._path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=10
        )
        connection.execute("PRAGMA cache_size = -4000")
        return connection

    def lost(self) -> CoordinatorError | None:
        """Why nothing written would be found again: the file was removed, moved or replaced; None if all is well.

        SQLite goes on with a file that has no name any more, so this is asked before each transaction.
        """
        if self._seen() == self._identity:
            return None
        return gone()

    def translate(self, error: sqlite3.Error) -> CoordinatorError:
        """What SQLite says, in our words; a file that has gone it calls one it may not open."""
        return self.lost() or translate(error, self.folder)

    def lack_of_room(self) -> CoordinatorError | None:
        """Why a megabyte more would not be taken; None if it would. In the writer's thread, between transactions."""
        try:
            self.writer.execute("BEGIN IMMEDIATE")
            self.writer.execute(SQL["take_room"])
        except sqlite3.Error as error:
            return self.translate(error)
        finally:
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")
        return lack_of_room(self.folder)

    def _seen(self) -> tuple[int, int] | None:
        """Device and inode of the file that stands at the path; None if there is none."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Closes the file and gives the lock back."""
        self.writer.close()
        self._lock.close()


def _missing_steps(connection: sqlite3.Connection) -> list[str]:
    """The scripts that bring a database to our schema. Nothing is written."""
    folder = files(__package__).joinpath("migrations")
    steps = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise _too_new(version, len(steps))
    tables = {name for (name,) in connection.execute(SQL["list_tables"])}
    if (tables or version) and "owner" not in tables:
        raise foreign("is a database of something else")
    scripts = [step.read_text(encoding="utf-8") for step in steps[version:]]
    return [
        f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
        for number, script in enumerate(scripts, start=version + 1)
    ]


def _too_new(version: int, known: int) -> CoordinatorError:
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STORE_TOO_NEW,
        f"the store has schema {version}, this version knows {known}; use the newer version again",
        metadata={"store_version": str(version), "known_version": str(known)},
    )
