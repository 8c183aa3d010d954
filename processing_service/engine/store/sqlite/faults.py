"""What SQLite says, in our words and without its paths."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.store.disk import full, lack_of_room
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

FILE_NAME: Final = "coordinator.sqlite"


def translate(error: sqlite3.Error, folder: Path) -> CoordinatorError:
    """STORE_FULL, STORE_READ_ONLY, STORE_DAMAGED; STORE_UNAVAILABLE for what may pass.

    SQLite has several names for a disk that is full, so the folder is looked at.
    """
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name.startswith("SQLITE_FULL"):
        return full()
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_STORE_READ_ONLY,
            "the store cannot be written; check its owner and its mount",
        )
    if name.startswith("SQLITE_NOTADB"):
        return foreign("is not a database")
    if name.startswith("SQLITE_CORRUPT"):
        text = (
            "is damaged; stop the server and bring back a copy of the store, or move it away to begin with an empty one"
        )
        return _damaged(Code.DATA_LOSS, text)
    if name.startswith("SQLITE_IOERR") and (lack := lack_of_room(folder)) is not None:
        return lack
    return Unavailable(
        ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, f"the store does not answer ({name})", retry_delay=1.0
    )


def foreign(what: str) -> CoordinatorError:
    """FAILED_PRECONDITION: STORE_DAMAGED, for a file that never was ours."""
    text = f"{what}; name the right folder with --store, or move the file away to begin with an empty store"
    return _damaged(Code.FAILED_PRECONDITION, text)


def _damaged(code: Code, text: str) -> CoordinatorError:
    return CoordinatorError(
        code,
        ErrorReason.ERROR_REASON_STORE_DAMAGED,
        f"{FILE_NAME} in the folder of the store {text}",
        metadata={"file": FILE_NAME},
    )
