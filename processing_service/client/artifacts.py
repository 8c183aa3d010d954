"""Artifacts: content by digest, sent and fetched in chunks; and parameters, whose large values become artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.struct_pb2 import Struct

from processing_service.client.connected import Connected
from processing_service.client.retries import Comeback
from processing_service.client.values import INLINE_BYTES, Value, is_plain, media_type_of, tensor_of, to_struct
from processing_service.wire.errors import Code, CoordinatorError, invalid

CHUNK_BYTES: Final = 1 << 20
"""Largest chunk of a stream, in bytes."""

_SLOWEST: Final = 1 << 20
"""Bytes a second that a transfer is given time for, beyond the deadline of a call."""

Content = bytes | Path


class ArtifactCalls(Connected):
    """The RPCs of artifacts, whole contents by path, and the parameters of an execution."""

    async def post_processing_artifact(
        self, content: Content, *, media_type: str = "", type_name: str = "", deadline: float | None = None
    ) -> pb.PostProcessingArtifactResponse:
        """Stores content; the server checks its digest.

        Args:
            content: the bytes, or the path of a file that has them.
            media_type: such as `image/png`; empty = by the file's name.
            type_name: full name of the message that the content encodes; empty for plain bytes.
            deadline: seconds; None = that of the settings, and a second for each MiB.

        Raises:
            CoordinatorError: FIELD_INVALID if the file cannot be read; else as the RPC.
        """
        if isinstance(content, Path):
            media_type = media_type or media_type_of(content)
        digest, size = await asyncio.to_thread(_measure, content)
        artifact = Artifact(digest=digest, size_bytes=size, media_type=media_type, type_name=type_name)
        seconds = self._caller.settings.deadline + size / _SLOWEST if deadline is None else deadline
        return await self._caller.send(self._stub.PostProcessingArtifact, lambda: _chunks(content, artifact), seconds)

    async def get_processing_artifact(self, digest: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        """The content in chunks, from an offset in bytes; goes on where it stood if the connection breaks.

        Raises:
            CoordinatorError: DIGEST_MISMATCH behind the last chunk if a content read from its start is another one;
                else as the RPC.
        """
        comeback = Comeback(self._caller)
        digested = hashlib.sha256()
        position = offset
        while True:
            try:
                async for chunk in self._read(digest, position):
                    comeback.reset()
                    position += len(chunk)
                    digested.update(chunk)
                    yield chunk
                break
            except CoordinatorError as error:
                await comeback.wait(error)
        if offset == 0 and digested.hexdigest() != digest:
            text = f"the content of artifact {digest} has another digest; it is damaged, store it again"
            raise CoordinatorError(Code.DATA_LOSS, ErrorReason.ERROR_REASON_DIGEST_MISMATCH, text)

    async def read_artifact(self, digest: str) -> bytes:
        """The whole content."""
        return b"".join([chunk async for chunk in self.get_processing_artifact(digest)])

    async def download_artifact(self, digest: str, path: Path) -> Path:
        """Writes the whole content to a file, which is there only once it is whole; returns its path."""
        part = path.with_name(f".{path.name}.part")
        try:
            file = await asyncio.to_thread(part.open, "wb")
            with file:
                async for chunk in self.get_processing_artifact(digest):
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(os.replace, part, path)
        except OSError as error:
            raise _file_error(path, "written", error) from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
        return path

    async def to_parameters(
        self, values: Mapping[str, Value], *, deadline: float | None = None
    ) -> tuple[Struct, dict[str, Datum]]:
        """The `parameters` and `payloads` of a request; content above 256 KiB is stored as an artifact first."""
        plain = {name: value for name, value in values.items() if is_plain(value)}
        payloads = {name: await self.to_datum(value, deadline) for name, value in values.items() if name not in plain}
        return to_struct(plain), payloads

    async def to_datum(self, value: Any, deadline: float | None = None) -> Datum:
        """One payload: bytes, the content of a path, a tensor, an array, or what is a Datum already."""
        if isinstance(value, Datum):
            return value
        if isinstance(value, Artifact):
            return Datum(artifact=value)
        if isinstance(value, bytes | Path):
            return await self._content(value, deadline)
        tensor = value if isinstance(value, Tensor) else tensor_of(value)
        if len(tensor.data) <= INLINE_BYTES:
            return Datum(tensor=tensor)
        data, type_name = tensor.SerializeToString(), Tensor.DESCRIPTOR.full_name
        return Datum(artifact=(await self.post_processing_artifact(data, type_name=type_name)).artifact)

    async def _content(self, content: Content, deadline: float | None) -> Datum:
        media_type = media_type_of(content) if isinstance(content, Path) else ""
        if await asyncio.to_thread(_size, content) <= INLINE_BYTES:
            return Datum(inline_bytes=await asyncio.to_thread(_read, content), media_type=media_type)
        stored = await self.post_processing_artifact(content, media_type=media_type, deadline=deadline)
        return Datum(artifact=stored.artifact)

    async def _read(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        request = pb.GetProcessingArtifactRequest(digest=digest, offset=offset)
        seconds = self._caller.settings.stream_deadline
        async for message in self._caller.stream(self._stub.GetProcessingArtifact, request, seconds):
            if message.data:
                yield message.data


async def _chunks(content: Content, artifact: Artifact) -> AsyncIterator[pb.PostProcessingArtifactRequest]:
    """The content of a file is read as it goes out, so a large one is never in memory as a whole."""
    yield pb.PostProcessingArtifactRequest(artifact=artifact)
    for start in range(0, artifact.size_bytes, CHUNK_BYTES):
        yield pb.PostProcessingArtifactRequest(data=await asyncio.to_thread(_part, content, start))


def _part(content: Content, start: int) -> bytes:
    if isinstance(content, bytes):
        return content[start : start + CHUNK_BYTES]
    with content.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)


def _measure(content: Content) -> tuple[str, int]:
    """Digest and size in bytes."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest(), len(content)
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise _file_error(content, "read", error) from error


def _size(content: Content) -> int:
    if isinstance(content, bytes):
        return len(content)
    try:
        return content.stat().st_size
    except OSError as error:
        raise _file_error(content, "read", error) from error


def _read(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.read_bytes()
    except OSError as error:
        raise _file_error(content, "read", error) from error


def _file_error(path: Path, done: str, error: OSError) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, str(path), f"the file cannot be {done}: {error.strerror}")
