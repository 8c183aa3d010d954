"""Call metadata, read once into a CallContext."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire import callcontext as keys
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import Code, CoordinatorError

Values = dict[str, Any]


def read(metadata: Iterable[Any] | None) -> Values:
    """The metadata by key, the last of equal ones; raises METADATA_INVALID for a text value that is not ASCII.

    ASCII is all that gRPC allows, and it cannot be told from here what other bytes were: grpc reads those that are not
    UTF-8 as Latin-1.
    """
    values: Values = dict(metadata or ())
    for key, value in values.items():
        if not (value.__class__ is str and value.isascii()) and not key.endswith("-bin"):
            raise _invalid(key, "is not ASCII text; put other bytes under a key that ends with -bin")
    return values


def to_context(values: Values, deadline: float | None, actor: str) -> CallContext:
    """The context of a call from its metadata; raises METADATA_INVALID for an attempt that is no number."""
    attempt = values.get(keys.ATTEMPT, "0")
    if not (attempt.isdecimal() and len(attempt) < 10):
        raise _invalid(keys.ATTEMPT, "is not a whole number")
    find = values.get
    return CallContext(
        find(keys.SESSION_ID, ""),
        find(keys.STEP_ID, ""),
        int(attempt),
        find(keys.IDEMPOTENCY_KEY, ""),
        find(keys.REQUEST_ID, ""),
        find(keys.TENANT, ""),
        find(keys.TRACEPARENT, ""),
        deadline,
        actor,
    )


def _invalid(key: str, fault: str) -> CoordinatorError:
    text = f"metadata {key!r} {fault}"
    return CoordinatorError(
        Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_METADATA_INVALID, text, metadata={"key": key}
    )
