"""One trace from the caller through session and step to the domain's handler."""

import grpc
import pytest
from coordinator.model.v1 import model_pb2, model_pb2_grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from processing_service.wire.callcontext import current, outgoing_metadata
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.telemetry.hooks import CallEnded, SessionEnded, StepEnded, Telemetry
from processing_service.wire.telemetry.trace_ids import TraceIds, parse, trace_id_of
from processing_service.wire.telemetry.traces import RPC_STATUS, TraceSink

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


class Model(model_pb2_grpc.ModelServiceServicer):
    """The domain at the end of the way."""

    async def GetModel(self, request, context):
        return model_pb2.GetModelResponse()


class Coordinator(rpc.ProcessingServiceServicer):
    """Runs a session of one step, and tells of it as the engine does."""

    def __init__(self, telemetry, model):
        self.telemetry, self.model = telemetry, model

    async def PostWorkflowExecute(self, request, context):
        if not request.workflow_id:
            raise CoordinatorError(Code.INTERNAL, 93, "m")
        caller = current()
        session = self.telemetry.child(caller.traceparent, "s1")
        step = self.telemetry.child(session, "s1/load#1")
        outgoing = outgoing_metadata(caller._replace(session_id="s1", traceparent=step))
        await self.model.GetModel(model_pb2.GetModelRequest(), metadata=outgoing)
        spans = {"traceparent": step, "parent_traceparent": session}
        self.telemetry.emit(StepEnded("s1", "s1/load#1", "model.get_model", "SUCCEEDED", 1, 0.5, queued=0.25, **spans))
        spans = {"traceparent": session, "parent_traceparent": caller.traceparent}
        self.telemetry.emit(SessionEnded("s1", "read-text", "SUCCEEDED", 2.0, **spans))
        return pb.PostWorkflowExecuteResponse()


@pytest.fixture
def spans():
    """What an exporter got, in memory."""
    return InMemorySpanExporter()


async def serve(telemetry):
    """A coordinator over TCP with its model domain embedded; gives the server and its address."""
    edge = Edge(telemetry)
    domain = InProcessServer(edge.wrap)
    model_pb2_grpc.add_ModelServiceServicer_to_server(Model(), domain)
    server = grpc.aio.server(interceptors=(EdgeInterceptor(edge),))
    coordinator = Coordinator(telemetry, model_pb2_grpc.ModelServiceStub(InProcessChannel(domain)))
    rpc.add_ProcessingServiceServicer_to_server(coordinator, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def execute(address, metadata=(), interceptors=(), workflow_id="read-text"):
    async with grpc.aio.insecure_channel(address, interceptors=interceptors) as channel:
        stub = rpc.ProcessingServiceStub(channel)
        await stub.PostWorkflowExecute(pb.PostWorkflowExecuteRequest(workflow_id=workflow_id), metadata=metadata)


def chain(spans):
    """Names of spans from the root to the leaf."""
    by_parent = {span.parent.span_id if span.parent else None: span for span in spans}
    assert len({span.context.trace_id for span in spans}) == 1
    ids = {span.context.span_id for span in spans}
    found = next(span for parent, span in by_parent.items() if parent not in ids)
    names = [found.name]
    while found.context.span_id in by_parent:
        found = by_parent[found.context.span_id]
        names.append(found.name)
    return names


WAY = [
    "coordinator.processing.v1.ProcessingService/PostWorkflowExecute",
    "session read-text",
    "step model.get_model",
    "coordinator.model.v1.ModelService/GetModel",
]


async def test_one_trace(spans):
    """The caller's trace goes on through call, session and step to the domain's handler."""
    telemetry = Telemetry([TraceSink(SimpleSpanProcessor(spans))], TraceIds())
    server, address = await serve(telemetry)
    await execute(address, (("traceparent", SAMPLED),))
    await server.stop(1)
    made = {span.name: span for span in spans.get_finished_spans()}

    assert chain(made.values()) == WAY
    assert made[WAY[0]].context.trace_id == int(TRACE, 16)
    assert made[WAY[0]].parent.span_id == int(SPAN, 16)
    assert [made[name].kind for name in WAY] == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.SERVER]
    assert made[WAY[1]].end_time - made[WAY[1]].start_time == 2_000_000_000
    assert made[WAY[2]].attributes["processing.queued_seconds"] == 0.25
    assert made[WAY[3]].attributes["processing.session_id"] == "s1"
    assert made[WAY[0]].attributes["rpc.method"] == WAY[0]
    assert made[WAY[0]].attributes[RPC_STATUS] == "OK"


async def test_opentelemetry_instrumentation_of_the_caller(spans):
    """A caller that uses opentelemetry-instrumentation-grpc and our server make one trace."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = Telemetry([TraceSink(SimpleSpanProcessor(spans))], TraceIds())
    server, address = await serve(telemetry)
    await execute(address, interceptors=aio_client_interceptors(tracer_provider=provider))
    await server.stop(1)
    provider.shutdown()

    assert chain(spans.get_finished_spans()) == [f"/{WAY[0]}", *WAY]


async def test_trace_begins_here(spans):
    """Without a caller's trace the call begins one."""
    telemetry = Telemetry([TraceSink(SimpleSpanProcessor(spans))], TraceIds())
    server, address = await serve(telemetry)
    await execute(address)
    await server.stop(1)

    assert chain(spans.get_finished_spans()) == WAY


async def test_fault_marks_the_span(spans):
    """A call that fails by the server's fault has status ERROR and the code as its type."""
    telemetry = Telemetry([TraceSink(SimpleSpanProcessor(spans))], TraceIds())
    server, address = await serve(telemetry)
    with pytest.raises(grpc.aio.AioRpcError):
        await execute(address, workflow_id="")
    await server.stop(1)
    (span,) = spans.get_finished_spans()

    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "INTERNAL"


@pytest.mark.parametrize("ids", [None, TraceIds()], ids=["off", "on"])
async def test_trace_that_is_not_sampled(spans, ids):
    """No span is made of a trace that its caller does not sample, nor with tracing off; its traceparent goes on."""
    seen = []

    class Seen:
        def receivers(self):
            return {CallEnded: lambda ended: seen.append(ended.call.traceparent)}

    telemetry = Telemetry([TraceSink(SimpleSpanProcessor(spans)), Seen()], ids)
    server, address = await serve(telemetry)
    await execute(address, (("traceparent", UNSAMPLED),))
    await server.stop(1)

    assert seen == [UNSAMPLED, UNSAMPLED]
    assert spans.get_finished_spans() == ()


def test_ratio():
    """The ratio is the share of the traces begun here that are sampled; children follow their parent."""
    ids = TraceIds(0.25)
    roots = [parse(ids.child("")) for _ in range(4000)]

    assert 800 < sum(root.sampled for root in roots) < 1200
    assert all(not parse(TraceIds(0.0).child("")).sampled for _ in range(100))
    assert parse(TraceIds(0.0).child(SAMPLED)).sampled


def test_ids_of_a_key_are_the_same_again():
    """A session that goes on in another process has the ids that it had."""
    one, other = TraceIds(), TraceIds()

    assert one.child(SAMPLED, "s1") == other.child(SAMPLED, "s1")
    assert one.child("", "s1") == other.child("", "s1")
    assert one.child(SAMPLED, "s1") != one.child(SAMPLED, "s2")
    assert one.child(SAMPLED) != one.child(SAMPLED)
    assert trace_id_of(one.child(SAMPLED, "s1")) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(SAMPLED[:-1], id="short"),
        pytest.param(SAMPLED + "-x", id="version 0 with more"),
        pytest.param(SAMPLED.replace("00-4", "ff-4"), id="version ff"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="no span"),
        pytest.param(SAMPLED.upper(), id="upper case"),
    ],
)
def test_traceparent_that_is_none(text):
    """What is not a traceparent begins a new trace."""
    assert parse(text) is None
    assert trace_id_of(text) == ""
    assert parse(TraceIds().child(text)).trace_id != TRACE


def test_traceparent_of_a_later_version():
    """A later version may have more parts behind those that are known."""
    assert parse(SAMPLED.replace("00-4", "01-4") + "-more").trace_id == TRACE
