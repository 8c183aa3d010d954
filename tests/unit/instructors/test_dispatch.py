import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial

import grpc
import pytest
from coordinator.error.v1 import error_pb2
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from coordinator.payload.v1.payload_pb2 import DataType, Datum, Tensor
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import add_PostprocessingServiceServicer_to_server
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import ParseDict

from instructors.discovery import join
from instructors.dispatch import Dispatch
from instructors.domains import CONTRACT, Domain, Domains
from instructors.durations import ENOUGH, NONE, Durations
from instructors.registry import Instructors
from instructors.results import ResultCache
from processing_service.domains.postprocessing.servicer import PostprocessingServicer
from processing_service.engine.base import NotSent, SessionContext, StepCall
from processing_service.engine.definitions import parse_definition
from processing_service.engine.records import StepState, step_key
from processing_service.engine.state import Items, Step
from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import Code, CoordinatorError, not_found
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.telemetry.hooks import Telemetry

ECHO = "postprocessing.post_postprocessing_execute"
PIXEL = Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[1], data=b"\0\0\0\0")


class Models(ModelServiceServicer):
    """Knows the model `reader` in version 2."""

    def __init__(self):
        self.asked = []

    async def GetModel(self, request, context):
        self.asked.append(request)
        if request.model_id != "reader":
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", request.model_id)
        return model_pb2.GetModelResponse(
            model=model_pb2.ModelInfo(model_id="reader", model_version="2", digest="d" * 64)
        )


class Inference(InferenceServiceServicer):
    """Notes what it is asked, and gives inputs back as outputs."""

    def __init__(self):
        self.sessions = {}
        self.executed = []
        self.waits = 0

    async def PostInferenceSession(self, request, context):
        session = inference_pb2.InferenceSession(
            inference_session_id=f"i-{len(self.sessions)}", session_id=request.session_id
        )
        self.sessions[session.inference_session_id] = request
        return inference_pb2.PostInferenceSessionResponse(inference_session=session)

    async def DeleteInferenceSession(self, request, context):
        named = request.inference_session_id
        gone = [key for key, value in self.sessions.items() if named == key or value.session_id == request.session_id]
        for key in gone:
            del self.sessions[key]
        return inference_pb2.DeleteInferenceSessionResponse(deleted_count=len(gone))

    async def PostInferenceExecute(self, request, context):
        self.executed.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        reply = inference_pb2.PostInferenceExecuteResponse(outputs=request.inputs, model_version=request.model_version)
        reply.queued.FromSeconds(self.waits)
        return reply


class Bench:
    """A dispatch over embedded domains, driven as the engine drives it: step by step, in their order."""

    def __init__(self, artifacts, foreign=(), remote=None):
        self.artifacts, self.models, self.inference = artifacts, Models(), Inference()
        self.postprocessing = PostprocessingServicer()
        self.children = []
        self.child = pb.Session(state=pb.SESSION_STATE_SUCCEEDED)
        server = InProcessServer(Edge(Telemetry()).wrap)
        add_ModelServiceServicer_to_server(self.models, server)
        add_InferenceServiceServicer_to_server(self.inference, server)
        add_PostprocessingServiceServicer_to_server(self.postprocessing, server)
        channel = InProcessChannel(server)
        channels = dict.fromkeys(CONTRACT, channel) | (remote or {})
        self.domains = Domains([*(Domain(name, CONTRACT[name], channels[name]) for name in CONTRACT), *foreign])
        self.cache, self.durations = ResultCache(limit_bytes=100_000), Durations()
        self.now_us = 1_000_000
        self.dispatch = Dispatch(
            Instructors(self.domains),
            artifacts,
            self.start_child,
            lambda: self.now_us,
            cache=self.cache,
            durations=self.durations,
        )

    async def start_child(self, call, request):
        self.children.append((call.key, request))
        return pb.PostWorkflowExecuteResponse(session=self.child)

    def session(self, source, *, payloads=None, parameters=None, **fields):
        """A session of a workflow in YAML."""
        definition, _ = parse_definition(source, self.domains)
        request = pb.PostWorkflowExecuteRequest(payloads=payloads or {}, **fields)
        ParseDict(parameters or {}, request.parameters)
        return Driven(
            self, SessionContext("s-1", "tenant", definition, request, definition.parameter_values(request).values)
        )


class Driven:
    """A session and where it stands."""

    def __init__(self, bench, context):
        self.bench, self.context, self.dispatch = bench, context, bench.dispatch
        self.steps = [Step() for _ in context.definition.steps]
        self.said = []

    def restarted(self):
        """The same session in a process that remembers nothing but what is stored."""
        before = self.context
        values = before.definition.parameter_values(before.request).values
        context = SessionContext("s-1", "tenant", before.definition, before.request, values)
        driven = Driven(self.bench, context)
        driven.steps = list(self.steps)
        return driven

    def call(self, index, item=-1, attempt=1, seconds=60):
        definition = self.context.definition
        step_id = definition.steps[index].step_id if index >= 0 else ""
        key = step_key("s-1", step_id, item, attempt)
        deadline_us = self.bench.now_us + round(seconds * 1e6)
        return StepCall(self.context, index, item, attempt, key, deadline_us, tuple(self.steps))

    async def run(self, index, item=-1, **facts):
        report = partial(list.append, self.said)  # of this call alone
        return (await self.dispatch.run(self.call(index, item, **facts), report)).output

    async def step(self, index):
        """Resolves and runs a step."""
        plan = self.context.definition.plan.steps[index]
        if plan.resolves:
            skipped, total = await self.dispatch.resolve(self.call(index))
            if skipped:
                self.steps[index] = Step(StepState.SKIPPED)
                return None
            if plan.foreach:
                outputs = await asyncio.gather(*(self.run(index, item) for item in range(total)))
                items = Items(total, total, outputs=tuple(reversed(list(enumerate(outputs)))))
                self.steps[index] = Step(StepState.SUCCEEDED, items=items)
                return outputs
        output = await self.run(index)
        self.steps[index] = Step(StepState.SUCCEEDED, output=output)
        return output

    async def to_end(self):
        """Runs all steps; the outputs."""
        for index in range(len(self.steps)):
            await self.step(index)
        return await self.conclude()

    async def conclude(self):
        return pb.Session.FromString(await self.dispatch.conclude(self.call(-1)))


@pytest.fixture
def bench(tmp_path):
    made = Bench(FileArtifacts(tmp_path / "artifacts"))
    yield made
    made.postprocessing.close()


THREE = f"""
workflow_id: three
parameters:
  text: {{value_type: string}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{text: "${{parameters.text}}", value: 2}}}}}}
- {{step_id: second, operation: {ECHO}, parameters: {{echo: {{text: "${{steps.first.echo.text + '!'}}"}}}}}}
outputs:
  text: {{value: "${{steps.second.echo.text}}"}}
  value: {{value: "${{steps.first.echo.value}}"}}
"""


async def test_results_flow_from_step_to_step(bench):
    """A step's request is built from parameters and earlier results; the outputs from the last."""
    session = bench.session(THREE, parameters={"text": "hi"})
    ended = await session.to_end()
    assert dict(ended.outputs) == {"text": "hi!", "value": 2.0}
    assert session.steps[0].output.type_name == "coordinator.postprocessing.v1.PostPostprocessingExecuteResponse"


async def test_a_restarted_session_reads_its_results_from_the_store(bench):
    """After a crash nothing is remembered; stored results, inline and in artifacts, are enough to go on."""
    source = f"""
workflow_id: large
parameters:
  page: {{value_type: bytes}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{text: x, datum: "${{parameters.page}}"}}}}}}
- {{step_id: second, operation: {ECHO}, parameters: {{echo: {{datum: "${{steps.first.echo.datum}}"}}}}}}
outputs:
  page: {{value: "${{steps.second.echo.datum}}"}}
"""
    page = Datum(inline_bytes=b"p" * 5000, media_type="image/png")
    session = bench.session(source, payloads={"page": page})
    await session.step(0)
    later = session.restarted()
    await later.step(1)
    ended = await later.restarted().conclude()
    assert ended.payloads["page"] == page


async def test_content_goes_to_domains_and_comes_out_as_references(bench):
    """A parameter that is an artifact reaches the domain as bytes; an output above the threshold is an artifact."""
    source = f"""
workflow_id: pages
parameters:
  page: {{value_type: bytes}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{datum: "${{parameters.page}}"}}}}}}
- {{step_id: second, operation: inference.post_inference_execute, parameters: {{model_id: m}}}}
outputs:
  page: {{value: "${{steps.first.echo.datum}}"}}
"""
    artifact = await bench.artifacts.put(b"p" * 300_000, media_type="image/png")
    session = bench.session(source, payloads={"page": Datum(artifact=artifact)})
    ended = await session.to_end()
    assert b"p" * 300_000 in session.steps[0].output.data
    assert ended.payloads["page"] == Datum(artifact=artifact, media_type="image/png")


async def test_bytes_fields_get_the_content_of_artifacts(bench):
    """A binding to a bytes field opens the artifact, and tells what the domain says of it."""
    source = f"""
workflow_id: decode
parameters:
  page: {{value_type: bytes}}
steps:
- {{step_id: page, operation: {ECHO}, parameters: {{decode: {{image_bytes: "${{parameters.page}}"}}}}}}
"""
    artifact = await bench.artifacts.put(b"not an image")
    session = bench.session(source, payloads={"page": Datum(artifact=artifact)})
    with pytest.raises(CoordinatorError) as caught:
        await session.step(0)
    assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_INVALID


EACH = f"""
workflow_id: each
parameters:
  names: {{value_type: string, is_list: true}}
steps:
- step_id: greet
  operation: {ECHO}
  foreach: {{items: "${{parameters.names}}"}}
  parameters: {{echo: {{text: "${{item}}", value: "${{item_index}}"}}}}
outputs:
  names: {{value: "${{steps.greet.echo.text}}"}}
"""


async def test_a_foreach_keeps_the_order_of_its_items(bench):
    """Results come in any order; the next step sees them in the order of the items, also after a restart."""
    session = bench.session(EACH, parameters={"names": ["a", "b", "c"]})
    assert dict((await session.to_end()).outputs)["names"] == ["a", "b", "c"]
    assert dict((await session.restarted().conclude()).outputs)["names"] == ["a", "b", "c"]


async def test_items_are_evaluated_again_after_a_restart(bench):
    """A session that goes on in the middle of a foreach knows its items without resolving it again."""
    session = bench.session(EACH, parameters={"names": ["a", "b"]})
    output = await session.restarted().run(0, 1)
    assert b"b" in output.data


async def test_a_condition_skips_and_what_is_skipped_is_absent(bench):
    """A step whose condition is false is skipped; bindings to it leave their fields unset."""
    source = f"""
workflow_id: maybe
parameters:
  wanted: {{value_type: boolean}}
steps:
- step_id: first
  operation: {ECHO}
  condition: parameters.wanted
  parameters: {{echo: {{text: first}}}}
- {{step_id: second, operation: {ECHO}, parameters: {{echo: {{text: "${{steps.first.echo.text}}", value: 1}}}}}}
outputs:
  text: {{value: "${{steps.second.echo.text}}"}}
"""
    assert (await bench.session(source, parameters={"wanted": False}).to_end()).outputs["text"] == ""
    assert (await bench.session(source, parameters={"wanted": True}).to_end()).outputs["text"] == "first"


async def test_a_call_carries_its_step(bench):
    """Session, step, attempt, tenant and an idempotency key that all tries share; and what is left of the time."""
    source = """
workflow_id: infer
steps:
- {step_id: run, operation: inference.post_inference_execute, parameters: {model_id: m}}
"""
    session = bench.session(source)
    await session.run(0, attempt=2, seconds=10)
    (_, metadata, remaining) = bench.inference.executed[0]
    assert metadata == {
        "coordinator-session-id": "s-1",
        "coordinator-step-id": "run",
        "coordinator-attempt": "2",
        "coordinator-idempotency-key": "s-1/run#2",
        "coordinator-tenant": "tenant",
    }
    assert 9 < remaining < 10
    with pytest.raises(CoordinatorError) as caught:
        await session.run(0, attempt=3, seconds=-1)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert len(bench.inference.executed) == 1


MODEL = """
workflow_id: read
parameters:
  model_id: {value_type: string}
  image: {value_type: tensor}
steps:
- step_id: run
  operation: inference.post_inference_execute
  parameters: {model_id: "${parameters.model_id}", inputs: {x: "${parameters.image}"}}
- step_id: other
  operation: inference.post_inference_execute
  parameters: {model_id: other}
outputs:
  y: {value: "${steps.run.outputs.x}"}
"""


async def test_a_session_with_a_model_pins_it_and_closes_its_inference_session(bench):
    """model.get_model, inference.post_inference_session, then the steps, each once; the end is told to Inference."""
    session = bench.session(MODEL, model_id="reader", payloads={"image": Datum(tensor=PIXEL)})
    await bench.dispatch.opened(session.context)
    ended = await session.to_end()
    assert ended.payloads["y"].tensor == PIXEL
    run, other = (request for request, _, _ in bench.inference.executed)
    assert (run.model_version, run.model_digest, run.inference_session_id) == ("2", "d" * 64, "i-0")
    assert (other.model_version, other.inference_session_id) == ("", "")
    opened = bench.inference.sessions["i-0"]
    assert (opened.model_version, opened.workflow_id, opened.session_id) == ("2", "read", "s-1")
    assert len(bench.models.asked) == 1
    await bench.dispatch.closed(session.context)
    assert not bench.inference.sessions


async def test_parallel_first_steps_open_one_inference_session(bench):
    """Steps that start together share what the first of them opens."""
    session = bench.session(MODEL, model_id="reader", payloads={"image": Datum(tensor=PIXEL)})
    await bench.dispatch.opened(session.context)
    await asyncio.gather(session.run(0), session.run(1))
    assert len(bench.models.asked) == 1
    assert list(bench.inference.sessions) == ["i-0"]


async def test_an_unknown_model_refuses_the_session(bench):
    """A session with a model that is not there never begins."""
    session = bench.session(MODEL, model_id="none", payloads={"image": Datum(tensor=PIXEL)})
    with pytest.raises(CoordinatorError) as caught:
        await bench.dispatch.opened(session.context)
    assert caught.value.reason == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND


async def test_a_session_without_a_model_leaves_nothing_to_do(bench):
    """Where no inference session was opened, none is closed."""
    session = bench.session(THREE, parameters={"text": "hi"})
    await bench.dispatch.opened(session.context)
    await session.to_end()
    assert bench.dispatch.closed(session.context) is None
    assert not session.context.cache


CHILD = f"""
workflow_id: parent
steps:
- step_id: child
  operation: processing.post_workflow_execute
  parameters: {{workflow_id: other, parameters: {{text: hi}}}}
- {{step_id: show, operation: {ECHO}, parameters: {{echo: {{datum: "${{steps.child.session.payloads.page}}"}}}}}}
outputs:
  text: {{value: "${{steps.child.session.outputs.text}}"}}
  page: {{value: "${{steps.show.echo.datum}}"}}
"""


async def test_a_step_may_be_a_session(bench):
    """The child is started by the engine's owner; its outputs are results, its artifacts are put in for domains."""
    artifact = await bench.artifacts.put(b"page", media_type="image/png")
    bench.child.payloads["page"].artifact.CopyFrom(artifact)
    bench.child.outputs["text"] = "said"
    ended = await bench.session(CHILD).to_end()
    assert ended.outputs["text"] == "said"
    assert ended.payloads["page"] == Datum(inline_bytes=b"page", media_type="image/png")
    (key, request) = bench.children[0]
    assert (key, request.workflow_id, dict(request.parameters)) == ("s-1/child#1", "other", {"text": "hi"})


async def test_a_child_that_failed_fails_its_step(bench):
    """The step's error names the child and has its failure as cause."""
    bench.child.state = pb.SESSION_STATE_FAILED
    bench.child.session_id = "c-1"
    bench.child.failure.CopyFrom(
        error_pb2.Failure(status_code=3, reason=ErrorReason.ERROR_REASON_IMAGE_INVALID, message="no image")
    )
    with pytest.raises(CoordinatorError, match="session 'c-1' of workflow 'other' ended FAILED") as caught:
        await bench.session(CHILD).step(0)
    assert caught.value.reason == ErrorReason.ERROR_REASON_STEP_FAILED
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.__cause__.reason == ErrorReason.ERROR_REASON_IMAGE_INVALID


async def test_large_results_are_forgotten_once_nobody_needs_them(bench):
    """What all followers have read is dropped; what the outputs read stays until the session is closed."""
    source = f"""
workflow_id: memory
parameters:
  page: {{value_type: bytes}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{datum: "${{parameters.page}}"}}}}}}
- {{step_id: second, operation: {ECHO}, parameters: {{echo: {{datum: "${{steps.first.echo.datum}}"}}}}}}
- {{step_id: third, operation: {ECHO}, parameters: {{echo: {{datum: "${{steps.second.echo.datum}}"}}}}}}
outputs:
  page: {{value: "${{steps.third.echo.datum}}"}}
"""
    session = bench.session(source, payloads={"page": Datum(inline_bytes=b"p" * 20_000)})
    await session.to_end()
    assert 40_000 < bench.cache.size_bytes < 45_000
    bench.dispatch.closed(session.context)
    assert bench.cache.size_bytes == 0


async def test_memory_is_bounded_over_all_sessions(bench):
    """Results of many sessions stay within the limit, and what was dropped is read again."""
    source = f"""
workflow_id: bound
parameters:
  page: {{value_type: bytes}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{datum: "${{parameters.page}}"}}}}}}
outputs:
  page: {{value: "${{steps.first.echo.datum}}"}}
"""
    sessions = [bench.session(source, payloads={"page": Datum(inline_bytes=b"p" * 40_000)}) for _ in range(4)]
    for session in sessions:
        await session.step(0)
        assert bench.cache.size_bytes < 100_000
    for session in sessions:
        assert len((await session.conclude()).payloads["page"].inline_bytes) == 40_000


async def test_outputs_that_are_too_large_to_read_fail(bench):
    """More than a megabyte of readable outputs is PAYLOAD_TOO_LARGE."""
    source = f"""
workflow_id: wide
parameters:
  text: {{value_type: string}}
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{text: "${{parameters.text}}"}}}}}}
outputs:
  text: {{value: "${{steps.first.echo.text}}"}}
"""
    with pytest.raises(CoordinatorError) as caught:
        await bench.session(source, parameters={"text": "x" * (1 << 20)}).to_end()
    assert caught.value.reason == ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE


async def test_a_step_waits_for_its_turn_as_long_as_it_may(bench):
    """Who comes when all calls of a domain are out says so, and gives up after max_queued."""
    source = f"""
workflow_id: queue
steps:
- step_id: first
  operation: {ECHO}
  max_queued: 0.001s
  parameters: {{echo: {{text: x}}}}
"""
    session = bench.session(source)
    turns = bench.dispatch._instructors["postprocessing"].turns
    while turns.take():
        pass
    with pytest.raises(CoordinatorError) as caught:
        await session.step(0)
    assert caught.value.reason == ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG
    assert "waits for its turn" in session.said[0].message


async def test_a_step_that_waits_for_its_turn_stands_still_in_a_pause(bench):
    """Neither max_queued nor the deadline pass meanwhile, and its call has what was left when it goes out."""
    source = """
workflow_id: queue
steps:
- step_id: first
  operation: inference.post_inference_execute
  max_queued: 0.001s
  parameters: {model_id: m}
"""
    session = bench.session(source)
    turns = bench.dispatch._instructors["inference"].turns
    while turns.take():
        pass

    def now_us():
        """An hour passes at each look while the call waits; at the second its turn comes."""
        if turns.waiting:
            bench.now_us += 3_600_000_000
        if bench.now_us > 7_200_000_000:
            turns.leave()
        return bench.now_us

    session.context.halt(bench.now_us, bench.now_us)
    bench.dispatch._now_us = now_us
    await session.run(0, seconds=0.01)
    (_, _, remaining) = bench.inference.executed[0]
    assert 7197 < remaining < 7200.01  # the gate has asked for 2 s what the domain has in memory: all turns were taken


@pytest.mark.parametrize(
    ("domain", "operation"),
    [
        ("inference", "inference.post_inference_execute, parameters: {model_id: m}"),
        ("postprocessing", "postprocessing.post_postprocessing_execute, parameters: {echo: {text: hi}}"),
    ],
)
async def test_what_a_call_had_waited_when_a_pause_took_it_back_counts(bench, domain, operation):
    """For its turn, be it behind the gate or without one; when it comes again it has what was left of max_queued."""
    session = bench.session(
        f"{{workflow_id: queue, steps: [{{step_id: first, max_queued: 60s, operation: {operation}}}]}}"
    )
    turns = bench.dispatch._instructors[domain].turns
    while turns.take():
        pass
    call = asyncio.ensure_future(session.run(0, seconds=60))
    while not (said := [progress.wait for progress in session.said if progress.wait]):  # noqa: ASYNC110  # it says so
        await asyncio.sleep(0.01)
    said[-1].recall()
    with pytest.raises(NotSent):
        await call
    cache = session.context.cache
    (key,) = [key for key in cache if isinstance(key, tuple)]
    assert cache[key] > 0

    cache[key] = 60.0
    with pytest.raises(CoordinatorError) as caught:
        await session.run(0, seconds=60)
    assert caught.value.reason == ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG
    assert key not in cache


def known(bench, kind, subject, seconds):
    """Enough calls have taken so long."""
    for _ in range(ENOUGH):
        bench.durations.begin(kind, subject).note(seconds, time.monotonic())


INFER = """
workflow_id: infer
steps:
- {step_id: run, operation: inference.post_inference_execute, parameters: {model_id: m}%s}
"""


async def test_a_step_that_cannot_finish_in_what_is_left_fails_early(bench):
    """It is not called, and the failure has both numbers; with time enough, or for another model, it is."""
    known(bench, "inference.post_inference_execute", "m", 8.0)
    session = bench.session(INFER % "")
    with pytest.raises(CoordinatorError) as caught:
        await session.run(0, seconds=7)
    assert caught.value.reason == ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT
    assert caught.value.metadata["needed_seconds"] == "8"
    assert 6.9 < float(caught.value.metadata["left_seconds"]) <= 7
    assert "inference.post_inference_execute of 'm'" in caught.value.message
    assert not bench.inference.executed

    await session.run(0, seconds=9)
    await bench.session(INFER.replace("model_id: m", "model_id: other") % "").run(0, seconds=7)
    assert len(bench.inference.executed) == 2


async def test_a_timeout_that_is_too_short_is_the_steps_own_matter(bench):
    """It is what ends the call, and the step may be tried again; a timeout longer than what is left is no matter."""
    known(bench, "inference.post_inference_execute", "m", 8.0)
    with pytest.raises(CoordinatorError) as caught:
        await bench.session(INFER % ", timeout: 60s").run(0, seconds=7)
    assert caught.value.reason == ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT
    await bench.session(INFER % ", timeout: 7s").run(0, seconds=7)


async def test_a_turn_that_comes_too_late_is_not_waited_for(bench):
    """The wait ends when less is left than the call takes."""
    known(bench, "inference.post_inference_execute", "m", 8.0)
    session = bench.session(INFER % "")
    turns = bench.dispatch._instructors["inference"].turns
    while turns.take():
        pass
    with pytest.raises(CoordinatorError) as caught:
        await session.run(0, seconds=8.01)
    assert caught.value.reason == ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT


async def test_what_calls_take_is_known_by_operation_and_model(bench):
    """Of what succeeded, without what it waited in its domain; of a session by its workflow."""
    await bench.session(INFER % "").run(0)
    bench.inference.waits = 3600
    await bench.session(INFER % "").run(0)
    await bench.session(THREE, parameters={"text": "hi"}).step(0)
    await bench.session(CHILD).step(0)
    pace = bench.durations.of("inference.post_inference_execute", "m")
    assert pace.quantile(0.5) == 0 < pace.quantile(1)
    assert bench.durations.of(f"{ECHO}.echo") is not NONE
    assert bench.durations.of("processing.post_workflow_execute", "other") is not NONE
    assert bench.durations.of("inference.post_inference_execute") is NONE


@asynccontextmanager
async def greeting_bench(greetings, artifacts):
    domain = await join(greetings)
    made = Bench(artifacts, [domain])
    yield made
    made.postprocessing.close()
    await domain.channel.close()


async def test_a_foreign_domain_is_a_step(greetings, greeter, tmp_path):
    """A service that is known by its descriptors alone is a step, with our data in its fields, and called once."""
    source = f"""
workflow_id: greet
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{text: Ada}}}}}}
- step_id: hello
  operation: greetings.greet
  parameters: {{person_name: "${{steps.first.echo.text}}", people: {{ada: {{age: 36}}}}}}
outputs:
  text: {{value: "${{steps.hello.greeting}}"}}
  age: {{value: "${{steps.hello.people.ada.age}}"}}
"""
    async with greeting_bench(greetings, FileArtifacts(tmp_path / "artifacts")) as bench:
        session = bench.session(source)
        ended = await session.to_end()
        assert dict(ended.outputs) == {"text": "Hello Ada", "age": 36}
        assert greeter.metadata[0]["coordinator-idempotency-key"] == "s-1/hello#1"
        greeter.replies = [RuntimeError("broken")]
        with pytest.raises(CoordinatorError) as caught:
            await session.run(1)
        assert caught.value.reason == ErrorReason.ERROR_REASON_FOREIGN
        assert len(greeter.metadata) == 2


async def test_a_call_that_ran_out_of_time_fails_when_the_time_is_over(tmp_path):
    """A remote domain gives up a margin early; the step fails once its deadline has passed, and so is timed out."""
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry())),))
    add_PostprocessingServiceServicer_to_server(PostprocessingServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    bench = Bench(FileArtifacts(tmp_path), remote={"postprocessing": channel})
    source = f"""
workflow_id: slow
steps:
- {{step_id: first, operation: {ECHO}, parameters: {{echo: {{text: x, delay: 60s}}}}}}
"""
    session = bench.session(source)
    begun = time.time_ns() // 1000
    bench.dispatch._now_us = lambda: time.time_ns() // 1000
    call = session.call(0)._replace(deadline_us=begun + 100_000)
    with pytest.raises(CoordinatorError) as caught:
        await bench.dispatch.run(call, session.said.append)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert time.time_ns() // 1000 >= call.deadline_us
    await channel.close()
    await server.stop(0)
    bench.artifacts.close()


async def test_references_stay_references_for_the_coordinator_itself(bench):
    """A child session gets its payloads as they came: an artifact by its digest."""
    source = """
workflow_id: pass-on
parameters:
  page: {value_type: bytes}
steps:
- step_id: child
  operation: processing.post_workflow_execute
  parameters: {workflow_id: other, payloads: {page: "${parameters.page}"}}
"""
    artifact = await bench.artifacts.put(b"page")
    await bench.session(source, payloads={"page": Datum(artifact=artifact)}).step(0)
    assert bench.children[0][1].payloads["page"].artifact == artifact
