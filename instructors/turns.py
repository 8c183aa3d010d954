"""A limit of calls that are out at the same time; who comes when it is reached waits for a turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from processing_service.engine.base import NotSent

_LOOK_S: Final = 0.05
"""How often a clock that stands still is looked at once a wait would be over, in seconds."""


def _never() -> float:
    return 0.0


class Patience(NamedTuple):
    """How long a call waits for its turn."""

    max_queued: float = float("inf")
    """Seconds, at most; what pauses have left of them."""
    needed: float = 0.0
    """Seconds that have to be left for the call itself."""
    what: str = ""
    """What it is, for a message."""
    halted: Callable[[], float] = _never
    """Seconds that the clocks of its session stood still so far, in pauses."""
    waited: float = 0.0
    """Seconds that it had waited when a pause took it back."""


PATIENT: Final = Patience()


class Turns:
    """First come, first served. `take` costs no await while there is room.

    Args:
        limit: calls at the same time, at most.
    """

    __slots__ = ("_named", "_waiting", "limit", "out")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.out = 0
        """Calls that are out."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._named: dict[str, asyncio.Future[None]] = {}

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

    async def wait(self, seconds: float, halted: Callable[[], float] = _never, name: str = "") -> bool:
        """Takes a turn as soon as it is there; False after so many seconds without one.

        Args:
            halted: seconds that the waiter's clock stood still so far; while it does, no time passes.
            name: by which it can be recalled.

        Raises:
            NotSent: it was recalled.
        """
        if self.take():
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._named[name] = turn
        try:
            await _until(turn, seconds, halted)
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        finally:
            self._named.pop(name, None)
        if turn.done():
            turn.result()
            return True
        return self._give_up(turn)

    def waits(self, name: str) -> bool:
        """True while a waiter of that name has no turn."""
        turn = self._named.get(name)
        return turn is not None and not turn.done()

    def recall(self, name: str) -> None:
        """Sends a waiter away, if it has no turn yet: its `wait` raises NotSent."""
        turn = self._named.get(name)
        if turn is not None and not turn.done():
            self._waiting.remove(turn)
            turn.set_exception(NotSent())

    def _give_up(self, turn: asyncio.Future[None]) -> bool:
        if not turn.done():
            self._waiting.remove(turn)
        elif turn.exception() is None:
            self.leave()
        return False

    def leave(self) -> None:
        """Gives a turn back: to who waits longest, if anybody does."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self.out -= 1


async def _until(turn: asyncio.Future[None], seconds: float, halted: Callable[[], float]) -> None:
    """What the clock stood still during a wait is waited once more."""
    before = halted()
    await asyncio.wait([turn], timeout=max(0.0, seconds))
    while not turn.done() and (now := halted()) > before:
        before, longer = now, now - before
        await asyncio.wait([turn], timeout=max(_LOOK_S, longer))
