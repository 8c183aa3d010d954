"""The gate over an Inference domain that does as the test says; what real ones do is in tests/integration."""

import asyncio
from types import SimpleNamespace

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.admission import Admission
from instructors.admission_settings import AdmissionSettings
from instructors.domains import CONTRACT, Domain, Domains
from instructors.registry import Instructors
from instructors.turns import Patience
from processing_service.engine.base import NotSent, SessionContext, StepCall
from processing_service.wire.callcontext import CallContext
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import Code, CoordinatorError, not_found
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.telemetry.hooks import Telemetry

SIZES = {"a": 3, "b": 3, "huge": 99}
BUDGET = 10


class Models(ModelServiceServicer):
    """Knows what its models declare."""

    async def GetModel(self, request, context):
        if request.model_id not in SIZES:
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", request.model_id)
        size = SIZES[request.model_id]
        return model_pb2.GetModelResponse(
            model=model_pb2.ModelInfo(
                model_id=request.model_id, model_version="1", declared_size_bytes=size, device="cpu"
            )
        )


class Memory(InferenceServiceServicer):
    """Says what it is told to have in memory, and holds its calls until they are released.

    Assert on `ran` and `unloaded`; `clash` are models that run out of memory beside each other.
    """

    def __init__(self):
        self.resident, self.ran, self.unloaded, self.looks = {}, [], [], 0
        self.clash, self.away, self.silent = set(), False, False
        self.release = asyncio.Semaphore(0)
        self.out = asyncio.Event()

    async def GetInferenceCapabilities(self, request, context):
        return inference_pb2.GetInferenceCapabilitiesResponse(max_parallel=1)

    async def GetInferenceCache(self, request, context):
        self.looks += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise CoordinatorError(Code.UNAVAILABLE, ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "away")
        return inference_pb2.GetInferenceCacheResponse(
            models=[
                model_pb2.ResidentModel(model_id=model_id, model_version="1", device="cpu", size_bytes=size)
                for model_id, size in self.resident.items()
            ],
            devices=[model_pb2.DeviceBudget(device="cpu", budget_bytes=BUDGET)],
        )

    async def PostInferenceUnload(self, request, context):
        self.unloaded.append(request.model_id)
        del self.resident[request.model_id]
        return inference_pb2.PostInferenceUnloadResponse()

    async def PostInferenceExecute(self, request, context):
        self.ran.append(request.model_id)
        self.resident[request.model_id] = SIZES.get(request.model_id, 1)
        self.out.set()
        if self.clash <= set(self.resident) and self.clash:
            del self.resident[request.model_id]
            text = "it needs more memory than there is"
            raise CoordinatorError(Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_MODEL_OUT_OF_MEMORY, text)
        await self.release.acquire()
        return inference_pb2.PostInferenceExecuteResponse(model_version="1")


class Bench:
    """A gate, and calls that pass it."""

    def __init__(self, **settings):
        self.memory, self.now_us, self.numbers = Memory(), 1_000_000_000_000_000, 0
        server = InProcessServer(Edge(Telemetry()).wrap)
        add_InferenceServiceServicer_to_server(self.memory, server)
        add_ModelServiceServicer_to_server(Models(), server)
        channel = InProcessChannel(server)
        self.instructors = Instructors(Domains(Domain(name, CONTRACT[name], channel) for name in CONTRACT))
        self.admission = Admission(self.instructors, AdmissionSettings(**settings), lambda: self.now_us)
        self.waits, self.sessions = [], {}

    def call(self, model_id, *, session="s", max_queued=float("inf"), seconds=20, **request):
        """A call on its way, as a task."""
        self.numbers += 1
        batch_id = request.pop("batch_id", "")
        context = self.sessions.setdefault(
            session,
            SessionContext(
                session, "t", SimpleNamespace(), pb.PostWorkflowExecuteRequest(**request), {}, batch_id=batch_id
            ),
        )
        call = StepCall(context, 0, -1, 1, f"{session}/run#{self.numbers}", 0, ())
        operation = self.instructors.domains.operation("inference.post_inference_execute")
        wanted = inference_pb2.PostInferenceExecuteRequest(model_id=model_id)
        deadline = asyncio.get_running_loop().time() + seconds
        of = CallContext(session, idempotency_key=call.key, deadline=deadline)
        instructor = self.instructors["inference"]
        return asyncio.ensure_future(
            self.admission.send(instructor, operation, wanted, call, of, Patience(max_queued), self.waits.append)
        )

    async def until(self, what):
        async with asyncio.timeout(20):
            while not what():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def waiting(self, count):
        """Returns once so many calls have said that they wait."""
        await self.until(lambda: len([wait for wait in set(self.waits) if wait.reason() in (2, 4)]) == count)

    async def out(self, count):
        await self.until(lambda: len(self.memory.ran) == count)


@pytest.fixture
async def bench():
    made = Bench(calls_per_worker=2)
    yield made
    for _ in range(100):
        made.memory.release.release()
    made.admission.close()


async def test_models_that_fit_together_go_together(bench):
    """By the sizes that they declare; the window is what the domain runs at the same time, so often as is set."""
    calls = [bench.call("a"), bench.call("b")]
    await bench.out(2)
    calls.append(bench.call("a"))
    await bench.waiting(1)

    assert {wait.reason() for wait in bench.waits} >= {pb.WAIT_REASON_LIMIT}
    bench.memory.release.release()
    await bench.out(3)
    assert len(calls) == 3


async def test_a_co_residency_that_ran_out_of_memory_is_not_tried_again(bench):
    """The model that is idle is unloaded first; while it is held, the other waits, and says beside what it failed."""
    bench.memory.clash = {"a", "b"}
    held = bench.call("a")
    await bench.out(1)
    with pytest.raises(CoordinatorError) as caught:
        await bench.call("b")
    assert caught.value.reason == ErrorReason.ERROR_REASON_MODEL_OUT_OF_MEMORY
    with pytest.raises(CoordinatorError) as refused:
        await bench.call("b", max_queued=0.05)
    again = bench.call("b")
    await bench.waiting(1)
    bench.memory.release.release()
    await held
    await bench.out(3)
    bench.memory.release.release()
    await again

    assert bench.memory.ran == ["a", "b", "b"]
    assert bench.memory.unloaded == ["a"]
    assert refused.value.reason == ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG
    assert refused.value.metadata["out_of_memory_beside"] == "a"
    assert "beside which it ran out of memory ('a'" in refused.value.message


async def test_a_domain_that_does_not_answer_holds_nothing_up(bench):
    """Calls go out as they come, more than the window lets."""
    bench.memory.away = True
    for _ in range(4):
        bench.call("a")
    await bench.out(4)

    assert bench.waits == []


async def test_calls_that_wait_go_when_the_domain_goes_silent(bench):
    """A look that gets no answer in time lets all of them go."""
    calls = [bench.call("a") for _ in range(3)]
    await bench.waiting(1)
    bench.memory.silent = True
    await bench.out(3)

    assert len(calls) == 3


async def test_a_model_that_nobody_knows_goes_out(bench):
    """The Inference domain may have models that the Model domain has not; what they take is learned from it."""
    bench.call("unknown")
    await bench.out(1)

    assert bench.memory.ran == ["unknown"]


async def test_a_model_above_the_budget_goes_out_to_be_refused(bench):
    """It waits for no room, as it will get none."""
    bench.call("a")
    bench.call("huge")
    await bench.out(2)


async def test_a_call_that_is_cancelled_while_it_waits_leaves_no_trace(bench):
    """Also in the moment in which it is let go: the next one takes its place."""
    first, second = bench.call("a"), bench.call("a")
    await bench.out(2)
    waiting, behind = bench.call("a"), bench.call("b")
    await bench.waiting(2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bench.memory.release.release()
    bench.memory.release.release()
    await asyncio.gather(first, second)
    await bench.out(3)

    assert bench.memory.ran == ["a", "a", "b"]
    bench.memory.release.release()
    await behind


async def test_a_call_is_taken_back_while_it_waits_and_not_after(bench):
    """It raises NotSent, and nothing goes out."""
    bench.call("a")
    bench.call("a")
    await bench.out(2)
    call = bench.call("a", session="paused")
    await bench.waiting(1)
    for wait in bench.waits:
        wait.recall()
    with pytest.raises(NotSent):
        await call

    assert bench.memory.ran == ["a", "a"]


async def test_a_batch_may_change_its_priority_while_it_waits(bench):
    """What waits of it goes first then, and so does what comes later."""
    bench.call("a")
    bench.call("a")
    await bench.out(2)
    bench.call("b", session="other", priority=6)
    bench.call("a", session="cell", priority=2, batch_id="batch")
    await bench.waiting(2)
    places = [wait for wait in set(bench.waits) if wait.model == "a@1" and wait.waiting]
    assert bench.admission.reprioritize("t", "batch", 9) == 1
    bench.call("a", session="cell", batch_id="batch")
    await bench.waiting(3)

    assert {wait.rank // 4 for wait in set(bench.waits) if wait.waiting and wait.flow == "t/batch"} == {9}
    bench.memory.release.release()
    await bench.out(3)
    assert bench.memory.ran[2] == "a"
    assert not places[0].waiting


async def test_a_step_that_waits_too_long_says_both(bench):
    """STEP_QUEUED_TOO_LONG with the model, the limit and the time."""
    bench.call("a")
    bench.call("a")
    await bench.out(2)
    with pytest.raises(CoordinatorError) as caught:
        await bench.call("a", max_queued=0.01)
    with pytest.raises(CoordinatorError) as late:
        await bench.call("a", seconds=0.05)

    assert caught.value.metadata == {"model_id": "a", "max_queued_seconds": "0.01", "in_flight_limit": "2"}
    assert late.value.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED


@pytest.mark.parametrize(("field", "value"), [("max_wait", 0.0), ("max_wait", float("nan")), ("calls_per_worker", 0)])
def test_settings_that_let_nothing_pass_are_refused(field, value):
    """With the name of the setting."""
    with pytest.raises(CoordinatorError) as caught:
        AdmissionSettings(**{field: value})
    assert caught.value.violations[0].field_path == field
