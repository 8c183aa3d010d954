"""How long the call of a command waits for its record: until shortly before its deadline, so that the reply arrives."""

from __future__ import annotations

from typing import Final

from processing_service.wire.callcontext import CallContext

_PATIENCE_S: Final = 5.0
"""How long a caller without a deadline waits, in seconds."""
_MARGIN_S: Final = 0.1
"""How long before the deadline of the call the reply goes out at the latest, in seconds."""


def patience_of(call: CallContext) -> float:
    """Seconds that a call waits for what it asked for, before it is told how things stand."""
    remaining = call.remaining()
    return _PATIENCE_S if remaining is None else max(0.0, remaining - _MARGIN_S)
