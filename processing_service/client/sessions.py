"""Sessions: started, listed, controlled, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.artifacts import ArtifactCalls
from processing_service.client.retries import new_request_id
from processing_service.client.values import Value, to_duration, to_timestamp


class SessionCalls(ArtifactCalls):
    """The RPCs of sessions; `watching.py` has the stream."""

    async def post_workflow_execute(
        self,
        workflow_id: str,
        parameters: Mapping[str, Value] | None = None,
        *,
        model_id: str = "",
        session_id: str = "",
        request_id: str = "",
        background: bool = False,
        timeout: float | None = None,
        priority: int = 0,
        admission_class: pb.AdmissionClass.ValueType = pb.ADMISSION_CLASS_UNSPECIFIED,
        durability: pb.Durability.ValueType = pb.DURABILITY_UNSPECIFIED,
        labels: Mapping[str, str] | None = None,
        from_session_id: str = "",
        validate_only: bool = False,
        cancel_on_disconnect: bool = False,
        deadline: float | None = None,
    ) -> pb.PostWorkflowExecuteResponse:
        """Starts a session; in the foreground it answers when the session has ended, or stands at the deadline.

        Args:
            workflow_id: what to run.
            parameters: Python values by name; bytes, paths and arrays go as payloads, as artifacts where they are
                large.
            timeout: the session's budget in seconds; None = the workflow's.
            deadline: seconds to wait for the answer; the session goes on after them.

        Further arguments are the fields of PostWorkflowExecuteRequest.

        Raises:
            CoordinatorError: if the start was refused. A session that failed is no error: see its `failure`.
        """
        struct, payloads = await self.to_parameters(parameters or {}, deadline=deadline)
        stored = durability != pb.DURABILITY_NONE
        request = pb.PostWorkflowExecuteRequest(
            workflow_id=workflow_id,
            model_id=model_id,
            session_id=session_id,
            request_id=request_id or (new_request_id() if stored else ""),
            parameters=struct,
            payloads=payloads,
            background=background,
            timeout=to_duration(timeout),
            priority=priority,
            admission_class=admission_class,
            durability=durability,
            labels=labels,
            from_session_id=from_session_id,
            validate_only=validate_only,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        return await self._caller.call(self._stub.PostWorkflowExecute, request, deadline, repeatable=stored)

    async def get_processing_sessions(
        self,
        *,
        selector: pb.SessionSelector | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        parent_session_id: str = "",
        page_size: int = 0,
        deadline: float | None = None,
    ) -> AsyncIterator[pb.Session]:
        """The sessions that match, newest first, without steps."""
        request = pb.GetProcessingSessionsRequest(
            selector=selector,
            created_after=to_timestamp(created_after),
            created_before=to_timestamp(created_before),
            parent_session_id=parent_session_id,
            page_size=page_size,
        )
        async for page in self._caller.pages(self._stub.GetProcessingSessions, request, deadline):
            for session in page.sessions:
                yield session

    async def get_processing_session(
        self, session_id: str, *, include_domain_views: bool = False, deadline: float | None = None
    ) -> pb.GetProcessingSessionResponse:
        """One session with its steps."""
        request = pb.GetProcessingSessionRequest(session_id=session_id, include_domain_views=include_domain_views)
        return await self._caller.call(self._stub.GetProcessingSession, request, deadline)

    async def get_processing_session_events(
        self, session_id: str, *, after_sequence: int = 0, page_size: int = 0, deadline: float | None = None
    ) -> AsyncIterator[pb.SessionEvent]:
        """The history of a session behind a number, oldest event first."""
        request = pb.GetProcessingSessionEventsRequest(
            session_id=session_id, after_sequence=after_sequence, page_size=page_size
        )
        async for page in self._caller.pages(self._stub.GetProcessingSessionEvents, request, deadline):
            for event in page.events:
                yield event

    async def post_session_control(
        self,
        session_id: str,
        control_action: pb.ControlAction.ValueType,
        *,
        workflow_id: str = "",
        selector: pb.SessionSelector | None = None,
        comment: str = "",
        timeout: float | None = None,
        validate_only: bool = False,
        request_id: str = "",
        deadline: float | None = None,
    ) -> pb.PostSessionControlResponse:
        """Pauses, resumes, cancels, terminates or retries a session, or, with an empty id, all that match."""
        request = pb.PostSessionControlRequest(
            session_id=session_id,
            control_action=control_action,
            workflow_id=workflow_id,
            selector=selector,
            comment=comment,
            timeout=to_duration(timeout),
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        )
        return await self._caller.call(self._stub.PostSessionControl, request, deadline)

    async def delete_processing_session(
        self, session_id: str, *, force: bool = False, request_id: str = "", deadline: float | None = None
    ) -> pb.DeleteProcessingSessionResponse:
        """Removes a session that has ended, with its history; with `force` it is terminated first."""
        request = pb.DeleteProcessingSessionRequest(
            session_id=session_id, force=force, request_id=request_id or new_request_id()
        )
        return await self._caller.call(self._stub.DeleteProcessingSession, request, deadline)
