"""Use cases of the services that workflows have of their own: the same sessions as those of PostWorkflowExecute."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.message import DecodeError

from instructors.processing import ProcessingInstructor
from instructors.sessions import SessionReader
from instructors.typed_replies import response_of
from instructors.typed_requests import empty_lists, execution_of
from instructors.watching import SessionWatch
from processing_service.engine.ids import check_id
from processing_service.engine.interfaces.interface import Interface
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError, invalid, not_found
from processing_service.wire.workflow_names import PACKAGE


class TypedCalls:
    """Executes and watches by typed messages, which come and go as bytes: their types are the caller's tenant's."""

    def __init__(
        self, workflows: WorkflowManager, processing: ProcessingInstructor, reader: SessionReader, watch: SessionWatch
    ) -> None:
        self._workflows, self._interfaces = workflows, workflows.interfaces
        self._processing, self._reader, self._watch = processing, reader, watch

    async def execute(self, service: str, data: bytes) -> bytes:
        """Execute of that service. Raises as ProcessingInstructor.execute; WORKFLOW_NOT_FOUND, FIELD_UNKNOWN."""
        interface = self._find(service)
        request = _parsed(interface.request_class, data)
        reply = await self._processing.execute(await self._execution(interface, request))
        return _bytes(response_of(interface, reply))

    async def watch(self, service: str, data: bytes) -> AsyncIterator[bytes]:
        """Watch of that service. Raises as `execute`, and as SessionWatch.watch; FIELD_REQUIRED, FIELD_INVALID."""
        interface = self._find(service)
        request = _parsed(interface.watch_request_class, data)
        reply = await self._subject(interface, request)
        if session_id := reply.session.session_id:
            asked = pb.WatchProcessingSessionRequest(session_id=session_id)
            if request.HasField("after_sequence"):
                asked.after_sequence = request.after_sequence
            async for update in self._watch.watch(asked):  # its numbers are those of the typed updates
                yield update if isinstance(update, bytes) else update.SerializeToString()
            reply.session.CopyFrom(await self._reader.read(session_id, current().tenant))
        yield _bytes(interface.watch_response_class(response=response_of(interface, reply)))

    async def _execution(self, interface: Interface, request: Any) -> pb.PostWorkflowExecuteRequest:
        """What PostWorkflowExecute would be asked. A list without items is given where one has to be, else left out."""
        execution = execution_of(interface, request)
        if empty := empty_lists(request):
            definition = await self._workflows.definition(current().tenant, interface.workflow_id)
            for name in empty & definition.parameters.required:
                execution.parameters.fields[name].list_value.SetInParent()
        return execution

    async def _subject(self, interface: Interface, request: Any) -> pb.PostWorkflowExecuteResponse:
        """The session that is to be watched: one that starts now, or one that there is."""
        match request.WhichOneof("subject"):
            case "execute":
                return await self._start(await self._execution(interface, request.execute), request.after_sequence)
            case "session_id":
                return await self._found(interface, request.session_id)
            case _:
                text = "set `execute` to start a session, or `session_id` to watch one that was started"
                raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "subject", text)

    async def _start(
        self, execution: pb.PostWorkflowExecuteRequest, after_sequence: int
    ) -> pb.PostWorkflowExecuteResponse:
        path = "execute.workflow_call"
        if after_sequence and not execution.request_id:
            text = (
                "goes on with a session that there is: give the request_id of its start, or `session_id` for `execute`"
            )
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "after_sequence", text)
        if execution.cancel_on_disconnect:
            text = "is for Execute; a session that is watched goes on, and PostSessionControl cancels it"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, f"{path}.cancel_on_disconnect", text)
        if execution.durability == pb.DURABILITY_NONE:
            text = "a session that is not stored has no history to watch; use Execute, or leave it unset"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, f"{path}.durability", text)
        execution.background = True
        return await self._processing.execute(execution)

    async def _found(self, interface: Interface, session_id: str) -> pb.PostWorkflowExecuteResponse:
        row = await self._reader.row(check_id("session_id", session_id), current().tenant)
        if row.start.workflow_id != interface.workflow_id:
            text = f"session {session_id!r} is of workflow {row.start.workflow_id!r}; watch it by the service of that"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "session_id", text)
        return pb.PostWorkflowExecuteResponse(session=pb.Session(session_id=session_id))

    def _find(self, service: str) -> Interface:
        tenant = current().tenant
        interface = self._interfaces.find(tenant, service)
        if interface is None:
            reason = ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND
            known = self._interfaces.services(tenant)
            hint = "PutProcessingWorkflow publishes one with each workflow"
            raise not_found(reason, "workflow service", service, known, hint)
        return interface


def _parsed(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        text = f"the body of the call is not a {PACKAGE}.{message.DESCRIPTOR.name}; encode it by the exported .proto"
        raise CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID, text) from error


def _bytes(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
