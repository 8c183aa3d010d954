import asyncio
import time

import grpc
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from coordinator.postprocessing.v1 import postprocessing_pb2

from instructors.base import CallSettings
from instructors.discovery import join
from instructors.domains import CONTRACT, Domain, Domains
from instructors.registry import Instructors
from instructors.turns import Patience
from processing_service.wire.callcontext import CallContext, serving
from processing_service.wire.channels import ChannelSettings, InProcessChannel, InProcessServer, open_channel
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, Unreached
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.retries import RetrySettings
from processing_service.wire.telemetry.hooks import CallEnded, LegacyName, Telemetry

QUICK = CallSettings(retries=RetrySettings(initial=0.001, maximum=0.001))


class Models(ModelServiceServicer):
    """Knows every model; fails as told, and notes what it was asked."""

    def __init__(self):
        self.asked = []
        self.errors = []
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def GetModel(self, request, context):
        self.asked.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.errors:
            raise self.errors.pop(0)
        return model_pb2.GetModelResponse(model=model_pb2.ModelInfo(model_id=request.model_id, model_version="1"))


@pytest.fixture
def models():
    return Models()


@pytest.fixture(params=["in process", "unix"])
async def instructors(request, models, tmp_path):
    """Instructors over a channel of each kind."""
    edge = Edge(Telemetry())
    if request.param == "in process":
        server = InProcessServer(edge.wrap)
        add_ModelServiceServicer_to_server(models, server)
        domain = Domain("model", CONTRACT["model"], InProcessChannel(server))
        yield Instructors(Domains([domain]), QUICK)
        return
    from processing_service.wire.interceptors.edge import EdgeInterceptor

    server = grpc.aio.server(interceptors=(EdgeInterceptor(edge),))
    add_ModelServiceServicer_to_server(models, server)
    address = f"unix:{tmp_path}/model.sock"
    server.add_insecure_port(address)
    await server.start()
    channel = open_channel(ChannelSettings(address))
    yield Instructors(Domains([Domain("model", CONTRACT["model"], channel, address)]), QUICK)
    await channel.close()
    await server.stop(0)


def request(model_id="a"):
    return model_pb2.GetModelRequest(model_id=model_id)


async def test_a_call_carries_who_and_until_when(instructors, models):
    """Metadata has the entries that are known and no others; the deadline that arrives is shorter than that given."""
    context = CallContext(session_id="s", step_id="read", attempt=2, idempotency_key="s/read", tenant="t")
    reply = await instructors["model"].call("get_model", request(), deadline=time.monotonic() + 10, context=context)
    assert reply.model.model_id == "a"
    (_, metadata, remaining) = models.asked[0]
    assert {key: value for key, value in metadata.items() if key.startswith("coordinator-")} == {
        "coordinator-session-id": "s",
        "coordinator-step-id": "read",
        "coordinator-attempt": "2",
        "coordinator-idempotency-key": "s/read",
        "coordinator-tenant": "t",
    }
    assert 9 < remaining < 10


def test_the_deadline_shrinks_at_each_hop():
    """A hop keeps a share of what is left, at most its margin; a call never gets more than the maximum."""
    settings = CallSettings(maximum=100)
    assert settings.timeout(0.1) == pytest.approx(0.095)
    assert settings.timeout(10) == pytest.approx(9.95)
    assert settings.timeout(float("inf")) == 100


async def test_a_deadline_in_the_past_fails_before_the_call(instructors, models):
    """Nothing is sent when no time is left."""
    with pytest.raises(CoordinatorError) as caught:
        await instructors["model"].call("get_model", request(), deadline=time.monotonic() - 1)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert not models.asked


async def test_errors_keep_their_reason(instructors, models):
    """What the domain raised comes back with its code, reason and facts."""
    models.errors = [
        CoordinatorError(
            Code.NOT_FOUND, ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "there is no model 'a'", metadata={"nearest": "b"}
        )
    ]
    with pytest.raises(CoordinatorError, match="there is no model 'a'") as caught:
        await instructors["model"].call("get_model", request())
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, ErrorReason.ERROR_REASON_MODEL_NOT_FOUND)
    assert caught.value.metadata["nearest"] == "b"


async def test_a_cancelled_call_is_cancelled_at_the_domain(instructors, models):
    """Cancelling the task cancels the handler, and gives the turn back."""
    models.release.clear()
    task = asyncio.create_task(instructors["model"].call("get_model", request()))
    await models.entered.wait()
    assert instructors["model"].turns.out == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(models.cancelled.wait(), 5)
    assert instructors["model"].turns.out == 0


async def test_a_call_on_behalf_of_a_session_goes_out_once(instructors, models):
    """Inside a session the engine decides on retries, so an UNAVAILABLE is raised at once."""
    models.errors = [Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later")] * 3
    with serving(CallContext(session_id="s")), pytest.raises(Unavailable):
        await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_id": "a"})
    assert len(models.asked) == 1


async def test_a_call_outside_of_sessions_is_tried_again(instructors, models):
    """UNAVAILABLE, RESOURCE_EXHAUSTED and ABORTED are tried three times in all."""
    models.errors = [
        Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later"),
        CoordinatorError(Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_SERVER_OVERLOADED, "later", retry_delay=0),
    ]
    reply = await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_id": "a"})
    assert reply.model.model_id == "a"
    assert len(models.asked) == 3
    models.errors = [Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later")] * 4
    with pytest.raises(Unavailable):
        await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_id": "a"})
    assert len(models.asked) == 6


async def test_an_error_that_stays_is_not_tried_again(instructors, models):
    """A refusal is raised at once."""
    models.errors = [CoordinatorError(Code.NOT_FOUND, ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "no")] * 2
    with pytest.raises(CoordinatorError):
        await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_id": "a"})
    assert len(models.asked) == 1


async def test_the_peer_is_waited_for_but_not_past_the_deadline(instructors, models):
    """RetryInfo is obeyed; a wait that would end behind the deadline is not begun."""
    models.errors = [Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later", retry_delay=60)]
    with serving(CallContext(deadline=time.monotonic() + 30)), pytest.raises(Unavailable):
        await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_id": "a"})
    assert len(models.asked) == 1


async def test_operations_and_fields_may_be_spelled_as_before(models):
    """coordinate_domain takes legacy spellings, with and without the domain in front, and tells of them."""
    told = []

    class Sink:
        def receivers(self):
            return {LegacyName: told.append}

    server = InProcessServer()
    add_ModelServiceServicer_to_server(models, server)
    domains = Domains([Domain("model", CONTRACT["model"], InProcessChannel(server))])
    instructors = Instructors(domains, QUICK, Telemetry([Sink()]))
    for operation in ("get_model", "model.get_model", "GetModel"):
        reply = await instructors["model"].coordinate_domain("model", {"operation": operation, "idModel": "a"})
        assert reply.model.model_id == "a"
    assert told == [LegacyName("coordinator.model.v1.GetModelRequest.model_id", "idModel")] * 3


async def test_an_unknown_field_is_answered_with_the_nearest(instructors):
    """A field that the request does not have is refused before anything is sent."""
    with pytest.raises(CoordinatorError, match="did you mean 'model_id'"):
        await instructors["model"].coordinate_domain("model", {"operation": "get_model", "model_ib": "a"})


async def test_a_domain_without_a_channel_is_not_configured():
    """A domain that is only described cannot be called, and the error says what is missing."""
    instructors = Instructors(Domains.of_contract())
    with pytest.raises(CoordinatorError) as caught:
        await instructors["model"].call("get_model", request())
    assert caught.value.reason == ErrorReason.ERROR_REASON_DOMAIN_NOT_CONFIGURED
    with pytest.raises(CoordinatorError, match="no channel to the inference domain"):
        _ = Instructors(Domains()).inference


async def test_a_stream_is_not_a_call():
    """A streaming RPC cannot be called as an operation."""
    channel = InProcessChannel(InProcessServer())
    instructors = Instructors(Domains([Domain("processing", CONTRACT["processing"], channel)]))
    operation = instructors.domains.operation("processing.watch_processing_session")
    with pytest.raises(CoordinatorError) as caught:
        await instructors["processing"].send(operation, operation.request_class(), float("inf"), CallContext())
    assert caught.value.code is Code.UNIMPLEMENTED


async def test_calls_wait_for_their_turn(models):
    """No more calls are out than the domain takes; who waits longer than it may is told so."""
    server = InProcessServer()
    add_ModelServiceServicer_to_server(models, server)
    domain = Domain("model", CONTRACT["model"], InProcessChannel(server), max_in_flight=1)
    instructors = Instructors(Domains([domain]))
    model, operation = instructors["model"], instructors.domains.operation("model.get_model")
    models.release.clear()
    first = asyncio.create_task(model.call("get_model", request()))
    await models.entered.wait()
    with pytest.raises(CoordinatorError) as caught:
        await model.send(operation, request(), time.monotonic() + 60, CallContext(), Patience(0.0))
    assert caught.value.reason == ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG
    second = asyncio.create_task(model.call("get_model", request("b")))
    await asyncio.sleep(0)
    assert (model.turns.out, model.turns.waiting) == (1, 1)
    models.release.set()
    assert [(await task).model.model_id for task in (first, second)] == ["a", "b"]
    assert (model.turns.out, model.turns.waiting) == (0, 0)


async def test_bytes_that_are_no_response_are_an_error_of_the_domain():
    """A response that cannot be parsed is the domain's fault, by name."""

    async def garbage(request, context):
        return b"\xff\xff"

    handlers = {"GetModel": grpc.unary_unary_rpc_method_handler(garbage)}
    server = InProcessServer()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("coordinator.model.v1.ModelService", handlers),)
    )
    instructors = Instructors(Domains([Domain("model", CONTRACT["model"], InProcessChannel(server))]))
    with pytest.raises(CoordinatorError, match=r"the model domain answered model\.get_model with bytes"):
        await instructors["model"].call("get_model", request())


async def test_a_foreign_domain_is_called_by_name(greetings, greeter):
    """A service that is known by its descriptors alone takes text, bytes and tensors, and is timed."""
    told = []

    class Sink:
        def receivers(self):
            return {CallEnded: told.append}

    domain = await join(greetings)
    instructors = Instructors(Domains([domain]), QUICK, Telemetry([Sink()]))
    command = {
        "operation": "greet",
        "person_name": "Ada",
        "picture": postprocessing_pb2.EchoOperation(text="x").SerializeToString(),
        "people": {"ada.l": {"age": 36, "face": b"\x00\x01"}},
    }
    reply = await instructors["greetings"].coordinate_domain("greetings", command)
    assert reply.greeting == "Hello Ada"
    assert reply.picture.inline_bytes
    assert reply.people["ada.l"].face == b"\x00\x01"
    assert [(ended.side, ended.service_method, ended.code) for ended in told] == [
        ("client", "/tests.greetings.v1.GreetingService/Greet", 0)
    ]
    await domain.channel.close()


async def said_by_a_server(text):
    """The error of a call that a server on TCP refuses with UNAVAILABLE and these words; then of one with no server."""
    server = grpc.aio.server()

    async def get_model(request, context):
        await context.abort(grpc.StatusCode.UNAVAILABLE, text)

    handler = grpc.unary_unary_rpc_method_handler(get_model)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(CONTRACT["model"].full_name, {"GetModel": handler}),)
    )
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with open_channel(ChannelSettings(address)) as channel:
        instructor = Instructors(Domains([Domain("model", CONTRACT["model"], channel, address)]))["model"]
        with pytest.raises(Unavailable) as answered:
            await instructor.call("get_model", request())
        await server.stop(0)
        with pytest.raises(Unavailable) as missed:
            await instructor.call("get_model", request())
    return address, answered.value, missed.value


async def test_an_answer_is_no_lack_of_a_connection():
    """Only a call that found no connection is Unreached, whatever words a domain answers with."""
    address, answered, missed = await said_by_a_server("failed to connect to all addresses; last error: Refused")

    assert not isinstance(answered, Unreached)
    assert isinstance(missed, Unreached)
    assert missed.metadata == {"domain": "model", "address": address}
    assert address in missed.message
