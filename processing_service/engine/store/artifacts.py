"""Content by its SHA-256, each in a file of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact

from processing_service.engine.store.disk import gone, translate
from processing_service.engine.store.part import Part, remove_parts, write_file
from processing_service.engine.store.spool import CHUNK_BYTES, Spool
from processing_service.wire.errors import Code, CoordinatorError, Violation, not_found

T = TypeVar("T")

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_THREADS: Final = 4
"""Reads go on while an upload or two wait for the disk."""


class FileArtifacts:
    """ArtifactStore in a folder: `<first two digits>/<digest>`; what kind it is stands beside it in `<digest>.kind`.

    A file is written under another name, synced, then renamed: it is whole or it is not there.

    Args:
        on_failure: told, in the event loop, of each write that the disk did not take.
    """

    def __init__(self, folder: Path, on_failure: Callable[[CoordinatorError], None] = lambda error: None) -> None:
        self._folder, self._on_failure = folder, on_failure
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="artifacts")
        self._ageing = Lock()
        """Held while a file is made young, and while one is seen to be old and removed."""
        self._keeping = [Lock() for _ in range(16)]
        """By the first digit of a digest: of many who bring the same content at once, one writes it."""
        remove_parts(folder)

    async def put(self, data: bytes, *, media_type: str = "", type_name: str = "") -> Artifact:
        """Stores content once.

        Raises:
            CoordinatorError: STORE_FULL, STORE_READ_ONLY; STORE_UNAVAILABLE if the folder has gone.
        """
        return (await self.put_new(data, media_type=media_type, type_name=type_name))[0]

    async def put_new(self, data: bytes, *, media_type: str = "", type_name: str = "") -> tuple[Artifact, bool]:
        """As `put`, and whether the content is new here."""
        return await self._write(lambda: self._put(data, media_type, type_name))

    @asynccontextmanager
    async def spool(self) -> AsyncIterator[Spool]:
        """Takes content that comes in parts; what was not kept by the end of the context leaves nothing.

        It raises as `put`.
        """
        part = Part(self._folder)

        async def keep(part: Part, artifact: Artifact) -> bool:
            return await self._write(lambda: self._keep(part, artifact))

        try:
            yield Spool(part, self._write, keep)
        finally:  # also if who sends it has left
            await asyncio.shield(self._write(part.drop))

    async def get(self, digest: str) -> bytes:
        """The content.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND; DIGEST_MISMATCH if the file has been damaged.
        """
        path = self._path(digest)
        return await self._read(digest, lambda: _checked(path.read_bytes(), digest))

    async def find(self, digest: str) -> Artifact:
        """What is known of the content, which stays for a grace from now on.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND.
        """
        path = self._path(digest)
        return await self._read(digest, lambda: self._describe(path, digest))

    async def chunks(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """The content from an offset, in bytes, in chunks of at most 1 MiB.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND; OUT_OF_RANGE if the offset is past the end.
        """
        path = self._path(digest)
        size = (await self._read(digest, path.stat)).st_size
        if not 0 <= offset <= size:
            raise CoordinatorError(
                Code.OUT_OF_RANGE,
                ErrorReason.ERROR_REASON_FIELD_INVALID,
                f"offset {offset} is outside of the {size} bytes of artifact {digest}",
                violations=[Violation("offset", f"must be from 0 to {size}")],
            )
        for start in range(offset, size, CHUNK_BYTES):
            yield await self._read(digest, lambda start=start: _chunk(path, start))  # type: ignore[misc]

    async def refresh(self, digests: Sequence[str]) -> None:
        """Begins the grace of contents anew; those that are not here are passed over."""

        def touch() -> None:
            for digest in digests:
                with suppress(OSError):
                    self._touch(self._path(digest))

        await self._run(touch)

    async def sweep(self, used: Callable[[bytes], Awaitable[bool]], grace_s: float) -> int:
        """Removes content that nobody uses and that is older than the grace, in seconds; how many files went."""
        moment = time.time() - grace_s
        old = await self._write(lambda: list(self._older_than(moment)))
        unused = [path for path in old if not await used(bytes.fromhex(path.name))]
        return await self._write(lambda: sum(self._remove(path, moment) for path in unused))

    def close(self) -> None:
        """Ends the threads; what is half written goes."""
        self._pool.shutdown(wait=True)
        remove_parts(self._folder)

    async def _read(self, digest: str, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        except FileNotFoundError as error:
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", digest) from error
        except OSError as error:
            raise translate(error) from error

    async def _write(self, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        except OSError as error:
            told = gone() if isinstance(error, FileNotFoundError) else translate(error)
            self._on_failure(told)
            raise told from error

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", digest)
        return self._folder / digest[:2] / digest

    def _put(self, data: bytes, media_type: str, type_name: str) -> tuple[Artifact, bool]:
        digest = hashlib.sha256(data).hexdigest()
        artifact = Artifact(digest=digest, size_bytes=len(data), media_type=media_type, type_name=type_name)
        if self._again(self._path(digest), digest):
            return artifact, False
        part = Part(self._folder)
        try:
            part.write(data)
            return artifact, self._keep(part, artifact)
        finally:
            part.drop()

    def _keep(self, part: Part, artifact: Artifact) -> bool:
        path = self._path(artifact.digest)
        with self._keeping[int(artifact.digest[0], 16)]:
            if self._again(path, artifact.digest):
                return False
            if artifact.media_type or artifact.type_name:
                kind = json.dumps([artifact.media_type, artifact.type_name]).encode()
                write_file(self._folder, path.with_suffix(".kind"), [kind])
            part.keep(path)
            return True

    def _again(self, path: Path, digest: str) -> bool:
        """True if the content is here already and whole; from now on it is young."""
        try:
            self._touch(path)
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except FileNotFoundError:
            return False

    def _describe(self, path: Path, digest: str) -> Artifact:
        with suppress(PermissionError):
            self._touch(path)
        size = path.stat().st_size
        kind = path.with_suffix(".kind")
        media_type, type_name = json.loads(kind.read_bytes()) if kind.exists() else ("", "")
        return Artifact(digest=digest, size_bytes=size, media_type=media_type, type_name=type_name)

    def _touch(self, path: Path) -> None:
        """Begins the grace anew: who found the content has that long to say that it is needed."""
        with self._ageing:
            os.utime(path)

    def _older_than(self, moment: float) -> Iterator[Path]:
        for path in self._folder.glob("??/*"):
            if _DIGEST.fullmatch(path.name) and _is_older(path, moment):
                yield path

    def _remove(self, path: Path, moment: float) -> bool:
        """Removes a file, unless somebody has found it meanwhile."""
        with self._ageing:
            if not _is_older(path, moment):
                return False
            path.with_suffix(".kind").unlink(missing_ok=True)
            path.unlink()
            return True


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False


def _chunk(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)


def _checked(content: bytes, digest: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != digest:
        text = f"the content of artifact {digest} has been damaged on disk; store it again"
        raise CoordinatorError(Code.DATA_LOSS, ErrorReason.ERROR_REASON_DIGEST_MISMATCH, text)
    return content
