"""Events are read and made once for all who are at the same number of a history."""

import asyncio

import pytest

from instructors.event_batches import EventBatches, History
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


def sequences(batch):
    return [update.event.sequence for update in batch.updates]


async def test_who_asks_meanwhile_is_given_the_same_batch(store, batches):
    """One read and one set of messages, however many ask."""
    given = await asyncio.gather(*(batches.behind(HISTORY, 0, STEPS) for _ in range(50)))

    assert len({id(batch) for batch in given}) == 1
    assert sequences(given[0]) == list(range(1, 501))
    assert {update.event.step_id for update in given[0].updates} == {"say"}
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
