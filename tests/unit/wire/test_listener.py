"""Serving on an address: options, health, reflection, TLS, draining."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2

from processing_service.wire.addresses import fault_of
from processing_service.wire.channels import ChannelSettings, open_channel
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from processing_service.wire.health import Health
from processing_service.wire.interceptors.auth import Auth
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.listener import Listener, ListenerSettings, _options
from processing_service.wire.security import TlsSettings, TokenSettings
from processing_service.wire.telemetry.hooks import Telemetry
from tests.http2 import DATA, END_STREAM, HEADERS, connected

SERVICE = "coordinator.processing.v1.ProcessingService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
LOCAL = ListenerSettings("127.0.0.1:0")
GET = pb.GetProcessingWorkflowRequest()


class Handlers(rpc.ProcessingServiceServicer):
    """Answers when it may."""

    def __init__(self):
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def GetProcessingWorkflow(self, request, context):
        self.begun.set()
        await self.go.wait()
        return pb.GetProcessingWorkflowResponse()


@pytest.fixture
async def listen():
    """Starts listeners with `Handlers`; stops those that still run."""
    started = []

    async def listen(settings=LOCAL, auth=None, handlers=None):
        health = Health([SERVICE])
        listener = Listener(settings, Edge(Telemetry(), auth=auth), health)
        rpc.add_ProcessingServiceServicer_to_server(handlers or Handlers(), listener.server)
        await listener.start([SERVICE])
        started.append(listener)
        return listener, health

    yield listen
    for listener in started:
        await listener.server.stop(0)


async def test_calls_beyond_the_streams_of_a_connection_wait(listen):
    """However many a client has at once, none is refused."""
    handlers = Handlers()
    handlers.go.set()
    listener, _ = await listen(handlers=handlers)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        stub = rpc.ProcessingServiceStub(channel)
        replies = await asyncio.gather(*(stub.GetProcessingWorkflow(GET) for _ in range(1000)))

    assert len(replies) == 1000


async def test_streams_of_one_channel_leave_another_free(listen):
    """Each channel is a connection of its own: calls go on beside one whose streams use up its concurrent calls."""
    handlers = Handlers()
    handlers.go.set()
    listener, _ = await listen(ListenerSettings("127.0.0.1:0", max_streams=2), handlers=handlers)
    settings = ChannelSettings(listener.address)
    async with open_channel(settings) as watching, open_channel(settings) as calling:
        watches = [HealthStub(watching).Watch(health_pb2.HealthCheckRequest(service=SERVICE)) for _ in range(2)]
        for watch in watches:
            await watch.read()
        held_back = rpc.ProcessingServiceStub(watching).GetProcessingWorkflow(GET)

        await rpc.ProcessingServiceStub(calling).GetProcessingWorkflow(GET, timeout=30)

        assert not held_back.done()
        watches[0].cancel()
        await held_back
        watches[1].cancel()


class Refusing(rpc.ProcessingServiceServicer):
    """Asks to come back later."""

    async def GetProcessingWorkflow(self, request, context):
        raise Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "not yet", retry_delay=0.4)


async def test_an_error_is_sent_as_trailers_alone(listen):
    """One frame that ends the stream: behind headers of their own, the retry policies of gRPC would not look at it."""
    path = f"/{SERVICE}/GetProcessingWorkflow"
    refusing, _ = await listen(handlers=Refusing())
    serving, _ = await listen(handlers=(handlers := Handlers()))
    handlers.go.set()
    async with connected(refusing.address) as refused, connected(serving.address) as served:
        error, reply = await refused.call(path, b""), await served.call(path, b"")

    assert [(frame.kind, frame.flags & END_STREAM) for frame in error] == [(HEADERS, END_STREAM)]
    assert b"grpc-retry-pushback-ms\x03400" in error[0].payload
    assert [frame.kind for frame in reply] == [HEADERS, DATA, HEADERS]


async def test_an_idle_connection_may_ask_for_signs_of_life(listen):
    """Without any call, as long as it keeps to the floor: clients of .NET and Go that ping always are not cut."""
    floor = 0.2
    listener, _ = await listen(ListenerSettings("127.0.0.1:0", ping_floor=floor))
    held = []
    async with connected(listener.address) as client:
        for _ in range(8):
            await asyncio.sleep(floor * 1.5)
            held.append(await client.ping())

    assert held == [True] * 8


async def test_a_connection_that_pings_quicker_than_the_floor_is_cut(listen):
    """With the reason that gRPC has for it."""
    listener, _ = await listen()
    async with connected(listener.address) as client:
        held = [await client.ping() for _ in range(8)]

    assert held[0]
    assert not all(held)
    assert client.farewell == b"too_many_pings"


async def test_health_is_told(listen):
    """Check and Watch answer what the services were last said to be; the whole server needs all of them."""
    listener, health = await listen()
    async with open_channel(ChannelSettings(listener.address)) as channel:
        stub = HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == NOT_SERVING
        health.set(SERVICE, True)
        assert (await watch.read()).status == SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
        health.set("other.Service", False)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))).status == SERVING
        health.drain()
        assert (await watch.read()).status == NOT_SERVING
        health.close()
        assert await watch.read() is grpc.aio.EOF


async def test_health_of_an_unknown_service(listen):
    """Check of a service that is not there is NOT_FOUND; Watch says SERVICE_UNKNOWN and waits for it."""
    listener, health = await listen()
    async with open_channel(ChannelSettings(listener.address)) as channel:
        stub = HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE + "s"))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="late.Service"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        health.set("late.Service", True)
        assert (await watch.read()).status == SERVING
        watch.cancel()

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert from_rpc_error(raised.value).metadata["nearest"] == SERVICE


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(listen, version):
    """Both versions of reflection list the services and give their files."""
    listener, _ = await listen()
    async with open_channel(ChannelSettings(listener.address)) as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
        described = await call.read()
        await call.done_writing()

    names = {service.name for service in listed.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert described.file_descriptor_response.file_descriptor_proto


async def test_drain_waits_for_calls(listen):
    """A drain refuses new calls, lets running ones end, and reports that all did."""
    handlers = Handlers()
    listener, _ = await listen(handlers=handlers)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        stub = rpc.ProcessingServiceStub(channel)
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        await watch.read()
        running = stub.GetProcessingWorkflow(GET)
        await handlers.begun.wait()

        draining = asyncio.create_task(listener.drain(20))
        await asyncio.sleep(0)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.GetProcessingWorkflow(GET)
        handlers.go.set()

        assert await running == pb.GetProcessingWorkflowResponse()
        assert await draining
        assert from_rpc_error(raised.value).reason == ErrorReason.ERROR_REASON_SERVER_DRAINING


async def test_drain_of_an_idle_server_is_told(listen):
    """Who watches the health of a server without calls hears NOT_SERVING before the stream ends."""
    listener, health = await listen()
    health.set(SERVICE, True)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == SERVING

        assert await listener.drain(20)

        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF


async def test_drain_has_an_end(listen):
    """Calls that outlast the grace are cancelled and the drain says so."""
    handlers = Handlers()
    listener, _ = await listen(handlers=handlers)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        running = rpc.ProcessingServiceStub(channel).GetProcessingWorkflow(GET)
        await handlers.begun.wait()

        assert not await listener.drain(0.05)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_second_listener_on_one_address(listen):
    """An address that is taken is an error that says so."""
    listener, _ = await listen()

    with pytest.raises(CoordinatorError) as raised:
        await listen(ListenerSettings(listener.address))

    assert raised.value.code is Code.FAILED_PRECONDITION
    assert listener.address in raised.value.message


async def test_unix_socket(listen, tmp_path):
    """A Unix socket is an address like any other."""
    listener, health = await listen(ListenerSettings(f"unix:{tmp_path}/s"))
    health.set(SERVICE, True)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        assert (await HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status == SERVING


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "example.org:1"])
def test_plain_text_to_other_machines(address):
    """An address that other machines reach needs TLS, or plain text said aloud."""
    with pytest.raises(CoordinatorError):
        ListenerSettings(address)
    assert ListenerSettings(address, insecure=True).tls is None


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:0", "[::1]:1", "unix:s"])
def test_plain_text_on_one_machine(address):
    """An address of this machine alone needs no TLS."""
    assert ListenerSettings(address).address == address


@pytest.mark.parametrize("address", ["", "unix:", "50051", ":1", "host:", "host:99999", "http://host:1"])
def test_address_that_is_none(address):
    """A channel and a listener need host:port or unix:path, and say what they got."""
    for made in (ChannelSettings, ListenerSettings):
        with pytest.raises(CoordinatorError) as raised:
            made(address)
        assert raised.value.message == f"address: {fault_of(address)}"


def test_every_option_is_known():
    """grpc ignores options that it does not know; each of ours stands in its library."""
    library = next(Path(grpc.__file__).parent.glob("_cython/cygrpc*.so")).read_bytes()

    assert [name for name, _ in _options(LOCAL) if name.encode() not in library] == []


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and a certificate of `localhost` from it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl: TLS is not checked")
    folder = tmp_path_factory.mktemp("tls")
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
        " -keyout {0}.key -out {0}.pem -subj /CN={1}"
    )
    sign = (
        " -CA authority.pem -CAkey authority.key -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE"
    )
    for command in (make.format("authority", "authority"), make.format("server", "localhost") + sign):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


async def test_tls(listen, certificates):
    """With TLS on both sides a call passes; a client that does not know the authority gets nowhere."""
    tls = TlsSettings(str(certificates / "server.pem"), str(certificates / "server.key"))
    listener, health = await listen(ListenerSettings("localhost:0", tls=tls))
    health.set(SERVICE, True)
    knows = TlsSettings(authority_file=str(certificates / "authority.pem"))

    async with open_channel(ChannelSettings(listener.address, tls=knows)) as channel:
        assert (await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)).status == SERVING
    async with open_channel(ChannelSettings(listener.address, tls=TlsSettings())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_client_certificate(listen, certificates):
    """A server with an authority lets in only clients that have a certificate from it."""
    pair = (str(certificates / "server.pem"), str(certificates / "server.key"))
    authority = str(certificates / "authority.pem")
    listener, _ = await listen(ListenerSettings("localhost:0", tls=TlsSettings(*pair, authority)))

    async with open_channel(ChannelSettings(listener.address, tls=TlsSettings(*pair, authority))) as channel:
        await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    async with open_channel(ChannelSettings(listener.address, tls=TlsSettings(authority_file=authority))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_half_a_certificate():
    """A certificate without its key is refused when the settings are made."""
    with pytest.raises(CoordinatorError):
        TlsSettings(certificate_file="server.pem")


async def test_health_needs_no_token(listen, tmp_path):
    """Whoever watches over the server needs no token for its health."""
    (tmp_path / "token").write_text("open sesame")
    listener, health = await listen(auth=Auth([TokenSettings("operator", str(tmp_path / "token"))]))
    health.set(SERVICE, True)
    async with open_channel(ChannelSettings(listener.address)) as channel:
        assert (await HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.ProcessingServiceStub(channel).GetProcessingWorkflow(GET)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
