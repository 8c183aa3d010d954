"""Batches: filled page by page, and watched over connections that break."""

import asyncio

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import BATCH_ENDED, CoordinatorClient
from processing_service.client.batch_items import PAGE_BYTES
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from tests.batches import FakeBatches
from tests.doubles import serving

CREATION = pb.PostBatchCreateRequest(workflow_ids=["read-text"], batch_id="b")


@pytest.fixture
async def coordinator():
    async with serving(FakeBatches()) as fake:
        yield fake


@pytest.fixture
async def client(coordinator):
    async with CoordinatorClient(coordinator.address) as client:
        yield client


def items(count, **values):
    return ((f"i-{number}", {"number": number, **values}) for number in range(count))


def page_sizes(coordinator):
    creations, pages = coordinator.requests("PostBatchCreate"), coordinator.requests("PostBatchItems")
    return [len(request.items) for request in (*creations, *pages)]


def sequences(updates):
    return [update.event.sequence for update in updates if update.HasField("event")]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited is the state of another task
            await asyncio.sleep(0.005)


async def test_few_items_go_with_the_creation(client, coordinator):
    """One request makes a small batch; values become parameters, bytes payloads."""
    batch = await client.create_batch(CREATION, [("one", {"text": "hello", "page": b"\x89PNG"})])

    (request,) = coordinator.requests("PostBatchCreate")
    assert (batch.batch_id, batch.counts.total, page_sizes(coordinator)) == ("b", 1, [1])
    assert dict(request.items[0].parameters) == {"text": "hello"}
    assert request.items[0].payloads["page"].inline_bytes == b"\x89PNG"


async def test_many_items_go_in_pages(client, coordinator):
    """At most 10,000 a request; whoever fills is told of each page."""
    told = []

    batch = await client.create_batch(CREATION, items(20_001), on_page=lambda batch: told.append(batch.counts.items))

    assert page_sizes(coordinator) == [10_000, 10_000, 1]
    assert told == [10_000, 20_000, 20_001]
    assert batch.counts.items == 20_001


async def test_pages_fit_a_message(client, coordinator):
    """Large items make short pages, whatever their number."""
    await client.create_batch(CREATION, items(40, text="x" * 200_000))

    requests = [*coordinator.requests("PostBatchCreate"), *coordinator.requests("PostBatchItems")]
    assert sum(page_sizes(coordinator)) == 40
    assert max(request.ByteSize() for request in requests) < PAGE_BYTES + 1000


async def test_items_are_taken_when_there_is_room(client, coordinator):
    """No more items are asked for than the next page takes, so a million of them need no memory."""
    taken, ahead = [], []

    async def source():
        for number in range(30_000):
            taken.append(number)
            yield pb.BatchItem(item_id=f"i-{number}")

    await client.create_batch(CREATION, source(), on_page=lambda batch: ahead.append(len(taken) - batch.counts.items))

    assert ahead == [1, 1, 0]


async def test_no_items_at_all(client, coordinator):
    """A batch may be created empty; items are added later."""
    await client.create_batch(CREATION, [])
    batch = await client.add_items("b", items(3))

    assert batch.counts.items == 3
    assert page_sizes(coordinator) == [0, 3]


async def test_a_repeat_of_a_creation_adds_nothing(client, coordinator):
    """With a request_id of one's own every page has its own, and a repeat goes on where it was cut off."""
    creation = pb.PostBatchCreateRequest(request_id="r", workflow_ids=["read-text"])
    coordinator.faults.extend([None, None, CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "no")])
    with pytest.raises(CoordinatorError):
        await client.create_batch(creation, items(20_001))
    batch = await client.create_batch(creation, items(20_001))

    assert batch.counts.items == 20_001
    pages = coordinator.requests("PostBatchItems")
    assert [page.request_id for page in pages] == ["r.10000", "r.20000", "r.10000", "r.20000"]


async def test_a_batch_that_cannot_be_filled_is_removed(client, coordinator):
    """Whole or not at all; the error says which of all items is wrong."""
    wrong = [*items(12_000), ("odd", {"bad": 1})]

    with pytest.raises(CoordinatorError) as caught:
        await client.create_batch(CREATION, wrong)

    assert coordinator.batches == {}
    assert caught.value.message.startswith("item 'odd': items[12000].parameters.bad")
    assert caught.value.violations[0].field_path == "items[12000].parameters.bad"
    assert caught.value.metadata["item_id"] == "odd"


async def test_a_source_that_fails_leaves_no_batch(client, coordinator):
    """What the items come from may fail in the middle."""

    def source():
        yield from items(10_000)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await client.create_batch(CREATION, source())

    assert coordinator.batches == {}


async def test_who_leaves_leaves_no_batch(client, coordinator):
    """A filling that is cancelled removes what it made."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def source():
        for item in items(10_001):
            yield item
        begun.set()
        await never.wait()

    filling = asyncio.ensure_future(client.create_batch(CREATION, source()))
    await begun.wait()
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling

    assert len(coordinator.requests("PostBatchCreate")) == 1
    assert coordinator.batches == {}


async def test_a_name_that_is_taken_is_refused(client, coordinator):
    """Nothing of the batch that has it is touched."""
    coordinator.has("b")
    reason = ErrorReason.ERROR_REASON_BATCH_ALREADY_EXISTS
    coordinator.faults.append(CoordinatorError(Code.ALREADY_EXISTS, reason, "the name is taken"))

    with pytest.raises(CoordinatorError, match="taken"):
        await client.create_batch(CREATION, items(1))

    assert set(coordinator.batches) == {"b"}


async def test_broken_connections_leave_no_gap_and_no_duplicate(client, coordinator):
    """Streams that break after each message still give one snapshot and each event once."""
    coordinator.has("b", items=0)
    coordinator.cuts.extend([1, 2, 0, 2, 3])
    for _ in range(4):
        coordinator.note("b", pb.BATCH_EVENT_KIND_PRIORITY_CHANGED)
    coordinator.end("b")

    updates = [update async for update in client.watch_batch("b", 0)]

    assert [update.WhichOneof("update") for update in updates].count("snapshot") == 1
    assert sequences(updates) == [1, 2, 3, 4, 5, 6]
    assert len(coordinator.requests("WatchProcessingBatch")) > 3


async def test_watch_survives_a_restart_of_the_server(client, coordinator):
    """A server that is stopped and started again on its address continues the watch."""
    coordinator.has("b")
    waiting = asyncio.ensure_future(client.wait_batch("b"))
    await until(lambda: coordinator.watchers)
    await coordinator.stop()
    coordinator.end("b")
    await coordinator.start(address=coordinator.address)

    assert (await waiting).state in BATCH_ENDED


async def test_a_retry_in_the_history_is_not_the_end(client, coordinator):
    """A batch that ended and was run again has two ends; the watch is over behind the last."""
    coordinator.has("b", items=0)
    coordinator.end("b", pb.BATCH_STATE_FAILED)
    coordinator.batches["b"].state = pb.BATCH_STATE_RUNNING
    coordinator.note("b", pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED)
    coordinator.cuts.append(3)
    updates = []

    async def collect():
        async for update in client.watch_batch("b", 0):
            updates.append(update)

    collecting = asyncio.ensure_future(collect())
    await until(lambda: sequences(updates) == [1, 2, 3])
    coordinator.end("b")
    await collecting

    assert sequences(updates) == [1, 2, 3, 4]


async def test_watch_is_given_up_after_its_window(coordinator):
    """A server that stays away ends the watch with UNAVAILABLE once the window is over."""
    async with CoordinatorClient(coordinator.address, reconnect_window=0.3) as client:
        coordinator.has("b")
        await client.get_processing_batch("b")
        coordinator.cuts.extend([0] * 1000)

        with pytest.raises(Unavailable):
            await client.wait_batch("b")
