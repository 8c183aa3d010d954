"""Servers that are not well: one refuses with a delay, one is silent. Real ones, with a made-up session in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import (
    ProcessingServiceServicer,
    add_ProcessingServiceServicer_to_server,
)

from processing_service.wire.errors import Unavailable
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.telemetry.hooks import Telemetry

SERVICE = "coordinator.processing.v1.ProcessingService"
SESSION = pb.Session(session_id="made-up", state=pb.SESSION_STATE_SUCCEEDED)
Context = grpc.aio.ServicerContext[Any, Any]


class Refusing(ProcessingServiceServicer):
    """Refuses the first calls of GetProcessingWorkflows and every one of PostWorkflowExecute, with RetryInfo."""

    def __init__(self, refusals: int, delay: float) -> None:
        self._refusals, self._delay = refusals, delay
        self.lists: list[tuple[float, str]] = []
        """When a call of GetProcessingWorkflows came, in seconds, and its `grpc-previous-rpc-attempts`."""
        self.starts: list[tuple[float, str]] = []
        """The same of PostWorkflowExecute."""

    async def GetProcessingWorkflows(
        self, request: pb.GetProcessingWorkflowsRequest, context: Context
    ) -> pb.GetProcessingWorkflowsResponse:
        self.lists.append(_arrival(context))
        if len(self.lists) <= self._refusals:
            raise self._refusal()
        return pb.GetProcessingWorkflowsResponse(workflows=[pb.Workflow(workflow_id="read-text", title="Read")])

    async def PostWorkflowExecute(
        self, request: pb.PostWorkflowExecuteRequest, context: Context
    ) -> pb.PostWorkflowExecuteResponse:
        self.starts.append(_arrival(context))
        raise self._refusal()

    def _refusal(self) -> Unavailable:
        return Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "not yet", retry_delay=self._delay)


def _arrival(context: Context) -> tuple[float, str]:
    metadata = dict(context.invocation_metadata() or ())
    return time.monotonic(), str(metadata.get("grpc-previous-rpc-attempts", ""))


class Silent(ProcessingServiceServicer):
    """Tells of its session that it is there, and then nothing until `silence` is over or the caller is gone."""

    def __init__(self, silence: float) -> None:
        self._silence = silence

    async def GetProcessingWorkflows(
        self, request: pb.GetProcessingWorkflowsRequest, context: Context
    ) -> pb.GetProcessingWorkflowsResponse:
        return pb.GetProcessingWorkflowsResponse()

    async def PostWorkflowExecute(
        self, request: pb.PostWorkflowExecuteRequest, context: Context
    ) -> pb.PostWorkflowExecuteResponse:
        return pb.PostWorkflowExecuteResponse(session=SESSION)

    async def WatchProcessingSession(
        self, request: pb.WatchProcessingSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        yield pb.WatchProcessingSessionResponse(snapshot=SESSION)
        await asyncio.sleep(self._silence)
        event = pb.SessionEvent(sequence=1, kind=pb.EVENT_KIND_SESSION_ENDED)
        yield pb.WatchProcessingSessionResponse(event=event)


@asynccontextmanager
async def listening(servicer: ProcessingServiceServicer) -> AsyncIterator[str]:
    """The servicer behind the coordinator's own listener, with its settings as they are by default; the address."""
    listener = Listener(ListenerSettings("localhost:0"), Edge(Telemetry()), Health([SERVICE]))
    add_ProcessingServiceServicer_to_server(servicer, listener.server)
    await listener.start([SERVICE])
    try:
        yield listener.address
    finally:
        await listener.server.stop(0)


@asynccontextmanager
async def bare(servicer: ProcessingServiceServicer) -> AsyncIterator[str]:
    """The servicer behind a server of grpc without any settings; the address."""
    server = grpc.aio.server()
    add_ProcessingServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(0)
