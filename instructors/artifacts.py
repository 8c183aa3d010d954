"""Use cases of artifacts: bytes that are too large for a message go in and out by their digest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine.store.base import ArtifactStore
from processing_service.engine.store.spool import Spool
from processing_service.wire.errors import Code, CoordinatorError, invalid

THRESHOLD_BYTES: Final = 256 * 1024
"""Content above this size is passed by reference, in bytes."""
MAX_BYTES: Final = 256 << 20
"""Largest artifact, in bytes."""


class Artifacts(ArtifactStore, Protocol):
    """An ArtifactStore that can also be written and read in parts."""

    def spool(self) -> AbstractAsyncContextManager[Spool]:
        """Takes content in parts; what was not kept by the end of the context leaves nothing."""

    async def find(self, digest: str) -> Artifact:
        """What is known of the content, which stays for a grace from now on.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND.
        """

    def chunks(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """The content from an offset, in chunks of at most 1 MiB. Raises as `find`; OUT_OF_RANGE."""


class ArtifactInstructor:
    """Carries content in and out.

    Args:
        max_bytes: largest artifact, in bytes.
    """

    def __init__(self, store: Artifacts, max_bytes: int = MAX_BYTES) -> None:
        self._store, self._max_bytes = store, max_bytes

    async def download(
        self, request: pb.GetProcessingArtifactRequest
    ) -> AsyncIterator[pb.GetProcessingArtifactResponse]:
        """The content in chunks. Raises CoordinatorError: ARTIFACT_NOT_FOUND, OUT_OF_RANGE."""
        artifact = await self._store.find(request.digest)
        offset, first = request.offset, True
        async for data in self._store.chunks(request.digest, request.offset):
            yield pb.GetProcessingArtifactResponse(artifact=artifact if first else None, offset=offset, data=data)
            offset, first = offset + len(data), False
        if first:
            yield pb.GetProcessingArtifactResponse(artifact=artifact, offset=offset)

    async def upload(
        self, chunks: AsyncIterator[pb.PostProcessingArtifactRequest]
    ) -> pb.PostProcessingArtifactResponse:
        """Stores content, once it is whole and what was announced.

        Raises:
            CoordinatorError: DIGEST_MISMATCH, PAYLOAD_TOO_LARGE, FIELD_REQUIRED, STORE_*.
        """
        expected: Artifact | None = None
        size = 0
        async with self._store.spool() as content:
            async for chunk in chunks:
                expected = expected or chunk.artifact
                size += len(chunk.data)
                if size <= self._max_bytes:
                    await content.write(chunk.data)
                # else it is read and dropped: a refusal while the client sends may not reach it
            if size > self._max_bytes:
                raise _too_large(self._max_bytes)
            if expected is None:
                text = "the stream was empty; its first chunk says what it will be"
                raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "artifact", text)
            _compare(expected, size, await content.digest())
            stored, created = await content.keep(expected.media_type, expected.type_name)
        return pb.PostProcessingArtifactResponse(artifact=stored, created=created)

    async def check_payloads(self, payloads: Mapping[str, Datum]) -> None:
        """Raises CoordinatorError: ARTIFACT_NOT_FOUND for a reference that nothing stands behind."""
        for datum in payloads.values():
            if datum.WhichOneof("content") == "artifact":
                await self._store.find(datum.artifact.digest)

    async def store_payloads(self, payloads: MutableMapping[str, Datum]) -> list[bytes]:
        """Puts large content of a request into the store and its references in place; the digests of all references.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND for a reference that nothing stands behind; STORE_FULL.
        """
        digests: list[bytes] = []
        for datum in payloads.values():
            if datum.WhichOneof("content") == "artifact":
                await self._store.find(datum.artifact.digest)
            elif (content := _large_content(datum)) is not None:
                data, type_name = content
                artifact = await self._store.put(data, media_type=datum.media_type, type_name=type_name)
                datum.artifact.CopyFrom(artifact)
            else:
                continue
            digests.append(bytes.fromhex(datum.artifact.digest))
        return digests


def _large_content(datum: Datum) -> tuple[bytes, str] | None:
    """Bytes and type of a datum that is above the threshold."""
    if len(datum.inline_bytes) > THRESHOLD_BYTES:
        return datum.inline_bytes, ""
    if len(datum.tensor.data) > THRESHOLD_BYTES:
        return datum.tensor.SerializeToString(), datum.tensor.DESCRIPTOR.full_name
    return None


def _compare(expected: Artifact, size: int, digest: str) -> None:
    """Raises CoordinatorError DIGEST_MISMATCH if what came is not what was announced."""
    if expected.size_bytes and expected.size_bytes != size:
        text = f"{expected.size_bytes} bytes were announced, {size} came"
        raise invalid(ErrorReason.ERROR_REASON_DIGEST_MISMATCH, "artifact.size_bytes", text)
    if expected.digest and expected.digest != digest:
        text = f"the content has SHA-256 {digest}, not {expected.digest[:64]}; send it again"
        raise invalid(ErrorReason.ERROR_REASON_DIGEST_MISMATCH, "artifact.digest", text)


def _too_large(limit: int) -> CoordinatorError:
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
        f"an artifact may have {limit >> 20} MiB at most; split it",
        metadata={"limit_bytes": str(limit)},
    )
