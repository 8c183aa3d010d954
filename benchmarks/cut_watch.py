"""A watcher whose stream breaks all the time: cut by itself, or with its server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from random import Random
from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_LONGEST: Final = 3
"""Messages with events between two cuts, at most."""


class CutWatch:
    """Follows a session to its end by streams that it cuts itself, each resumed behind the last event that was seen.

    Args:
        channel: to a server that may die and come back.
        grouped: whether it takes several events in one message.
        seed: of the numbers of messages after which it cuts.
    """

    def __init__(self, channel: grpc.aio.Channel, session_id: str, *, grouped: bool, seed: int) -> None:
        self.events: list[pb.SessionEvent] = []
        """In the order in which they came."""
        self.cuts = 0
        """Streams that it cut, and `breaks` those that its server did."""
        self.breaks = 0
        self._stub: Any = ProcessingServiceStub(channel)
        self._session_id, self._grouped = session_id, grouped
        self._random = Random(seed)

    async def run(self, cuts: int, on_cut: Callable[[int], Awaitable[None]] | None = None) -> None:
        """Cuts that often, and then watches to the end; tells of each cut."""
        while not self._over():
            if self.cuts >= cuts:
                await self._stream(None)
            elif await self._stream(self._random.randint(1, _LONGEST)):
                self.cuts += 1
                if on_cut is not None:
                    await on_cut(self.cuts)

    def faults(self) -> int:
        """Events that are missing, come twice, or not in their turn."""
        sequences = [event.sequence for event in self.events]
        wanted = range(1, max(sequences, default=0) + 1)
        return sum(one != other for one, other in zip(sequences, wanted, strict=False)) + abs(
            len(sequences) - len(wanted)
        )

    def _over(self) -> bool:
        return bool(self.events) and self.events[-1].kind == pb.EVENT_KIND_SESSION_ENDED

    async def _stream(self, messages: int | None) -> bool:
        """One stream, to its end or for that many messages with events; true if it was cut."""
        request = pb.WatchProcessingSessionRequest(session_id=self._session_id, grouped_events=self._grouped)
        request.after_sequence = self.events[-1].sequence if self.events else 0
        call = self._stub.WatchProcessingSession(request)
        try:
            async with aclosing(_updates(call)) as updates:
                async for update in updates:
                    found = [update.event] if update.HasField("event") else update.event_group.events
                    self.events += found
                    if found and messages is not None and (messages := messages - 1) == 0 and not self._over():
                        return True
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AWAY:
                raise
            self.breaks += 1
            await asyncio.sleep(0.05)
        return False


async def _updates(call: Any) -> Any:
    try:
        async for update in call:
            yield update
    finally:
        call.cancel()
