"""Runs one batch: its canary, then the rest; counts what fails, pauses it if need be, and ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from processing_service.engine.base import Engine
from processing_service.engine.batches.breaker import Breaker
from processing_service.engine.batches.cells_out import CellsOut, command_of_batch, number_of
from processing_service.engine.batches.chores import Chores
from processing_service.engine.batches.cursor import Cursor, Task
from processing_service.engine.batches.failures import Failures
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.plan import BatchPlan
from processing_service.engine.batches.records import BatchKind, BatchState, PausedReason, Standing
from processing_service.engine.batches.rules import canary_failed, outcome
from processing_service.engine.batches.signal import Signal
from processing_service.engine.batches.trial import Trial
from processing_service.engine.batches.workers import Workers
from processing_service.engine.faults import fault_of
from processing_service.engine.live import Follower, Live
from processing_service.engine.records import Action, Fault, SessionState
from processing_service.engine.store.batch import BatchRow, BatchStore
from processing_service.wire.errors import Code, CoordinatorError


class StartCell(Protocol):
    """Begins the session of a cell."""

    def __call__(self, task: Task, priority: int, follower: Follower, /) -> Awaitable[None]:
        """Raises CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS, STORE_*."""


class BatchRunner:
    """Runs one batch; `run` ends with it.

    Args:
        row: the batch as it is stored.
        start: begins a cell.
        now_us: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        row: BatchRow,
        plan: BatchPlan,
        start: StartCell,
        store: BatchStore,
        engine: Engine,
        now_us: Callable[[], int],
    ) -> None:
        self.row = row
        self._plan, self._start, self._store, self._engine, self.now_us = plan, start, store, engine, now_us
        self._total = row.matrix.total
        self._early: Sequence[int] = row.matrix.spread(plan.canary.cell_count) if plan.canary else ()
        self._signal, self._chores = Signal(), Chores(row.start.batch_id)
        self.ledger = BatchLedger(row, store, now_us, self._signal)
        self.out = CellsOut(self.ledger, engine, self._chores, now_us)
        self._cursor = Cursor(store, row)
        self._workers = Workers(
            plan.max_parallel,
            self._cursor,
            self.ledger,
            self.out,
            self._chores,
            self._signal,
            self._begin,
            lambda: self._trial is not None,
        )
        self._trial: Trial | None = self._new_trial() if self._is_undecided else None
        self._adopted: set[int] = set()
        self._breaker = Breaker(self.ledger, self._chores, self._pause)
        self.failures = Failures(plan.limit, self._total, self._workers)
        self._opened = False
        """All cells may begin."""

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return self.ledger.standing

    def adopt(self) -> None:
        """Follows the cells that the engine has taken up; to be called in the turn of the loop in which it did."""
        for live in self._engine.roster.cells(self.row.number):
            self.out.add(number_of(live))
            live.follower = self
            self._adopted.add(number_of(live))
            self.moved(live)
            self.out.adopted(live)
        self.out.settle_pause()

    async def run(self) -> None:
        """Runs the cells that are left, and ends the batch. Cancelled, it leaves all as it is for the next start."""
        try:
            await self._chores.insist(self._prepare)
            while True:
                await self._workers.run(min(self._plan.max_parallel, self._total))
                if await self._chores.insist(self._finish):
                    return
        finally:
            self._chores.close()
            self._workers.stop()

    async def _prepare(self) -> None:
        """Finds out what is left to be done."""
        async with self.ledger.turn:  # a wish may come before, or has to wait
            failed = await self._store.failed_since(self.ledger.row, self._adopted)
            if self._trial is not None:
                await self._begin_trial()
            elif not self._opened and self.standing.paused_reason is not PausedReason.CANARY:
                self._add_rest(())  # else RESUME or RETRY_FAILED says, or has said, how it goes on
            self.failures.add(failed)

    @property
    def on_trial(self) -> bool:
        """True while the canary is not over, or did not pass."""
        return self._trial is not None or self.standing.paused_reason is PausedReason.CANARY

    @property
    def _is_undecided(self) -> bool:
        """True if there is a canary and its verdict is yet to be made, or to be made anew."""
        return self._plan.canary is not None and not self.standing.canary.decided

    def _new_trial(self) -> Trial:
        assert self._plan.canary is not None
        return Trial(self._plan.canary, self._early)

    async def _begin_trial(self) -> None:
        """Puts the canary before all others; those of its cells that have ended count, unless they are run again.

        Nothing begins meanwhile, and what is out at the first look has begun, although it may have ended by the second.
        """
        before_us = self.standing.retry_before_us
        self._cursor.clear()
        out = dict.fromkeys(self.out)
        begun = {row.start.cell: row for row in await self._store.begun(self.row, self._early)} | out
        assert self._trial is not None
        self._cursor.add_some([cell for cell in self._early if cell not in begun])
        if before_us:
            self._cursor.add_retries(self.ledger.row, frozenset(self._early))
        for cell, row in begun.items():
            if row is not None and row.state.terminal and not _is_again(row.state, row.ended_us, before_us):
                self._trial.note(cell, row.state, row.started_us, row.ended_us)
        self._judge()

    async def settled(self) -> None:
        """Returns once what has ended can be read in the store."""
        await self._signal.until(lambda: not self.out.behind)

    async def try_again(self, failed: int) -> None:
        """Runs the cells again that have failed so far; a canary that is not over, or did not pass, is judged anew.

        Args:
            failed: how many had when that was asked for.
        """
        self._workers.fault = None
        self._breaker.close()
        self.failures.add(-failed)
        if self._is_undecided:
            self._cursor.clear()
            await self.settled()
            self._trial = self._new_trial()
            await self._chores.insist(self._begin_trial)
        else:
            self._add_retries()
        self._workers.hire()

    def go_on(self, *, opens: bool) -> None:
        """It was resumed.

        Args:
            opens: it goes on behind a canary that did not pass.
        """
        self._breaker.close()
        if opens:
            self._open()
        self._judge()

    def _open(self) -> None:
        """Adds all cells that are left: the canary is over."""
        self._trial = None
        self._add_rest(self._early)
        self._workers.hire()

    def _add_rest(self, without: Sequence[int]) -> None:
        self._opened = True
        self._add_retries()
        self._cursor.add_rest(without)

    def _add_retries(self) -> None:
        if self.standing.retry_before_us:
            self._cursor.add_retries(self.ledger.row)

    async def _begin(self, task: Task) -> None:
        if task.item is not None:
            await self._start(task, self.standing.priority, self)
            return
        command = command_of_batch(self.now_us(), Action.RETRY, "RETRY_FAILED of its batch")
        await self._engine.deliver(task.session_id, self.row.start.tenant, command, follower=self)

    def moved(self, live: Live) -> None:
        """See Follower.moved."""
        cell = number_of(live)
        if not live.state.state.terminal:
            if cell not in self.out:
                self._follow_again(live)
            self.out.moved(live)
        elif (end := self.out.ended(cell)) is not None:
            self.out.behind += 1
            self._note_end(cell, live)
            if not end.done():  # a drain has sent home who waits for it
                end.set_result(None)

    def over(self, live: Live) -> None:
        """See Follower.over."""
        self.out.behind -= 1
        if live.refused is not None:
            self._begin_again(live, live.refused)
        self._judge()
        self.out.settle_pause()
        self._signal.wake()

    def _follow_again(self, live: Live) -> None:
        """A client ran it again before its failure was durable, which the engine does not tell any more."""
        self.out.behind -= 1
        self.out.add(number_of(live))
        self._take_back(live, failed=True)
        self._workers.hire()
        self._judge()

    def _take_back(self, live: Live, *, failed: bool) -> None:
        """What a cell came to does not count."""
        self.failures.add(-failed)
        if self._trial is not None:
            self._trial.forget(number_of(live))

    def _begin_again(self, live: Live, error: BaseException) -> None:
        """The start of a cell was not stored: nothing of it counts."""
        self._take_back(live, failed=live.state.state is not SessionState.SUCCEEDED)
        self._cursor.add_some([number_of(live)])
        if isinstance(error, CoordinatorError) and error.code is Code.ALREADY_EXISTS:
            self._workers.fault = fault_of(error)  # somebody else's session has the name of this cell's
            return
        self._workers.rest()
        self._workers.hire()

    def _note_end(self, cell: int, live: Live) -> None:
        state = live.state
        self.failures.add(state.state is not SessionState.SUCCEEDED)
        if self._trial is not None:
            self._trial.note(cell, state.state, state.started_us, state.ended_us)
        self._breaker.note(state.fault, may_open=self._trial is None)
        self.out.settle_pause()
        self._signal.wake()

    def _judge(self) -> None:
        """Has the canary judged, once the ends of all its cells are durable: what the store refuses does not count."""
        if self._trial is not None and self._trial.over and not self.out.behind and not self._workers.closed:
            self._chores.spawn(self._chores.insist(partial(self._decide, self._trial)))

    async def _decide(self, trial: Trial) -> None:
        """Goes on behind a canary that passed; else pauses with the evidence, if need be once it is resumed."""
        async with self.ledger.turn:
            if self._workers.closed or self._trial is not trial or not trial.over or self.standing.canary.decided:
                return
            verdict = trial.verdict()
            standing = self.standing.moved(self.standing.state, canary=verdict)
            if verdict.passed:
                await self.ledger.move(standing, [BatchKind.CANARY_PASSED])
                self._open()
            elif standing.state is BatchState.RUNNING:
                await self._pause(standing, PausedReason.CANARY, canary_failed(trial.canary, verdict))

    async def _pause(self, standing: Standing, reason: PausedReason, fault: Fault) -> None:
        """Pauses it; to be called with the turn."""
        kinds = [BatchKind.BATCH_STATE_CHANGED]
        if reason is PausedReason.CANARY:
            kinds.insert(0, BatchKind.CANARY_FAILED)
        standing = standing.moved(BatchState.PAUSING, paused_reason=reason, fault=fault)
        await self.ledger.move(standing, kinds, message=fault.message)
        await self.out.tell_all()
        self.out.settle_pause()

    async def _finish(self) -> bool:
        """Ends the batch, if its cells have ended and those that are left will not begin."""
        async with self.ledger.turn:
            if not self._workers.idle or not (self._workers.closed or self._is_done):
                return False
            row, fault = await self._store.read(self.row.start.batch_id, self.row.start.tenant), self._workers.fault
            standing = self.standing.moved(self.standing.state, fault=fault, paused_reason=PausedReason.NOBODY)
            end = standing.moved(outcome(standing, row.counts), ended_us=self.now_us())
            await self.ledger.move(end, [BatchKind.BATCH_ENDED], message=fault.message if fault is not None else "")
        return True

    @property
    def _is_done(self) -> bool:
        return self._cursor.exhausted and self._trial is None and self.standing.state is BatchState.RUNNING


def _is_again(state: SessionState, ended_us: int, before_us: int) -> bool:
    return state is not SessionState.SUCCEEDED and ended_us < before_us
