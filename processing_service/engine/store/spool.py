"""Content that comes in parts, on its way to the disk: at most a chunk of it is in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from coordinator.payload.v1.payload_pb2 import Artifact

from processing_service.engine.store.part import Part

CHUNK_BYTES: Final = 1024 * 1024
"""Largest chunk of a stream of content, in bytes."""


class Keep(Protocol):
    """Gives a part its name, unless the content is there already; whether it is new."""

    def __call__(self, part: Part, artifact: Artifact) -> Awaitable[bool]: ...


class Spool:
    """Written off the event loop, chunk by chunk; who sends faster than the disk writes waits.

    Args:
        part: where it is written.
        write: runs a write of the part in a thread.
        keep: makes it an artifact.
    """

    def __init__(self, part: Part, write: Callable[[Callable[[], None]], Awaitable[None]], keep: Keep) -> None:
        self._part, self._write, self._keep = part, write, keep
        self._held = bytearray()
        self.size = 0
        """Bytes that came."""

    async def write(self, data: bytes) -> None:
        """Appends to it. Raises CoordinatorError: STORE_FULL, STORE_READ_ONLY, STORE_UNAVAILABLE."""
        self.size += len(data)
        self._held += data
        if len(self._held) >= CHUNK_BYTES:
            await self._flush()

    async def digest(self) -> str:
        """SHA-256 of what came so far, in hex. Raises as `write`."""
        await self._flush()
        return self._part.digest

    async def keep(self, media_type: str = "", type_name: str = "") -> tuple[Artifact, bool]:
        """Makes it an artifact, durable on return, and says whether the content is new. Raises as `write`."""
        digest = await self.digest()
        artifact = Artifact(digest=digest, size_bytes=self.size, media_type=media_type, type_name=type_name)
        return artifact, await self._keep(self._part, artifact)

    async def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, bytearray()
            await self._write(lambda: self._part.write(held))
