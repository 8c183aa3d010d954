"""The lock on the folder of a store: one process has it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.store.disk import translate
from processing_service.wire.errors import Code, CoordinatorError

_FILE_NAME: Final = "lock"


class Lock:
    """Takes a folder, made if it is not there; the kernel gives it back when the process ends, however it ends.

    Raises:
        CoordinatorError: STORE_LOCKED with the process that has it; STORE_READ_ONLY, STORE_FULL.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / _FILE_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise translate(error) from error
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            self._take()
        except BaseException:
            self.close()
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _locked(self._file.read(20).decode(errors="replace").strip()) from error
        try:
            self._file.truncate(self._file.write(str(os.getpid()).encode()))
        except OSError as error:
            raise translate(error) from error

    def close(self) -> None:
        """Gives the folder back."""
        self._file.close()


def _locked(holder: str) -> CoordinatorError:
    holder = holder or "unknown"
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STORE_LOCKED,
        f"another coordinator (process {holder}) has this store; stop it, or give this one a store of its own",
        metadata={"process_id": holder},
    )
