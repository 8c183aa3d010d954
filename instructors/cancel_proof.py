"""Whether a domain has heard of a cancel; gRPC itself ends a cancelled call at the caller and waits for no answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc

_HEALTH: Final = "/grpc.health.v1.Health/Check"
"""Any method would do: that it is unknown is an answer, too."""
_PATIENCE_S: Final = 3.0
"""How long an answer is waited for, in seconds: longer than the grace after which a receipt says IGNORED."""
_SILENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class CancelProof:
    """Asks a domain something behind the cancel, on the same connection.

    HTTP/2 frames of a connection arrive in the order in which they were sent (RFC 9113, 4.1 and 5.1), so a server that
    answers has been told of the cancel before. What its handler makes of that, no caller can see.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._check: Any = channel.unary_unary(_HEALTH)
        self._next: asyncio.Task[bool] | None = None

    async def heard(self) -> bool:
        """True once the domain has heard of all that was cancelled by now, False if it cannot be reached."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._next)

    async def _ask(self) -> bool:
        await asyncio.sleep(0)  # what else is cancelled in this turn needs no question of its own
        self._next = None
        try:
            await self._check(b"", timeout=_PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            return error.code() not in _SILENT
        return True
