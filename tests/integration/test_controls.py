"""Sessions that are paused, resumed, cancelled, terminated, retried over the wire."""

import asyncio

import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.commands import LEGAL
from processing_service.engine.records import Action, SessionState
from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import Telemetry
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import echo, paths, refused, serving, wired


@pytest.fixture
async def coordinator(tmp_path):
    """Its sessions wait for a minute, its end does not wait for them."""
    async with serving(tmp_path, drain_grace=0.0) as served:
        yield served


STATES = [state for state in SessionState if state not in (SessionState.PENDING, SessionState.CANCELLING)]
"""Those that a session can be held in from outside; the others are left within milliseconds (test_decide.py)."""


def request(session_id, action, **fields):
    """A command to one session."""
    return pb.PostSessionControlRequest(session_id=session_id, control_action=int(action), **fields)


def control(coordinator, session_id, action, **fields):
    """Gives it."""
    return coordinator.stub.PostSessionControl(request(session_id, action, **fields))


async def until(coordinator, session_id, *states):
    """The session as soon as it is in one of these states."""
    while (session := await coordinator.session(session_id)).state not in states:
        pass
    return session


async def bring(coordinator, state):
    """A session in that state."""
    slow = state in (SessionState.RUNNING, SessionState.PAUSING, SessionState.CANCELLED, SessionState.TERMINATED)
    first = {SessionState.FAILED: "-1s", SessionState.TIMED_OUT: "60s"}.get(state, "60s" if slow else "0.2s")
    await coordinator.put("held", echo("first", delay=first), echo("last", depends_on=["first"]))
    timeout = Duration(nanos=100_000_000) if state is SessionState.TIMED_OUT else None
    session = (await coordinator.execute("held", background=True, timeout=timeout)).session
    action = {
        SessionState.PAUSING: Action.PAUSE,
        SessionState.PAUSED: Action.PAUSE,
        SessionState.CANCELLED: Action.CANCEL,
        SessionState.TERMINATED: Action.TERMINATE,
    }.get(state)
    if action is not None:
        await control(coordinator, session.session_id, action)
    return await until(coordinator, session.session_id, int(state))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
@pytest.mark.parametrize("action", Action, ids=lambda action: action.name)
async def test_a_command_is_taken_or_says_what_would_be_legal(coordinator, state, action):
    """Every action in every state that a session can be held in."""
    session = await bring(coordinator, state)
    if state in LEGAL[action]:
        reply = await control(coordinator, session.session_id, action)
        assert reply.applied
        assert reply.session.last_sequence > session.last_sequence
        return
    error = await refused(control(coordinator, session.session_id, action))
    legal = [other.name for other in Action if state in LEGAL[other]]
    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "SESSION_STATE_ILLEGAL")
    assert error.metadata["state"] == state.name
    assert error.metadata["legal_actions"] == (", ".join(legal) or "nothing")


async def test_a_paused_session_shows_its_calls_and_goes_on(coordinator):
    """PAUSING with one call out, PAUSED without one and with a budget that stands still, then to the end."""
    await coordinator.put("two", echo("first", delay="0.4s"), echo("last", depends_on=["first"]))
    session_id = (await coordinator.execute("two", background=True)).session.session_id
    await until(coordinator, session_id, pb.SESSION_STATE_RUNNING)
    pausing = (await control(coordinator, session_id, Action.PAUSE, comment="lunch")).session
    assert (pausing.state, pausing.in_flight_count) == (pb.SESSION_STATE_PAUSING, 1)

    paused = await until(coordinator, session_id, pb.SESSION_STATE_PAUSED)
    assert (paused.in_flight_count, paused.HasField("deadline_at")) == (0, False)
    left = paused.remaining_budget.ToMicroseconds()
    assert (await coordinator.session(session_id)).remaining_budget.ToMicroseconds() == left
    assert [step.state for step in paused.steps] == [pb.STEP_STATE_SUCCEEDED, pb.STEP_STATE_WAITING]

    await control(coordinator, session_id, Action.RESUME)
    assert (await coordinator.ended(session_id)).state == pb.SESSION_STATE_SUCCEEDED
    events = await coordinator.events(session_id)
    assert "lunch" in [event.message for event in events]


async def test_a_paused_session_stays_paused_over_a_restart(tmp_path):
    """And ends no drain: the server goes at once."""
    async with serving(tmp_path, drain_grace=60.0) as first:
        session = await bring(first, SessionState.PAUSED)
    async with serving(tmp_path) as second:
        assert (await second.session(session.session_id)).state == pb.SESSION_STATE_PAUSED
        await control(second, session.session_id, Action.RESUME)
        assert (await second.ended(session.session_id)).state == pb.SESSION_STATE_SUCCEEDED


async def test_a_retry_keeps_what_succeeded_and_says_so_first(coordinator):
    """The plan names each step; only what failed runs again, in the same session, under a new budget."""
    await coordinator.put(
        "half", echo("good"), echo("bad", delay="-1s", depends_on=["good"]), echo("never", depends_on=["bad"])
    )
    session = (await coordinator.execute("half")).session
    told = await control(coordinator, session.session_id, Action.RETRY, validate_only=True)
    decisions = {step.step_id: pb.ReuseDecision.Name(step.reuse_decision)[15:] for step in told.planned_steps}
    assert decisions == {"good": "REUSE", "bad": "RERUN", "never": "RERUN"}
    assert not told.applied
    assert (await coordinator.session(session.session_id)).last_sequence == session.last_sequence

    reply = await control(coordinator, session.session_id, Action.RETRY, timeout=Duration(seconds=7))
    assert (reply.applied, reply.session.attempt) == (True, 2)
    ended = await coordinator.ended(session.session_id)
    assert ended.state == pb.SESSION_STATE_FAILED
    assert {step.step_id: step.attempt for step in ended.steps} == {"good": 1, "bad": 2, "never": 0}


async def test_a_cancelled_call_has_a_receipt(coordinator):
    """What became of it, and how long that took."""
    session = await bring(coordinator, SessionState.RUNNING)
    await control(coordinator, session.session_id, Action.CANCEL)
    ended = await coordinator.ended(session.session_id)
    (receipt,) = [event.receipt for event in await coordinator.events(session.session_id) if event.HasField("receipt")]

    assert ended.state == pb.SESSION_STATE_CANCELLED
    assert receipt.call_outcome == pb.CALL_OUTCOME_ACKNOWLEDGED
    assert list((await coordinator.session(session.session_id)).receipts) == [receipt]


async def test_a_cancel_ends_the_run_of_a_model_and_a_retry_runs_it_again(coordinator, tmp_path):
    """ONNX Runtime stops within a second; each attempt has a record of its own in the Inference domain."""
    onnx.put(tmp_path / "models", "slow", onnx.slow(rounds=10_000))
    step = {
        "step_id": "run",
        "operation": "inference.post_inference_execute",
        "parameters": {"model_id": "${parameters.model_id}", "inputs": {"x": "${parameters.x}"}},
    }
    parameters = {"model_id": {"value_type": "STRING"}, "x": {"value_type": "TENSOR"}}
    await coordinator.put("think", step, parameters=parameters)
    payloads = {"x": Datum(tensor=from_array(np.ones((400, 400), np.float32)))}
    started = await coordinator.execute("think", model_id="slow", payloads=payloads, background=True)
    session_id, records = started.session.session_id, []
    for action in (Action.CANCEL, Action.RETRY, Action.CANCEL):
        if action is Action.CANCEL:
            records += await in_flight(coordinator, 1)
        await control(coordinator, session_id, action)
        if action is Action.CANCEL:
            async with asyncio.timeout(1):
                await in_flight(coordinator, 0)
            ended = await coordinator.ended(session_id)

    assert (ended.state, ended.attempt) == (pb.SESSION_STATE_CANCELLED, 2)
    assert [receipt.call_outcome for receipt in ended.receipts] == [pb.CALL_OUTCOME_ACKNOWLEDGED] * 2
    assert len({record.inference_session_id for record in records}) == 2


async def in_flight(coordinator, calls):
    """The records of the Inference domain, once that many calls are out for them."""
    request = inference_pb2.GetInferenceSessionsRequest()
    while True:
        records = (await coordinator.inference.GetInferenceSessions(request)).inference_sessions
        if sum(record.in_flight_count for record in records) == calls:
            return records


async def test_a_selector_tells_first_and_then_controls_all(coordinator):
    """The count is the same; sessions of other workflows, and those that have ended, are left alone."""
    await coordinator.put("slow", echo(delay="60s"))
    await coordinator.put("other", echo(delay="60s"))
    await coordinator.put("quick", echo())
    slow = {(await coordinator.execute("slow", background=True)).session.session_id for _ in range(5)}
    other = (await coordinator.execute("other", background=True)).session.session_id
    await coordinator.execute("quick")
    which = pb.SessionSelector(workflow_id="slow")
    told = await control(coordinator, "", Action.CANCEL, selector=which, validate_only=True)
    assert (told.matched_count, set(told.session_ids), told.applied) == (5, slow, False)
    assert (await coordinator.session(other)).state == pb.SESSION_STATE_RUNNING

    done = await control(coordinator, "", Action.CANCEL, selector=which)
    assert (done.matched_count, set(done.session_ids), done.applied) == (5, slow, True)
    for session_id in slow:
        assert (await coordinator.ended(session_id)).state == pb.SESSION_STATE_CANCELLED
    assert (await coordinator.session(other)).state == pb.SESSION_STATE_RUNNING
    again = await control(coordinator, "", Action.CANCEL, selector=which)
    assert (again.matched_count, again.applied) == (0, True)


async def test_a_selector_reaches_more_than_are_told_at_once(coordinator):
    """Each of them is told once, and the reply names them newest first."""
    await coordinator.put("slow", echo(delay="60s"))
    names = [f"s{number}" for number in range(45)]
    for name in names:
        await coordinator.execute("slow", session_id=name, background=True)
    done = await control(coordinator, "", Action.TERMINATE, selector=pb.SessionSelector(workflow_id="slow"))

    assert (done.matched_count, list(done.session_ids), done.applied) == (45, names[::-1], True)
    assert {(await coordinator.session(name)).state for name in names} == {pb.SESSION_STATE_TERMINATED}


async def test_a_caller_without_time_is_answered_and_the_command_goes_on(coordinator):
    """It has 100 ms or less: applied is false, not yet known, and a repeat by request_id would tell."""
    session_id = (await bring(coordinator, SessionState.RUNNING)).session_id
    pause = request(session_id, Action.PAUSE)
    assert not (await coordinator.stub.PostSessionControl(pause, timeout=0.09)).applied
    await until(coordinator, session_id, pb.SESSION_STATE_PAUSING)


async def test_a_repeated_command_is_carried_out_once(coordinator):
    """Also where it would not be legal a second time; another command under the same id is refused."""
    session = await bring(coordinator, SessionState.RUNNING)
    first = await control(coordinator, session.session_id, Action.PAUSE, request_id="r-1")
    repeat = await control(coordinator, session.session_id, Action.PAUSE, request_id="r-1")
    assert (repeat.applied, repeat.session.last_sequence) == (True, first.session.last_sequence)
    error = await refused(control(coordinator, session.session_id, Action.CANCEL, request_id="r-1"))
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    which = pb.SessionSelector(workflow_id="held")
    first = await control(coordinator, "", Action.RESUME, selector=which, request_id="r-2")
    repeat = await control(coordinator, "", Action.RESUME, selector=which, request_id="r-2")
    assert first.matched_count == repeat.matched_count == 1


async def test_sessions_of_other_tenants_are_not_reached(coordinator):
    """Neither by their id nor by a selector, whatever their ids are."""
    tenant = (("coordinator-tenant", "other"),)
    session = await bring(coordinator, SessionState.RUNNING)
    error = await refused(
        coordinator.stub.PostSessionControl(request(session.session_id, Action.CANCEL), metadata=tenant)
    )
    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "SESSION_NOT_FOUND")
    all_of_it = request("", Action.CANCEL, selector=pb.SessionSelector(workflow_id="held"))
    assert (await coordinator.stub.PostSessionControl(all_of_it, metadata=tenant)).matched_count == 0


async def test_two_tenants_may_name_a_session_alike(coordinator):
    """Each one's command reaches its own, while both run."""
    tenant = (("coordinator-tenant", "other"),)
    source = "workflow_id: held\nsteps: [{step_id: say, operation: postprocessing.post_postprocessing_execute, "
    source += "parameters: {echo: {text: hello, delay: 60s}}}]\n"
    start = pb.PostWorkflowExecuteRequest(workflow_id="held", session_id="same", background=True)
    for metadata in ((), tenant):
        await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source), metadata=metadata)
        await coordinator.stub.PostWorkflowExecute(start, metadata=metadata)
    await control(coordinator, "same", Action.CANCEL)
    assert (await coordinator.ended("same")).state == pb.SESSION_STATE_CANCELLED

    ask = pb.GetProcessingSessionRequest(session_id="same")
    other = (await coordinator.stub.GetProcessingSession(ask, metadata=tenant)).session
    assert other.state == pb.SESSION_STATE_RUNNING
    cancel = request("same", Action.CANCEL)
    assert (await coordinator.stub.PostSessionControl(cancel, metadata=tenant)).applied


async def test_a_session_is_retried_or_removed_and_never_both(tmp_path):
    """Whoever comes first wins and the other is told; no call is left out for a session that is gone."""
    async with wired(tmp_path, Telemetry([])) as (process, served):
        await served.put("slow", echo(delay="60s"))
        names = [f"s{number}" for number in range(20)]
        for name in names:
            await served.execute("slow", session_id=name, background=True)
            await control(served, name, Action.TERMINATE)

        def remove(name, *, force):
            return served.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id=name, force=force))

        for name in names:
            both = control(served, name, Action.RETRY), remove(name, force=name in names[::2])
            await asyncio.gather(*both, return_exceptions=True)
        left = set(await served.sessions())
        assert {name for name in names if process.engine.roster.live(name, "") is not None} == left
        for name in left:
            await remove(name, force=True)
        assert (len(process.engine.roster), await served.sessions()) == (0, [])


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [
        ({"control_action": pb.CONTROL_ACTION_PAUSE}, "session_id", "FIELD_CONFLICT"),
        ({"session_id": "s", "selector": pb.SessionSelector(), "control_action": 1}, "session_id", "FIELD_CONFLICT"),
        ({"session_id": "s"}, "control_action", "FIELD_REQUIRED"),
        ({"session_id": "s", "control_action": 77}, "control_action", "FIELD_INVALID"),
        ({"session_id": "s", "control_action": 1, "timeout": Duration(seconds=1)}, "timeout", "FIELD_INVALID"),
        ({"session_id": "s", "control_action": 5, "timeout": Duration(seconds=-1)}, "timeout", "FIELD_INVALID"),
        ({"selector": pb.SessionSelector(), "control_action": 3}, "selector", "FIELD_REQUIRED"),
        (
            {"selector": pb.SessionSelector(states=[pb.SESSION_STATE_SUCCEEDED]), "control_action": 2},
            "selector.states",
            "FIELD_CONFLICT",
        ),
    ],
)
async def test_a_command_that_makes_no_sense_names_the_field(coordinator, fields, path, reason):
    """INVALID_ARGUMENT, and nothing is touched."""
    error = await refused(coordinator.stub.PostSessionControl(pb.PostSessionControlRequest(**fields)))

    assert (error.code, error.reason_name, paths(error)) == (Code.INVALID_ARGUMENT, reason, [path])


async def test_an_unknown_session_and_another_workflow_are_told(coordinator):
    """NOT_FOUND; and a workflow_id that does not fit names the one that does."""
    error = await refused(control(coordinator, "nobody", Action.CANCEL))
    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "SESSION_NOT_FOUND")
    session = await bring(coordinator, SessionState.RUNNING)
    error = await refused(control(coordinator, session.session_id, Action.CANCEL, workflow_id="another"))
    assert (error.reason_name, paths(error)) == ("FIELD_CONFLICT", ["workflow_id"])
    assert "'held'" in error.message


async def test_a_waiting_caller_hears_how_a_paused_session_stands(coordinator):
    """A foreground call does not hang in a pause: it replies shortly before its deadline."""
    await coordinator.put("slow", echo("first", delay="60s"), echo("last", depends_on=["first"]))
    waiting = asyncio.ensure_future(
        coordinator.stub.PostWorkflowExecute(
            pb.PostWorkflowExecuteRequest(workflow_id="slow", session_id="held"), timeout=1.5
        )
    )
    while "held" not in await coordinator.sessions():
        pass
    await until(coordinator, "held", pb.SESSION_STATE_RUNNING)
    await control(coordinator, "held", Action.PAUSE)
    assert (await waiting).session.state == pb.SESSION_STATE_PAUSING
