"""A workflow's own service as a client without files sees it: by reflection, in a descriptor pool of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from tests.coordinators import Served

PACKAGE = "coordinator.workflows.v1"
V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"

Metadata = Sequence[tuple[str, str]]


class TypedService:
    """Calls Execute and Watch with messages that reflection described."""

    def __init__(self, served: Served, service: str, pool: DescriptorPool, metadata: Metadata = ()) -> None:
        self._channel, self._metadata = served.channel, metadata
        self.descriptor = pool.FindServiceByName(f"{PACKAGE}.{service}")
        self.request: Any = self._message("Execute", "input_type")
        self.response: Any = self._message("Execute", "output_type")
        self.watch_request: Any = self._message("Watch", "input_type")

    def execute(self, **fields: Any) -> Any:
        """A call of Execute."""
        return self.execute_raw(self.request(**fields).SerializeToString())

    def execute_raw(self, data: bytes) -> Any:
        """A call of Execute with those bytes."""
        call: Any = self._channel.unary_unary(self._path("Execute"), None, self.response.FromString)
        return call(data, metadata=self._metadata)

    def watch(self, **fields: Any) -> Any:
        """A call of Watch."""
        response = self._message("Watch", "output_type")
        call: Any = self._channel.unary_stream(self._path("Watch"), None, response.FromString)
        return call(self.watch_request(**fields).SerializeToString(), metadata=self._metadata)

    def _path(self, rpc: str) -> str:
        return f"/{self.descriptor.full_name}/{rpc}"

    def _message(self, rpc: str, end: str) -> Any:
        return GetMessageClass(getattr(self.descriptor.methods_by_name[rpc], end))


async def reflected(served: Served, service: str, metadata: Metadata = (), protocol: str = V1) -> TypedService:
    """The service of that name, by reflection."""
    files = await _ask(served, metadata, protocol, file_containing_symbol=f"{PACKAGE}.{service}")
    pool, given = DescriptorPool(), {}
    for data in files.file_descriptor_response.file_descriptor_proto:
        file = FileDescriptorProto.FromString(data)
        given[file.name] = file
    for name in list(given):
        _add(pool, name, given)
    return TypedService(served, service, pool, metadata)


async def listed(served: Served, metadata: Metadata = (), protocol: str = V1) -> list[str]:
    """The services of workflows that reflection lists, without their package."""
    reply = await _ask(served, metadata, protocol, list_services="")
    names = [service.name for service in reply.list_services_response.service]
    return [name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(PACKAGE)]


async def _ask(served: Served, metadata: Metadata, protocol: str, **asked: str) -> Any:
    call: Any = served.channel.stream_stream(
        f"/{protocol}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    stream: grpc.aio.StreamStreamCall[Any, Any] = call(
        iter([reflection_pb2.ServerReflectionRequest(**asked)]), metadata=metadata
    )
    return await stream.read()


def _add(pool: DescriptorPool, name: str, given: dict[str, FileDescriptorProto]) -> None:
    """Adds a file once, behind what it imports."""
    file = given.pop(name, None)
    if file is None:
        return
    for dependency in file.dependency:
        _add(pool, dependency, given)
    pool.Add(file)
