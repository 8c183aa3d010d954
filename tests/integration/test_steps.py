"""What steps do in a running session: branch, skip, fan out, fail, and start sessions of their own."""

import asyncio

import numpy as np
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import ECHO, EXECUTE, echo, outputs_of, paths, reasons, refused, serving

STATE = pb.StepState.Name


def states(session):
    """State by step, without its prefix."""
    return {step.step_id: STATE(step.state).removeprefix("STEP_STATE_") for step in session.steps}


def kinds(events):
    """Kind and step of each event."""
    return [(pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_"), event.step_id) for event in events]


def child(workflow_id, step_id="child", **parameters):
    """A step that starts a session."""
    return {
        "step_id": step_id,
        "operation": EXECUTE,
        "parameters": {"workflow_id": workflow_id, "parameters": parameters},
    }


async def test_branches_run_at_the_same_time(coordinator):
    """Two steps that need nothing of each other are out together; what joins them comes after both."""
    await coordinator.put(
        "diamond",
        echo("root", text="r"),
        echo("left", text="${steps.root.echo.text}", delay="0.1s"),
        echo("right", text="${steps.root.echo.text}", delay="0.1s"),
        echo("join", text="${steps.left.echo.text + steps.right.echo.text}"),
        outputs={"text": {"value": "${steps.join.echo.text}"}},
    )
    session = (await coordinator.execute("diamond")).session
    history = kinds(await coordinator.events(session.session_id))

    assert outputs_of(session) == {"text": "rr"}
    both = {history.index(("STEP_STARTED", step)) for step in ("left", "right")}
    assert max(both) < min(history.index(("STEP_SUCCEEDED", step)) for step in ("left", "right"))
    assert history.index(("STEP_STARTED", "join")) > history.index(("STEP_SUCCEEDED", "right"))


async def test_a_step_tells_its_times_however_large_its_result(tmp_path):
    """Also of a result whose bytes stand in the artifact store, and after a restart."""
    async with serving(tmp_path) as coordinator:
        await coordinator.put("both", echo("small", delay="0.02s"), echo("large", text="x" * 5000, delay="0.02s"))
        steps = list(
            (await coordinator.session((await coordinator.execute("both", session_id="s")).session.session_id)).steps
        )
    async with serving(tmp_path) as coordinator:
        again = list((await coordinator.session("s")).steps)

    small, large = steps
    assert small.outputs["response"].size_bytes < 4096 < large.outputs["response"].size_bytes
    assert min(step.computing.ToMilliseconds() for step in steps) >= 20
    assert not large.HasField("loading")
    assert again == steps


async def test_a_condition_skips_a_step(coordinator):
    """What hangs on a skipped step runs without it."""
    await coordinator.put(
        "maybe",
        echo("first", condition="parameters.wanted"),
        echo("second", depends_on=["first"]),
        parameters={"wanted": {"value_type": "BOOLEAN"}},
        outputs={"text": {"value": "${steps.second.echo.text}"}},
    )
    off = (await coordinator.execute("maybe", {"wanted": False})).session
    on = (await coordinator.execute("maybe", {"wanted": True})).session

    assert states(await coordinator.session(off.session_id)) == {"first": "SKIPPED", "second": "SUCCEEDED"}
    assert states(await coordinator.session(on.session_id)) == {"first": "SUCCEEDED", "second": "SUCCEEDED"}
    assert outputs_of(off) == {"text": "hello"}


async def test_an_optional_step_may_fail(coordinator):
    """The session goes on and succeeds; what is bound to the step stays unset, and its failure is told."""
    await coordinator.put(
        "lenient",
        echo("bad", delay="-1s", optional=True),
        echo("good", text="${steps.bad.echo.text}", depends_on=["bad"]),
        outputs={"text": {"value": "${steps.good.echo.text}"}},
    )
    session = (await coordinator.execute("lenient")).session
    stored = await coordinator.session(session.session_id)

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert states(stored) == {"bad": "FAILED", "good": "SUCCEEDED"}
    assert stored.steps[0].failure.reason_name == "FIELD_INVALID"


async def test_a_failure_ends_what_runs_beside_it(coordinator):
    """A step that is out when another fails for good is cancelled, not waited for."""
    await coordinator.put("two", echo("bad", delay="-1s"), echo("long", delay="60s"))
    session = (await coordinator.execute("two")).session
    stored = await coordinator.session(session.session_id)

    assert session.state == pb.SESSION_STATE_FAILED
    assert states(stored)["bad"] == "FAILED"
    assert states(stored)["long"] in ("CANCELLED", "WAITING")


async def test_a_foreach_calls_once_for_each_item(coordinator):
    """Outputs are in the order of the items; the history has each of them, and at most max_parallel are out."""
    await coordinator.put(
        "each",
        echo("say", text="${item}", delay="0.02s", foreach={"items": "${parameters.names}", "max_parallel": 2}),
        parameters={"names": {"value_type": "STRING", "is_list": True}},
        outputs={"texts": {"value": "${steps.say.echo.text}"}},
    )
    names = ["a", "b", "c", "d", "e"]
    session = (await coordinator.execute("each", {"names": names})).session
    step = (await coordinator.session(session.session_id)).steps[0]
    out = worst = 0
    for event in await coordinator.events(session.session_id):
        if event.HasField("item_index"):
            out += {pb.EVENT_KIND_STEP_STARTED: 1, pb.EVENT_KIND_STEP_SUCCEEDED: -1}[event.kind]
            worst = max(worst, out)

    assert outputs_of(session) == {"texts": names}
    assert (step.items_done, step.items_total, worst) == (5, 5, 2)


async def test_a_foreach_over_nothing_succeeds(coordinator):
    """No item, no call, an empty list."""
    await coordinator.put(
        "each",
        echo("say", text="${item}", foreach={"items": "${parameters.names}"}),
        parameters={"names": {"value_type": "STRING", "is_list": True}},
        outputs={"texts": {"value": "${steps.say.echo.text}"}},
    )
    session = (await coordinator.execute("each", {"names": []})).session

    assert (session.state, outputs_of(session).get("texts", [])) == (pb.SESSION_STATE_SUCCEEDED, [])


async def test_one_bad_item_fails_the_step_by_its_index(coordinator):
    """The cause names the item in its step key."""
    await coordinator.put(
        "each",
        echo("say", delay="${item}", foreach={"items": "${parameters.delays}"}),
        parameters={"delays": {"value_type": "STRING", "is_list": True}},
    )
    session = (await coordinator.execute("each", {"delays": ["0s", "-1s"]})).session

    assert reasons(session)[-1] == "FIELD_INVALID"
    assert f"{session.session_id}/say[1]#1" in str(session.failure)


async def test_a_step_that_takes_too_long_is_cut(coordinator):
    """Its own timeout ends the attempt; the session has budget left and fails by it, not by its own deadline."""
    await coordinator.put("slow", echo(delay="60s", timeout="0.1s", retry={"max_attempts": 1}))
    session = (await coordinator.execute("slow")).session

    assert session.state == pb.SESSION_STATE_FAILED
    assert "STEP_TIMED_OUT" in reasons(session)


async def test_a_step_is_a_session_of_its_own(coordinator):
    """The child has its parent's id, is found by it, and its outputs are those of the step."""
    await coordinator.put(
        "inner",
        echo("say", text="${parameters.text}"),
        parameters={"text": {"value_type": "STRING"}},
        outputs={"text": {"value": "${steps.say.echo.text}"}},
    )
    await coordinator.put(
        "outer", child("inner", text="from above"), outputs={"text": {"value": "${steps.child.session.outputs.text}"}}
    )
    session = (await coordinator.execute("outer")).session
    request = pb.GetProcessingSessionsRequest(parent_session_id=session.session_id)
    children = (await coordinator.stub.GetProcessingSessions(request)).sessions

    assert outputs_of(session) == {"text": "from above"}
    assert [(one.workflow_id, one.parent_session_id) for one in children] == [("inner", session.session_id)]


async def test_a_child_has_the_budget_of_its_parent_at_most(coordinator):
    """When the parent's budget is over, its child ends too."""
    await coordinator.put("inner", echo(delay="60s"), timeout="120s")
    await coordinator.put("outer", child("inner"))
    session = (await coordinator.execute("outer", timeout=Duration(nanos=300_000_000))).session
    (below,) = await coordinator.children(session.session_id)
    below = await coordinator.ended(below.session_id)

    assert session.state == pb.SESSION_STATE_TIMED_OUT
    assert below.state in (pb.SESSION_STATE_TIMED_OUT, pb.SESSION_STATE_CANCELLED)


async def test_a_parent_is_deleted_with_the_sessions_of_its_steps(coordinator):
    """With force they are cancelled first, down to the last."""
    await coordinator.put("inner", echo(delay="60s"))
    await coordinator.put("middle", child("inner"))
    await coordinator.put("outer", child("middle"))
    session = (await coordinator.execute("outer", background=True)).session
    (middle,) = await coordinator.children(session.session_id)
    await coordinator.children(middle.session_id)
    delete = pb.DeleteProcessingSessionRequest(session_id=session.session_id, force=True)
    await asyncio.wait_for(coordinator.stub.DeleteProcessingSession(delete), 10)

    assert await coordinator.sessions() == []


async def test_the_failure_of_a_child_is_the_cause(coordinator):
    """The chain leads from the parent's step to what the domain said to the child's."""
    await coordinator.put("inner", echo(delay="-1s"))
    await coordinator.put("outer", child("inner"))
    session = (await coordinator.execute("outer")).session

    assert session.state == pb.SESSION_STATE_FAILED
    assert reasons(session)[0] == "STEP_FAILED"
    assert reasons(session)[-1] == "FIELD_INVALID"


async def test_a_later_session_of_the_same_id_has_a_child_of_its_own(coordinator):
    """The children of a session that was deleted are not those of its successor."""
    text = {"text": {"value_type": "STRING"}}
    said = {"text": {"value": "${steps.say.echo.text}"}}
    await coordinator.put("inner", echo(text="${parameters.text}"), parameters=text, outputs=said)
    passed = {"text": {"value": "${steps.child.session.outputs.text}"}}
    await coordinator.put("outer", child("inner", text="${parameters.text}"), parameters=text, outputs=passed)
    await coordinator.execute("outer", {"text": "one"}, session_id="again")
    await coordinator.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="again"))
    session = (await coordinator.execute("outer", {"text": "two"}, session_id="again")).session

    assert outputs_of(session) == {"text": "two"}


async def test_a_child_may_be_unstored(coordinator):
    """Durability NONE of a step is its own; the session above is stored."""
    await coordinator.put("inner", echo())
    step = child("inner")
    step["parameters"]["durability"] = "NONE"
    await coordinator.put("outer", step)
    session = (await coordinator.execute("outer")).session

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert await coordinator.sessions() == [session.session_id]


async def test_a_child_is_found_after_a_restart_although_its_workflow_is_gone(tmp_path):
    """The step waits for the session that it started, whatever became of the definition since."""
    async with serving(tmp_path, drain_grace=0.0) as first:
        await first.put("inner", echo(delay="1s"))
        await first.put("outer", child("inner"))
        await first.execute("outer", session_id="above", background=True)
        while len(await first.sessions()) < 2:
            pass
        await first.stub.DeleteProcessingWorkflow(pb.DeleteProcessingWorkflowRequest(workflow_id="inner"))
    async with serving(tmp_path) as second:
        session = await second.ended("above")

        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert len(await second.sessions()) == 2


async def test_the_end_of_a_parent_ends_its_child_also_after_a_restart(tmp_path):
    """A step that found the session it had started before cancels it as it would have then."""
    async with serving(tmp_path, drain_grace=0.0) as first:
        await first.put("inner", echo(delay="60s"))
        await first.put("outer", child("inner"))
        await first.execute("outer", session_id="above", background=True)
        await first.children("above")
    async with serving(tmp_path) as second:
        delete = pb.DeleteProcessingSessionRequest(session_id="above", force=True)
        await asyncio.wait_for(second.stub.DeleteProcessingSession(delete), 10)

        assert await second.sessions() == []


async def test_a_workflow_that_names_itself_is_refused(coordinator):
    """It would never end, and that can be seen when it is put."""
    error = await refused(coordinator.put("ouroboros", child("ouroboros")))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "WORKFLOW_INVALID")
    assert paths(error) == ["steps[0].parameters.workflow_id"]


async def test_sessions_are_nested_eight_deep(coordinator):
    """Two workflows that call each other end at the ninth level, and every session of them has failed."""
    await coordinator.put("ping", child("pong"))
    await coordinator.put("pong", child("ping"))
    session = (await coordinator.execute("ping")).session
    reply = await coordinator.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest())

    assert session.state == pb.SESSION_STATE_FAILED
    assert {one.state for one in reply.sessions} == {pb.SESSION_STATE_FAILED}
    assert len(reply.sessions) == 9
    assert "SESSION_TOO_DEEP" in reasons(reply.sessions[0])


async def test_the_root_cause_is_told_from_the_outermost_session(coordinator):
    """However deep the sessions are nested, who asked for the first sees why the last failed."""
    await coordinator.put("ping", child("pong"))
    await coordinator.put("pong", child("ping"))
    session = (await coordinator.execute("ping")).session

    assert "SESSION_TOO_DEEP" in str(session.failure)


async def test_a_command_is_not_a_step(coordinator):
    """`post_command_execute` would hide what a step needs; the definition is refused where it says so."""
    step = {"step_id": "any", "operation": "processing.post_command_execute", "parameters": {"operation": "x"}}
    error = await refused(coordinator.put("hidden", step))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "WORKFLOW_INVALID")
    assert "steps[0].operation" in paths(error)


async def test_a_model_runs_as_a_step(coordinator, tmp_path):
    """A tensor goes in as a payload, through ONNX Runtime, and comes out as one; the session's model is pinned."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    await coordinator.put(
        "double",
        {
            "step_id": "run",
            "operation": "inference.post_inference_execute",
            "parameters": {"model_id": "${parameters.model_id}", "inputs": {"x": "${parameters.x}"}},
        },
        parameters={"model_id": {"value_type": "STRING"}, "x": {"value_type": "TENSOR"}},
        outputs={"y": {"value": "${steps.run.outputs.y}"}},
    )
    payloads = {"x": Datum(tensor=from_array(np.ones((2, 3), np.float32)))}
    session = (await coordinator.execute("double", model_id="doubling", payloads=payloads)).session
    error = await refused(coordinator.execute("double", model_id="doublin", payloads=payloads))

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert session.payloads["y"].tensor == from_array(np.full((2, 3), 2, np.float32))
    assert session.model_id == "doubling"
    assert (error.code, error.reason_name, error.metadata["nearest"]) == (
        Code.NOT_FOUND,
        "MODEL_NOT_FOUND",
        "doubling",
    )


async def test_an_expression_that_fails_names_its_step(coordinator):
    """A binding that cannot be evaluated on the values of this session fails the step, and is not tried again."""
    await coordinator.put(
        "divide",
        {
            "step_id": "say",
            "operation": ECHO,
            "parameters": {"echo": {"value": "${1 / parameters.number}"}},
        },
        parameters={"number": {"value_type": "INTEGER"}},
    )
    session = (await coordinator.execute("divide", {"number": 0})).session

    assert session.state == pb.SESSION_STATE_FAILED
    assert "EXPRESSION_FAILED" in reasons(session)
