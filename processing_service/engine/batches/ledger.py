"""Where a batch stands while it runs, and the record of each change of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from processing_service.engine.batches.records import BatchKind, BatchRecord, BatchState, Standing
from processing_service.engine.batches.signal import Signal
from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.batch import BatchRow, BatchStore


class BatchLedger:
    """Keeps the standing of one batch.

    Args:
        row: the batch as it is stored.
        now_us: microseconds since the Unix epoch.
        signal: tells of a change.
    """

    def __init__(self, row: BatchRow, store: BatchStore, now_us: Callable[[], int], signal: Signal) -> None:
        self.standing = row.standing
        """Where it stands: what may begin goes by this, and a change that holds it up is in here at once."""
        self.stored = row.standing
        """The same as it is durable: what cannot be taken back if a change is refused goes by this."""
        self.turn = asyncio.Lock()
        """Held by whoever changes the standing."""
        self._row, self._store, self._now_us, self._signal = row, store, now_us, signal

    @property
    def row(self) -> BatchRow:
        """The batch as it was taken up, and as it stands."""
        return self._row._replace(standing=self.standing)

    async def move(
        self,
        standing: Standing,
        kinds: Sequence[BatchKind],
        note: RequestNote | None = None,
        **facts: str,
    ) -> None:
        """Takes a new standing and records it; to be called with the turn.

        What holds a batch up does so at once; it goes on when that is durable, so nothing begins in between.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND, REQUEST_ID_REUSED, STORE_*; it stands as before then.
        """
        before = self.standing
        if standing.state is not BatchState.RUNNING:
            self.standing = standing
        now_us = self._now_us()
        records = [BatchRecord(now_us, kind, standing.state, **facts) for kind in kinds]  # type: ignore[arg-type]
        try:
            await self._store.record(self._row.number, standing, records, note)
        except BaseException:
            self.standing = before
            raise
        else:
            self.standing = self.stored = standing
        finally:
            self._signal.wake()
