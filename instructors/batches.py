"""Use cases of batches: create, fill, execute, control, read, list and remove them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.batch_views import batch_of, cell_of
from instructors.control_calls import patience_of
from instructors.enum_numbers import known, required
from instructors.repeats import Repeats
from processing_service.engine.batches.control import Order
from processing_service.engine.batches.records import BatchAction, BatchState
from processing_service.engine.completion import complete
from processing_service.engine.ids import check_id
from processing_service.engine.managers.batches import BatchProcessingManager
from processing_service.engine.priorities import PRIORITIES
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.batch import BatchFilter, BatchRow, BatchStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import invalid
from processing_service.wire.pages import fit, list_of, make_token, page_size, read_number


class BatchInstructor:
    """Serves batches.

    Args:
        now_us: microseconds since the Unix epoch.
        owner: name of this coordinator.
    """

    def __init__(
        self,
        manager: BatchProcessingManager,
        store: BatchStore,
        repeats: Repeats,
        now_us: Callable[[], int],
        owner: str,
    ) -> None:
        self._manager, self._store, self._repeats = manager, store, repeats
        self._now_us, self._owner = now_us, owner

    async def read(self, batch_id: str) -> pb.Batch:
        """One batch. Raises CoordinatorError: FIELD_INVALID, BATCH_NOT_FOUND."""
        return batch_of(await self._store.read(check_id("batch_id", batch_id), current().tenant), self._owner)

    async def create(self, request: pb.PostBatchCreateRequest) -> pb.PostBatchCreateResponse:
        """Stores a batch, which runs nothing. Raises as BatchProcessingManager.create."""
        tenant, asked = current().tenant, pb.PostBatchCreateRequest()
        asked.CopyFrom(request)  # large payloads become references on the way
        asked.batch_id = self._manager.name(request.batch_id)

        async def act(note: RequestNote | None) -> pb.PostBatchCreateResponse:
            batch_id = await self._manager.create(asked, tenant, note)
            return pb.PostBatchCreateResponse(batch=await self.read(batch_id))

        async def again(batch_id: str) -> pb.PostBatchCreateResponse:
            return pb.PostBatchCreateResponse(batch=await self.read(batch_id))

        return await self._repeats.once(tenant, "PostBatchCreate", request, asked.batch_id, act, again)

    async def add_items(self, request: pb.PostBatchItemsRequest) -> pb.PostBatchItemsResponse:
        """Adds a page of items. Raises as BatchProcessingManager.add_items; FIELD_REQUIRED."""
        tenant, batch_id = current().tenant, check_id("batch_id", request.batch_id)
        if not request.items:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "items", "give at least one")
        asked = pb.PostBatchItemsRequest()
        asked.CopyFrom(request)

        async def act(note: RequestNote | None) -> pb.PostBatchItemsResponse:
            await self._manager.add_items(batch_id, tenant, asked.items, note)
            return await again(batch_id)

        async def again(_: str) -> pb.PostBatchItemsResponse:
            return pb.PostBatchItemsResponse(batch=await self.read(batch_id))

        work = self._repeats.once(tenant, "PostBatchItems", request, batch_id, act, again)
        return await complete(work, "PostBatchItems")  # also if the caller leaves: a start waits for what is written

    async def execute(self, request: pb.PostBatchExecuteRequest) -> pb.PostBatchExecuteResponse:
        """Starts a batch. Raises as BatchProcessingManager.execute."""
        tenant, batch_id = current().tenant, check_id("batch_id", request.batch_id)
        order = Order(self._now_us(), request_id=request.request_id, actor=current().actor)

        async def act(note: RequestNote | None) -> pb.PostBatchExecuteResponse:
            row = await self._manager.execute(batch_id, tenant, order, note)
            return pb.PostBatchExecuteResponse(batch=batch_of(row, self._owner))

        async def again(_: str) -> pb.PostBatchExecuteResponse:
            return pb.PostBatchExecuteResponse(batch=await self.read(batch_id))

        work = self._repeats.once(tenant, "PostBatchExecute", request, batch_id, act, again)
        return await complete(work, "PostBatchExecute")  # also if the caller leaves: who records that it runs, runs it

    async def control(self, request: pb.PostBatchControlRequest) -> pb.PostBatchControlResponse:
        """Replies when the command is carried out, or shortly before the deadline with applied = false.

        Raises:
            CoordinatorError: FIELD_*, BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL, REQUEST_ID_REUSED.
        """
        call, batch_id = current(), check_id("batch_id", request.batch_id)
        tenant, order = call.tenant, self._order(request)

        async def act(note: RequestNote | None) -> pb.PostBatchControlResponse:
            await self._manager.control(batch_id, tenant, order, note)
            return await again(batch_id)

        async def again(_: str) -> pb.PostBatchControlResponse:
            return pb.PostBatchControlResponse(batch=await self.read(batch_id), applied=True)

        work = self._repeats.once(tenant, "PostBatchControl", request, batch_id, act, again)
        try:
            async with asyncio.timeout(patience_of(call)):
                return await complete(work, "PostBatchControl")
        except TimeoutError:
            return pb.PostBatchControlResponse(batch=await self.read(batch_id))

    def _order(self, request: pb.PostBatchControlRequest) -> Order:
        action = required(BatchAction, request.batch_action, "batch_action")
        if action is BatchAction.REPRIORITIZE and request.priority not in PRIORITIES:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "priority", "must be from 1 to 10")
        if action is not BatchAction.REPRIORITIZE and request.priority:
            text = f"is the new priority of REPRIORITIZE; {action.name} has none"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "priority", text)
        return Order(self._now_us(), action, request.priority, request.request_id, current().actor, request.comment)

    async def delete(self, request: pb.DeleteProcessingBatchRequest) -> pb.DeleteProcessingBatchResponse:
        """Removes a batch that does not run, with its sessions; with force it is cancelled first.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL.
        """
        tenant, batch_id = current().tenant, check_id("batch_id", request.batch_id)
        cancel = Order(self._now_us(), BatchAction.CANCEL, actor=current().actor, comment="deleted with force")

        async def act(note: RequestNote | None) -> pb.DeleteProcessingBatchResponse:
            order = cancel if request.force else None
            removed = await self._manager.delete(batch_id, tenant, order, note)
            return pb.DeleteProcessingBatchResponse(deleted_session_count=removed)

        async def again(_: str) -> pb.DeleteProcessingBatchResponse:
            return pb.DeleteProcessingBatchResponse()

        work = self._repeats.once(tenant, "DeleteProcessingBatch", request, batch_id, act, again)
        return await complete(work, "DeleteProcessingBatch")

    async def page(self, request: pb.GetProcessingBatchesRequest) -> pb.GetProcessingBatchesResponse:
        """Batches, newest first. Raises CoordinatorError: PAGE_TOKEN_INVALID, FIELD_INVALID."""
        size, asked = page_size(request.page_size), pb.GetProcessingBatchesRequest()
        asked.states.extend(request.states)
        asked.labels.update(request.labels)
        which = list_of(asked)
        states = tuple(known(BatchState, state, "states") for state in sorted(set(request.states)) if state)
        chosen = BatchFilter(current().tenant, states, tuple(sorted(request.labels.items())))
        rows = await self._store.page(chosen, read_number(which, request.page_token), size + 1)
        shown = fit((batch_of(row, self._owner) for row in rows), size)
        response = pb.GetProcessingBatchesResponse(batches=shown)
        if len(rows) > len(shown):
            response.next_page_token = make_token(which, str(rows[len(shown) - 1].number))
        return response

    async def cells(self, request: pb.GetProcessingBatchItemsRequest) -> pb.GetProcessingBatchItemsResponse:
        """Cells by item, model and workflow. Raises CoordinatorError: BATCH_NOT_FOUND, PAGE_TOKEN_INVALID."""
        size, batch_id = page_size(request.page_size), check_id("batch_id", request.batch_id)
        asked = pb.GetProcessingBatchItemsRequest(batch_id=batch_id, states=request.states)
        which = list_of(asked)
        first = read_number(which, request.page_token)
        row = await self._store.read(batch_id, current().tenant)
        states = [known(SessionState, state, "states") for state in sorted(set(request.states)) if state]
        found = await self._store.cells(row, first, size + 1, states)
        creation = pb.PostBatchCreateRequest.FromString(row.start.request)
        shown = fit((cell_of(cell, row, creation) for cell in found), size)
        response = pb.GetProcessingBatchItemsResponse(cells=shown)
        if len(found) > len(shown):
            response.next_page_token = make_token(which, str(found[len(shown)].number))
        response.total_count = _count(row, states)
        return response


def _count(row: BatchRow, states: Sequence[SessionState]) -> int:
    """Cells in one of these states; all, if there are none."""
    if not states:
        return row.matrix.total
    unbegun = SessionState.CANCELLED if row.standing.state.terminal else SessionState.PENDING
    return sum(row.begun.get(state, 0) for state in states) + (row.counts.unbegun if unbegun in states else 0)
