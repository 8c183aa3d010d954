"""The Model and Inference services behind the edge of our servers, on a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from coordinator.inference.v1 import inference_pb2_grpc
from coordinator.model.v1 import model_pb2_grpc

from processing_service.domains.inference.servicer import InferenceServicer
from processing_service.domains.inference.settings import InferenceSettings
from processing_service.domains.model.repository import ModelRepository, RepositorySettings
from processing_service.domains.model.servicer import ModelServicer
from processing_service.wire.channels import ChannelSettings, open_channel
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.telemetry.hooks import Telemetry

_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20))


@dataclass
class Services:
    """Stubs to the services, and the servicer behind one of them."""

    model: model_pb2_grpc.ModelServiceStub
    inference: inference_pb2_grpc.InferenceServiceStub
    servicer: InferenceServicer


@asynccontextmanager
async def serve(path: Path, settings: InferenceSettings | None = None) -> AsyncIterator[Services]:
    """Serves the repository in that folder."""
    repository = ModelRepository(RepositorySettings(path))
    servicer = InferenceServicer(repository, settings)
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry())),), options=_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    async with open_channel(ChannelSettings(f"127.0.0.1:{port}")) as channel:
        inference = inference_pb2_grpc.InferenceServiceStub(channel)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server)
        model_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(repository, inference), server)
        await server.start()
        try:
            yield Services(model_pb2_grpc.ModelServiceStub(channel), inference, servicer)
        finally:
            await server.stop(0)
            await servicer.close()


async def error_of(call) -> CoordinatorError:
    """The error that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call succeeded")
