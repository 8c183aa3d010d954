"""Stand-ins that tests of several packages use: public classes, asserted by their state."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import yaml
from coordinator.error.v1.error_pb2 import ErrorReason, Failure
from coordinator.payload.v1.payload_pb2 import Artifact
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc

from processing_service.engine.records import Kind, Record, SessionState
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.errors import CoordinatorError, Unavailable, not_found
from processing_service.wire.health import Health
from processing_service.wire.interceptors.auth import Auth
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.security import TokenSettings
from processing_service.wire.telemetry.hooks import Telemetry

Command = Callable[[pb.PostCommandExecuteRequest], pb.PostCommandExecuteResponse]


class FakeCoordinator(rpc.ProcessingServiceServicer):
    """A ProcessingService in memory; its sessions have one step and give their parameters back as outputs.

    A session of the workflow `fails` ends FAILED, of `times-out` TIMED_OUT, of `waits` when `finish` is called, of any
    other SUCCEEDED at once.
    """

    def __init__(self) -> None:
        self.address = ""
        """Where it is, while `serving` lasts."""
        self.calls: list[tuple[str, Any]] = []
        """Method and request of every call, in order."""
        self.contexts: list[CallContext] = []
        """What each call said of itself, in the same order."""
        self.faults: deque[CoordinatorError | None] = deque()
        """What the next calls are refused with; None lets one pass."""
        self.cuts: deque[int] = deque()
        """Messages after which the next streams break."""
        self.delay = 0.0
        """Seconds that every unary call takes."""
        self.workflows: dict[str, pb.Workflow] = {}
        self.sessions: dict[str, pb.Session] = {}
        self.events: dict[str, list[pb.SessionEvent]] = {}
        self.artifacts: dict[str, tuple[Artifact, bytes]] = {}
        self.commands: dict[str, Command] = {}
        """What answers an operation."""
        self.watchers = 0
        """Watches that are open."""
        self._listener: Listener | None = None
        self._answers: dict[str, pb.Session] = {}
        self._changed = asyncio.Event()

    async def start(self, tokens: Iterable[TokenSettings] = (), address: str = "127.0.0.1:0") -> None:
        """Serves on an address, behind the edge that every server of ours has."""
        tokens = tuple(tokens)
        service = pb.DESCRIPTOR.services_by_name["ProcessingService"].full_name
        edge = Edge(Telemetry(), auth=Auth(tokens) if tokens else None)
        self._listener = Listener(ListenerSettings(address), edge, Health([service]))
        rpc.add_ProcessingServiceServicer_to_server(self, self._listener.server)
        await self._listener.start([service])
        self.address = self._listener.address

    async def stop(self) -> None:
        """Drops every connection."""
        if self._listener is not None:
            await self._listener.server.stop(None)

    def requests(self, method: str) -> list[Any]:
        """What was asked of one method."""
        return [request for name, request in self.calls if name == method]

    def finish(self, session_id: str, state: pb.SessionState.ValueType = pb.SESSION_STATE_SUCCEEDED) -> None:
        """Ends a session."""
        session = self.sessions[session_id]
        session.state, session.progress = state, 1.0
        session.ended_at.FromSeconds(1_790_000_002)
        if state == pb.SESSION_STATE_FAILED:
            session.failure.CopyFrom(_failure())
        if state == pb.SESSION_STATE_SUCCEEDED:
            session.steps[0].state = pb.STEP_STATE_SUCCEEDED
            self.tell(session_id, pb.EVENT_KIND_STEP_SUCCEEDED, "read")
        self.tell(session_id, pb.EVENT_KIND_SESSION_ENDED)

    def tell(self, session_id: str, kind: pb.EventKind.ValueType, step_id: str = "") -> None:
        """One more event of a session."""
        session, events = self.sessions[session_id], self.events[session_id]
        event = pb.SessionEvent(
            sequence=len(events) + 1, kind=kind, step_id=step_id, session_state=session.state, attempt=1
        )
        event.occurred_at.FromMilliseconds(1_790_000_000_000 + len(events))
        if session.HasField("failure"):
            event.failure.CopyFrom(session.failure)
        events.append(event)
        session.last_sequence = len(events)
        self._changed.set()
        self._changed = asyncio.Event()

    async def GetProcessingWorkflows(self, request, context):
        await self._take("GetProcessingWorkflows", request)
        names = sorted(self.workflows)
        start, size = int(request.page_token or 0), request.page_size or 100
        return pb.GetProcessingWorkflowsResponse(
            workflows=[self.workflows[name] for name in names[start : start + size]],
            next_page_token=str(start + size) if start + size < len(names) else "",
        )

    async def GetProcessingWorkflow(self, request, context):
        await self._take("GetProcessingWorkflow", request)
        workflow = self._workflow(request.workflow_id)
        return pb.GetProcessingWorkflowResponse(workflow=workflow, source=f"workflow_id: {workflow.workflow_id}\n")

    async def PutProcessingWorkflow(self, request, context):
        await self._take("PutProcessingWorkflow", request)
        workflow = request.workflow
        if request.WhichOneof("definition") == "source":
            workflow = pb.Workflow(workflow_id=yaml.safe_load(request.source)["workflow_id"])
        changed = workflow.workflow_id not in self.workflows
        if not request.validate_only:
            self.workflows[workflow.workflow_id] = workflow
        return pb.PutProcessingWorkflowResponse(workflow=workflow, changed=changed)

    async def DeleteProcessingWorkflow(self, request, context):
        await self._take("DeleteProcessingWorkflow", request)
        del self.workflows[self._workflow(request.workflow_id).workflow_id]
        return pb.DeleteProcessingWorkflowResponse()

    async def PostWorkflowPlan(self, request, context):
        await self._take("PostWorkflowPlan", request)
        self._workflow(request.execution.workflow_id)
        needed, budget = 2, request.execution.timeout.seconds or 600
        step = pb.PlannedStep(step_id="find", operation="inference.post_inference_execute", model_id="reader")
        step.expected_duration.FromSeconds(needed)
        return pb.PostWorkflowPlanResponse(
            steps=[step],
            models=[pb.PlannedModel(model_id="reader", model_version="2", size_bytes=3 << 20)],
            load_count=1,
            peak_bytes={"cpu": 3 << 20},
            expected_duration=step.expected_duration,
            feasible=needed <= budget,
            warnings=[] if needed <= budget else [f"it takes {needed} s, and its budget is {budget} s"],
        )

    async def PostWorkflowExecute(self, request, context):
        await self._take("PostWorkflowExecute", request)
        if request.validate_only or request.from_session_id:
            planned = [pb.PlannedStep(step_id="say", reuse_decision=pb.REUSE_DECISION_REUSE, reason="nothing changed")]
        else:
            planned = []
        if request.validate_only:
            return pb.PostWorkflowExecuteResponse(planned_steps=planned)
        if request.request_id in self._answers:
            return pb.PostWorkflowExecuteResponse(session=self._answers[request.request_id], repeated_request=True)
        session = self._start(request)
        self._answers[request.request_id] = session
        return pb.PostWorkflowExecuteResponse(session=session, planned_steps=planned)

    async def GetProcessingSessions(self, request, context):
        await self._take("GetProcessingSessions", request)
        states = request.selector.states
        found = [session for session in self.sessions.values() if not states or session.state in states]
        return pb.GetProcessingSessionsResponse(sessions=reversed(found))

    async def GetProcessingSession(self, request, context):
        await self._take("GetProcessingSession", request)
        return pb.GetProcessingSessionResponse(session=self._session(request.session_id))

    async def GetProcessingSessionEvents(self, request, context):
        await self._take("GetProcessingSessionEvents", request)
        events = self.events[self._session(request.session_id).session_id]
        return pb.GetProcessingSessionEventsResponse(events=events[request.after_sequence :])

    async def WatchProcessingSession(self, request, context):
        self._note("WatchProcessingSession", request)
        self.watchers += 1
        try:
            async for update in self._cut(self._updates(request)):
                yield update
        finally:
            self.watchers -= 1

    async def PostSessionControl(self, request, context):
        await self._take("PostSessionControl", request)
        applied = not request.validate_only
        if request.HasField("selector"):
            ids = sorted(self.sessions)
            return pb.PostSessionControlResponse(applied=applied, matched_count=len(ids), session_ids=ids)
        session = self._session(request.session_id)
        steps = [pb.PlannedStep(step_id="say", reuse_decision=pb.REUSE_DECISION_RERUN, reason="it is FAILED")]
        return pb.PostSessionControlResponse(session=session, applied=applied, planned_steps=steps)

    async def DeleteProcessingSession(self, request, context):
        await self._take("DeleteProcessingSession", request)
        del self.sessions[self._session(request.session_id).session_id]
        return pb.DeleteProcessingSessionResponse()

    async def PostCommandExecute(self, request, context):
        await self._take("PostCommandExecute", request)
        if request.operation not in self.commands:
            reason = ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND
            raise not_found(reason, "operation", request.operation, self.commands)
        return self.commands[request.operation](request)

    async def GetProcessingArtifact(self, request, context):
        self._note("GetProcessingArtifact", request)
        if request.digest not in self.artifacts:
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", request.digest)
        async for chunk in self._cut(_chunks(*self.artifacts[request.digest], request.offset)):
            yield chunk

    async def PostProcessingArtifact(self, request_iterator, context):
        messages = [message async for message in request_iterator]
        await self._take("PostProcessingArtifact", messages)
        data = b"".join(message.data for message in messages)
        artifact = messages[0].artifact
        assert artifact.digest == hashlib.sha256(data).hexdigest()
        created = artifact.digest not in self.artifacts
        self.artifacts[artifact.digest] = artifact, data
        return pb.PostProcessingArtifactResponse(artifact=artifact, created=created)

    def _note(self, method: str, request: Any) -> None:
        self.calls.append((method, request))
        self.contexts.append(current())

    async def _take(self, method: str, request: Any) -> None:
        self._note(method, request)
        await asyncio.sleep(self.delay)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            raise fault

    def _workflow(self, workflow_id: str) -> pb.Workflow:
        if workflow_id not in self.workflows:
            reason = ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND
            raise not_found(reason, "workflow", workflow_id, self.workflows)
        return self.workflows[workflow_id]

    def _session(self, session_id: str) -> pb.Session:
        if session_id not in self.sessions:
            raise not_found(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, "session", session_id, self.sessions)
        return self.sessions[session_id]

    def _start(self, request: pb.PostWorkflowExecuteRequest) -> pb.Session:
        session_id = request.session_id or f"session-{len(self.sessions) + 1}"
        session = pb.Session(
            session_id=session_id,
            workflow_id=request.workflow_id,
            state=pb.SESSION_STATE_RUNNING,
            attempt=1,
            outputs=request.parameters,
            payloads=request.payloads,
            labels=request.labels,
            steps=[pb.StepStatus(step_id="read", state=pb.STEP_STATE_RUNNING, attempt=1, operation="model.get_model")],
        )
        session.created_at.FromSeconds(1_790_000_000)
        self.sessions[session_id], self.events[session_id] = session, []
        self.tell(session_id, pb.EVENT_KIND_SESSION_STARTED)
        self.tell(session_id, pb.EVENT_KIND_STEP_STARTED, "read")
        ends = {"fails": pb.SESSION_STATE_FAILED, "times-out": pb.SESSION_STATE_TIMED_OUT}
        if request.workflow_id != "waits":
            self.finish(session_id, ends.get(request.workflow_id, pb.SESSION_STATE_SUCCEEDED))
        return session

    async def _updates(
        self, request: pb.WatchProcessingSessionRequest
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        session = self._session(request.session_id)
        seen = request.after_sequence if request.HasField("after_sequence") else session.last_sequence
        yield pb.WatchProcessingSessionResponse(snapshot=session)
        while True:
            changed = self._changed
            events = self.events[session.session_id]
            if request.grouped_events and seen + 1 < len(events):
                group = pb.SessionEventGroup(events=events[seen:])
                seen = len(events)
                yield pb.WatchProcessingSessionResponse(event_group=group)
            while seen < len(events):
                seen += 1
                yield pb.WatchProcessingSessionResponse(event=events[seen - 1])
            if session.state > pb.SESSION_STATE_CANCELLING:
                return
            progress = pb.SessionProgress(fraction=0.5, step_id="read")
            yield pb.WatchProcessingSessionResponse(session_progress=progress)
            await changed.wait()

    async def _cut(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        left = self.cuts.popleft() if self.cuts else -1
        async for message in messages:
            if left == 0:
                raise Unavailable(ErrorReason.ERROR_REASON_SERVER_DRAINING, "the server is shutting down")
            left -= 1
            yield message


@asynccontextmanager
async def serving(fake: FakeCoordinator, tokens: Iterable[TokenSettings] = ()) -> AsyncIterator[FakeCoordinator]:
    """The fake on a free port."""
    await fake.start(tokens)
    try:
        yield fake
    finally:
        await fake.stop()


def _failure() -> Failure:
    cause = Failure(
        status_code=3,
        reason=ErrorReason.ERROR_REASON_IMAGE_INVALID,
        reason_name="IMAGE_INVALID",
        message="the page is not an image",
        step_key="session-1/read",
    )
    return Failure(
        status_code=3,
        reason=ErrorReason.ERROR_REASON_STEP_FAILED,
        reason_name="STEP_FAILED",
        message="step 'read' failed",
        cause=cause,
    )


async def _chunks(artifact: Artifact, data: bytes, offset: int) -> AsyncIterator[pb.GetProcessingArtifactResponse]:
    size = 1 << 16
    for start in range(offset, len(data), size):
        yield pb.GetProcessingArtifactResponse(artifact=artifact, offset=start, data=data[start : start + size])


class FakeHistory:
    """Stands in for a session store where only histories are read; a read is answered when it may be.

    Assert on `reads`; grow `records`.
    """

    def __init__(self) -> None:
        self.records_kept: list[Record] = []
        self.reads: list[int] = []
        """The number behind which each read began."""
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    def add(self, count: int, kind: Kind = Kind.STEP_STARTED, **facts: Any) -> None:
        """So many more records."""
        for _ in range(count):
            sequence = len(self.records_kept) + 1
            record = Record(sequence, 10**15 + sequence, kind, 1, SessionState.RUNNING, 0, -1, 1)
            self.records_kept.append(record._replace(**facts))

    async def records(self, session_id: str, tenant: str, after: int, limit: int, created_us: int = 0) -> list[Record]:
        self.reads.append(after)
        found = self.records_kept[after : after + limit]
        self.begun.set()
        await self.go.wait()
        return found
