"""A file that is being written: under another name until it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any, Final

from processing_service.engine.store.disk import gone

_SUFFIX: Final = ".part"


class Part:
    """`keep` gives it its name, `drop` leaves nothing.

    Its owner may leave while a thread still writes, so what comes after `drop` does nothing.

    Args:
        folder: where it is written; made if it is not there, but not the one around it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Any = None
        self._hash = hashlib.sha256()
        self._lock, self._dropped = Lock(), False

    @property
    def digest(self) -> str:
        """SHA-256 of what was written, in hex."""
        return self._hash.hexdigest()

    def write(self, *chunks: bytes | bytearray) -> None:
        """Appends to it. Raises OSError; CoordinatorError STORE_UNAVAILABLE if the store has gone."""
        with self._lock:
            if self._dropped:
                return
            if self._file is None:
                self._file = self._open()
            for chunk in chunks:
                self._file.write(chunk)
                self._hash.update(chunk)

    def keep(self, path: Path) -> None:
        """Puts it on the disk, then under its name: that has all of it or is not there. Raises as `write`."""
        self.write()
        with self._lock:
            if self._dropped:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _make(path.parent)
            os.replace(self._file.name, path)
            self._file, self._dropped = None, True
            _sync(path.parent)

    def drop(self) -> None:
        """Removes it, unless it was kept."""
        with self._lock:
            self._dropped = True
            if self._file is None:
                return
            with suppress(OSError):  # what it still holds need not reach a disk that is full
                self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _open(self) -> Any:
        if not self._folder.parent.is_dir():
            raise gone()
        _make(self._folder)
        return NamedTemporaryFile(dir=self._folder, suffix=_SUFFIX, delete=False)


def remove_parts(folder: Path) -> None:
    """Removes what a process that died left half written in a folder."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            path.unlink()


def write_file(folder: Path, path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file by way of another one in `folder`. Raises as `Part.write`; then nothing is left."""
    part = Part(folder)
    try:
        part.write(*chunks)
        part.keep(path)
    finally:
        part.drop()


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Puts the names in a folder on the disk: a file that is there may else have lost its name to a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
