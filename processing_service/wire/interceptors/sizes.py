"""The limit of a request's size where the library's own refusal would carry no details."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError

MARGIN: Final = 4 << 20
"""How far above the limit a message is still read, so as to be refused with details, in bytes."""


def limited(parse: Callable[[bytes], Any], limit: int) -> Callable[[bytes], Any]:
    """Parses what is not above a limit, in bytes; else it raises CoordinatorError PAYLOAD_TOO_LARGE."""

    def sized(data: bytes) -> Any:
        if len(data) > limit:
            raise too_large(len(data), limit)
        return parse(data)

    return sized


def too_large(size: int, limit: int) -> CoordinatorError:
    """RESOURCE_EXHAUSTED: PAYLOAD_TOO_LARGE, for a message; both in bytes."""
    text = f"the message has {size} bytes, {limit} are the most; pass large content as an artifact"
    metadata = {"size_bytes": str(size), "limit_bytes": str(limit)}
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE, text, metadata=metadata
    )
