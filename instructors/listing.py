"""A session as a list shows it."""

from __future__ import annotations

from typing import Final

from coordinator.processing.v1.processing_pb2 import Session

OUTPUTS_LIMIT: Final = 4 << 10
"""Most bytes of readable outputs that an entry of a list has; a result of that size stands in a history, too."""


def listed(session: Session) -> Session:
    """The session without the content of its payloads, whose references stay, and without outputs that are large."""
    for datum in session.payloads.values():
        if not datum.HasField("artifact"):
            datum.ClearField("inline_bytes")
            datum.ClearField("tensor")
    if session.outputs.ByteSize() > OUTPUTS_LIMIT:
        session.ClearField("outputs")
    return session
