"""Watches sessions: a snapshot, then every event in order, and progress between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.event_batches import EventBatches, History
from instructors.sessions import SessionReader, check_sequence
from processing_service.engine.base import Engine
from processing_service.engine.live import Live
from processing_service.engine.records import StepState
from processing_service.engine.store.base import SessionRow, SessionStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

_PROGRESS_S: Final = 0.1
"""Progress is told this often, in seconds, at most."""


class SessionWatch:
    """Follows histories. The store is the only source of events, so a watcher sees what is durable."""

    def __init__(self, store: SessionStore, reader: SessionReader, engine: Engine) -> None:
        self._store, self._reader, self._engine = store, reader, engine
        self._batches = EventBatches(store)
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Ends all watches with UNAVAILABLE: their clients go on elsewhere, from where they were."""
        if not self._closing.done():
            self._closing.set_result(None)

    async def watch(
        self, request: pb.WatchProcessingSessionRequest
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """The updates of a session until its end. Raises CoordinatorError: SESSION_NOT_FOUND, SEQUENCE_OUT_OF_RANGE."""
        session_id, tenant = request.session_id, current().tenant
        await self._reader.row(session_id, tenant)
        snapshot, step_ids = await self._reader.snapshot(session_id, tenant)
        after = request.after_sequence if request.HasField("after_sequence") else snapshot.last_sequence
        check_sequence(after, snapshot.last_sequence)
        yield pb.WatchProcessingSessionResponse(snapshot=snapshot)
        if snapshot.state >= pb.SESSION_STATE_SUCCEEDED and after == snapshot.last_sequence:
            return
        history = History(session_id, tenant, snapshot.created_at.ToMicroseconds())
        async for update in self._follow(history, after, step_ids):
            yield update

    async def _follow(
        self, history: History, after: int, step_ids: Mapping[int, str]
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        told = ""
        while True:
            changed = asyncio.ensure_future(self._store.changed(history.session_id))
            await asyncio.sleep(0)  # it listens before we read, so nothing falls between
            try:
                batch = await self._batches.behind(history, after, step_ids)
                for update in batch.updates:
                    yield update
                    if update.event.kind == pb.EVENT_KIND_SESSION_ENDED and await self._is_over(update.event, history):
                        return
                if batch.updates:
                    after = batch.updates[-1].event.sequence
                    continue
                live = self._engine.live(history.session_id, history.tenant)
                if live is None:
                    if await self._has_ended(history, after):
                        return
                    await self._wait(changed, None)
                while live is not None and not changed.done():
                    if (text := _progress(live)) != told:
                        told = text
                        yield pb.WatchProcessingSessionResponse(session_progress=_message(live))
                    await self._wait(changed, _PROGRESS_S)
                    live = self._engine.live(history.session_id, history.tenant)
            finally:
                changed.cancel()

    async def _wait(self, changed: asyncio.Future[None], timeout: float | None) -> None:
        await asyncio.wait({changed, self._closing}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._closing.done():
            raise _draining()

    async def _is_over(self, end: pb.SessionEvent, history: History) -> bool:
        """True after the end of the last attempt, also if that was removed since; what comes late is not waited for."""
        row = await self._row(history)
        return row is None or (row.state.terminal and row.attempt == end.session_attempt)

    async def _has_ended(self, history: History, after: int) -> bool:
        """True if nothing will follow: who watches from behind the terminal event sees what came late, and no more."""
        row = await self._row(history)
        return row is not None and row.state.terminal and row.last_sequence == after

    async def _row(self, history: History) -> SessionRow | None:
        """The session as it is stored; None if it was removed, also if its session_id is another's by now."""
        try:
            row = await self._store.read(history.session_id, history.tenant)
        except CoordinatorError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return None
        return row if row.start.created_us == history.created_us else None


def _draining() -> Unavailable:
    text = "the server is shutting down; watch again with after_sequence"
    return Unavailable(ErrorReason.ERROR_REASON_SERVER_DRAINING, text, retry_delay=1.0)


def _message(live: Live) -> pb.SessionProgress:
    running = _running(live)
    return pb.SessionProgress(
        fraction=live.fraction(),
        step_id=live.plan.steps[running].step_id if running >= 0 else "",
        in_flight_count=live.state.in_flight,
        message=live.said(running),
    )


def _running(live: Live) -> int:
    """The first step that runs; -1 if none does."""
    return next((i for i, step in enumerate(live.state.steps) if step.state is StepState.RUNNING), -1)


def _progress(live: Live) -> str:
    return f"{live.fraction():.4f} {live.state.in_flight} {live.said(_running(live))}"
