"""Watching a batch: one stream of updates, also over broken connections and restarts of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.batches import BatchCalls
from processing_service.client.resuming import Ending, resumed
from processing_service.client.retries import Comeback

BATCH_ENDED: Final = frozenset(
    {
        pb.BATCH_STATE_SUCCEEDED,
        pb.BATCH_STATE_PARTIALLY_SUCCEEDED,
        pb.BATCH_STATE_FAILED,
        pb.BATCH_STATE_CANCELLED,
    }
)
"""States in which no cell of a batch runs or will, unless failed ones are retried."""

_ENDING: Final = Ending("batch", BATCH_ENDED, pb.BATCH_EVENT_KIND_BATCH_ENDED)


class BatchWatching(BatchCalls):
    """The stream of a batch, and what follows from it."""

    def watch_batch(
        self, batch_id: str, after_sequence: int | None = None
    ) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
        """A snapshot, then every event behind it (or behind `after_sequence`) once and in order, and progress.

        It comes back after broken connections as `watch_session` does, and ends behind the event of the batch's end; a
        paused batch is waited for.

        Raises:
            CoordinatorError: as the RPC; UNAVAILABLE once the settings' `reconnect_window` is over.
        """

        def open_at(position: int | None) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
            return self.watch_processing_batch(batch_id, position)

        return resumed(open_at, after_sequence, _ENDING, Comeback(self._caller))

    async def watch_processing_batch(
        self, batch_id: str, after_sequence: int | None = None
    ) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
        """The stream of one connection, as it comes."""
        request = pb.WatchProcessingBatchRequest(batch_id=batch_id, after_sequence=after_sequence)
        seconds = self._caller.settings.stream_deadline
        async for update in self._caller.stream(self._stub.WatchProcessingBatch, request, seconds):
            yield update

    async def wait_batch(self, batch_id: str) -> pb.Batch:
        """The batch once it has ended."""
        async for _ in self.watch_batch(batch_id):
            pass
        return (await self.get_processing_batch(batch_id)).batch
