"""Content on its way: put in for a domain that may not fetch it, taken out of a reply that may not carry it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum, Tensor
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from instructors.artifacts import THRESHOLD_BYTES
from instructors.field_paths import is_map
from processing_service.engine.store.base import ArtifactStore
from processing_service.wire.errors import invalid

INLINE_LIMIT: Final = 1 << 20
"""Most bytes that all payloads of one reply may have inline."""

_DATUM: Final = Datum.DESCRIPTOR.full_name
_TENSOR: Final = Tensor.DESCRIPTOR.full_name
_WELL_KNOWN: Final = "google.protobuf."


async def put_contents_in(message: Message, store: ArtifactStore) -> None:
    """Replaces every reference to an artifact by what it refers to. Raises CoordinatorError: ARTIFACT_NOT_FOUND."""
    for datum in tuple(references(message)):
        await put_content_in(datum, store)


async def put_content_in(datum: Any, store: ArtifactStore) -> None:
    """Replaces a datum's artifact by its content. Raises as `put_contents_in`; TENSOR_INVALID."""
    artifact = datum.artifact
    media_type, type_name = datum.media_type or artifact.media_type, artifact.type_name
    content = await store.get(artifact.digest)
    if type_name == _TENSOR:
        _parse(datum.tensor, content, artifact.digest)
    else:
        datum.inline_bytes = content
    datum.media_type = media_type


def _parse(tensor: Any, content: bytes, digest: str) -> None:
    try:
        tensor.ParseFromString(content)
    except DecodeError as error:
        text = f"the content of artifact {digest} is not a {_TENSOR}; correct its type_name or its digest"
        raise invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, "artifact", text) from error


async def take_contents_out(payloads: MutableMapping[str, Datum], store: ArtifactStore) -> None:
    """Stores large content and puts references in its place: above the threshold, or until the rest is small enough."""
    sizes = sorted(((_size(datum), name) for name, datum in payloads.items()), reverse=True)
    left = sum(size for size, _ in sizes)
    for size, name in sizes:
        if size <= THRESHOLD_BYTES and left <= INLINE_LIMIT:
            return
        datum = payloads[name]
        is_tensor = datum.HasField("tensor")
        data = datum.tensor.SerializeToString() if is_tensor else datum.inline_bytes
        artifact = await store.put(data, media_type=datum.media_type, type_name=_TENSOR if is_tensor else "")
        datum.artifact.CopyFrom(artifact)
        left -= size


def _size(datum: Datum) -> int:
    """Bytes of content that stand in the datum itself."""
    return len(datum.tensor.data) if datum.HasField("tensor") else len(datum.inline_bytes)


def references(message: Message) -> Iterator[Any]:
    """The data in a message that refer to artifacts."""
    if message.DESCRIPTOR.full_name == _DATUM:
        if message.HasField("artifact"):
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or not carries_data(field.message_type):
            continue
        inner: Any = value.values() if is_map(field) else value if field.is_repeated else (value,)
        for each in inner:
            yield from references(each)


@lru_cache(maxsize=1024)
def carries_data(descriptor: Descriptor) -> bool:
    """True if a message of that type is a Datum or can hold one at any depth."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        current = waiting.pop()
        if current.full_name == _DATUM:
            return True
        if current.full_name not in seen and not current.full_name.startswith(_WELL_KNOWN):
            seen.add(current.full_name)
            waiting.extend(field.message_type for field in current.fields if field.message_type is not None)
    return False
