"""Watches: a snapshot, then every event without a gap, to the end."""

import asyncio

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.server import running
from processing_service.wire.errors import Code
from tests.coordinators import TERMINAL, echo, reach, refused, settings_in

ENDED = pb.EVENT_KIND_SESSION_ENDED


@pytest.fixture
async def slow(coordinator):
    """A workflow of three steps with a pause in each."""
    steps = [echo(f"s{number}", delay="0.05s", depends_on=[f"s{number - 1}"] if number else []) for number in range(3)]
    await coordinator.put("slow", *steps)
    await coordinator.put("fast", echo())
    await coordinator.put("endless", echo(delay="60s"))
    return coordinator


def kinds(updates):
    """Which kind of update each is."""
    return [update.WhichOneof("update") for update in updates]


def sequences(updates):
    """Numbers of the events among the updates."""
    return [update.event.sequence for update in updates if update.HasField("event")]


async def test_a_watch_begins_with_a_snapshot_and_has_no_gap(slow):
    """Snapshot, events one by one from its last_sequence on, progress between them; it ends by itself, status OK."""
    await slow.execute("slow", session_id="s", background=True)
    call = slow.watch("s", None)
    updates = [update async for update in call]
    snapshot = updates[0].snapshot

    assert kinds(updates)[0] == "snapshot"
    assert "snapshot" not in kinds(updates)[1:]
    assert [step.step_id for step in snapshot.steps] == ["s0", "s1", "s2"]
    last = (await slow.session("s")).last_sequence
    assert sequences(updates) == list(range(snapshot.last_sequence + 1, last + 1))
    assert updates[-1].event.kind == ENDED
    assert await call.code() is grpc.StatusCode.OK


async def test_progress_grows(slow):
    """Between events a watcher hears how far the session is; it is unnumbered."""
    await slow.execute("slow", session_id="s", background=True)
    told = [update.session_progress async for update in slow.watch("s") if update.HasField("session_progress")]

    fractions = [progress.fraction for progress in told]
    assert told
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert {progress.in_flight_count for progress in told} <= {0, 1}


async def test_a_step_that_lasts_gives_signs_of_life(slow):
    """A watcher hears again and again that its call is out, and for how long, though nothing happens."""
    await slow.execute("endless", session_id="s", background=True)
    told = []
    call = slow.watch("s")
    async for update in call:
        if update.session_progress.message:
            told.append((update.session_progress.step_id, update.session_progress.message))
        if len(told) == 2:
            break
    call.cancel()

    assert {step_id for step_id, _ in told} == {"say"}
    assert all(message.startswith("is out, for ") for _, message in told)
    assert told[0] != told[1]


async def test_many_watchers_of_a_session_see_all_of_it(slow):
    """Whenever they began, and although some of them leave: they share what is read, not where they are."""
    await slow.execute("slow", session_id="s", background=True)

    async def watch(after):
        return [update async for update in slow.watch("s", after)]

    leaving = slow.watch("s", 0)
    await leaving.read()
    early = [asyncio.ensure_future(watch(0)) for _ in range(20)]
    async for update in slow.watch("s", 0):
        if update.event.kind == pb.EVENT_KIND_STEP_SUCCEEDED:
            break
    leaving.cancel()
    seen = await asyncio.gather(*early, *(watch(after) for after in range(5)))
    events = await slow.events("s")

    for updates, after in zip(seen, [0] * 20 + list(range(5)), strict=True):
        assert [update.event for update in updates if update.HasField("event")] == events[after:]


def grouped(coordinator, session_id, after=0):
    """The stream of a watcher that takes several events in one message."""
    request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=after, grouped_events=True)
    return coordinator.stub.WatchProcessingSession(request)


def flat(updates):
    """The events among the updates."""
    return [
        event
        for update in updates
        for event in ([update.event] if update.HasField("event") else update.event_group.events)
    ]


async def test_watchers_of_a_busy_session_see_all_of_it_in_few_messages(slow):
    """Thirty of them, some one by one and some in groups; each has the whole history, the latter in less messages."""
    each = echo(text="${item}", delay="0.002s", foreach={"items": "${parameters.texts}", "max_parallel": 4})
    await slow.put("each", each, parameters={"texts": {"value_type": "STRING", "is_list": True}})
    await slow.execute("each", {"texts": [str(number) for number in range(400)]}, session_id="s", background=True)

    async def watch(call):
        return [update async for update in call]

    singly = [asyncio.ensure_future(watch(slow.watch("s", 0))) for _ in range(15)]
    together = [asyncio.ensure_future(watch(grouped(slow, "s"))) for _ in range(15)]
    one_by_one, in_groups = await asyncio.gather(*singly), await asyncio.gather(*together)
    events = await slow.events("s")

    assert all(flat(updates) == events for updates in one_by_one + in_groups)
    assert not any(update.HasField("event_group") for updates in one_by_one for update in updates)
    assert all(len(updates) < len(events) / 2 for updates in in_groups)


async def test_a_group_ends_where_the_watch_does(slow):
    """An ended session is given from the start in one group, behind the snapshot."""
    session = (await slow.execute("fast", session_id="s")).session
    snapshot, group = [update async for update in grouped(slow, "s")]

    assert snapshot.snapshot.last_sequence == session.last_sequence
    assert list(group.event_group.events) == await slow.events("s")


async def test_a_watch_that_began_at_the_end_sees_a_retry(slow):
    """Who watches a session that was retried since its feed had ended has a new one."""
    await slow.put("bad", echo(delay="-1s"))
    await slow.execute("bad", session_id="s")
    first = [update async for update in slow.watch("s", 0)]
    retry = pb.PostSessionControlRequest(session_id="s", control_action=pb.CONTROL_ACTION_RETRY)
    await slow.stub.PostSessionControl(retry)
    second = [update async for update in slow.watch("s", sequences(first)[-1])]
    events = await slow.events("s")

    assert first[-1].event.session_attempt == 1
    assert second[-1].event.session_attempt == 2
    assert sequences(first) + sequences(second) == [event.sequence for event in events]


@pytest.mark.parametrize("after", [0, 3])
async def test_a_watch_goes_on_from_any_number(slow, after):
    """after_sequence gives the old events behind it, too, of live sessions and of ended ones."""
    await slow.execute("slow", session_id="s", background=True)
    async for _ in slow.watch("s", 0):
        pass
    updates = [update async for update in slow.watch("s", after)]
    last = updates[0].snapshot.last_sequence

    assert sequences(updates) == list(range(after + 1, last + 1))
    assert [update.event for update in updates[1:]] == (await slow.events("s"))[after:]


async def test_a_watch_of_an_ended_session_ends_at_once(slow):
    """The snapshot is all there is to say."""
    session = (await slow.execute("fast")).session
    for after in (None, session.last_sequence):
        (update,) = [update async for update in slow.watch(session.session_id, after)]
        assert update.snapshot.state == pb.SESSION_STATE_SUCCEEDED


@pytest.mark.parametrize("after", [99, -1])
async def test_past_the_end_is_out_of_range(slow, after):
    """The error names where the history ends."""
    session = (await slow.execute("fast")).session
    error = await refused(slow.watch(session.session_id, after))

    assert (error.code, error.reason_name) == (Code.OUT_OF_RANGE, "SEQUENCE_OUT_OF_RANGE")
    assert error.metadata["last_sequence"] == str(session.last_sequence)


async def test_a_session_that_ran_out_of_time_ends_its_watch(slow):
    """The call that is still out holds nobody up, neither while the session runs nor afterwards."""
    await slow.execute("endless", session_id="s", background=True, timeout=Duration(nanos=100_000_000))
    live = [update async for update in slow.watch("s", 0, timeout=10)]
    again = [update async for update in slow.watch("s", 0, timeout=10)]

    assert live[-1].event.session_state == pb.SESSION_STATE_TIMED_OUT
    assert sequences(again) == sequences(live)
    assert again[-1].event.kind == ENDED


async def test_twenty_watchers_see_the_same(slow):
    """Whenever they came, each has every event once, in order."""

    async def follow(number):
        await asyncio.sleep(number / 200)
        return [update.event async for update in slow.watch("s", 0) if update.HasField("event")]

    await slow.execute("slow", session_id="s", background=True)
    seen = await asyncio.gather(*(follow(number) for number in range(20)))

    assert all(events == seen[0] for events in seen)
    assert seen[0] == await slow.events("s")


async def test_a_watcher_that_leaves_disturbs_nobody(slow):
    """The others and the session go on."""
    await slow.execute("slow", session_id="s", background=True)
    leaver, stayer = slow.watch("s"), slow.watch("s")
    await leaver.read()
    leaver.cancel()
    events = [update.event async for update in stayer if update.HasField("event")]

    assert events[-1].kind == ENDED
    assert (await slow.session("s")).state == pb.SESSION_STATE_SUCCEEDED


async def test_the_removal_of_a_session_ends_its_watch(slow):
    """A watcher of what is removed with force sees its end, or that it is not there; it does not wait for ever."""
    await slow.execute("endless", session_id="s", background=True)
    updates = aiter(slow.watch("s", 0, timeout=10))
    await anext(updates)
    await slow.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="s", force=True))
    try:
        rest = [update async for update in updates]
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017  # either way is an end
    else:
        assert rest[-1].event.kind == ENDED


async def test_a_watcher_that_lags_behind_sees_nothing_of_the_next_session_of_that_id(slow):
    """It reads so slowly that its session is removed and another has its session_id before it has seen the end."""
    each = echo(text="${item}", foreach={"items": "${parameters.texts}"})
    await slow.put("each", each, parameters={"texts": {"value_type": "STRING", "is_list": True}})
    texts = {"texts": [str(number) for number in range(1500)]}
    await slow.execute("each", texts, session_id="s")
    first = await slow.session("s")
    updates = aiter(slow.watch("s"))
    await anext(updates)

    await slow.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="s"))
    await slow.execute("each", texts, session_id="s")
    events = []
    try:
        async for update in updates:
            events.append(update.event)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017  # it may also have read all of it in time
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert all(event.occurred_at.ToMicroseconds() <= first.ended_at.ToMicroseconds() for event in events)


async def test_a_server_that_drains_ends_watches_with_a_hint(tmp_path):
    """UNAVAILABLE with SERVER_DRAINING and RetryInfo: the watcher goes on elsewhere from where it was."""
    async with running(settings_in(tmp_path, drain_grace=0.1)) as process, reach(process.address) as served:
        await served.put("endless", echo(delay="0.5s"))
        await served.execute("endless", session_id="s", background=True)
        updates = aiter(served.watch("s", 0))
        seen = [await anext(updates)]
        while seen[-1].event.kind != pb.EVENT_KIND_STEP_STARTED:
            seen.append(await anext(updates))
        ending = asyncio.ensure_future(refused(updates))
        await asyncio.sleep(0)
        # leaving the context drains
    error = await ending
    last = sequences(seen)[-1]
    async with running(settings_in(tmp_path)) as process, reach(process.address) as served:
        rest = [update async for update in served.watch("s", last)]
        session = await served.session("s")

    assert (error.code, error.reason_name) == (Code.UNAVAILABLE, "SERVER_DRAINING")
    assert error.retry_delay == 1.0
    assert process.recovered == 1
    assert sequences(rest) == list(range(last + 1, session.last_sequence + 1))
    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert session.state in TERMINAL
