"""Takes stored sessions up again: after a restart those that had not ended, later an ended one that gets a command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from processing_service.engine.base import SessionContext
from processing_service.engine.events import Event, Recovered
from processing_service.engine.faults import fault_of, result_of
from processing_service.engine.live import Live
from processing_service.engine.projection import restore
from processing_service.engine.records import Durability, Kind, Plan, Record, SessionState
from processing_service.engine.state import State, initial
from processing_service.engine.store.base import CellKey, SessionRow, SessionStore
from processing_service.wire.errors import CoordinatorError, Unavailable

_LONG: Final = 1000
"""Records whose state is made beside the event loop."""

Revive = Callable[[SessionRow], tuple[SessionContext, Plan]]
"""Context and plan of a stored session. Raises CoordinatorError: WORKFLOW_INVALID, DOMAIN_UNAVAILABLE."""


class Stranded(NamedTuple):
    """An open session that cannot go on: a domain that it uses has not described itself since the start."""

    row: SessionRow
    records: Sequence[Record]
    error: Unavailable


class Recovery:
    """Makes live sessions of stored ones.

    Args:
        store: where they are.
        revive: context and plan of one, to go on with it.
        now_us: microseconds since the Unix epoch.
        begin: runs a session that is taken up.
    """

    def __init__(
        self,
        store: SessionStore,
        revive: Revive,
        now_us: Callable[[], int],
        begin: Callable[[Live, Event], None],
    ) -> None:
        self._store, self._revive, self._now_us, self._begin = store, revive, now_us, begin
        self._stranded: list[Stranded] = []

    def live_of(self, row: SessionRow, records: Iterable[Record]) -> Live:
        """A live session as its history tells it. Raises as `Revive`."""
        context, plan = self._revive(row)
        live = Live(context, plan, restored(row, plan, records), Durability(row.start.durability))
        live.number = row.number
        context.halt(live.state.paused_us, self._now_us())
        return live

    async def recover(self) -> int:
        """Takes up every session that had not ended when the process before this one did; how many."""
        unfinished = await self._store.unfinished()
        for row, records in unfinished:
            self._take_up(row, records)
        return len(unfinished)

    def retry_stranded(self) -> None:
        """Tries again to take up those whose operations were not known."""
        stranded, self._stranded = self._stranded, []
        for row, records, _ in stranded:
            self._take_up(row, records)

    def end_stranded(self, now_us: int) -> None:
        """Ends those of them whose budget is used up."""
        late = [each for each in self._stranded if 0 < each.row.deadline_us <= now_us]
        if late:
            self._stranded = [each for each in self._stranded if each not in late]
        for row, _, error in late:
            self._abandon(row, error)

    def _take_up(self, row: SessionRow, records: Sequence[Record]) -> None:
        try:
            live = self.live_of(row, records)
        except Unavailable as error:
            self._stranded.append(Stranded(row, records, error))
        except CoordinatorError as error:
            self._abandon(row, error)
        else:
            unrecorded = max(0, row.recoveries - 1 - live.state.recoveries)
            self._begin(live, Recovered(self._now_us(), unrecorded))

    def _abandon(self, row: SessionRow, error: CoordinatorError) -> None:
        """Ends a session whose definition this version cannot run any more."""
        fault, now = fault_of(error), self._now_us()
        record = Record(row.last_sequence + 1, now, Kind.SESSION_ENDED, row.attempt, SessionState.FAILED, fault=fault)
        state = State(
            row.start.session_id,
            [],
            row.deadline_us,
            row.budget_us,
            SessionState.FAILED,
            record.sequence,
            row.attempt,
            started_us=row.started_us,
            ended_us=now,
            fault=fault,
        )
        cell = CellKey(row.start.batch_number, row.start.cell) if row.start.batch_number else None
        self._store.commit(row.number, state, [record], result=result_of(fault), cell=cell)


def restored(row: SessionRow, plan: Plan, records: Iterable[Record]) -> State:
    """The state that a history tells."""
    start = row.start
    return restore(plan, initial(start.session_id, plan, start.created_us, start.budget_us), records)


async def restored_aside(row: SessionRow, plan: Plan, records: Sequence[Record]) -> State:
    """The same, of a long history beside the event loop: it takes some milliseconds."""
    if len(records) <= _LONG:
        return restored(row, plan, records)
    return await asyncio.to_thread(restored, row, plan, records)
