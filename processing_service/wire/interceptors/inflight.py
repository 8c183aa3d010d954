"""How many calls a server is working on, and whether it takes more; grpc's own graceful stop forgets some."""

from __future__ import annotations

import asyncio
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Unavailable

_RETRY_S: Final = 1.0
"""What a caller is told to wait, in seconds: about as long as another server takes to come up."""


class InFlight:
    """The calls of one server, health and reflection left out; the edge counts them in."""

    def __init__(self) -> None:
        self.count = 0
        self.refusing = False
        self._idle: asyncio.Future[None] | None = None

    def check(self) -> None:
        """Raises UNAVAILABLE once the server refuses."""
        if self.refusing:
            text = "the server is shutting down; call another or try again later"
            raise Unavailable(ErrorReason.ERROR_REASON_SERVER_DRAINING, text, retry_delay=_RETRY_S)

    def leave(self) -> None:
        """Counts a call out."""
        self.count -= 1
        if self.count == 0 and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def refuse(self) -> None:
        """No more calls from now on."""
        self.refusing = True

    async def idle(self, timeout: float) -> bool:
        """Waits until no call is in flight, at most `timeout` seconds; tells whether that is so."""
        if self.count > 0:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle], timeout=timeout)
        return self.count == 0
