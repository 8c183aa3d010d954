"""Where a domain that is not ours is, and what describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from processing_service.wire.channels import ChannelSettings


@dataclass(frozen=True, slots=True)
class ForeignDomain:
    """A service that is not part of the contract."""

    name: str
    """Name, as in operations; snake_case."""
    channel: ChannelSettings
    service_name: str = ""
    """Full name of its service; empty = the only one that it serves."""
    descriptor_set_file: Path | None = None
    """What `protoc --include_imports --descriptor_set_out` writes; None = ask the server by reflection."""
    max_in_flight: int = 64
    """Calls that are out at the same time, at most."""
    timeout: float = 10.0
    """Seconds that the server has to describe itself."""
