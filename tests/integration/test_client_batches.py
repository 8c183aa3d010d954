"""The client's batches against a real coordinator: many items in pages, and a run to its end."""

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import CoordinatorClient
from processing_service.wire.errors import CoordinatorError
from tests.coordinators import echo

CREATION = pb.PostBatchCreateRequest(workflow_ids=["say"], batch_id="b")


@pytest.fixture
async def client(coordinator):
    parameters = {"text": {"value_type": "STRING", "default_value": ""}}
    outputs = {"text": {"value": "${steps.say.echo.text}"}}
    await coordinator.put("say", echo(text="${parameters.text}"), parameters=parameters, outputs=outputs)
    async with CoordinatorClient(coordinator.address) as client:
        yield client


def items(count, text="hello"):
    return ((f"i-{number}", {"text": f"{text} {number}"}) for number in range(count))


async def test_a_batch_runs_to_its_end(client):
    """Every event comes once and in order; each cell has the output of its item."""
    await client.create_batch(CREATION, items(30))
    await client.post_batch_execute("b")

    sequences = [u.event.sequence async for u in client.watch_batch("b", 0) if u.HasField("event")]
    cells = {cell.item_id: cell.outputs["text"] async for cell in client.get_processing_batch_items("b")}
    batch = await client.wait_batch("b")

    assert sequences == list(range(1, batch.last_sequence + 1))
    assert (batch.state, batch.counts.succeeded) == (pb.BATCH_STATE_SUCCEEDED, 30)
    assert cells == {f"i-{number}": f"hello {number}" for number in range(30)}


async def test_more_items_than_a_request_takes(client):
    """By their number and by their bytes: 10,000 and 4 MiB would be too much."""
    many = await client.create_batch(CREATION, items(10_001))
    large = await client.create_batch(pb.PostBatchCreateRequest(workflow_ids=["say"]), items(50, "x" * 100_000))

    assert (many.counts.items, large.counts.items) == (10_001, 50)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param(("odd", {"txt": "hello"}), ErrorReason.ERROR_REASON_FIELD_UNKNOWN, id="unknown parameter"),
        pytest.param(("i-0", {}), ErrorReason.ERROR_REASON_BATCH_ITEM_ALREADY_EXISTS, id="item of another page"),
        pytest.param(("not an id", {}), ErrorReason.ERROR_REASON_FIELD_INVALID, id="no id"),
    ],
)
async def test_an_item_of_the_second_page_that_is_refused(client, wrong, reason):
    """It is named, and nothing of the batch is left."""
    with pytest.raises(CoordinatorError) as caught:
        await client.create_batch(CREATION, [*items(10_000), wrong])

    assert caught.value.reason == reason
    assert wrong[0] in caught.value.message
    assert [batch async for batch in client.get_processing_batches()] == []
