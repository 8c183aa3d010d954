"""Batches: created, filled, executed, controlled, read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.connected import Connected
from processing_service.client.retries import new_request_id


class BatchCalls(Connected):
    """The RPCs of batches; `batch_watching.py` has the stream."""

    async def get_processing_batches(
        self,
        *,
        states: Iterable[pb.BatchState.ValueType] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
        deadline: float | None = None,
    ) -> AsyncIterator[pb.Batch]:
        """The batches that match, newest first."""
        request = pb.GetProcessingBatchesRequest(states=states, labels=labels, page_size=page_size)
        async for page in self._caller.pages(self._stub.GetProcessingBatches, request, deadline):
            for batch in page.batches:
                yield batch

    async def get_processing_batch(
        self, batch_id: str, *, deadline: float | None = None
    ) -> pb.GetProcessingBatchResponse:
        """One batch."""
        return await self._caller.call(
            self._stub.GetProcessingBatch, pb.GetProcessingBatchRequest(batch_id=batch_id), deadline
        )

    async def post_batch_create(
        self, request: pb.PostBatchCreateRequest, *, deadline: float | None = None
    ) -> pb.PostBatchCreateResponse:
        """Creates a batch; it runs nothing. A request without request_id is given one."""
        request.request_id = request.request_id or new_request_id()
        return await self._caller.call(self._stub.PostBatchCreate, request, deadline)

    async def post_batch_items(
        self,
        batch_id: str,
        items: Iterable[pb.BatchItem],
        *,
        request_id: str = "",
        deadline: float | None = None,
    ) -> pb.PostBatchItemsResponse:
        """Adds a page of at most 10,000 items to a batch that has not started."""
        request = pb.PostBatchItemsRequest(batch_id=batch_id, items=items, request_id=request_id or new_request_id())
        return await self._caller.call(self._stub.PostBatchItems, request, deadline)

    async def post_batch_execute(
        self, batch_id: str, *, request_id: str = "", deadline: float | None = None
    ) -> pb.PostBatchExecuteResponse:
        """Starts a batch."""
        request = pb.PostBatchExecuteRequest(batch_id=batch_id, request_id=request_id or new_request_id())
        return await self._caller.call(self._stub.PostBatchExecute, request, deadline)

    async def post_batch_control(
        self,
        batch_id: str,
        batch_action: pb.BatchAction.ValueType,
        *,
        priority: int = 0,
        comment: str = "",
        request_id: str = "",
        deadline: float | None = None,
    ) -> pb.PostBatchControlResponse:
        """Pauses, resumes, cancels a batch, retries its failed cells, or changes its priority."""
        request = pb.PostBatchControlRequest(
            batch_id=batch_id,
            batch_action=batch_action,
            priority=priority,
            comment=comment,
            request_id=request_id or new_request_id(),
        )
        return await self._caller.call(self._stub.PostBatchControl, request, deadline)

    async def get_processing_batch_items(
        self,
        batch_id: str,
        *,
        states: Iterable[pb.SessionState.ValueType] = (),
        page_size: int = 0,
        deadline: float | None = None,
    ) -> AsyncIterator[pb.BatchCell]:
        """The cells of a batch, by item, model and workflow."""
        request = pb.GetProcessingBatchItemsRequest(batch_id=batch_id, states=states, page_size=page_size)
        async for page in self._caller.pages(self._stub.GetProcessingBatchItems, request, deadline):
            for cell in page.cells:
                yield cell

    async def delete_processing_batch(
        self, batch_id: str, *, force: bool = False, request_id: str = "", deadline: float | None = None
    ) -> pb.DeleteProcessingBatchResponse:
        """Removes a batch that does not run, with its sessions."""
        request = pb.DeleteProcessingBatchRequest(
            batch_id=batch_id, force=force, request_id=request_id or new_request_id()
        )
        return await self._caller.call(self._stub.DeleteProcessingBatch, request, deadline)
