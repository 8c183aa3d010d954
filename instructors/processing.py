"""Use cases of sessions: execute a workflow, read, list and remove what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.struct_pb2 import Struct

from instructors.artifacts import ArtifactInstructor
from instructors.domain_views import DomainViews
from instructors.formers import check_former
from instructors.repeats import Repeats
from instructors.reuse_plans import ReusePlanner
from instructors.sessions import SessionReader
from instructors.views import session_of
from processing_service.engine.base import Engine, SessionContext, StepCall
from processing_service.engine.decide import CANCEL_GRACE_US
from processing_service.engine.definitions import Definition
from processing_service.engine.events import Command
from processing_service.engine.ids import check_id
from processing_service.engine.live import Live
from processing_service.engine.managers.sessions import Beginning, Parent, SessionManager, request_digest
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.records import Action, SessionState
from processing_service.engine.refusals import check_ended, check_no_cell
from processing_service.engine.store.base import RequestNote, SessionRemover
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.errors import CoordinatorError, invalid, not_found

REPLY_MARGIN_US: Final = 150_000
"""How long before the deadline of the call the reply goes out at the latest, in microseconds: 100 ms and a tick."""
_FOREVER_US: Final = 1 << 62


class ProcessingInstructor:
    """Executes workflows.

    Args:
        pin: resolves the model of a session and keeps it in its context.
        remover: removes what is stored of a session.
        reader: reads what is stored of a session.
        views: has the domains forget a session that is removed.
        reuse_plans: says what a session takes over from a former one.
        now_us: microseconds since the Unix epoch.
        owner: name of this coordinator.
    """

    def __init__(
        self,
        workflows: WorkflowManager,
        sessions: SessionManager,
        engine: Engine,
        pin: Callable[[SessionContext], Awaitable[None]],
        artifacts: ArtifactInstructor,
        repeats: Repeats,
        reader: SessionReader,
        remover: SessionRemover,
        views: DomainViews,
        reuse_plans: ReusePlanner,
        now_us: Callable[[], int],
        owner: str,
    ) -> None:
        self._workflows, self._sessions, self._engine = workflows, sessions, engine
        self._artifacts, self._repeats, self._reader, self._remover = artifacts, repeats, reader, remover
        self._views, self._reuse_plans = views, reuse_plans
        self._pin, self._now_us, self._owner = pin, now_us, owner

    async def handle_workflow_execute(
        self, workflow_id: str, model_id: str = "", **params: Any
    ) -> pb.PostWorkflowExecuteResponse:
        """Executes a workflow in the foreground, with parameters by name. Raises as `execute`."""
        parameters = Struct()
        parameters.update(params)
        request = pb.PostWorkflowExecuteRequest(workflow_id=workflow_id, model_id=model_id, parameters=parameters)
        return await self.execute(request)

    execute_distributed_workflow = handle_workflow_execute
    """The same by its other name."""

    async def execute(self, request: pb.PostWorkflowExecuteRequest) -> pb.PostWorkflowExecuteResponse:
        """Starts a session; in the foreground the reply has its end, or how it stands shortly before the deadline.

        Raises:
            CoordinatorError: WORKFLOW_NOT_FOUND, FIELD_*, ARTIFACT_NOT_FOUND, SESSION_ALREADY_EXISTS,
                REQUEST_ID_REUSED, SERVER_DRAINING, STORE_*; as `check_former`.
        """
        return await self._execute(request, current(), _digest_of(request))

    async def _execute(
        self, request: pb.PostWorkflowExecuteRequest, call: CallContext, digest: bytes, parent: Parent | None = None
    ) -> pb.PostWorkflowExecuteResponse:
        planned: Sequence[pb.PlannedStep] = ()
        try:
            definition = await self._workflows.definition(call.tenant, request.workflow_id)
            parameters, warnings = definition.parameter_values(request)
            if request.from_session_id:
                await check_former(self._reader, request, call.tenant)
            if request.from_session_id or not request.validate_only:
                beginning, holds = await self._begin(request, definition, parameters, call, digest, parent)
            if request.from_session_id:
                planned = await self._plan(beginning.context, call)
            if request.validate_only:
                session = pb.Session(workflow_id=request.workflow_id, workflow_digest=definition.digest)
                return pb.PostWorkflowExecuteResponse(session=session, warnings=warnings, planned_steps=planned)
        except CoordinatorError:  # what was asked for before has its answer, whatever became of workflow or model since
            first = await self._reader.first(request.request_id, digest, call.tenant) if digest else ""
            if not first:
                raise
            return await self._repeat(first, request, call)
        on_leave = self._leave if request.cancel_on_disconnect and not request.background else None
        opened, live = await self._engine.submit(*beginning, holds, on_leave)
        if live is None:
            return await self._repeat(opened.session_id, request, call)
        if not request.background:
            await self._wait(live, request, call)
        session = self._view(beginning, live)
        return pb.PostWorkflowExecuteResponse(session=session, warnings=warnings, planned_steps=planned)

    async def _plan(self, session: SessionContext, call: CallContext) -> list[pb.PlannedStep]:
        """What a session takes over from its former one."""
        decisions = await self._reuse_plans.decide(session, call)
        if session.request.validate_only:
            self._reuse_plans.forget(session)
        return [decision.message for decision in decisions]

    async def _begin(
        self,
        request: pb.PostWorkflowExecuteRequest,
        definition: Definition,
        parameters: Mapping[str, Any],
        call: CallContext,
        digest: bytes,
        parent: Parent | None = None,
    ) -> tuple[Beginning, list[bytes]]:
        holds = await self._artifacts.store_payloads(request.payloads) if request.payloads else []
        beginning = self._sessions.begin(
            request,
            definition,
            parameters,
            digest=digest,
            tenant=call.tenant,
            traceparent=call.traceparent,
            parent=parent,
        )
        if request.model_id:
            await self._pin(beginning.context)
            beginning = beginning.pinned()
        return beginning, holds

    async def _wait(self, live: Live, request: pb.PostWorkflowExecuteRequest, call: CallContext) -> None:
        try:
            await live.wait(self._until_us(call))
        except asyncio.CancelledError:
            if request.cancel_on_disconnect:
                self._leave(live)
            raise

    def _leave(self, live: Live) -> None:
        """Cancels a session whose caller has left."""
        now_us = self._now_us()
        command = Command(now_us, Action.CANCEL, now_us, actor="caller", comment="the caller left")
        self._engine.post(live, command)

    def _until_us(self, call: CallContext) -> int:
        remaining = call.remaining()
        return _FOREVER_US if remaining is None else self._now_us() + round(remaining * 1e6) - REPLY_MARGIN_US

    def _view(self, beginning: Beginning, live: Live) -> pb.Session:
        session = session_of(beginning.start, live.state, live.result, self._now_us(), self._owner)
        if not live.state.state.terminal:
            session.progress = live.fraction()
        return session

    async def _repeat(
        self, session_id: str, request: pb.PostWorkflowExecuteRequest, call: CallContext
    ) -> pb.PostWorkflowExecuteResponse:
        """The answer to a request_id that came before: the session that it made, as it is now."""
        live = self._engine.roster.live(session_id, call.tenant)
        if live is not None and not request.background:
            await self._wait(live, request, call)
        session = await self._reader.read(session_id, call.tenant)
        return pb.PostWorkflowExecuteResponse(session=session, repeated_request=True)

    async def start_child(
        self, call: StepCall, request: pb.PostWorkflowExecuteRequest
    ) -> pb.PostWorkflowExecuteResponse:
        """Runs a session as a step of another, to its end, and cancels it when its step is cancelled.

        The step's key and the start of the session above are its request_id: a repeat after a crash finds the first,
        and a later session of the same session_id does not.

        Raises:
            CoordinatorError: as `execute`; SESSION_TOO_DEEP.
        """
        if request.validate_only:
            text = "a step runs its session; leave it unset"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "validate_only", text)
        above = call.session
        live = self._engine.roster.live(above.session_id, above.tenant)
        assert live is not None
        parent = Parent(above.session_id, above.depth, call.deadline_us, live.durability)
        context = current()._replace(tenant=above.tenant, deadline=None)
        if not live.durability.stored:
            request.durability = pb.DURABILITY_NONE
        stored = request.durability != pb.DURABILITY_NONE
        request.request_id = f"{call.key}@{live.state.created_us}" if stored else ""
        request.background, request.cancel_on_disconnect = False, True
        try:
            return await self._execute(request, context, _digest_of(request), parent)
        except asyncio.CancelledError:
            self._leave_child(request.request_id, above.tenant)
            raise

    def _leave_child(self, request_id: str, tenant: str) -> None:
        """Cancels the session of a step that was cancelled before it had found it again after a restart."""
        child = self._engine.roster.begun_by(request_id, tenant) if request_id else None
        if child is not None and child.state.state < SessionState.CANCELLING:
            self._leave(child)

    async def delete(self, request: pb.DeleteProcessingSessionRequest) -> pb.DeleteProcessingSessionResponse:
        """Removes a session that has ended, with those of its steps; with force it is terminated first.

        Raises:
            CoordinatorError: SESSION_NOT_FOUND, SESSION_STATE_ILLEGAL.
        """
        tenant, session_id = current().tenant, check_id("session_id", request.session_id)

        async def act(note: RequestNote | None) -> pb.DeleteProcessingSessionResponse:
            row = await self._reader.row(session_id, tenant)
            check_no_cell(row, "removed", "delete the batch (`batch delete`, or DeleteProcessingBatch)")
            if request.force and not row.state.terminal:
                await self._terminate(session_id, tenant)
            else:
                check_ended(session_id, row.state)
            await self._until_children_end(session_id, tenant)
            if not await self._remove(session_id, tenant, note, force=request.force):
                raise not_found(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, "session", session_id)
            return pb.DeleteProcessingSessionResponse(domain_views=await self._views.clean(session_id, tenant))

        async def again(_: str) -> pb.DeleteProcessingSessionResponse:
            return pb.DeleteProcessingSessionResponse()

        return await self._repeats.once(tenant, "DeleteProcessingSession", request, session_id, act, again)

    async def _remove(self, session_id: str, tenant: str, note: RequestNote | None, *, force: bool) -> bool:
        """Removes what has ended; what a RETRY has begun again since is terminated once more, with force."""
        while True:
            try:
                return await self._remover.delete_session(session_id, tenant, note)
            except CoordinatorError as error:
                if not force or error.reason != ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL:
                    raise
            await self._terminate(session_id, tenant)

    async def _until_children_end(self, session_id: str, tenant: str) -> None:
        """The end of a session has cancelled those of its steps; gives them the time that they may take for it."""
        for child in self._engine.roster.children(session_id, tenant):
            await child.wait(self._now_us() + 2 * CANCEL_GRACE_US)
            await self._until_children_end(child.context.session_id, tenant)

    async def _terminate(self, session_id: str, tenant: str) -> None:
        """Ends a session, unless it ends by itself meanwhile; then its end is durable on return."""
        now_us = self._now_us()
        command = Command(now_us, Action.TERMINATE, now_us, actor=current().actor, comment="deleted with force")
        try:
            await self._engine.deliver(session_id, tenant, command)
        except CoordinatorError as error:
            if error.reason != ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL:
                raise
            live = self._engine.roster.live(session_id, tenant)
            if live is not None:
                await live.wait(_FOREVER_US)


def _digest_of(request: pb.PostWorkflowExecuteRequest) -> bytes:
    """What a request with a request_id is compared by, before its payloads are replaced by references."""
    return request_digest(request.SerializeToString(deterministic=True)) if request.request_id else b""
