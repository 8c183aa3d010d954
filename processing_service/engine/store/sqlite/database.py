"""One SQLite file: opened, locked, migrated; its errors in our words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import IO, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.store.sqlite.queries import SQL
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

FILE_NAME: Final = "coordinator.sqlite"
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged write survives power loss
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA cache_size = -16000",
    "PRAGMA foreign_keys = OFF",
)


class Database:
    """The file `coordinator.sqlite` in a folder of its own, owned by this process.

    Raises:
        CoordinatorError: STORE_LOCKED, STORE_TOO_NEW, STORE_READ_ONLY, STORE_FULL, STORE_UNAVAILABLE.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE_NAME
        self._lock = _lock(folder)
        try:
            self.writer = self._open()
            _migrate(self.writer)
            self.epoch: int = self.writer.execute(SQL["raise_epoch"]).fetchone()[0]
            self._identity = self._seen()
        except sqlite3.Error as error:
            self._lock.close()
            raise translate(error) from error
        except CoordinatorError:
            self._lock.close()
            raise

    def _open(self) -> sqlite3.Connection:
        # autocommit: transactions are begun by hand; the writer's thread is not the one that opened it
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        return connection

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
        text = "the files of the store are not where they were; bring them back, or restart on what is there"
        return Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, text, retry_delay=5.0)

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


def _lock(folder: Path) -> IO[str]:
    """Takes the folder for this process; the kernel gives it back when the process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise _os_error(error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_STORE_LOCKED,
            f"another coordinator (process {holder}) has this store; stop it, or give this one a store of its own",
            metadata={"process_id": holder},
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _os_error(error: OSError) -> CoordinatorError:
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STORE_READ_ONLY,
        f"the folder of the store cannot be written ({error.strerror}); check its owner and its mount",
    )


def _migrate(connection: sqlite3.Connection) -> None:
    folder = files(__package__).joinpath("migrations")
    steps = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_STORE_TOO_NEW,
            f"the store has schema {version}, this version knows {len(steps)}; use the newer version again",
            metadata={"store_version": str(version), "known_version": str(len(steps))},
        )
    for number, step in enumerate(steps[version:], start=version + 1):
        script = step.read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def translate(error: sqlite3.Error) -> CoordinatorError:
    """SQLite's error in our words, without its paths."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name.startswith("SQLITE_FULL"):
        return CoordinatorError(
            Code.RESOURCE_EXHAUSTED,
            ErrorReason.ERROR_REASON_STORE_FULL,
            "the disk of the store is full; nothing was written; free space and try again",
            retry_delay=5.0,
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_STORE_READ_ONLY,
            "the store cannot be written; check its owner and its mount",
        )
    return Unavailable(
        ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, f"the store does not answer ({name})", retry_delay=1.0
    )
