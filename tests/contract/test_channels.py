"""What a caller and a handler may rely on, whichever channel is between them."""

import asyncio
import time
from contextlib import AsyncExitStack

import grpc
import pytest
from coordinator.payload.v1 import payload_pb2
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc

from processing_service.wire.callcontext import CallContext, current, outgoing_metadata
from processing_service.wire.channels import ChannelSettings, InProcessChannel, InProcessServer, open_channel
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.telemetry.hooks import Telemetry

LIMIT = 1 << 20
OPTIONS = (("grpc.max_receive_message_length", LIMIT), ("grpc.so_reuseport", 0))


class Handlers(rpc.ProcessingServiceServicer):
    """One unary, one stream of responses, one stream of requests; each test gives the bodies that it needs."""

    def __init__(self, unary=None, watch=None, upload=None):
        self.unary, self.watch, self.upload = unary, watch, upload
        self.seen = []

    async def GetProcessingWorkflow(self, request, context):
        return await self.unary(request, context)

    async def WatchProcessingSession(self, request, context):
        async for update in self.watch(request, context):
            yield update

    async def PostProcessingArtifact(self, request_iterator, context):
        return await self.upload(request_iterator, context)


class Chat(grpc.GenericRpcHandler):
    """A stream both ways, of bytes, answered by `body`."""

    def __init__(self, body):
        self.body = body

    def service(self, handler_call_details):
        if handler_call_details.method == "/test.Chat/Talk":
            return grpc.stream_stream_rpc_method_handler(self.body)
        return None


@pytest.fixture(params=["bare", "edge"])
def edge(request):
    """Whether calls pass the edge of our servers; they must not be able to tell."""
    return Edge(Telemetry()) if request.param == "edge" else None


@pytest.fixture(params=["tcp", "unix", "in-process"])
async def connect(request, edge, tmp_path):
    """Serves handlers and gives a channel to them."""
    async with AsyncExitStack() as stack:

        async def connect(handlers=None, *, generic=()):
            if request.param == "in-process":
                server = InProcessServer(edge.wrap if edge else None)
                channel = InProcessChannel(server, message_limit=LIMIT)
            else:
                interceptors = (EdgeInterceptor(edge),) if edge else ()
                server = grpc.aio.server(options=OPTIONS, interceptors=interceptors)
                unix = f"unix:{tmp_path}/s"
                port = server.add_insecure_port("127.0.0.1:0" if request.param == "tcp" else unix)
                channel = open_channel(ChannelSettings(f"127.0.0.1:{port}" if request.param == "tcp" else unix))
            if handlers is not None:
                rpc.add_ProcessingServiceServicer_to_server(handlers, server)
            server.add_generic_rpc_handlers(generic)
            await server.start()
            stack.push_async_callback(server.stop, 0)
            return await stack.enter_async_context(channel)

        yield connect


@pytest.fixture
def in_process(request):
    return "in-process" in request.node.callspec.id


def workflow(source=""):
    return pb.GetProcessingWorkflowResponse(source=source)


def update(sequence):
    return pb.WatchProcessingSessionResponse(event=pb.SessionEvent(sequence=sequence))


INNER = pb.GetProcessingWorkflowRequest(workflow_id="inner")
GET = pb.GetProcessingWorkflowRequest(workflow_id="read-text")
WATCH = pb.WatchProcessingSessionRequest(session_id="s1")


async def test_unary_reply_and_trailing_metadata(connect):
    """A reply comes back with status OK and with the trailers that the handler set."""

    async def unary(request, context):
        context.set_trailing_metadata((("took", "3"), ("raw-bin", b"\x00\xff")))
        return workflow(request.workflow_id)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    call = stub.GetProcessingWorkflow(GET)
    reply = await call

    assert reply.source == "read-text"
    assert await call.code() is grpc.StatusCode.OK
    assert await call.details() == ""
    trailers = await call.trailing_metadata()
    assert trailers["took"] == "3"
    assert trailers["raw-bin"] == b"\x00\xff"
    assert call.done()
    assert not call.cancelled()
    assert await call is not None


async def test_sides_share_no_object(connect):
    """What either side does to its message stays on that side."""
    kept = []

    async def unary(request, context):
        kept.append(request)
        request.workflow_id = "changed"
        kept.append(workflow("reply"))
        return kept[-1]

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    request = pb.GetProcessingWorkflowRequest(workflow_id="mine")

    reply = await stub.GetProcessingWorkflow(request)
    reply.source = "changed"

    assert request.workflow_id == "mine"
    assert kept[1].source == "reply"


async def test_abort_becomes_an_rpc_error(connect):
    """Code, details and trailing metadata of an abort reach the caller as AioRpcError."""

    async def unary(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (("why", "because"), ("why-bin", b"\x01")))

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    call = stub.GetProcessingWorkflow(GET)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "no such thing"
    assert raised.value.trailing_metadata()["why"] == "because"
    assert raised.value.trailing_metadata()["why-bin"] == b"\x01"
    assert await call.code() is grpc.StatusCode.NOT_FOUND
    assert await call.details() == "no such thing"
    assert (await call.trailing_metadata())["why"] == "because"


async def test_status_set_beside_a_reply(connect):
    """A handler that returns after set_code has failed the call."""

    async def unary(request, context):
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("half of it")
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingWorkflow(GET)

    assert raised.value.code() is grpc.StatusCode.DATA_LOSS
    assert raised.value.details() == "half of it"


async def test_unexpected_exception(connect, edge, caplog):
    """An exception of the handler fails the call; behind the edge its text stays in the log."""

    async def unary(request, context):
        raise KeyError("/srv/secret/path")

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingWorkflow(GET)

    assert raised.value.code() is (grpc.StatusCode.INTERNAL if edge else grpc.StatusCode.UNKNOWN)
    assert ("/srv/secret" in raised.value.details()) is (edge is None)
    assert "/srv/secret" in caplog.text


async def test_metadata_reaches_the_handler(connect):
    """Text and binary metadata arrive under their keys."""
    seen = {}

    async def unary(request, context):
        seen.update(context.invocation_metadata())
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    await stub.GetProcessingWorkflow(GET, metadata=grpc.aio.Metadata(("a", "1"), ("b-bin", b"\xff")))
    await stub.GetProcessingWorkflow(GET, metadata=(("c", "2"),))

    assert (seen["a"], seen["b-bin"], seen["c"]) == ("1", b"\xff", "2")


async def test_call_context(connect, edge):
    """Behind the edge a handler, and what it calls, knows session, step and deadline; the caller's own is untouched."""
    seen = []

    async def unary(request, context):
        await asyncio.sleep(0)
        seen.append(current())
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    mine = CallContext("s1", "detect", 2, "s1/detect[3]", "r1", "acme", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")

    await stub.GetProcessingWorkflow(GET, timeout=10, metadata=outgoing_metadata(mine))

    assert current() == CallContext()
    if edge:
        assert seen[0]._replace(deadline=None) == mine
        assert 9 < seen[0].remaining() < 11
    else:
        assert seen[0] == CallContext()


async def test_deadline_while_the_handler_waits(connect):
    """At the deadline the caller gets DEADLINE_EXCEEDED and the handler is cancelled."""
    ended = asyncio.Event()

    async def unary(request, context):
        assert 0 < context.time_remaining() < 1
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    call = stub.GetProcessingWorkflow(GET, timeout=0.1)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await ended.wait()
    assert asyncio.current_task().cancelling() == 0


async def test_deadline_while_the_handler_computes(connect):
    """A reply that is ready too late is DEADLINE_EXCEEDED, even if the handler never waited."""

    async def unary(request, context):
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            pass
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingWorkflow(GET, timeout=0.1)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_deadline_in_the_past(connect):
    """A call whose deadline has passed fails before any work is done."""
    seen = []

    async def unary(request, context):
        seen.append(request)
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingWorkflow(GET, timeout=-1)

    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert seen == []


@pytest.mark.parametrize(("outer", "inner"), [(20, 0.1), (0.1, 20)], ids=["inner first", "outer first"])
async def test_deadlines_of_nested_calls(connect, outer, inner):
    """A call made inside a call ends at its own deadline, or with the call around it, whichever comes first."""
    stubs, seen = [], []
    never = asyncio.Event()

    async def unary(request, context):
        if request.workflow_id == "inner":
            await never.wait()
        try:
            return await stubs[0].GetProcessingWorkflow(
                pb.GetProcessingWorkflowRequest(workflow_id="inner"), timeout=inner
            )
        except grpc.aio.AioRpcError as error:
            seen.append(error.code())
            await asyncio.sleep(0)
            return workflow("went on")

    stubs.append(rpc.ProcessingServiceStub(await connect(Handlers(unary))))
    call = stubs[0].GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="outer"), timeout=outer)

    if inner < outer:
        assert (await call).source == "went on"
        assert seen == [grpc.StatusCode.DEADLINE_EXCEEDED]
    else:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert seen == []
    assert asyncio.current_task().cancelling() == 0


async def test_timeout_of_the_caller(connect):
    """A caller's own asyncio.timeout ends the call as TimeoutError and reaches the handler."""
    ended = asyncio.Event()

    async def unary(request, context):
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await stub.GetProcessingWorkflow(GET, timeout=20)
    await ended.wait()


async def test_no_deadline(connect):
    """Without a timeout the handler sees no deadline of the caller."""
    seen = []

    async def unary(request, context):
        seen.append(context.time_remaining())
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    await stub.GetProcessingWorkflow(GET)

    assert seen == [None]


async def test_cancelling_the_callers_task(connect):
    """Cancelling the task that waits for a call cancels the handler."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def unary(request, context):
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.set()
            raise

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    async def calling():
        await stub.GetProcessingWorkflow(GET)

    task = asyncio.create_task(calling())
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()


async def test_cancelling_the_call(connect):
    """cancel() on a running call raises CancelledError where it is awaited and reaches the handler."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def unary(request, context):
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    call = stub.GetProcessingWorkflow(GET)

    async def calling():
        try:
            await call
        except asyncio.CancelledError:
            return asyncio.current_task().cancelling()

    task = asyncio.create_task(calling())
    await begun.wait()
    assert call.cancel()

    assert await task == 0
    await ended.wait()
    assert call.cancelled()
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert not call.cancel()


async def test_cancelling_before_it_is_awaited(connect):
    """A call that was cancelled at once raises CancelledError."""
    stub = rpc.ProcessingServiceStub(await connect(Handlers()))
    call = stub.GetProcessingWorkflow(GET)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_stream_of_responses(connect):
    """Responses arrive in order, more of them than fit in any buffer."""

    async def watch(request, context):
        for sequence in range(100):
            yield update(sequence)
        context.set_trailing_metadata((("last", "99"),))

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))

    call = stub.WatchProcessingSession(WATCH, timeout=10)
    got = [response.event.sequence async for response in call]

    assert got == list(range(100))
    assert await call.code() is grpc.StatusCode.OK
    assert (await call.trailing_metadata())["last"] == "99"


async def test_reading_one_by_one(connect):
    """read() gives one response a time, then EOF."""

    async def watch(request, context):
        yield update(1)
        yield update(2)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))
    call = stub.WatchProcessingSession(WATCH)

    assert (await call.read()).event.sequence == 1
    assert (await call.read()).event.sequence == 2
    assert await call.read() is grpc.aio.EOF


async def test_stream_that_fails_half_way(connect):
    """Responses before an abort arrive, then its status."""

    async def watch(request, context):
        yield update(1)
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "past the end", (("last", "1"),))

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))
    got = []

    async def reading():
        async for response in stub.WatchProcessingSession(WATCH):
            got.append(response.event.sequence)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await reading()

    assert got == [1]
    assert raised.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert raised.value.trailing_metadata()["last"] == "1"


@pytest.mark.parametrize("waits", [True, False], ids=["awaiting", "yielding"])
async def test_cancelling_a_stream(connect, waits):
    """Cancel in the middle of a stream ends the handler, whether it waits for itself or for its reader."""
    ended = asyncio.Event()

    async def watch(request, context):
        try:
            yield update(1)
            while True:
                if waits:
                    await asyncio.sleep(30)
                yield pb.WatchProcessingSessionResponse(event=pb.SessionEvent(message="x" * 65536))
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))
    call = stub.WatchProcessingSession(WATCH)
    assert (await call.read()).event.sequence == 1
    assert call.cancel()

    await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_stream_whose_reader_goes_away(connect):
    """Cancelling the task that reads a stream ends its handler."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def watch(request, context):
        try:
            yield update(1)
            await asyncio.sleep(30)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))

    async def reading():
        async for _ in stub.WatchProcessingSession(WATCH):
            begun.set()

    task = asyncio.create_task(reading())
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()


async def test_dropped_stream(connect):
    """A stream that nobody holds any more is cancelled."""
    ended = asyncio.Event()

    async def watch(request, context):
        try:
            while True:
                yield update(1)
                await asyncio.sleep(0)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))
    call = stub.WatchProcessingSession(WATCH)
    await call.read()
    del call

    await ended.wait()


async def test_deadline_of_a_stream(connect):
    """A stream past its deadline is DEADLINE_EXCEEDED and its handler ends."""
    ended = asyncio.Event()

    async def watch(request, context):
        try:
            yield update(1)
            await asyncio.sleep(30)
        finally:
            ended.set()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(watch=watch)))
    got = []

    async def reading():
        async for response in stub.WatchProcessingSession(WATCH, timeout=0.2):
            got.append(response.event.sequence)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await reading()

    assert got == [1]
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await ended.wait()


def chunk(data):
    return pb.PostProcessingArtifactRequest(data=data)


async def collect(request_iterator, context):
    size = 0
    async for request in request_iterator:
        size += len(request.data)
    return pb.PostProcessingArtifactResponse(artifact=payload_pb2.Artifact(size_bytes=size))


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_stream_of_requests(connect, kind):
    """Requests of an iterator, plain or asynchronous, all reach the handler."""

    async def chunks():
        for _ in range(50):
            yield chunk(b"x" * 1000)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(upload=collect)))
    requests = chunks() if kind == "async" else iter([chunk(b"x" * 1000)] * 50)

    reply = await stub.PostProcessingArtifact(requests, timeout=10)

    assert reply.artifact.size_bytes == 50_000


async def test_writing_requests(connect):
    """write() and done_writing() do the same by hand."""
    stub = rpc.ProcessingServiceStub(await connect(Handlers(upload=collect)))
    call = stub.PostProcessingArtifact()
    for _ in range(20):
        await call.write(chunk(b"abc"))
    await call.done_writing()

    assert (await call).artifact.size_bytes == 60
    with pytest.raises(asyncio.InvalidStateError):
        await call.write(chunk(b"abc"))


async def test_upload_that_is_refused(connect):
    """A handler that fails before it has read all requests ends the call with its status.

    The caller is silent meanwhile: grpc.aio answers INTERNAL for a status that arrives while it sends.
    """

    async def upload(request_iterator, context):
        async for _ in request_iterator:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")

    async def chunks():
        yield chunk(b"x" * 1000)
        await asyncio.sleep(30)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(upload=upload)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.PostProcessingArtifact(chunks())

    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_upload_whose_source_fails(connect):
    """An iterator of requests that raises cancels the call."""
    ended = asyncio.Event()

    async def upload(request_iterator, context):
        try:
            return await collect(request_iterator, context)
        finally:
            ended.set()

    async def chunks():
        yield chunk(b"x")
        raise RuntimeError("the file is gone")

    stub = rpc.ProcessingServiceStub(await connect(Handlers(upload=upload)))

    with pytest.raises(asyncio.CancelledError):
        await stub.PostProcessingArtifact(chunks())
    await ended.wait()


@pytest.mark.parametrize("style", ["generator", "context"])
async def test_stream_both_ways(connect, style):
    """Requests and responses of one call interleave, with handlers of both styles."""

    async def talk(requests, context):
        async for request in requests:
            yield b"re: " + request

    async def talk_by_context(requests, context):
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(b"re: " + request)

    channel = await connect(generic=(Chat(talk if style == "generator" else talk_by_context),))
    call = channel.stream_stream("/test.Chat/Talk")()
    got = []
    for word in (b"one", b"two", b"three"):
        await call.write(word)
        got.append(await call.read())
    await call.done_writing()

    assert got == [b"re: one", b"re: two", b"re: three"]
    assert await call.read() is grpc.aio.EOF


async def test_large_messages(connect):
    """A message just below the limit passes both ways."""

    async def unary(request, context):
        return workflow(request.workflow_id)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    text = "x" * (LIMIT - 100)

    reply = await stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id=text))

    assert reply.source == text


async def test_message_above_the_limit(connect):
    """A message above the limit is RESOURCE_EXHAUSTED, names both sizes, and never reaches the handler."""
    seen = []

    async def unary(request, context):
        seen.append(request)
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="x" * LIMIT))

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"larger than max ({LIMIT + 4} vs. {LIMIT})" in raised.value.details()
    assert seen == []


async def test_unknown_method(connect):
    """A method that no servicer has is UNIMPLEMENTED."""
    channel = await connect(Handlers())

    for path in ("/test.Chat/Talk", "/coordinator.processing.v1.ProcessingService/NoSuchRpc"):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(path)(b"")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await channel.unary_stream("/test.Chat/Talk")(b"").read()
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_method_that_the_servicer_left_out(connect):
    """A method of the contract that the servicer does not have is UNIMPLEMENTED."""
    stub = rpc.ProcessingServiceStub(await connect(Handlers()))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProcessingContract(pb.GetProcessingContractRequest())

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_many_calls_at_once(connect):
    """Calls that run together do not mix up their messages."""

    async def unary(request, context):
        await asyncio.sleep(0)
        return workflow(request.workflow_id)

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))

    async def call(number):
        return (await stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id=str(number)))).source

    assert await asyncio.gather(*map(call, range(50))) == [str(number) for number in range(50)]


async def test_done_callbacks(connect):
    """Callbacks of the call and of the handler's context run when it ends."""
    ended = asyncio.Event()
    done = asyncio.Event()

    async def unary(request, context):
        context.add_done_callback(lambda _: ended.set())
        return workflow()

    stub = rpc.ProcessingServiceStub(await connect(Handlers(unary)))
    call = stub.GetProcessingWorkflow(GET)
    call.add_done_callback(lambda _: done.set())
    await call

    await asyncio.wait_for(asyncio.gather(ended.wait(), done.wait()), 5)
