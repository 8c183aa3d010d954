"""Budgets, timeouts, waits: what a session may take, what it is refused for, and that none of it passes in a pause."""

from dataclasses import replace

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from processing_service.engine.records import Action
from processing_service.server.coordinator import now_us
from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import Telemetry
from tests.coordinators import EXECUTE, echo, reasons, wired

GREET = {"step_id": "greet", "operation": "greetings.greet", "parameters": {"person_name": "Ada"}}
HOUR_US = 3600 * 1_000_000


class Clock:
    """The time of day, and as much later as the test says."""

    def __init__(self):
        self.later_us = 0

    def __call__(self):
        return now_us() + self.later_us


@pytest.fixture
def clock():
    """The coordinator's clock."""
    return Clock()


@pytest.fixture
async def served(tmp_path, clock, greetings):
    """A coordinator with that clock, and a foreign domain that takes one call at a time."""
    one_at_a_time = replace(greetings, max_in_flight=1)
    parts = wired(tmp_path, Telemetry([]), clock, foreign_domains=(one_at_a_time,), drain_grace=0.0)
    async with parts as (_, served):
        yield served


def seconds(value):
    """As a duration."""
    duration = Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


async def control(served, session_id, action):
    """Gives a command."""
    request = pb.PostSessionControlRequest(session_id=session_id, control_action=int(action))
    return (await served.stub.PostSessionControl(request)).session


async def until(served, session_id, state):
    """The session as soon as it is in this state."""
    while (session := await served.session(session_id)).state != state:
        pass
    return session


async def until_said(served, session_id, text):
    """Returns once a call of the session says that of itself."""
    async for update in served.watch(session_id):
        if text in update.session_progress.message:
            return


async def test_a_step_that_cannot_finish_in_what_is_left_fails_early(served):
    """Five calls took 0.2 s: a session of 0.1 s does not begin another, and says what it needs and what it has."""
    await served.put("one", echo("say", delay="0.2s"))
    for _ in range(5):
        await served.execute("one")
    session = (await served.execute("one", timeout=seconds(0.1))).session

    assert (session.state, reasons(session)) == (pb.SESSION_STATE_FAILED, ["STEP_FAILED", "BUDGET_TOO_SHORT"])
    cause = session.failure.cause
    assert cause.status_code == Code.DEADLINE_EXCEEDED
    assert float(cause.metadata["needed_seconds"]) >= 0.2 > 0.1 >= float(cause.metadata["left_seconds"])
    kinds = [event.kind for event in await served.events(session.session_id)]
    assert pb.EVENT_KIND_STEP_RETRY_SCHEDULED not in kinds
    assert (await served.execute("one")).session.state == pb.SESSION_STATE_SUCCEEDED


async def test_a_child_fails_early_at_depth(served):
    """Three sessions deep what is left is that of the outermost, and who asked for that sees both numbers."""

    def below(workflow_id):
        return {"step_id": "child", "operation": EXECUTE, "parameters": {"workflow_id": workflow_id}}

    await served.put("innermost", echo(delay="0.2s"), timeout="60s")
    await served.put("inner", below("innermost"))
    await served.put("outer", below("inner"))
    for _ in range(5):
        assert (await served.execute("outer")).session.state == pb.SESSION_STATE_SUCCEEDED
    session = (await served.execute("outer", timeout=seconds(0.15))).session
    failure = session.failure
    while failure.HasField("cause"):
        failure = failure.cause

    assert session.state == pb.SESSION_STATE_FAILED
    assert failure.reason_name == "BUDGET_TOO_SHORT"
    assert float(failure.metadata["needed_seconds"]) >= 0.2 > float(failure.metadata["left_seconds"])


async def test_a_pause_may_be_longer_than_the_budget(served, clock):
    """An hour within a budget of 10 min, by the clock of the coordinator: what was left is left."""
    await served.put("two", echo("first", delay="0.2s"), echo("last", delay="0.2s", depends_on=["first"]))
    session_id = (await served.execute("two", background=True)).session.session_id
    await control(served, session_id, Action.PAUSE)
    paused = await until(served, session_id, pb.SESSION_STATE_PAUSED)
    clock.later_us = HOUR_US
    assert (await served.session(session_id)).remaining_budget == paused.remaining_budget
    resumed = await control(served, session_id, Action.RESUME)
    left = resumed.deadline_at.ToMicroseconds() - clock()

    assert (await served.ended(session_id)).state == pb.SESSION_STATE_SUCCEEDED
    assert 590e6 < left < 600e6


async def test_a_call_that_its_deadline_ends_in_a_pause_is_tried_again_after_it(served, greeter):
    """It keeps the deadline that it left with; its retry waits for RESUME and has what was left of the budget."""
    greeter.go.clear()
    await served.put("greet", GREET)
    session_id = (await served.execute("greet", background=True, timeout=seconds(1))).session.session_id
    await greeter.asked(1)
    await control(served, session_id, Action.PAUSE)
    paused = await until(served, session_id, pb.SESSION_STATE_PAUSED)
    greeter.go.set()
    await control(served, session_id, Action.RESUME)

    assert paused.steps[0].state == pb.STEP_STATE_WAITING
    assert paused.steps[0].failure.reason_name == "STEP_TIMED_OUT"
    assert (await served.ended(session_id)).state == pb.SESSION_STATE_SUCCEEDED
    assert [metadata["coordinator-attempt"] for metadata in greeter.metadata] == ["1", "2"]
    assert max(greeter.remaining) < 1


async def test_the_delay_of_a_retry_stands_still_in_a_pause(served, greeter, clock):
    """Of an hour, after which what is left is waited, and no more."""
    wait = Any()
    wait.Pack(error_details_pb2.RetryInfo(retry_delay=seconds(30)))
    greeter.statuses = [status_pb2.Status(code=Code.UNAVAILABLE, message="later", details=[wait])]
    await served.put("greet", GREET)
    session_id = (await served.execute("greet", background=True)).session.session_id
    while not (await served.session(session_id)).steps[0].HasField("failure"):
        pass
    await control(served, session_id, Action.PAUSE)
    clock.later_us = HOUR_US
    await control(served, session_id, Action.RESUME)
    assert (await served.session(session_id)).steps[0].state == pb.STEP_STATE_WAITING
    clock.later_us += 30_000_000
    assert (await served.ended(session_id)).state == pb.SESSION_STATE_SUCCEEDED


async def test_a_call_that_waits_for_its_turn_is_taken_back_in_a_pause(served, greeter, clock):
    """The session is PAUSED at once, longer than its budget; after it the call stands in the line again."""
    greeter.go.clear()
    await served.put("greet", GREET)
    await served.put("queued", {**GREET, "max_queued": "60s"}, echo("last", depends_on=["greet"]))
    first = (await served.execute("greet", background=True, timeout=seconds(3 * 3600))).session.session_id
    await greeter.asked(1)
    session_id = (await served.execute("queued", background=True, timeout=seconds(60))).session.session_id
    await until_said(served, session_id, "waits for its turn")
    await control(served, session_id, Action.PAUSE)
    await until(served, session_id, pb.SESSION_STATE_PAUSED)
    clock.later_us = HOUR_US
    await control(served, session_id, Action.RESUME)
    await until_said(served, session_id, "waits for its turn")
    greeter.go.set()

    assert (await served.ended(session_id)).state == pb.SESSION_STATE_SUCCEEDED
    assert (await served.ended(first)).state == pb.SESSION_STATE_SUCCEEDED
