"""A batch survives kill -9 in each of its phases, and ends as it would have; each end is recorded once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from google.protobuf.struct_pb2 import Struct

from tests.acceptance.processes import Topology, topology
from tests.acceptance.test_crash import put

CELLS = 60
FAILING = 6
COUNTED = ("pending", "running", "succeeded", "failed", "cancelled", "terminated", "timed_out")


@asynccontextmanager
async def reach(servers: Topology) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(servers.coordinator.address) as channel:
        yield ProcessingServiceStub(channel)


async def create(stub: Any, **fields: Any) -> None:
    """A batch whose cells take some time; the first of them fail."""
    request = pb.PostBatchCreateRequest(batch_id="b", workflow_ids=["three-echoes"], max_parallel=4, **fields)
    for number in range(CELLS):
        parameters = Struct()
        parameters.update({"text": str(number), "delay_seconds": "-1s" if number < FAILING else "0.02s"})
        request.items.append(pb.BatchItem(item_id=str(number), parameters=parameters))
    await stub.PostBatchCreate(request)
    await stub.PostBatchExecute(pb.PostBatchExecuteRequest(batch_id="b"))


async def control(stub: Any, action: pb.BatchAction.ValueType) -> None:
    await stub.PostBatchControl(pb.PostBatchControlRequest(batch_id="b", batch_action=action))


async def events(stub: Any, after: int, enough: Callable[[pb.BatchEvent], bool]) -> list[pb.BatchEvent]:
    """The events behind that number, until one is enough or the stream ends."""
    found = []
    stream = stub.WatchProcessingBatch(pb.WatchProcessingBatchRequest(batch_id="b", after_sequence=after))
    async for update in stream:
        if update.HasField("event"):
            found.append(update.event)
            if enough(update.event):
                break
    stream.cancel()
    return found


def ends_in(state: pb.BatchState.ValueType) -> Callable[[pb.BatchEvent], bool]:
    return lambda event: event.batch_state == state


MOMENTS: dict[str, Callable[[pb.BatchEvent], bool]] = {
    "canary": lambda event: event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED,
    "run": lambda event: event.counts.succeeded >= 10,
    "paused": ends_in(pb.BATCH_STATE_PAUSED),
    "cancelling": ends_in(pb.BATCH_STATE_CANCELLING),
    "retry": lambda event: event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED and event.cell.attempt == 2,
}


@pytest.mark.parametrize("moment", [pytest.param(name, marks=pytest.mark.slow) for name in MOMENTS])
async def test_a_batch_survives_a_kill_in_the_middle(moment: str, tmp_path: Path) -> None:
    """Whatever it was doing; a watch that goes on sees each event once, and counts that add up at each."""
    async with topology("embedded", tmp_path, tmp_path / "models") as servers:
        async with servers.client() as client:
            await put(client, "three-echoes")
        async with reach(servers) as stub:
            canary = pb.Canary(cell_count=20, max_failures=FAILING) if moment == "canary" else None
            await create(stub, canary=canary)
            seen = await _until(stub, moment)
        await servers.kill()
        await servers.start()
        async with reach(servers) as stub:
            if moment == "paused":
                await control(stub, pb.BATCH_ACTION_RESUME)
            seen += await events(stub, seen[-1].sequence, lambda event: False)
            batch = (await stub.GetProcessingBatch(pb.GetProcessingBatchRequest(batch_id="b"))).batch
            request = pb.GetProcessingBatchItemsRequest(batch_id="b", page_size=CELLS)
            cells = (await stub.GetProcessingBatchItems(request)).cells

    assert [event.sequence for event in seen] == list(range(1, batch.last_sequence + 1))
    assert all(sum(getattr(event.counts, name) for name in COUNTED) == CELLS for event in seen)
    ends = [event.cell for event in seen if event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED]
    assert set(Counter((cell.session_id, cell.attempt) for cell in ends).values()) == {1}
    states = Counter(cell.state for cell in cells)
    if moment == "cancelling":
        assert batch.state == pb.BATCH_STATE_CANCELLED
        assert states[pb.SESSION_STATE_CANCELLED] == batch.counts.cancelled > 0
        return
    assert batch.state == pb.BATCH_STATE_PARTIALLY_SUCCEEDED
    assert states == {pb.SESSION_STATE_FAILED: FAILING, pb.SESSION_STATE_SUCCEEDED: CELLS - FAILING}
    assert (batch.counts.failed, batch.counts.succeeded) == (FAILING, CELLS - FAILING)
    outputs = [cell.outputs["text"] for cell in cells[FAILING:]]
    assert outputs == [str(number) for number in range(FAILING, CELLS)]
    assert {cell.attempt for cell in cells[:FAILING]} == {2 if moment == "retry" else 1}


async def _until(stub: Any, moment: str) -> list[pb.BatchEvent]:
    """All events up to that moment."""
    if moment in ("canary", "run"):
        return await events(stub, 0, MOMENTS[moment])
    if moment == "retry":
        seen = await events(stub, 0, lambda event: False)
        await control(stub, pb.BATCH_ACTION_RETRY_FAILED)
        return seen + await events(stub, seen[-1].sequence, MOMENTS[moment])
    seen = await events(stub, 0, MOMENTS["run"])
    told = control(stub, pb.BATCH_ACTION_PAUSE if moment == "paused" else pb.BATCH_ACTION_CANCEL)
    telling = asyncio.ensure_future(told)
    seen += await events(stub, seen[-1].sequence, MOMENTS[moment])
    if moment == "paused":
        await telling
    telling.add_done_callback(lambda done: done.cancelled() or done.exception())
    return seen
