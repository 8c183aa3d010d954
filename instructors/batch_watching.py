"""Watches batches: a snapshot, then every event in order, and progress between them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.batch_views import batch_of, counts_of, event_of
from instructors.sessions import check_sequence
from instructors.watching import draining
from processing_service.engine.batches.journal import Entry
from processing_service.engine.batches.records import BatchKind
from processing_service.engine.store.batch import BatchRow, BatchStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError

_PAGE: Final = 500
"""Events that are read together."""
_PROGRESS_S: Final = 0.25
"""Progress is told this often, in seconds, at most."""
_RATE_S: Final = 60.0
"""The rate is that of the last so many seconds."""


class Rate:
    """Cells that end a second, over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, at: float, ended: int) -> None:
        """So many have ended by that time, in seconds."""
        if not self._seen or at > self._seen[-1][0]:
            self._seen.append((at, ended))
        while self._seen[-1][0] - self._seen[0][0] > _RATE_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """0 while it cannot be told."""
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return max(0.0, (now - before) / (last - first)) if last > first else 0.0


class BatchWatch:
    """Follows batches. The store is the only source of events, so a watcher sees what is durable."""

    def __init__(self, store: BatchStore, owner: str) -> None:
        self._store, self._owner = store, owner
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Ends all watches with UNAVAILABLE: their clients go on elsewhere, from where they were."""
        if not self._closing.done():
            self._closing.set_result(None)

    async def watch(self, request: pb.WatchProcessingBatchRequest) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
        """The updates of a batch until its end. Raises CoordinatorError: BATCH_NOT_FOUND, SEQUENCE_OUT_OF_RANGE."""
        row = await self._store.read(request.batch_id, current().tenant)
        after = request.after_sequence if request.HasField("after_sequence") else row.last_sequence
        check_sequence(after, row.last_sequence)
        yield pb.WatchProcessingBatchResponse(snapshot=batch_of(row, self._owner))
        if row.standing.state.terminal and after == row.last_sequence:
            return
        creation = pb.PostBatchCreateRequest.FromString(row.start.request)
        async for update in self._follow(row, creation, after):
            yield update

    async def _follow(
        self, row: BatchRow, creation: pb.PostBatchCreateRequest, after: int
    ) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
        rate, told, last = Rate(), 0.0, pb.BatchProgress()
        while True:
            changed = asyncio.ensure_future(self._store.changed(row.start.batch_id))
            await asyncio.sleep(0)  # it listens before we read, so nothing falls between
            try:
                entries = await self._store.records(row, after, _PAGE)
                now = await self._now(row)  # behind the entries: items may have come since the snapshot
                for event in await self._events(now or row, creation, entries):
                    yield pb.WatchProcessingBatchResponse(event=event)
                if entries:
                    after = entries[-1].sequence
                if now is None or (now.standing.state.terminal and now.last_sequence <= after):
                    return
                if time.monotonic() - told >= _PROGRESS_S:
                    told = time.monotonic()
                    if (progress := _progress(now, rate, told)) != last:
                        last = progress
                        yield pb.WatchProcessingBatchResponse(batch_progress=progress)
                if len(entries) < _PAGE:
                    await self._wait(changed)
            finally:
                changed.cancel()

    async def _events(
        self, row: BatchRow, creation: pb.PostBatchCreateRequest, entries: Sequence[Entry]
    ) -> list[pb.BatchEvent]:
        ended = [entry.record.cell for entry in entries if entry.record.kind is BatchKind.CELL_ENDED]
        sessions = {session.start.cell: session for session in await self._store.begun(row, ended)} if ended else {}
        return [event_of(entry, row, creation, sessions.get(entry.record.cell)) for entry in entries]

    async def _now(self, row: BatchRow) -> BatchRow | None:
        """The batch as it is stored; None if it was removed, also if its batch_id is another's by now."""
        try:
            now = await self._store.read(row.start.batch_id, row.start.tenant)
        except CoordinatorError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return None
        return now if now.number == row.number else None

    async def _wait(self, changed: asyncio.Future[None]) -> None:
        await asyncio.wait({changed, self._closing}, timeout=_PROGRESS_S, return_when=asyncio.FIRST_COMPLETED)
        if self._closing.done():
            raise draining()


def _progress(row: BatchRow, rate: Rate, at: float) -> pb.BatchProgress:
    counts = row.counts
    left = counts.pending + counts.running
    rate.note(at, counts.total - left)
    progress = pb.BatchProgress(counts=counts_of(counts), cells_per_second=rate.per_second)
    if rate.per_second > 0:
        progress.time_left.FromMicroseconds(round(left / rate.per_second * 1e6))
    return progress
