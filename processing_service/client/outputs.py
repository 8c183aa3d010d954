"""The outputs of a session as Python values; content that is stored is fetched when it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.artifacts import ArtifactCalls
from processing_service.client.values import from_struct
from processing_service.wire.errors import invalid, not_found

if TYPE_CHECKING:
    from processing_service.wire.tensors import Array

_TENSOR = Tensor.DESCRIPTOR.full_name


class Outputs(Mapping[str, Any]):
    """By name: plain values as they are, payloads as Datum; `read`, `array` and `save` give what a payload holds."""

    def __init__(self, calls: ArtifactCalls, session: pb.Session) -> None:
        self._calls = calls
        self._plain = from_struct(session.outputs)
        self._payloads = dict(session.payloads)

    def __getitem__(self, name: str) -> Any:
        return self._payloads[name] if name in self._payloads else self._plain[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._plain, *self._payloads))

    def __len__(self) -> int:
        return len(self._plain) + len(self._payloads)

    async def read(self, name: str) -> bytes:
        """The bytes of a payload; of a tensor its elements, little-endian.

        Raises:
            CoordinatorError: NOT_FOUND for a name that is no payload; else as GetProcessingArtifact.
        """
        datum = self._payload(name)
        if datum.HasField("artifact") and datum.artifact.type_name != _TENSOR:
            return await self._calls.read_artifact(datum.artifact.digest)
        return datum.inline_bytes if datum.HasField("inline_bytes") else (await self._tensor(name, datum)).data

    async def array(self, name: str) -> Array:
        """A tensor as a read-only numpy array.

        Raises:
            CoordinatorError: NOT_FOUND for a name that is no payload, TENSOR_INVALID for one that is no tensor.
        """
        from processing_service.wire.tensors import to_array

        return to_array(await self._tensor(name, self._payload(name)), name)

    async def save(self, name: str, path: Path) -> Path:
        """Writes the bytes of a payload to a file; returns its path. Raises as `read`."""
        datum = self._payload(name)
        if datum.HasField("artifact") and datum.artifact.type_name != _TENSOR:
            return await self._calls.download_artifact(datum.artifact.digest, path)
        await asyncio.to_thread(path.write_bytes, await self.read(name))
        return path

    def artifact(self, name: str) -> Artifact | None:
        """The reference of a payload that is stored; None for one that came along."""
        datum = self._payload(name)
        return datum.artifact if datum.HasField("artifact") else None

    async def _tensor(self, name: str, datum: Datum) -> Tensor:
        if datum.HasField("tensor"):
            return datum.tensor
        if datum.artifact.type_name != _TENSOR:
            raise invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, name, "is not a tensor; read it as bytes")
        return Tensor.FromString(await self._calls.read_artifact(datum.artifact.digest))

    def _payload(self, name: str) -> Datum:
        if name not in self._payloads:
            raise not_found(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, "payload", name, self._payloads)
        return self._payloads[name]
