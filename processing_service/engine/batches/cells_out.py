"""The cells of a batch that are out: from when a worker takes one until its session has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from processing_service.engine.base import Engine
from processing_service.engine.batches.chores import PAUSE_S, Chores, may_pass
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.records import BatchKind, BatchState
from processing_service.engine.events import Command
from processing_service.engine.live import Live
from processing_service.engine.records import Action, SessionState
from processing_service.wire.errors import Code, CoordinatorError

_AT_ONCE: Final = 20
"""Sessions that are told at a time: what comes of them is done in one turn of the loop, which others wait for."""
_TOLD: Final = {
    BatchState.PAUSING: Action.PAUSE,
    BatchState.PAUSED: Action.PAUSE,
    BatchState.RUNNING: Action.RESUME,
    BatchState.CANCELLING: Action.CANCEL,
}
"""What the sessions of a batch are told when it comes to a state."""
_STILL: Final = frozenset({SessionState.PAUSING, SessionState.PAUSED})


class CellsOut:
    """Has the sessions of these cells follow the standing of their batch, and a pause of it the sessions.

    Args:
        now_us: microseconds since the Unix epoch.
    """

    def __init__(self, ledger: BatchLedger, engine: Engine, chores: Chores, now_us: Callable[[], int]) -> None:
        self._ledger, self._engine, self._chores, self._now_us = ledger, engine, chores, now_us
        self._loop = asyncio.get_running_loop()
        self._ends: dict[int, asyncio.Future[None]] = {}
        """Who waits for the end of a cell, by its number."""
        self._lives: dict[int, Live] = {}
        """Their sessions, of those that have one by now."""
        self.behind = 0
        """Cells that have ended and whose record is not durable yet."""

    def __len__(self) -> int:
        """How many they are."""
        return len(self._ends)

    def __iter__(self) -> Iterator[int]:
        """Their numbers."""
        return iter(self._ends)

    def __contains__(self, cell: int) -> bool:
        """Whether that cell is one of them."""
        return cell in self._ends

    def add(self, cell: int) -> asyncio.Future[None]:
        """A cell goes out; done when it has ended, durable or not."""
        end = self._ends[cell] = self._loop.create_future()
        return end

    def drop(self, cell: int) -> None:
        """A cell could not begin."""
        self._ends.pop(cell, None)
        self.settle_pause()

    def release(self) -> None:
        """Sends home who waits for an end."""
        for end in self._ends.values():
            if not end.done():
                end.set_result(None)

    def adopted(self, live: Live) -> None:
        """The process may have died between the RESUME of the batch and that of its cells."""
        if self._ledger.standing.state is BatchState.RUNNING and live.state.state in _STILL:
            self._chores.spawn(self._tell([live]))

    def moved(self, live: Live) -> None:
        """Something happened to a session that has not ended; one that comes late is told at once how it is."""
        cell = number_of(live)
        if cell not in self._lives:
            self._lives[cell] = live
            if self._ledger.stored.state is not BatchState.RUNNING:
                self._chores.spawn(self._tell([live]))
        self.settle_pause()

    def ended(self, cell: int) -> asyncio.Future[None] | None:
        """Who waits for that end; None if the cell was not out."""
        end = self._ends.pop(cell, None)
        if end is not None:
            self._lives.pop(cell, None)
        return end

    async def tell_all(self) -> None:
        """Has all sessions that run follow the standing of the batch."""
        for live in self._engine.roster.cells(self._ledger.row.number):
            live.settle()  # one of which nothing was told is not among ours yet
        await self._tell(list(self._lives.values()))

    async def _tell(self, lives: Sequence[Live]) -> None:
        action = _TOLD.get(self._ledger.stored.state)
        if action is None:
            return
        for first in range(0, len(lives), _AT_ONCE):
            some = lives[first : first + _AT_ONCE]
            await asyncio.gather(*(self._tell_one(live, action) for live in some))

    async def _tell_one(self, live: Live, action: Action) -> None:
        command = command_of_batch(self._now_us(), action, f"{self._ledger.stored.state.name} of its batch")
        try:
            await self._engine.deliver(live.state.session_id, live.context.tenant, command)
        except CoordinatorError as error:  # else it has ended meanwhile, or somebody told it the same
            if may_pass(error):
                self._chores.spawn(self._tell_later(live))
            elif error.code not in (Code.FAILED_PRECONDITION, Code.NOT_FOUND):
                raise

    async def _tell_later(self, live: Live) -> None:
        """What the batch has been told holds for its cells, too, although the store did not take that at once."""
        await asyncio.sleep(PAUSE_S)
        if number_of(live) in self._lives:
            await self._tell([live])

    def settle_pause(self) -> None:
        """PAUSING becomes PAUSED once no call of a cell is out, and what came of them is on its way to the store.

        The record of that queues behind it; else a crash could have a call made again in a batch that is PAUSED.
        """
        if self._ledger.standing.state is BatchState.PAUSING and self._is_still:
            self._chores.spawn(self._chores.insist(self._settle_pause))

    @property
    def _is_still(self) -> bool:
        still = not self.behind and len(self._ends) == len(self._lives)  # none is about to begin
        return still and all(_is_paused(live) for live in self._lives.values())

    async def _settle_pause(self) -> None:
        ledger = self._ledger
        async with ledger.turn:
            if ledger.standing.state is BatchState.PAUSING and self._is_still:
                await ledger.move(ledger.standing.moved(BatchState.PAUSED), [BatchKind.BATCH_STATE_CHANGED])


def _is_paused(live: Live) -> bool:
    return live.state.state is SessionState.PAUSED and live.behind is None


def number_of(live: Live) -> int:
    """Which cell of its batch a session is."""
    assert live.context.cell is not None
    return live.context.cell.cell


def command_of_batch(now_us: int, action: Action, comment: str) -> Command:
    """A command to the session of a cell, as its batch gives it."""
    return Command(now_us, action, now_us, actor="batch", comment=comment)
