"""Use cases of workflow definitions."""

from __future__ import annotations

import asyncio

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.repeats import Repeats
from processing_service.engine.base import OperationCatalog
from processing_service.engine.definitions import Definition, compile_definition, parse_definition, to_source
from processing_service.engine.definitions.template_context import OnLegacy
from processing_service.engine.interfaces.proto_text import proto_text
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.store.base import RequestNote
from processing_service.wire.callcontext import current
from processing_service.wire.errors import invalid
from processing_service.wire.pages import fit, list_of, make_token, page_size, read_token


class WorkflowInstructor:
    """Puts, reads, lists and removes definitions.

    Args:
        on_legacy: called for each legacy spelling, with the field's full name and the spelling.
    """

    def __init__(
        self, workflows: WorkflowManager, catalog: OperationCatalog, repeats: Repeats, on_legacy: OnLegacy
    ) -> None:
        self._workflows, self._catalog, self._repeats, self._on_legacy = workflows, catalog, repeats, on_legacy

    async def put(self, request: pb.PutProcessingWorkflowRequest) -> pb.PutProcessingWorkflowResponse:
        """Checks a definition, stores it and publishes its service.

        Raises:
            CoordinatorError: WORKFLOW_INVALID, WORKFLOW_BREAKING, FIELD_REQUIRED.
        """
        definition = await asyncio.to_thread(self._compile, request)  # a large one takes a second
        warnings, allow_breaking = definition.warnings, request.allow_breaking
        tenant, workflow_id = current().tenant, definition.workflow.workflow_id
        if request.validate_only:
            made = await self._workflows.publication(tenant, definition, allow_breaking=allow_breaking)
            warnings += made.warnings
            return pb.PutProcessingWorkflowResponse(workflow=definition.workflow, warnings=warnings)

        async def act(note: RequestNote | None) -> pb.PutProcessingWorkflowResponse:
            put = await self._workflows.put(tenant, definition, note, allow_breaking=allow_breaking)
            shown = warnings + put.warnings
            return pb.PutProcessingWorkflowResponse(workflow=put.workflow, changed=put.changed, warnings=shown)

        async def again(_: str) -> pb.PutProcessingWorkflowResponse:
            stored = await self._workflows.read(tenant, workflow_id)
            return pb.PutProcessingWorkflowResponse(workflow=stored, warnings=warnings)

        return await self._repeats.once(tenant, "PutProcessingWorkflow", request, workflow_id, act, again)

    def _compile(self, request: pb.PutProcessingWorkflowRequest) -> Definition:
        match request.WhichOneof("definition"):
            case "workflow":
                return compile_definition(request.workflow, self._catalog, on_legacy=self._on_legacy)
            case "source":
                return parse_definition(request.source, self._catalog, on_legacy=self._on_legacy)[0]
            case _:
                text = "set `workflow`, or `source` with YAML or JSON"
                raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "definition", text)

    async def read(self, request: pb.GetProcessingWorkflowRequest) -> pb.GetProcessingWorkflowResponse:
        """One definition, as message, as YAML and as .proto. Raises CoordinatorError: WORKFLOW_NOT_FOUND."""
        workflow = await self._workflows.read(current().tenant, request.workflow_id)
        reply = pb.GetProcessingWorkflowResponse(workflow=workflow, source=to_source(workflow))
        interface = self._workflows.interfaces.of(current().tenant, request.workflow_id)
        if interface is not None:
            reply.proto_path, reply.proto_source = interface.proto.name, proto_text(interface.proto, workflow)
        return reply

    async def page(self, request: pb.GetProcessingWorkflowsRequest) -> pb.GetProcessingWorkflowsResponse:
        """Definitions by workflow_id, without steps. Raises CoordinatorError: PAGE_TOKEN_INVALID."""
        tenant, size = current().tenant, page_size(request.page_size)
        which = list_of(pb.GetProcessingWorkflowsRequest(labels=request.labels))
        after = read_token(which, request.page_token)
        found = list(await self._workflows.page(tenant, after, size + 1, request.labels))
        for workflow in found:
            workflow.ClearField("steps")
        response = pb.GetProcessingWorkflowsResponse(workflows=fit(found, size))
        if len(found) > len(response.workflows):
            response.next_page_token = make_token(which, response.workflows[-1].workflow_id)
        if not request.labels:
            response.total_count = await self._workflows.count(tenant)
        return response

    async def delete(self, request: pb.DeleteProcessingWorkflowRequest) -> pb.DeleteProcessingWorkflowResponse:
        """Removes a definition. Raises CoordinatorError: WORKFLOW_NOT_FOUND."""
        tenant, workflow_id = current().tenant, request.workflow_id

        async def act(note: RequestNote | None) -> pb.DeleteProcessingWorkflowResponse:
            await self._workflows.delete(tenant, workflow_id, note)
            return pb.DeleteProcessingWorkflowResponse()

        async def again(_: str) -> pb.DeleteProcessingWorkflowResponse:
            return pb.DeleteProcessingWorkflowResponse()

        return await self._repeats.once(tenant, "DeleteProcessingWorkflow", request, workflow_id, act, again)
