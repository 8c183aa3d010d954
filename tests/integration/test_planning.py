"""What an execution would do, told without doing it."""

from pathlib import Path

import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.domains.inference.settings import InferenceSettings
from processing_service.domains.model.settings import RepositorySettings
from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import EXECUTE, echo, execution, paths, refused, serving

X = {"x": Datum(tensor=from_array(np.ones((1, 3), np.float32)))}
READ = {"model_id": {"value_type": "STRING"}, "x": {"value_type": "TENSOR"}}


def run(step_id, model_id, **parts):
    """A step that runs a model."""
    parameters = {"model_id": model_id, "inputs": {"x": "${parameters.x}"}}
    return {"step_id": step_id, "operation": "inference.post_inference_execute", "parameters": parameters, **parts}


def child(workflow_id, **parameters):
    """A step that starts a session."""
    request = {"workflow_id": workflow_id, "parameters": parameters}
    return {"step_id": "child", "operation": EXECUTE, "parameters": request}


async def plan(served, workflow_id, parameters=None, **fields):
    """The plan of an execution."""
    request = pb.PostWorkflowPlanRequest(execution=execution(workflow_id, parameters, **fields))
    return await served.stub.PostWorkflowPlan(request)


async def cache(served):
    """What is in memory."""
    reply = await served.inference.GetInferenceCache(inference_pb2.GetInferenceCacheRequest())
    return {model.model_id: model.size_bytes for model in reply.models}


@pytest.fixture
async def served(tmp_path):
    """A coordinator with the models `doubling` and `other`, and a workflow that runs both."""
    for name in ("doubling", "other"):
        onnx.put(tmp_path / "models", name, onnx.doubling())
    async with serving(tmp_path) as coordinator:
        both = (run("last", "other", depends_on=["first"]), run("first", "${parameters.model_id}"))
        await coordinator.put("read", *both, parameters=READ)
        yield coordinator


async def test_a_plan_tells_steps_models_and_loads_and_does_nothing(served, tmp_path):
    """In the order of the run; nothing is loaded, stored or measured by it."""
    found = await plan(served, "read", model_id="doubling", payloads=X)
    size = (tmp_path / "models" / "doubling" / "1" / "model.onnx").stat().st_size

    assert [(step.step_id, step.model_id) for step in found.steps] == [("first", "doubling"), ("last", "other")]
    assert {step.operation for step in found.steps} == {"inference.post_inference_execute"}
    assert {step.reuse_decision for step in found.steps} == {pb.REUSE_DECISION_UNSPECIFIED}
    told = [(model.model_id, model.model_version, model.resident, model.size_bytes) for model in found.models]
    assert told == [("doubling", "1", False, size), ("other", "1", False, size)]
    assert (found.load_count, dict(found.peak_bytes), found.feasible) == (2, {"cpu": 2 * size}, True)
    assert list(found.warnings) == [
        "not measured yet, and left out of expected_duration: "
        "the load of model 'doubling', first, the load of model 'other', last"
    ]
    assert await cache(served) == {}
    assert await served.sessions() == []


async def test_a_plan_knows_what_was_measured(served):
    """After a run the models are in memory with their measured sizes, and each step has an expected duration."""
    await served.execute("read", model_id="doubling", payloads=X)
    found = await plan(served, "read", model_id="doubling", payloads=X)
    sizes = await cache(served)

    assert {model.model_id: model.size_bytes for model in found.models} == sizes
    assert all(model.resident for model in found.models)
    assert (found.load_count, dict(found.peak_bytes), list(found.warnings)) == (0, {"cpu": sum(sizes.values())}, [])
    steps = [step.expected_duration.ToNanoseconds() for step in found.steps]
    assert min(steps) > 0
    assert found.expected_duration.ToNanoseconds() == pytest.approx(sum(steps), abs=2000)  # they are rounded one by one

    await served.inference.PostInferenceUnload(inference_pb2.PostInferenceUnloadRequest(model_id="other"))
    again = await plan(served, "read", model_id="doubling", payloads=X)
    assert (again.load_count, list(again.warnings)) == (1, [])
    assert again.expected_duration.ToNanoseconds() > found.expected_duration.ToNanoseconds()


async def test_a_plan_says_that_the_budget_is_too_short(served):
    """With both numbers; the longest path counts, not the sum."""
    steps = echo("a", delay="0.2s"), echo("b", delay="0.2s"), echo("c", delay="0.2s", depends_on=["a"])
    await served.put("slow", *steps)
    await served.execute("slow")
    found = await plan(served, "slow", timeout=Duration(nanos=100_000_000))
    enough = await plan(served, "slow")

    assert not found.feasible
    assert 400 <= found.expected_duration.ToMilliseconds() == enough.expected_duration.ToMilliseconds()
    (warning,) = found.warnings
    needed = found.expected_duration.ToMicroseconds() / 1e6
    assert warning.startswith(f"it takes {needed:.3g} s")
    assert "its budget is 0.1 s; give it a longer timeout" in warning
    assert (enough.feasible, list(enough.warnings)) == (True, [])
    assert sum(step.expected_duration.ToMilliseconds() for step in enough.steps) >= 600


@pytest.mark.parametrize(
    ("workflow_id", "fields", "code", "reason", "path"),
    [
        ("none", {}, Code.NOT_FOUND, "WORKFLOW_NOT_FOUND", []),
        ("read", {"model_id": "dubling", "payloads": X}, Code.NOT_FOUND, "MODEL_NOT_FOUND", []),
        ("read", {"payloads": X}, Code.INVALID_ARGUMENT, "FIELD_REQUIRED", ["parameters.model_id"]),
        ("read", {"parameters": {"model_id": 3}, "payloads": X}, None, "FIELD_INVALID", ["parameters.model_id"]),
        ("read", {"parameters": {"x": 1}, "model_id": "other"}, None, "FIELD_INVALID", ["parameters.x"]),
        ("read", {"model_id": "other", "payloads": X, "priority": 11}, None, "FIELD_INVALID", ["priority"]),
        ("read", {"model_id": "other", "payloads": X, "timeout": Duration()}, None, "FIELD_INVALID", ["timeout"]),
        ("read", {"model_id": "other", "payloads": {"x": Datum(artifact=Artifact(digest="0" * 64))}}, None, None, []),
    ],
)
async def test_what_an_execution_would_be_refused_for_a_plan_is_too(served, workflow_id, fields, code, reason, path):
    """By the same errors."""
    error = await refused(plan(served, workflow_id, **fields))
    same = await refused(served.execute(workflow_id, **fields))

    assert (error.code, error.reason_name, error.message) == (same.code, same.reason_name, same.message)
    assert code in (None, error.code)
    assert reason in (None, error.reason_name)
    assert list(paths(error)) == path


async def test_a_plan_of_nothing_is_refused(served):
    """It says what to give, and what is not served yet."""
    error = await refused(served.stub.PostWorkflowPlan(pb.PostWorkflowPlanRequest()))
    assert (error.reason_name, list(paths(error))) == ("FIELD_REQUIRED", ["execution"])


async def test_a_step_whose_model_is_not_there_is_not_feasible(served):
    """The session would start and fail; the plan says so, with the nearest name."""
    await served.put("wrong", run("first", "dubling"), parameters={"x": {"value_type": "TENSOR"}})
    found = await plan(served, "wrong", payloads=X)

    assert not found.feasible
    assert any("'dubling'" in warning and "did you mean 'doubling'" in warning for warning in found.warnings)


async def test_a_plan_follows_the_sessions_of_steps(served):
    """Their models and times are those of the whole; one that will be refused makes it infeasible."""
    inner = {**READ, "x": {"value_type": "TENSOR", "optional": True}}
    await served.put("inner", run("deep", "${parameters.model_id}"), echo("say", delay="0.2s"), parameters=inner)
    await served.put("say", echo("say", delay="0.2s"))
    await served.put("outer", child("inner", model_id="other"))
    await served.put("broken", child("inner"))
    await served.execute("say")
    found, broken = [await plan(served, name) for name in ("outer", "broken")]

    assert [model.model_id for model in found.models] == ["other"]
    assert (found.load_count, found.feasible) == (1, True)
    assert found.expected_duration.ToMilliseconds() >= 200
    assert not broken.feasible
    assert "step 'child' will fail" in broken.warnings[0]
    assert "parameters.model_id: is required" in broken.warnings[0]


async def test_a_plan_looks_at_no_more_sessions_than_it_may(served):
    """Workflows that start each other without end."""
    await served.put("ping", child("pong"), {**child("pong"), "step_id": "twin"})
    await served.put("pong", child("ping"), {**child("ping"), "step_id": "twin"})
    found = await plan(served, "ping")
    assert "one too many to be looked at" in "; ".join(found.warnings)


async def test_what_only_the_run_tells_is_a_warning(served):
    """Whether a step runs, how often, with which model."""
    await served.put(
        "maybe",
        echo("say", text="other"),
        run("if", "other", condition="steps.say.echo.text == 'other'"),
        run("which", "${steps.say.echo.text}"),
        run("never", "doubling", condition="false"),
        parameters={"x": {"value_type": "TENSOR"}},
    )
    found = await plan(served, "maybe", payloads=X)
    steps = {step.step_id: step for step in found.steps}

    assert [model.model_id for model in found.models] == ["other"]
    assert (steps["which"].model_id, steps["never"].reason) == ("", "its condition is false")
    assert "step 'if': whether it runs is known only then; it is counted" in found.warnings
    assert "step 'which': which model it needs is known only then" in found.warnings
    assert found.feasible


async def test_a_model_that_is_larger_than_its_device_is_not_feasible(tmp_path):
    """With both numbers, before anything runs."""
    onnx.put(tmp_path / "models", "heavy", onnx.heavy(4))
    async with serving(tmp_path, inference=InferenceSettings(memory_budget_bytes=1 << 20)) as served:
        await served.put("read", run("first", "heavy"), parameters={"x": {"value_type": "TENSOR"}})
        found = await plan(served, "read", payloads=X)
    (model,) = found.models

    assert not found.feasible
    assert f"model 'heavy' takes {model.size_bytes} bytes, and cpu has {1 << 20}; raise its budget" in found.warnings


async def test_a_domain_that_cannot_be_asked_is_a_warning(tmp_path):
    """What is known without it is told."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    address = f"unix:{tmp_path}/nobody.sock"
    async with serving(tmp_path, inference_address=address) as served:
        await served.put("read", run("first", "doubling"), parameters={"x": {"value_type": "TENSOR"}})
        found = await plan(served, "read", payloads=X)
    async with serving(tmp_path / "other", model_address=address) as served:
        await served.put("read", run("first", "doubling"), parameters={"x": {"value_type": "TENSOR"}})
        unknown = await plan(served, "read", payloads=X)

    assert (found.feasible, found.load_count, found.models[0].model_version) == (True, 1, "1")
    assert any("the inference domain could not be asked" in warning for warning in found.warnings)
    assert (unknown.feasible, unknown.models[0].model_id, unknown.models[0].size_bytes) == (True, "doubling", 0)
    assert any("the model domain could not be asked" in warning for warning in unknown.warnings)


async def test_a_plan_of_the_shipped_workflow_names_its_models(tmp_path, model_repository):
    """Text is read by three models, of whose steps two make as many calls as the page has lines."""
    source = (Path(__file__).parents[2] / "examples" / "workflows" / "read-text.yaml").read_text()
    page = {"page": Datum(inline_bytes=b"not opened by a plan")}
    async with serving(tmp_path, model=RepositorySettings(model_repository)) as served:
        await served.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source))
        found = await plan(served, "read-text", payloads=page)
    models = ["text-detection", "text-orientation", "text-recognition"]

    assert [model.model_id for model in found.models] == models
    assert (found.load_count, found.feasible) == (3, True)
    assert found.peak_bytes["cpu"] == sum(model.size_bytes for model in found.models)
    assert [step.model_id for step in found.steps if step.model_id] == models
    assert [text for text in found.warnings if "how many calls" in text] == [
        "step 'orient': how many calls it makes is known only then; one is counted",
        "step 'recognise': how many calls it makes is known only then; one is counted",
    ]
