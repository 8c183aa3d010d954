"""A client's part of one batch: asks until it has an answer, and keeps a log of what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.wire.errors import Code, CoordinatorError
from tests.crashing.client import ANSWER_S, BrokenPromiseError, Client


class BatchLog:
    """What a client was told of one batch."""

    def __init__(self) -> None:
        self.batch_id = ""
        """Empty until its creation was answered."""
        self.events: list[pb.BatchEvent] = []
        """As Watch gave them, over all its streams, since the batch was started."""
        self.applied: list[str] = []
        """request_id of all that was answered as carried out, in order; that of its creation is the first."""
        self.refused: list[str] = []
        """request_id of what was refused because the batch stood otherwise."""


class BatchClient:
    """Fills, starts, controls and watches a batch.

    Args:
        client: whose connection it uses.
    """

    def __init__(self, client: Client, log: BatchLog) -> None:
        self._client, self._log = client, log

    async def create(self, request: pb.PostBatchCreateRequest) -> None:
        """Creates it."""
        reply = await self._client.ask("PostBatchCreate", request)
        self._log.batch_id = reply.batch.batch_id
        self._log.applied.append(request.request_id)

    async def add(self, items: Sequence[pb.BatchItem], request_id: str) -> None:
        """Adds a page of items."""
        request = pb.PostBatchItemsRequest(batch_id=self._log.batch_id, items=items, request_id=request_id)
        await self._client.ask("PostBatchItems", request)

    async def execute(self, request_id: str) -> None:
        """Starts it."""
        request = pb.PostBatchExecuteRequest(batch_id=self._log.batch_id, request_id=request_id)
        reply = await self._client.ask("PostBatchExecute", request)
        self._log.applied.append(request_id)
        if reply.batch.state == pb.BATCH_STATE_CREATED:
            raise BrokenPromiseError(f"G1: {self._log.batch_id} was started and is CREATED")

    async def control(self, action: pb.BatchAction.ValueType, request_id: str, priority: int = 0) -> bool:
        """Gives a command; False if it was refused because the batch stood otherwise."""
        request = pb.PostBatchControlRequest(
            batch_id=self._log.batch_id, batch_action=action, request_id=request_id, priority=priority
        )
        try:
            while not (await self._client.ask("PostBatchControl", request)).applied:
                pass  # durable and not applied yet
        except CoordinatorError as error:
            if error.code is not Code.FAILED_PRECONDITION:
                raise
            self._log.refused.append(request_id)
            return False
        self._log.applied.append(request_id)
        return True

    async def delete(self, request_id: str, *, force: bool) -> None:
        """Removes it."""
        request = pb.DeleteProcessingBatchRequest(batch_id=self._log.batch_id, request_id=request_id, force=force)
        await self._client.ask("DeleteProcessingBatch", request)

    async def until(self, wanted: Callable[[pb.BatchEvent], bool]) -> bool:
        """Watches on from where it was until an event is wanted; False if the batch has ended before one was."""
        while (found := await self._watch(wanted)) is None:
            self._client.batch_cuts += 1
        return found

    async def _watch(self, wanted: Callable[[pb.BatchEvent], bool]) -> bool | None:
        """One stream; None if it broke, or was cut, before that."""
        left = self._client.cut_after()
        request = pb.WatchProcessingBatchRequest(batch_id=self._log.batch_id, after_sequence=len(self._log.events))
        stream = self._client.stub.WatchProcessingBatch(request, wait_for_ready=True, timeout=ANSWER_S)
        try:
            async for update in stream:
                if not update.HasField("event"):
                    continue
                self._hear(update.event)
                left -= 1
                if wanted(update.event):
                    return True
                if not left:
                    return None
        except grpc.aio.AioRpcError as error:
            self._client.check_broken(error)
            return None
        finally:
            stream.cancel()
        return False

    def _hear(self, event: pb.BatchEvent) -> None:
        if event.sequence != len(self._log.events) + 1:
            told = f"event {event.sequence} behind {len(self._log.events)}"
            raise BrokenPromiseError(f"G5: Watch of {self._log.batch_id} gave {told}")
        self._log.events.append(event)

    async def cells(self, *states: pb.SessionState.ValueType) -> tuple[list[pb.BatchCell], int]:
        """Its cells in some states, or all, page by page; and how many the server says that there are."""
        found: list[pb.BatchCell] = []
        request = pb.GetProcessingBatchItemsRequest(batch_id=self._log.batch_id, page_size=4, states=states)
        while True:
            page: Any = await self._client.ask("GetProcessingBatchItems", request)
            found += page.cells
            request.page_token = page.next_page_token
            if not request.page_token:
                return found, page.total_count

    async def sessions(self) -> list[str]:
        """session_id of all that say that they are its cells."""
        found: list[str] = []
        selector = pb.SessionSelector(batch_id=self._log.batch_id)
        request = pb.GetProcessingSessionsRequest(page_size=100, selector=selector)
        while True:
            page: Any = await self._client.ask("GetProcessingSessions", request)
            found += [session.session_id for session in page.sessions]
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def gone(self) -> None:
        """Returns when none of its sessions is left: a crash in a removal leaves the rest to the next start."""
        while await self.sessions():  # noqa: ASYNC110  # another process is awaited
            await asyncio.sleep(0.05)
