"""Batches over the wire: created, filled, run over real models, watched, controlled, listed, removed."""

import asyncio
import json
from collections import Counter

import grpc
import numpy as np
import pytest
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from processing_service.client import CoordinatorClient
from processing_service.engine.batches.records import BatchAction
from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array, to_array
from tests import onnx_models as onnx
from tests.coordinators import echo, paths, refused, serving

INFER = "inference.post_inference_execute"
OVER = range(pb.BATCH_STATE_SUCCEEDED, pb.BATCH_STATE_CANCELLED + 1)
HALFWAY = range(pb.SESSION_STATE_RUNNING, pb.SESSION_STATE_SUCCEEDED)
COUNTED = ("pending", "running", "succeeded", "failed", "cancelled", "terminated", "timed_out")
THREE = from_array(np.full((1, 3), 3, np.float32))


@pytest.fixture
async def coordinator(tmp_path):
    """Its cells may wait for a minute, its end does not wait for them."""
    async with serving(tmp_path, drain_grace=0.0) as served:
        await put(served)
        yield served


async def put(served):
    """A workflow whose cells say a text, after a while; one whose text fails them is `-1s`."""
    parameters = {
        "text": {"value_type": "STRING", "default_value": "hello"},
        "delay": {"value_type": "STRING", "default_value": "0s"},
    }
    step = echo(text="${parameters.text}", delay="${parameters.delay}", retry={"max_attempts": 1})
    await served.put("say", step, parameters=parameters, outputs={"said": {"value": "${steps.say.echo.text}"}})


def item(item_id, **parameters):
    struct = Struct()
    struct.update(parameters)
    return pb.BatchItem(item_id=str(item_id), parameters=struct)


def items(count, first=0, **parameters):
    return [item(f"i{number:05}", **parameters) for number in range(first, first + count)]


def create(served, given=(), **fields):
    fields = {"batch_id": "b", "workflow_ids": ["say"]} | fields
    return served.stub.PostBatchCreate(pb.PostBatchCreateRequest(items=given, **fields))


def add(served, given, **fields):
    return served.stub.PostBatchItems(pb.PostBatchItemsRequest(batch_id="b", items=given, **fields))


def execute(served, batch_id="b", **fields):
    return served.stub.PostBatchExecute(pb.PostBatchExecuteRequest(batch_id=batch_id, **fields))


def control(served, action, **fields):
    fields = {"batch_id": "b", "batch_action": int(action)} | fields
    return served.stub.PostBatchControl(pb.PostBatchControlRequest(**fields))


def delete(served, batch_id="b", **fields):
    return served.stub.DeleteProcessingBatch(pb.DeleteProcessingBatchRequest(batch_id=batch_id, **fields))


async def batch(served, batch_id="b", **options):
    request = pb.GetProcessingBatchRequest(batch_id=batch_id)
    return (await served.stub.GetProcessingBatch(request, **options)).batch


def watch(served, after=0, batch_id="b"):
    return served.stub.WatchProcessingBatch(pb.WatchProcessingBatchRequest(batch_id=batch_id, after_sequence=after))


async def events(served, after=0):
    """All events until the end; checked on the way."""
    found = [update.event async for update in watch(served, after) if update.HasField("event")]
    check(found, after)
    return found


def check(found, after=0):
    """Numbered without a gap or a repeat; counts that add up, and agree with the ends that were told."""
    assert [event.sequence for event in found] == list(range(after + 1, after + 1 + len(found)))
    for event in found:
        check_sum(event.counts)
    last: dict[str, int] = {}
    for event in found if not after else ():
        if event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED:
            last[event.cell.session_id] = event.cell.state
        told = Counter(last.values())
        assert told[pb.SESSION_STATE_SUCCEEDED] == event.counts.succeeded


def check_sum(counts):
    """Cells by state are all cells."""
    by_state = [getattr(counts, name) for name in COUNTED]
    assert min(by_state) >= 0
    assert sum(by_state) == counts.total


async def cells(served, size=100, **fields):
    """All cells, page by page."""
    found, token = [], ""
    while True:
        request = pb.GetProcessingBatchItemsRequest(batch_id="b", page_size=size, page_token=token, **fields)
        reply = await served.stub.GetProcessingBatchItems(request)
        found += reply.cells
        token = reply.next_page_token
        if not token:
            assert reply.total_count == len(found)
            return found


async def until(served, *states):
    """The batch as soon as it is in one of these states."""
    return await _when(served, lambda found: found.state in states)


async def running(served, count):
    """The batch as soon as so many cells run."""
    return await _when(served, lambda found: found.counts.running >= count)


async def _when(served, condition):
    while not condition(found := await batch(served)):
        pass
    return found


async def ended(served):
    """The batch once it has ended; client count == server count == sum by state."""
    async for _ in watch(served):
        pass
    found = await batch(served)
    assert found.state in OVER
    await check_cells(served, found)
    return found


async def check_cells(served, found):
    """What the list of cells says is what the batch says."""
    states = Counter(
        "running" if cell.state in HALFWAY else pb.SessionState.Name(cell.state)[14:].lower()
        for cell in await cells(served, 1000)
    )
    assert sum(states.values()) == found.counts.total
    for name in COUNTED:
        assert states[name] == getattr(found.counts, name), name


TRIPLING = onnx.model(
    [onnx.node("Add", ["x", "x"], ["h"]), onnx.node("Add", ["h", "x"], ["y"])],
    [onnx.tensor_info("x", ("n", 3))],
    [onnx.tensor_info("y", ("n", 3))],
)


async def test_a_matrix_over_real_models(coordinator, tmp_path):
    """3 items x 2 models x 2 workflows, items in pages: each cell has its own result, or its own failure."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    onnx.put(tmp_path / "models", "tripling", TRIPLING)
    parameters = {"x": {"value_type": "TENSOR"}, "model_id": {"value_type": "STRING"}}

    def run(step_id, x):
        return {
            "step_id": step_id,
            "operation": INFER,
            "parameters": {"model_id": "${parameters.model_id}", "inputs": {"x": x}},
        }

    once = run("first", "${parameters.x}")
    twice = run("second", "${steps.first.outputs.y}")
    await coordinator.put("once", once, parameters=parameters, outputs={"y": {"value": "${steps.first.outputs.y}"}})
    await coordinator.put(
        "twice", once, twice, parameters=parameters, outputs={"y": {"value": "${steps.second.outputs.y}"}}
    )

    def page(name, tensor):
        return pb.BatchItem(item_id=name, payloads={"x": Datum(tensor=tensor)})

    created = (
        await create(
            coordinator,
            [page("one", from_array(np.full((1, 3), 1, np.float32)))],
            model_ids=["doubling", "tripling"],
            workflow_ids=["once", "twice"],
            labels={"kind": "matrix"},
            priority=7,
            max_parallel=3,
        )
    ).batch
    assert (created.state, created.counts.total, created.priority) == (pb.BATCH_STATE_CREATED, 4, 7)
    bad = page("bad", from_array(np.ones((1, 4), np.float32)))
    filled = (await add(coordinator, [page("three", THREE), bad])).batch
    assert (filled.counts.items, filled.counts.total, filled.counts.pending) == (3, 12, 12)
    assert [cell.state for cell in await cells(coordinator, 5)] == [pb.SESSION_STATE_PENDING] * 12

    await execute(coordinator)
    found = await ended(coordinator)
    assert found.state == pb.BATCH_STATE_PARTIALLY_SUCCEEDED
    assert (found.counts.succeeded, found.counts.failed) == (8, 4)
    listed = await cells(coordinator, 5)
    assert [(cell.item_id, cell.model_id, cell.workflow_id) for cell in listed] == [
        (name, model, workflow)
        for name in ("one", "three", "bad")
        for model in ("doubling", "tripling")
        for workflow in ("once", "twice")
    ]
    values = [to_array(cell.payloads["y"].tensor, "y")[0, 0] for cell in listed[:8]]
    assert values == [2, 4, 3, 9, 6, 12, 9, 27]
    assert {cell.failure.cause.reason_name for cell in listed[8:]} == {"TENSOR_INVALID"}
    failed = await cells(coordinator, 3, states=[pb.SESSION_STATE_FAILED])
    assert [cell.session_id for cell in failed] == [f"b.{number}" for number in range(8, 12)]
    assert (await coordinator.session("b.0")).batch_id == "b"


async def test_a_watch_is_cut_and_goes_on(coordinator):
    """A snapshot, every event once, progress between them; the stream ends with the batch."""
    await create(coordinator, items(60, delay="0.01s"), max_parallel=4)
    before = watch(coordinator)
    first = await anext(aiter(before))
    assert first.snapshot.state == pb.BATCH_STATE_CREATED
    await add(coordinator, items(60, 60, delay="0.01s"))
    await execute(coordinator)

    found, kinds = [], set()
    async for update in before:  # it began before half of the items were there
        kinds.add(update.WhichOneof("update"))
        if update.HasField("event"):
            found.append(update.event)
        if update.HasField("batch_progress"):
            check_sum(update.batch_progress.counts)
        if len(found) == 10:
            break
    before.cancel()
    while found[-1].kind != pb.BATCH_EVENT_KIND_BATCH_ENDED:
        stream = watch(coordinator, found[-1].sequence)
        async for update in stream:
            if update.HasField("event"):
                found.append(update.event)
                if len(found) % 10 == 0:
                    break
        stream.cancel()
    check(found)
    assert kinds == {"event", "batch_progress"}
    ends = Counter(event.cell.session_id for event in found if event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED)
    assert ends == Counter(f"b.{number}" for number in range(120))
    assert {event.counts.total for event in found[1:]} == {120}
    assert found[-1].counts.succeeded == 120
    assert [update.WhichOneof("update") async for update in watch(coordinator, found[-1].sequence)] == ["snapshot"]
    assert (await refused(watch(coordinator, 1000))).reason_name == "SEQUENCE_OUT_OF_RANGE"
    await ended(coordinator)


async def test_pause_resume_cancel_and_retry(coordinator):
    """PAUSING shows calls that are out, RETRY_FAILED runs what was cancelled and what never began."""
    await create(coordinator, items(12, delay="0.3s"), max_parallel=4)
    await execute(coordinator)
    await running(coordinator, 4)
    pausing = await control(coordinator, BatchAction.PAUSE, comment="lunch")
    assert (pausing.applied, pausing.batch.state) == (True, pb.BATCH_STATE_PAUSING)
    assert pausing.batch.paused_reason == pb.PAUSED_REASON_OPERATOR
    paused = await until(coordinator, pb.BATCH_STATE_PAUSED)
    await check_cells(coordinator, paused)
    resumed = (await control(coordinator, BatchAction.RESUME)).batch
    assert (resumed.state, resumed.paused_reason) == (pb.BATCH_STATE_RUNNING, pb.PAUSED_REASON_UNSPECIFIED)
    await control(coordinator, BatchAction.CANCEL)
    assert (await ended(coordinator)).state == pb.BATCH_STATE_CANCELLED
    await control(coordinator, BatchAction.RETRY_FAILED)
    found = await ended(coordinator)

    assert (found.state, found.counts.succeeded) == (pb.BATCH_STATE_SUCCEEDED, 12)
    told = await events(coordinator)
    assert "lunch" in [event.message for event in told]
    states = [event.batch_state for event in told if event.kind == pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED]
    assert [pb.BatchState.Name(state)[12:] for state in states] == [
        "RUNNING", "PAUSING", "PAUSED", "RUNNING", "CANCELLING", "RUNNING",
    ]  # fmt: skip


async def test_a_canary_over_the_wire(coordinator):
    """Its verdict stands in the batch, its failure says what to do, and the results are kept."""
    canary = pb.Canary(cell_count=4, max_cell_duration=Duration(seconds=5), failed_count=9, passed=True)
    await create(coordinator, [*items(1, delay="-1s"), *items(29, 1)], canary=canary, max_parallel=2)
    await execute(coordinator)
    paused = await until(coordinator, pb.BATCH_STATE_PAUSED)
    assert (paused.paused_reason, paused.canary.passed) == (pb.PAUSED_REASON_CANARY, False)
    assert paused.canary.failed_count == 1
    assert paused.failure.reason_name == "CANARY_FAILED"
    assert "RESUME" in paused.failure.message
    assert paused.counts.succeeded == 3
    await control(coordinator, BatchAction.RESUME)
    assert (await ended(coordinator)).counts.succeeded == 29


async def test_a_batch_that_stands_still_has_the_ends_of_its_cells(coordinator):
    """PAUSED is written behind them, also where a large result takes a while to be stored."""
    for number in range(5):
        name = f"b{number}"
        await create(
            coordinator,
            [*items(1, delay="-1s"), *items(1, 1, text="x" * 60_000)],
            batch_id=name,
            canary=pb.Canary(cell_count=2),
        )
        await execute(coordinator, name)
        async for update in watch(coordinator, batch_id=name):
            if update.event.batch_state == pb.BATCH_STATE_PAUSED:
                break
        counts = update.event.counts
        assert (counts.failed, counts.succeeded, counts.running) == (1, 1, 0)


@pytest.mark.parametrize("moment", ["canary", "run", "paused", "cancelling", "retry"])
async def test_a_restart_in_the_middle(tmp_path, moment):
    """The server ends without waiting for anything and opens again; the watch goes on where it was."""
    canary = pb.Canary(cell_count=8, max_failures=8) if moment == "canary" else None
    failing, rest = items(10, delay="-1s"), "0.05s"
    if moment in ("paused", "cancelling"):  # it may not end before that
        rest = "60s" if moment == "cancelling" else "0.3s"
    cells = [*failing, *items(10, 10, delay="0.05s"), *items(20, 20, delay=rest)]
    async with serving(tmp_path, drain_grace=0.0) as first:
        await put(first)
        await create(first, cells, canary=canary, max_parallel=4)
        await execute(first)
        if moment == "retry":
            await ended(first)
            await control(first, BatchAction.RETRY_FAILED)
        await _when(first, lambda found: moment == "retry" or found.counts.succeeded > 0)
        if moment == "paused":
            await control(first, BatchAction.PAUSE)
            await until(first, pb.BATCH_STATE_PAUSED)
        if moment == "cancelling":
            await control(first, BatchAction.CANCEL)
        stream, seen = watch(first), []
        last = (await batch(first)).last_sequence
        async for update in stream:
            if update.HasField("event"):
                seen.append(update.event)
            if seen and seen[-1].sequence >= last:
                break
        stream.cancel()
    async with serving(tmp_path, drain_grace=0.0) as second:
        if moment == "paused":
            assert (await batch(second)).state == pb.BATCH_STATE_PAUSED
            await control(second, BatchAction.RESUME)
        seen += await events(second, seen[-1].sequence)
        check(seen)
        found = await ended(second)

        if moment == "cancelling":
            assert found.state == pb.BATCH_STATE_CANCELLED
            return
        assert (found.counts.succeeded, found.counts.failed) == (30, 10)
        ends = Counter(
            (event.cell.session_id, event.cell.attempt)
            for event in seen
            if event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED
        )
        assert set(ends.values()) == {1}
        assert len(ends) == 40 + 10 * (moment == "retry")


async def test_a_batch_that_runs_is_removed_with_force_alone(coordinator):
    """And what is removed is gone with its sessions; its name is free again."""
    await create(coordinator, items(20, delay="60s"), max_parallel=5)
    await execute(coordinator)
    error = await refused(delete(coordinator))
    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "BATCH_STATE_ILLEGAL")
    assert "--force" in error.message
    await running(coordinator, 5)
    assert (await delete(coordinator, force=True)).deleted_session_count == 5
    assert (await refused(batch(coordinator))).reason_name == "BATCH_NOT_FOUND"
    assert await coordinator.sessions() == []
    await create(coordinator, items(2))
    await execute(coordinator)
    assert (await ended(coordinator)).state == pb.BATCH_STATE_SUCCEEDED
    assert (await delete(coordinator)).deleted_session_count == 2


async def test_a_request_id_gives_the_first_answer_again(coordinator):
    """Each mutating RPC; with other content it is refused with both digests."""
    calls = [
        lambda **f: create(coordinator, items(3), request_id="r", **f),
        lambda **f: add(coordinator, items(3, 3, **f), request_id="r"),
        lambda batch_id="b": execute(coordinator, batch_id, request_id="r"),
        lambda **f: control(coordinator, BatchAction.RETRY_FAILED, request_id="r", **f),
        lambda **f: delete(coordinator, request_id="r", **f),
    ]
    others = [{"priority": 3}, {"text": "else"}, {"batch_id": "c"}, {"comment": "else"}, {"force": True}]
    for number, (call, other) in enumerate(zip(calls, others, strict=True)):
        if number == 3:
            await ended(coordinator)
            await delete(coordinator)
            await create(coordinator, items(6, delay="-1s"))
            await execute(coordinator)
            await ended(coordinator)
        if number == 4:
            await ended(coordinator)
        first, again = await call(), await call()
        assert type(first) is type(again)
        if number < 2:
            assert first == again
        error = await refused(call(**other))
        assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
        assert len(error.metadata["first_digest"]) == len(error.metadata["digest"]) == 64
    assert (await refused(batch(coordinator))).reason_name == "BATCH_NOT_FOUND"


async def test_batches_are_listed_and_filtered(coordinator):
    """Newest first, by state and label, in pages."""
    for number in range(5):
        await create(coordinator, items(1), batch_id=f"b{number}", labels={"parity": str(number % 2)})
    await execute(coordinator, "b3")
    async for _ in watch(coordinator, batch_id="b3"):
        pass

    async def listed(**fields):
        found, token = [], ""
        while True:
            request = pb.GetProcessingBatchesRequest(page_size=2, page_token=token, **fields)
            reply = await coordinator.stub.GetProcessingBatches(request)
            found += [batch.batch_id for batch in reply.batches]
            if not (token := reply.next_page_token):
                return found

    assert await listed() == ["b4", "b3", "b2", "b1", "b0"]
    assert await listed(labels={"parity": "1"}) == ["b3", "b1"]
    assert await listed(states=[pb.BATCH_STATE_SUCCEEDED]) == ["b3"]
    assert await listed(states=[pb.BATCH_STATE_CREATED], labels={"parity": "1"}) == ["b1"]
    request = pb.GetProcessingBatchesRequest(page_size=2, page_token="nonsense")
    assert (await refused(coordinator.stub.GetProcessingBatches(request))).reason_name == "PAGE_TOKEN_INVALID"


async def test_the_sessions_of_a_batch_are_selected_by_its_id(coordinator):
    """All of them in one call; their batch hears how they end."""
    await create(coordinator, items(4, delay="60s"), max_parallel=4)
    await execute(coordinator)
    await running(coordinator, 4)

    def select(action, **fields):
        selector = pb.SessionSelector(batch_id="b")
        request = pb.PostSessionControlRequest(selector=selector, control_action=action, **fields)
        return coordinator.stub.PostSessionControl(request)

    looked = await select(pb.CONTROL_ACTION_CANCEL, validate_only=True)
    assert (looked.matched_count, sorted(looked.session_ids)) == (4, ["b.0", "b.1", "b.2", "b.3"])
    assert (await select(pb.CONTROL_ACTION_CANCEL)).matched_count == 4
    found = await ended(coordinator)
    assert (found.state, found.counts.cancelled) == (pb.BATCH_STATE_FAILED, 4)
    error = await refused(select(pb.CONTROL_ACTION_RETRY))
    assert (paths(error), "RETRY_FAILED" in error.message) == (["selector.batch_id"], True)


async def test_a_cell_is_removed_and_retried_with_its_batch_alone(coordinator):
    """Else the counts of the batch would not be those of its sessions."""
    await create(coordinator, items(2, delay="-1s"))
    await execute(coordinator)
    await ended(coordinator)
    for force in (False, True):
        request = pb.DeleteProcessingSessionRequest(session_id="b.0", force=force)
        error = await refused(coordinator.stub.DeleteProcessingSession(request))
        assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "SESSION_STATE_ILLEGAL")
        assert "delete the batch" in error.message
        assert error.metadata["batch_id"] == "b"
    request = pb.PostSessionControlRequest(session_id="b.0", control_action=pb.CONTROL_ACTION_RETRY)
    error = await refused(coordinator.stub.PostSessionControl(request))
    assert (error.code, "RETRY_FAILED" in error.message) == (Code.FAILED_PRECONDITION, True)
    everything = pb.SessionSelector(workflow_id="say")
    request = pb.PostSessionControlRequest(selector=everything, control_action=pb.CONTROL_ACTION_RETRY)
    assert (await coordinator.stub.PostSessionControl(request)).matched_count == 0
    await check_cells(coordinator, await batch(coordinator))


async def test_tenants_have_batches_of_their_own(tmp_path):
    """Also with the same batch_id."""
    async with serving(tmp_path) as served:
        for name, count in (("one", 2), ("two", 3)):
            mine = [("coordinator-tenant", name)]
            source = json.dumps({"workflow_id": "w", "steps": [echo()]})
            await served.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source), metadata=mine)
            request = pb.PostBatchCreateRequest(batch_id="b", workflow_ids=["w"], items=items(count))
            await served.stub.PostBatchCreate(request, metadata=mine)
            await served.stub.PostBatchExecute(pb.PostBatchExecuteRequest(batch_id="b"), metadata=mine)
            async for _ in served.stub.WatchProcessingBatch(
                pb.WatchProcessingBatchRequest(batch_id="b"), metadata=mine
            ):
                pass
            found = await batch(served, metadata=mine)
            assert (found.counts.total, found.counts.succeeded, found.tenant) == (count, count, name)
            listed = await served.stub.GetProcessingBatches(pb.GetProcessingBatchesRequest(), metadata=mine)
            assert len(listed.batches) == 1


async def test_a_caller_that_leaves_has_started_the_batch(coordinator):
    """Or not: but never is one said to run that does not."""
    for number in range(10):
        name = f"left-{number}"
        await create(coordinator, items(2), batch_id=name)
        call = execute(coordinator, name)
        await asyncio.sleep(0.0005 * number)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        found = await batch(coordinator, name)
        if found.state == pb.BATCH_STATE_CREATED and await _still_created(coordinator, name):
            continue
        async for _ in watch(coordinator, batch_id=name):
            pass
        assert (await batch(coordinator, name)).state == pb.BATCH_STATE_SUCCEEDED


async def _still_created(served, name):
    """True if the batch can still be executed; then it was not started, and is now."""
    try:
        await execute(served, name)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_the_client_of_python_has_every_call(coordinator):
    """With request ids of its own, and lists as iterators."""
    async with CoordinatorClient(coordinator.address) as client:
        await client.post_batch_create(pb.PostBatchCreateRequest(batch_id="b", workflow_ids=["say"]))
        await client.post_batch_items("b", items(3))
        await client.post_batch_control("b", pb.BATCH_ACTION_REPRIORITIZE, priority=9)
        await client.post_batch_execute("b")
        updates = [update async for update in client.watch_processing_batch("b", 0)]
        assert updates[-1].event.kind == pb.BATCH_EVENT_KIND_BATCH_ENDED
        assert (await client.get_processing_batch("b")).batch.priority == 9
        assert [found.batch_id async for found in client.get_processing_batches(page_size=1)] == ["b"]
        listed = [cell.item_id async for cell in client.get_processing_batch_items("b", page_size=1)]
        assert listed == ["i00000", "i00001", "i00002"]
        assert (await client.delete_processing_batch("b")).deleted_session_count == 3
