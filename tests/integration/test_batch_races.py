"""Calls that change one batch at the same time, over the wire: whatever wins, nothing that was acknowledged is lost."""

import asyncio

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from tests.coordinators import echo, serving

OVER = range(pb.BATCH_STATE_SUCCEEDED, pb.BATCH_STATE_CANCELLED + 1)


@pytest.fixture
async def coordinator(tmp_path):
    """Knows a workflow that says hello."""
    async with serving(tmp_path, drain_grace=0.0) as served:
        await served.put("say", echo())
        yield served


async def create(served, batch_id):
    """A batch of one item."""
    request = pb.PostBatchCreateRequest(batch_id=batch_id, workflow_ids=["say"], items=[pb.BatchItem(item_id="first")])
    await served.stub.PostBatchCreate(request)


def execute(served, batch_id):
    return served.stub.PostBatchExecute(pb.PostBatchExecuteRequest(batch_id=batch_id))


async def add(served, batch_id, page):
    """Adds two items; how many were taken."""
    items = [pb.BatchItem(item_id=f"{page}-{number}") for number in range(2)]
    call = served.stub.PostBatchItems(pb.PostBatchItemsRequest(batch_id=batch_id, items=items))
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION)
    return len(items) if code is grpc.StatusCode.OK else 0


async def ended(served, batch_id):
    """The batch once it has ended."""
    async for _ in served.stub.WatchProcessingBatch(pb.WatchProcessingBatchRequest(batch_id=batch_id)):
        pass
    return (await served.stub.GetProcessingBatch(pb.GetProcessingBatchRequest(batch_id=batch_id))).batch


async def test_items_that_were_taken_beside_the_start_are_run(coordinator):
    """Pages that come while a batch starts are refused or run; none is acknowledged and then cancelled."""
    for number in range(10):
        name = f"b{number}"
        await create(coordinator, name)
        *taken, _ = await asyncio.gather(
            *(add(coordinator, name, page) for page in range(4)), execute(coordinator, name)
        )
        found = await ended(coordinator, name)
        assert found.state == pb.BATCH_STATE_SUCCEEDED
        assert found.counts.succeeded == found.counts.total == 1 + sum(taken)


async def test_a_wish_beside_the_start_is_carried_out_or_refused_by_the_state(coordinator):
    """It waits for the start, and is not told that a domain was missing."""
    for number in range(10):
        name = f"b{number}"
        await create(coordinator, name)
        wish = pb.PostBatchControlRequest(batch_id=name, batch_action=pb.BATCH_ACTION_CANCEL)
        started, wished = await asyncio.gather(
            execute(coordinator, name), coordinator.stub.PostBatchControl(wish), return_exceptions=True
        )
        for answer in (started, wished):
            if isinstance(answer, BaseException):
                assert answer.code() is grpc.StatusCode.FAILED_PRECONDITION, answer.details()
        assert (await ended(coordinator, name)).state in OVER


async def test_a_start_beside_a_removal_names_the_batch(coordinator):
    """What is refused says the name that it was asked for, and not the number in the store."""
    for number in range(10):
        name = f"b{number}"
        await create(coordinator, name)
        removal = coordinator.stub.DeleteProcessingBatch(pb.DeleteProcessingBatchRequest(batch_id=name))
        found = await asyncio.gather(removal, execute(coordinator, name), return_exceptions=True)
        for error in found:
            if isinstance(error, grpc.aio.AioRpcError):
                assert f"batch '{name}'" in error.details()
