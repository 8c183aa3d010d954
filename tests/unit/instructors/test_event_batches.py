"""Events are read and made once for all who are at the same number of a history."""

import asyncio

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.event_batches import EventBatches, History
from processing_service.engine.records import Kind
from tests.doubles import FakeHistory

HISTORY = History("s", "", 1)
STEPS = {0: "say"}


@pytest.fixture
def store():
    """A history of 1200 events."""
    store = FakeHistory()
    store.add(1200)
    return store


@pytest.fixture
def batches(store):
    return EventBatches(store)


def events(batch):
    return [event for piece in batch.pieces for event in piece.events]


def sequences(batch):
    return [event.sequence for event in events(batch)]


async def test_who_asks_meanwhile_is_given_the_same_batch(store, batches):
    """One read and one set of messages, however many ask."""
    given = await asyncio.gather(*(batches.behind(HISTORY, 0, STEPS) for _ in range(50)))

    assert len({id(batch) for batch in given}) == 1
    assert sequences(given[0]) == list(range(1, 501))
    assert {event.step_id for event in events(given[0])} == {"say"}
    assert store.reads == [0]


async def test_a_batch_is_kept_as_long_as_somebody_is_at_it(store, batches):
    """And no longer: it is read again for who comes later."""
    first = await batches.behind(HISTORY, 500, STEPS)
    assert await batches.behind(HISTORY, 500, STEPS) is first
    assert store.reads == [500]

    del first
    await asyncio.sleep(0)  # the loop itself lets go of it, too
    await batches.behind(HISTORY, 500, STEPS)

    assert store.reads == [500, 500]


async def test_the_beginning_of_what_is_there_by_now_is_enough(store, batches):
    """A kept batch is given also when the history went on; what follows stands behind it."""
    last = await batches.behind(HISTORY, 1000, STEPS)
    store.add(1)

    assert await batches.behind(HISTORY, 1000, STEPS) is last
    assert sequences(await batches.behind(HISTORY, 1200, STEPS)) == [1201]


async def test_other_histories_have_their_own(batches):
    """Another session, another tenant, another life of the same session_id."""
    others = [HISTORY, History("t", "", 1), History("s", "acme", 1), History("s", "", 2)]
    given = [await batches.behind(history, 0, STEPS) for history in others]

    assert len({id(batch) for batch in given}) == 4


async def test_nothing_is_not_believed_of_a_read_that_began_before(store, batches):
    """A record that came since is given to who joined: it would not be told of it again."""
    store.go.clear()
    early = asyncio.ensure_future(batches.behind(HISTORY, 1200, STEPS))
    await store.begun.wait()
    store.add(1)
    late = [asyncio.ensure_future(batches.behind(HISTORY, 1200, STEPS)) for _ in range(50)]
    await asyncio.sleep(0)
    store.go.set()

    assert sequences(await early) == []
    assert [sequences(batch) for batch in await asyncio.gather(*late)] == [[1201]] * 50
    assert store.reads == [1200, 1200]


async def test_nothing_is_read_once_more_for_all_who_joined(store, batches):
    """Fifty watchers that wait together cost two reads."""
    given = await asyncio.gather(*(batches.behind(HISTORY, 1200, STEPS) for _ in range(50)))

    assert [sequences(batch) for batch in given] == [[]] * 50
    assert store.reads == [1200, 1200]


async def test_one_who_leaves_takes_nothing_from_the_others(store, batches):
    """The read that it began goes on."""
    store.go.clear()
    leaving = asyncio.ensure_future(batches.behind(HISTORY, 0, STEPS))
    await store.begun.wait()
    staying = asyncio.ensure_future(batches.behind(HISTORY, 0, STEPS))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    store.go.set()

    assert sequences(await staying) == list(range(1, 501))
    assert store.reads == [0]


async def test_a_batch_comes_in_groups_or_one_by_one(batches):
    """Serialised once, whichever its watcher asked for."""
    (batch,) = await asyncio.gather(batches.behind(HISTORY, 0, STEPS))
    parse = pb.WatchProcessingSessionResponse.FromString
    groups = [parse(message).event_group.events for piece in batch.pieces for message in piece.grouped]
    singles = [parse(message).event for piece in batch.pieces for message in piece.singles]

    assert [len(group) for group in groups] == [100] * 5
    assert [event for group in groups for event in group] == singles == events(batch)
    assert batch.pieces[0].grouped is batch.pieces[0].grouped
    assert batch.last == 500


async def test_one_event_is_no_group(batches):
    """It comes as to a watcher that asked for none."""
    (piece,) = (await batches.behind(HISTORY, 1199, STEPS)).pieces

    assert piece.grouped == piece.singles


async def test_a_group_ends_with_an_attempt(store, batches):
    """A watch may end there, and what came late is not in it."""
    store.add(1, Kind.SESSION_ENDED)
    store.add(2)
    batch = await batches.behind(HISTORY, 1198, STEPS)

    assert [[event.sequence for event in piece.events] for piece in batch.pieces] == [[1199, 1200, 1201], [1202, 1203]]
    assert [piece.ended_attempt for piece in batch.pieces] == [1, 0]


async def test_a_group_fits_a_message(store, batches):
    """Clients take 4 MiB."""
    for _ in range(5):
        store.add(1, Kind.COMMAND_APPLIED, message="x" * (700 << 10))
    batch = await batches.behind(HISTORY, 1200, STEPS)

    assert [len(piece.events) for piece in batch.pieces] == [2, 2, 1]
