"""How large sessions may be; apart from their rules, so that the command line can read it quickly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Bounds of sessions."""

    default_timeout: float = 600.0
    """Budget of a session whose caller and workflow name none, in seconds."""
    max_timeout: float = 7 * 24 * 3600.0
    """Longest budget, in seconds."""
