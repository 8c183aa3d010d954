"""The workers of a batch: each carries out one cell after the other.

A cell that ended makes room at once; its record follows behind, in one transaction with those of others, and no more
than 256 wait for that. So a batch of short cells costs two rows a cell and no wait for a disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.cells_out import CellsOut
from processing_service.engine.batches.chores import PAUSE_S, Chores, may_pass
from processing_service.engine.batches.cursor import Cursor, Task
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.records import BatchState
from processing_service.engine.batches.signal import Signal
from processing_service.engine.faults import fault_of
from processing_service.engine.live import TURN_S
from processing_service.engine.records import Fault
from processing_service.wire.errors import CoordinatorError

_BEHIND: Final = 256
"""Cells that have ended and whose record is not durable yet, at most."""


class Workers:
    """Take cells from the cursor while their batch runs and there is room.

    Args:
        max_parallel: cells that are out at the same time, at most.
        out: the cells that are.
        begin: begins a cell. Raises CoordinatorError.
        on_trial: whether there is a canary to be waited for: then more may come where the cursor has no more.
    """

    def __init__(
        self,
        max_parallel: int,
        cursor: Cursor,
        ledger: BatchLedger,
        out: CellsOut,
        chores: Chores,
        signal: Signal,
        begin: Callable[[Task], Awaitable[None]],
        on_trial: Callable[[], bool],
    ) -> None:
        self._max_parallel, self._cursor, self._ledger, self._out = max_parallel, cursor, ledger, out
        self._chores, self._signal, self._begin, self._on_trial = chores, signal, begin, on_trial
        self._loop = asyncio.get_running_loop()
        self._turn_started = 0.0
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting = self._stopped = False
        """The store has just refused a cell; the batch does not run here any more."""
        self.fault: Fault | None = None
        """Why no further cell begins."""

    async def run(self, count: int) -> None:
        """Has so many of them carry out cells; returns when no more will begin, and what has ended is durable.

        Cancelled, it leaves them alone, in whose tasks the calls of cells are made.
        """
        self._count = count
        self.hire()
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._tasks -= done
            for worker in done:
                worker.result()
        await self._signal.until(lambda: self.idle)

    def hire(self) -> None:
        """Makes up for those that have left because there was nothing more, now that there is."""
        if not self._stopped:
            missing = self._count - sum(not worker.done() for worker in self._tasks)
            self._tasks.update(self._loop.create_task(self._work()) for _ in range(missing))
        self._signal.wake()

    def stop(self) -> None:
        """Begins nothing more. Calls that are out stay so: they are the engine's to end."""
        self._stopped = True
        self._out.release()
        self._signal.wake()

    @property
    def idle(self) -> bool:
        """True if no cell is out, and what has ended is durable."""
        return not self._out and not self._out.behind

    @property
    def closed(self) -> bool:
        """True if no further cell begins, whatever is left."""
        return self._stopped or self.fault is not None or self._ledger.stored.state is BatchState.CANCELLING

    def rest(self) -> None:
        """Begins nothing for a pause: else calls would be made over and over while the store takes nothing."""
        if not self._resting:
            self._resting = True
            self._loop.call_later(PAUSE_S, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._signal.wake()

    async def _work(self) -> None:
        while (task := self._at_hand() or await self._next()) is not None:
            await self._carry_out(task)

    def _at_hand(self) -> Task | None:
        """The next cell, if it may begin at once and nothing has to be read for it."""
        return self._cursor.at_hand() if self._may_begin and not self.closed else None

    @property
    def _may_begin(self) -> bool:
        room = len(self._out) < self._max_parallel and self._out.behind < _BEHIND
        return room and not self._resting and self._ledger.standing.state is BatchState.RUNNING

    async def _next(self) -> Task | None:
        """The next cell, as soon as one may begin; None if none will."""
        while not self.closed:
            if not self._may_begin or (self._cursor.exhausted and self._on_trial()):
                await self._signal.change()
                continue
            task = await self._chores.insist(self._cursor.next)
            if task is None and not self._on_trial():
                return None
            if task is not None and self._may_begin and not self.closed:  # much may have happened meanwhile
                return task
            if task is not None:
                self._cursor.give_back(task)
        return None

    async def _carry_out(self, task: Task) -> None:
        """Runs a cell to its end, durable or not; one that could not begin is given back."""
        if task.cell in self._out:  # it runs again already
            return
        end = self._out.add(task.cell)
        try:
            await self._begin(task)
        except CoordinatorError as error:
            self._out.drop(task.cell)
            self._signal.wake()
            await self._refused(task, error)
            return
        if not end.done():
            await end
        elif self._loop.time() - self._turn_started > TURN_S:  # a chain of cells that never suspend
            await asyncio.sleep(0)
            self._turn_started = self._loop.time()

    async def _refused(self, task: Task, error: CoordinatorError) -> None:
        """A cell could not begin: the store takes nothing, the server shuts down, or it cannot be at all."""
        if task.item is None and error.reason == ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL:
            return  # somebody has run it again
        self._cursor.give_back(task)
        if may_pass(error):
            await asyncio.sleep(PAUSE_S)
        else:
            self.fault = self.fault or fault_of(error)
            self._signal.wake()
