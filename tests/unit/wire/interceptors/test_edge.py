"""What calls pass on their way in: metadata, deadlines, tokens, counting, telemetry."""

import asyncio
import struct
from types import SimpleNamespace

import grpc
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc

from processing_service.wire.callcontext import current
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.auth import Auth
from processing_service.wire.interceptors.deadlines import DeadlineSettings
from processing_service.wire.interceptors.edge import UNKNOWN_METHOD, Edge, EdgeInterceptor
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.interceptors.metadata import read
from processing_service.wire.security import TokenSettings
from processing_service.wire.telemetry.hooks import CallEnded, Telemetry

GET = pb.GetProcessingWorkflowRequest(workflow_id="read-text")
SERVICE = "/coordinator.processing.v1.ProcessingService"


class Handlers(rpc.ProcessingServiceServicer):
    """Answers what `body` does; watches for ever."""

    async def body(self, request, context):
        return pb.GetProcessingWorkflowResponse()

    async def GetProcessingWorkflow(self, request, context):
        return await self.body(request, context)

    async def DeleteProcessingWorkflow(self, request, context):
        return pb.DeleteProcessingWorkflowResponse()

    async def WatchProcessingSession(self, request, context):
        yield pb.WatchProcessingSessionResponse()
        await asyncio.sleep(30)


class Kept:
    """A sink that keeps what it is told."""

    def __init__(self):
        self.ended = []

    def receivers(self):
        return {CallEnded: self.ended.append}


@pytest.fixture(params=["tcp", "in-process"])
async def serve(request):
    """Serves `Handlers` behind an edge with the given settings."""
    servers, channels = [], []

    async def serve(body=None, **settings):
        handlers, kept = Handlers(), Kept()
        handlers.body = body or handlers.body
        edge = Edge(Telemetry([kept]), **settings)
        if request.param == "tcp":
            server = grpc.aio.server(interceptors=(EdgeInterceptor(edge),), options=(("grpc.so_reuseport", 0),))
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        else:
            server = InProcessServer(edge.wrap)
            channel = InProcessChannel(server)
        rpc.add_ProcessingServiceServicer_to_server(handlers, server)
        await server.start()
        servers.append(server)
        channels.append(channel)
        return SimpleNamespace(stub=rpc.ProcessingServiceStub(channel), channel=channel, edge=edge, ended=kept.ended)

    yield serve
    for channel in channels:
        await channel.close()
    for server in servers:
        await server.stop(0)


async def refused(call):
    """The error with which a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc_error(raised.value)


async def until(condition):
    """Gives the loop turns until something is so."""
    while not condition():  # noqa: ASYNC110  # what is watched is the state of a server
        await asyncio.sleep(0.001)


async def test_default_deadline(serve):
    """A call without a deadline gets the server's; past it the caller gets DEADLINE_EXCEEDED with details."""
    seen = []

    async def body(request, context):
        seen.append(current().remaining())
        await asyncio.sleep(30)

    served = await serve(body, limits=DeadlineSettings(default=0.05))

    error = await refused(served.stub.GetProcessingWorkflow(GET))

    assert 0 < seen[0] <= 0.05
    assert (error.code, error.reason) == (Code.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED)
    assert "background" in error.message
    assert asyncio.current_task().cancelling() == 0


async def test_maximum_deadline(serve):
    """A longer deadline than the server allows is cut to the maximum."""
    seen = []

    async def body(request, context):
        seen.append(current().remaining())
        await asyncio.sleep(30)

    served = await serve(body, limits=DeadlineSettings(maximum=0.05))

    error = await refused(served.stub.GetProcessingWorkflow(GET, timeout=1000))

    assert 0 < seen[0] <= 0.05
    assert error.code is Code.DEADLINE_EXCEEDED


async def test_streams_are_not_limited(serve):
    """A stream of responses without a deadline lasts as long as its reader wants."""
    served = await serve(limits=DeadlineSettings(default=0.01, maximum=0.01))
    call = served.stub.WatchProcessingSession(pb.WatchProcessingSessionRequest())
    await call.read()

    reading = asyncio.ensure_future(call.read())
    done, _ = await asyncio.wait([reading], timeout=0.1)

    assert not done
    call.cancel()
    await asyncio.wait([reading])


async def test_attempt_that_is_no_number(serve):
    """Metadata of ours that cannot be read is INVALID_ARGUMENT and names its key."""
    served = await serve()

    error = await refused(served.stub.GetProcessingWorkflow(GET, metadata=(("coordinator-attempt", "two"),)))

    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_METADATA_INVALID)
    assert error.metadata == {"key": "coordinator-attempt"}


@pytest.mark.parametrize("value", ["caf\xe9", b"plain"], ids=["not ASCII", "bytes"])
def test_text_key_with_other_values(value):
    """Under a text key stands ASCII text, under a -bin key bytes."""
    with pytest.raises(CoordinatorError) as raised:
        read([("coordinator-tenant", value)])

    assert raised.value.reason == ErrorReason.ERROR_REASON_METADATA_INVALID
    assert read([("a", "plain"), ("b-bin", b"\xff")]) == {"a": "plain", "b-bin": b"\xff"}


async def test_body_that_is_no_request(serve):
    """A body that cannot be parsed is INVALID_ARGUMENT in our words."""
    served = await serve()

    error = await refused(served.channel.unary_unary(f"{SERVICE}/GetProcessingWorkflow")(b"\xff\xff"))

    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID)
    assert "GetProcessingWorkflow" in error.message


@pytest.fixture
def tokens(tmp_path):
    """An operator who may do all, and a viewer who may read."""
    (tmp_path / "operator").write_text("open sesame\n")
    (tmp_path / "viewer").write_text("let me see")
    return Auth(
        [
            TokenSettings("operator", str(tmp_path / "operator")),
            TokenSettings("viewer", str(tmp_path / "viewer"), read_only=True),
        ]
    )


def bearer(token, scheme="Bearer"):
    return (("authorization", f"{scheme} {token}"),)


async def test_tokens(serve, tokens):
    """A known token lets its actor in, in any case of the scheme; handlers see who it is."""
    actors = []

    async def body(request, context):
        actors.append(current().actor)
        return pb.GetProcessingWorkflowResponse()

    served = await serve(body, auth=tokens)

    await served.stub.GetProcessingWorkflow(GET, metadata=bearer("open sesame"))
    await served.stub.GetProcessingWorkflow(GET, metadata=bearer("let me see", "bearer"))

    assert actors == ["operator", "viewer"]


@pytest.mark.parametrize(
    "metadata",
    [(), bearer("open says me"), bearer("open sesame", "Basic"), bearer("")],
    ids=["none", "wrong", "basic", "empty"],
)
async def test_without_a_token(serve, tokens, metadata):
    """Without a known token a call is UNAUTHENTICATED."""
    served = await serve(auth=tokens)

    error = await refused(served.stub.GetProcessingWorkflow(GET, metadata=metadata))

    assert (error.code, error.reason) == (Code.UNAUTHENTICATED, ErrorReason.ERROR_REASON_UNAUTHENTICATED)


async def test_read_only_token(serve, tokens):
    """A token that may only read is refused where something would change."""
    served = await serve(auth=tokens)
    call = served.stub.DeleteProcessingWorkflow(pb.DeleteProcessingWorkflowRequest(), metadata=bearer("let me see"))

    error = await refused(call)

    assert (error.code, error.reason) == (Code.PERMISSION_DENIED, ErrorReason.ERROR_REASON_PERMISSION_DENIED)


def test_token_file_that_is_missing(tmp_path):
    """A token whose file is not there stops the start, and the error does not show the path."""
    with pytest.raises(CoordinatorError) as raised:
        Auth([TokenSettings("operator", str(tmp_path / "nowhere"))])

    assert raised.value.code is Code.INVALID_ARGUMENT
    assert str(tmp_path) not in raised.value.message


async def test_draining(serve):
    """A server that drains refuses new calls as UNAVAILABLE and is idle when the running ones have ended."""
    go = asyncio.Event()

    async def body(request, context):
        await go.wait()
        return pb.GetProcessingWorkflowResponse()

    served = await serve(body)
    in_flight = served.edge.in_flight

    async def calling():
        await served.stub.GetProcessingWorkflow(GET)

    running = asyncio.create_task(calling())
    await until(lambda: in_flight.count == 1)
    in_flight.refuse()

    error = await refused(served.stub.GetProcessingWorkflow(GET))
    assert (error.code, error.reason) == (Code.UNAVAILABLE, ErrorReason.ERROR_REASON_SERVER_DRAINING)
    assert not await in_flight.idle(0.01)
    go.set()
    assert await in_flight.idle(5)
    await running


async def test_telemetry_of_calls(serve):
    """Each call is told once, with its code, its time and whose it was."""

    async def body(request, context):
        if not request.workflow_id:
            raise CoordinatorError(Code.DATA_LOSS, ErrorReason.ERROR_REASON_DIGEST_MISMATCH, "m")
        if request.workflow_id == "abort":
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "m")
        return pb.GetProcessingWorkflowResponse()

    served = await serve(body)
    await served.stub.GetProcessingWorkflow(GET, metadata=(("coordinator-session-id", "s1"),))
    await refused(served.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest()))
    await refused(served.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="abort")))
    watch = served.stub.WatchProcessingSession(pb.WatchProcessingSessionRequest())
    await watch.read()
    watch.cancel()
    await until(lambda: len(served.ended) == 4)

    got = [(ended.service_method, ended.code) for ended in served.ended]
    assert got == [
        (f"{SERVICE}/GetProcessingWorkflow", 0),
        (f"{SERVICE}/GetProcessingWorkflow", Code.DATA_LOSS),
        (f"{SERVICE}/GetProcessingWorkflow", Code.OUT_OF_RANGE),
        (f"{SERVICE}/WatchProcessingSession", Code.CANCELLED),
    ]
    assert served.ended[0].call.session_id == "s1"
    assert all(ended.side == "server" and ended.seconds >= 0 for ended in served.ended)
    assert served.edge.in_flight.count == 0


async def test_failing_sink(serve, caplog):
    """A sink that fails disturbs no call."""

    class Broken:
        def receivers(self):
            return {CallEnded: lambda record: 1 / 0}

    served = await serve()
    served.edge.telemetry.add(Broken())

    await served.stub.GetProcessingWorkflow(GET)

    assert "telemetry sink failed" in caplog.text


def _frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _header(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


async def test_metadata_that_is_not_text():
    """Bytes that are no text under a text key are INVALID_ARGUMENT; only a client of another kind can send them."""
    kept = Kept()
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry([kept]))),))
    rpc.add_ProcessingServiceServicer_to_server(Handlers(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", f"{SERVICE}/GetProcessingWorkflow".encode()),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"coordinator-tenant", b"caf\xe9"),
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
    writer.write(_frame(1, 4, 1, b"".join(_header(*header) for header in headers)) + _frame(0, 1, 1, bytes(5)))
    answer = await reader.readuntil(b"under a key that ends with -bin")

    assert b"metadata 'coordinator-tenant' is not ASCII text" in answer
    assert b"\x01\x05\x00\x00\x00\x01" in answer, "one frame of trailers: HEADERS that end both headers and stream"
    await until(lambda: kept.ended)
    assert [ended.code for ended in kept.ended] == [Code.INVALID_ARGUMENT]
    writer.close()
    await writer.wait_closed()
    await server.stop(0)


async def test_unknown_method_is_counted_without_its_name():
    """A method name that a caller made up is not kept."""
    kept = Kept()
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry([kept]))),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await refused(channel.unary_unary("/no.Such/Method")(b""))

    assert [(ended.service_method, ended.code) for ended in kept.ended] == [(UNKNOWN_METHOD, Code.UNIMPLEMENTED)]
    await server.stop(0)
