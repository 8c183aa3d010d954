"""What is new of a session, followed once for all who watch it.

A message to a watcher costs a server about 50 us, whatever is in it. So news goes out in waves, and the more watchers a
session has, the further the waves are apart and the more stands in each: what a session's watchers cost together has a
bound, however busy it is, and one that has few of them is told of at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.event_batches import Batch, EventBatches, History
from processing_service.engine.live import Live
from processing_service.engine.records import StepState
from processing_service.engine.roster import Roster
from processing_service.engine.store.base import SessionRow, SessionStore
from processing_service.wire.errors import Code, CoordinatorError

_PROGRESS_S: Final = 0.1
"""Progress is told this often, in seconds, at most."""
_PACE_S: Final = 0.002
"""How long a wave of events holds back the next one, in seconds for each watcher."""
_PROGRESS_PACE_S: Final = 0.004
"""The same for progress."""
_WOKEN: Final = 20
"""Watchers that are woken in one turn of the loop; others wait for it."""


class Feed:
    """The news of one session.

    Args:
        last: number behind which its news begins.
    """

    def __init__(
        self,
        history: History,
        step_ids: Mapping[int, str],
        last: int,
        store: SessionStore,
        roster: Roster,
        batches: EventBatches,
    ) -> None:
        self.last = last
        """Number of the last event that is known."""
        self.progress = b""
        """A WatchProcessingSessionResponse with the last progress; empty before the first."""
        self.over = False
        """Nothing follows behind `last`."""
        self.error: BaseException | None = None
        """Why there is no more news."""
        self.watchers = 0
        self._history, self._step_ids = history, step_ids
        self._store, self._roster, self._batches = store, roster, batches
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        self._tail = Batch(last, ())
        self._ended_attempt = -1
        self._told, self._next_progress = "", 0.0

    async def news(self) -> None:
        """Returns with the next wave."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    async def behind(self, after: int) -> Batch:
        """The events behind a number, or the beginning of them. Raises CoordinatorError: SESSION_NOT_FOUND."""
        if self._tail.after == after:
            return self._tail
        return await self._batches.behind(self._history, after, self._step_ids)

    async def is_over(self, attempt: int) -> bool:
        """True after the end of the last attempt, also if that was removed since; what comes late is not waited for."""
        if attempt != self._ended_attempt:
            row = await self._row()
            if row is not None and not (row.state.terminal and row.attempt == attempt):
                return False
            self._ended_attempt = attempt
        return True

    async def follow(self) -> None:
        """Follows the session until it has ended; never raises but when it is cancelled."""
        try:
            while not self.over:
                changed = asyncio.ensure_future(self._store.changed(self._history.session_id))
                try:
                    await asyncio.sleep(0)  # it listens before we read, so nothing falls between
                    await self._look(changed)
                finally:
                    changed.cancel()
        except Exception as error:
            self.error = error
        await self._wave()

    def close(self, error: CoordinatorError) -> None:
        """Ends it for its watchers."""
        self.error = error
        _wake(self._waiting)

    async def _look(self, changed: asyncio.Future[None]) -> None:
        batch = await self._batches.behind(self._history, self.last, self._step_ids)
        if batch.pieces:
            if attempt := batch.pieces[-1].ended_attempt:
                await self.is_over(attempt)
            self._tail, self.last = batch, batch.last
            await self._wave()
            await asyncio.sleep(self.watchers * _PACE_S)
            return
        while (live := self._live()) is not None and not changed.done():
            await self._tell_progress(live)
            await asyncio.wait((changed,), timeout=_PROGRESS_S)
        if not changed.done():
            self.over = await self._has_ended()
            if not self.over:
                await changed

    async def _tell_progress(self, live: Live) -> None:
        text = _progress(live)
        if text != self._told and self._loop.time() >= self._next_progress:
            self._told, self.progress = text, _message(live)
            self._next_progress = self._loop.time() + self.watchers * _PROGRESS_PACE_S
            await self._wave()

    async def _wave(self) -> None:
        """Wakes all who wait, some at a time."""
        waiting = tuple(self._waiting)
        for first in range(0, len(waiting), _WOKEN):
            if first:
                await asyncio.sleep(0)
            _wake(waiting[first : first + _WOKEN])

    def _live(self) -> Live | None:
        return self._roster.live(self._history.session_id, self._history.tenant)

    async def _has_ended(self) -> bool:
        """True if nothing will follow: who watches from behind the terminal event sees what came late, and no more."""
        row = await self._row()
        return row is not None and row.state.terminal and row.last_sequence == self.last

    async def _row(self) -> SessionRow | None:
        """The session as it is stored; None if it was removed, also if its session_id is another's by now."""
        try:
            row = await self._store.read(*self._history[:2])
        except CoordinatorError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return None
        return row if row.start.created_us == self._history.created_us else None


class SessionFeeds:
    """The feeds of all sessions that are watched."""

    def __init__(self, store: SessionStore, roster: Roster) -> None:
        self._store, self._roster = store, roster
        self._batches = EventBatches(store)
        self._feeds: dict[History, tuple[Feed, asyncio.Task[None]]] = {}
        self._closed: CoordinatorError | None = None

    def close(self, error: CoordinatorError) -> None:
        """Ends all of them, and those that are asked for later, with that error."""
        self._closed = error
        for feed, _ in self._feeds.values():
            feed.close(error)

    @asynccontextmanager
    async def join(self, history: History, step_ids: Mapping[int, str], last: int) -> AsyncIterator[Feed]:
        """The feed of a session, for one watcher; the last to leave ends it.

        Args:
            step_ids: step_id by index.
            last: number of an event that is known to be durable.
        """
        known = self._feeds.get(history)
        if known is None or known[0].over:  # it may have been retried since
            known = self._begin(history, step_ids, last)
        feed, task = known
        feed.watchers += 1
        try:
            yield feed
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                task.cancel()
                self._forget(history, feed)

    def _begin(self, history: History, step_ids: Mapping[int, str], last: int) -> tuple[Feed, asyncio.Task[None]]:
        feed = Feed(history, step_ids, last, self._store, self._roster, self._batches)
        feed.error = self._closed
        task = asyncio.ensure_future(feed.follow())
        task.add_done_callback(lambda _: self._forget(history, feed))
        self._feeds[history] = feed, task
        return feed, task

    def _forget(self, history: History, feed: Feed) -> None:
        if history in self._feeds and self._feeds[history][0] is feed:
            del self._feeds[history]


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)


def _message(live: Live) -> bytes:
    running = _running(live)
    progress = pb.SessionProgress(
        fraction=live.fraction(),
        step_id=live.plan.steps[running].step_id if running >= 0 else "",
        in_flight_count=live.state.in_flight,
        message=live.said(running),
    )
    return pb.WatchProcessingSessionResponse(session_progress=progress).SerializeToString()


def _running(live: Live) -> int:
    """The first step that runs; -1 if none does."""
    return next((i for i, step in enumerate(live.state.steps) if step.state is StepState.RUNNING), -1)


def _progress(live: Live) -> str:
    return f"{live.fraction():.4f} {live.state.in_flight} {live.said(_running(live))}"
