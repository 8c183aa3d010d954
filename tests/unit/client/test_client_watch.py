"""Watching a session over connections that break."""

import asyncio

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import CoordinatorClient
from processing_service.wire.errors import CoordinatorError, Unavailable


def kinds(updates):
    return [update.WhichOneof("update") for update in updates]


def sequences(updates):
    return [update.event.sequence for update in updates if update.HasField("event")]


async def started(client, workflow_id="waits"):
    return (await client.post_workflow_execute(workflow_id, background=True)).session.session_id


async def collect(updates, into):
    async for update in updates:
        into.append(update)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited is the state of another task
            await asyncio.sleep(0.005)


async def test_watch_of_an_ended_session_is_its_snapshot(client):
    """A session that has ended is shown as it stands, and the watch ends."""
    session_id = await started(client, "read-text")

    updates = [update async for update in client.watch_session(session_id)]

    assert kinds(updates) == ["snapshot"]
    assert updates[0].snapshot.state == pb.SESSION_STATE_SUCCEEDED


async def test_watch_from_the_start_has_every_event(client, coordinator):
    """With after_sequence 0 every event follows the snapshot, also those before it."""
    session_id = await started(client, "read-text")

    updates = [update async for update in client.watch_session(session_id, 0)]

    assert sequences(updates) == [1, 2, 3, 4]


async def test_groups_come_one_by_one(client, coordinator):
    """A caller has an update for each event, however they came."""
    session_id = await started(client, "read-text")

    updates = [update async for update in client.watch_session(session_id, 0)]
    raw = [update async for update in client.watch_processing_session(session_id, 0, grouped=True)]

    assert kinds(raw) == ["snapshot", "event_group"]
    assert kinds(updates) == ["snapshot"] + ["event"] * 4
    assert sequences(updates) == [1, 2, 3, 4]


async def test_broken_connections_leave_no_gap_and_no_duplicate(client, coordinator):
    """Streams that break after each message still give one snapshot and each event once."""
    session_id = await started(client)
    coordinator.cuts.extend([1, 2, 2, 3])
    updates = []
    watching = asyncio.ensure_future(collect(client.watch_session(session_id, 0), updates))
    await until(lambda: sequences(updates) == [1, 2])
    coordinator.finish(session_id)
    await watching

    assert kinds(updates).count("snapshot") == 1
    assert sequences(updates) == [1, 2, 3, 4]
    assert len(coordinator.requests("WatchProcessingSession")) > 1


async def test_watch_goes_on_behind_the_last_event(client, coordinator):
    """What is asked of the server after a break is what was not seen yet."""
    session_id = await started(client)
    coordinator.cuts.append(3)
    updates = []
    watching = asyncio.ensure_future(collect(client.watch_session(session_id), updates))
    await until(lambda: len(kinds(updates)) == 2)
    coordinator.tell(session_id, pb.EVENT_KIND_STEP_RETRY_SCHEDULED, "read")
    await until(lambda: sequences(updates) == [3])
    coordinator.finish(session_id)
    await watching

    asked = [request.after_sequence for request in coordinator.requests("WatchProcessingSession")]
    assert asked == [0, 3]
    assert sequences(updates) == [3, 4, 5]


async def test_watch_survives_a_restart_of_the_server(client, coordinator):
    """A server that is stopped and started again on its address continues the watch."""
    session_id = await started(client)
    updates = []
    watching = asyncio.ensure_future(collect(client.watch_session(session_id), updates))
    await until(lambda: updates)
    await coordinator.stop()
    coordinator.finish(session_id)
    await coordinator.start(address=coordinator.address)
    await watching

    assert kinds(updates).count("snapshot") == 1
    assert sequences(updates) == [3, 4]


async def test_watch_is_given_up_after_its_window(coordinator):
    """A server that stays away ends the watch with UNAVAILABLE once the window is over."""
    async with CoordinatorClient(coordinator.address, reconnect_window=0.5) as client:
        session_id = await started(client)
        coordinator.cuts.extend([0] * 1000)

        with pytest.raises(Unavailable):
            await collect(client.watch_session(session_id), [])


async def test_a_coordinator_that_was_never_there_is_not_waited_for(client, coordinator):
    """Until it has answered for the first time it is tried as often as for any other call, however long the window."""
    session_id = await started(client)
    async with CoordinatorClient(coordinator.address, reconnect_window=3600.0) as other:
        coordinator.cuts.extend([0] * 1000)

        with pytest.raises(CoordinatorError) as caught:
            await collect(other.watch_session(session_id), [])

    assert caught.value.reason == ErrorReason.ERROR_REASON_SERVER_DRAINING
    assert len(coordinator.requests("WatchProcessingSession")) == 3


async def test_watch_of_nothing_is_refused_at_once(client, coordinator):
    """A session that is not there is NOT_FOUND without another try."""
    with pytest.raises(CoordinatorError) as caught:
        await collect(client.watch_session("nothing"), [])

    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_NOT_FOUND
    assert len(coordinator.calls) == 1


async def test_stream_deadline_is_a_reconnection(coordinator):
    """A connection that has lasted as long as one may is made anew; the caller sees nothing of it."""
    async with CoordinatorClient(coordinator.address, stream_deadline=0.2) as client:
        session_id = await started(client)
        updates = []
        watching = asyncio.ensure_future(collect(client.watch_session(session_id), updates))
        await until(lambda: len(coordinator.requests("WatchProcessingSession")) > 2)
        coordinator.finish(session_id)
        await watching

    assert kinds(updates).count("snapshot") == 1
    assert sequences(updates) == [3, 4]


async def test_leaving_a_watch_ends_its_call(client, coordinator):
    """A watch that is left leaves no call behind at the server."""
    session_id = await started(client)
    watch = client.watch_session(session_id)
    await anext(watch)
    await watch.aclose()

    await until(lambda: coordinator.watchers == 0)


async def test_execute_waits_for_the_end(coordinator):
    """execute_workflow gives the ended session, also when the wait of the call is shorter than the run."""
    async with CoordinatorClient(coordinator.address) as client:
        running = asyncio.ensure_future(client.execute_workflow("waits", {"page": 1}))
        await until(lambda: coordinator.requests("WatchProcessingSession"))
        coordinator.finish("session-1")

        assert (await running).state == pb.SESSION_STATE_SUCCEEDED
