"""What batches are refused for: a clear status with reason, field and the next thing to do, and nothing is stored."""

import asyncio

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from processing_service.engine.batches.records import BatchAction, BatchState
from processing_service.engine.batches.rules import LEGAL
from processing_service.wire.errors import Code
from processing_service.wire.interceptors.errors import from_rpc_error
from tests import onnx_models as onnx
from tests.coordinators import echo, paths, refused, serving
from tests.integration.test_batches import add, batch, control, create, delete, ended, execute, item, items, put, until

MANY = 10_001


@pytest.fixture
async def coordinator(tmp_path):
    """Its cells may wait for a minute, its end does not wait for them; it has one model."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    async with serving(tmp_path, drain_grace=0.0) as served:
        await put(served)
        parameters = {"model_id": {"value_type": "STRING", "default_value": "doubling"}}
        step = echo(text="${parameters.model_id}")
        await served.put("modelled", step, parameters=parameters)
        yield served


async def test_a_batch_without_items_is_not_executed(coordinator):
    """It may be filled still."""
    await create(coordinator)
    error = await refused(execute(coordinator))

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "FIELD_REQUIRED")
    assert "PostBatchItems" in error.message
    await add(coordinator, items(1))
    await execute(coordinator)
    assert (await ended(coordinator)).state == pb.BATCH_STATE_SUCCEEDED


async def test_an_item_that_is_there_is_refused_with_its_page(coordinator):
    """In one page, and across pages."""
    error = await refused(create(coordinator, [item("a"), item("b"), item("a")]))
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "BATCH_ITEM_ALREADY_EXISTS")
    assert paths(error) == ["items[2].item_id"]
    assert (await refused(batch(coordinator))).reason_name == "BATCH_NOT_FOUND"

    await create(coordinator, [item("a"), item("b")])
    error = await refused(add(coordinator, [item("c"), item("b")]))
    assert (error.code, paths(error)) == (Code.ALREADY_EXISTS, ["items[1].item_id"])
    assert "as item 1" in error.message
    assert (await batch(coordinator)).counts.items == 2
    await add(coordinator, [item("c")])
    assert (await batch(coordinator)).counts.items == 3


UNKNOWN = [
    ({"model_ids": ["doubling", "doublin"]}, "MODEL_NOT_FOUND", "doubling"),
    ({"workflow_ids": ["say", "sya"]}, "WORKFLOW_NOT_FOUND", "say"),
]


@pytest.mark.parametrize(("fields", "reason", "nearest"), UNKNOWN)
async def test_an_unknown_name_is_told_with_the_nearest(coordinator, fields, reason, nearest):
    """And there is no batch."""
    error = await refused(create(coordinator, items(1), **fields))

    assert (error.code, error.reason_name, error.metadata["nearest"]) == (Code.NOT_FOUND, reason, nearest)
    assert (await refused(batch(coordinator))).reason_name == "BATCH_NOT_FOUND"


async def test_an_unknown_model_in_cell_9999_is_told_before_anything_runs(coordinator):
    """The item that names it is refused with its page, and can be sent again."""
    await create(coordinator, items(4_999), workflow_ids=["modelled", "say"])
    page = [item("last", model_id="no-such-model")]
    error = await refused(add(coordinator, page))

    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert error.message.startswith("items[0]: ")
    assert error.metadata["resource_name"] == "no-such-model"
    found = await batch(coordinator)
    assert (found.state, found.counts.total) == (pb.BATCH_STATE_CREATED, 9_998)
    assert await coordinator.sessions() == []


async def test_a_parameter_of_the_wrong_type_is_told_with_its_item(coordinator):
    """items[17], and the parameter in it."""
    given = items(20)
    given[17].parameters.update({"text": 5})
    error = await refused(create(coordinator, given))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")
    assert paths(error) == ["items[17].parameters.text"]
    given[17].parameters.CopyFrom(Struct())
    given[18].item_id = "no/id"
    error = await refused(create(coordinator, given))
    assert (error.code, paths(error)) == (Code.INVALID_ARGUMENT, ["items[18].item_id"])


async def test_more_items_than_a_request_may_have_are_refused(coordinator):
    """The advice is to send them in pages."""
    given = [pb.BatchItem(item_id=str(number)) for number in range(MANY)]
    await create(coordinator)
    for call in (create(coordinator, given, batch_id="other"), add(coordinator, given)):
        error = await refused(call)
        assert (error.code, error.reason_name, paths(error)) == (Code.INVALID_ARGUMENT, "FIELD_INVALID", ["items"])
        assert "PostBatchItems" in error.message
    assert (await batch(coordinator)).counts.items == 0


async def test_a_message_of_a_million_items_is_refused_unread(coordinator):
    """It is above the limit of the listener; the server goes on."""
    given = pb.PostBatchCreateRequest(workflow_ids=["say"], batch_id="b")
    given.items.extend(pb.BatchItem(item_id=f"{number:06}") for number in range(1_000_000))
    error = await refused(coordinator.stub.PostBatchCreate(given))

    assert error.code == Code.RESOURCE_EXHAUSTED
    await create(coordinator, items(1))


@pytest.fixture
async def wide(coordinator, tmp_path):
    """What makes a thousand cells of each item."""
    workflow_ids = [f"say-{letter}" for letter in "abcdefghij"]
    for workflow_id in workflow_ids:
        await coordinator.put(workflow_id, echo())
    model_ids = [f"m{number}" for number in range(100)]
    for model_id in model_ids:
        onnx.put(tmp_path / "models", model_id, onnx.doubling())
    return {"workflow_ids": workflow_ids, "model_ids": model_ids}


async def test_more_than_a_million_cells_are_refused(coordinator, wide):
    """Told with both numbers when the page comes that is too much; what is there stays."""
    await create(coordinator, items(900), **wide)
    await add(coordinator, items(100, 900))
    error = await refused(add(coordinator, [item("one-more")]))

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert (error.metadata["cells"], error.metadata["max_cells"]) == ("1001000", "1000000")
    assert "make several" in error.message
    assert (await batch(coordinator)).counts.total == 1_000_000


async def test_pages_that_come_together_do_not_pass_the_limit(coordinator, wide):
    """Each is checked against what is there when it is stored."""
    await create(coordinator, **wide)
    calls = [add(coordinator, items(600, 600 * page)) for page in range(3)]
    told = await asyncio.gather(*calls, return_exceptions=True)

    assert (await batch(coordinator)).counts.total == 600_000
    refusals = [from_rpc_error(error) for error in told if isinstance(error, grpc.aio.AioRpcError)]
    assert [error.reason_name for error in refusals] == ["PAYLOAD_TOO_LARGE"] * 2


async def test_a_canary_larger_than_its_batch_is_refused(coordinator):
    """When it is executed: until then items may come."""
    await create(coordinator, items(3), canary=pb.Canary(cell_count=4))
    error = await refused(execute(coordinator))

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "FIELD_INVALID")
    assert paths(error) == ["canary.cell_count"]
    assert (await batch(coordinator)).state == pb.BATCH_STATE_CREATED
    await control(coordinator, BatchAction.CANCEL)
    assert paths(await refused(control(coordinator, BatchAction.RETRY_FAILED))) == ["canary.cell_count"]


async def test_a_batch_is_executed_once(coordinator):
    """The same request_id gives the first answer, another says what would be legal."""
    await create(coordinator, items(2, delay="60s"))
    first = await execute(coordinator, request_id="one")
    again = await execute(coordinator, request_id="one")
    assert first.batch.started_at == again.batch.started_at
    for request_id in ("two", ""):
        error = await refused(execute(coordinator, request_id=request_id))
        assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "BATCH_STATE_ILLEGAL")
        assert error.metadata["state"] == "RUNNING"
        assert error.metadata["legal_actions"] == "PAUSE, CANCEL, REPRIORITIZE"


async def test_a_batch_that_was_started_takes_no_items(coordinator):
    """It says so, whether it runs or has ended."""
    await create(coordinator, items(1))
    await execute(coordinator)
    await ended(coordinator)
    error = await refused(add(coordinator, items(1, 1)))

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "BATCH_STATE_ILLEGAL")


HELD = [state for state in BatchState if state is not BatchState.CANCELLING]
"""States that a batch can be held in from outside."""


async def bring(served, state):
    """A batch in that state."""
    slow = state in (BatchState.RUNNING, BatchState.PAUSING)
    delay = {BatchState.FAILED: "-1s", BatchState.PAUSED: "1s"}.get(state, "60s" if slow else "0s")
    given = items(2, delay=delay)
    if state is BatchState.PARTIALLY_SUCCEEDED:
        given += items(1, 2, delay="-1s")
    await create(served, given)
    if state is BatchState.CANCELLED:
        await control(served, BatchAction.CANCEL)
    elif state is not BatchState.CREATED:
        await execute(served)
        if state in (BatchState.PAUSING, BatchState.PAUSED):
            await served_running(served)
            await control(served, BatchAction.PAUSE)
    return await until(served, int(state))


async def served_running(served):
    """Returns once both cells run."""
    while (await batch(served)).counts.running < 2:
        pass


@pytest.mark.parametrize("state", HELD, ids=lambda state: state.name)
@pytest.mark.parametrize("action", BatchAction, ids=lambda action: action.name)
async def test_a_wish_is_granted_or_says_what_would_be_legal(coordinator, state, action):
    """Every action in every state that a batch can be held in."""
    before = await bring(coordinator, state)
    call = control(coordinator, action, priority=3 if action is BatchAction.REPRIORITIZE else 0)
    if state in LEGAL[action]:
        reply = await call
        assert reply.applied
        assert reply.batch.last_sequence > before.last_sequence
        return
    error = await refused(call)
    legal = [other.name for other in BatchAction if state in LEGAL[other]]
    legal += ["EXECUTE"] if state is BatchState.CREATED else []
    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "BATCH_STATE_ILLEGAL")
    assert error.metadata["state"] == state.name
    assert error.metadata["legal_actions"] == (", ".join(legal) or "nothing")
    assert (await batch(coordinator)).last_sequence == before.last_sequence


FAULTS = [
    ({"workflow_ids": []}, "FIELD_REQUIRED", ["workflow_ids"]),
    ({"workflow_ids": ["say", "say"]}, "FIELD_INVALID", ["workflow_ids[1]"]),
    ({"model_ids": ["doubling", "doubling"]}, "FIELD_INVALID", ["model_ids[1]"]),
    ({"model_ids": [f"m{number}" for number in range(101)]}, "FIELD_INVALID", ["model_ids"]),
    ({"priority": 11}, "FIELD_INVALID", ["priority"]),
    ({"priority": -1}, "FIELD_INVALID", ["priority"]),
    ({"max_failure_ratio": 1.5}, "FIELD_INVALID", ["max_failure_ratio"]),
    ({"max_failure_ratio": float("nan")}, "FIELD_INVALID", ["max_failure_ratio"]),
    ({"max_failures": -1}, "FIELD_INVALID", ["max_failures"]),
    ({"max_parallel": 1001}, "FIELD_INVALID", ["max_parallel"]),
    ({"max_parallel": -1, "max_failure_ratio": -0.1}, "FIELD_INVALID", ["max_parallel", "max_failure_ratio"]),
    ({"canary": pb.Canary()}, "FIELD_INVALID", ["canary.cell_count"]),
    ({"canary": pb.Canary(cell_count=1, max_failures=-1)}, "FIELD_INVALID", ["canary.max_failures"]),
    (
        {"canary": pb.Canary(cell_count=1, max_cell_duration=Duration())},
        "FIELD_INVALID",
        ["canary.max_cell_duration"],
    ),
    ({"cell_timeout": Duration(seconds=-1)}, "FIELD_INVALID", ["cell_timeout"]),
    ({"cell_timeout": Duration(seconds=10**9)}, "FIELD_INVALID", ["cell_timeout"]),
    ({"labels": {str(number): "x" for number in range(33)}}, "FIELD_INVALID", ["labels"]),
    ({"batch_id": "no/id"}, "FIELD_INVALID", ["batch_id"]),
    ({"batch_id": "x" * 113}, "FIELD_INVALID", ["batch_id"]),
    ({"batch_id": "x" * 1000}, "FIELD_INVALID", ["batch_id"]),
    ({"request_id": "no/id"}, "FIELD_INVALID", ["request_id"]),
]


@pytest.mark.parametrize(("fields", "reason", "named"), FAULTS, ids=lambda value: str(value)[:40])
async def test_a_creation_is_told_its_faults(coordinator, fields, reason, named):
    """Each with its field; there is no batch."""
    error = await refused(create(coordinator, items(1), **fields))

    assert (error.code, error.reason_name, paths(error)) == (Code.INVALID_ARGUMENT, reason, named)
    listed = await coordinator.stub.GetProcessingBatches(pb.GetProcessingBatchesRequest())
    assert not listed.batches


async def test_a_batch_id_that_is_taken_is_refused(coordinator):
    """The first batch stays as it is."""
    await create(coordinator, items(2))
    error = await refused(create(coordinator, items(3)))

    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "BATCH_ALREADY_EXISTS")
    assert (await batch(coordinator)).counts.items == 2


async def test_a_wish_is_told_its_faults(coordinator):
    """Unknown actions, priorities out of range, or where there is none."""
    await create(coordinator, items(1))
    for fields, named in (
        ({"batch_action": 0}, "batch_action"),
        ({"batch_action": 99}, "batch_action"),
        ({"batch_action": pb.BATCH_ACTION_REPRIORITIZE}, "priority"),
        ({"batch_action": pb.BATCH_ACTION_REPRIORITIZE, "priority": 11}, "priority"),
        ({"batch_action": pb.BATCH_ACTION_CANCEL, "priority": 5}, "priority"),
        ({"batch_action": pb.BATCH_ACTION_CANCEL, "batch_id": "no/id"}, "batch_id"),
    ):
        error = await refused(control(coordinator, 0, **fields))
        assert (error.code, paths(error)) == (Code.INVALID_ARGUMENT, [named])


async def test_a_batch_that_is_not_there_is_told_everywhere(coordinator):
    """NOT_FOUND, with where to look."""
    stub = coordinator.stub
    for call in (
        batch(coordinator),
        add(coordinator, items(1)),
        execute(coordinator),
        control(coordinator, BatchAction.PAUSE),
        delete(coordinator),
        stub.GetProcessingBatchItems(pb.GetProcessingBatchItemsRequest(batch_id="b")),
        stub.WatchProcessingBatch(pb.WatchProcessingBatchRequest(batch_id="b")),
    ):
        error = await refused(call)
        assert (error.code, error.reason_name) == (Code.NOT_FOUND, "BATCH_NOT_FOUND")
        assert "GetProcessingBatches" in error.message


async def test_lists_are_told_their_faults(coordinator):
    """States that are none, tokens of other lists."""
    await create(coordinator, items(3))
    stub = coordinator.stub
    page = await stub.GetProcessingBatchItems(pb.GetProcessingBatchItemsRequest(batch_id="b", page_size=1))
    for request, reason in (
        ({"states": [99]}, "FIELD_INVALID"),
        ({"page_size": -1}, "FIELD_INVALID"),
        ({"page_token": page.next_page_token, "states": [pb.SESSION_STATE_PENDING]}, "PAGE_TOKEN_INVALID"),
    ):
        call = stub.GetProcessingBatchItems(pb.GetProcessingBatchItemsRequest(batch_id="b", **request))
        assert (await refused(call)).reason_name == reason
    error = await refused(stub.GetProcessingBatches(pb.GetProcessingBatchesRequest(states=[99])))
    assert (error.reason_name, paths(error)) == ("FIELD_INVALID", ["states"])
