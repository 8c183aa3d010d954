"""A coordinator in memory that has batches, too; asserted by its state."""

from __future__ import annotations

import asyncio
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason, Failure
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.wire.errors import Code, CoordinatorError, invalid, not_found
from tests.doubles import FakeCoordinator

_COUNTS = {
    pb.SESSION_STATE_SUCCEEDED: "succeeded",
    pb.SESSION_STATE_FAILED: "failed",
    pb.SESSION_STATE_CANCELLED: "cancelled",
}
_STATES = {
    pb.BATCH_ACTION_PAUSE: pb.BATCH_STATE_PAUSED,
    pb.BATCH_ACTION_RESUME: pb.BATCH_STATE_RUNNING,
    pb.BATCH_ACTION_CANCEL: pb.BATCH_STATE_CANCELLING,
    pb.BATCH_ACTION_RETRY_FAILED: pb.BATCH_STATE_RUNNING,
}


class FakeBatches(FakeCoordinator):
    """A ProcessingService whose batches do what a test says: `end_cell`, `end`, `pause`.

    An item with the parameter `bad` is refused, as a whole page with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, pb.Batch] = {}
        self.cells: dict[str, list[pb.BatchCell]] = {}
        self.history: dict[str, list[pb.BatchEvent]] = {}
        self.happened = asyncio.Event()
        self._replies: dict[str, str] = {}

    def has(self, batch_id: str, items: int = 2, state: pb.BatchState.ValueType = pb.BATCH_STATE_RUNNING) -> pb.Batch:
        """A batch of `read-text` over so many items."""
        batch = pb.Batch(batch_id=batch_id, workflow_ids=["read-text"], state=state, priority=5)
        batch.created_at.FromSeconds(1_790_000_000)
        self.batches[batch_id], self.cells[batch_id], self.history[batch_id] = batch, [], []
        self._add(batch, [pb.BatchItem(item_id=f"page-{number}") for number in range(items)])
        self.note(batch_id, pb.BATCH_EVENT_KIND_BATCH_CREATED)
        return batch

    def end_cell(self, batch_id: str, index: int, fault: str = "") -> None:
        """A cell succeeds, or fails for that reason."""
        batch, cell = self.batches[batch_id], self.cells[batch_id][index]
        cell.state = pb.SESSION_STATE_FAILED if fault else pb.SESSION_STATE_SUCCEEDED
        cell.session_id, cell.attempt = f"{batch_id}.{index}", 1
        cell.started_at.FromSeconds(1_790_000_000)
        cell.ended_at.FromMilliseconds(1_790_000_000_500)
        if fault:
            cause = Failure(message=fault, reason_name="IMAGE_INVALID")
            cell.failure.CopyFrom(Failure(message="step 'read' failed", reason_name="STEP_FAILED", cause=cause))
        else:
            cell.outputs.update({"text": f"of {cell.item_id}"})
        batch.counts.pending -= 1
        name = _COUNTS[cell.state]
        setattr(batch.counts, name, getattr(batch.counts, name) + 1)
        self.note(batch_id, pb.BATCH_EVENT_KIND_CELL_ENDED, cell=cell)

    def pause(self, batch_id: str, reason: pb.PausedReason.ValueType, message: str = "") -> None:
        """A batch is paused."""
        batch = self.batches[batch_id]
        batch.state, batch.paused_reason = pb.BATCH_STATE_PAUSED, reason
        if reason != pb.PAUSED_REASON_OPERATOR:
            batch.failure.CopyFrom(Failure(message=message, reason_name="CANARY_FAILED"))
        self.note(batch_id, pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED)

    def end(self, batch_id: str, state: pb.BatchState.ValueType = pb.BATCH_STATE_SUCCEEDED) -> None:
        """A batch ends."""
        batch = self.batches[batch_id]
        batch.state = state
        batch.started_at.FromSeconds(1_790_000_000)
        batch.ended_at.FromSeconds(1_790_000_003)
        self.note(batch_id, pb.BATCH_EVENT_KIND_BATCH_ENDED)

    def note(self, batch_id: str, kind: pb.BatchEventKind.ValueType, **fields: Any) -> None:
        """One more event of a batch."""
        batch, events = self.batches[batch_id], self.history[batch_id]
        event = pb.BatchEvent(
            sequence=len(events) + 1, kind=kind, batch_state=batch.state, counts=batch.counts, **fields
        )
        event.occurred_at.FromMilliseconds(1_790_000_000_000 + len(events))
        events.append(event)
        batch.last_sequence = len(events)
        self.happened.set()
        self.happened = asyncio.Event()

    async def GetProcessingBatches(self, request, context):
        await self._take("GetProcessingBatches", request)
        found = [batch for batch in self.batches.values() if not request.states or batch.state in request.states]
        return pb.GetProcessingBatchesResponse(batches=reversed(found))

    async def GetProcessingBatch(self, request, context):
        await self._take("GetProcessingBatch", request)
        return pb.GetProcessingBatchResponse(batch=self._batch(request.batch_id))

    async def PostBatchCreate(self, request, context):
        await self._take("PostBatchCreate", request)
        if request.request_id not in self._replies:
            _check(request.items)
            batch = self.has(request.batch_id or f"batch-{len(self.batches) + 1}", 0, pb.BATCH_STATE_CREATED)
            del batch.workflow_ids[:]
            _take_over(batch, request)
            self._add(batch, request.items)
            self._replies[request.request_id] = batch.batch_id
        return pb.PostBatchCreateResponse(batch=self.batches[self._replies[request.request_id]])

    async def PostBatchItems(self, request, context):
        await self._take("PostBatchItems", request)
        batch = self._batch(request.batch_id)
        if request.request_id not in self._replies:
            _check(request.items)
            self._add(batch, request.items)
            self._replies[request.request_id] = batch.batch_id
        return pb.PostBatchItemsResponse(batch=batch)

    async def PostBatchExecute(self, request, context):
        await self._take("PostBatchExecute", request)
        batch = self._batch(request.batch_id)
        batch.state = pb.BATCH_STATE_RUNNING
        self.note(batch.batch_id, pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED)
        return pb.PostBatchExecuteResponse(batch=batch)

    async def PostBatchControl(self, request, context):
        await self._take("PostBatchControl", request)
        batch = self._batch(request.batch_id)
        if batch.state == pb.BATCH_STATE_SUCCEEDED:
            reason = ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL
            text = f"batch {batch.batch_id!r} is SUCCEEDED: nothing would be possible"
            raise CoordinatorError(Code.FAILED_PRECONDITION, reason, text)
        batch.state = _STATES.get(request.batch_action, batch.state)
        batch.priority = request.priority or batch.priority
        self.note(batch.batch_id, pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED)
        return pb.PostBatchControlResponse(batch=batch, applied=True)

    async def GetProcessingBatchItems(self, request, context):
        await self._take("GetProcessingBatchItems", request)
        cells = self.cells[self._batch(request.batch_id).batch_id]
        found = [cell for cell in cells if not request.states or cell.state in request.states]
        start, size = int(request.page_token or 0), request.page_size or 100
        more = str(start + size) if start + size < len(found) else ""
        return pb.GetProcessingBatchItemsResponse(cells=found[start : start + size], next_page_token=more)

    async def WatchProcessingBatch(self, request, context):
        self._note("WatchProcessingBatch", request)
        self.watchers += 1
        try:
            async for update in self._cut(self._updates_of_batch(request)):
                yield update
        finally:
            self.watchers -= 1

    async def DeleteProcessingBatch(self, request, context):
        await self._take("DeleteProcessingBatch", request)
        del self.batches[self._batch(request.batch_id).batch_id]
        return pb.DeleteProcessingBatchResponse(deleted_session_count=len(self.cells.pop(request.batch_id)))

    async def _updates_of_batch(self, request):
        batch = self._batch(request.batch_id)
        seen = request.after_sequence if request.HasField("after_sequence") else batch.last_sequence
        yield pb.WatchProcessingBatchResponse(snapshot=batch)
        while True:
            happened, events = self.happened, self.history[batch.batch_id]
            while seen < len(events):
                seen += 1
                yield pb.WatchProcessingBatchResponse(event=events[seen - 1])
            if batch.state > pb.BATCH_STATE_CANCELLING:
                return
            progress = pb.BatchProgress(counts=batch.counts, cells_per_second=2.0)
            progress.time_left.FromSeconds(3)
            yield pb.WatchProcessingBatchResponse(batch_progress=progress)
            await happened.wait()

    def _batch(self, batch_id: str) -> pb.Batch:
        if batch_id not in self.batches:
            raise not_found(ErrorReason.ERROR_REASON_BATCH_NOT_FOUND, "batch", batch_id)
        return self.batches[batch_id]

    def _add(self, batch: pb.Batch, items: Any) -> None:
        models = batch.model_ids or [""]
        cells = [
            pb.BatchCell(item_id=item.item_id, model_id=model, workflow_id=workflow, state=pb.SESSION_STATE_PENDING)
            for item in items
            for model in models
            for workflow in batch.workflow_ids
        ]
        self.cells[batch.batch_id].extend(cells)
        batch.counts.items += len(items)
        batch.counts.total += len(cells)
        batch.counts.pending += len(cells)


def _take_over(batch: pb.Batch, request: pb.PostBatchCreateRequest) -> None:
    """What a batch has of its creation."""
    batch.model_ids.extend(request.model_ids)
    batch.workflow_ids.extend(request.workflow_ids)
    batch.labels.update(request.labels)
    batch.max_parallel, batch.priority = request.max_parallel or 8, request.priority or 5
    if (limit := request.WhichOneof("failure_limit")) is not None:
        setattr(batch, limit, getattr(request, limit))
    for name in ("canary", "cell_timeout"):
        if request.HasField(name):
            getattr(batch, name).CopyFrom(getattr(request, name))


def _check(items: Any) -> None:
    for index, item in enumerate(items):
        if "bad" in item.parameters.fields:
            field_path = f"items[{index}].parameters.bad"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, field_path, "there is no such parameter")
