"""Content by its SHA-256, each in a file of its own."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact

from processing_service.wire.errors import Code, CoordinatorError, Unavailable, Violation, not_found

T = TypeVar("T")

CHUNK_BYTES: Final = 1024 * 1024
"""Largest chunk of a stream of content, in bytes."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = ".part"
"""How the name of a file ends that is being written."""
_THREADS: Final = 2


class FileArtifacts:
    """ArtifactStore in a folder: `<first two digits>/<digest>`; what kind it is stands beside it in `<digest>.kind`.

    A file is written under another name, synced, then renamed: it is whole or it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="artifacts")

    async def put(self, data: bytes, *, media_type: str = "", type_name: str = "") -> Artifact:
        """Stores content once.

        Raises:
            CoordinatorError: STORE_FULL, STORE_READ_ONLY; STORE_UNAVAILABLE if the folder has gone.
        """
        return (await self.put_new(data, media_type=media_type, type_name=type_name))[0]

    async def put_new(self, data: bytes, *, media_type: str = "", type_name: str = "") -> tuple[Artifact, bool]:
        """As `put`, and whether the content is new here."""
        return await self._run(lambda: self._put(data, media_type, type_name))

    async def get(self, digest: str) -> bytes:
        """The content.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND; DIGEST_MISMATCH if the file has been damaged.
        """
        path = self._path(digest)
        return await self._run(lambda: _checked(path.read_bytes(), digest))

    async def find(self, digest: str) -> Artifact:
        """What is known of the content. Raises CoordinatorError ARTIFACT_NOT_FOUND."""
        path = self._path(digest)
        return await self._run(lambda: self._describe(path, digest))

    async def chunks(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """The content from an offset, in bytes, in chunks of at most 1 MiB.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND; OUT_OF_RANGE if the offset is past the end.
        """
        path = self._path(digest)
        size = (await self._run(path.stat)).st_size
        if not 0 <= offset <= size:
            raise CoordinatorError(
                Code.OUT_OF_RANGE,
                ErrorReason.ERROR_REASON_FIELD_INVALID,
                f"offset {offset} is outside of the {size} bytes of artifact {digest}",
                violations=[Violation("offset", f"must be from 0 to {size}")],
            )
        for start in range(offset, size, CHUNK_BYTES):
            yield await self._run(lambda start=start: _read(path, start))  # type: ignore[misc]

    async def sweep(self, used: Callable[[bytes], Awaitable[bool]], grace_s: float) -> int:
        """Removes content that nobody uses and that is older than the grace, in seconds; how many files went.

        What a process left half written goes too.
        """
        old = await self._run(lambda: list(self._older_than(time.time() - grace_s)))
        unused = [path for path in old if path.suffix == _PART or not await used(bytes.fromhex(path.name))]
        await self._run(lambda: _remove(unused))
        return len(unused)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except FileNotFoundError as error:
            name = Path(str(error.filename)).name
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", name) from error
        except OSError as error:
            raise _translate(error) from error

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", digest)
        return self._folder / digest[:2] / digest

    def _put(self, data: bytes, media_type: str, type_name: str) -> tuple[Artifact, bool]:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        artifact = Artifact(digest=digest, size_bytes=len(data), media_type=media_type, type_name=type_name)
        if path.exists() and path.read_bytes() == data:
            os.utime(path)
            return artifact, False
        if not self._folder.parent.is_dir():
            text = "the folder of the store is not where it was; bring it back"
            raise Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, text, retry_delay=5.0)
        path.parent.mkdir(parents=True, exist_ok=True)
        if media_type or type_name:
            _write(path.with_suffix(".kind"), json.dumps([media_type, type_name]).encode())
        _write(path, data)
        return artifact, True

    def _describe(self, path: Path, digest: str) -> Artifact:
        size = path.stat().st_size
        kind = path.with_suffix(".kind")
        media_type, type_name = json.loads(kind.read_bytes()) if kind.exists() else ("", "")
        return Artifact(digest=digest, size_bytes=size, media_type=media_type, type_name=type_name)

    def _older_than(self, moment: float) -> Iterator[Path]:
        for path in self._folder.glob("??/*"):
            if (path.suffix == _PART or _DIGEST.fullmatch(path.name)) and path.stat().st_mtime < moment:
                yield path


def _read(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)


def _checked(content: bytes, digest: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != digest:
        text = f"the content of artifact {digest} has been damaged on disk; store it again"
        raise CoordinatorError(Code.DATA_LOSS, ErrorReason.ERROR_REASON_DIGEST_MISMATCH, text)
    return content


def _write(path: Path, data: bytes) -> None:
    part = None
    try:
        with NamedTemporaryFile(dir=path.parent, suffix=_PART, delete=False) as file:
            part = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        if part is not None:
            part.unlink(missing_ok=True)
        raise


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.with_suffix(".kind").unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _translate(error: OSError) -> CoordinatorError:
    if error.errno == errno.ENOSPC:
        return CoordinatorError(
            Code.RESOURCE_EXHAUSTED,
            ErrorReason.ERROR_REASON_STORE_FULL,
            "the disk of the artifacts is full; nothing was written; free space and try again",
            retry_delay=5.0,
        )
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STORE_READ_ONLY,
        f"the folder of the artifacts cannot be used ({error.strerror}); check its owner and its mount",
    )
