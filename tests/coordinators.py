"""The whole service on a free port of this process, called with the generated stubs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from processing_service.config import Settings
from processing_service.domains.model.repository import RepositorySettings
from processing_service.engine.store.sqlite.store import StoreSettings
from processing_service.server import running
from processing_service.server.coordinator import Coordinator, now_us
from processing_service.server.hosting import DOMAINS, Hosting, service_name
from processing_service.server.monitor import SERVICE, Monitor
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.telemetry.hooks import Telemetry

ECHO = "postprocessing.post_postprocessing_execute"
EXECUTE = "processing.post_workflow_execute"
OPTIONS = (("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20))
TERMINAL = range(pb.SESSION_STATE_SUCCEEDED, pb.SESSION_STATE_TIMED_OUT + 1)


@dataclass
class Served:
    """A coordinator that serves, and its stubs."""

    address: str
    channel: grpc.aio.Channel
    stub: Any
    inference: Any
    metrics_address: str = ""

    async def put(self, workflow_id: str, *steps: Mapping[str, Any], **parts: Any) -> pb.Workflow:
        """Stores a workflow."""
        source = json.dumps({"workflow_id": workflow_id, "steps": steps, **parts})
        return (await self.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source))).workflow

    async def execute(
        self, workflow_id: str, parameters: Mapping[str, Any] | None = None, **fields: Any
    ) -> pb.PostWorkflowExecuteResponse:
        """Executes a workflow."""
        return await self.stub.PostWorkflowExecute(execution(workflow_id, parameters, **fields))

    async def session(self, session_id: str) -> pb.Session:
        """A stored session."""
        return (await self.stub.GetProcessingSession(pb.GetProcessingSessionRequest(session_id=session_id))).session

    async def sessions(self) -> list[str]:
        """Ids of the stored sessions, newest first."""
        reply = await self.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest())
        return [session.session_id for session in reply.sessions]

    async def children(self, session_id: str) -> Sequence[pb.Session]:
        """The sessions of its steps, once there are any."""
        request = pb.GetProcessingSessionsRequest(parent_session_id=session_id)
        while not (found := (await self.stub.GetProcessingSessions(request)).sessions):
            pass
        return found

    async def ended(self, session_id: str) -> pb.Session:
        """A session, once it has ended."""
        async for _ in self.watch(session_id):
            pass
        return await self.session(session_id)

    def watch(self, session_id: str, after: int | None = 0, **options: Any) -> Any:
        """The stream of a session's updates."""
        request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=after)
        return self.stub.WatchProcessingSession(request, **options)

    async def watch_when_there(self, session_id: str) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """The updates of a session that is about to start."""
        while True:
            try:
                await self.session(session_id)
            except grpc.aio.AioRpcError:
                continue
            break
        async for update in self.watch(session_id):
            yield update

    async def events(self, session_id: str) -> list[pb.SessionEvent]:
        """The history of a session."""
        request = pb.GetProcessingSessionEventsRequest(session_id=session_id, page_size=1000)
        return list((await self.stub.GetProcessingSessionEvents(request)).events)


def execution(
    workflow_id: str, parameters: Mapping[str, Any] | None = None, **fields: Any
) -> pb.PostWorkflowExecuteRequest:
    """A request to execute a workflow."""
    struct = Struct()
    struct.update(dict(parameters or {}))
    return pb.PostWorkflowExecuteRequest(workflow_id=workflow_id, parameters=struct, **fields)


def echo(step_id: str = "say", text: str = "hello", delay: str = "", **parts: Any) -> dict[str, Any]:
    """A step that gives a text back, after a while."""
    operation = {"text": text, "delay": delay} if delay else {"text": text}
    return {"step_id": step_id, "operation": ECHO, "parameters": {"echo": operation}, **parts}


def outputs_of(session: pb.Session) -> dict[str, Any]:
    """The readable outputs of a session."""
    return MessageToDict(session.outputs)


def settings_in(folder: Path, **changes: Any) -> Settings:
    """A process that keeps all it has in that folder and listens on a free port."""
    kept: dict[str, Any] = {
        "listener": ListenerSettings("127.0.0.1:0"),
        "store": StoreSettings(folder / "store"),
        "model": RepositorySettings(folder / "models"),
        "drain_grace": 2.0,
    }
    return Settings(**(kept | changes))


@asynccontextmanager
async def reach(address: str, metrics_address: str = "") -> AsyncIterator[Served]:
    """Stubs to a server."""
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        yield Served(address, channel, ProcessingServiceStub(channel), InferenceServiceStub(channel), metrics_address)


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncIterator[Served]:
    """A process as `processing-service serve` runs it."""
    async with (
        running(settings_in(folder, **changes)) as process,
        reach(process.address, process.metrics_address) as served,
    ):
        yield served


@asynccontextmanager
async def wired(
    folder: Path,
    telemetry: Telemetry,
    now_us: Callable[[], int] = now_us,
    host: Callable[..., Hosting] = Hosting,
    **changes: Any,
) -> AsyncIterator[tuple[Coordinator, Served]]:
    """The same parts, put together with the test's own telemetry and clock; the coordinator's own can be reached.

    Args:
        host: makes the domains of this process.
    """
    settings = settings_in(folder, **changes)
    async with AsyncExitStack() as stack:
        hosting = host(settings, ("processing", *DOMAINS), telemetry, stack)
        await hosting.join()
        health = Health([service_name(name) for name in DOMAINS] + [SERVICE])
        monitor = Monitor(hosting, health)
        coordinator = Coordinator(settings, hosting, monitor.of, telemetry, stack, now_us)
        listener = Listener(settings.listener, Edge(telemetry, limits=settings.deadlines), health)
        coordinator.add_to(listener.server)
        coordinator.add_workflows_to(listener.server)
        await coordinator.start()
        await monitor.look(coordinator.well)
        watching = asyncio.ensure_future(monitor.run(coordinator.well))
        stack.callback(watching.cancel)
        await listener.start([SERVICE], coordinator.described)
        try:
            async with reach(listener.address) as served:
                yield coordinator, served
        finally:
            await coordinator.drain(2.0)
            await listener.drain(2.0)


async def refused(call: Any) -> CoordinatorError:
    """The error with which a call is refused, as the trailers of its status have it."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call succeeded")


def paths(error: CoordinatorError) -> Sequence[str]:
    """The fields that an error names."""
    return [violation.field_path for violation in error.violations]


def reasons(session: pb.Session) -> list[str]:
    """The chain of causes of a session's failure, outermost first."""
    found, failure = [], session.failure
    while failure.reason_name or failure.reason:
        found.append(failure.reason_name)
        failure = failure.cause
    return found
