"""A limit of calls that are out at the same time; who comes when it is reached waits for a turn."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """First come, first served. `take` costs no await while there is room.

    Args:
        limit: calls at the same time, at most.
    """

    __slots__ = ("_waiting", "limit", "out")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.out = 0
        """Calls that are out."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """True if the next call has to wait."""
        return self.out >= self.limit

    def take(self) -> bool:
        """Takes a turn if there is one; give it back with `leave`."""
        if self.out < self.limit:
            self.out += 1
            return True
        return False

    async def wait(self, seconds: float) -> bool:
        """Takes a turn as soon as it is there; False after so many seconds without one."""
        if self.take():
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait([turn], timeout=max(0.0, seconds))
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        return turn.done() or self._give_up(turn)

    def _give_up(self, turn: asyncio.Future[None]) -> bool:
        if turn.done():
            self.leave()
        else:
            self._waiting.remove(turn)
        return False

    def leave(self) -> None:
        """Gives a turn back: to who waits longest, if anybody does."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self.out -= 1
