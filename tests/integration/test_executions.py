"""Executions over the wire: in the foreground and in the background, once and again, with a budget and a wait."""

import asyncio

import grpc
import pytest
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.wire.errors import Code
from tests.coordinators import ECHO, TERMINAL, echo, execution, outputs_of, paths, reasons, refused

SAID = {"text": {"value": "${steps.say.echo.text}"}}
TEXT = {"text": {"value_type": "STRING", "default_value": "hello"}}
DELAY = {"delay": {"value_type": "STRING", "default_value": "0.3s"}}


@pytest.fixture
async def greet(coordinator):
    """A workflow of one step that ends at once."""
    await coordinator.put("greet", echo(text="${parameters.text}"), parameters=TEXT, outputs=SAID)
    return coordinator


@pytest.fixture
async def slow(coordinator):
    """A workflow of one step that takes as long as its parameter says."""
    await coordinator.put("slow", echo(delay="${parameters.delay}"), parameters=DELAY, outputs=SAID)
    return coordinator


async def test_a_foreground_session_comes_back_ended(greet):
    """The reply has state, outputs and times; the stored session is the same with its steps."""
    session = (await greet.execute("greet", {"text": "hi"}, labels={"a": "b"}, priority=7)).session
    stored = await greet.session(session.session_id)

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert outputs_of(session) == {"text": "hi"}
    assert (session.attempt, session.progress, session.priority, dict(session.labels)) == (1, 1.0, 7, {"a": "b"})
    assert session.created_at.ToNanoseconds() <= session.started_at.ToNanoseconds() <= session.ended_at.ToNanoseconds()
    assert stored.steps[0].state == pb.STEP_STATE_SUCCEEDED
    stored.ClearField("steps")
    assert stored == session


async def test_a_background_session_is_durable_when_the_reply_comes(slow):
    """The reply has the session as it stands; it is listed at once and ends by itself."""
    reply = await slow.execute("slow", {"delay": "0.1s"}, background=True)
    listed = await slow.sessions()
    session = await slow.ended(reply.session.session_id)

    assert reply.session.state not in TERMINAL
    assert listed == [reply.session.session_id]
    assert reply.session.owner
    assert session.state == pb.SESSION_STATE_SUCCEEDED


async def test_validate_only_starts_nothing(greet):
    """The reply names the definition that would run; faults are told as they would be."""
    reply = await greet.execute("greet", validate_only=True)
    error = await refused(greet.execute("greet", {"txt": "x"}, validate_only=True))

    assert len(reply.session.workflow_digest) == 64
    assert error.reason_name == "FIELD_UNKNOWN"
    assert await greet.sessions() == []


async def test_the_same_request_is_one_session(greet):
    """A request_id with the same content gives the first session again, also from many callers at once."""
    request = execution("greet", {"text": "hi"}, request_id="once")
    replies = await asyncio.gather(*(greet.stub.PostWorkflowExecute(request) for _ in range(8)))
    again = await greet.stub.PostWorkflowExecute(request)

    assert len({reply.session.session_id for reply in [*replies, again]}) == 1
    assert sum(not reply.repeated_request for reply in replies) == 1
    assert again.repeated_request
    assert outputs_of(again.session) == {"text": "hi"}
    assert len(await greet.sessions()) == 1


async def test_a_request_id_with_other_content_is_refused(greet):
    """ALREADY_EXISTS names both digests, and nothing is started."""
    await greet.execute("greet", {"text": "one"}, request_id="once")
    error = await refused(greet.execute("greet", {"text": "two"}, request_id="once"))

    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata["request_id"] == "once"
    assert error.metadata["first_digest"] != error.metadata["digest"]
    assert len(await greet.sessions()) == 1


async def test_a_repeated_request_waits_for_the_session_that_runs(slow):
    """Who asks again in the foreground gets its end, not a second session."""
    first = await slow.execute("slow", {"delay": "0.3s"}, request_id="once", background=True)
    request = execution("slow", {"delay": "0.3s"}, request_id="once", background=True)
    again = await slow.stub.PostWorkflowExecute(request)
    session = await slow.ended(first.session.session_id)
    late = await slow.stub.PostWorkflowExecute(request)

    assert again.repeated_request
    assert again.session.session_id == session.session_id
    assert late.session.state == pb.SESSION_STATE_SUCCEEDED


async def test_a_request_is_known_although_its_workflow_is_gone(greet):
    """The first answer comes again whatever became of the definition since."""
    first = await greet.execute("greet", request_id="once")
    await greet.stub.DeleteProcessingWorkflow(pb.DeleteProcessingWorkflowRequest(workflow_id="greet"))
    again = await greet.execute("greet", request_id="once")

    assert again.session.session_id == first.session.session_id


async def test_a_request_id_does_not_run_a_session_again_that_was_removed(greet):
    """Whoever repeats the request is told what became of it; with other content it is refused as ever."""
    first = await greet.execute("greet", {"text": "hi"}, request_id="once")
    session_id = first.session.session_id
    await greet.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id=session_id))
    again = await refused(greet.execute("greet", {"text": "hi"}, request_id="once"))
    other = await refused(greet.execute("greet", {"text": "ho"}, request_id="once"))

    assert (again.code, again.reason_name) == (Code.NOT_FOUND, "SESSION_NOT_FOUND")
    assert "removed since" in again.message
    assert other.reason_name == "REQUEST_ID_REUSED"
    assert await greet.sessions() == []


async def test_a_chosen_session_id_is_taken_once(greet):
    """The second session of one id is refused, and the first is untouched."""
    first = (await greet.execute("greet", session_id="mine")).session
    error = await refused(greet.execute("greet", {"text": "other"}, session_id="mine"))

    assert first.session_id == "mine"
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "SESSION_ALREADY_EXISTS")
    assert error.metadata["resource_name"] == "mine"
    assert outputs_of(await greet.session("mine")) == {"text": "hello"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"session_id": "-x"}, "session_id"),
        ({"session_id": "a/b"}, "session_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"request_id": "ü"}, "request_id"),
        ({"timeout": Duration(seconds=-1)}, "timeout"),
        ({"timeout": Duration()}, "timeout"),
        ({"timeout": Duration(seconds=10**9)}, "timeout"),
        ({"priority": 11}, "priority"),
        ({"priority": -1}, "priority"),
        ({"labels": {str(number): "x" for number in range(33)}}, "labels"),
        ({"labels": {"x": "y" * 300}}, "labels"),
        ({"durability": 99}, "durability"),
        ({"admission_class": 99}, "admission_class"),
        ({"durability": pb.DURABILITY_NONE, "background": True}, "durability"),
        ({"durability": pb.DURABILITY_RESULT, "background": True}, "durability"),
        ({"durability": pb.DURABILITY_NONE, "request_id": "r"}, "durability"),
    ],
)
async def test_a_field_that_is_not_allowed_is_named(greet, fields, path):
    """INVALID_ARGUMENT with the path of the field, and no session."""
    error = await refused(greet.execute("greet", **fields))

    assert (error.code, error.reason_name, paths(error)) == (Code.INVALID_ARGUMENT, "FIELD_INVALID", [path])
    assert await greet.sessions() == []


async def test_the_wait_ends_before_the_deadline_and_the_session_goes_on(slow):
    """100 ms before the deadline of the call the reply is the session, RUNNING; its work is not touched."""
    reply = await slow.stub.PostWorkflowExecute(execution("slow", {"delay": "1s"}), timeout=0.5)
    session = await slow.ended(reply.session.session_id)

    assert reply.session.state == pb.SESSION_STATE_RUNNING
    assert reply.session.in_flight_count == 1
    assert 590 < reply.session.remaining_budget.seconds <= 600
    assert session.state == pb.SESSION_STATE_SUCCEEDED


async def test_a_budget_that_is_over_is_a_reply(slow):
    """TIMED_OUT comes with status OK, the cause in its failure, and no retry."""
    session = (await slow.execute("slow", {"delay": "60s"}, timeout=Duration(nanos=200_000_000))).session
    stored = await slow.session(session.session_id)

    assert session.state == stored.state == pb.SESSION_STATE_TIMED_OUT
    assert session.failure.reason_name == "DEADLINE_EXCEEDED"
    assert stored.steps[0].attempt == 1


async def test_the_workflow_names_the_budget(coordinator):
    """A session whose caller names none has that of its workflow."""
    await coordinator.put("slow", echo(delay="60s"), timeout="0.2s")
    session = (await coordinator.execute("slow")).session

    assert session.state == pb.SESSION_STATE_TIMED_OUT


async def test_a_session_that_failed_is_a_reply(coordinator):
    """Status OK with state FAILED and the chain of causes: the step, then what the domain said."""
    await coordinator.put("bad", echo(delay="-1s"))
    session = (await coordinator.execute("bad")).session
    step = (await coordinator.session(session.session_id)).steps[0]

    assert session.state == pb.SESSION_STATE_FAILED
    assert reasons(session) == ["STEP_FAILED", "FIELD_INVALID"]
    cause = session.failure.cause
    assert cause.step_key == f"{session.session_id}/say#1"
    assert [violation.field_path for violation in cause.field_violations] == ["echo.delay"]
    assert (step.state, step.attempt, step.failure.reason_name) == (pb.STEP_STATE_FAILED, 1, "FIELD_INVALID")


async def test_a_caller_that_leaves_does_not_end_the_session(slow):
    """The cancel of a caller bounds its wait alone."""
    call = slow.stub.PostWorkflowExecute(execution("slow", {"delay": "0.3s"}, session_id="s"))
    async for update in slow.watch_when_there("s"):
        if update.event.kind == pb.EVENT_KIND_STEP_STARTED:
            call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert (await slow.session("s")).state == pb.SESSION_STATE_SUCCEEDED


async def test_cancel_on_disconnect_ends_it(slow):
    """A caller that asked for it takes its session along: the call is cancelled, and the history says who left."""
    call = slow.stub.PostWorkflowExecute(execution("slow", {"delay": "60s"}, session_id="s", cancel_on_disconnect=True))
    async for update in slow.watch_when_there("s"):
        if update.event.kind == pb.EVENT_KIND_STEP_STARTED:
            call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    session = await slow.session("s")
    commands = [event for event in await slow.events("s") if event.kind == pb.EVENT_KIND_COMMAND_APPLIED]

    assert session.state == pb.SESSION_STATE_CANCELLED
    assert [(event.control_action, event.actor) for event in commands] == [(pb.CONTROL_ACTION_CANCEL, "caller")]


async def test_without_durability_there_is_no_record(slow):
    """NONE gives the outputs and nothing else; while it runs, who asks for it is told why there is nothing."""
    call = slow.stub.PostWorkflowExecute(
        execution("slow", {"delay": "0.5s"}, session_id="s", durability=pb.DURABILITY_NONE)
    )
    stub, which = slow.stub, {"session_id": "s"}
    found = set()
    while not call.done():
        for ask in (
            stub.GetProcessingSession(pb.GetProcessingSessionRequest(**which)),
            stub.GetProcessingSessionEvents(pb.GetProcessingSessionEventsRequest(**which)),
            stub.WatchProcessingSession(pb.WatchProcessingSessionRequest(**which)),
            stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(**which)),
        ):
            error = await refused(ask)
            found.add((error.code, error.reason_name))
    session = (await call).session

    assert (Code.NOT_FOUND, "SESSION_NOT_STORED") in found
    assert found <= {(Code.NOT_FOUND, "SESSION_NOT_STORED"), (Code.NOT_FOUND, "SESSION_NOT_FOUND")}
    assert (session.state, outputs_of(session)) == (pb.SESSION_STATE_SUCCEEDED, {"text": "hello"})
    assert await slow.sessions() == []


async def test_durability_of_the_result_stores_the_whole_session(greet):
    """RESULT overlaps the start with the first call; afterwards all of it is there."""
    session = (await greet.execute("greet", durability=pb.DURABILITY_RESULT)).session
    stored = await greet.session(session.session_id)

    assert session.durability == pb.DURABILITY_RESULT
    assert (stored.state, outputs_of(stored)) == (pb.SESSION_STATE_SUCCEEDED, {"text": "hello"})
    assert [event.sequence for event in await greet.events(session.session_id)] == [1, 2, 3, 4]


async def test_a_name_in_parameters_and_payloads_is_a_conflict(coordinator):
    """INVALID_ARGUMENT names the field; nothing starts."""
    await coordinator.put(
        "keep",
        {"step_id": "say", "operation": ECHO, "parameters": {"echo": {"datum": "${parameters.data}"}}},
        parameters={"data": {"value_type": "BYTES"}},
    )
    payloads = {"data": Datum(inline_bytes=b"x")}
    error = await refused(coordinator.execute("keep", {"data": "x"}, payloads=payloads))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_CONFLICT")
    assert "data" in error.message
    assert await coordinator.sessions() == []


async def test_a_trace_context_that_is_none_disturbs_nothing(greet):
    """Whatever stands in traceparent, the session runs; a valid one is its trace."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    run = greet.stub.PostWorkflowExecute
    bad = await run(execution("greet"), metadata=(("traceparent", "garbage"),))
    good = await run(execution("greet"), metadata=(("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),))

    assert (bad.session.state, bad.session.trace_id) == (pb.SESSION_STATE_SUCCEEDED, "")
    assert good.session.trace_id == trace


async def test_a_deadline_in_the_past_starts_nothing(greet):
    """DEADLINE_EXCEEDED before any work."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await greet.stub.PostWorkflowExecute(execution("greet"), timeout=-1)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await greet.sessions() == []
