"""A service that is not part of the contract, compiled when the tests run; its fixtures are taken by conftests."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import message_factory
from google.rpc import status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from instructors.discovery import read
from instructors.foreign import ForeignDomain
from processing_service.wire.channels import ChannelSettings
from processing_service.wire.interceptors.errors import DETAILS

SERVICE = "tests.greetings.v1.GreetingService"

SOURCE = """
syntax = "proto3";
package tests.greetings.v1;
import "coordinator/payload/v1/payload.proto";
service GreetingService {
  rpc Greet(GreetRequest) returns (GreetResponse) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc WatchHTTPGreetings(GreetRequest) returns (stream GreetResponse);
  rpc PutName(GreetRequest) returns (GreetResponse);
}
message GreetRequest {
  string person_name = 1;
  repeated string titles = 2;
  coordinator.payload.v1.Datum picture = 3;
  map<string, Person> people = 4;
}
message Person { bytes face = 1; coordinator.payload.v1.Tensor outline = 2; int32 age = 3; }
message GreetResponse { string greeting = 1; coordinator.payload.v1.Datum picture = 2; map<string, Person> people = 3; }
"""


@pytest.fixture(scope="session")
def greeting_set(tmp_path_factory) -> Path:
    """The descriptor set of a foreign service."""
    return compile_set(tmp_path_factory.mktemp("greetings"))


def compile_set(folder: Path) -> Path:
    """The descriptor set, compiled by buf into an empty folder."""
    protos = Path(__file__).parents[1] / "protos" / "coordinator" / "payload" / "v1" / "payload.proto"
    for name, text in {"greetings.proto": SOURCE, "coordinator/payload/v1/payload.proto": protos.read_text()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    buf = Path(sys.executable).parent / "buf"
    subprocess.run([buf, "build", folder, "-o", folder / "set.binpb"], check=True)
    return folder / "set.binpb"


class Greeter:
    """Greets, and notes with which metadata and how much time it was asked."""

    def __init__(self, service) -> None:
        self.metadata: list[dict[str, str]] = []
        self.remaining: list[float] = []
        self.service = service
        self.replies: list[BaseException] = []
        """Errors to give before the first greeting."""
        self.statuses: list[status_pb2.Status] = []
        """Statuses to end the first calls with."""
        self.go = asyncio.Event()
        """Calls wait for it."""
        self.go.set()
        self._calls = asyncio.Semaphore(0)
        self._methods = {method.name: method for method in service.methods}

    async def greet(self, request, context):
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining.append(context.time_remaining())
        self._calls.release()
        await self.go.wait()
        if self.statuses:
            status = self.statuses.pop(0)
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))
        if self.replies:
            raise self.replies.pop(0)
        reply = message_factory.GetMessageClass(self._methods["Greet"].output_type)
        picture = request.picture if request.HasField("picture") else None
        return reply(greeting=f"Hello {request.person_name}", picture=picture, people=request.people)

    async def asked(self, calls):
        """Returns once so many calls have come."""
        for _ in range(calls):
            await self._calls.acquire()

    def handler(self):
        """What a server takes."""
        kinds = self._methods["Greet"]
        one = grpc.unary_unary_rpc_method_handler(
            self.greet,
            message_factory.GetMessageClass(kinds.input_type).FromString,
            message_factory.GetMessageClass(kinds.output_type).SerializeToString,
        )
        return grpc.method_handlers_generic_handler(self.service.full_name, {"Greet": one, "PutName": one})


@pytest.fixture
def greeter(greeting_set) -> Greeter:
    """The foreign service."""
    return Greeter(read(greeting_set))


@pytest.fixture
async def greeting_address(greeter) -> AsyncIterator[str]:
    """Where the foreign service is served, with reflection v1alpha."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter.handler(),))
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, greeter.service.file.pool)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
def greetings(greeting_address, greeting_set) -> ForeignDomain:
    """The foreign service as a domain."""
    return ForeignDomain("greetings", ChannelSettings(greeting_address), descriptor_set_file=greeting_set)


def reflection_v1(pool) -> grpc.GenericRpcHandler:
    """Server reflection of version v1; its messages are those of v1alpha."""
    info = grpc.stream_stream_rpc_method_handler(
        ReflectionServicer((SERVICE,), pool).ServerReflectionInfo,
        ServerReflectionRequest.FromString,
        ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": info})
