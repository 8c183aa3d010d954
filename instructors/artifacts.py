"""Use cases of artifacts: bytes that are too large for a message go in and out by their digest."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Final, Protocol

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine.store.base import ArtifactStore
from processing_service.wire.errors import Code, CoordinatorError, invalid

THRESHOLD_BYTES: Final = 256 * 1024
"""Content above this size is passed by reference, in bytes."""
MAX_BYTES: Final = 256 << 20
"""Largest artifact, in bytes."""


class Artifacts(ArtifactStore, Protocol):
    """An ArtifactStore that can also be read in parts."""

    async def put_new(self, data: bytes, *, media_type: str = "", type_name: str = "") -> tuple[Artifact, bool]:
        """As `put`, and whether the content is new."""

    async def find(self, digest: str) -> Artifact:
        """What is known of the content. Raises CoordinatorError ARTIFACT_NOT_FOUND."""

    def chunks(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """The content from an offset, in chunks of at most 1 MiB. Raises as `find`; OUT_OF_RANGE."""


class ArtifactInstructor:
    """Carries content in and out."""

    def __init__(self, store: Artifacts) -> None:
        self._store = store

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
        """Stores content. Raises CoordinatorError: DIGEST_MISMATCH, PAYLOAD_TOO_LARGE, FIELD_REQUIRED."""
        expected: Artifact | None = None
        content, size = bytearray(), 0
        async for chunk in chunks:
            expected = expected or chunk.artifact
            size += len(chunk.data)
            if size <= MAX_BYTES:  # the rest is read and dropped: a refusal while the client sends may not reach it
                content += chunk.data
        if size > MAX_BYTES:
            raise _too_large()
        if expected is None:
            text = "the stream was empty; its first chunk says what it will be"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "artifact", text)
        if expected.size_bytes and expected.size_bytes != len(content):
            text = f"{expected.size_bytes} bytes were announced, {len(content)} came"
            raise invalid(ErrorReason.ERROR_REASON_DIGEST_MISMATCH, "artifact.size_bytes", text)
        stored, created = await self._checked(bytes(content), expected)
        return pb.PostProcessingArtifactResponse(artifact=stored, created=created)

    async def _checked(self, content: bytes, expected: Artifact) -> tuple[Artifact, bool]:
        stored, created = await self._store.put_new(
            content, media_type=expected.media_type, type_name=expected.type_name
        )
        if expected.digest and expected.digest != stored.digest:
            text = f"the content has SHA-256 {stored.digest}, not {expected.digest[:64]}; send it again"
            raise invalid(ErrorReason.ERROR_REASON_DIGEST_MISMATCH, "artifact.digest", text)
        return stored, created

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


def _too_large() -> CoordinatorError:
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
        f"an artifact may have {MAX_BYTES >> 20} MiB at most; split it",
        metadata={"limit_bytes": str(MAX_BYTES)},
    )
