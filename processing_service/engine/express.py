"""Takes a session whose steps follow one another along them, and records it at its end as `decide` would have.

What `decide` would say of such a session is known beforehand for as long as its calls succeed and nobody else asks: so
it is not asked at each step, and nothing is written, until there is a reason. Whoever looks at the session, gives it a
command, or finds after a moment that it still runs, has what has happened so far given to `decide` as events
(`Passage.settle`), and the session goes on as any other. So does one whose call fails. A test holds both ways to the
same records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from processing_service.engine.base import StepCall
from processing_service.engine.events import Event, Started, Succeeded
from processing_service.engine.ledger import is_large
from processing_service.engine.live import TURN_S, Live
from processing_service.engine.records import Kind, Record, SessionState, StepState, step_key
from processing_service.engine.state import Step
from processing_service.engine.worker import Worker

UNTOLD_US: Final = 50_000
"""How long a session may run before a tick tells of it, in microseconds."""

Feed = Callable[[Live, Event], Any]
"""Gives an event to `decide`."""


class Passage:
    """A session on its way, of which nothing is told yet."""

    __slots__ = ("_feed", "live", "records", "start")

    def __init__(self, live: Live, feed: Feed, at: int) -> None:
        self.live, self.start, self._feed = live, live.state, feed
        self.records = [Record(1, at, Kind.SESSION_STARTED, 1, SessionState.RUNNING)]
        """What has happened."""

    def is_due(self, now_us: int) -> bool:
        """True once it has been on its way for a moment."""
        return self.records[0].at + UNTOLD_US <= now_us

    def settle(self) -> None:
        """Tells `decide` what has happened; what it asks for in return is under way."""
        self.live.passage = None
        self._feed(self.live, Started(self.records[0].at))
        for end in self.records:
            if end.output is not None:
                self._feed(self.live, Succeeded(end.at, end.step, -1, 1, end.output))


class Express:
    """Takes sessions along straight plans.

    Args:
        worker: makes the calls.
        now_us: microseconds since the Unix epoch.
        feed: gives an event to `decide`.
    """

    def __init__(self, worker: Worker, now_us: Callable[[], int], feed: Feed) -> None:
        self._worker, self._now_us, self._feed = worker, now_us, feed
        self._time = asyncio.get_running_loop().time

    def begin(self, live: Live) -> Passage | None:
        """Starts a session, and `run` has to follow; None if it needs `decide`: by its plan, or as its time is up."""
        now_us = self._now_us()
        if now_us >= live.state.deadline_us or not live.plan.straight:
            return None
        passage = live.passage = Passage(live, self._feed, now_us)
        return passage

    async def run(self, passage: Passage, task: asyncio.Task[None]) -> Event | list[Record]:
        """The records of a session that has ended with success, as its state is then; else how `decide` goes on.

        Args:
            task: the caller's own, which a cancelled call is cancelled in.
        """
        live, state, records = passage.live, passage.start, passage.records
        plans, session_id, deadline_us, steps = live.plan.steps, state.session_id, state.deadline_us, state.steps.copy()
        sequence, turn_started = 1, self._time()
        begun = at = records[0].at
        for index, plan in enumerate(plans):
            due = min(deadline_us, at + plan.timeout_us) if plan.timeout_us else deadline_us
            key = step_key(session_id, plan.step_id, -1, 1)
            step = steps[index] = Step(StepState.RUNNING, at, 1, 1, due, at)
            if live.passage is not None:
                live.due_us = due  # a call that is late is cancelled at the next tick, told of or not
            call = StepCall(live.context, index, -1, 1, key, due, steps)
            event = await self._worker.call(live, call, task)
            if live.passage is None or type(event) is not Succeeded or event.at >= deadline_us:
                return event
            if live.computed or is_large(event.output):  # others may take it; it is stored beside the next steps
                return event
            records.append(Record(sequence + 1, at, Kind.STEP_STARTED, 1, SessionState.RUNNING, index, -1, 1))
            step.state, step.since_us, step.output = StepState.SUCCEEDED, event.at, event.output
            at, sequence, output = event.at, sequence + 2, event.output
            records.append(Record(sequence, at, Kind.STEP_SUCCEEDED, 1, SessionState.RUNNING, index, -1, 1, output))
            if self._time() - turn_started > TURN_S:
                await asyncio.sleep(0)
                turn_started = self._time()
        ended = await self._worker.conclude(live, StepCall(live.context, -1, -1, 0, session_id, deadline_us, steps))
        if live.passage is None or ended.fault is not None:
            return ended
        records.append(Record(sequence + 1, ended.at, Kind.SESSION_ENDED, 1, SessionState.SUCCEEDED))
        live.passage, live.due_us = None, 0
        end = live.state = state.copy()
        end.steps, end.state, end.sequence, end.unended = steps, SessionState.SUCCEEDED, sequence + 1, 0
        end.started_us, end.ended_us = begun, ended.at
        return records
