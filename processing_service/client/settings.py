"""How a client reaches a coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid
from processing_service.wire.security import TlsSettings

DEFAULT_ADDRESS: Final = "localhost:50051"
"""Where a coordinator listens that was started without settings."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """One client: where the coordinator is, who asks, and how long it tries."""

    address: str = DEFAULT_ADDRESS
    """`host:port` or `unix:path`."""
    deadline: float = 30.0
    """Seconds for one call with all its retries, unless the call says otherwise."""
    attempts: int = 3
    """Tries of one call, the first included."""
    reconnect_window: float = 60.0
    """Seconds that a stream (watch, artifact) tries to come back after its connection broke; `attempts` counts until
    the coordinator has answered for the first time."""
    stream_deadline: float = 3600.0
    """Seconds that one connection of a stream lasts; then it is made anew where it stood."""
    token_file: str = ""
    """File whose first line is the bearer token; empty sends none."""
    tenant: str = ""
    """For whom the work is done; empty leaves it to the server."""
    tls: TlsSettings | None = None
    """None means plain text."""
    tracing: bool = False
    """Whether each call makes a span of the process's tracer provider, which the server's spans then continue."""

    def __post_init__(self) -> None:
        if self.deadline <= 0:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "deadline", "must be more than 0 seconds")
        if self.attempts < 1:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "attempts", "must be at least 1")
