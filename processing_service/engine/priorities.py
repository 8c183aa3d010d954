"""The priority of sessions, batches and the calls that wait for their models."""

from __future__ import annotations

from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid

PRIORITIES: Final = range(1, 11)
"""Lowest to highest."""
DEFAULT_PRIORITY: Final = 5
"""Where a request does not say it."""


def priority_of(asked: int) -> int:
    """The priority that is asked for, 0 = the default. Raises CoordinatorError: FIELD_INVALID."""
    if asked and asked not in PRIORITIES:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "priority", "must be from 1 to 10, or 0 for 5")
    return asked or DEFAULT_PRIORITY
