"""Steps that take what was computed before, over the wire; a domain beside the server counts the calls."""

import json
import os

import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine.records import Action
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import EXECUTE, echo, execution, outputs_of, paths, refused, serving
from tests.greetings import greeting_address, greetings

__all__ = ["greeting_address", "greetings"]

RUN = "inference.post_inference_execute"
OTHER = (("coordinator-tenant", "other"),)
X = {"x": {"value_type": "TENSOR"}}
DATA = {"x": Datum(tensor=from_array(np.ones((1, 3), np.float32)))}
NAME = {"name": {"value_type": "STRING"}, "other": {"value_type": "STRING", "default_value": "x"}}
REUSE, RERUN = pb.REUSE_DECISION_REUSE, pb.REUSE_DECISION_RERUN


@pytest.fixture
async def coordinator(tmp_path, greetings):
    """It knows the counting domain."""
    async with serving(tmp_path, foreign_domains=(greetings,), drain_grace=0.0) as served:
        yield served


@pytest.fixture
def called(greeter):
    """Steps that called the domain since it was last asked, sorted."""

    def told():
        keys = [metadata["coordinator-idempotency-key"] for metadata in greeter.metadata]
        greeter.metadata.clear()
        return sorted(key.split("/")[1].split("#")[0] for key in keys)

    return told


def greet(step_id, name, operation="greetings.greet", **parts):
    """A step that calls the counting domain."""
    return {"step_id": step_id, "operation": operation, "parameters": {"person_name": name}, **parts}


CHAIN = (
    greet("first", "${parameters.name}"),
    greet("second", "${steps.first.greeting}"),
    greet("beside", "${parameters.other}"),
)
PURE = tuple(step | {"pure": True} for step in CHAIN)
SAID = {"text": {"value": "${steps.second.greeting}"}}


def decisions(reply):
    """What is planned of each step."""
    return {step.step_id: step.reuse_decision for step in reply.planned_steps}


def why(reply, step_id):
    """The reason that a plan gives for a step."""
    return next(step.reason for step in reply.planned_steps if step.step_id == step_id)


async def source_of(coordinator, session_id):
    """Whose output each step took."""
    return {step.step_id: step.reused_from_step_key for step in (await coordinator.session(session_id)).steps}


async def test_a_pure_step_takes_what_was_computed_before(coordinator, called):
    """No call for equal inputs, one for each that is new; history and steps say whose output it is."""
    await coordinator.put("chain", *PURE, parameters=NAME, outputs=SAID, reuse_enabled=True)
    first = (await coordinator.execute("chain", {"name": "Ada"}, session_id="a")).session
    assert called() == ["beside", "first", "second"]

    again = (await coordinator.execute("chain", {"name": "Ada"}, session_id="b")).session
    assert called() == []
    assert outputs_of(again) == outputs_of(first) == {"text": "Hello Hello Ada"}
    assert await source_of(coordinator, "b") == {"first": "a/first#1", "second": "a/second#1", "beside": "a/beside#1"}
    reused = [event for event in await coordinator.events("b") if event.kind == pb.EVENT_KIND_STEP_REUSED]
    assert {event.reused_from_step_key for event in reused} == {"a/first#1", "a/second#1", "a/beside#1"}
    assert all(event.outputs["response"].digest for event in reused)

    await coordinator.execute("chain", {"name": "Grace"})
    assert called() == ["first", "second"]


async def test_without_leave_every_step_makes_its_call(coordinator, called):
    """Reuse is off by default: neither `pure` alone nor `reuse_enabled` alone takes or leaves anything."""
    for number, (steps, enabled) in enumerate([(PURE, False), (CHAIN, True), (PURE, True)]):
        await coordinator.put("chain", *steps, parameters=NAME, reuse_enabled=enabled)
        await coordinator.execute("chain", {"name": "Ada"}, session_id=f"s{number}")
        assert called() == ["beside", "first", "second"]


async def test_a_result_goes_on_with_whoever_took_it(coordinator, called):
    """The session that made it may go; when the last that took it is gone, it is computed again."""
    await coordinator.put("chain", *PURE, parameters=NAME, reuse_enabled=True)
    await coordinator.execute("chain", {"name": "Ada"}, session_id="a")
    await coordinator.execute("chain", {"name": "Ada"}, session_id="b")
    await coordinator.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="a"))
    called()
    await coordinator.execute("chain", {"name": "Ada"}, session_id="c")
    assert called() == []
    assert (await source_of(coordinator, "c"))["first"] == "a/first#1"

    for session_id in ("b", "c"):
        await coordinator.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id=session_id))
    await coordinator.execute("chain", {"name": "Ada"})
    assert called() == ["beside", "first", "second"]


async def test_items_are_taken_one_by_one(coordinator, called):
    """Of a foreach only the items that are new make a call, in whichever order they come."""
    await coordinator.put(
        "each",
        greet("say", "${item}", pure=True, foreach={"items": "${parameters.names}"}),
        parameters={"names": {"value_type": "STRING", "is_list": True}},
        outputs={"texts": {"value": "${steps.say.greeting}"}},
        reuse_enabled=True,
    )
    await coordinator.execute("each", {"names": ["a", "b", "c"]}, session_id="s")
    assert called() == ["say[0]", "say[1]", "say[2]"]
    session = (await coordinator.execute("each", {"names": ["c", "d", "a"]})).session
    assert called() == ["say[1]"]
    assert outputs_of(session) == {"texts": ["Hello c", "Hello d", "Hello a"]}
    taken = {e.item_index: e.reused_from_step_key for e in await coordinator.events(session.session_id) if e.kind == 8}
    assert taken == {0: "s/say[2]#1", 2: "s/say[0]#1"}


async def test_a_large_result_stays_as_long_as_a_session_refers_to_it(tmp_path, greetings, called):
    """Its bytes are in the artifact store; who took it holds them, too, over a restart."""
    name = "x" * 10_000
    async with serving(tmp_path, foreign_domains=(greetings,)) as coordinator:
        await coordinator.put("chain", *PURE, parameters=NAME, outputs=SAID, reuse_enabled=True)
        await coordinator.execute("chain", {"name": name}, session_id="a")
        await coordinator.execute("chain", {"name": name}, session_id="b")
        await coordinator.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="a"))
    for artifact in (tmp_path / "store" / "artifacts").glob("??/*"):
        os.utime(artifact, (0, 0))  # as after the grace
    store = SqliteStore(StoreSettings(tmp_path / "store"))
    await store.sweep()
    await store.close()
    called()
    async with serving(tmp_path, foreign_domains=(greetings,)) as coordinator:
        session = (await coordinator.execute("chain", {"name": name})).session
        assert called() == []
        assert outputs_of(session) == {"text": "Hello Hello " + name}


async def test_a_result_whose_bytes_are_gone_is_computed_again(tmp_path, greetings, called):
    """A missing or damaged file is no reason to fail."""
    async with serving(tmp_path, foreign_domains=(greetings,)) as coordinator:
        await coordinator.put("chain", *PURE, parameters=NAME, outputs=SAID, reuse_enabled=True)
        await coordinator.execute("chain", {"name": "x" * 10_000}, session_id="a")
        digests = [step.outputs["response"].digest for step in (await coordinator.session("a")).steps]
        (tmp_path / "store" / "artifacts" / digests[0][:2] / digests[0]).unlink()
        (tmp_path / "store" / "artifacts" / digests[1][:2] / digests[1]).write_bytes(b"damaged")
        called()
        session = (await coordinator.execute("chain", {"name": "x" * 10_000})).session
        assert called() == ["first", "second"]
        assert outputs_of(session) == {"text": "Hello Hello " + "x" * 10_000}


async def test_another_tenant_takes_nothing(coordinator, called):
    """Results are known by tenant and computation, former sessions by tenant and session_id."""
    source = json.dumps({"workflow_id": "chain", "steps": PURE, "parameters": NAME, "reuse_enabled": True})
    put = pb.PutProcessingWorkflowRequest(source=source)
    for tenant in ((), OTHER):
        await coordinator.stub.PutProcessingWorkflow(put, metadata=tenant)
    await coordinator.execute("chain", {"name": "Ada"}, session_id="a")
    called()
    asked = execution("chain", {"name": "Ada"})
    await coordinator.stub.PostWorkflowExecute(asked, metadata=OTHER)
    assert called() == ["beside", "first", "second"]
    asked.from_session_id = "a"
    error = await refused(coordinator.stub.PostWorkflowExecute(asked, metadata=OTHER))
    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "SESSION_NOT_FOUND")


async def test_a_session_from_a_former_one_says_first_what_it_runs(coordinator, called):
    """Pure or not: unchanged steps are taken, the others say which input changed; the plan is then what happens."""
    await coordinator.put("chain", *CHAIN, parameters=NAME, outputs=SAID)
    await coordinator.execute("chain", {"name": "Ada"}, session_id="a")
    called()
    told = await coordinator.execute("chain", {"name": "Grace"}, from_session_id="a", validate_only=True)
    assert decisions(told) == {"first": RERUN, "second": RERUN, "beside": REUSE}
    assert why(told, "first").startswith("input person_name changed (SHA-256 ")
    assert why(told, "second") == "step 'first' before it runs again"
    assert why(told, "beside") == "operation, inputs and model are those of a/beside#1"
    assert called() == []
    assert await coordinator.sessions() == ["a"]

    reply = await coordinator.execute("chain", {"name": "Grace"}, from_session_id="a", session_id="b")
    assert called() == ["first", "second"]
    assert reply.planned_steps == told.planned_steps
    assert outputs_of(reply.session) == {"text": "Hello Hello Grace"}
    assert await source_of(coordinator, "b") == {"first": "", "second": "", "beside": "a/beside#1"}

    reply = await coordinator.execute("chain", {"name": "Grace"}, from_session_id="b", session_id="c")
    assert called() == []
    assert set(decisions(reply).values()) == {REUSE}
    assert await source_of(coordinator, "c") == {"first": "b/first#1", "second": "b/second#1", "beside": "a/beside#1"}


async def test_what_depends_on_a_step_that_ran_runs_also_if_its_inputs_are_the_same(coordinator, called):
    """A step may do more than answer; and the plan, which cannot know the answer, has to be what happens."""
    steps = (greet("first", "${parameters.name}"), greet("after", "always the same", depends_on=["first"], pure=True))
    await coordinator.put("order", *steps, parameters=NAME, reuse_enabled=True)
    await coordinator.execute("order", {"name": "Ada"}, session_id="a")
    called()
    reply = await coordinator.execute("order", {"name": "Grace"}, from_session_id="a")
    assert decisions(reply) == {"first": RERUN, "after": RERUN}
    assert called() == ["after", "first"]


async def test_another_version_of_the_workflow_reruns_what_it_changes(coordinator, called):
    """Steps are matched by name; new ones run, and one with another operation does."""
    await coordinator.put("chain", *CHAIN, parameters=NAME)
    await coordinator.execute("chain", {"name": "Ada"}, session_id="a")
    called()
    changed = (
        greet("beside", "${parameters.other}", operation="greetings.put_name"),
        greet("first", "${parameters.name}", retry={"max_attempts": 7}),
        greet("second", "${'dear ' + steps.first.greeting}"),
        greet("third", "${steps.first.greeting}"),
    )
    await coordinator.put("chain", *changed, parameters=NAME)
    told = await coordinator.execute("chain", {"name": "Ada"}, from_session_id="a")
    assert called() == ["beside", "second", "third"]
    assert decisions(told) == {"first": REUSE, "beside": RERUN, "second": RERUN, "third": RERUN}
    assert why(told, "beside") == "its operation changed: it was greetings.greet"
    assert why(told, "third") == "session 'a' has no step of that name"
    assert "input person_name changed" in why(told, "second")


async def test_conditions_and_items_of_a_former_session(coordinator, called):
    """What is skipped makes no call; of a foreach the items that are known make none."""
    await coordinator.put(
        "each",
        greet("say", "${item}", foreach={"items": "${parameters.names}"}),
        greet("more", "more", condition="size(parameters.names) > 2"),
        greet("last", "last", depends_on=["more"]),
        parameters={"names": {"value_type": "STRING", "is_list": True}},
    )
    await coordinator.execute("each", {"names": ["a", "b"]}, session_id="a")
    assert called() == ["last", "say[0]", "say[1]"]
    reply = await coordinator.execute("each", {"names": ["b", "c"]}, from_session_id="a", session_id="b")
    assert called() == ["say[1]"]
    assert decisions(reply) == {"say": RERUN, "more": REUSE, "last": REUSE}
    assert why(reply, "say") == "1 of 2 calls: new inputs"
    reply = await coordinator.execute("each", {"names": ["b", "c", "d"]}, from_session_id="b")
    assert called() == ["last", "more", "say[2]"]
    assert why(reply, "more") == "it is SKIPPED in session 'b'"


async def test_what_failed_runs_again_and_what_succeeded_does_not(coordinator, called):
    """From a session that failed, with the parameter mended."""
    await coordinator.put(
        "half",
        greet("good", "${parameters.name}"),
        echo("bad", delay="${parameters.other}", depends_on=["good"]),
        greet("last", "${steps.good.greeting}", depends_on=["bad"]),
        parameters=NAME,
    )
    failed = (await coordinator.execute("half", {"name": "Ada", "other": "-1s"}, session_id="a")).session
    assert (failed.state, called()) == (pb.SESSION_STATE_FAILED, ["good"])
    reply = await coordinator.execute("half", {"name": "Ada", "other": "0s"}, from_session_id="a")
    assert reply.session.state == pb.SESSION_STATE_SUCCEEDED
    assert decisions(reply) == {"good": REUSE, "bad": RERUN, "last": RERUN}
    assert why(reply, "bad") == "it is FAILED in session 'a'"
    assert called() == ["last"]


async def test_items_that_succeeded_are_taken_although_their_step_failed(coordinator):
    """Each item is a computation of its own; what a RETRY would run again, a session from it does not."""
    await coordinator.put(
        "each",
        echo("say", delay="${item}", foreach={"items": "${parameters.delays}", "max_parallel": 1}),
        parameters={"delays": {"value_type": "STRING", "is_list": True}},
    )
    failed = (await coordinator.execute("each", {"delays": ["0.01s", "0.02s", "-1s"]}, session_id="a")).session
    assert failed.state == pb.SESSION_STATE_FAILED
    reply = await coordinator.execute("each", {"delays": ["0.01s", "0.02s", "0.03s"]}, from_session_id="a")
    assert reply.session.state == pb.SESSION_STATE_SUCCEEDED
    assert why(reply, "say") == "1 of 3 calls: new inputs"
    taken = [event.reused_from_step_key for event in await coordinator.events(reply.session.session_id)]
    assert sorted(filter(None, taken)) == ["a/say[0]#1", "a/say[1]#1"]


async def test_sessions_of_steps_always_run(coordinator, called):
    """What a session of its own did is known to nobody but itself."""
    await coordinator.put("inner", greet("say", "same", pure=True), reuse_enabled=True)
    child = {"step_id": "child", "operation": EXECUTE, "parameters": {"workflow_id": "inner"}, "pure": True}
    await coordinator.put("outer", child, reuse_enabled=True)
    await coordinator.execute("outer", session_id="a")
    assert called() == ["say"]
    reply = await coordinator.execute("outer", from_session_id="a")
    assert decisions(reply) == {"child": RERUN}
    assert "a session of its own" in why(reply, "child")
    assert called() == []  # the session did run, and its own step took what was there


async def test_payloads_count_by_their_content(coordinator, greeter, called):
    """A reference by its digest: the same content again is the same input, other content is not."""
    await coordinator.put(
        "look",
        {
            "step_id": "see",
            "operation": "greetings.greet",
            "parameters": {"person_name": "Ada", "picture": {"inline_bytes": "${parameters.picture}"}},
            "pure": True,
        },
        parameters={"picture": {"value_type": "BYTES"}},
        reuse_enabled=True,
    )
    for value, calls in ((1, ["see"]), (1, []), (2, ["see"])):
        picture = Datum(inline_bytes=bytes([value]) * 300_000)
        session = (await coordinator.execute("look", payloads={"picture": picture})).session
        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert called() == calls


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        pytest.param({"from_session_id": "nobody"}, Code.NOT_FOUND, "SESSION_NOT_FOUND", id="unknown"),
        pytest.param({"from_session_id": "an id"}, Code.INVALID_ARGUMENT, "FIELD_INVALID", id="no id"),
        pytest.param({"from_session_id": "other"}, Code.INVALID_ARGUMENT, "FIELD_CONFLICT", id="another workflow"),
        pytest.param({"from_session_id": "live"}, Code.FAILED_PRECONDITION, "SESSION_STATE_ILLEGAL", id="live"),
    ],
)
@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_former_session_that_will_not_do(coordinator, fields, code, reason, validate_only):
    """Unknown, live, of another workflow: refused with what would do, and nothing starts."""
    await coordinator.put("chain", *CHAIN, parameters=NAME)
    await coordinator.put("rest", echo("say"))
    await coordinator.put("slow", echo("say", delay="60s"))
    await coordinator.execute("rest", session_id="other")
    await coordinator.execute("slow", session_id="live", background=True)
    workflow_id = "slow" if fields["from_session_id"] == "live" else "chain"
    parameters = {} if workflow_id == "slow" else {"name": "Ada"}
    error = await refused(coordinator.execute(workflow_id, parameters, validate_only=validate_only, **fields))
    assert (error.code, error.reason_name) == (code, reason)
    if code is Code.INVALID_ARGUMENT:
        assert list(paths(error)) == ["from_session_id"]
    if code is Code.FAILED_PRECONDITION:
        assert error.metadata["state"] in ("PENDING", "RUNNING")  # as its row says, which may be behind
        assert "CANCEL" in error.metadata["legal_actions"]
    assert sorted(await coordinator.sessions()) == ["live", "other"]
    control = pb.PostSessionControlRequest(session_id="live", control_action=int(Action.TERMINATE))
    await coordinator.stub.PostSessionControl(control)


def run(step_id, model_id, **parts):
    """A step that runs a model on the tensor x."""
    parameters = {"model_id": model_id, "inputs": {"x": "${parameters.x}"}}
    return {"step_id": step_id, "operation": RUN, "parameters": parameters, **parts}


async def runs(coordinator):
    """How often a model ran since the start of the process."""
    request = inference_pb2.GetInferenceCacheRequest()
    return sum(model.run_count for model in (await coordinator.inference.GetInferenceCache(request)).models)


def again(metadata):
    """The doubling model in other bytes: another digest."""
    return onnx.doubling(metadata={"build": metadata})


@pytest.mark.parametrize("pinned", [False, True], ids=["named in the step", "the session's"])
async def test_another_digest_of_a_model_is_another_computation(coordinator, tmp_path, pinned):
    """The digest of the version that would run counts, whoever names the model, also where the request says none."""
    onnx.put(tmp_path / "models", "doubling", again("1"))
    model = "${parameters.model_id}" if pinned else "doubling"
    parameters = X | ({"model_id": {"value_type": "STRING"}} if pinned else {})
    fields = {"payloads": DATA, "model_id": "doubling" if pinned else ""}
    await coordinator.put(
        "double",
        run("one", model, pure=True),
        echo("two", text="${string(size(steps.one.outputs))}", pure=True),
        parameters=parameters,
        reuse_enabled=True,
    )
    for expected in (1, 1):
        assert (await coordinator.execute("double", **fields)).session.state == pb.SESSION_STATE_SUCCEEDED
        assert await runs(coordinator) == expected

    last = (await coordinator.execute("double", session_id="a", **fields)).session
    assert last.state == pb.SESSION_STATE_SUCCEEDED
    onnx.put(tmp_path / "models", "doubling", again("2"), version="2")
    told = await coordinator.execute("double", from_session_id="a", validate_only=True, **fields)
    assert decisions(told) == {"one": RERUN, "two": RERUN}
    assert why(told, "one").startswith("model 'doubling' changed: 2@")
    assert ", was 1@" in why(told, "one")
    await coordinator.execute("double", session_id="b", **fields)
    assert await runs(coordinator) == 2
    assert (await source_of(coordinator, "b"))["one"] == ""
    reply = await coordinator.execute("double", from_session_id="b", **fields)
    assert set(decisions(reply).values()) == {REUSE}
    assert await runs(coordinator) == 2


@pytest.mark.parametrize("many", [False, True], ids=["one", "by selector"])
async def test_a_retry_runs_again_what_ran_on_another_model(coordinator, tmp_path, many):
    """And what follows from it; a model that the session has pinned stays what it was."""
    for name in ("doubling", "other"):
        onnx.put(tmp_path / "models", name, again("1"))
    await coordinator.put(
        "half",
        run("one", "doubling"),
        run("pinned", "${parameters.model_id}"),
        echo("two", text="${string(size(steps.one.outputs))}"),
        echo("apart", depends_on=["pinned"]),
        echo("bad", delay="-1s", depends_on=["two", "apart"]),
        parameters=X | {"model_id": {"value_type": "STRING"}},
    )
    session = (await coordinator.execute("half", session_id="a", payloads=DATA, model_id="other")).session
    assert session.state == pb.SESSION_STATE_FAILED
    same = await retry(coordinator, "a", validate_only=True)
    assert decisions(same) == {"one": REUSE, "pinned": REUSE, "two": REUSE, "apart": REUSE, "bad": RERUN}

    for name in ("doubling", "other"):
        onnx.put(tmp_path / "models", name, again("2"), version="2")
    told = await retry(coordinator, "a", validate_only=True)
    assert decisions(told) == {"one": RERUN, "pinned": REUSE, "two": RERUN, "apart": REUSE, "bad": RERUN}
    assert why(told, "one").startswith("model 'doubling' changed: 2@")
    assert why(told, "two") == "step 'one' before it runs again"
    before = await runs(coordinator)
    if many:
        reply = await retry(coordinator, "", selector=pb.SessionSelector(workflow_id="half"))
        assert (reply.applied, reply.matched_count) == (True, 1)
    else:
        reply = await retry(coordinator, "a")
        assert (reply.applied, reply.planned_steps) == (True, told.planned_steps)
    ended = await coordinator.ended("a")
    assert await runs(coordinator) == before + 1
    assert {step.step_id: step.attempt for step in ended.steps} == {
        "one": 2, "pinned": 1, "two": 2, "apart": 1, "bad": 2,
    }  # fmt: skip


async def test_a_retry_keeps_nothing_that_was_made_without_an_optional_step(coordinator, called):
    """What followed from its failure does not outlive it."""
    await coordinator.put(
        "lenient",
        echo("maybe", delay="-1s", optional=True),
        greet("after", "${steps.maybe.echo.text}", depends_on=["maybe"]),
        greet("apart", "Ada"),
        echo("bad", delay="-1s", depends_on=["after", "apart"]),
    )
    await coordinator.execute("lenient", session_id="a")
    assert called() == ["after", "apart"]
    told = await retry(coordinator, "a")
    await coordinator.ended("a")
    assert decisions(told) == {"maybe": RERUN, "after": RERUN, "apart": REUSE, "bad": RERUN}
    assert called() == ["after"]


def retry(coordinator, session_id, **fields):
    """Retries a session."""
    request = pb.PostSessionControlRequest(session_id=session_id, control_action=int(Action.RETRY), **fields)
    return coordinator.stub.PostSessionControl(request)


async def test_a_restart_in_the_middle_changes_nothing(tmp_path, greetings, called):
    """What was taken stays taken, what comes after the restart is taken then, and nothing is called twice."""

    def start():
        return serving(tmp_path, foreign_domains=(greetings,), drain_grace=0.0)

    steps = (greet("first", "a", pure=True), greet("second", "b", pure=True, depends_on=["first", "pause"]))
    parameters = {"delay": {"value_type": "STRING"}}
    async with start() as coordinator:
        pause = echo("pause", delay="${parameters.delay}", depends_on=["first"])
        await coordinator.put("long", *steps, pause, parameters=parameters, reuse_enabled=True)
        await coordinator.execute("long", {"delay": "0s"}, session_id="a")
        called()
        await coordinator.execute("long", {"delay": "2s"}, session_id="b", background=True)
        while (await coordinator.session("b")).steps[0].state != pb.STEP_STATE_SUCCEEDED:
            pass
    async with start() as coordinator:
        session = await coordinator.ended("b")
        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert await source_of(coordinator, "b") == {"first": "a/first#1", "second": "a/second#1", "pause": ""}
        assert called() == []
