"""The disk under the store: what it refuses, in our words, and whether there is room on it again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError, Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the quota and the limit of the process leave no room."""
_ROOM: Final = bytes(1 << 20)
"""What has to fit before the disk counts as one with room, in bytes."""


def full() -> CoordinatorError:
    """RESOURCE_EXHAUSTED: STORE_FULL."""
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_STORE_FULL,
        "the disk of the store is full; nothing was written; free space and try again",
        retry_delay=5.0,
    )


def gone() -> CoordinatorError:
    """UNAVAILABLE: STORE_UNAVAILABLE."""
    text = "the files of the store are not where they were; bring them back, or restart on what is there"
    return Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, text, retry_delay=5.0)


def translate(error: OSError) -> CoordinatorError:
    """An error of the file system in our words, without its paths."""
    if error.errno in _FULL:
        return full()
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STORE_READ_ONLY,
        f"the folder of the store cannot be used ({error.strerror}); check its owner and its mount",
    )


def lack_of_room(folder: Path) -> CoordinatorError | None:
    """Why a megabyte would not reach the disk; None if it does. It leaves nothing."""
    try:
        with TemporaryFile(dir=folder, buffering=0) as file:
            if file.write(_ROOM) < len(_ROOM):  # the rest says why
                file.write(_ROOM)
            os.fsync(file.fileno())
    except FileNotFoundError:
        return gone()
    except OSError as error:
        return translate(error)
    return None
